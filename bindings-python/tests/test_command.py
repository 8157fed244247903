"""The `smalt` command that the package brings: from the native library, as a module and as a script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import smalt

SCRIPT = Path(sys.executable).with_name("smalt")
WITHOUT = {name: value for name, value in os.environ.items() if not name.startswith("SMALT_")}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "smalt", *arguments], cwd=folder, env=WITHOUT, capture_output=True, text=True, timeout=120)


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


def test_the_sandbox_serves_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "smalt", "sandbox", "--listen", "127.0.0.1:0"],
        cwd=tmp_path,
        env=WITHOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    origin = next(word for line in process.stdout for word in line.split() if word.startswith("http://127.0.0.1:"))
    with urllib.request.urlopen(f"{origin.rstrip('/.,')}/stats", timeout=60) as answer:
        assert "stats" in json.loads(answer.read())
    process.send_signal(signal.SIGINT)
    assert process.wait(60) in (0, 130, -signal.SIGINT)
