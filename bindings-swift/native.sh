#!/usr/bin/env bash
# Makes what the packages stand on: the native library and UniFFI's glue for one language (`kotlin` or `swift`), in the folder that it is
# told. Nothing of it is checked in.
#
#   bindings-swift/native.sh kotlin .cache/kotlin/generated
#   bindings-swift/native.sh kotlin .cache/bench/kotlin bench    a release's library with the benches' peer in it; SMALT_BENCH_PROFILE has another profile
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$here")"
language="$1" into="$2"
target="${CARGO_TARGET_DIR:-$root/target}"

# The generator is the dearest thing here, and never changes with our own code: a workspace, a lock and a target folder of its own, never in
# release. Most of it is one crate, which one core compiles while the other one makes the library.
generator="$root/.cache/bindgen/debug/smalt-bindgen"
if [ ! -x "$generator" ]; then echo "Building UniFFI's generator: about 2 minutes on 2 cores, once." >&2; fi
CARGO_TARGET_DIR="$root/.cache/bindgen" cargo build -q --locked --manifest-path "$here/bindgen/Cargo.toml" &
making=$!

# The profile of the other tests, and the server beside it: so crates have the features that the Python package's have, and what was compiled
# for one is compiled for the other.
profile=dev build=(-p smalt-ffi -p smalt-server --lib)
if [ "${3:-}" = bench ]; then
	profile="${SMALT_BENCH_PROFILE:-release}"
	case "$profile" in
		dev) build+=(--features smalt-ffi/bench) ;;
		# With its symbols, which the generator reads.
		*) build=(-p smalt-ffi --lib --features bench,shipped --profile "$profile" --config "profile.$profile.package.smalt-ffi.strip=\"none\"") ;;
	esac
fi
cargo build -q --manifest-path "$root/Cargo.toml" "${build[@]}"
library="$target/${profile/#dev/debug}/libsmalt_ffi"
case "$(uname -s)" in
	Darwin) library+=.dylib ;;
	*) library+=.so ;;
esac
wait "$making"

if [ ! "$into/.made" -nt "$library" ] || [ ! "$into/.made" -nt "$here/bindgen/uniffi.toml" ]; then
	rm -rf "$into"
	mkdir -p "$into"
	# From the library as it was linked: one without its symbols says nothing of itself.
	"$generator" generate "$library" --language "$language" --no-format --config "$here/bindgen/uniffi.toml" --out-dir "$into"
	touch "$into/.made"
fi
printf '%s\n' "$library"
