"""The `smalt` command that the package brings: from the native library, as a module and as a script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import smalt

SCRIPT = Path(sys.executable).with_name("smalt")
WITHOUT = {name: value for name, value in os.environ.items() if not name.startswith("SMALT_")}


def run(folder: Path, *arguments: str, said: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "smalt", *arguments]
    return subprocess.run(command, cwd=folder, env={**WITHOUT, **variables}, input=said, capture_output=True, text=True, timeout=120)


def test_it_is_the_same_version(tmp_path: Path) -> None:
    said = run(tmp_path, "--version")
    assert said.returncode == 0 and smalt.__version__ in said.stdout
    assert subprocess.run([SCRIPT, "--version"], capture_output=True, text=True).stdout == said.stdout


def test_init_makes_what_the_package_opens(tmp_path: Path) -> None:
    made = run(tmp_path, "init")
    assert made.returncode == 0, made.stderr
    with smalt.Smalt.embedded(tmp_path / "smalt.db", project=tmp_path / "smalt.toml", key_file=tmp_path / "smalt.key") as opened:
        opened.account("customer-42").ensure()
    listed = run(tmp_path, "doctor", "--json")
    assert isinstance(json.loads(listed.stdout), (dict, list)), listed.stdout


def test_a_mistake_is_an_exit_status(tmp_path: Path) -> None:
    wrong = run(tmp_path, "no-such-command")
    assert wrong.returncode == 2 and "no-such-command" in wrong.stderr
    missing = run(tmp_path, "events")
    assert missing.returncode == 7 and "smalt.db" in missing.stderr


@contextmanager
def begun(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until it is told to end, and then does, with success."""
    process = subprocess.Popen(
        [sys.executable, "-m", "smalt", *arguments], cwd=folder, env=WITHOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode in (0, 130, -signal.SIGINT), said


def line_of(process: subprocess.Popen[str]) -> Any:
    """The line of JSON that it says when it is ready."""
    assert process.stdout is not None
    return json.loads(next(line for line in process.stdout if line.startswith("{")))


def test_the_sandbox_serves_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    with begun(tmp_path, "sandbox", "--listen", "127.0.0.1:0") as process:
        assert process.stdout is not None
        origin = next(word for line in process.stdout for word in line.split() if word.startswith("http://127.0.0.1:"))
        with urllib.request.urlopen(f"{origin.rstrip('/.,')}/stats", timeout=60) as answer:
            assert "stats" in json.loads(answer.read())


# A browser whose user consents: it opens the page and follows the redirects to the command's own address.
BROWSER = """#!{python}
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1] + "&sandbox_user=ada&sandbox_decision=allow", timeout=60).read().decode(), file=open("page.html", "w"))
"""


def test_connect_and_serve_on_one_store(tmp_path: Path) -> None:
    """A life through the command, with a browser and with keys; then a server on the same store, for a handle of this package."""
    assert run(tmp_path, "init").returncode == 0
    browser = tmp_path / "browser"
    browser.write_text(BROWSER.format(python=sys.executable))
    browser.chmod(0o755)
    with begun(tmp_path, "sandbox", "--listen", "127.0.0.1:0", "--json") as sandbox:
        project = tmp_path / "smalt.toml"
        project.write_text(project.read_text().replace("[sandbox]\n", f'[sandbox]\nurl = "{line_of(sandbox)["url"]}"\n'))
        assert run(tmp_path, "account", "create", "c1").returncode == 0
        connected = run(tmp_path, "connect", "sandbox-oauth", "--account", "c1", BROWSER=str(browser))
        assert connected.returncode == 0 and "Connected sandbox-oauth as ada@" in connected.stdout, connected.stderr
        assert "<h1>Connected" in (tmp_path / "page.html").read_text()
        inputs = ("--input", "workspace=acme", "--input", "key=-", "--json")
        refused = run(tmp_path, "connect", "sandbox-key", "--account", "c1", *inputs, said="a-bad-key\n")
        assert refused.returncode == 4 and json.loads(refused.stdout)["error"]["code"] == "credentials_rejected", refused.stdout
        entered = run(tmp_path, "connect", "sandbox-key", "--account", "c1", *inputs, said="sandbox-key-good\n")
        assert entered.returncode == 0 and json.loads(entered.stdout)["identity"]["label"] == "Workspace acme", entered.stderr

        made = json.loads(run(tmp_path, "keys", "api", "create", "--json").stdout)
        with begun(tmp_path, "serve", "--listen", "127.0.0.1:0", "--json") as server:
            with smalt.Smalt.remote(line_of(server)["url"], api_key=made["key"]) as remote:
                account = remote.account("c1")
                assert {one.application for one in account.list_connections()} == {"sandbox-oauth", "sandbox-key"}
                assert account.request("sandbox-oauth", "GET", "items").status == 200
        with smalt.Smalt.embedded(tmp_path / "smalt.db", project=project, key_file=tmp_path / "smalt.key") as opened:
            assert opened.account("c1").disconnect("sandbox-oauth").revocation == "revoked"


def test_keys_are_made_and_rotated(tmp_path: Path) -> None:
    made = run(tmp_path, "keys", "create")
    assert made.returncode == 0, made.stderr
    key = smalt.Secret(made.stdout.strip())
    with smalt.Smalt.embedded(tmp_path / "smalt.db", key=key) as opened:
        opened.account("a").ensure()
    api = json.loads(run(tmp_path, "keys", "api", "create", "--json", SMALT_KEY=key.reveal()).stdout)
    ended = run(tmp_path, "keys", "rotate", "--json", SMALT_KEY=key.reveal())
    assert ended.returncode == 0 and json.loads(ended.stdout.splitlines()[-1])["state"] == "done", ended.stderr
    with smalt.Smalt.embedded(tmp_path / "smalt.db", key=key) as opened:
        assert opened.account("a").get().id == "a"
        assert [one.id for one in opened.list_api_keys()] == [api["id"]]
    other = smalt.make_key().reveal()
    wrong = run(tmp_path, "keys", "rotate", SMALT_KEY=other)
    assert wrong.returncode == 6 and other not in wrong.stdout + wrong.stderr


def test_apps_are_listed_and_checked(tmp_path: Path) -> None:
    listed = json.loads(run(tmp_path, "apps", "list", "--json").stdout)
    assert {"slack", "quickbooks"} <= {app["slug"] for app in listed}
    manifest = json.loads(run(tmp_path, "apps", "show", "slack", "--json").stdout)
    assert manifest["slug"] == "slack"
    # Beside what only the project knows, it is a manifest, which an engine takes.
    del manifest["offered"]
    smalt.Smalt.sandbox(manifests=[smalt.AppManifest({**manifest, "slug": "own"})]).close()
    (tmp_path / "wrong.toml").write_text('manifest = 1\nslug = "wrong"\nnmae = "Wrong"\n')
    found = run(tmp_path, "apps", "lint", "wrong.toml")
    assert found.returncode == 1 and "wrong.toml:3" in found.stdout + found.stderr and "nmae" in found.stdout + found.stderr, found
