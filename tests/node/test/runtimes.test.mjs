// The same tarball in other runtimes that load Node addons: Bun and Deno, from npm.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const room = join(process.env.SMALT_ROOT, '.cache/node/runtimes/node_modules')
const smoke = join(process.cwd(), 'tests/runtimes/smoke.mjs')

/** The program itself, which stands in a package of the platform. */
function program(scope, path) {
  const found = readdirSync(join(room, scope)).map((name) => join(room, scope, name, path)).find(existsSync)
  return found ?? assert.fail(`${scope} has no program for this platform`)
}

const expected = {
  status: 'active', label: 'from a plugin', secret: true, ok: true, refused: 'linked_account_not_found', aborted: 'no', revocation: 'revoked', events: true, api: 200,
}

for (const [name, file, flags] of [
  ['Bun', () => program('@oven', 'bin/bun'), []],
  ['Deno', () => program('@deno', 'deno'), ['run', '-A']],
  ['Node', () => process.execPath, []],
]) {
  test(`a life in ${name}`, async () => {
    const { stdout, stderr } = await run(file(), [...flags, smoke], { timeout: 120_000, env: { ...process.env, NO_COLOR: '1' } })
    assert.deepEqual(JSON.parse(stdout), expected, stderr)
  })
}
