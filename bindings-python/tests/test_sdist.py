"""What looks through the source distribution, on trees that were made for it."""

from __future__ import annotations

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


def look(tree: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Packs these files and looks through them."""
    archive = tree.parent / "smalt.tar.gz"
    empty = tree.parent / "empty"
    empty.write_text("")
    with tarfile.open(archive, "w:gz") as packed:
        for name in names:
            packed.add(empty, f"smalt-1/{name}")
    return subprocess.run([sys.executable, tree / "bindings-python" / "sdist.py", archive], capture_output=True, text=True)


WHOLE = ("PKG-INFO", "pyproject.toml", "Cargo.lock", "core/src/lib.rs", "python/smalt/__init__.py")


def test_what_is_missing_or_strange_is_named(tree: Path) -> None:
    subprocess.run(["git", "init", "-q", tree], check=True)
    whole = look(tree, *WHOLE)
    assert (whole.returncode, whole.stderr) == (0, "")
    wrong = look(tree, *WHOLE[:3], "python/smalt/__init__.py", "core/smalt.db")
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines() == ["missing: core/src/lib.rs", "does not belong there: core/smalt.db"]


def test_a_tree_that_is_no_checkout_is_said_to_be_none(tree: Path) -> None:
    told = look(tree, "core/smalt.db")
    assert told.returncode == 0 and "no checkout" in told.stderr, told.stderr
    # Inside of another one's checkout, which knows nothing of it.
    subprocess.run(["git", "init", "-q", tree.parent], check=True)
    told = look(tree, "core/smalt.db")
    assert told.returncode == 0 and "no checkout" in told.stderr, told.stderr
    # A checkout that git cannot read is a fault.
    (tree / ".git").write_text("gitdir: nowhere\n")
    assert look(tree, *WHOLE).returncode == 1
