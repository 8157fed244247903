#!/usr/bin/env python3
"""Holds every language, the HTTP API and the docs against the operations table: what is missing, extra, renamed, differently defaulted or
undocumented is named with its place. `tests/parity/parity.py [ROOT]`; the exit status is 1 when anything differs."""

from __future__ import annotations

import difflib
import json
import re
import sys
from pathlib import Path

import futures
import openings
from surfaces import READERS, UNKNOWN, Method, Surface

# Options that concern the call, not the operation.
LOCAL = {"signal"}
# What a language takes in parts.
PARTS = {
    **{(name, part): "body" for name in ("request", "request_page") for part in ("json", "data", "content", "content_type")},
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
        self.about: dict[str, dict[str, str]] = {}
        for name, row in operations["operations"].items():
            request = operations["$defs"][row["request"]["$ref"].rsplit("/", 1)[1]]
            required = request.get("required", [])
            self.options[name] = {
                option: UNKNOWN if option in required else schema.get("default") if isinstance(schema, dict) else None
                for option, schema in request.get("properties", {}).items()
            }
            self.about[name] = {
                option: schema.get("description", "") for option, schema in request.get("properties", {}).items() if isinstance(schema, dict)
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


def stated(text: str) -> object:
    """The default that a sentence states: a number, in seconds where it is a time, or its words; None where it states none."""
    number = re.search(r"[Dd]efault:? (\d[\d,]*)(?: (s|h|hours|MiB|GiB))?\b", text)
    if number:
        value = int(number[1].replace(",", "")) * {"h": 3600, "hours": 3600, "MiB": 2**20, "GiB": 2**30}.get(number[2] or "", 1)
        return value / 1000 if not number[2] and "in milliseconds" in text.lower() else value
    words = re.search(r"(\w+)`? \(the default\)", text) or re.search(r"[Dd]efault:? ([^.;,:(]+)", text)
    word = words[1].strip().lower() if words else None
    return {"true": True, "false": False}.get(word or "", word)


def differs(core: str, default: object, said: str) -> str:
    """What a sentence says otherwise than core, if anything."""
    ours, theirs = stated(core), stated(said)
    if ours is None and isinstance(default, bool):
        return f"says {theirs!r}, core {default!r}" if theirs not in (None, default) else ""
    if ours is not None and theirs != ours:
        return f"says {theirs!r}, core {ours!r}" if theirs is not None else f"does not say it, which is {ours!r}"
    return ""


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
        for method in methods:
            said += [f"{language}: `{name}` takes `{argument}` and does nothing with it ({method.place})" for argument in method.unused]
        if surface.held is not None and name not in surface.held:
            said.append(f"{language}: no handle has `{name}` ({place})")
        if not surface.has_options:
            continue
        options = table.options[name]
        got = {PARTS.get((name, option), option) for method in methods for option in method.options} - LOCAL
        for option in sorted(set(options) - got):
            if (language, name, option) not in LEFT_OUT:
                said.append(f"{language}: `{name}` lacks the option `{option}` ({place}){like(option, got - set(options))}")
        for option in sorted(got - set(options)):
            said.append(f"{language}: `{name}` has an option `{option}` that core does not know ({place})")
        for option in sorted(set(options) & {option for method in methods for option in method.about}):
            said_of = [(method, method.about[option]) for method in methods if option in method.about]
            if not any(text for _, text in said_of):
                said.append(f"{language}: `{option}` of `{name}` is not documented ({said_of[0][0].place})")
            for method, text in said_of:
                otherwise = differs(table.about[name].get(option, ""), options[option], text) if text else ""
                if otherwise:
                    said.append(f"{language}: the default of `{option}` of `{name}`: {method.place} {otherwise}")
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


def opened(root: Path, only: str | None = None) -> list[str]:
    """What the openings of each language lack, and have beside core's."""
    bridge = json.loads((root / "docs/schema/bridge-1.json").read_text())
    said = []
    for language, read in openings.READERS:
        if only not in (None, language):
            continue
        has = read(root)
        for opening, entry in openings.OPENINGS.items():
            if (language, opening) in openings.LEFT_OUT:
                continue
            if opening not in has:
                said.append(f"{language}: the opening `{opening}` is missing")
                continue
            schema = bridge["$defs"][bridge[entry]["$ref"].rsplit("/", 1)[1]]["properties"]
            said += opening_differs(language, opening, has[opening], schema)
            said += lost(language, opening, has[opening], schema)
    return said


def opening_differs(language: str, opening: str, methods: list[Method], schema: dict[str, dict[str, object]]) -> list[str]:
    """What an opening does not take, takes beside it, or says otherwise."""
    said = []
    place = ", ".join(dict.fromkeys(method.place for method in methods))
    got = {option for method in methods for option in method.options}
    wanted = {**{seam: {} for seam in openings.SEAMS[openings.OPENINGS[opening]]}, **schema}
    names = {option: openings.name_of(language, option) for option in wanted}
    extra = {option for option in got - set(names.values()) if (language, option) not in openings.EXTRA}
    for option, name in names.items():
        if not name or (language, opening, option) in openings.LEFT_OUT:
            continue
        if name not in got:
            said.append(f"{language}: `{opening}` lacks the option `{name}` ({place}){like(name, extra)}")
        core = wanted[option].get("default", UNKNOWN)
        about = str(wanted[option].get("description", ""))
        for method in methods:
            text = method.about.get(name)
            if text == "":
                said.append(f"{language}: `{name}` of `{opening}` is not documented ({method.place})")
            elsewhere = name != option or (language, option) in openings.SAID_ELSEWHERE
            otherwise = differs(about, core, text) if text and not elsewhere else ""
            if otherwise:
                said.append(f"{language}: the default of `{name}` of `{opening}`: {method.place} {otherwise}")
            default = method.options.get(name, UNKNOWN)
            # What core fills in is what it says that it does.
            own = stated(about) if core in (None, UNKNOWN) else core
            if default not in (None, UNKNOWN, [], own) or (default in ([], False) and own is True):
                said.append(f"{language}: `{opening}` takes {default!r} for `{name}` by default, core {own!r} ({method.place})")
    presenters = [method.types["presenter"] for method in methods if "presenter" in method.types]
    if not all(re.search(r"\bPresenter\b", one) for one in presenters):
        said.append(f"{language}: `{opening}` does not take a presenter of the host's ({place})")
    for option in sorted(extra):
        said.append(f"{language}: `{opening}` has an option `{option}` that core does not know ({place})")
    return said


def lost(language: str, opening: str, methods: list[Method], schema: dict[str, dict[str, object]]) -> list[str]:
    """What an opening takes and does not give to core."""
    said = []
    common = {option for method in methods if method.written is None for option in method.options}
    for method in methods:
        if method.written is None:
            continue
        taken = common | set(method.options)
        handed = openings.reach(method.handed)
        # The host's own code, and what has a value.
        for option in (*openings.SEAMS[openings.OPENINGS[opening]], "presenter"):
            if option in taken - handed:
                said.append(f"{language}: `{option}` of `{opening}` does not reach core ({method.place})")
        for option in schema:
            name = openings.BOXED.get(language, option) if option == "presenter" else openings.name_of(language, option)
            value = method.written.get(option, "")
            if name in taken - openings.reach(value):
                said.append(f"{language}: `{name}` of `{opening}` does not reach core as `{option}` ({method.place})")
    return said


def check(root: Path, only: str | None = None) -> list[str]:
    """What is wrong, in one language or in all."""
    table = Table(root)
    said = opened(root, only)
    for language, read in READERS:
        if only in (None, language):
            said += compare(table, read(root))
    if only in (None, "kotlin"):
        said += futures.check(root)
    # Halves share some files.
    return list(dict.fromkeys(said))


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    said = check(root)
    for line in said:
        print(line, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
