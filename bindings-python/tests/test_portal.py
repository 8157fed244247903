"""The hosted page, from the process of an application: FastAPI with Smalt's API below it, and what a browser asks for there."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
from fastapi import FastAPI

from smalt import AsyncSmalt, make_key

BASE = "https://app.example.com"
PROJECT: dict[str, Any] = {
    "version": 1,
    "org": {"id": "acme", "name": "Acme", "public_url": f"{BASE}/smalt"},
    "sandbox": {"enabled": True},
    "portal": {"embed": ["https://pages.example.com"]},
    "apps": {"sandbox-oauth": {}, "sandbox-key": {}},
}


def test_the_hosted_page_is_served_below_the_mount_point() -> None:
    async def life() -> None:
        async with AsyncSmalt.embedded(project=PROJECT, key=make_key()) as smalt:
            app = FastAPI()
            app.mount("/smalt", smalt.asgi())
            account = smalt.account("a")
            await account.ensure()
            link = (await account.portal_url(properties={"name": "Northwind"})).url.reveal()
            assert link.startswith(f"{BASE}/smalt/connect/")
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as browser:
                page = await browser.get(link)
                assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8", page.text
                policy = page.headers["content-security-policy"]
                assert "frame-ancestors https://pages.example.com" in policy, policy
                ticket = link.rsplit("/", 1)[1]
                assert ticket not in page.text

                # What it loads, and what that loads: below the mount point, and nowhere else.
                files = re.findall(r'(?:href|src)="([^"]+)"', page.text)
                assert {file.rsplit("/", 1)[1] for file in files} == {"portal.css", "portal.mjs"}
                kinds = {}
                while files:
                    path = files.pop()
                    assert path.startswith("/smalt/"), path
                    file = await browser.get(path)
                    assert file.status_code == 200 and file.content, f"{path}: {file.status_code}"
                    kinds[path] = file.headers["content-type"].split(";")[0]
                    for name in re.findall(r"^import .* from '(\./[^']+)'", file.text, re.M):
                        needed = str(httpx.URL(f"{BASE}{path}").join(name)).removeprefix(BASE)
                        if needed not in kinds and needed not in files:
                            files.append(needed)
                assert set(kinds.values()) == {"text/css", "text/javascript"} and len(kinds) > 3, kinds

                # The page's script trades the link's ticket for the session, which reads what the page shows.
                opened = await browser.post("/smalt/connect/open", json={"ticket": ticket}, headers={"origin": BASE})
                assert opened.status_code == 200, opened.text
                said = opened.json()
                assert (said["account"]["id"], said["organisation"]["name"], said["properties"]["name"]) == ("a", "Acme", "Northwind")
                bearer = {"authorization": f"Bearer {said['token']}"}
                apps = await browser.post("/smalt/smalt/v1/list_apps", json={"account": "a"}, headers=bearer)
                assert [one["slug"] for one in apps.json()] == ["sandbox-key", "sandbox-oauth"], apps.text

                other = await browser.post("/smalt/connect/open", json={"ticket": "x" * 43}, headers={"origin": BASE})
                assert other.json()["code"] == "portal_link_invalid", other.text

    asyncio.run(life())
