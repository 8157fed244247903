"""What each language opens an engine, a handle on a server and a session with, held against the bridge's schema: what is missing, extra,
renamed, differently defaulted or undocumented is named with its place."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import Callable

from surfaces import (
    PYTHON_HALVES,
    UNKNOWN,
    Method,
    inside,
    kotlin_default,
    kotlin_functions,
    line_of,
    parts,
    plain,
    python_arguments,
    python_defaults,
    python_nodes,
    snake,
    swift_default,
    typescript_interfaces,
    typescript_record,
    with_arguments,
)

OPENINGS = {"embedded": "embedded", "sandbox": "embedded", "remote": "remote", "session": "session"}
"""By the schema's entry. A sandbox is an embedded engine."""
SEAMS = {"embedded": ("connectors", "keys", "runner", "clock"), "remote": (), "session": ()}
"""What hosts give beside values: code of theirs, which no schema describes."""

# What is called otherwise on purpose, by language and option; `""`: it is no option there.
RENAMED = {
    ("rust", "path"): ("", "the argument of `Smalt::embedded`; `Smalt::in_memory` has none"),
    ("rust", "url"): ("", "the argument of `remote`"),
    ("rust", "key"): ("keys", "a key ring is made of a key, a file or a provider"),
    ("rust", "key_file"): ("keys", "as `key`"),
    ("rust", "throwaway_key"): ("keys", "as `key`"),
    ("rust", "sandbox"): ("project_value", "the project's own switch"),
    ("rust", "manifests"): ("manifest", "a builder takes them one by one"),
    ("rust", "connectors"): ("connector", "a builder takes them one by one"),
    ("rust", "runner"): ("workflow_runner", "a builder's methods are named as the traits that they take"),
    ("rust", "proxy"): ("no_proxy", "a builder's method says what it changes"),
    ("rust", "actor"): ("", "`acting_as` of the handle"),
    ("python", "throwaway_key"): ("", "`sandbox` makes one"),
    ("kotlin", "throwaway_key"): ("", "`sandbox` makes one"),
    ("swift", "throwaway_key"): ("", "`sandbox` makes one"),
    ("kotlin", "url"): ("server", "a session's too, which has tokens beside it"),
    ("swift", "url"): ("server", "its type says that it is a URL"),
}
# What a language has beside core's options.
EXTRA = {
    ("rust", "project_value"): "a path and a value are two types",
    ("rust", "transport"): "a seam of Rust's, for tests",
    ("rust", "store_options"): "a seam of Rust's",
    ("rust", "port_secret"): "a command's own port, which no package opens",
    ("rust", "compatible_routes"): "the hosted service's API",
    ("rust", "poll"): "the hosted service's API",
    ("rust", "provider"): "tokens that are asked for, `tokens` elsewhere",
    ("kotlin", "project_file"): "a path and a value are two types",
    ("swift", "project_file"): "a path and a value are two types",
    ("kotlin", "browser"): "a presenter of the box is no type of the host's",
    ("swift", "browser"): "a presenter of the box is no type of the host's",
    ("kotlin", "tokens"): "code of the host's",
    ("swift", "tokens"): "code of the host's",
    ("node", "signal"): "concerns the call",
}
# What a language leaves out on purpose: an opening, or an option of one.
LEFT_OUT = {
    ("rust", "sandbox"): "takes nothing: what else is wanted is said to `in_memory`",
    ("python", "session"): "for backends, which hold an API key and make sessions of accounts",
    ("node", "session"): "for backends, which hold an API key and make sessions of accounts",
    ("swift", "remote", "actor"): "`acting(as:)` of the handle: one record is for sessions too, which are nobody else",
    **{
        ("python", "sandbox", option): "a sandbox takes what tests change; `embedded` takes all"
        for option in ("path", "environment", "key", "key_file", "keys", "organisation", "presenter", "actor", "sandbox", "deliver_webhooks")
    },
}
# What says its default elsewhere.
SAID_ELSEWHERE = {
    ("rust", "retries"): "`Retries` has its own documentation",
}
# What names a presenter of the box, where it is no value of `presenter` itself.
BOXED = {"kotlin": "browser", "swift": "browser"}

Openings = dict[str, list[Method]]


def name_of(language: str, option: str) -> str:
    """What a language calls an option of core's; empty where it is none there."""
    return RENAMED.get((language, option), (option,))[0]


