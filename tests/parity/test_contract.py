"""The check of the checklist fails where it should, and says where."""

from __future__ import annotations

import shutil
import tempfile
import unittest
from pathlib import Path

from contract import PAGE, ROOMS, check

ROOT = Path(__file__).resolve().parents[2]
GOOD = """# A page

### 1. It holds

What it means.

- Rust: `core/a.rs` `it_holds`, `it_holds_still`
- Python: `test_a.py` `test_it_holds`
- Node: `a.test.mjs` `it holds, and it's so`
- Swift: `A.swift` `itHolds`
- Kotlin: cannot be: nobody has ever been able to do such a thing in a virtual machine
"""
FILES = {
    "core/a.rs": "#[test]\nfn it_holds() {}\n#[tokio::test(flavor = \"multi_thread\")]\n#[ignore]\nasync fn it_holds_still() {}\nfn it_helps() {}\n",
    ROOMS["Python"] + "/test_a.py": "def test_it_holds(run) -> None: ...\ndef it_helps() -> None: ...\n",
    ROOMS["Node"] + "/a.test.mjs": "test('it holds, and it\\'s so', async () => {})\n// test('it helps')\n",
    ROOMS["Swift"] + "/A.swift": "    @Test(.enabled(if: a)) func itHolds() async throws {}\n    func itHelps() {}\n",
}


class Contract(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        for path, text in {PAGE: GOOD, **FILES}.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)

    def says(self, old: str, new: str, *parts: str) -> None:
        self.assertIn(old, GOOD)
        (self.folder / PAGE).write_text(GOOD.replace(old, new))
        said = check(self.folder)
        self.assertTrue(any(all(part in line for part in ("1. It holds", *parts)) for line in said), said)

    def test_all_is_well(self) -> None:
        self.assertEqual(check(self.folder), [])

    def test_the_page_itself(self) -> None:
        self.assertEqual(check(ROOT), [])
        self.assertGreaterEqual((ROOT / PAGE).read_text().count("\n### "), 18)

    def test_a_test_that_is_not_there(self) -> None:
        self.says("`it_holds_still`", "`it_held`", "Rust", "core/a.rs has no test `it_held`")
        self.says("`it_holds_still`", "`it_helps`", "Rust", "core/a.rs has no test `it_helps`")
        self.says("`test_it_holds`", "`it_helps`", "Python", "has no test `it_helps`")
        self.says("`it holds, and it's so`", "`it helps`", "Node", "has no test `it helps`")
        self.says("`itHolds`", "`itHelps`", "Swift", "has no test `itHelps`")
        self.says("`core/a.rs`", "`core/b.rs`", "Rust", "there is no file core/b.rs")

    def test_what_is_empty(self) -> None:
        self.says("- Swift: `A.swift` `itHolds`\n", "", "nothing of Swift")
        self.says("- Swift: `A.swift` `itHolds`", "- Swift: not yet", "Swift", "names no test")
        self.says("- Swift: `A.swift` `itHolds`", "- Swift: `A.swift`", "Swift", "names no test")
        self.says("- Swift: `A.swift` `itHolds`", "- Swift: `itHolds`", "Swift", "without its file")
        self.says("nobody has ever been able to do such a thing in a virtual machine", "no", "Kotlin", "does not say why")
        self.says("- Kotlin", "- Swift", "Swift stands there twice")
        self.says("- Kotlin", "- Java", "there is no language Java")


if __name__ == "__main__":
    unittest.main()
