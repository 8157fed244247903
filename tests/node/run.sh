#!/usr/bin/env bash
# Runs the package's tests and the conformance cases, from the installed tarballs: `run.sh [test|conformance] (without: both)`.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
export SMALT_ROOT=$root
esm=$root/.cache/node/esm
cjs=$root/.cache/node/cjs
# Outside of the source tree, so that nothing but the tarball is found.
for project in "$esm" "$cjs"; do rm -rf "$project/tests"; mkdir -p "$project/tests"; done
cp -r ./*.mjs test types runtimes ../../bindings-node/examples "$esm/tests/"
cp ../../examples/{acme-crm,ten-lines}/*.mjs "$esm/tests/examples/"
cp -r cjs/* "$cjs/tests/"
what=${1:-all}
if [ "$what" != test ]; then
	(cd "$esm" && node tests/conformance.mjs)
fi
if [ "$what" != conformance ]; then
	SMALT_FAULTS=$("$root/tests/faults/program.sh")
	export SMALT_FAULTS
	(cd "$esm/tests/types" && node ../../node_modules/typescript/bin/tsc -p . && node ../../node_modules/typescript/bin/tsc -p examples.json)
	(cd "$esm" && node --test --test-reporter=spec tests/test/*.test.mjs)
	(cd "$cjs" && node --test --test-reporter=spec tests/*.test.cjs)
fi
