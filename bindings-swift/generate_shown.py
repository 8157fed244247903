"""What the tests of S-41 print: of every type that holds a secret, or what core's schema hides, a value with a known text wherever one could be.
The values are JSON for both languages; each has a table of how they are read."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import generate as g
import generate_swift as swift

SAMPLES = g.HERE / "shown.json"
SWIFT = g.HERE / "swift" / "Tests" / "SmaltTests" / "Shown.swift"
KOTLIN = g.HERE / "kotlin" / "smalt" / "src" / "test" / "kotlin" / "dev" / "smalt" / "Shown.kt"

# Stands wherever a secret could; printed, it is found.
CANARY = "canary-4711"
PLAIN = {"Timestamp": "2026-01-02T03:04:05.000Z", "Duration": 1.5}


def holds(name: str) -> bool:
    """Whether it, or anything in it, has a secret or is hidden."""
    reached = g.schema.reach({name})
    return any(one in g.schema.HIDDEN or (one in g.DEFS and "Secret" in g.schema.references(g.DEFS[one])) for one in reached)


def sample(of: dict | bool, secret: bool = False) -> object:
    """A value of a schema that has everything which it can have."""
    if of is True or not isinstance(of, dict) or of == {}:
        return CANARY if secret else 1
    of, _ = g.nullable(of)
    name = g.ref(of)
    if name == "Secret":
        return CANARY
    if name == "Bytes":
        return base64.b64encode((CANARY if secret else "plain").encode()).decode()
    if name in PLAIN:
        return PLAIN[name]
    if name:
        return record(name, secret) if g.is_record(name) else sample(g.DEFS[name], secret)
    if "oneOf" in of:
        return of["oneOf"][0]["const"]
    if of.get("type") == "array":
        return [sample(of.get("items", True), secret)]
    if of.get("type") == "object":
        return {"key": sample(of.get("additionalProperties", True), secret)}
    known = {"string": CANARY if secret else "plain", "boolean": True, "integer": 1, "number": 1.5}
    return known.get(of.get("type"), CANARY if secret else 1)


def record(name: str, secret: bool = False) -> dict[str, object]:
    form, hidden = g.object_form(name), g.schema.HIDDEN.get(name, [])
    made = {}
    for field, of in form["properties"].items():
        # These have several forms, and no secret in any.
        if isinstance(of, dict) and g.ref(g.nullable(of)[0]) in ("Labels", "SecretRef"):
            continue
        made[field] = sample(of, secret or field in hidden)
    return made


def held() -> list[str]:
    """Answers that hold one, and whatever the list names of what is given."""
    reached = g.ANSWERED | (g.GIVEN & set(g.schema.HIDDEN))
    return [name for name in g.records() if not g.is_enum(g.DEFS[name]) and name in reached and holds(name)]


def kotlin_of(of: dict | bool, value: object) -> str:
    """The value of a schema as it is made in Kotlin, which has no way from JSON to what is only given."""
    if of is True or not isinstance(of, dict) or of == {}:
        return f"JsonPrimitive({json.dumps(value)})"
    of, _ = g.nullable(of)
    name = g.ref(of)
    if name == "Bytes":
        return f"bytesOf(JsonPrimitive({json.dumps(value)}))"
    if name and g.is_record(name):
        return kotlin_record(name, value)
    inner = of.get("additionalProperties") if of.get("type") == "object" else None
    if inner is not None and isinstance(value, dict):
        return "mapOf(" + ", ".join(f"{json.dumps(key)} to {kotlin_of(inner, one)}" for key, one in value.items()) + ")"
    assert of.get("type") in ("string", "boolean", "integer"), f"no value of {of} is made in Kotlin"
    return json.dumps(value)


def kotlin_record(name: str, value: object) -> str:
    assert isinstance(value, dict)
    its = g.object_form(name)["properties"]
    return f"{g.class_name(name)}({', '.join(f'{g.named(field)} = {kotlin_of(its[field], one)}' for field, one in value.items())})"


def files() -> dict[Path, str]:
    names = held()
    samples = {name: record(name) for name in names}
    table = "\n".join([swift.HEAD, "@testable import Smalt", "", "/// How a value of each type in bindings-swift/shown.json is read.", "let holders: [String: @Sendable (Data) throws -> any Encodable] = ["])
    table += "\n" + "".join(f'    "{name}": {{ try Codec.value({swift.class_name(name)}.self, $0) }},\n' for name in names) + "]\n"
    kotlin = [g.HEAD, "package dev.smalt", "", "import kotlinx.serialization.json.JsonElement", "import kotlinx.serialization.json.JsonPrimitive", ""]
    kotlin += ["/** How a value of each type in bindings-swift/shown.json is read, or made where it is only given. */"]
    kotlin += ["internal val HOLDERS: Map<String, (JsonElement) -> Any> =", "    mapOf("]
    for name in names:
        if name in g.ANSWERED:
            kotlin.append(f'        "{name}" to ::{g.type_of({"$ref": f"#/$defs/{name}"}).read.removesuffix("(it)")},')
        else:
            kotlin.append(f'        "{name}" to {{ _: JsonElement -> {kotlin_record(name, samples[name])} }},')
    kotlin += ["    )", ""]
    return {SAMPLES: json.dumps(samples, indent=2) + "\n", SWIFT: table, KOTLIN: "\n".join(kotlin)}
