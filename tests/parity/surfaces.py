"""What each language, the HTTP API and the docs offer, as found in their files: operations with their options, error codes, and words
of enums. A reader knows how its language writes these things, and nothing of what they should be."""

from __future__ import annotations

import ast
import functools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, NamedTuple

UNKNOWN = object()
"""A default that this language does not state: core fills it in."""


@dataclass
class Method:
    place: str
    """File and line."""
    options: dict[str, object] = field(default_factory=dict)
    """By their names in the operations table; with the default, where the language states one."""
    is_documented: bool = True
    about: dict[str, str] = field(default_factory=dict)
    """What is said of each option that the language can say something of; empty where it says nothing."""
    types: dict[str, str] = field(default_factory=dict)
    """As they are written, where that is looked at."""
    unused: list[str] = field(default_factory=list)
    """Arguments that the body does nothing with."""
    written: dict[str, str] | None = None
    """What an opening gives to core, by key, with the expression; None for a record of options, which gives nothing itself."""
    handed: str = ""
    """What an opening gives to core beside it: the host's code."""


@dataclass
class Surface:
    language: str
    operations: dict[str, list[Method]] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    """With their places."""
    words: dict[str, tuple[list[str], str]] | None = None
    """By the enum's name in core's schema; None where a language has no enums of its own."""
    held: set[str] | None = None
    """What handles ask the doorway for, where a language has both."""
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


def plain(comment: str) -> str:
    """A comment without what makes it one, in one line."""
    return " ".join(re.sub(r"^\s*(?:///|/\*\*|\*/|\*)|\*/\s*$", "", line).strip() for line in comment.split("\n")).strip()


def inside(text: str, at: int) -> str:
    """What stands in a bracket that opens just before `at`."""
    depth = 1
    for found in re.compile(r"[(\[{)\]}]").finditer(text, at):
        depth += 1 if found[0] in "([{" else -1
        if depth == 0:
            return text[at : found.start()]
    return text[at:]


def parts(text: str) -> list[str]:
    """What stands between commas; those in brackets part nothing."""
    made, depth = [""], 0
    for one in text:
        depth += (one in "([{") - (one in ")]}")
        if one == "," and depth == 0:
            made.append("")
        else:
            made[-1] += one
    return [part.strip() for part in made if part.strip()]


def variables(text: str) -> list[str]:
    """The names in an expression that stand for values: no call, no member of another, no literal."""
    found = re.findall(r"""(?<![\w."'])[a-z_]\w*\b(?!\s*[({"'])""", text)
    return [name for name in found if name not in ("null", "nil", "undefined", "true", "false", "it", "try", "not", "as")]


def with_arguments(text: str, head: str, call: str) -> str:
    """A piece of a function's body with what a call gives in the place of the parameters: by their names, or in their order."""
    names = [found[1] for part in parts(head) if (found := re.search(r"(\w+):", part))]
    given = {}
    for name, part in zip(names, parts(call)):
        label = re.match(r"(\w+)(?: =|:) ", part)
        given[label[1] if label and label[1] in names else name] = part[label.end() :] if label else part
    return re.sub(r"(?<![\w.\"])\w+\b(?!\")", lambda found: given.get(found[0], found[0]), text)


# ---- Rust: the doorway, the handles over it, the request types, and the table of errors.


def rust(root: Path) -> Surface:
    surface = Surface("rust")
    path = "core/src/backend/mod.rs"
    text = (root / path).read_text()
    requests = _rust_requests(root)
    handles = "".join(file.read_text() for file in sorted((root / "core/src/handles").glob("*.rs")))
    # What no handle asks for, nobody has who holds one.
    asked = set(re.findall(r"\bbackend(?:\(\))?\s*\.(\w+)\(", handles))
    for found in re.finditer(r"((?:^        ///.*\n)*)^        (\w+): \w+\((\w+)\) -> [^;]+;", text, re.M):
        options, about = requests.get(found[3], ({}, {}))
        surface.add(found[2], Method(f"{path}:{line_of(text, found.start(2))}", options, bool(found[1]), about))
    surface.held = asked
    surface.codes_file = "core/src/error/codes.rs"
    text = (root / surface.codes_file).read_text()
    for found in re.finditer(r'^    \w+ = "(\w+)", \w+, \w+, \d+, "', text, re.M):
        surface.codes[found[1]] = f"{surface.codes_file}:{line_of(text, found.start())}"
    return surface


