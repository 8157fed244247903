// Credentials from memory: one that counts no more is never answered again, nobody gets another's, and what is kept has an end.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { Smalt } from 'smalt'
import { fixedClock } from 'smalt/testing'
import { child, connected } from './helpers.mjs'

const MOST = 4096
const KEY = { key: 'sandbox-key-good', workspace: 'acme' }

// Neither is public: what the package keeps for a handle's engine, and core's side of it.
const kept = (handle) => handle[Object.getOwnPropertySymbols(handle).find(({ description }) => description === 'native')].ready
const require = createRequire(import.meta.url)
const { addon } = require(join(dirname(require.resolve('smalt/package.json')), 'dist/bundle.js')).inner

/** The credential, once it is answered from memory: core asks the store again where nobody looked at that for a second. */
async function ready(account, application = 'sandbox-oauth', options = {}) {
  const until = Date.now() + 60_000
  for (;;) {
    const one = await account.credential(application, options)
    if (one === (await account.credential(application, options))) return one
    assert.ok(Date.now() < until, 'it never comes from memory')
  }
}

test('what core has let go of is never answered again', async (t) => {
  const { smalt, account } = await connected(t)
  const first = await ready(account)
  assert.equal(kept(smalt).size, 1)
  await account.connect('sandbox-oauth', { connection: first.connectionId })
  const second = await ready(account)
  assert.equal(second.connectionId, first.connectionId)
  assert.notEqual(second.accessToken.reveal(), first.accessToken.reveal(), 'it was authorised again')
  await account.disconnect('sandbox-oauth')
  await assert.rejects(account.credential('sandbox-oauth'), { code: 'not_connected' })
  await account.connect('sandbox-oauth')
  const third = await ready(account)
  assert.equal(new Set([first, second, third].map(({ accessToken }) => accessToken.reveal())).size, 3)
  assert.notEqual(third.connectionId, first.connectionId)
  assert.equal(kept(smalt).size, 1)
  await account.delete()
  await assert.rejects(account.credential('sandbox-oauth'), { code: 'linked_account_not_found' })
})

test('a token that is due is not answered from memory, but renewed', async (t) => {
  const clock = fixedClock(Date.UTC(2026, 0, 1))
  const { account } = await connected(t, { clock })
  let before = await ready(account)
  for (let n = 0; n < 3; n++) {
    clock.advance(3_600_000)
    const renewed = await account.credential('sandbox-oauth')
    assert.notEqual(renewed.accessToken.reveal(), before.accessToken.reveal())
    assert.ok(renewed.expiresAt > before.expiresAt)
    before = await ready(account)
    assert.equal(before.accessToken.reveal(), renewed.accessToken.reveal())
  }
})

for (const which of ['the one that was opened', 'one that acts for another', 'one that asks for a session']) {
  test(`closing ${which} forgets everybody's`, async (t) => {
    const seats = addon.readySeats()
    const { smalt, account } = await connected(t)
    const worker = smalt.actingAs('worker')
    const accounts = [account, worker.account('acme-1'), smalt.actingAs('worker').actingAs('other').account('acme-1')]
    for (const one of accounts) await ready(one)
    assert.equal(kept(worker).size, 3)
    assert.equal(addon.readySeats(), seats + 3)
    const { token } = await account.session()
    const closes = { 'the one that was opened': smalt, 'one that acts for another': worker, 'one that asks for a session': smalt.withToken(token) }
    const closing = closes[which].close()
    // Until it is closed, it may answer.
    await Promise.allSettled(accounts.map((one) => one.credential('sandbox-oauth')))
    await closing
    assert.deepEqual([smalt, worker, ...accounts].map((handle) => kept(handle).size), [0, 0, 0, 0, 0])
    assert.equal(addon.readySeats(), seats)
    // Numbers are given out again: another engine's must not speak for this one.
    const other = await connected(t)
    for (const actor of ['a', 'b', 'c', 'd']) await ready(other.smalt.actingAs(actor).account('acme-1'))
    for (const one of accounts) await assert.rejects(one.credential('sandbox-oauth'), { code: 'closed' })
  })
}

