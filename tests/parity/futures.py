"""Java's futures beside Kotlin's suspend functions, where both are written by hand: the same parameters with the same defaults, in one order.
Those of operations come from the schema, both in one go."""

from __future__ import annotations

import re
from pathlib import Path

from surfaces import Function, kotlin_functions

PACKAGE = "bindings-swift/kotlin/smalt/src/main/kotlin/dev/smalt"
# A class of Kotlin's, where it stands, and its like for Java.
CLASSES = {
    "Connecting": ("Handle.kt", "ConnectingFutures"),
    "Smalt": ("Smalt.kt", "JavaSmalt"),
    "Account": ("Account.kt", "JavaAccount"),
    "Session": ("Account.kt", "JavaSession"),
}
# Whoever takes a list's items one by one; it stands last.
TAKER = re.compile(r"^taker: Consumer<[^>]*>$")
# What Java gives in the place of what Kotlin does.
INSTEAD = {"body: Flow<ByteArray>": "body: InputStream"}


def members(text: str, name: str) -> dict[str, tuple[Function, str]]:
    """The functions of a class, each with the line that it begins on and with what it answers; not those of its companion."""
    lines = text.splitlines()
    begins = next(number for number, line in enumerate(lines, 1) if re.match(rf"public (?:abstract )?class {name}\b", line))
    ends = next(number for number, line in enumerate(lines, 1) if number > begins and re.match(r"    public companion object|}", line))
    found = {}
    for function in kotlin_functions(text):
        if begins < function.line < ends and re.match(r"    public ", lines[function.line - 1]):
            from_here = "\n".join(lines[function.line - 1 :])
            answers = re.match(rf".*?\({re.escape(function.head)}\): (\w+)", from_here)
            found[function.name] = (function, answers[1] if answers else "")
    return found


def parameters(head: str) -> list[str]:
    """Each with its type and its default."""
    made, depth = [""], 0
    for sign in head:
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            made.append("")
        else:
            made[-1] += sign
    return [" ".join(one.split()) for one in made if one.strip()]


def check(root: Path) -> list[str]:
    """What Java lacks, or has otherwise."""
    java = (root / PACKAGE / "Java.kt").read_text()
    said = []
    for name, (file, like) in CLASSES.items():
        text = (root / PACKAGE / file).read_text()
        theirs = members(java, like)
        for verb, (function, answers) in members(text, name).items():
            line = text.splitlines()[function.line - 1]
            if "suspend fun" not in line and answers != "Flow":
                continue
            if verb not in theirs:
                said.append(f"kotlin: `{like}` lacks `{verb}` of `{name}` ({PACKAGE}/{file}:{function.line})")
                continue
            wanted = [INSTEAD.get(one, one) for one in parameters(function.head)]
            its = parameters(theirs[verb][0].head)
            if answers == "Flow" and its and TAKER.match(its[-1]):
                its = its[:-1]
            if wanted != its:
                differ = sorted(set(wanted) ^ set(its)) or wanted
                said.append(f"kotlin: `{verb}` of `{like}` differs from that of `{name}` in {', '.join(f'`{one}`' for one in differ)} ({PACKAGE}/Java.kt:{theirs[verb][0].line})")
            before = java.splitlines()[theirs[verb][0].line - 2]
            if any(" = " in one for one in wanted) and "@JvmOverloads" not in before:
                said.append(f"kotlin: `{verb}` of `{like}` has defaults, and no overloads for Java ({PACKAGE}/Java.kt:{theirs[verb][0].line})")
    return said
