"""A library for phones has no engine: neither SQLite nor what seals its rows is compiled into it."""

from __future__ import annotations

import os
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What the engine alone needs.
ENGINE = {"rusqlite", "libsqlite3-sys", "chacha20poly1305", "moka"}


def crates(*features: str) -> set[str]:
    """What is compiled into the library of Swift and Kotlin, build scripts' own crates included."""
    tree = [os.environ.get("CARGO", "cargo"), "tree", "--locked", "-q", "-p", "smalt-ffi", "-e", "normal,build", "--prefix", "none", *features]
    told = subprocess.run(tree, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {line.split()[0] for line in told.splitlines() if line}


class Slim(unittest.TestCase):
    def test_without_the_engine_there_is_no_sqlite(self) -> None:
        slim = crates("--no-default-features", "--features", "shipped")
        self.assertFalse(slim & ENGINE)
        self.assertIn("smalt", slim)
        self.assertFalse([name for name in slim if "sqlite" in name])

    def test_with_it_there_is(self) -> None:
        self.assertEqual(ENGINE - crates("--features", "shipped"), set())


if __name__ == "__main__":
    unittest.main()
