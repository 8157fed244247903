"""What each language opens an engine, a handle on a server and a session with, held against the bridge's schema: what is missing, extra,
renamed, differently defaulted or undocumented is named with its place."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from surfaces import (
    UNKNOWN,
    Method,
    kotlin_default,
    kotlin_functions,
    line_of,
    plain,
    python_arguments,
    python_defaults,
    snake,
    swift_default,
    typescript_interfaces,
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
    ("rust", "actor"): ("", "`acting_as` of the handle"),
    ("python", "throwaway_key"): ("", "`sandbox` makes one"),
    ("kotlin", "throwaway_key"): ("", "`sandbox` makes one"),
    ("swift", "throwaway_key"): ("", "`sandbox` makes one"),
    ("python", "no_proxy"): ("proxy", "a switch says what is on"),
    ("node", "no_proxy"): ("proxy", "a switch says what is on"),
    ("kotlin", "no_proxy"): ("proxy", "a switch says what is on"),
    ("swift", "no_proxy"): ("proxy", "a switch says what is on"),
    ("kotlin", "url"): ("server", "a session's too, which has tokens beside it"),
    ("swift", "url"): ("server", "its type says that it is a URL"),
}
INVERTED = {"no_proxy"}
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
    ("python", "actor"): "docs/python.md",
}

# Where the host's own presenter is not taken.
BOXED_ONLY = {
    ("python", "remote"): "a handle on a server is made without a port, by which the host's code would be called",
}

Openings = dict[str, list[Method]]


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


def python(root: Path) -> Openings:
    made: Openings = {}
    for half in ("_async.py", "_sync.py"):
        path = f"bindings-python/python/smalt/{half}"
        for function in ast.walk(ast.parse((root / path).read_text())):
            if isinstance(function, ast.FunctionDef) and function.name in OPENINGS and function.args.args[0].arg == "cls":
                options = python_defaults(function)
                said = python_arguments(ast.get_docstring(function) or "")
                about = {option: said.get(option, "") for option in options}
                arguments = (*function.args.args, *function.args.kwonlyargs)
                types = {argument.arg: ast.unparse(argument.annotation) for argument in arguments if argument.annotation}
                made.setdefault(function.name, []).append(Method(f"{path}:{function.lineno}", options, about=about, types=types))
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
            made.setdefault(one[1], []).append(method)
    return made


def kotlin(root: Path) -> Openings:
    package = "bindings-swift/kotlin/smalt/src/main/kotlin/dev/smalt"
    path = f"{package}/Options.kt"
    text = (root / path).read_text()
    classes = {}
    for one in re.finditer(r"^public (?:abstract )?class (\w+)[^{]*\{\n(.*?)^\}", text, re.M | re.S):
        method = Method(f"{path}:{line_of(text, one.start())}")
        for member in re.finditer(r"((?:^    /\*\*[^\n]*\n)?)^    public va[lr] (\w+): ([^\n=]+) = ([^\n]+)$", one[2], re.M):
            last = member[4].split(".")[-1].lower() if re.fullmatch(r"\w+\.[A-Z]+", member[4]) else None
            method.options[snake(member[2])] = last or ([] if member[4] == "ArrayList()" else kotlin_default(member[4], {}))
            method.types[snake(member[2])] = member[3]
            method.about[snake(member[2])] = plain(member[1])
        classes[one[1]] = method
    made: Openings = {
        "embedded": [classes["EmbeddedOptions"]],
        "sandbox": [classes["EmbeddedOptions"]],
        "remote": [classes["ServerOptions"], classes["RemoteOptions"]],
        "session": [classes["ServerOptions"], classes["SessionOptions"]],
    }
    for file, names in (("Smalt.kt", {"embedded": ("embedded", "sandbox"), "remote": ("remote",)}), ("Account.kt", {"invoke": ("session",)})):
        text = (root / package / file).read_text()
        for line, head, _, comment in kotlin_functions(text):
            name = re.search(r"fun (\w+)\($", text[: text.find(head)]) if head.strip() else None
            for opening in names.get(name[1], ()) if name else ():
                said = {one[1]: plain(one[2]) for one in re.finditer(r"@param (\w+) (.*?)(?=\n[ *]*@|\*/)", comment, re.S)}
                method = Method(f"{package}/{file}:{line}")
                for argument in re.finditer(r"(\w+): [\w.<>?, ]+?(?: = ([^,\n]+))?(?=,\s|,?\s*\Z)", head):
                    if argument[1] != "configure":
                        method.options[snake(argument[1])] = kotlin_default(argument[2], {})
                        if said:
                            method.about[snake(argument[1])] = said.get(argument[1], "")
                made[opening].append(method)
    return made


def swift(root: Path) -> Openings:
    package = "bindings-swift/swift/Sources/Smalt"
    path = f"{package}/Options.swift"
    text = (root / path).read_text()
    records = {}
    for one in re.finditer(r"^public struct (\w+): Sendable \{\n(.*?)^\}", text, re.M | re.S):
        method = Method(f"{path}:{line_of(text, one.start())}")
        made_with = re.search(r"public init\((.*?)^    \) \{", one[2], re.M | re.S)
        for name, default in re.findall(r"(\w+): [^=\n]+ = ([^,\n]+)", made_with[1] if made_with else ""):
            method.options[_swift_name(name)] = default[1:] if re.fullmatch(r"\.\w+", default) else swift_default(default, {})
        for comment, name, written in re.findall(r"((?:^    ///[^\n]*\n)*)^    public var (\w+): (.*)$", one[2], re.M):
            method.about[_swift_name(name)] = plain(comment)
            method.types[_swift_name(name)] = written
        records[one[1]] = method
    made: Openings = {
        "embedded": [records["EmbeddedOptions"]],
        "sandbox": [records["EmbeddedOptions"]],
        "remote": [records["ServerOptions"]],
        "session": [records["ServerOptions"]],
    }
    for file, pattern, openings in (
        ("Smalt.swift", r"public static func embedded\(([^{]*)\) async", ("embedded", "sandbox")),
        ("Smalt.swift", r"public static func remote\(([^{]*)\) throws", ("remote",)),
        ("Session.swift", r"public init\(server: ([^{]*)\) throws", ("session",)),
    ):
        text = (root / package / file).read_text()
        for one in re.finditer(pattern, text):
            method = Method(f"{package}/{file}:{line_of(text, one.start())}")
            for name, default in re.findall(r"(\w+): [^,=]+(?: = ([^,)]+))?", f"server: {one[1]}" if "Session" in file else one[1]):
                if name != "options":
                    method.options[_swift_name(name)] = swift_default(default, {})
            for opening in openings:
                made[opening].append(method)
    return made


def _swift_name(name: str) -> str:
    return snake(re.sub(r"(URL|HTTP)$", lambda m: m[1].title(), name))


READERS = {"rust": rust, "python": python, "node": typescript, "kotlin": kotlin, "swift": swift}
