"""What each language, the HTTP API and the docs offer, as found in their files: operations with their options, error codes, and words
of enums. A reader knows how its language writes these things, and nothing of what they should be."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

UNKNOWN = object()
"""A default that this language does not state: core fills it in."""


@dataclass
class Method:
    place: str
    """File and line."""
    options: dict[str, object] = field(default_factory=dict)
    """By their names in the operations table; with the default, where the language states one."""
    is_documented: bool = True


@dataclass
class Surface:
    language: str
    operations: dict[str, list[Method]] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    """With their places."""
    words: dict[str, tuple[list[str], str]] | None = None
    """By the enum's name in core's schema; None where a language has no enums of its own."""
    has_options: bool = True
    codes_file: str = ""
    files: list[str] = field(default_factory=list)

    def add(self, operation: str, method: Method) -> None:
        self.operations.setdefault(operation, []).append(method)

    def read(self, root: Path, package: str, pattern: str) -> dict[str, str]:
        """The package's files that match, by path from the root."""
        texts = {str(path.relative_to(root)): path.read_text() for path in sorted((root / package).rglob(pattern))}
        self.files += texts
        return texts


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: "_" + m[1].lower(), name)


def line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


# ---- Rust: the doorway and the table of errors. Options are the request types themselves, from which the schema is made.


def rust(root: Path) -> Surface:
    surface = Surface("rust", has_options=False)
    path = "core/src/backend/mod.rs"
    text = (root / path).read_text()
    for found in re.finditer(r"((?:^        ///.*\n)*)^        (\w+): \w+\(\w+\) -> [^;]+;", text, re.M):
        surface.add(found[2], Method(f"{path}:{line_of(text, found.start(2))}", is_documented=bool(found[1])))
    surface.codes_file = "core/src/error/codes.rs"
    text = (root / surface.codes_file).read_text()
    for found in re.finditer(r'^    \w+ = "(\w+)", \w+, \w+, \d+, "', text, re.M):
        surface.codes[found[1]] = f"{surface.codes_file}:{line_of(text, found.start())}"
    return surface


# ---- Python


def python(root: Path) -> Surface:
    surface = Surface("python")
    package = "bindings-python/python/smalt"
    for name in ("_async.py", "_async_operations.py", "_sync.py", "_sync_operations.py"):
        path = f"{package}/{name}"
        surface.files.append(path)
        for function in ast.walk(ast.parse((root / path).read_text())):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for operation in _operations_of(function):
                    surface.add(operation, _python_method(path, function))
    surface.codes_file = f"{package}/errors.py"
    text = (root / surface.codes_file).read_text()
    for found in re.finditer(r"^    - `(\w+)`: ", text, re.M):
        surface.codes[found[1]] = f"{surface.codes_file}:{line_of(text, found.start())}"
    surface.words = {}
    path = f"{package}/types.py"
    for node in ast.parse((root / path).read_text()).body:
        if isinstance(node, ast.ClassDef) and any(isinstance(base, ast.Name) and base.id == "Word" for base in node.bases):
            values = [
                item.value.value
                for item in node.body
                if isinstance(item, (ast.Assign, ast.AnnAssign))
                and isinstance(item.value, ast.Constant)
                and isinstance(item.value.value, str)
            ]
            surface.words[node.name] = (values, f"{path}:{node.lineno}")
    return surface


def _operations_of(function: ast.AST) -> list[str]:
    """The operations that a function asks for itself, not a function inside it."""
    names = []
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("_operation", "operation"):
            named = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            names.extend(named)
    return names


