"""Acme CRM, a small product: its customers connect an application, choose what runs, and get their contacts from it."""

import sys

from smalt import Smalt, SmaltError


class AcmeCrm:
    def __init__(self, smalt: Smalt) -> None:
        self.smalt = smalt

    def integrations(self, customer: str) -> list[str]:
        """What the page of integrations lists."""
        account = self.smalt.account(customer)
        account.ensure()
        return [f"{app.slug}: {app.status}" for app in account.list_apps()]

    def connect(self, customer: str, application: str) -> str:
        """Returns once the user has consented: as whom."""
        connection = self.smalt.account(customer).connect(application)
        assert connection.identity
        return connection.identity.label

    def configure(self, customer: str, application: str, hour: object) -> str:
        """The user picks a channel out of those that the application has, maps a contact's data, and switches the digest on."""
        account = self.smalt.account(customer)
        config = account.config(application, labels={"Contact": [{"value": "Name"}, {"value": "Mail"}]})
        channel = next(field for field in config.fields if field.id == "channel")
        assert channel.options
        try:
            saved = account.update_config(
                application,
                version=config.version,
                fields={"channel": channel.options[0].value, "contact": {"Name": "full_name", "Mail": "email"}},
                workflows={"digest": {"enabled": True, "fields": {"hour": hour}}},
            )
        except SmaltError as error:
            return f"{error.code} at {', '.join(error.context)}"
        return f"version {saved.version}, digest {'on' if saved.workflows[0].enabled else 'off'}"

    def contacts(self, customer: str, application: str) -> int:
        """With a token that is valid now; renewed, if need be, once for all who ask."""
        answer = self.smalt.account(customer).request(application, "GET", "items")
        return len(answer.json()["items"])

    def leave(self, customer: str, application: str) -> str:
        """The grant is revoked at the provider, and everything that was set is deleted."""
        receipt = self.smalt.account(customer).disconnect(application, wait=10)
        return f"{receipt.revocation}, {len(receipt.deleted_configs)} settings deleted"


def main(project: str) -> None:
    # A test's engine; a product opens `Smalt.embedded("acme.db", project=project)`.
    with Smalt.sandbox(project=project) as smalt:
        crm = AcmeCrm(smalt)
        print("\n".join(crm.integrations("customer-42")))
        print("connected as", crm.connect("customer-42", "sandbox-oauth"))
        print("a wrong hour:", crm.configure("customer-42", "sandbox-oauth", "at nine"))
        print("settings:", crm.configure("customer-42", "sandbox-oauth", 9))
        print("contacts:", crm.contacts("customer-42", "sandbox-oauth"))
        print("disconnected:", crm.leave("customer-42", "sandbox-oauth"))
        print("\n".join(crm.integrations("customer-42")))


if __name__ == "__main__":
    main(sys.argv[1])
