#!/usr/bin/env bash
# Runs a command that downloads, up to three times: one transfer that breaks is no reason to end a run.
set -euo pipefail
for pause in 5 20; do
	status=0
	"$@" || status=$?
	# Done, no such program, or somebody ended it.
	case $status in 0 | 126 | 127 | 130 | 143) exit $status ;; esac
	echo "$1 failed; it is tried again in $pause s" >&2
	sleep "$pause"
done
exec "$@"
