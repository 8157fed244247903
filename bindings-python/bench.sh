#!/usr/bin/env bash
# Measures the release wheel beside its peers; adds rows to target/bench.json.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$here")"
cache="$root/.cache/python"
export PIP_DISABLE_PIP_VERSION_CHECK=1 CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
mkdir -p "$cache"
for environment in "tools:$here/tools.txt" "bench:$here/bench/requirements.txt"; do
	into="$cache/${environment%%:*}" list="${environment#*:}"
	if ! cmp -s "$list" "$into/installed.txt"; then
		rm -rf "$into"
		python3 -m venv "$into"
		"$into/bin/pip" install -q -r "$list"
		cp "$list" "$into/installed.txt"
	fi
done
rm -rf "$cache/release"
"$cache/tools/bin/maturin" build -q --release --manifest-path "$here/Cargo.toml" --out "$cache/release"
"$cache/bench/bin/pip" install -q --force-reinstall --no-deps "$cache"/release/*.whl
export WHEEL="$(echo "$cache"/release/*.whl)"
cd "$cache"
exec "$cache/bench/bin/python" "$here/bench/bench.py" "$@"