def named(name: str) -> str:
    """As core spells it."""
    return snake(re.sub(r"(URL|HTTP)$", lambda m: m[1].title(), name))


def spelled(text: str, body: str) -> str:
    """An expression, and what the names in it stand for in the body."""
    seen: set[str] = set()
    while names := {name for name in re.findall(r"\b[a-z]\w*", text)} - seen:
        seen |= names
        for name in names:
            for found in re.finditer(rf"^ *(?:(?:val|let|const|var) )?{name}(?:: [^=\n]+)? = ([^\n]+)", body, re.M):
                text += " " + found[1]
    return text


def unlabelled(text: str) -> str:
    """Without the names that arguments are given by."""
    return re.sub(r"\b\w+(?: =|:) ", "", text)


def reach(text: str) -> set[str]:
    """The options that an expression is made of."""
    return {named(word) for word in re.findall(r"\w+", text)}


def rust(root: Path) -> Openings:
    made: Openings = {}
    for path, start, end, names in (
        ("core/src/handles/smalt.rs", "impl SmaltBuilder", "\n}\n", ("embedded",)),
        ("core/src/remote/builder.rs", "macro_rules! settings", "\n}\n", ("remote", "session")),
        ("core/src/remote/builder.rs", "impl RemoteSmalt", "\n}\n", ("remote",)),
        ("core/src/remote/builder.rs", "impl RemoteSession", "\n}\n", ("session",)),
    ):
        text = (root / path).read_text()
        at = text.find(start)
        part = text[at : text.find(end, at)]
        method = Method(f"{path}:{line_of(text, at)}")
        for one in re.finditer(r"((?:^ *///.*\n)*)(?:^ *#\[.*\n)*^ *pub fn (\w+)\(mut self([^)]*)\)", part, re.M):
            method.options[one[2]] = UNKNOWN
            method.types[one[2]] = one[3]
            method.about[one[2]] = plain(one[1])
        for name in names:
            made.setdefault(name, []).append(method)
    return made


def python(root: Path, half: str) -> Openings:
    made: Openings = {}
    path = f"bindings-python/python/smalt/{half}.py"
    for function in python_nodes((root / path).read_text()):
        if isinstance(function, ast.FunctionDef) and function.name in OPENINGS and function.args.args[0].arg == "cls":
            said = python_arguments(ast.get_docstring(function) or "")
            method = Method(f"{path}:{function.lineno}", python_defaults(function))
            method.about = {option: said.get(option, "") for option in method.options}
            arguments = (*function.args.args, *function.args.kwonlyargs)
            method.types = {argument.arg: ast.unparse(argument.annotation) for argument in arguments if argument.annotation}
            # Each statement in one line.
            body = "\n".join(ast.unparse(statement) for statement in function.body[1:])
            calls = [parts(inside(body, one.end())) for one in re.finditer(r"\b(?:\w*Opening|open_remote)\(", body)]
            handed = " ".join(part for call in calls for part in call if part != "without_none(options)")
            method.handed = re.sub(r"'\w+': ", "", spelled(handed, body))
            record = re.search(r"^options = \{", body, re.M)
            is_given = record and calls and all("without_none(options)" in call for call in calls)
            entries = [part.partition(": ") for part in parts(inside(body, record.end()))] if record and is_given else []
            method.written = {key.strip("'"): value for key, _, value in entries}
            made[function.name] = [method]
    return made


