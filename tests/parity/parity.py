#!/usr/bin/env python3
"""Holds every language, the HTTP API and the docs against the operations table: what is missing, extra, renamed, differently defaulted or
undocumented is named with its place. `tests/parity/parity.py [ROOT]`; the exit status is 1 when anything differs."""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path

from surfaces import READERS, UNKNOWN, Surface

# Options that concern the call, not the operation.
LOCAL = {"signal"}
# Methods that take their request as one value or put it together by hand; that they are there is checked, their options are not.
WHOLE = {
    "set_project": "the project is one document",
    "request": "the call is made of parts that read well in each language",
    "request_page": "as `request`",
}
# What a language leaves out on purpose.
LEFT_OUT = {
    ("node", "delete_config", "or_empty"): "says how a config is read, which a deletion does not",
    ("node", "delete_config", "without_options"): "says how a config is read, which a deletion does not",
}


class Table:
    """What core says."""

    def __init__(self, root: Path):
        operations = json.loads((root / "docs/schema/operations-1.json").read_text())
        bridge = json.loads((root / "docs/schema/bridge-1.json").read_text())
        self.options: dict[str, dict[str, object]] = {}
        for name, row in operations["operations"].items():
            request = operations["$defs"][row["request"]["$ref"].rsplit("/", 1)[1]]
            required = request.get("required", [])
            self.options[name] = {
                option: UNKNOWN if option in required else schema.get("default") if isinstance(schema, dict) else None
                for option, schema in request.get("properties", {}).items()
            }
        self.codes = [row["code"] for row in bridge["errors"]]
        self.words = {
            name: [one["const"] for one in schema["oneOf"]]
            for name, schema in operations["$defs"].items()
            if all("const" in one for one in schema.get("oneOf", [{}]))
        }
        text = (root / "core/src/operations.rs").read_text()
        function = text[text.find("fn embedded_only") :].split("_ =>")[0]
        camel = {"".join(part.title() for part in name.split("_")): name for name in self.options}
        self.embedded_only = {name for variant, name in camel.items() if f"Operation::{variant} =>" in function}


def like(name: str, names: object) -> str:
    close = difflib.get_close_matches(name, list(names), 1)  # type: ignore[call-overload]
    return f"; renamed to `{close[0]}`?" if close else ""


def compare(table: Table, surface: Surface) -> list[str]:
    said = []
    language = surface.language
    where = surface.files[0] if surface.files else language
    wanted = {name for name in table.options if not (language == "openapi" and name in table.embedded_only)}
    extra = sorted(set(surface.operations) - set(table.options))
    for name in sorted(wanted - set(surface.operations)):
        said.append(f"{language}: the operation `{name}` is missing ({where}){like(name, extra)}")
    for name in extra:
        said.append(f"{language}: `{name}` is no operation ({surface.operations[name][0].place})")
    for name in sorted(wanted & set(surface.operations)):
        methods = surface.operations[name]
        place = ", ".join(method.place for method in methods)
        if not any(method.is_documented for method in methods):
            said.append(f"{language}: `{name}` is not documented ({place})")
        if not surface.has_options or name in WHOLE:
            continue
        options = table.options[name]
        got = {option for method in methods for option in method.options} - LOCAL
        for option in sorted(set(options) - got):
            if (language, name, option) not in LEFT_OUT:
                said.append(f"{language}: `{name}` lacks the option `{option}` ({place}){like(option, got - set(options))}")
        for option in sorted(got - set(options)):
            said.append(f"{language}: `{name}` has an option `{option}` that core does not know ({place})")
        for method in methods:
            for option, default in method.options.items():
                core = options.get(option, UNKNOWN)
                # Nothing stands for an empty list, map or record.
                is_empty = core in (None, {}, []) or isinstance(core, dict)
                if default is not UNKNOWN and core is not UNKNOWN and default != core and not (default is None and is_empty):
                    said.append(f"{language}: `{name}` takes {default!r} for `{option}` by default, core {core!r} ({method.place})")
    if surface.codes_file:
        for code in sorted(set(table.codes) - set(surface.codes)):
            said.append(
                f"{language}: the error code `{code}` is missing ({surface.codes_file}){like(code, set(surface.codes) - set(table.codes))}"
            )
        for code in sorted(set(surface.codes) - set(table.codes)):
            said.append(f"{language}: `{code}` is no error code of core's ({surface.codes[code]})")
    if surface.words is not None:
        for name, values in table.words.items():
            has, place = surface.words.get(name, ([], where))
            if not has:
                said.append(f"{language}: the words of `{name}` are missing ({place})")
            for value in sorted(set(values) ^ set(has)) if has else []:
                verb = "lacks" if value in values else "has, and core does not,"
                said.append(f"{language}: `{name}` {verb} `{value}` ({place})")
    return said


def check(root: Path) -> list[str]:
    table = Table(root)
    said = []
    for read in READERS:
        said += compare(table, read(root))
    return said


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    said = check(root)
    for line in said:
        print(line, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
