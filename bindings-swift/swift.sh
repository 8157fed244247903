#!/usr/bin/env bash
# Builds the Swift package, tests it, and uses it from another project, which adds it by a git URL.
#
#   bindings-swift/swift.sh                           everything
#   bindings-swift/swift.sh build                     the package only, as users build it
#   bindings-swift/swift.sh test --filter CallsTests  some tests; CASE=<part of an id> chooses conformance cases
#   bindings-swift/swift.sh bench                     measures it, in .cache/bench/swift; see bench.sh
#
# It takes the `swift` on the PATH. Where there is none, and you are root on Debian, it makes a folder with Debian's own (3.1 GB, about 3 minutes,
# once) in SMALT_CACHE (default /var/cache/smalt) and works in that with bubblewrap, which leaves no mount. Where Swift can't be had, it ends
# with status 69.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$here")"
made="$root/.cache/swift"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
debian="${SMALT_CACHE:-/var/cache/smalt}/swift"
say() { echo "swift: $*" >&2; }
cannot() {
	say "$*"
	exit 69
}

installed() {
	for tool in "$@"; do command -v "$tool" >/dev/null || return 1; done
}

# Debian's Swift in a folder of its own. Two checkouts may want it at the same time.
debians() {
	if ! installed debootstrap bwrap; then
		say "installing debootstrap and bubblewrap"
		local packages=(-y -qq --no-install-recommends debootstrap bubblewrap)
		apt-get install "${packages[@]}" >/dev/null 2>&1 || { apt-get update -qq && apt-get install "${packages[@]}" >/dev/null; } ||
			cannot "debootstrap and bubblewrap can't be installed, so Swift can't be had"
	fi
	mkdir -p "$(dirname "$debian")"
	exec 8>"$debian.lock"
	flock 8
	if [ ! -d "$debian" ]; then
		say "there is no swift on the PATH: making $debian with Debian's (3.1 GB, about 3 minutes, once)"
		rm -rf "$debian.new"
		local mirror
		mirror="$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs: *//p' | head -1)"
		if ! debootstrap --variant=minbase --include=swiftlang,libc6-dev,libstdc++-14-dev,ca-certificates,git,pkgconf trixie "$debian.new" \
			"${mirror:-http://deb.debian.org/debian}" >"$debian.log" 2>&1; then
			tail -5 "$debian.log" >&2
			cannot "Debian's Swift can't be had; $debian.log says why"
		fi
		# The archives that it was unpacked from.
		rm -rf "$debian.new"/var/cache/apt/archives/*.deb
		mv "$debian.new" "$debian"
	fi
	exec 8>&-
}

if command -v swift >/dev/null; then
	say "using $(command -v swift)"
	within() { LD_LIBRARY_PATH="$native${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" PKG_CONFIG_PATH="$native" "$@"; }
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	debians
	say "no swift on the PATH: using that in $debian"
	within() {
		local folder name binds=() given=()
		for folder in "$root" "$CARGO_TARGET_DIR"; do
			mkdir -p "$debian$folder"
			binds+=(--bind "$folder" "$folder")
		done
		for name in CASE SMALT_FULL SMALT_CONFORMANCE_SERVER SMALT_FAULTS CARGO_TARGET_DIR SMALT_STAND_INS; do
			if [ -n "${!name:-}" ]; then given+=(--setenv "$name" "${!name}"); fi
		done
		bwrap --die-with-parent --unshare-pid --ro-bind "$debian" / --proc /proc --dev /dev --tmpfs /tmp --tmpfs /root "${binds[@]}" --clearenv "${given[@]}" \
			--setenv PATH /usr/bin:/bin --setenv HOME /tmp --setenv LANG C.UTF-8 --setenv LD_LIBRARY_PATH "$native" \
			--setenv PKG_CONFIG_PATH "$native" --chdir "$PWD" "$@"
	}
else
	cannot "there is no swift on the PATH, and only root on Debian can be helped: install Swift 6 (https://swift.org/install)"
fi

# Runs tests. Of those that end their process, or never end, it says which they were.
tested() {
	local log="$made/test.log" status=0 limit=()
	if command -v timeout >/dev/null; then limit=(timeout --kill-after=20 "$([ -n "${SMALT_FULL:-}" ] && echo 14400 || echo 1800)"); fi
	within ${limit[@]+"${limit[@]}"} swift test "$@" 2>&1 | tee "$log" || status="${PIPESTATUS[0]}"
	if [ "$status" = 0 ] && grep -qE 'Test run with 0 tests' "$log"; then
		say "no test has such a name"
		return 1
	fi
	if [ "$status" = 0 ]; then return 0; fi
	case "$status" in
		124 | 137) say "the tests did not end in time" ;;
		*) say "the tests failed, with status $status" ;;
	esac
	# Whoever began, and neither passed nor failed.
	sed -nE 's/^[^ ]+ +Test (.*\)) (started\.|(passed|failed|skipped) .*)$/\1/p' "$log" | sort | uniq -u | while read -r name; do
		say "it was in $name"
	done
	return 1
}

# What links finds the library by this, as users do.
described() {
	native="$(dirname "$1")"
	cat >"$native/smalt_ffi.pc" <<PC
Name: smalt_ffi
Description: The native half of Smalt's Swift package
Version: 0
Libs: -L$native -lsmalt_ffi
PC
}

if [ "${1:-}" = bench ]; then
	shift
	made="$root/.cache/bench/swift"
	library="$("$here/native.sh" swift "$made/generated" bench)"
	described "$library"
	rm -rf "$made/package/Sources"
	mkdir -p "$made/package/Sources/SmaltGlue"
	cp -r "$here/swift/bench/." "$made/package/"
	cp -r "$here"/swift/Sources/Smalt{,FFI} "$made/package/Sources/"
	cp "$made/generated/SmaltGlue.swift" "$made/package/Sources/SmaltGlue/"
	cp "$made/generated/SmaltFFI.h" "$made/package/Sources/SmaltFFI/"
	cd "$made/package"
	# As users build it for a release, but for what lets the bench see what is internal.
	within swift build -q -c release --disable-sandbox --scratch-path "$made/build" -Xswiftc -enable-testing
	within "$made/build/release/Bench" "$CARGO_TARGET_DIR/bench.json" "$@"
	exit 0
fi

library="$("$here/native.sh" swift "$made/generated")"
described "$library"
for file in "SmaltGlue/SmaltGlue.swift" "SmaltFFI/SmaltFFI.h"; do
	mkdir -p "$(dirname "$here/swift/Sources/$file")"
	cmp -s "$made/generated/$(basename "$file")" "$here/swift/Sources/$file" || cp "$made/generated/$(basename "$file")" "$here/swift/Sources/$file"
done

cd "$root"
swift=(--disable-sandbox -Xswiftc -warnings-as-errors)
if [ "${1:-}" = build ]; then
	within swift build --scratch-path "$made/plain" "${swift[@]}"
	exit 0
fi
if [ "${1:-}" = test ]; then shift; fi

# What plays the server of the remote backend's cases, and what plays bad networks.
SMALT_CONFORMANCE_SERVER="$("$root/tests/conformance/program.sh")"
SMALT_FAULTS="$("$root/tests/faults/program.sh")"
export SMALT_CONFORMANCE_SERVER SMALT_FAULTS
# One build has all: on Linux it has stand-ins of Apple's frameworks, so that the presenters and the example are compiled and tested too. The
# other project, below, has the package without them.
if [ "$(uname -s)" = Linux ]; then export SMALT_STAND_INS=1; fi
# One test after the other: some look at counters of the whole process.
tested --scratch-path "$made/tests" "${swift[@]}" --disable-xctest --no-parallel "$@"
if [ "$#" != 0 ]; then exit 0; fi

if ! within swift format --version >/dev/null 2>&1; then
	say "this Swift has no \`swift format\`, which is in every toolchain of Swift 6: how the sources are written can't be looked at"
	exit 1
fi
say "format"
within swift format lint --strict --recursive --parallel Package.swift bindings-swift/swift/Sources/Smalt \
	bindings-swift/swift/Sources/SmaltTesting bindings-swift/swift/{Tests,Examples,StandIns,consumer,bench}

if [ "$(uname -s)" = Linux ]; then
	say "documentation, where a link that leads nowhere is an error: $made/documentation"
	rm -rf "$made/symbols" "$made/documentation"
	mkdir -p "$made/symbols"
	# Debian keeps these tools beside its compiler, and not on the PATH.
	if ! within sh -euc 'PATH="$PATH:/usr/libexec/swift/bin"
		for module in Smalt SmaltTesting; do
			swift-symbolgraph-extract -module-name "$module" -target "$(swift -print-target-info | sed -n "s/.*\"triple\": \"\(.*\)\",/\1/p" | head -1)" \
				-I "$1/tests/debug/Modules" -Xcc "-fmodule-map-file=$2/SmaltFFI/module.modulemap" \
				-minimum-access-level public -skip-synthesized-members -output-dir "$1/symbols"
		done
		docc convert --warnings-as-errors --additional-symbol-graph-dir "$1/symbols" --output-path "$1/documentation" \
			--fallback-display-name Smalt --fallback-bundle-identifier dev.smalt.Smalt --fallback-bundle-version 1' sh "$made" "$here/swift/Sources" >"$made/docc.log" 2>&1; then
		cat "$made/docc.log" >&2
		exit 1
	fi
fi

say "another project, which adds the package by a git URL"
unset SMALT_STAND_INS
"$here/swift/release.sh" 0.0.1 "$made/smalt"
rm -rf "$made/consumer"
mkdir "$made/consumer"
cp -r "$here/swift/consumer/". "$root/examples/acme-crm" "$made/consumer/"
mv "$made/consumer/acme-crm/"*.swift "$made/consumer/Tests/ConsumerTests/"
cp "$root/examples/ten-lines/"*.swift "$made/consumer/Tests/ConsumerTests/"
sed -i.orig "s|https://example.com/smalt.git|file://$made/smalt|" "$made/consumer/Package.swift"
cd "$made/consumer"
tested --disable-sandbox --disable-xctest
