"""Looks at what `kotlin.sh release` put together: whether it is all that Maven Central wants, and nothing else.

    python3 bindings-swift/kotlin/published.py .cache/kotlin/release"""

from __future__ import annotations

import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Iterator
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
POM = "{http://maven.apache.org/POM/4.0.0}"
MODULES = {"smalt-ffi": "ffi", "smalt-natives": "natives", "smalt": "smalt", "smalt-android": "android", "smalt-androidx": "androidx"}
# What Maven Central refuses a POM without; a child has its parent's.
WANTED = ["name", "description", "url", "licenses/license/name", "developers/developer/name", "scm/url", "scm/connection"]
# JNA is called by name, and so is what UniFFI made.
KEPT = ["-keep class com.sun.jna.** { *; }", "-keep class dev.smalt.ffi.** { *; }", "-keepclassmembernames class dev.smalt.Connector"]


def names(archive: bytes | Path) -> set[str]:
    with zipfile.ZipFile(BytesIO(archive) if isinstance(archive, bytes) else archive) as its:
        if its.testzip():
            raise SystemExit(f"{archive!r} is broken")
        return {name for name in its.namelist() if not name.endswith("/")}


def within(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def of_classes(artefact: str, its: set[str]) -> Iterator[str]:
    """What is wrong with a jar of classes: it has those of its module, and none of its tests'."""
    module = HERE / MODULES[artefact] / "target"
    classes, tests = within(module / "classes"), within(module / "test-classes")
    if not any(name.endswith(".class") for name in its):
        yield f"{artefact}: there is no class"
    for name in sorted(its & (tests - classes)):
        yield f"{artefact}: {name} is one of the tests'"
    for name in sorted(its - classes):
        if not name.startswith("META-INF/"):
            yield f"{artefact}: nobody knows where {name} comes from"
    for name in sorted(classes - its):
        if not name.startswith("META-INF/"):
            yield f"{artefact}: {name} is not there"


def of_aar(artefact: str, file: Path) -> Iterator[str]:
    its = names(file)
    android = artefact == "smalt-android"
    wanted = {"AndroidManifest.xml", "classes.jar", "R.txt"} | ({"proguard.txt"} if android else set())
    for name in sorted(wanted - its):
        yield f"{artefact}: {name} is not there"
    for name in sorted(its - wanted):
        if not (android and name.startswith("jni/") and name.endswith(".so")):
            yield f"{artefact}: {name} has no place there"
    with zipfile.ZipFile(file) as archive:
        if "proguard.txt" in its:
            rules = archive.read("proguard.txt").decode()
            yield from (f"{artefact}: there is no rule `{rule}`" for rule in KEPT if android and rule not in rules)
        if "classes.jar" in its:
            yield from of_classes(artefact, names(archive.read("classes.jar")))


def of_pom(artefact: str, file: Path, parent: ElementTree.Element, version: str) -> Iterator[str]:
    top = ElementTree.parse(file).getroot()
    inherits = top.find(f"{POM}parent") is not None
    for wanted in WANTED:
        path = "/".join(POM + part for part in wanted.split("/"))
        if not (top.findtext(path) or (inherits and parent.findtext(path))):
            yield f"{artefact}: its POM has no {wanted}"
    own = top.findtext(f"{POM}version") or top.findtext(f"{POM}parent/{POM}version")
    if own != version or top.findtext(f"{POM}artifactId") != artefact:
        yield f"{artefact}: its POM is that of {top.findtext(f'{POM}artifactId')} {own}"
    for wants in top.iterfind(f"{POM}dependencies/{POM}dependency"):
        group, name, scope = (wants.findtext(POM + part) or "" for part in ("groupId", "artifactId", "scope"))
        if scope != "test" and (group.startswith("dev.smalt.unpacked") or group == "org.robolectric"):
            yield f"{artefact}: users would need {group}:{name}, which is ours alone"
        if artefact == "smalt" and name == "smalt-ffi" and scope != "runtime":
            yield f"{artefact}: users would compile against {name}"


def wrong(folder: Path) -> Iterator[str]:
    parent = ElementTree.parse(HERE / "pom.xml").getroot()
    version = parent.findtext(f"{POM}version") or ""
    wanted = {f"smalt-parent-{version}.pom"}
    for artefact in MODULES:
        form = "aar" if "android" in artefact else "jar"
        wanted |= {f"{artefact}-{version}{end}" for end in (".pom", f".{form}", "-sources.jar", "-javadoc.jar")}
    there = {file.name for file in folder.iterdir()}
    yield from (f"{name} is not there" for name in sorted(wanted - there))
    yield from (f"{name} has no place there" for name in sorted(there - wanted))
    if wanted - there:
        return
    yield from of_pom("smalt-parent", folder / f"smalt-parent-{version}.pom", parent, version)
    for artefact, module in MODULES.items():
        base = f"{artefact}-{version}"
        yield from of_pom(artefact, folder / f"{base}.pom", parent, version)
        if "android" in artefact:
            yield from of_aar(artefact, folder / f"{base}.aar")
        elif artefact != "smalt-natives":
            yield from of_classes(artefact, names(folder / f"{base}.jar"))
        elif not any(name.endswith((".so", ".dylib", ".dll")) for name in names(folder / f"{base}.jar")):
            yield f"{artefact}: there is no library"
        sources = names(folder / f"{base}-sources.jar")
        if any(name.endswith((".so", ".dylib", ".dll")) for name in sources):
            yield f"{artefact}: a library is among the sources"
        sources = {name for name in sources if name.endswith(".kt")}
        own = {name for name in within(HERE / module / "src" / "main" / "kotlin")}
        yield from (f"{artefact}: the source of {name} is not there" for name in sorted(own - sources))
        # Of `ffi` they are what UniFFI made.
        yield from (f"{artefact}: {name} is no source of it" for name in sorted(sources - own) if module != "ffi")
        if not sources and module != "natives":
            yield f"{artefact}: there are no sources"
        documentation = names(folder / f"{base}-javadoc.jar")
        if ("index.html" if artefact == "smalt" else "README.md") not in documentation:
            yield f"{artefact}: there is no documentation"


def main() -> int:
    found = list(wrong(Path(sys.argv[1])))
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