def typescript(root: Path) -> Openings:
    texts = {str(path.relative_to(root)): path.read_text() for path in sorted((root / "bindings-node/ts").rglob("*.ts"))}
    # Core's own record has the name of another one.
    interfaces = typescript_interfaces({name: text for name, text in texts.items() if "generated" in name})
    interfaces.update(typescript_interfaces(texts, interfaces))
    path = "bindings-node/ts/smalt.ts"
    made: Openings = {}
    for one in re.finditer(r"^  static (?:async )?(\w+)\(options: (\w+)[^\n]*\n(.*?)^  \}", texts[path], re.M | re.S):
        if one[1] in OPENINGS:
            about = {snake(name): text for name, text in interfaces[one[2]].items()}
            method = Method(f"{path}:{line_of(texts[path], one.start())}", dict.fromkeys(about, UNKNOWN), about=about)
            record = re.search(rf"^export interface {one[2]}\b(.*?)^\}}", texts[path], re.M | re.S)
            for name, written in re.findall(r"^  readonly (\w+)\??: (.*)$", record[1] if record else "", re.M):
                method.types[snake(name)] = written
            taken = re.search(r"const \{([^}]*)\} = asOptions", one[3])
            for name, default in re.findall(r"(\w+) = ([^,}]+)", taken[1] if taken else ""):
                if snake(name) in method.options:
                    known = {"true": True, "false": False, "[]": []}
                    method.options[snake(name)] = known.get(default.strip(), default.strip())
            spread = {"options": list(interfaces[one[2]])}
            method.written = {}
            for opened in re.finditer(r"\b(?:room|Smalt)\.(embedded|remote)\(", one[3]):
                for argument in parts(inside(one[3], opened.end())):
                    entries = typescript_record(argument, one[3], spread)
                    method.written.update({snake(key): value for key, value in entries.items()})
                    # `embedded` hands over what `sandbox` gives to it.
                    given = " ".join(entries.values()) if one[1] == "sandbox" else "" if entries else unlabelled(spelled(argument, one[3]))
                    method.handed += f" {given}"
            made.setdefault(one[1], []).append(method)
    return made


def kotlin(root: Path) -> Openings:
    package = "bindings-swift/kotlin/smalt/src/main/kotlin/dev/smalt"
    path = f"{package}/Options.kt"
    text = (root / path).read_text()
    classes, members = {}, {}
    for one in re.finditer(r"^public (?:abstract )?class (\w+)[^{]*\{\n(.*?)^\}", text, re.M | re.S):
        method = Method(f"{path}:{line_of(text, one.start())}")
        for member in re.finditer(r"((?:^    /\*\*[^\n]*\n)?)^    public va[lr] (\w+): ([^\n=]+) = ([^\n]+)$", one[2], re.M):
            last = member[4].split(".")[-1].lower() if re.fullmatch(r"\w+\.[A-Z]+", member[4]) else None
            method.options[snake(member[2])] = last or ([] if member[4] == "ArrayList()" else kotlin_default(member[4], {}))
            method.types[snake(member[2])] = member[3]
            method.about[snake(member[2])] = plain(member[1])
        classes[one[1]] = method
        members[one[1]] = {function.name: function for function in kotlin_functions(one[2])}
    made: Openings = {
        "embedded": [classes["EmbeddedOptions"]],
        "sandbox": [classes["EmbeddedOptions"]],
        "remote": [classes["ServerOptions"], classes["RemoteOptions"]],
        "session": [classes["ServerOptions"], classes["SessionOptions"]],
    }
    names = {"embedded": "EmbeddedOptions", "remote": "RemoteOptions", "invoke": "SessionOptions"}
    for file in ("Smalt.kt", "Account.kt"):
        functions = kotlin_functions((root / package / file).read_text())
        for function in functions:
            if function.name not in names:
                continue
            options = names[function.name]
            said = {one[1]: plain(one[2]) for one in re.finditer(r"@param (\w+) (.*?)(?=\n[ *]*@|\*/)", function.comment, re.S)}
            method = Method(f"{package}/{file}:{function.line}")
            for argument in re.finditer(r"(\w+): [\w.<>?, ]+?(?: = ([^,\n]+))?(?=,\s|,?\s*\Z)", function.head):
                if argument[1] != "configure":
                    method.options[snake(argument[1])] = kotlin_default(argument[2], {})
                    if said:
                        method.about[snake(argument[1])] = said.get(argument[1], "")
            # What the options make of themselves, with what this function gives them.
            entries = ""
            called = re.search(r"\boptions\.described\(", function.body)
            if called and f"{options}().apply(configure)" in function.body:
                own, shared = members[options]["described"], members["ServerOptions"]["shared"]
                entries = own.body
                if more := re.search(r"\bshared\(", entries):
                    entries += with_arguments(shared.body, shared.head, inside(entries, more.end()))
                entries = with_arguments(entries, own.head, inside(function.body, called.end()))
            method.written = _written(entries, r'\bput(?:Some)?\("(\w+)", ')
            method.handed = _handed(function.body, members[options]["home"].body if "options.home()" in function.body else "")
            opening = "session" if function.name == "invoke" else function.name
            made[opening].append(method)
            if opening == "embedded":
                # Which `sandbox` calls.
                passed = any("embedded {" in one.body and "configure()" in one.body for one in functions if one.name == "sandbox")
                made["sandbox"].append(method if passed else replace(method, written={}, handed=""))
    return made


