"""The check fails where it should: each change below, in a copy of the files, is named with its place."""

from __future__ import annotations

import re
import shutil
import tempfile
import unittest
from pathlib import Path

from parity import Table, check

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "bindings-python/python/smalt/"
NODE = "bindings-node/ts/generated/"
KOTLIN = "bindings-swift/kotlin/smalt/src/main/kotlin/dev/smalt/"
SWIFT = "bindings-swift/swift/Sources/Smalt/"


class Parity(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        ignored = shutil.ignore_patterns("node_modules", "target", "dist", "tests", "bench", ".cache", "__pycache__")
        for room in ("core/src", "docs", "bindings-python/python", "bindings-node/ts", KOTLIN, SWIFT):
            shutil.copytree(ROOT / room, self.folder / room, ignore=ignored)

    def change(self, path: str, pattern: str, by: str) -> None:
        file = self.folder / path
        text = file.read_text()
        changed, count = re.subn(pattern, by, text, count=1, flags=re.S)
        self.assertEqual(count, 1, f"{path} has no {pattern}")
        file.write_text(changed)

    def says(self, *parts: str) -> None:
        said = check(self.folder)
        self.assertTrue(any(all(part in line for part in parts) for line in said), f"{parts} not in {said}")

    def test_all_is_well(self) -> None:
        self.assertEqual(check(ROOT), [])
        self.assertEqual(check(self.folder), [])

    def test_what_core_says_is_read(self) -> None:
        table = Table(ROOT)
        self.assertGreater(len(table.options), 60)
        self.assertGreater(len(table.codes), 90)
        self.assertGreater(len(table.words), 15)
        self.assertEqual(table.options["start_connect"]["device"], False)
        self.assertIn("set_project", table.embedded_only)

    def test_a_removed_method(self) -> None:
        for half in ("_async_operations.py", "_sync_operations.py"):
            self.change(PYTHON + half, r'"list_webhooks"', '"list_hooks"')
        self.says("python", "`list_webhooks` is missing", PYTHON, "renamed to `list_hooks`")
        self.change(NODE + "methods.ts", r"'redeliver'", "'redelivered'")
        self.says("node", "`redeliver` is missing")
        self.change("docs/schema/openapi-1.json", r'"operationId": ?"get_app"', '"operationId":"get_application"')
        self.says("openapi", "`get_app` is missing")
        self.change("docs/operations.md", r"\| `config` \|", "| `settings` |")
        self.says("docs", "`config` is missing", "docs")
        self.change("core/src/backend/mod.rs", r"get_receipt: Receipt", "read_receipt: Receipt")
        self.says("rust", "`read_receipt` is no operation", "core/src/backend/mod.rs:")

    def test_a_renamed_option(self) -> None:
        for half in ("_async_operations.py", "_sync_operations.py"):
            self.change(PYTHON + half, r'"return_to": return_to,\n            "once"', '"back_to": return_to,\n            "once"')
        self.says("python", "`portal_url` lacks the option `return_to`", PYTHON)
        self.says("python", "`portal_url` has an option `back_to`")
        self.change(NODE + "methods.ts", r"readonly device\?:", "readonly onDevice?:")
        self.says("node", "`start_connect` lacks the option `device`", "renamed to `on_device`")

    def test_a_changed_default(self) -> None:
        self.change(PYTHON + "_sync_operations.py", r"device: bool = False", "device: bool = True")
        self.says("python", "`start_connect` takes True for `device`", PYTHON + "_sync_operations.py:")

    def test_an_undocumented_method(self) -> None:
        for half in ("_async_operations.py", "_sync_operations.py"):
            self.change(PYTHON + half, r'"""Lists the enabled applications with their status for the linked account\."""', "")
        self.says("python", "`list_apps` is not documented")
        self.change(NODE + "methods.ts", r"  /\*\* Reads one run of a workflow\. \*/\n", "")
        self.says("node", "`get_execution` is not documented")

    def test_an_error_code(self) -> None:
        self.change(NODE + "errors.ts", r"  \| 'invalid_cursor'\n", "  | 'wrong_cursor'\n")
        self.says("node", "`invalid_cursor` is missing", NODE + "errors.ts", "renamed to `wrong_cursor`")
        self.says("node", "`wrong_cursor` is no error code")
        self.change(PYTHON + "errors.py", r"    - `invalid_id`: ", "    - `no_id`: ")
        self.says("python", "`no_id` is no error code", PYTHON + "errors.py:")
        self.change("docs/errors.md", r"\| `invalid_inputs` \|", "| `bad_inputs` |")
        self.says("docs", "`invalid_inputs` is missing")
        self.change("docs/schema/bridge-1.json", r'"code": ?"invalid_request"', '"code":"quite_new"')
        self.says("rust", "`quite_new` is missing")

    def test_a_word(self) -> None:
        self.change(NODE + "types.ts", r"  \| 'healthy'\n", "  | 'well'\n")
        self.says("node", "`ConnectionHealth` lacks `healthy`", NODE + "types.ts:")
        self.change(PYTHON + "types.py", r'= "textarea"', '= "text_area"')
        self.says("python", "`FieldType` lacks `textarea`")
        self.says("python", "`FieldType` has, and core does not, `text_area`")

    def test_kotlin(self) -> None:
        self.change(KOTLIN + "Operations.kt", r'operation\("list_apps"', 'operation("apps"')
        self.says("kotlin", "`list_apps` is missing", KOTLIN, "renamed to `apps`")
        self.change(KOTLIN + "Account.kt", r'ready\("credential"', 'ready("credentials"')
        self.says("kotlin", "`credential` is missing", "renamed to `credentials`")
        self.change(KOTLIN + "Operations.kt", r'"return_to"', '"back_to"')
        self.says("kotlin", "`portal_url` lacks the option `return_to`", KOTLIN + "Operations.kt:")
        self.says("kotlin", "`portal_url` has an option `back_to`")
        self.change(KOTLIN + "Operations.kt", r'put\("update", obj', 'put("updates", obj')
        self.says("kotlin", "`update_config` lacks the option `update`")
        self.change(KOTLIN + "Operations.kt", r"device: Boolean = false", "device: Boolean = true")
        self.says("kotlin", "`start_connect` takes True for `device`", KOTLIN + "Operations.kt:")
        self.change(KOTLIN + "Operations.kt", r"    /\*\* Lists the enabled applications[^\n]*\n", "")
        self.change(KOTLIN + "Operations.kt", r'operation\("apps"', 'operation("list_apps"')
        self.says("kotlin", "`list_apps` is not documented")
        self.change(KOTLIN + "SmaltException.kt", r'"invalid_id" to', '"no_id" to')
        self.says("kotlin", "`no_id` is no error code", KOTLIN + "SmaltException.kt:")
        self.change(KOTLIN + "Types.kt", r'HEALTHY\("healthy"\)', 'HEALTHY("well")')
        self.says("kotlin", "`ConnectionHealth` lacks `healthy`", KOTLIN + "Types.kt:")

    def test_swift(self) -> None:
        self.change(SWIFT + "Operations.swift", r'ask\("list_apps"', 'ask("apps"')
        self.says("swift", "`list_apps` is missing", SWIFT, "renamed to `apps`")
        self.change(SWIFT + "Account.swift", r'ready\("credential"', 'ready("credentials"')
        self.says("swift", "`credential` is missing", "renamed to `credentials`")
        self.change(SWIFT + "Operations.swift", r'"return_to"', '"back_to"')
        self.says("swift", "`portal_url` lacks the option `return_to`", SWIFT + "Operations.swift:")
        self.says("swift", "`portal_url` has an option `back_to`")
        self.change(SWIFT + "Operations.swift", r'"update": \[', '"updates": [')
        self.says("swift", "`update_config` lacks the option `update`")
        self.change(SWIFT + "Operations.swift", r"device: Bool = false", "device: Bool = true")
        self.says("swift", "`start_connect` takes True for `device`", SWIFT + "Operations.swift:")
        self.change(SWIFT + "Operations.swift", r"    /// Lists the enabled applications[^\n]*\n", "")
        self.change(SWIFT + "Operations.swift", r'ask\("apps"', 'ask("list_apps"')
        self.says("swift", "`list_apps` is not documented")
        self.change(SWIFT + "Errors.swift", r'Code\(rawValue: "invalid_id"', 'Code(rawValue: "no_id"')
        self.says("swift", "`no_id` is no error code", SWIFT + "Errors.swift:")
        self.change(SWIFT + "Types.swift", r"    case healthy\n", '    case healthy = "well"\n')
        self.says("swift", "`ConnectionHealth` lacks `healthy`", SWIFT + "Types.swift:")


if __name__ == "__main__":
    unittest.main()
