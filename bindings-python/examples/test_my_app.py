"""A test suite of somebody's app: the fixtures come with the package."""

from __future__ import annotations

from typing import Any

from smalt import Smalt


def titles(smalt: Smalt, customer: str) -> list[str]:
    """The app under test."""
    answer = smalt.account(customer).request("sandbox-oauth", "GET", "items")
    return [item["title"] for item in answer.json()["items"]]


def test_a_connected_customer_sees_titles(smalt: Smalt) -> None:
    account = smalt.account("customer-42")
    account.ensure()
    account.connect("sandbox-oauth")
    assert len(titles(smalt, "customer-42")) == 3


def test_the_async_half(async_smalt: Any) -> None:
    import asyncio

    async def life() -> int:
        async with async_smalt() as smalt:
            await smalt.account("customer-42").ensure()
            count: int = await smalt.count_accounts()
            return count

    assert asyncio.run(life()) == 1


def test_the_provider_is_the_tests_own(smalt_sandbox: Any) -> None:
    from smalt import make_key

    project = {"version": 1, "sandbox": {"enabled": True, "url": smalt_sandbox.origin}, "apps": {"sandbox-key": {}}}
    with Smalt.embedded(project=project, key=make_key()) as smalt:
        account = smalt.account("a")
        account.ensure()
        account.connect("sandbox-key", {"key": "sandbox-key-good", "workspace": "acme"})
    assert smalt_sandbox.stats()
