"""What looks through the source distribution, on trees that were made for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from .conftest import REPOSITORY

FILES = {
    "Cargo.lock": "",
    "core/src/lib.rs": "",
    "bindings-python/pyproject.toml": "",
    "bindings-python/python/smalt/__init__.py": "",
    ".gitignore": "*.db\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the program in its place."""
    tree = tmp_path / "tree"
    for name, text in FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    shutil.copy(REPOSITORY / "bindings-python" / "sdist.py", tree / "bindings-python")
    return tree


def look(tree: Path, *names: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Packs these files and looks through them."""
    archive = tree.parent / "smalt.tar.gz"
    empty = tree.parent / "empty"
    empty.write_text("")
    with tarfile.open(archive, "w:gz") as packed:
        for name in names:
            packed.add(empty, f"smalt-1/{name}")
    return subprocess.run(
        [sys.executable, tree / "bindings-python" / "sdist.py", archive], capture_output=True, text=True, env={**os.environ, **variables}
    )


WHOLE = ("PKG-INFO", "pyproject.toml", "Cargo.lock", "core/src/lib.rs", "python/smalt/__init__.py")


@pytest.mark.parametrize("kept", ["a checkout", "no checkout", "inside of another one's"])
def test_what_is_missing_or_strange_is_named(tree: Path, kept: str) -> None:
    """What is unpacked from an archive has git's rules, too, though nothing of git's."""
    if kept != "no checkout":
        subprocess.run(["git", "init", "-q", tree if kept == "a checkout" else tree.parent], check=True)
    whole = look(tree, *WHOLE)
    assert (whole.returncode, whole.stderr) == (0, "")
    (tree / "core" / "smalt.db").write_text("")
    wrong = look(tree, *WHOLE[:3], "python/smalt/__init__.py", "core/smalt.db")
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines() == ["missing: core/src/lib.rs", "does not belong there: core/smalt.db"]
    assert (tree / ".git").exists() == (kept == "a checkout"), "it leaves nothing behind"


def test_what_cannot_be_looked_at_is_a_fault(tree: Path) -> None:
    (tree / ".git").write_text("gitdir: nowhere\n")
    told = look(tree, *WHOLE)
    assert told.returncode == 1 and "git" in told.stderr, told.stderr
    (tree / ".git").unlink()
    # Without git nobody knows what belongs to the tree.
    told = look(tree, *WHOLE, PATH=str(tree))
    assert told.returncode == 1 and "git" in told.stderr and "Traceback" not in told.stderr, told.stderr
