"""Every version that the Swift and Kotlin packages name of themselves is the workspace's, and a release's tag is it, too.

    python3 bindings-swift/versions.py            compares
    python3 bindings-swift/versions.py v1.2.3     and with the tag of a release"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Iterator
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
POM = "{http://maven.apache.org/POM/4.0.0}"
# Of coordinates and of the line that adds the Swift package.
NAMED = re.compile(r'(?:dev\.smalt:[a-z-]+:|\.package\(url: "[^"]*", from: ")(\d+\.\d+\.\d+[^"\'\s)]*)')
PAGES = ["bindings-swift/kotlin/README.md", "bindings-swift/swift/README.md", "docs/kotlin.md", "docs/swift.md"]


def of_workspace() -> str:
    found = re.search(r'^\[workspace\.package\]\nversion = "([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.M)
    assert found, "Cargo.toml names no version"
    return found[1]


def of_pom(file: Path) -> Iterator[str]:
    """Its own, its parent's, and those of what it wants of ours."""
    top = ElementTree.parse(file).getroot()
    for part in [top, *top.iter(f"{POM}parent"), *top.iter(f"{POM}dependency")]:
        group, version = part.findtext(f"{POM}groupId"), part.findtext(f"{POM}version")
        if group == "dev.smalt" and version and version != "${project.version}":
            yield version


def named() -> Iterator[tuple[str, str]]:
    """Where a version stands, and which."""
    kotlin = ROOT / "bindings-swift" / "kotlin"
    for file in sorted([*kotlin.glob("*/pom.xml"), *kotlin.glob("*/published.pom"), kotlin / "pom.xml"]):
        yield from ((str(file.relative_to(ROOT)), version) for version in of_pom(file))
    for page in PAGES:
        found = NAMED.findall((ROOT / page).read_text())
        if not found:
            yield page, "none"
        yield from ((page, version) for version in found)


def main() -> int:
    version = of_workspace()
    wrong = [f"{where} names {its}" for where, its in named() if its != version]
    if len(sys.argv) > 1 and sys.argv[1] != f"v{version}":
        wrong.append(f"the tag is {sys.argv[1]}")
    for line in wrong:
        print(f"{line}, and the workspace's version is {version}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
