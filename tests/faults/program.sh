#!/usr/bin/env bash
# Builds the bad network and prints where its program is. As a part of the whole workspace's tests, so that nothing is compiled for it alone.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cargo test -q --manifest-path "$root/Cargo.toml" --workspace --test whole --no-run
echo "${CARGO_TARGET_DIR:-$root/target}/debug/smalt-faults"
