"""Types: the package, the examples and these tests, by three checkers that others wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REPOSITORY

PYTHON = REPOSITORY / "bindings-python"
TOOLS = Path(os.environ.get("SMALT_TOOLS", REPOSITORY / ".cache" / "python" / "tools")) / "bin"
CACHE = REPOSITORY / ".cache" / "python" / "mypy"


def checks(*command: str | Path, **variables: str) -> None:
    if not Path(command[0]).exists():
        pytest.fail(f"{command[0]} is not there: bindings-python/test.sh installs it")
    ended = subprocess.run(command, capture_output=True, text=True, cwd=PYTHON, env={**os.environ, **variables})
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]


def test_mypy_strict() -> None:
    checks(
        TOOLS / "mypy",
        "--config-file",
        "tests/typing/mypy.ini",
        "--python-executable",
        sys.executable,
        "--cache-dir",
        CACHE,
        "examples",
        "tests",
        "../examples/acme-crm/acme_crm.py",
        "../examples/ten-lines/ten_lines.py",
    )


def test_pyright() -> None:
    checks(TOOLS / "basedpyright", "-p", "tests/typing/pyrightconfig.json", "--pythonpath", sys.executable)


def test_stubtest() -> None:
    """The annotations of every module say what is there at run time, and the stubs of the native one name all that it has."""
    checks(sys.executable, "-m", "mypy.stubtest", "smalt", "--allowlist", "tests/typing/stubtest.txt")
