#!/usr/bin/env bash
# Measures the release package beside its peers; adds rows to target/bench.json.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$here")"
project="$root/.cache/node/bench"
target="${CARGO_TARGET_DIR:-$root/target}"
cargo build -q --release -p smalt-node
for suffix in so dylib; do [ -e "$target/release/libsmalt_node.$suffix" ] && addon="$target/release/libsmalt_node.$suffix"; done
mkdir -p "$project"
cp "$here"/bench/* "$project/"
npm=(--no-audit --no-fund --ignore-scripts --loglevel=error --cache "$root/.cache/npm")
(cd "$here" && [ -d node_modules/rollup ] || npm ci "${npm[@]}")
node "$here/scripts/build.mjs"
node "$here/scripts/pack.mjs" "$addon" "$project/packed"
cd "$project"
npm install "${npm[@]}" --no-package-lock
npm install --no-save "${npm[@]}" ./packed/*.tgz
ADDON="$(echo node_modules/@smalt-dev/*/smalt.*.node)" SMALT_ROOT="$root" exec node bench.mjs "$@"
