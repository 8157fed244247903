"""An application's behaviour in Python: who a credential belongs to, and a field's live choices. `python plugin.py` shows it offline."""

from __future__ import annotations

import asyncio
from typing import Any

from smalt import AsyncSmalt, Connector, Identity, Option, Rejected, make_key


class Items(Connector):
    """Beside the built-in manifest of `sandbox-key`."""

    slug = "sandbox-key"

    async def verify(self, ctx: Any, credential: Any) -> Identity:
        if not credential.values["workspace"].reveal().isalnum():
            raise Rejected("A workspace has letters and digits only.")
        check = await ctx.request("GET", "key-check")
        if check.status == 401:
            raise Rejected("The application does not know this key.")
        return Identity(id="me", label=credential.values["workspace"].reveal())

    async def options(self, ctx: Any, field: str, search: str | None = None) -> list[Option]:
        answer = await ctx.request("GET", "channels", query={"limit": 5, "search": search or ""})
        return [Option(value=channel["id"], name=channel["name"]) for channel in answer.json()["items"]]


PROJECT = {
    "version": 1,
    "sandbox": {"enabled": True},
    "apps": {"sandbox-key": {"fields": [{"id": "channel", "name": "Channel", "type": "select", "options_from": "channels"}]}},
}


async def main() -> None:
    async with AsyncSmalt.embedded(project=PROJECT, key=make_key(), connectors=[Items()]) as smalt:
        account = smalt.account("customer-42")
        await account.ensure()
        connection = await account.connect("sandbox-key", {"key": "sandbox-key-good", "workspace": "acme"})
        print(connection.identity)
        config = await account.config("sandbox-key")
        print([option.name for option in config.fields[0].options or ()])


if __name__ == "__main__":
    asyncio.run(main())
