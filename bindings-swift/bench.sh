#!/usr/bin/env bash
# Measures the Kotlin and Swift packages beside plain UniFFI; adds rows to target/bench.json.
#
#   bindings-swift/bench.sh                    both; Swift only where it can be had
#   bindings-swift/bench.sh kotlin ready       one language, and some of `ready pending crossings heap` (Swift: `ready pending`)
#
# Builds a release's library with the peer in it: minutes, once. SMALT_BENCH_PROFILE=dev takes the library of the tests, whose figures say little.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$here")"
made="$root/.cache/bench"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
language="${1:-}"
if [ "$#" != 0 ]; then shift; fi

kotlin() {
	if ! command -v mvn >/dev/null; then
		echo "The Kotlin benches need Maven and a JDK, which \`make kotlin\` installs." >&2
		exit 1
	fi
	local library
	library="$("$here/native.sh" kotlin "$made/kotlin/generated" bench)"
	# Each crossing is counted where it is made, in both directions, in the package as in its peer.
	rm -rf "$made/kotlin/counted"
	mkdir -p "$made/kotlin/counted"
	sed -E -e 's/\bUniffiLib\.(uniffi_|ffi_)/Crossings.to.\1/g' \
		-e 's/override fun callback\(data: Long, pollResult: Byte\) \{/& Crossings.back();/' \
		"$made/kotlin/generated/dev/smalt/ffi/smalt_ffi.kt" >"$made/kotlin/counted/smalt_ffi.kt"
	(
		cd "$here/kotlin"
		mvn -B -ntp -q -Dstyle.color=never "-Dmaven.repo.local=$root/.cache/maven" -f bench/pom.xml clean compile \
			org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath "-Dmdep.outputFile=$made/kotlin/classpath"
	)
	java --enable-native-access=ALL-UNNAMED -Xmx1g "-Dsmalt.library=$library" "-Dsmalt.ledger=$here/kotlin/bench/crossings.json" \
		-cp "$here/kotlin/bench/target/classes:$(cat "$made/kotlin/classpath")" dev.smalt.BenchKt "$CARGO_TARGET_DIR/bench.json" "$@"
}

swift() {
	local status=0
	"$here/swift.sh" bench "$@" || status=$?
	if [ "$status" = 69 ] && [ -z "$language" ]; then
		echo "NOT MEASURED: the Swift package, since Swift can't be had here." >&2
		return 0
	fi
	return "$status"
}

case "$language" in
	"")
		kotlin
		swift
		;;
	kotlin | swift) "$language" "$@" ;;
	*)
		echo "There is no such language: kotlin or swift." >&2
		exit 1
		;;
esac
