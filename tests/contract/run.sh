#!/usr/bin/env bash
# S-68: the HTTP API against its own OpenAPI document, judged by schemathesis: coverage, fuzzing and stateful runs, with an API key and with a
# session. Takes how many cases per operation fuzzing makes; fails on a 5xx, on what the document does not describe, and on a dead server.
set -euo pipefail
cd "$(dirname "$0")"
each=${1:-2}
root=$(cd ../.. && pwd)
program=${SMALT:-${CARGO_TARGET_DIR:-$root/target}/debug/smalt}
venv=$root/.cache/contract
if [ ! -x "$venv/bin/schemathesis" ]; then
	python3 -m venv "$venv"
	"$root/tests/again.sh" "$venv/bin/pip" -q install --disable-pip-version-check 'schemathesis==4.32.5'
fi

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
cp smalt.toml "$work/smalt.toml"
cd "$work"
for name in $(compgen -v SMALT_ || true); do unset "$name"; done
"$program" keys create --out smalt.key >/dev/null
key=$("$program" keys api create --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["key"])')
"$program" serve --listen 127.0.0.1:0 --json >out 2>err &
server=$!
for _ in $(seq 600); do [ -s out ] && break; kill -0 "$server"; sleep 0.1; done
url=$(head -n1 out | python3 -c 'import json, sys; print(json.load(sys.stdin)["url"])')
call() { curl -sS -f -X "$1" "$url$2" -H "x-api-key: $key" -H 'content-type: application/json' -d "$3"; }
call PUT /api/v2/public/linked-account '{"linked_account_id":"ada","name":"Ada"}' >/dev/null
token=$(call POST /api/v2/public/session-token '{"linked_account_id":"ada"}' | python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])')
call PUT '/api/v2/public/linked-account/integration/save-key-credentials/sandbox-key?linked_account_id=ada' '{"key":"sandbox-key-good","workspace":"acme"}' >/dev/null

logs=${CARGO_TARGET_DIR:-$root/target}/contract
mkdir -p "$logs"
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance
total=0
# Whoever ends the session, or the account that everything is about, ends the run: their own tests show what they do.
judge() {
	local name=$1; shift
	"$venv/bin/schemathesis" --config-file "$root/tests/contract/schemathesis.toml" run "$url/smalt/v1/openapi.json" --checks "$checks" --max-examples "$each" \
		--phases coverage,fuzzing,stateful --seed 1 --request-timeout 60 --suppress-health-check all --continue-on-failure --no-color "$@" >"$logs/$name.log" 2>&1 || { tail -n 60 "$logs/$name.log"; echo "all of it: $logs/$name.log"; exit 1; }
	local cases
	cases=$(sed -nE 's/^ *([0-9]+) generated.*/\1/p' "$logs/$name.log" | head -n1)
	echo "$name: ${cases:-0} cases"
	total=$((total + ${cases:-0}))
}
judge key -H "x-api-key: $key" -H 'linked_account_id: ada' --exclude-path-regex '^/smalt/v1/(delete_account|revoke_api_key)$'
judge session -H "authorization: Bearer $token" --exclude-path-regex '^/(smalt/v1/revoke_session|api/v2/public/session-token/revoke)$'
curl -sS -f "$url/readyz" >/dev/null
if grep -n 'panicked' err; then exit 1; fi
echo "S-68: $total cases, no 5xx, nothing that is not described"
