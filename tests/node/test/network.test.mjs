// A bad network between the remote backend and a real server: the cases of tests/faults.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Smalt } from 'smalt'
import { Sandbox } from 'smalt/testing'
import { each, limited, steps } from '../driver.mjs'

/** What a case steers the network with: it takes orders and counts, as a sandbox does. */
const orders = (origin) => Object.assign(Object.create(Sandbox.prototype), { origin })

async function run({ url, origin, key, certificate_authority, client, steps: list }) {
  const smalt = Smalt.remote({
    url,
    apiKey: key,
    proxy: false,
    certificateAuthority: certificate_authority ?? undefined,
    timeout: client.timeout * 1000,
    attemptTimeout: client.attempt_timeout * 1000,
    connectTimeout: client.connect_timeout * 1000,
  })
  try {
    return await steps({ smalt, sandbox: orders(origin) }, list, new Map())
  } finally {
    await smalt.close()
  }
}

test('every fault ends as it should', async (t) => {
  const program = spawn(process.env.SMALT_FAULTS, { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => program.stdin.end())
  const [line] = await once(createInterface(program.stdout), 'line')
  const places = JSON.parse(line)
  assert.ok(places.length >= 80 || process.env.CASE, `${places.length} cases`)
  const failed = []
  await each(places, 16, async (place) => {
    const why = await limited(run(place), place.limit * 1000).catch((error) => error?.stack ?? inspect(error))
    if (why) failed.push(`${place.id}: ${why}`)
  })
  assert.deepEqual(failed, [])
})