def _python_method(path: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Method:
    arguments = function.args
    defaults: dict[str, object] = {}
    for argument, default in zip(reversed(arguments.args), reversed(arguments.defaults)):
        defaults[argument.arg] = default.value if isinstance(default, ast.Constant) else UNKNOWN
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
        if default is not None:
            defaults[argument.arg] = default.value if isinstance(default, ast.Constant) else UNKNOWN
    # What goes into the request, and from which argument.
    options: dict[str, object] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    names = [leaf.id for leaf in ast.walk(value) if isinstance(leaf, ast.Name)]
                    options[key.value] = next((defaults[name] for name in names if name in defaults), UNKNOWN)
    return Method(f"{path}:{function.lineno}", options, bool(ast.get_docstring(function)))


# ---- TypeScript


def typescript(root: Path) -> Surface:
    surface = Surface("node")
    package = "bindings-node/ts"
    interfaces: dict[str, list[str]] = {}
    texts = surface.read(root, package, "*.ts")
    for text in texts.values():
        for found in re.finditer(r"^export interface (\w+)[^{]*\{\n(.*?)^\}", text, re.M | re.S):
            interfaces[found[1]] = re.findall(r"^  readonly (\w+)\??:", found[2], re.M)
    asked = re.compile(r"\b(?:call|perform)(?:<[^>]*>)?\(\s*this(?:\.\w+)*,\s*'(\w+)',\s*(\{[^}]*\}|\w+)")
    for name, text in texts.items():
        for found in asked.finditer(text):
            heads = list(
                re.finditer(
                    r"^  (?:async |override |protected )*\*?(\w+)(?:<[^>]*>)?\((.*?)\)(?:: [^\n]*)? \{$", text[: found.start()], re.M | re.S
                )
            )
            head = heads[-1] if heads else None
            options = {snake(key.split(":")[0].strip()): UNKNOWN for key in found[2].strip("{} ").split(",") if key.strip()}
            before = ""
            if head:
                for type_name in re.findall(r"\b(\w+Options)\b", head[2]):
                    options.update({snake(option): UNKNOWN for option in interfaces.get(type_name, [])})
                before = text[: head.start()].rstrip()
            surface.add(found[1], Method(f"{name}:{line_of(text, found.start())}", options, before.endswith("*/")))
    surface.codes_file = f"{package}/generated/errors.ts"
    text = texts.get(surface.codes_file, "")
    union = text[text.find("export type ErrorCode") :].split("\n\n")[0]
    for found in re.finditer(r"^  \| '(\w+)'", union, re.M):
        surface.codes[found[1]] = f"{surface.codes_file}:{line_of(text, text.find(found[0]))}"
    surface.words = {}
    path = f"{package}/generated/types.ts"
    for found in re.finditer(r"^export type (\w+) =\n(.*?)(?:\n\n|\Z)", texts.get(path, ""), re.M | re.S):
        values = re.findall(r"^  \| '([^']*)'$", found[2], re.M)
        if values:
            surface.words[found[1]] = (values, f"{path}:{line_of(texts[path], found.start())}")
    return surface


# ---- Kotlin

# Calls that core makes of several operations.
MADE_OF_SEVERAL = {"connect", "resume"}


def kotlin(root: Path) -> Surface:
    surface = Surface("kotlin")
    package = "bindings-swift/kotlin/smalt/src/main/kotlin/dev/smalt"
    texts = surface.read(root, package, "*.kt")
    surface.words = {}
    members: dict[str, object] = {}
    path = f"{package}/Types.kt"
    for found in re.finditer(r"^public enum class (\w+)\((.*?)^    ;$", texts.get(path, ""), re.M | re.S):
        of = dict(re.findall(r'^    (\w+)\("([^"]+)"\),$', found[2], re.M))
        surface.words[found[1]] = (list(of.values()), f"{path}:{line_of(texts[path], found.start())}")
        members.update({f"{found[1]}.{member}": text for member, text in of.items()})
    for name, text in texts.items():
        for line, head, body, is_documented in _kotlin_functions(text):
            asked = re.findall(r'\bhandle\.(?:operation|ready)\(\s*"(\w+)"', body)
            defaults = {
                argument[1]: _kotlin_default(argument[2], members)
                for argument in re.finditer(r"(\w+): [\w.<>?, ]+?(?: = ([^,\n]+))?(?=,\s|,?\s*\Z)", head)
            }
            options: dict[str, object] = {}
            for option, value in _kotlin_options(body):
                options[option] = next((defaults[word] for word in re.findall(r"\w+", value) if word in defaults), UNKNOWN)
            for operation in set(asked) - MADE_OF_SEVERAL:
                surface.add(operation, Method(f"{name}:{line}", options, is_documented))
    surface.codes_file = f"{package}/SmaltException.kt"
    text = texts.get(surface.codes_file, "")
    for found in re.finditer(r'^ +"(\w+)" to "\w+",$', text, re.M):
        surface.codes[found[1]] = f"{surface.codes_file}:{line_of(text, found.start())}"
    return surface


def _kotlin_functions(text: str) -> list[tuple[int, str, str, bool]]:
    """Line, arguments, body, and whether it is documented, of each function."""
    heads = list(re.finditer(r"^ *(?:(?:public|internal|private|override|suspend|operator) )*fun (?:<\w+> )?\w+\(", text, re.M))
    made = []
    for head, after in zip(heads, [*heads[1:], None]):
        depth, end = 1, head.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        body = text[end : after.start() if after else len(text)]
        # Annotations stand between the comment and the function.
        before = re.sub(r"(?:^ *@\w+(?:\([^)]*\))?\n)+\Z", "", text[: head.start()], flags=re.M)
        made.append((line_of(text, head.start()), text[head.end() : end - 1], body, before.rstrip().endswith("*/")))
    return made


def _kotlin_options(body: str) -> list[tuple[str, str]]:
    """What is put into the request itself, with the rest of its line; not what is put into a record in it."""
    made: list[tuple[str, str]] = []
    objects: list[bool] = []
    for part in re.finditer(r'\bput(?:Some)?\("(\w+)",(?= *([^\n]*))|(\bobj )?\{|\}', body):
        if part[1]:
            if objects.count(True) == 1:
                made.append((part[1], part[2]))
        elif part[0] == "}":
            objects[-1:] = []
        else:
            objects.append(bool(part[3]))
    return made


def _kotlin_default(text: str | None, members: dict[str, object]) -> object:
    text = (text or "").strip()
    known: dict[str, object] = {"null": None, "true": True, "false": False, "emptyMap()": {}, "emptyList()": [], **members}
    number = re.fullmatch(r"(-?\d+(?:\.\d+)?)(?:\.seconds)?", text)
    return float(number[1]) if number else known.get(text, UNKNOWN)


# ---- Swift


def swift(root: Path) -> Surface:
    surface = Surface("swift")
    package = "bindings-swift/swift/Sources/Smalt"
    texts = surface.read(root, package, "*.swift")
    surface.words = {}
    members: dict[str, object] = {}
    path = f"{package}/Types.swift"
    for found in re.finditer(r"^public enum (\w+): String.*?\{\n(.*?)\n    public init", texts.get(path, ""), re.M | re.S):
        of = {case: text or case for case, text in re.findall(r'^    case `?(\w+)`?(?: = "([^"]*)")?$', found[2], re.M) if case != "unknown"}
        name = SWIFT_NAMES.get(found[1], found[1])
        surface.words[name] = (list(of.values()), f"{path}:{line_of(texts[path], found.start())}")
        members.update({f".{case}": text for case, text in of.items()})
    head = re.compile(r"^( *)(?:public )?func (\w+)(?:<[^>]*>)?\((.*?)\) async throws(?: -> [^{\n]+)? \{", re.M | re.S)
    for name, text in texts.items():
        heads = list(head.finditer(text))
        for one, after in zip(heads, [*heads[1:], None]):
            body = text[one.end() : after.start() if after else len(text)]
            asked = re.findall(r'\bhandle\.(?:ask|tell|ready|answer)\(\s*"(\w+)"', body)
            defaults = {
                argument[1]: _swift_default(argument[2], members)
                for argument in re.finditer(r"(\w+): [^=,\n]+?(?: = ([^,\n]+))?(?=,\s|\s*\Z)", one[3])
            }
            # The parts of a record are arguments themselves.
            body = re.sub(r'"(\w+)": \[[^\]]*\] as Fields', r'"\1": its', body)
            options: dict[str, object] = {
                entry[1]: defaults.get(entry[2], UNKNOWN) for entry in re.finditer(r'"(\w+)": (?:orNull\()?`?(\w+)', body)
            }
            above = [line.strip() for line in text[: one.start()].rstrip().split("\n")]
            while above[-1].startswith("@"):
                above.pop()
            for operation in set(asked) - MADE_OF_SEVERAL:
                surface.add(operation, Method(f"{name}:{line_of(text, one.start())}", options, above[-1].startswith("///")))
    surface.codes_file = f"{package}/Errors.swift"
    text = texts.get(surface.codes_file, "")
    for found in re.finditer(r'= Code\(rawValue: "(\w+)"\)', text):
        surface.codes[found[1]] = f"{surface.codes_file}:{line_of(text, found.start())}"
    return surface


def _swift_default(text: str | None, members: dict[str, object]) -> object:
    text = (text or "").strip()
    known: dict[str, object] = {"nil": None, "true": True, "false": False, "[:]": None, "[]": None, **members}
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else known.get(text, UNKNOWN)


# Called otherwise there, since SwiftUI has such names.
SWIFT_NAMES = {"SmaltEnvironment": "Environment", "FieldLabel": "Label"}


# ---- The HTTP API and the docs


def openapi(root: Path) -> Surface:
    surface = Surface("openapi")
    path = "docs/schema/openapi-1.json"
    document = json.loads((root / path).read_text())
    for route, methods in document["paths"].items():
        for method, operation in methods.items():
            name = operation.get("operationId")
            if not route.startswith("/smalt/v1/") or not name:
                continue
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            while "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
            options = {
                key: value.get("default", UNKNOWN) if isinstance(value, dict) else UNKNOWN
                for key, value in schema.get("properties", {}).items()
            }
            surface.add(name, Method(f"{path}: {method} {route}", options, bool(operation.get("summary"))))
    return surface


def docs(root: Path) -> Surface:
    surface = Surface("docs", has_options=False, codes_file="docs/errors.md")
    for path, into in (("docs/operations.md", "operations"), (surface.codes_file, "codes")):
        for number, line in enumerate((root / path).read_text().splitlines(), 1):
            row = re.match(r"\| `(\w+)` \|.*\S \|$", line)
            if row and into == "operations":
                surface.add(row[1], Method(f"{path}:{number}"))
            elif row:
                surface.codes[row[1]] = f"{path}:{number}"
    return surface


READERS: list[Callable[[Path], Surface]] = [rust, python, typescript, kotlin, swift, openapi, docs]
