"""Looks through a source distribution: `sdist.py smalt-x.tar.gz`. All that the wheel is built from is there, and nothing that git ignores
(stores, keys, what was built). Git is asked, also where the tree is no checkout: the rules of what is ignored are in it all the same."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What is compiled or read while it is, and what is installed. The schemas are left out: without them core makes its own of its types.
NEEDED = (
    "Cargo.lock",
    "bindings-python/Cargo.toml",
    "bindings-python/src/",
    "core/Cargo.toml",
    "core/build.rs",
    "core/apps/",
    "core/portal/",
    "core/src/",
    "core/bridge/Cargo.toml",
    "core/bridge/src/",
    "core/server/Cargo.toml",
    "core/server/src/",
)
PACKAGE = "bindings-python/python/smalt/"
# A template of the generator's, which no wheel needs.
TEMPLATE = PACKAGE + "_handles.py.in"


def sources() -> set[str]:
    """What git has, or would take."""
    # A folder, or the file of a worktree. A tree inside of another one's checkout has neither.
    if (ROOT / ".git").exists():
        return listed()
    with tempfile.TemporaryDirectory() as empty:
        git("init", "-q", "--bare", empty)
        return listed(f"--git-dir={empty}", f"--work-tree={ROOT}")


def listed(*options: str) -> set[str]:
    names = git(*options, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return {name for name in names if name and (ROOT / name).is_file()}


def git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"git is asked what belongs to the tree, and does not answer: {error}")


def faults(archive: Path) -> list[str]:
    """What is wrong with it, a line each."""
    with tarfile.open(archive) as opened:
        # Below one folder that is named after the version.
        names = {member.name.split("/", 1)[1] for member in opened.getmembers() if member.isfile()}
    known = sources()
    needed = {name for name in known if name.startswith(NEEDED)}
    missing = needed - names
    # The Python half lies at the root, or where it lies here.
    for name in known - {TEMPLATE}:
        if name.startswith(PACKAGE) and not {name, name.removeprefix("bindings-python/")} & names:
            missing.add(name)
    missing |= {"PKG-INFO", "pyproject.toml"} - names
    # `pyproject.toml`, README and licence of the package stand at the root, too.
    strange = {name for name in names - known - {"PKG-INFO"} if f"bindings-python/{name}" not in known}
    return [f"missing: {name}" for name in sorted(missing)] + [f"does not belong there: {name}" for name in sorted(strange)]


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]))
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    sys.exit(1 if found else 0)
