"""The grid fails where it should, and says where."""

from __future__ import annotations

import json
import shutil
import tempfile
import unittest
from pathlib import Path

import grid

CASES = {"config-one", "connect-two"}


class Grid(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        for language in grid.LANGUAGES:
            for backend in grid.BACKENDS:
                self.counted(language, backend, sorted(CASES), [])

    def counted(self, language: str, backend: str, passed: list[str], failed: list[str]) -> None:
        row = {"language": language, "backend": backend, "seconds": 1.25, "passed": passed, "failed": failed}
        (self.folder / f"{language}-{backend}.json").write_text(json.dumps(row))

    def wrong(self) -> list[str]:
        return grid.gather(self.folder, CASES)[1]

    def test_all_is_well(self) -> None:
        rows, wrong = grid.gather(self.folder, CASES)
        self.assertEqual((len(rows), wrong), (10, []))
        self.assertEqual(rows[0], {"language": "rust", "backend": "embedded", "passed": 2, "failed": 0, "seconds": 1.2})
        self.assertIn("2 passed, 0 failed, 1.2 s", grid.show(rows, 2))

    def test_a_language_or_a_backend_that_was_not_run(self) -> None:
        (self.folder / "swift-remote.json").unlink()
        self.assertEqual(self.wrong(), ["swift remote: it was not run"])
        self.assertEqual(grid.gather(self.folder, CASES, "swift")[1], [])
        self.assertEqual(grid.gather(self.folder, CASES, "node")[1], ["swift remote: it was not run"])
        self.assertIn("not run", grid.show(*grid.gather(self.folder, CASES)[:1], 2))

    def test_a_case_that_was_left_out_failed_or_is_none(self) -> None:
        self.counted("node", "embedded", ["config-one"], [])
        self.assertEqual(self.wrong(), ["node embedded: `connect-two` was left out"])
        self.counted("node", "embedded", ["config-one"], ["connect-two"])
        self.assertEqual(self.wrong(), ["node embedded: `connect-two` failed"])
        self.counted("node", "embedded", ["config-one", "connect-two", "connect-three"], [])
        self.assertEqual(self.wrong(), ["node embedded: there is no case `connect-three`"])
        self.counted("node", "embedded", ["config-one", "config-one", "connect-two"], [])
        self.assertEqual(self.wrong(), ["node embedded: a case is counted twice"])

    def test_a_row_that_is_about_something_else(self) -> None:
        (self.folder / "node-embedded.json").rename(self.folder / "rust-remote.json")
        self.assertEqual(self.wrong(), ["node embedded: stands in rust-remote.json", "node embedded: it was not run"])

    def test_somebody_elses_driver(self) -> None:
        own = self.folder / "own"
        self.assertEqual(grid.main(["own", str(own)]), 1)
        own.mkdir()
        row = {"language": "go", "backend": "own", "seconds": 1, "passed": sorted(grid.case_ids(grid.ROOT)), "failed": []}
        (own / "go-own.json").write_text(json.dumps(row))
        self.assertEqual(grid.main(["own", str(own)]), 0)
        row["passed"].pop()  # type: ignore[attr-defined]
        (own / "go-own.json").write_text(json.dumps(row))
        self.assertEqual(grid.main(["own", str(own)]), 1)

    def test_the_readme_shows_a_whole_grid_of_all_cases(self) -> None:
        readme = self.folder / "README.md"
        readme.write_text(f"before\n{grid.OPENS}{grid.CLOSES}after\n")
        self.assertIn("README.md:3: the grid has 0 lines", grid.check_readme(readme, 2)[0])
        grid.write_readme(readme, grid.gather(self.folder, CASES)[0], 2)
        self.assertEqual(grid.check_readme(readme, 2), [])
        self.assertIn("README.md:3: has `| 2 cases |", grid.check_readme(readme, 3)[0])
        text = readme.read_text()
        readme.write_text(text.replace("| Node | 2 passed, 0 failed", "| Node | 1 passed, 1 failed"))
        self.assertIn("README.md:7: has `| Node | 1 passed", grid.check_readme(readme, 2)[0])
        readme.write_text("nothing")
        self.assertIn("marks", grid.check_readme(readme, 2)[0])


if __name__ == "__main__":
    unittest.main()
