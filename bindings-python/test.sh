#!/usr/bin/env bash
# Builds the wheel once, installs it into a clean virtualenv, and runs the tests from outside of the source tree.
#
#   bindings-python/test.sh           everything
#   bindings-python/test.sh build     the wheel and the virtualenv only
#   bindings-python/test.sh -k name   some tests
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$here")"
cache="$root/.cache/python"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"

# A virtualenv with what a list names; made again when the list changes.
environment() {
	local into="$1" list="$2"
	if ! cmp -s "$list" "$into/installed.txt"; then
		rm -rf "$into"
		python3 -m venv "$into"
		"$root/tests/again.sh" "$into/bin/pip" install -q -r "$list"
		cp "$list" "$into/installed.txt"
	fi
}

mkdir -p "$cache"
environment "$cache/tools" "$here/tools.txt"
environment "$cache/venv" "$here/tests/requirements.txt"
python3 "$here/generate.py" --check
"$cache/tools/bin/ruff" check -q "$here" "$root/examples"
"$cache/tools/bin/ruff" format -q --check "$here"
"$cache/tools/bin/ruff" format -q --check --line-length 140 "$root/examples"

# The profile of the other tests: what is compiled for them is compiled for the wheel.
rm -rf "$cache/wheel"
"$cache/tools/bin/maturin" build -q --profile dev --manifest-path "$here/Cargo.toml" --out "$cache/wheel"
"$cache/venv/bin/pip" install -q --force-reinstall --no-deps "$cache"/wheel/*.whl
if [ "${1:-}" = build ]; then exit 0; fi

# What others build from: all sources, and nothing else.
rm -rf "$cache/sdist"
if ! "$cache/tools/bin/maturin" sdist --manifest-path "$here/Cargo.toml" --out "$cache/sdist" >"$cache/sdist.log" 2>&1; then
	cat "$cache/sdist.log" >&2
	exit 1
fi
python3 "$here/sdist.py" "$cache"/sdist/*.tar.gz

SMALT_FAULTS="$("$root/tests/faults/program.sh")"
export SMALT_FAULTS
outside="$(mktemp -d)"
trap 'rm -rf "$outside"' EXIT
cd "$outside"
"$cache/venv/bin/python" -m pytest -q -p no:cacheprovider --rootdir "$here/tests" "$here/tests" "$@"
