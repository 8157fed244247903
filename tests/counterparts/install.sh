#!/usr/bin/env bash
# Installs what the tests run against: npm packages beside this file, Chromium from apt. Does nothing when it was done.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
cache=$root/.cache
mkdir -p "$cache"

# The cargo tests and make may call this at the same time.
exec 9>"$cache/counterparts.lock"
flock 9

wanted=$(cat package.json package-lock.json | sha256sum | cut -d' ' -f1)-node$(node --version)
stamp=$cache/counterparts.stamp
if [ ! -d node_modules ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
	echo "Installing the counterparts' npm packages into tests/counterparts/node_modules"
	if ! "$root/tests/again.sh" npm ci --no-audit --no-fund --ignore-scripts --loglevel=error --cache "$cache/npm" >"$cache/npm.log" 2>&1; then
		cat "$cache/npm.log" >&2
		exit 1
	fi
	printf '%s' "$wanted" >"$stamp"
fi

browser=${CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$browser" ]; then
	if [ -n "${CHROMIUM:-}" ]; then
		echo "CHROMIUM names $CHROMIUM, which is no program. Correct it, or leave it out to use /usr/bin/chromium." >&2
		exit 1
	fi
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "The tests drive Chromium and found none at $browser. Install it (Debian: apt-get install chromium), or set CHROMIUM to its path." >&2
		exit 1
	fi
	echo "Installing chromium with apt-get (about 125 MB)"
	export DEBIAN_FRONTEND=noninteractive
	if ! "$root/tests/again.sh" bash -c "apt-get update -qq || true; apt-get install -y -qq --no-install-recommends chromium" >"$cache/apt.log" 2>&1; then
		tail -n 20 "$cache/apt.log" >&2
		exit 1
	fi
fi
