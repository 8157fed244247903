"""The Swift half of generate.py: the same properties and methods, written as Swift has them."""

from __future__ import annotations

import re
from pathlib import Path

import generate as g

schema, DEFS, OPERATIONS = g.schema, g.DEFS, g.OPERATIONS
ref, nullable, is_enum = g.ref, g.nullable, g.is_enum

SOURCES = g.HERE / "swift" / "Sources" / "Smalt"
TESTS = g.HERE / "swift" / "Tests" / "SmaltTests" / "Conformance"
HEAD = g.HEAD + "\nimport Foundation\n"
WIDTH = g.WIDTH

KEYWORDS = set(
    """as associatedtype break case catch class continue default defer deinit do else enum extension fallthrough false fileprivate for func guard
    if import in init inout internal is let nil open operator private protocol public repeat rethrows return self static struct subscript super
    switch throw throws true try typealias var where while""".split()
)
NATIVE = {"Timestamp": "Date", "Secret": "Secret", "Duration": "Duration", "Bytes": "Data", "Labels": "Labels", "SecretRef": "SecretRef"}
# Names that SwiftUI has: whoever imports both could say neither.
RENAMED = {"Environment": "SmaltEnvironment", "Label": "FieldLabel"}


def class_name(name: str) -> str:
    return RENAMED.get(name, g.class_name(name))


def name_of(text: str) -> str:
    """camelCase, with the acronyms that Foundation writes in capitals."""
    return re.sub(r"(?<=[a-z])(Id|Url|Uri)(?=[A-Z]|$)", lambda found: found[1].upper(), g.camel(text))


def quoted(name: str) -> str:
    return f"`{name}`" if name in KEYWORDS else name