test('nobody gets what another was answered', async (t) => {
  const { smalt, account } = await connected(t)
  const other = smalt.account('acme-2')
  await other.ensure()
  await other.connect('sandbox-oauth')
  const [connection] = await account.listConnections()
  const accounts = [account, smalt.actingAs('a').account('acme-1'), smalt.actingAs('b').account('acme-1'), smalt.actingAs('').account('acme-1')]
  const answered = [...accounts, other]
  const before = []
  for (const one of answered) before.push(await ready(one))
  before.push(await ready(account, 'sandbox-oauth', { connection: connection.id }))
  // An object of its own for each: reads are counted by who reads.
  assert.equal(new Set(before).size, 6)
  assert.deepEqual(before.map((one) => one.connectionId === connection.id), [true, true, true, true, false, true])
  assert.equal(await ready(smalt.actingAs('a').account('acme-1')), await ready(accounts[1]), 'the same actor, of whichever handle')
  // A session is given none, whatever is in memory.
  const { token } = await account.session()
  await assert.rejects(smalt.withToken(token).account('acme-1').credential('sandbox-oauth'), { code: 'forbidden' })
  await other.disconnect('sandbox-oauth')
  await assert.rejects(other.credential('sandbox-oauth'), { code: 'not_connected' })
  for (const one of accounts) assert.equal((await ready(one)).connectionId, connection.id)
})

test('more than are kept begin anew', async (t) => {
  const seats = addon.readySeats()
  const { smalt } = await connected(t)
  const accounts = Array.from({ length: 66 }, (_, n) => `many-${n}`)
  const connections = []
  for (const id of accounts) {
    await smalt.account(id).ensure()
    connections.push((await smalt.account(id).connect('sandbox-key', { inputs: KEY })).id)
  }
  const sizes = []
  let asked = 0
  for (let n = 0; n < 64; n++) {
    const worker = smalt.actingAs(`worker-${n}`)
    const found = await Promise.all(accounts.map((id) => ready(worker.account(id), 'sandbox-key')))
    assert.deepEqual(found.map(({ connectionId }) => connectionId), connections)
    asked += found.length
    sizes.push(kept(smalt).size)
    assert.equal(addon.readySeats(), seats + kept(smalt).size)
  }
  assert.ok(asked > MOST && Math.max(...sizes) <= MOST, `${sizes}`)
  assert.ok(sizes.some((size, n) => size < sizes[n - 1]), `${sizes}`)
  // Those that were dropped are kept again.
  const again = await ready(smalt.actingAs('worker-0').account(accounts[0]), 'sandbox-key')
  assert.equal(again.connectionId, connections[0])
  assert.equal(kept(smalt).size, sizes.at(-1) + 1)
})

test('an engine that is collected gives up its numbers, and no one else\'s', async () => {
  const code = `
    import { createRequire } from 'node:module'
    import { dirname, join } from 'node:path'
    import { Smalt } from 'smalt'
    const require = createRequire(join(process.cwd(), 'x.js'))
    const { addon } = require(join(dirname(require.resolve('smalt/package.json')), 'dist/bundle.js')).inner
    const until = Date.now() + 90_000
    async function opened() {
      const smalt = await Smalt.sandbox()
      const account = smalt.account('a')
      await account.ensure()
      await account.connect('sandbox-oauth')
      await ready(account)
      return account
    }
    async function ready(account) {
      while ((await account.credential('sandbox-oauth')) !== (await account.credential('sandbox-oauth'))) {
        if (Date.now() > until) process.exit(3)
      }
    }
    const stays = await opened()
    let others = []
    for (let n = 0; n < 3; n++) others.push(await opened())
    const before = addon.readySeats()
    others = undefined
    while (addon.readySeats() > 1 && Date.now() < until) {
      gc()
      await new Promise((resolve) => setImmediate(resolve))
    }
    const after = addon.readySeats()
    await opened()
    await ready(stays)
    console.log(before, after, addon.readySeats())
    process.exit(0)
  `
  const { code: ended, stdout, stderr } = await child(code, { flags: ['--expose-gc'] })
  assert.equal(stdout, '4 1 2\n', stderr)
  assert.equal(ended, 0)
})
