#!/usr/bin/env bash
# Fuzzes each target for so many seconds (default 60) with libFuzzer. What reaches new code lies in target/fuzz/new and is where the next run goes on; with KEEP=1
# the smallest set of it that reaches all of that joins `corpus`, which the tests play. Ends with an error when a target broke: the input lies in target/fuzz/broken then.
# Needs a C++ compiler beside Rust.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
root=$(cd ../.. && pwd)
build=${CARGO_TARGET_DIR:-$root/target}/fuzz
# What `cargo fuzz` passes, without its need of a nightly compiler.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
if ! command -v "${CXX:-c++}" >/dev/null; then
	echo "libFuzzer is C++, and there is no C++ compiler here: install one, or name it in CXX." >&2
	exit 1
fi
echo "== Building the fuzzer into $build (a few minutes, once)"
cargo build -q --release --target-dir "$build" --target "$(rustc -vV | sed -n 's/^host: //p')"
program=$(find "$build" -path '*/release/smalt-fuzz' -type f | head -n 1)
broken=0
for target in token cursor template answer manifest fields; do
	mkdir -p "corpus/$target" "$build/new/$target" "$build/broken"
	echo "== $target, $seconds s"
	if ! SMALT_FUZZ=$target "$program" "$build/new/$target" "corpus/$target" -max_total_time="$seconds" -max_len=4096 -timeout=20 \
		-rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 -artifact_prefix="$build/broken/$target-" 2>"$build/$target.log"; then
		tail -n 30 "$build/$target.log"
		broken=1
	fi
	if [ -n "${KEEP:-}" ]; then
		had=$(find "corpus/$target" -type f | wc -l)
		SMALT_FUZZ=$target "$program" -merge=1 -max_len=4096 -timeout=20 -rss_limit_mb=2048 -verbosity=0 "corpus/$target" "$build/new/$target" 2>"$build/$target.merge.log" ||
			{ tail -n 30 "$build/$target.merge.log"; broken=1; }
		echo "kept: $(($(find "corpus/$target" -type f | wc -l) - had)) more inputs in tests/fuzz/corpus/$target"
	fi
	grep -E 'stat::(number_of_executed_units|new_units_added)' "$build/$target.log" || true
done
exit "$broken"
