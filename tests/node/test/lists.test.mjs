// Lists, events and pages are fetched as they are read: none ahead, and none after the reader has stopped. Who is asked counts.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { Smalt } from 'smalt'
import { Sandbox } from 'smalt/testing'
import { child, connected, listening } from './helpers.mjs'

test('pages of a provider are fetched as they are read', async (t) => {
  const sandbox = await Sandbox.start()
  t.after(() => sandbox.stop())
  const { account } = await connected(t, { project: { version: 1, sandbox: { enabled: true, url: sandbox.origin } } })
  const asked = async () => {
    // A request that was under way would be there before this one.
    await account.request('sandbox-oauth', 'GET', 'echo')
    others += 1
    return (await sandbox.stats()).api_calls - before - others
  }
  const before = (await sandbox.stats()).api_calls
  let others = 0
  const items = account.items('sandbox-oauth', 'GET', 'channels', { query: { limit: '10' } })
  assert.equal(await asked(), 0, 'one that nobody reads')
  for (let n = 0; n < 10; n++) assert.equal((await items.next()).done, false)
  assert.equal(await asked(), 1, 'a page is ten, and the next one was not asked for')
  await items.next()
  assert.equal(await asked(), 2)
  await items.return()
  assert.equal(await asked(), 2, 'the reader has stopped')
  let all = 0
  for await (const _ of account.items('sandbox-oauth', 'GET', 'channels', { query: { limit: '10' } })) all += 1
  assert.equal(all, 40)
  assert.equal(await asked(), 2 + 4)
})

test('events and lists are fetched as they are read', async (t) => {
  const { smalt } = await connected(t)
  for (const id of ['acme-2', 'acme-3']) await smalt.createAccount(id)
  const { key } = await smalt.createApiKey('test')
  const handler = smalt.nodeHandler()
  const asked = { events: 0, list_accounts: 0 }
  const server = createServer((request, response) => {
    const operation = request.url.split('/').at(-1)
    if (operation in asked) asked[operation] += 1
    handler(request, response)
  })
  const remote = Smalt.remote({ url: await listening(t, server), apiKey: key, proxy: false })
  t.after(() => remote.close())

  const events = remote.events()
  await remote.countAccounts()
  assert.equal(asked.events, 0, 'one that nobody reads')
  const types = []
  for await (const { type } of events) if (types.push(type) === 3) break
  assert.equal(types[0], 'account.created')
  // Whatever happens now is nobody's concern.
  await smalt.createAccount('acme-4')
  await remote.countAccounts()
  assert.equal(asked.events, 1)

  const accounts = remote.accounts({ limit: 2 })
  await accounts.next()
  await accounts.next()
  await remote.countAccounts()
  assert.equal(asked.list_accounts, 1, 'the next page was not asked for')
  await accounts.next()
  await accounts.return()
  await remote.countAccounts()
  assert.equal(asked.list_accounts, 2)

  // A reading that took all that there was is not asked for again: each of these events is one question, which waited for it.
  asked.events = 0
  const followed = remote.events({ keepAlive: true })
  while ((await followed.next()).value.accountId !== 'acme-4');
  for (const id of ['acme-5', 'acme-6']) {
    const before = asked.events
    const next = followed.next()
    while (asked.events === before) await new Promise(setImmediate)
    // One that had not waited would be answered by now, with nothing.
    for (let n = 0; n < 5; n++) await remote.countAccounts()
    await smalt.createAccount(id)
    assert.equal((await next).value.accountId, id)
  }
  await followed.return()
  assert.equal(asked.events, 3)
})

test('all that is in the log is read where nothing else holds up the process', async () => {
  // More than a page has, twice.
  const ended = await child(`
    import { Smalt } from 'smalt'
    const smalt = await Smalt.sandbox()
    for (let n = 0; n < 230; n++) await smalt.createAccount('a-' + n)
    let read = 0
    process.on('exit', () => console.log(read))
    for await (const { type } of smalt.events()) if (type === 'account.created') read += 1`)
  // Node's own status where the program's last line waits for what does not hold it.
  assert.deepEqual([ended.code, ended.stdout], [13, '230\n'], ended.stderr)
})

test('an error of events is told where nothing else holds up the process', async () => {
  const ended = await child(`
    import { Smalt } from 'smalt'
    const smalt = await Smalt.sandbox()
    const told = async (options) => {
      try {
        for await (const _ of smalt.events(options));
      } catch (error) {
        console.log(error.code)
      }
    }
    await told({ since: 1 })
    await told({ since: 'nonsense' })
    await smalt.close()
    await told()`)
  assert.deepEqual([ended.code, ended.stdout], [0, 'invalid_request\ninvalid_cursor\nclosed\n'], ended.stderr)
})
