#!/usr/bin/env bash
# Builds what plays the server of the remote backend's cases and prints where it is: the Rust driver's test binary, with the features of the whole
# workspace's tests.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cargo test -q --manifest-path "$root/Cargo.toml" --workspace --test conformance --no-run --message-format=json |
	sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1
