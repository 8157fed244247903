#!/usr/bin/env bash
# On macOS: makes the native library for Apple's systems, bindings-swift/swift/SmaltFFI.xcframework, and the sizes of its parts.
#
# Devices get the library without an engine: a phone speaks to a server. Simulators and macOS have it, for previews and tests.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
made="$root/.cache/swift/apple"
if [ "$(uname -s)" != Darwin ]; then
	echo "An XCFramework is made on macOS, with Xcode." >&2
	exit 1
fi
cd "$root"
export IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0

# The glue is made from a library that has its symbols still.
"$root/bindings-swift/native.sh" swift "$root/.cache/swift/generated" >/dev/null
mkdir -p "$here/Sources/SmaltGlue"
cp "$root/.cache/swift/generated/SmaltGlue.swift" "$here/Sources/SmaltGlue/"
cp "$root/.cache/swift/generated/SmaltFFI.h" "$here/Sources/SmaltFFI/"
rm -rf "$made" "$here/SmaltFFI.xcframework"
mkdir -p "$made/headers"
cp "$here/Sources/SmaltFFI/SmaltFFI.h" "$made/headers/"
# Linked into the app: no library is named.
grep -v '^ *link ' "$here/Sources/SmaltFFI/module.modulemap" >"$made/headers/module.modulemap"

library() { # target, features
	rustup target add "$1" >/dev/null
	# shellcheck disable=SC2086
	cargo rustc -q --release --locked -p smalt-ffi --features shipped --lib --crate-type staticlib --target "$1" $2
	echo "$root/target/$1/release/libsmalt_ffi.a"
}
device="$(library aarch64-apple-ios --no-default-features)"
mkdir -p "$made/simulator" "$made/macos"
lipo -create "$(library aarch64-apple-ios-sim "")" "$(library x86_64-apple-ios "")" -output "$made/simulator/libsmalt_ffi.a"
lipo -create "$(library aarch64-apple-darwin "")" "$(library x86_64-apple-darwin "")" -output "$made/macos/libsmalt_ffi.a"

arguments=()
for archive in "$device" "$made/simulator/libsmalt_ffi.a" "$made/macos/libsmalt_ffi.a"; do
	arguments+=(-library "$archive" -headers "$made/headers")
	printf '%s\t%s\n' "$(stat -f %z "$archive")" "${archive#"$root"/}"
done
xcodebuild -create-xcframework "${arguments[@]}" -output "$here/SmaltFFI.xcframework" >/dev/null