def _written(entries: str, pattern: str) -> dict[str, str]:
    """The keys that are written in a text, with what their values are made of."""
    return {one[1]: spelled(parts(inside(entries, one.end()))[0], entries) for one in re.finditer(pattern, entries)}


def _handed(body: str, home: str) -> str:
    """What of the host's is given to a home: by the opening, or by its options; not what is given where there is no home."""
    homes = [spelled(unlabelled(inside(home, one.end())), home) for one in re.finditer(r"\bHome\(", home)]
    return " ".join([re.sub(r" \?[?:] [^\n]*", "", unlabelled(body)), *homes])


def swift(root: Path) -> Openings:
    package = "bindings-swift/swift/Sources/Smalt"
    path = f"{package}/Options.swift"
    text = (root / path).read_text()
    records, described = {}, {}
    for one in re.finditer(r"^public struct (\w+): Sendable \{\n(.*?)^\}", text, re.M | re.S):
        method = Method(f"{path}:{line_of(text, one.start())}")
        made_with = re.search(r"public init\((.*?)^    \) \{(.*?)^    \}", one[2], re.M | re.S)
        kept = " ".join(re.findall(r" = \(([^)]*)\)", made_with[2])) if made_with else ""
        for name, default in re.findall(r"(\w+): [^=\n]+ = ([^,\n]+)", made_with[1] if made_with else ""):
            if re.search(rf"\b{name}\b", kept):
                method.options[named(name)] = default[1:] if re.fullmatch(r"\.\w+", default) else swift_default(default, {})
        for comment, name, written in re.findall(r"((?:^    ///[^\n]*\n)*)^    public var (\w+): (.*)$", one[2], re.M):
            method.about[named(name)] = plain(comment)
            method.types[named(name)] = written
        records[one[1]] = method
        described[one[1]] = (_swift_function(one[2], "func described"), _swift_function(one[2], "func home")[1])
    made: Openings = {
        "embedded": [records["EmbeddedOptions"]],
        "sandbox": [records["EmbeddedOptions"]],
        "remote": [records["ServerOptions"]],
        "session": [records["ServerOptions"]],
    }
    for file, pattern, opening, options in (
        ("Smalt.swift", "public static func embedded", "embedded", "EmbeddedOptions"),
        ("Smalt.swift", "public static func remote", "remote", "ServerOptions"),
        ("Session.swift", r"public init(?=\(server: )", "session", "ServerOptions"),
    ):
        text = (root / package / file).read_text()
        for one in re.finditer(pattern, text):
            method = Method(f"{package}/{file}:{line_of(text, one.start())}")
            head, body = _swift_function(text[one.start() :], pattern)
            for name, default in re.findall(r"(\w+): [^,=]+(?: = ([^,)]+))?", head):
                if name != "options":
                    method.options[named(name)] = swift_default(default, {})
            if call := re.search(r"\bself\.init\(", body):
                other_head, other = _swift_function(text, "private init")
                body += with_arguments(other, other_head, inside(body, call.end()))
            (own_head, own), home = described[options]
            called = re.search(r"\boptions\.described\(", body)
            entries = with_arguments(own, own_head, inside(body, called.end())) if called else ""
            method.written = _written(entries, r'"(\w+)": ')
            method.handed = _handed(body, home if "options.home()" in body else "")
            made[opening].append(method)
            if opening == "embedded":
                # Which `sandbox` calls.
                passed = "embedded(options: options)" in _swift_function(text, "func sandbox")[1]
                made["sandbox"].append(method if passed else replace(method, written={}, handed=""))
    return made


def _swift_function(text: str, pattern: str) -> tuple[str, str]:
    """The parameters and the body of the first function whose head is such."""
    found = re.search(rf"{pattern}\(", text)
    if found is None:
        return "", ""
    head = inside(text, found.end())
    return head, inside(text, text.find("{", found.end() + len(head)) + 1)


READERS: list[tuple[str, Callable[[Path], Openings]]] = [
    ("rust", rust),
    *(("python", functools.partial(python, half=half)) for half in PYTHON_HALVES),
    ("node", typescript),
    ("kotlin", kotlin),
    ("swift", swift),
]
