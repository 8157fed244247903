import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { Smalt } from 'smalt'
import { Sandbox, visit } from 'smalt/testing'
import { child, connected } from './helpers.mjs'

test('an aborted signal sends nothing, and its reason comes out unwrapped', async (t) => {
  const sandbox = await Sandbox.start()
  t.after(() => sandbox.stop())
  const { smalt, account } = await connected(t, { project: { version: 1, sandbox: { enabled: true, url: sandbox.origin } } })
  const reason = new Error('not wanted any more')
  const signal = AbortSignal.abort(reason)
  const before = JSON.stringify(await sandbox.stats())
  await assert.rejects(account.request('sandbox-oauth', 'GET', 'echo', { signal }), (error) => error === reason)
  await assert.rejects(account.credential('sandbox-oauth', { signal }), (error) => error === reason)
  await assert.rejects(smalt.createAccount('acme-2', {}, { signal }), (error) => error === reason)
  await assert.rejects(account.connect('sandbox-oauth', { signal }), (error) => error === reason)
  await assert.rejects(smalt.events({ signal }).next(), (error) => error === reason)
  await assert.rejects(Smalt.sandbox({ signal }), (error) => error === reason)
  assert.equal(JSON.stringify(await sandbox.stats()), before)
  await assert.rejects(smalt.getAccount('acme-2'), { code: 'linked_account_not_found' })
})

test('aborting ends a waiting call at once, with the reason, and leaves no listener', async (t) => {
  const { smalt, account } = await connected(t)
  const flow = await account.startConnect('sandbox-oauth', { redirectUri: 'http://127.0.0.1/callback' })
  const abort = new AbortController()
  const waiting = account.flow(flow.flowId).wait({ timeout: 600_000, signal: abort.signal })
  const reason = { any: 'value' }
  setImmediate(() => abort.abort(reason))
  await assert.rejects(waiting, (error) => error === reason)
  assert.equal(getEventListeners(abort.signal, 'abort').length, 0)
  assert.equal((await account.flow(flow.flowId).get()).status, 'pending')

  const timed = smalt.eventsPage({ since: undefined, wait: 600_000, limit: 1 })
  await timed
  const cursor = (await smalt.eventsPage({ limit: 1000 })).items.at(-1).cursor
  await assert.rejects(smalt.eventsPage({ since: cursor, wait: 600_000, signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })

  const whole = new AbortController()
  for (let i = 0; i < 20; i++) await smalt.countAccounts({ signal: whole.signal })
  assert.equal(getEventListeners(whole.signal, 'abort').length, 0)
})

test('aborting after the end changes nothing', async (t) => {
  const { smalt } = await connected(t)
  const abort = new AbortController()
  const made = await smalt.createAccount('after', {}, { signal: abort.signal })
  abort.abort()
  assert.equal(made.id, 'after')
  assert.equal((await smalt.getAccount('after')).id, 'after')
})

test('what has an effect goes on when its waiter goes', async (t) => {
  const { account } = await connected(t)
  const started = await account.startConnect('sandbox-oauth', { redirectUri: 'http://127.0.0.1/callback' })
  const callback = await visit(`${started.authorizeUrl}&sandbox_user=ada&sandbox_decision=allow`)
  const abort = new AbortController()
  const finishing = account.finishConnect(callback, { cookie: started.cookie.value, signal: abort.signal })
  let done = false
  const ended = finishing.then(() => undefined, (error) => error).finally(() => (done = true))
  const flow = account.flow(started.flowId)
  while ((await flow.get()).status === 'pending' && !done) await new Promise(setImmediate)
  const reason = new Error('gone')
  abort.abort(reason)
  // Either it had ended before, or its waiter was told at once.
  assert.ok([undefined, reason].includes(await ended))
  const last = await flow.wait({ timeout: 60_000 })
  assert.equal(last.status, 'connected')
  assert.ok((await account.listConnections()).some(({ id }) => id === last.connectionId))
})

const OPEN = `
  import { Smalt } from 'smalt'
  const smalt = await Smalt.sandbox()
  const account = smalt.account('acme-1')
  await account.ensure()
`

test('a pending call keeps the process alive; idle handles and listeners do not', async () => {
  const idle = await child(`${OPEN}
    ;(async () => {
      for await (const event of smalt.events()) {
        console.log(event.type)
        setTimeout(() => console.log('idle'), 50)
      }
    })()`)
  assert.equal(idle.code, 0, idle.stderr)
  assert.equal(idle.stdout, 'account.created\nidle\n')

  const pending = await child(`${OPEN}
    const { flowId } = await account.startConnect('sandbox-oauth', { redirectUri: 'http://127.0.0.1/callback' })
    account.flow(flowId).wait({ timeout: 300 }).then((flow) => console.log('ended', flow.status))`)
  assert.equal(pending.stdout, 'ended pending\n', pending.stderr)
  assert.equal(pending.code, 0)
})

test('nothing is changed in the process', async (t) => {
  if (process.platform !== 'linux') return t.skip('the system does not tell which signals a process handles')
  // What Node does by itself when it first fetches or listens is done before.
  const ended = await child(`
    import { readFileSync } from 'node:fs'
    import { createServer } from 'node:http'
    const server = createServer((_, answer) => answer.end()).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    await (await fetch('http://127.0.0.1:' + server.address().port)).text()
    server.close()
    server.closeAllConnections()
    const state = () => JSON.stringify([
      readFileSync('/proc/self/status', 'utf8').match(/^Sig(Blk|Ign|Cgt):.*$/gm),
      readFileSync('/proc/self/limits', 'utf8'),
      process.eventNames().map((name) => [String(name), process.listenerCount(name)]).sort(),
    ])
    const before = state()
    const { Smalt } = await import('smalt')
    const smalt = await Smalt.sandbox()
    const account = smalt.account('acme-1')
    await account.ensure()
    await account.connect('sandbox-oauth')
    await account.request('sandbox-oauth', 'GET', 'items')
    const during = state()
    await smalt.close()
    console.log(before === during && during === state() ? 'as it was' : [before, during, state()].join('\\n'))`)
  assert.equal(ended.stdout, 'as it was\n', ended.stderr)
})

test('a process exits with calls in flight', async () => {
  for (const exit of ['process.exit(7)', 'process.reallyExit(7)', `throw Object.assign(new Error('on purpose'))`]) {
    const ended = await child(`${OPEN}
      await account.connect('sandbox-oauth')
      for (let i = 0; i < 200; i++) account.request('sandbox-oauth', 'GET', 'echo').catch(() => {})
      for (let i = 0; i < 200; i++) smalt.countAccounts().catch(() => {})
      setImmediate(() => { ${exit} })`)
    assert.equal(ended.signal, null, `${exit}: ${ended.stderr}`)
    assert.equal(ended.code, exit.startsWith('throw') ? 1 : 7, `${exit}: ${ended.stderr}`)
  }
})