def _rust_requests(root: Path) -> dict[str, tuple[dict[str, object], dict[str, str]]]:
    """The fields of each request with their defaults, and what is said of them."""
    made = {}
    texts = [(root / path).read_text() for path in ("core/src/backend/requests.rs", "core/src/project/mod.rs")]
    for found in re.finditer(r"^ *pub struct (\w+)(?: hides\([^)]*\))? \{\n(.*?)^ *\}", "\n".join(texts), re.M | re.S):
        options: dict[str, object] = {}
        about = {}
        for one in re.finditer(r"((?:^ *///.*\n)*)((?:^ *#\[.*\n)*)^ *pub (\w+): ([^\n]+),$", found[2], re.M):
            named = re.search(r'default = "(\w+)"', one[2])
            if named:
                options[one[3]] = f"{named[1]}()"
            elif "default" in one[2] and one[4] == "bool":
                options[one[3]] = False
            else:
                options[one[3]] = None if one[4].startswith("Option<") else UNKNOWN
            about[one[3]] = plain(one[1])
        made[found[1]] = (options, about)
    return made


# ---- Python


# Asynchronous and not: each has everything.
PYTHON_HALVES = ("_async", "_sync")


@functools.cache
def python_nodes(text: str) -> list[ast.AST]:
    """All of a file's syntax."""
    return list(ast.walk(ast.parse(text)))


