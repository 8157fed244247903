#!/usr/bin/env bash
# Builds the addon and the packages, and installs their tarballs into an ESM and a CJS project below .cache/node. What did not change is
# not made again. SMALT_ADDON_FILE names an addon that is built already.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
package=$root/bindings-node
cache=$root/.cache/node
target=${CARGO_TARGET_DIR:-$root/target}
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

stamp() { [ "$(cat "$cache/$1.stamp" 2>/dev/null)" = "$2" ]; }
install() { # <folder> <name>: from its lock
	local wanted
	wanted=$(cat "$1/package.json" "$1/package-lock.json" | sha256sum | cut -d' ' -f1)-$(node --version)
	if [ ! -d "$1/node_modules" ] || ! stamp "$2" "$wanted"; then
		echo "Installing npm packages into ${1#"$root"/}/node_modules"
		(cd "$1" && "$root/tests/again.sh" npm ci --no-audit --no-fund --ignore-scripts --loglevel=error --cache "$root/.cache/npm")
		printf '%s' "$wanted" >"$cache/$2.stamp"
	fi
}

file=${SMALT_ADDON_FILE:-}
if [ -z "$file" ]; then
	cargo build -q -p smalt-node
	for suffix in so dylib; do [ -e "$target/debug/libsmalt_node.$suffix" ] && file=$target/debug/libsmalt_node.$suffix; done
fi
install "$package" package
# Other runtimes and a Next.js application, outside of the source tree.
for kind in runtimes next; do
	mkdir -p "$cache/$kind"
	cp "tests/node/$kind/package.json" "tests/node/$kind/package-lock.json" "$cache/$kind/"
	install "$cache/$kind" "$kind"
done
node "$package/scripts/build.mjs"
node "$package/scripts/pack.mjs" "$file" "$cache/packed"

tarballs=("$cache"/packed/*.tgz)
wanted=$(cat "${tarballs[@]}" tests/node/package-lock.json | sha256sum | cut -d' ' -f1)
if ! stamp projects "$wanted"; then
	for kind in esm cjs next; do
		project=$cache/$kind
		mkdir -p "$project"
		rm -rf "$project/node_modules/smalt" "$project/node_modules/@smalt-dev"
		if [ $kind = esm ]; then
			cp tests/node/package.json tests/node/package-lock.json "$project/"
			install "$project" esm
		elif [ $kind = cjs ]; then
			printf '{"name": "smalt-test-cjs", "private": true, "type": "commonjs"}\n' >"$project/package.json"
		fi
		(cd "$project" && npm install --offline --no-save --no-audit --no-fund --ignore-scripts --loglevel=error --cache "$root/.cache/npm" "${tarballs[@]}")
	done
	printf '%s' "$wanted" >"$cache/projects.stamp"
fi
