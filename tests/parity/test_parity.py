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
NODE_ROOM = "bindings-node/ts/"
NODE = NODE_ROOM + "generated/"
KOTLIN = "bindings-swift/kotlin/smalt/src/main/kotlin/dev/smalt/"
SWIFT = "bindings-swift/swift/Sources/Smalt/"


class Parity(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        ignored = shutil.ignore_patterns("node_modules", "target", "dist", "tests", "bench", ".cache", "__pycache__")
        for room in ("core/src", "docs", "bindings-python/python", "bindings-node/ts", KOTLIN, SWIFT):
            shutil.copytree(ROOT / room, cls.folder / room, ignore=ignored)

    def setUp(self) -> None:
        self.said: dict[str, list[str]] = {}

    def change(self, path: str, pattern: str, by: str) -> None:
        file = self.folder / path
        text = file.read_text()
        changed, count = re.subn(pattern, by, text, count=1, flags=re.S)
        self.assertEqual(count, 1, f"{path} has no {pattern}")
        file.write_text(changed)
        self.addCleanup(file.write_text, text)
        self.said = {}

    def says(self, language: str, *parts: str) -> None:
        # Asked once for each change.
        said = self.said[language] = self.said.get(language) or [line for line in check(self.folder, language) if line.startswith(f"{language}: ")]
        self.assertTrue(any(all(part in line for part in parts) for line in said), f"{parts} not in {said}")

    def test_all_is_well(self) -> None:
        self.assertEqual(check(ROOT), [])
        self.assertEqual(check(self.folder), [])

    def test_futures_for_java(self) -> None:
        java = KOTLIN + "Java.kt"
        self.change(java, r"        device: Boolean = false,\n", "")
        self.says("kotlin", "`connect` of `ConnectingFutures` differs", "`device: Boolean = false`", "Java.kt:")
        self.change(java, r"atMost: Int = 1000", "atMost: Int = 100")
        self.says("kotlin", "`pages` of `JavaAccount` differs", "`atMost: Int = 1000`")
        self.change(java, r"body: InputStream", "body: ByteArray")
        self.says("kotlin", "`upload` of `JavaAccount` differs", "`body: InputStream`")
        self.change(java, r"fun revoke\(", "fun revokeIt(")
        self.says("kotlin", "`JavaSession` lacks `revoke`", "Account.kt:")
        self.change(java, r"    @JvmOverloads\n(    public fun session\()", r"\1")
        self.says("kotlin", "`session` of `JavaAccount` has defaults")
        self.change(KOTLIN + "Smalt.kt", r"wait: Duration\? = null,(.*?): Page", r"wait: Duration? = null, more: Int = 1,\1: Page")
        self.says("kotlin", "`eventsPage` of `JavaSmalt` differs", "`more: Int = 1`")

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

        self.change(NODE + "methods.ts", r"How many; 1 to 500, default 50\.", "How many; 1 to 500, default 100.")
        self.says("node", "the default of `limit` of `list_accounts`", NODE + "methods.ts:", "says 100, core 50")
        self.change(NODE_ROOM + "api.ts", r"in milliseconds; default 30,000", "in milliseconds; default 60,000")
        self.says("node", "the default of `timeout` of `request`", "says 60.0, core 30")
        self.change(NODE + "methods.ts", r"wait for its end\. Default false", "wait for its end. Default true")
        self.says("node", "the default of `wait` of `execute_workflow`", "says True, core False")
        self.change("core/src/backend/requests.rs", r"#\[serde\(default\)\](\s+pub force)", r'#[serde(default = "yes")]\1')
        self.says("rust", "`create_session` takes 'yes()' for `force`", "core/src/backend/mod.rs:")
        self.change("core/src/backend/requests.rs", r"1 to 500, default 50\.", "1 to 500, default 20.")
        self.says("rust", "the default of `limit` of `list_accounts`", "says 20, core 50")
        self.change("docs/schema/openapi-1.json", r"(\"force\": ?\{[^}]*\"default\": ?)false", r"\1true")
        self.says("openapi", "`create_session` takes True for `force`")

    def test_the_options_of_calls_and_of_the_project(self) -> None:
        self.change(PYTHON + "_requests.py", r'"max_body": max_body', '"most": max_body')
        self.says("python", "`request` lacks the option `max_body`", PYTHON + "_async.py:")
        self.says("python", "`request_page` has an option `most`")
        self.change(NODE_ROOM + "api.ts", r"readonly maxBody\?:", "readonly most?:")
        self.says("node", "`request` lacks the option `max_body`", "bindings-node/ts/account.ts:")
        self.change(KOTLIN + "Handle.kt", r'made\.putSome\("max_body"', 'made.putSome("most"')
        self.says("kotlin", "`request` lacks the option `max_body`", KOTLIN + "Account.kt:")
        self.change(SWIFT + "Body.swift", r'"max_body": maxBody', '"most": maxBody')
        self.says("swift", "`request` lacks the option `max_body`", SWIFT + "Account.swift:")
        self.change(KOTLIN + "Codec.kt", r'put\("portal", portal', 'put("page", portal')
        self.says("kotlin", "`set_project` lacks the option `portal`")
        self.change(SWIFT + "Types.swift", r"(struct Project:.*?)case portal\n", r'\1case portal = "page"\n')
        self.says("swift", "`set_project` lacks the option `portal`")
        self.change(PYTHON + "types.py", r"    portal: PortalSettings\n", "    page: PortalSettings\n")
        self.says("python", "`set_project` lacks the option `portal`")
        self.change(NODE + "documents.ts", r"readonly portal\?: PortalSettings", "readonly page?: PortalSettings")
        self.says("node", "`set_project` lacks the option `portal`")

    def test_an_option_of_a_call_that_core_does_not_get(self) -> None:
        self.change(PYTHON + "_sync.py", r"(def request\(.*?)max_body=max_body", r"\1max_body=None")
        self.says("python", "`request` lacks the option `max_body`", PYTHON + "_sync.py:")
        self.change(KOTLIN + "Account.kt", r"(fun request\(.*?)timeout, maxBody\)", r"\1timeout, null)")
        self.says("kotlin", "`request` lacks the option `max_body`", KOTLIN + "Account.kt:")
        self.change(SWIFT + "Account.swift", r"(func request\(.*?)maxBody: maxBody\)", r"\1maxBody: nil)")
        self.says("swift", "`request` lacks the option `max_body`", SWIFT + "Account.swift:")
        # An operation has the option elsewhere; here it is taken for nothing.
        self.change(PYTHON + "_async.py", r"(def request_page\(.*?)\*\*options, \*\*more", r"\1**options")
        self.says("python", "`request_page` takes `more` and does nothing with it", PYTHON + "_async.py:")
        self.change(KOTLIN + "Account.kt", r'"force", json\(force\)', '"force", json(false)')
        self.says("kotlin", "`create_session` takes `force` and does nothing with it", KOTLIN + "Account.kt:")
        self.change(SWIFT + "Account.swift", r'"force": force', '"force": false')
        self.says("swift", "`create_session` takes `force` and does nothing with it", SWIFT + "Account.swift:")
        self.change(NODE + "methods.ts", r"'upsert_account', \{ id, update \}", "'upsert_account', { id }")
        self.says("node", "`upsert_account` takes `update` and does nothing with it", NODE + "methods.ts:")
        # What is put into a request without a helper.
        self.change(PYTHON + "_sync_operations.py", r'"device": device', '"device": False')
        self.says("python", "`start_connect` lacks the option `device`", PYTHON + "_sync_operations.py:")
        self.change(KOTLIN + "Operations.kt", r'(fun startConnect.*?)"device", device.let', r'\1"device", false.let')
        self.says("kotlin", "`start_connect` lacks the option `device`", KOTLIN + "Operations.kt:")
        self.change(SWIFT + "Operations.swift", r'(func startConnect.*?)"device": device', r'\1"device": false')
        self.says("swift", "`start_connect` lacks the option `device`", SWIFT + "Operations.swift:")
        self.change(NODE_ROOM + "api.ts", r", query: pairs\(query\)", "")
        self.says("node", "`request` lacks the option `query`", NODE_ROOM + "account.ts:")
        self.change(NODE + "methods.ts", r"'list_accounts', \{\}, options", "'list_accounts', {}, {}")
        self.says("node", "`list_accounts` lacks the option `limit`", NODE + "methods.ts:")

    def test_an_undocumented_option(self) -> None:
        for half in ("_async_operations.py", "_sync_operations.py"):
            self.change(PYTHON + half, r"            limit: How many; 1 to 500, default 50\.\n", "")
        self.says("python", "is not documented", "`limit` of `", PYTHON)
        self.change(NODE + "methods.ts", r"  /\*\* How many; 1 to 500, default 50\. \*/\n", "")
        self.says("node", "`limit` of `list_accounts` is not documented")
        self.change(KOTLIN + "Operations.kt", r"     \* @param device [^\n]*\n", "")
        self.says("kotlin", "`device` of `start_connect` is not documented")
        self.change(SWIFT + "Operations.swift", r"    ///   - device: [^\n]*\n", "")
        self.says("swift", "`device` of `start_connect` is not documented")
        self.change("core/src/backend/requests.rs", r"        /// How many; 1 to 500, default 50\.\n", "")
        self.says("rust", "`limit` of `list_accounts` is not documented")

    def test_a_verb_that_no_handle_has(self) -> None:
        self.change("core/src/handles/smalt.rs", r"backend\.portal_properties\(", "backend.properties(")
        self.says("rust", "no handle has `portal_properties`")

    def test_a_renamed_option_of_an_opening(self) -> None:
        self.change(NODE_ROOM + "smalt.ts", r"readonly proxy\?:", "readonly noProxy?:")
        self.says("node", "`remote` lacks the option `proxy`", "renamed to `no_proxy`", "bindings-node/ts/smalt.ts:")
        self.says("node", "`remote` has an option `no_proxy` that core does not know")
        self.change(NODE_ROOM + "smalt.ts", r"readonly runner\?:", "readonly workflowRunner?:")
        self.says("node", "`embedded` lacks the option `runner`")
        self.says("node", "`sandbox` lacks the option `runner`")
        self.change(KOTLIN + "Options.kt", r"public var plainHttp:", "public var allowHttp:")
        self.says("kotlin", "`remote` lacks the option `plain_http`", KOTLIN + "Options.kt:")
        self.says("kotlin", "`session` lacks the option `plain_http`")
        self.change("core/src/remote/builder.rs", r"pub fn plain_http\(", "pub fn allow_http(")
        self.says("rust", "`session` lacks the option `plain_http`", "core/src/remote/builder.rs:")

    def test_a_missing_option_of_an_opening(self) -> None:
        for half in ("_async.py", "_sync.py"):
            self.change(PYTHON + half, r"        deliver_webhooks: bool = False,\n", "")
        self.says("python", "`embedded` lacks the option `deliver_webhooks`", PYTHON + "_async.py:")
        self.change(SWIFT + "Options.swift", r"        timings: Timings\? = nil,\n", "")
        self.says("swift", "`embedded` lacks the option `timings`", SWIFT + "Options.swift:")
        self.change("docs/schema/bridge-1.json", r'"deliver_webhooks"', '"deliver_all"')
        self.says("node", "`embedded` lacks the option `deliver_all`")
        self.change("core/src/handles/smalt.rs", r"    /// How long things take\.\n", "")
        self.says("rust", "`timings` of `embedded` is not documented")

    def test_an_option_of_an_opening_in_one_half(self) -> None:
        self.change(PYTHON + "_sync.py", r"        deliver_webhooks: bool = False,\n", "")
        self.says("python", "`embedded` lacks the option `deliver_webhooks`", PYTHON + "_sync.py:")

    def test_an_option_that_an_opening_takes_and_core_does_not_get(self) -> None:
        """Each is taken as before, and goes no further."""
        lost = [
            ("python", "embedded", "deliver_webhooks", PYTHON + "_async.py", r'            "deliver_webhooks": deliver_webhooks,\n', ""),
            ("python", "remote", "retries", PYTHON + "_sync.py", r'            "retries": retries,\n', ""),
            ("python", "remote", "timeout", PYTHON + "_sync.py", r'"timeout": _seconds\(timeout\),(\s+"attempt)', r'"timeout": _seconds(None),\1'),
            ("python", "embedded", "runner", PYTHON + "_sync.py", r"connectors, named, keys, runner, clock", "connectors, named, keys, None, clock"),
            ("node", "remote", "timeout", NODE_ROOM + "smalt.ts", r"timeout: seconds\(timeout\), ", ""),
            ("node", "remote", "retries", NODE_ROOM + "smalt.ts", r"connectTimeout, \.\.\.values", "connectTimeout, retries, ...values"),
            ("node", "embedded", "runner", NODE_ROOM + "smalt.ts", r"presenter: own, keys, runner \}", "presenter: own, keys }"),
            ("node", "sandbox", "path", NODE_ROOM + "smalt.ts", r"\.\.\.given, \.\.\.options", "...given"),
            ("kotlin", "remote", "plain_http", KOTLIN + "Options.kt", r' +into\.put\("plain_http", json\(plainHttp\)\)\n', ""),
            ("kotlin", "remote", "proxy", KOTLIN + "Options.kt", r' +into\.put\("proxy"[^\n]*\n', ""),
            ("kotlin", "remote", "api_key", KOTLIN + "Smalt.kt", r"described\(server, apiKey\)", "described(server, null)"),
            ("kotlin", "session", "token", KOTLIN + "Account.kt", r"described\(server, token\)", "described(server, null)"),
            ("kotlin", "embedded", "sandbox", KOTLIN + "Options.kt", r'"sandbox", json\(sandbox\)', '"sandbox", json(false)'),
            ("kotlin", "embedded", "runner", KOTLIN + "Options.kt", r"Home\(named, presenter, keys, runner\)", "Home(named, presenter, keys)"),
            ("swift", "remote", "plain_http", SWIFT + "Options.swift", r' "plain_http": plainHTTP,', ""),
            ("swift", "remote", "api_key", SWIFT + "Smalt.swift", r'\["api_key": apiKey\]', "[:]"),
            ("swift", "embedded", "sandbox", SWIFT + "Options.swift", r' "sandbox": sandbox,', ""),
            ("swift", "embedded", "clock", SWIFT + "Smalt.swift", r'described\(options.clock\)', "described(nil)"),
            ("swift", "session", "presenter", SWIFT + "Session.swift", r"Home\(presenter: options\.presenter, ", "Home("),
        ]
        for *_, path, pattern, by in lost:
            self.change(path, pattern, by)
        for language, opening, option, path, *_ in lost:
            self.says(language, f"`{option}` of `{opening}` does not reach core", path if language in ("python", "node") else "")

    def test_a_presenter_of_the_box_only(self) -> None:
        self.change(NODE_ROOM + "smalt.ts", r"(interface RemoteOptions.*?readonly presenter\?:) BoxedPresenter \| Presenter", r"\1 BoxedPresenter")
        self.says("node", "`remote` does not take a presenter of the host's", "bindings-node/ts/smalt.ts:")
        self.change(PYTHON + "_sync.py", r"presenter: Presenter \| str", "presenter: str")
        self.says("python", "`embedded` does not take a presenter of the host's", PYTHON + "_sync.py:")
        for half in ("_async.py", "_sync.py"):
            self.change(PYTHON + half, r"(def remote\(.*?presenter: )Presenter \| ", r"\1")
        self.says("python", "`remote` does not take a presenter of the host's", PYTHON + "_async.py:")
        self.change(SWIFT + "Options.swift", r"public var presenter: \(any Presenter\)\?", "public var presenter: String?")
        self.says("swift", "`session` does not take a presenter of the host's")

    def test_a_changed_default_of_an_opening(self) -> None:
        self.change(NODE_ROOM + "smalt.ts", r"are used\. Default true", "are used. Default false")
        self.says("node", "the default of `proxy` of `remote`", "says False, core True")
        self.change(NODE_ROOM + "smalt.ts", r"in milliseconds\. Default 60,000", "in milliseconds. Default 30,000")
        self.says("node", "the default of `timeout` of `remote`", "says 30.0, core 60")
        self.change(PYTHON + "_sync.py", r"proxy: bool = True", "proxy: bool = False")
        self.says("python", "`remote` takes False for `proxy`", PYTHON + "_sync.py:")
        self.change(PYTHON + "_async.py", r"retries: int \| None = None", "retries: int | None = 5")
        self.says("python", "`remote` takes 5 for `retries` by default, core 2", PYTHON + "_async.py:")
        self.change(PYTHON + "_async.py", r'environment: Environment \| str = "test"', 'environment: Environment | str = "production"')
        self.says("python", "`embedded` takes 'production' for `environment`")
        self.change(KOTLIN + "Options.kt", r"environment: Environment = Environment\.TEST", "environment: Environment = Environment.PRODUCTION")
        self.says("kotlin", "`embedded` takes 'production' for `environment`")
        self.change(SWIFT + "Options.swift", r"proxy: Bool = true", "proxy: Bool = false")
        self.says("swift", "`session` takes False for `proxy`", SWIFT + "Options.swift:")
        self.change("core/src/remote/builder.rs", r"Default 16 MiB", "Default 8 MiB")
        self.says("rust", "the default of `max_answer` of `remote`")
        self.change(PYTHON + "_async.py", r"for the audit; default `organisation`\.", "for the audit.")
        self.says("python", "the default of `actor` of `embedded`", "does not say it", PYTHON + "_async.py:")

    def test_an_undocumented_method(self) -> None:
        for half in ("_async_operations.py", "_sync_operations.py"):
            self.change(PYTHON + half, r'"""Lists the enabled applications with their status for the linked account\..*?"""', "")
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
        self.change("docs/schema/openapi-1.json", r'("const": ?)"healthy"', r'\1"well"')
        self.says("openapi", "`ConnectionHealth` lacks `healthy`")

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
