#!/usr/bin/env bash
# Measures the library as it is shipped (x86-64 Linux, the release profile, stripped), with the engine and without it, and notes both in
# sizes.tsv, a row per version; the same version's row is replaced. Fails above the budgets, as it does today: docs/benches.md.
#
#   bindings-swift/sizes.sh            measure and note; takes minutes
#   bindings-swift/sizes.sh --check    only whether the last row is within the budgets
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$here")"
ledger="$here/sizes.tsv"
# In bytes; the manifests of applications, which grow with their number, are not counted.
embedded_at_most=6500000
slim_at_most=4000000

if [ "${1:-}" != --check ]; then
	target="${CARGO_TARGET_DIR:-$root/target}"
	library="$target/release/libsmalt_ffi.so"
	version="$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")"
	measured() {
		cargo build -q --release --manifest-path "$root/Cargo.toml" -p smalt-ffi --features shipped "$@" >&2
		stat -c %s "$library"
	}
	embedded="$(measured)"
	slim="$(measured --no-default-features)"
	# They lie in the library as they are.
	manifests="$(cat "$root"/core/apps/*.toml | wc -c)"
	{ grep -v "^$version	" "$ledger" || true; printf '%s\t%s\t%s\t%s\n' "$version" "$embedded" "$slim" "$manifests"; } > "$ledger.new"
	mv "$ledger.new" "$ledger"
fi
read -r version embedded slim manifests < <(tail -1 "$ledger")
echo "smalt-ffi $version: $embedded bytes with the engine, of which $manifests are manifests of applications; $slim bytes without"
if [ "$((embedded - manifests))" -gt "$embedded_at_most" ] || [ "$slim" -gt "$slim_at_most" ]; then
	echo "more than $embedded_at_most and $slim_at_most" >&2
	exit 1
fi
