"""The ten lines of the README, offline: `python ten_lines.py` where `smalt` is installed."""

from smalt import Smalt

# README: from here
with Smalt.sandbox() as smalt:  # yours: Smalt.embedded("smalt.db", project="smalt.toml")
    account = smalt.account("customer-42")  # a handle, no I/O
    account.ensure()
    connection = account.connect("sandbox-oauth")  # the user consents; nobody else can finish the flow
    config = account.config("sandbox-oauth")  # found or made: settings and workflow switches
    credential = account.credential("sandbox-oauth")  # valid now, refreshed at most once by anyone
    answer = account.request("sandbox-oauth", "GET", "items")  # an authenticated call
    receipt = account.disconnect("sandbox-oauth")  # secrets and settings gone, the grant revoked
    print(connection.identity, config.version, credential.expires_at, answer.status)
    print(receipt.revocation)
# README: to here