def case_of(text: str) -> str:
    made = name_of(re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_"))
    return "_" + made if made[0].isdigit() else made


def type_of(of: dict | bool) -> str:
    if of is True or of == {} or not isinstance(of, dict):
        return "JSON"
    of, null = nullable(of)
    if null:
        return type_of(of) + "?"
    name = ref(of)
    if name in schema.GENERIC:
        return f"Page<{class_name(schema.GENERIC[name])}>"
    if name in NATIVE:
        return NATIVE[name]
    if name:
        return class_name(name) if is_enum(DEFS[name]) or g.is_record(name) else type_of(DEFS[name])
    kind = of.get("type")
    if kind == "array":
        return f"[{type_of(of.get('items', True))}]"
    if kind == "object":
        return "JSON" if isinstance(of.get("properties"), dict) else f"[String: {type_of(of.get('additionalProperties', True))}]"
    return {"string": "String", "boolean": "Bool", "number": "Double", "integer": "Int"}.get(kind or "", "JSON")


class Property:
    """One of a record's, or an argument: what the schema's reader knows of it, in Swift's words."""

    def __init__(self, read: g.Property, of: dict | bool) -> None:
        self.json, self.about, self.name = read.json, read.about, name_of(read.json)
        bare = nullable(of)[0] if isinstance(of, dict) else of
        self.type, self.null, self.null_counts = type_of(bare).rstrip("?"), read.null or read.declared.endswith("?"), read.null_counts
        self.default = self.given(read.default)

    def given(self, default: str | None) -> str | None:
        known = {None: None, "null": "nil", "emptyList()": "[]", "emptyMap()": "[:]"}
        if default in known:
            return known[default]
        assert default is not None
        if default.endswith(".seconds"):
            return f".seconds({default[:-8].removesuffix('.0')})"
        member = re.fullmatch(r"[A-Z]\w*\.([A-Z_][A-Z_0-9]*)", default)
        return "." + case_of(member[1].lower()) if member else default

    @property
    def declared(self) -> str:
        return self.type + ("?" if self.null else "")

    @property
    def argument(self) -> str:
        return f"{self.name}: {self.declared}" + ("" if self.default is None else f" = {self.default}")

    @property
    def whole(self) -> str:
        """The default where its type is not said."""
        assert self.default is not None
        return self.type + self.default if self.default.startswith(".") else self.default


def properties(name: str) -> list[Property]:
    found = g.object_form(name)
    required = set(found.get("required", []))
    made = [Property(g.Property(name, field, of, field in required), of) for field, of in found["properties"].items()]
    return [one for one in made if one.default is None] + [one for one in made if one.default is not None]


def doc(text: str, indent: str) -> list[str]:
    prose = g.prose(text).replace("`null`", "`nil`")
    return [f"{indent}/// {line}".rstrip() for line in schema.wrap(prose, "")]


def parameters(own: list[Property]) -> list[str]:
    lines: list[str] = []
    for one in own:
        first, *rest = doc(f"- {one.name}: {one.about or one.json}", "    ")
        lines += [first.replace("/// ", "///   ", 1), *[line.replace("/// ", "///     ", 1) for line in rest]]
    return lines


def call(opening: str, entries: list[str], closing: str, indent: str) -> list[str]:
    """On one line where it fits, else an entry per line."""
    one = f"{indent}{opening}{', '.join(entries)}{closing}"
    if len(one) <= WIDTH:
        return [one]
    return [f"{indent}{opening}", *[f"{indent}    {entry}{',' if at < len(entries) - 1 else ''}" for at, entry in enumerate(entries)], f"{indent}{closing}"]


def literal(opening: str, first: str, entries: list[str], indent: str) -> list[str]:
    """A call with one text and a dictionary, as swift-format has it."""
    one = f"{indent}{opening}({first}, [{', '.join(entries)}])"
    if len(one) <= WIDTH and "\n" not in one:
        return [one]
    inner = [f"{indent}        {entry}," for entry in entries]
    return [f"{indent}{opening}(", f"{indent}    {first},", f"{indent}    [", *inner, f"{indent}    ])"]


def hiding(one: Property) -> str:
    """Nothing is not hidden."""
    return f"Hidden.of({quoted(one.name)})" if one.declared.endswith("?") or one.declared == "JSON" else "Hidden()"


def write_struct(name: str) -> list[str]:
    made, own, hidden = class_name(name), properties(name), schema.HIDDEN.get(name, [])
    lines = [*doc(g.object_form(name).get("description", name), ""), f"public struct {made}: Sendable, Hashable, Codable {{"]
    for one in own:
        lines += [*doc(one.about or one.json, "    "), f"    public var {quoted(one.name)}: {one.declared}"]
    lines += ["", "    enum CodingKeys: String, CodingKey {"]
    lines += [f"        case {quoted(one.name)}" + ("" if one.name == one.json else f' = "{one.json}"') for one in own]
    lines += ["    }", ""]
    lines += doc("Makes one" + ("; what is left out keeps its default." if any(one.default for one in own) else "."), "    ")
    lines += call("public init(", [one.argument for one in own], ") {", "    ")
    lines += [f"        self.{one.name} = {quoted(one.name)}" for one in own] + ["    }"]
    if any(one.default not in (None, "nil") or one.type == "Duration" for one in own):
        lines += ["", "    /// Reads one; what is absent has its default.", "    public init(from decoder: any Decoder) throws {"]
        lines += ["        let its = try decoder.container(keyedBy: CodingKeys.self)"]
        lines += [f"        {one.name if one.name not in KEYWORDS else 'self.' + one.name} = {reading(one)}" for one in own] + ["    }"]
    if any(one.null_counts or one.type == "Duration" for one in own):
        lines += ["", "    /// Writes it.", "    public func encode(to encoder: any Encoder) throws {"]
        lines += ["        var its = encoder.container(keyedBy: CodingKeys.self)", *[f"        {writing(one)}" for one in own], "    }"]
    lines.append("}")
    if hidden:
        parts = [f'"{one.name}": ' + (hiding(one) if one.json in hidden else quoted(one.name)) for one in own]
        # Data of this name leaves no room for the usual one.
        kind, told = ("DiscreetData", "debugDescription") if any(one.name == "description" for one in own) else ("Discreet", "description")
        lines += ["", f"extension {made}: {kind} {{", "    /// Without what may hold a secret of a user's.", f"    public var {told}: String {{"]
        lines += [*literal("described", f'"{made}"', parts, "        "), "    }", "}"]
    return lines


def reading(one: Property) -> str:
    key = f"forKey: .{one.name}"
    if one.type == "Duration":
        if one.null_counts:
            return f"its.contains(.{one.name}) ? try its.seconds({key}) : {one.whole}"
        read = f"try its.seconds({key})"
    elif one.null_counts:
        return f"its.contains(.{one.name}) ? try its.decodeIfPresent({one.type}.self, {key}) : {one.whole}"
    elif one.default is None and not one.null:
        return f"try its.decode({one.type}.self, {key})"
    else:
        read = f"try its.decodeIfPresent({one.type}.self, {key})"
    return read if one.null else f"{read} ?? {one.whole}"


def writing(one: Property) -> str:
    value = quoted(one.name) if one.type != "Duration" else f"{one.name}{'?' if one.null else ''}.inSeconds"
    return f"try its.encode{'IfPresent' if one.null and not one.null_counts else ''}({value}, forKey: .{one.name})"


def write_enum(name: str) -> list[str]:
    lines = [*doc(DEFS[name].get("description", name), ""), f"public enum {class_name(name)}: String, Sendable, Hashable, Codable {{"]
    for one in DEFS[name]["oneOf"]:
        text, case = one["const"], case_of(one["const"])
        lines += [*doc(one.get("description") or text, "    "), f"    case {quoted(case)}" + ("" if case == text else f' = "{text}"')]
    lines += ["    /// One that this version does not know.", '    case unknown = ""', "", "    /// Reads one; what this version does not know is ``unknown``."]
    lines += ["    public init(from decoder: any Decoder) throws {"]
    lines += ["        self = Self(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .unknown", "    }", "}"]
    return lines


def types() -> str:
    body = [HEAD]
    for name in g.records():
        body += [*(write_enum(name) if is_enum(DEFS[name]) else write_struct(name)), ""]
    return "\n".join(body).rstrip() + "\n"


class Method:
    def __init__(self, read: g.Method, owner: str) -> None:
        self.op, self.about, self.bound, self.name = read.op, read.about, read.bound, name_of(read.op)
        row = OPERATIONS[read.op]
        fields = g.object_form(ref(row["request"])).get("properties", {})
        self.answer = None if row["answer"] == {"type": "null"} else type_of(row["answer"])
        self.owner = owner
        within = {id(one): field for field, inner in read.flat.items() for one in inner}
        self.arguments: list[Property] = []
        self.own: list[Property] = []
        self.nested: dict[str, list[Property]] = {}
        for one in read.arguments:
            field = within.get(id(one))
            of = g.object_form(ref(nullable(fields[field])[0]))["properties"][one.json] if field else fields[one.json]
            made = Property(one, of)
            self.arguments.append(made)
            (self.nested.setdefault(field, []) if field else self.own).append(made)

    @property
    def unnamed(self) -> bool:
        """The first argument has no label: what the verb is about."""
        return bool(self.arguments) and self.arguments[0].default is None

    def entry(self, one: Property) -> str:
        value = quoted(one.name)
        if one.type == "Duration":
            value = f"{one.name}{'?' if one.null else ''}.inSeconds"
        return f'"{one.json}": ' + (f"orNull({value})" if one.null_counts else value)

    def lines(self) -> list[str]:
        lines = doc(self.about, "    ")
        if self.arguments:
            lines += ["    ///", "    /// - Parameters:", *parameters(self.arguments)]
        arguments = [("_ " if at == 0 and self.unnamed else "") + one.argument for at, one in enumerate(self.arguments)]
        lines += call(f"public func {self.name}(", arguments, f") async throws{f' -> {self.answer}' if self.answer else ''} {{", "    ")
        entries = ['"account": accountID'] if self.bound else []
        entries += [self.entry(one) for one in self.own]
        for field, inner in self.nested.items():
            its = [self.entry(one) for one in inner]
            nested = f'"{field}": [{", ".join(its)}] as Fields'
            if len(nested) > WIDTH - 20:
                nested = "\n".join([f'"{field}": [', *[f"                    {one}," for one in its], "                ] as Fields"])
            entries.append(nested)
        verb = "ask" if self.answer else "tell"
        made = literal(f"try await handle.{verb}", f'"{self.op}"', entries or [":"], "        ")
        return [*lines, *made, "    }"]

    def typed(self) -> list[str]:
        """For the conformance driver: the arguments read from JSON."""
        target = {"account": "account", "shared": "linked", "smalt": "smalt"}[self.owner]
        known = ", ".join(f'"{one.json}"' for one in self.arguments)
        only = f"        try args.only([{known}])"
        if len(only) > WIDTH:
            half = known.index(", ", len(known) // 2) + 1
            only = f"        try args.only([\n            {known[:half]}\n            {known[half + 1:]},\n        ])"
        lines = [f'    case "{self.op}":', only]
        given = []
        for at, one in enumerate(self.arguments):
            label = "" if at == 0 and self.unnamed else f"{one.name}: "
            kind = one.declared
            given.append(f'{label}try args.read("{one.json}", {kind}.self' + ("" if one.default is None else f", {one.whole if one.default != 'nil' else 'nil'}") + ")")
        value = f"{target}.{self.name}("
        if self.answer:
            one = f"        return try plain(await {value}{', '.join(given)}))"
            within = call(f"await {value}", given, "))", "            ")
            lines += [one] if len(one) <= WIDTH else ["        return try plain(", *within]
        else:
            lines += [*call(f"try await {value}", given, ")", "        "), "        return .object([:])"]
        return lines


def groups() -> list[tuple[str, str, str, list[Method]]]:
    made = g.groups()
    owners = {"SharedOperations": ("Linked", "shared"), "AccountOperations": ("Account", "account"), "SmaltOperations": ("Smalt", "smalt")}
    return [(*owners[name], about, [Method(one, owners[name][1]) for one in made[name]]) for name, about, _ in g.GROUPS]


def operations() -> str:
    body = [HEAD]
    for receiver, _, _, methods in groups():
        body += [f"extension {receiver} {{"]
        for method in methods:
            body += [*method.lines(), ""]
        body[-1:] = ["}", ""]
    return "\n".join(body).rstrip() + "\n"


def typed() -> str:
    body = [HEAD.rstrip(), "", "@testable import Smalt", ""]
    heads = {
        "shared": ("callLinked", "linked: any Linked"),
        "account": ("callAccount", "account: Account"),
        "smalt": ("callSmalt", "smalt: Smalt"),
    }
    for _, owner, about, methods in groups():
        name, argument = heads[owner]
        body += [f"/// The verbs of {'both handles' if owner == 'shared' else 'one handle'}, by name; `nil`: it has no such verb.", f"func {name}(_ verb: String, _ {argument}, _ args: Arguments) async throws -> JSON? {{", "    switch verb {"]
        for method in methods:
            body += method.typed()
        body += ["    default: return nil", "    }", "}", ""]
    return "\n".join(body).rstrip() + "\n"


def coded(name: str, what: str, example: str) -> list[str]:
    """A struct and no enum: only an expression can be caught, and newer ones come."""
    return [
        f"    public struct {name}: RawRepresentable, Sendable, Hashable, CustomStringConvertible {{",
        f"        /// The {what} as it is written everywhere, e.g. `{example}`.",
        "        public let rawValue: String",
        "",
        f"        /// The {what} of this text, whether this version knows it or not.",
        "        public init(rawValue: String) { self.rawValue = rawValue }",
        "",
        "        /// Its text.",
        "        public var description: String { rawValue }",
        "",
    ]


def errors() -> str:
    rows = g.BRIDGE["errors"]
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    body = [HEAD, "extension SmaltError {", "    /// What sort of trouble it is: `catch SmaltError.Kind.reauth` takes all errors of one."]
    body += coded("Kind", "kind", "not_found")
    for kind in kinds:
        body += [*doc(g.meaning(kind), "        "), f"        public static let {quoted(name_of(kind))} = Kind(rawValue: \"{kind}\")"]
    body += ["    }", "", "    /// A stable code: `catch SmaltError.Code.notConnected` takes the errors of one."]
    body += coded("Code", "code", "not_connected")
    for row in rows:
        body += [*doc(f"{row['meaning']} {row['next']}", "        "), f"        public static let {quoted(name_of(row['code']))} = Code(rawValue: \"{row['code']}\")"]
    body += ["", "        /// Every code that this version knows, and its kind.", "        public static let all: [Code: Kind] = ["]
    body += [f"            .{name_of(row['code'])}: .{name_of(row['kind'])}," for row in rows] + ["        ]", "    }"]
    for row in (row for row in rows if row["presenters"]):
        name, kind, retry = name_of(row["code"]), name_of(row["kind"]), name_of(row["retry"])
        *reason, last = g.schema.wrap(f"{row['meaning']} {row['next']}", "            ")
        body += [
            "",
            *doc(f"What a ``Presenter`` throws: {row['meaning']} It is no cancelled task.", "    "),
            f"    public static var {name}: SmaltError {{",
            '        let reason = """',
            *(f"{line} \\" for line in reason),
            last,
            '            """',
            f"        var error = SmaltError(.{kind}, .{name}, reason, retry: .{retry})",
            f"        error.httpStatus = {row['http_status']}",
            "        return error",
            "    }",
        ]
    body += ["}"]
    return "\n".join(body) + "\n"


def files() -> dict[Path, str]:
    return {
        SOURCES / "Types.swift": types(),
        SOURCES / "Operations.swift": operations(),
        SOURCES / "Errors.swift": errors(),
        TESTS / "Typed.swift": typed(),
    }
