#!/usr/bin/env python3
"""Makes the files of this folder: stores that no engine may open.

    foreign.sqlite    an SQLite database of another program
    foreign.txt       no database at all
    newer.sqlite      a store whose schema is later than any program's: what is looked at before everything else is there, and nothing more
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

HERE = Path(__file__).parent
# `Smlt`, as core/src/store/sqlite/schema.rs has it.
APPLICATION_ID = 0x536D6C74


def database(name: str, script: str) -> None:
    path = HERE / name
    path.unlink(missing_ok=True)
    made = sqlite3.connect(path, isolation_level=None)
    made.executescript(f"PRAGMA page_size = 512; {script}")
    made.close()


if __name__ == "__main__":
    database("foreign.sqlite", "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1);")
    (HERE / "foreign.txt").write_text("the quick brown fox\n" * 50)
    database(
        "newer.sqlite",
        f"""PRAGMA application_id = {APPLICATION_ID};
        CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
        INSERT INTO meta VALUES ('schema_version', CAST('9999' AS BLOB)), ('oldest_reader', CAST('9999' AS BLOB));""",
    )