def python(root: Path, half: str) -> Surface:
    surface = Surface("python")
    package = "bindings-python/python/smalt"
    helpers = {
        function.name: function
        for function in python_nodes((root / f"{package}/_requests.py").read_text())
        if isinstance(function, ast.FunctionDef)
    }
    for name in (f"{half}.py", f"{half}_operations.py"):
        path = f"{package}/{name}"
        surface.files.append(path)
        for function in python_nodes((root / path).read_text()):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for operation in _operations_of(function):
                    surface.add(operation, python_method(path, function, helpers))
    path = f"{package}/types.py"
    for node in python_nodes((root / path).read_text()):
        if isinstance(node, ast.ClassDef) and node.name == "Project":
            # The project is one document: its fields are the options.
            fields = [item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
            for method in surface.operations.get("set_project", []):
                method.options.update(dict.fromkeys(fields, UNKNOWN))
    surface.codes_file = f"{package}/errors.py"
    text = (root / surface.codes_file).read_text()
    for found in re.finditer(r"^    - `(\w+)`: ", text, re.M):
        surface.codes[found[1]] = f"{surface.codes_file}:{line_of(text, found.start())}"
    surface.words = {}
    path = f"{package}/types.py"
    for node in python_nodes((root / path).read_text()):
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


def python_method(
    path: str, function: ast.FunctionDef | ast.AsyncFunctionDef, helpers: dict[str, ast.FunctionDef] | None = None
) -> Method:
    defaults = python_defaults(function)
    said = python_arguments(ast.get_docstring(function) or "")
    # What goes into the request, and from which argument.
    options: dict[str, object] = {}
    about = {}

    def put(key: str, names: list[str]) -> None:
        name = next((name for name in names if name in defaults), None)
        options[key] = UNKNOWN if name is None else defaults[name]
        if name is not None and not any(doc.startswith("Those of") for doc in said.values()):
            about[key] = said.get(name, "")

    for node in ast.walk(function):
        if isinstance(node, ast.Dict):
            for key, names in _python_entries(node):
                if names:
                    put(key, names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and helpers and node.func.id in helpers:
            # Put together by a helper: what its arguments become, of the arguments that it is given.
            helper = helpers[node.func.id]
            taken = [argument.arg for argument in (*helper.args.args, *helper.args.kwonlyargs)]
            given = {name: value for name, value in zip(taken, node.args)}
            given.update({word.arg: word.value for word in node.keywords if word.arg})
            passes_on = any(isinstance(word.value, ast.Name) and word.value.id == "options" for word in node.keywords if not word.arg)
            for inner in ast.walk(helper):
                for key, names in _python_entries(inner) if isinstance(inner, ast.Dict) else []:
                    leaves = [leaf for name in names if name in given for leaf in _python_variables(given[name])]
                    if passes_on or leaves:
                        put(key, leaves)
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    given = [*defaults, *(node.id for node in names if isinstance(node.ctx, ast.Store))]
    unused = sorted(set(given) - {node.id for node in names if isinstance(node.ctx, ast.Load)})
    return Method(f"{path}:{function.lineno}", options, bool(ast.get_docstring(function)), about, unused=unused)


def _python_entries(node: ast.Dict) -> list[tuple[str, list[str]]]:
    return [
        (key.value, _python_variables(value))
        for key, value in zip(node.keys, node.values)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]


def _python_variables(value: ast.AST) -> list[str]:
    called = {node.func for node in ast.walk(value) if isinstance(node, ast.Call)}
    return [leaf.id for leaf in ast.walk(value) if isinstance(leaf, ast.Name) and leaf not in called]


def python_defaults(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, object]:
    """Each argument's default."""
    arguments = function.args
    both = [*zip(reversed(arguments.args), reversed(arguments.defaults)), *zip(arguments.kwonlyargs, arguments.kw_defaults)]
    defaults: dict[str, object] = {argument.arg: UNKNOWN for argument in (*arguments.args, *arguments.kwonlyargs)}
    for argument, default in both:
        if isinstance(default, ast.Constant):
            defaults[argument.arg] = default.value
        elif isinstance(default, ast.Tuple) and not default.elts:
            defaults[argument.arg] = []
        elif isinstance(default, ast.Attribute):
            defaults[argument.arg] = default.attr.lower()
    defaults.pop("self", None)
    defaults.pop("cls", None)
    return defaults


def python_arguments(text: str) -> dict[str, str]:
    """What a docstring says of each argument."""
    rows = re.search(r"^Args:\n(.*?)(?:\n\n|\Z)", text, re.M | re.S)
    said = re.finditer(r"^    (\w+): (.*?)(?=\n    \S|\Z)", rows[1] if rows else "", re.M | re.S)
    return {one[1]: " ".join(one[2].split()) for one in said}


# ---- TypeScript


def typescript(root: Path) -> Surface:
    surface = Surface("node")
    package = "bindings-node/ts"
    texts = surface.read(root, package, "*.ts")
    interfaces = typescript_interfaces(texts)
    whole = "\n".join(texts.values())
    asked = re.compile(r"\b(?:call|perform)(?:<[^>]*>)?\((?=\s*this(?:\.\w+)*,\s*'(\w+)',)")
    heads = re.compile(r"^  (?:async |override |protected )*\*?(\w+)(?:<[^>]*>)?\((.*?)\)(?:: [^\n]*)? \{$", re.M | re.S)
    for name, text in texts.items():
        methods = list(heads.finditer(text))
        for found in asked.finditer(text):
            head = next((one for one in reversed(methods) if one.end() <= found.start()), None)
            if head is None:
                continue
            body = text[head.end() : found.start()]
            typed = re.search(r"\boptions: (\w+Options)\b", head[2])
            members = interfaces.get(typed[1], {}) if typed else {}
            _, _, request, *options_given = parts(inside(text, found.end()))
            if request.isidentifier() and re.search(rf"\b{request}: Project\b", head[2]):
                # The document itself.
                entries = {key: key for key in interfaces.get("Project", {})}
            else:
                entries = typescript_record(request, body, {"options": list(members)}, whole)
            if options_given == ["options"]:
                entries.update({key: key for key in members})
            options: dict[str, object] = {snake(key): UNKNOWN for key, value in entries.items() if variables(value)}
            about = {snake(key): comment for key, comment in members.items() if snake(key) in options}
            before = text[: head.start()].rstrip()
            arguments = {one[1] for part in parts(head[2]) if (one := re.match(r"(\w+)\??:", part))}
            unused = sorted(arguments - set(variables(text[head.end() : text.find("\n  }", head.end())])))
            surface.add(found[1], Method(f"{name}:{line_of(text, found.start())}", options, before.endswith("*/"), about, unused=unused))
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


def typescript_record(given: str, body: str, spread: dict[str, list[str]], texts: str = "") -> dict[str, str]:
    """The entries of a record, written there or named, with those that it spreads: `spread` has the members of what the body takes."""
    if taken := re.search(r"\bconst \{([^}]*)\.\.\.(\w+) \} = (?:asOptions\()?options\b", body):
        # What is left of the options when some are taken out.
        out = [part.split(" ")[0] for part in parts(taken[1])]
        spread = {**spread, taken[2]: [name for name in spread.get("options", []) if name not in out]}
    if given in spread:
        return {name: name for name in spread[given]}
    if called := re.fullmatch(r"(\w+)\(options\)", given):
        function = re.search(rf"^export function {called[1]}\(.*?^\}}", texts, re.M | re.S)
        answer = re.search(r"\breturn (\{.*\})$", function[0], re.M) if function else None
        return typescript_record(answer[1], function[0], spread) if function and answer else {}
    if not given.startswith("{"):
        const = re.search(rf"\bconst {given} = \{{", body)
        return typescript_record("{" + inside(body, const.end()) + "}", body, spread, texts) if const else {}
    made: dict[str, str] = {}
    for part in parts(given[1:-1]):
        key, _, value = part.partition(": ")
        made.update(typescript_record(part[3:], body, spread, texts) if part.startswith("...") else {key: value or key})
    return made


def typescript_interfaces(texts: dict[str, str], known: dict[str, dict[str, str]] | None = None) -> dict[str, dict[str, str]]:
    """The members of each interface, those of what it extends included, with what is said of them."""
    own: dict[str, dict[str, str]] = {**(known or {})}
    over: dict[str, list[str]] = {}
    for text in texts.values():
        for found in re.finditer(r"^export interface (\w+)([^{]*)\{\n(.*?)^\}", text, re.M | re.S):
            members = re.finditer(r"(^  /\*\*(?:(?!\*/).)*\*/\n)?^  readonly (\w+)\??:", found[3], re.M | re.S)
            own[found[1]] = {member[2]: plain(member[1] or "") for member in members}
            over[found[1]] = re.findall(r"\b(\w+Options)\b", found[2])

    def whole(name: str) -> dict[str, str]:
        return {**{key: said for base in over.get(name, []) for key, said in whole(base).items()}, **own.get(name, {})}

    return {name: whole(name) for name in own}


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
        for function in kotlin_functions(text):
            body, comment = function.body, function.comment
            asked = re.findall(r'\bhandle\.(?:operation|ready)\(\s*"(\w+)"', body)
            defaults = {
                argument[1]: kotlin_default(argument[2], members)
                for argument in re.finditer(r"(\w+): [\w.<>?, ]+?(?: = ([^,\n]+))?(?=,\s|,?\s*\Z)", function.head)
            }
            said = {one[1]: plain(one[2]) for one in re.finditer(r"@param (\w+) (.*?)(?=\n[ *]*@|\*/)", comment, re.S)}
            options: dict[str, object] = {}
            about = {}
            for option, value in _kotlin_options(body) + _kotlin_helped(body, texts):
                # A literal is nothing that was asked for; a record has its own parts.
                if not variables(value) and not value.endswith("obj {"):
                    continue
                word = next((word for word in re.findall(r"\w+", value) if word in defaults), None)
                options[option] = UNKNOWN if word is None else defaults[word]
                if word is not None and "Takes what [" not in comment:
                    about[option] = said.get(word, "")
            unused = sorted(set(defaults) - set(variables(body)))
            for operation in set(asked) - MADE_OF_SEVERAL:
                surface.add(operation, Method(f"{name}:{function.line}", options, bool(comment), about, unused=unused))
    surface.codes_file = f"{package}/SmaltException.kt"
    text = texts.get(surface.codes_file, "")
    for found in re.finditer(r'^ +"(\w+)" to "\w+",$', text, re.M):
        surface.codes[found[1]] = f"{surface.codes_file}:{line_of(text, found.start())}"
    return surface


class Function(NamedTuple):
    name: str
    line: int
    head: str
    """Its parameters."""
    body: str
    comment: str


@functools.cache
def kotlin_functions(text: str) -> list[Function]:
    """Each function, those inside of others too."""
    words = r"(?:(?:public|internal|private|override|suspend|operator) )*"
    heads = list(re.finditer(rf"^ *{words}fun (?:<\w+> )?(?:\w+\.)?(\w+)\(", text, re.M))
    made = []
    for at, after in zip(heads, [*heads[1:], None]):
        head = inside(text, at.end())
        start = at.end() + len(head) + 1
        if block := re.compile(r"(?:: [^{=\n]+)? *\{").match(text, start):
            body = inside(text, block.end())
        else:
            body = text[start : after.start() if after else len(text)]
        # Annotations stand between the comment and the function.
        before = text[max(text.rfind("/**", 0, at.start()), 0) : at.start()]
        comment = re.match(r"/\*\*(?:(?!\*/).)*\*/\s*(?:^ *@\w+(?:\([^)]*\))?\n)*\Z", before, re.S | re.M)
        made.append(Function(at[1], line_of(text, at.start()), head, body, comment[0] if comment else ""))
    return made


def _kotlin_helped(body: str, texts: dict[str, str]) -> list[tuple[str, str]]:
    """What helpers put into a request: those of calls, and the project's, which is one document."""
    made = [(one[1], one[2]) for one in re.finditer(r'\brequest\.putSome\("(\w+)", (\w+)', body)]
    helper = next((function for text in texts.values() for function in kotlin_functions(text) if function.name == "apiRequest"), None)
    called = re.search(r"\bapiRequest\(", body)
    if helper and called:
        for one in re.finditer(r'\bmade(?:\["(\w+)"\] = |\.putSome\("(\w+)", )([^\n]*)', helper.body):
            made.append((one[1] or one[2], with_arguments(one[3], helper.head, inside(body, called.end()))))
    for text in texts.values():
        if "project.json()" in body and (found := re.search(r"^internal fun Project\.json\(\)(.*?)^    \}", text, re.M | re.S)):
            made += [(key, key) for key in re.findall(r'\bput(?:Some)?\("(\w+)"', found[1])]
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


def kotlin_default(text: str | None, members: dict[str, object]) -> object:
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
    body_text = texts.get(f"{package}/Body.swift", "")
    helper = re.search(r"^struct Request \{(.*?)^\}", body_text, re.M | re.S)
    document = re.search(r"^public struct Project:.*?CodingKeys[^\n]*\n(.*?)^    \}", texts.get(path, ""), re.M | re.S)
    head = re.compile(r"^( *)(?:public )?func (\w+)(?:<[^>]*>)?\(((?:(?!\bfunc\b).)*?)\) async throws(?: -> [^{\n]+)? \{", re.M | re.S)
    for name, text in texts.items():
        for one in head.finditer(text):
            line = text[one.end() : text.find("\n", one.end())]
            body = line if line.endswith("}") else text[one.end() : text.find(f"\n{one[1]}}}", one.end())]
            asked = re.findall(r'\bhandle\.(?:ask|tell|ready|answer)\(\s*"(\w+)"', body)
            defaults = {
                argument[1]: swift_default(argument[2], members)
                for argument in re.finditer(r"(\w+): [^=,\n]+?(?: = ([^,\n]+))?(?=,\s|\s*\Z)", one[3])
            }
            unused = sorted(set(defaults) - set(variables(body)))
            # The parts of a record are arguments themselves.
            body = re.sub(r'"(\w+)": \[[^\]]*\] as Fields', r'"\1": its', body)
            entries = [(entry[1], entry[2]) for entry in re.finditer(r'"(\w+)": (?:orNull\()?`?(\w+)', body)]
            made = re.search(r"\bRequest\(", body)
            if "request.fields()" in body and helper and made:
                taken = ", ".join(re.findall(r"^    var (\w+:)", helper[1], re.M))
                for key, value in re.findall(r'"(\w+)": ([^,\n]+)', helper[1]):
                    given = variables(with_arguments(value, taken, inside(body, made.end())))
                    entries += [(key, given[0] if given else "nil")]
            if '"set_project", project' in body and document:
                entries += [(text or case, case) for case, text in re.findall(r'case (\w+)(?: = "(\w+)")?', document[1])]
            entries = [(key, word) for key, word in entries if variables(word)]
            options: dict[str, object] = {key: defaults.get(word, UNKNOWN) for key, word in entries}
            comment = re.search(r"(?:^ *///.*\n)+(?: *@.*\n)*\Z", text[: one.start()], re.M)
            said = _swift_parameters(comment[0] if comment else "")
            inherits = comment is not None and "Takes what" in comment[0]
            about = {key: said.get(word, "") for key, word in entries if word in defaults and not inherits}
            above = [line.strip() for line in text[: one.start()].rstrip().split("\n")]
            while above[-1].startswith("@"):
                above.pop()
            place = f"{name}:{line_of(text, one.start())}"
            for operation in set(asked) - MADE_OF_SEVERAL:
                surface.add(operation, Method(place, options, above[-1].startswith("///"), about, unused=unused))
    surface.codes_file = f"{package}/Errors.swift"
    text = texts.get(surface.codes_file, "")
    for found in re.finditer(r'= Code\(rawValue: "(\w+)"\)', text):
        surface.codes[found[1]] = f"{surface.codes_file}:{line_of(text, found.start())}"
    return surface


def _swift_parameters(comment: str) -> dict[str, str]:
    """What a comment says of each parameter."""
    rows = re.sub(r"^ *///", "", comment, flags=re.M)
    found = re.finditer(r"^ +(?:- Parameter|  -) `?(\w+)`?: (.*?)(?=^ +- |^ +@|\Z)", rows, re.M | re.S)
    return {one[1]: " ".join(one[2].split()) for one in found}


def swift_default(text: str | None, members: dict[str, object]) -> object:
    text = (text or "").strip()
    known: dict[str, object] = {"nil": None, "true": True, "false": False, "[:]": None, "[]": None, **members}
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else known.get(text, UNKNOWN)


# Called otherwise there, since SwiftUI has such names.
SWIFT_NAMES = {"SmaltEnvironment": "Environment", "FieldLabel": "Label"}


# ---- The HTTP API and the docs


def openapi(root: Path) -> Surface:
    surface = Surface("openapi")
    path = "docs/schema/openapi-1.json"
    surface.files.append(path)
    document = json.loads((root / path).read_text())
    surface.words = {
        name: ([one["const"] for one in schema["oneOf"]], path)
        for name, schema in document["components"]["schemas"].items()
        if "oneOf" in schema and all("const" in one for one in schema["oneOf"])
    }
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
            about = {key: value.get("description", "") for key, value in schema.get("properties", {}).items() if isinstance(value, dict)}
            surface.add(name, Method(f"{path}: {method} {route}", options, bool(operation.get("summary")), about))
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


READERS: list[tuple[str, Callable[[Path], Surface]]] = [
    ("rust", rust),
    *(("python", functools.partial(python, half=half)) for half in PYTHON_HALVES),
    ("node", typescript),
    ("kotlin", kotlin),
    ("swift", swift),
    ("openapi", openapi),
    ("docs", docs),
]
