#!/usr/bin/env bash
# Fills a package repository with what a version of the Swift package has: the sources, what UniFFI made of the native library, and on
# Apple's systems where that is. Such a repository is what users add by its URL.
#
#   bindings-swift/swift/release.sh 1.2.3 FOLDER [URL CHECKSUM]
#
# FOLDER may be a clone of the repository, which gets one more commit and the tag; otherwise it is made. URL and CHECKSUM are those of the
# XCFramework's archive (`swift package compute-checksum`): it is uploaded before the tag is.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
version="$1" into="$2" url="${3:-}" checksum="${4:-}"

for file in SmaltGlue/SmaltGlue.swift SmaltFFI/SmaltFFI.h; do
	if [ ! -e "$here/Sources/$file" ]; then
		echo "There is no $file: run bindings-swift/swift.sh build first." >&2
		exit 1
	fi
done
if [ -n "$url" ] && [ -z "$checksum" ]; then
	echo "An archive needs its checksum." >&2
	exit 1
fi

if [ ! -d "$into/.git" ]; then
	mkdir -p "$into"
	git -C "$into" init -q -b main
fi
find "$into" -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +
mkdir -p "$into/bindings-swift/swift"
cp "$root/Package.swift" "$root/LICENSE" "$into"
# The package's own address is that of its releases, where there is one.
address="$(sed -nE 's|^(https://[^/]+/[^/]+/[^/]+)/releases/.*|\1|p' <<<"$url")"
sed -e "s/from: \"[^\"]*\"/from: \"$version\"/" -e "s|https://example.com/smalt.git|${address:-https://example.com/smalt.git}|" "$here/README.md" >"$into/README.md"
cp -r "$here/Sources" "$here/Examples" "$into/bindings-swift/swift"
# SwiftPM wants every target's folder, also in a package that is only used.
mkdir -p "$into/bindings-swift/swift/Tests/SmaltTests"
echo 'import Smalt' >"$into/bindings-swift/swift/Tests/SmaltTests/Empty.swift"
# Without an archive to name, the library itself has to be there: a package for this machine, as the tests' other project adds it.
if [ -z "$url" ] && [ -d "$here/SmaltFFI.xcframework" ]; then cp -R "$here/SmaltFFI.xcframework" "$into/bindings-swift/swift"; fi
if [ -n "$url" ]; then
	line="let released: (url: String, checksum: String)? = (\"$url\", \"$checksum\")"
	sed -i.orig "s|^let released:.*|$line|" "$into/Package.swift"
	rm "$into/Package.swift.orig"
	grep -qF "$line" "$into/Package.swift"
fi

author=(-c "user.name=Smalt" -c "user.email=release@localhost" -c commit.gpgsign=false -c tag.gpgsign=false)
git -C "$into" add -A -f
if ! git -C "$into" diff --cached --quiet; then git -C "$into" "${author[@]}" commit -q -m "$version"; fi
git -C "$into" "${author[@]}" tag -f "$version" >/dev/null
