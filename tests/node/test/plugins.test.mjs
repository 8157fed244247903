import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowError, PluginError, Rejected, Smalt, SmaltError } from 'smalt'
import { child, folder } from './helpers.mjs'

const KEY = { key: 'sandbox-key-good', workspace: 'main' }
const PROJECT = {
  version: 1,
  sandbox: { enabled: true },
  apps: {
    'sandbox-key': { enabled: true, fields: [{ id: 'room', name: 'Room', type: 'select', options_from: 'rooms' }] },
    'sandbox-oauth': { enabled: true, workflows: [{ id: 'echo', name: 'Echo', enabled: true }] },
  },
}

async function open(t, options) {
  const smalt = await Smalt.sandbox({ project: PROJECT, timings: { plugin: 60_000 }, ...options })
  t.after(() => smalt.close())
  const account = smalt.account('acme-1')
  await account.ensure()
  return { smalt, account }
}

test('a connector verifies, and calls the application through its context', async (t) => {
  const seen = []
  const { account } = await open(t, {
    connectors: [
      {
        slug: 'sandbox-key',
        async verify(context) {
          const answer = await context.request('GET', 'echo', { query: { from: 'plugin' } })
          seen.push(context.accountId, context.application, context.credential.values.key.reveal(), answer.json().query)
          return { id: 'user-1', label: 'Ada' }
        },
        async options(context, request) {
          seen.push(request)
          return [{ value: 'a', name: 'A' }, { value: 2 }]
        },
      },
    ],
  })
  const connection = await account.connectKey('sandbox-key', KEY)
  assert.deepEqual(connection.identity, { id: 'user-1', label: 'Ada' })
  assert.deepEqual(seen.splice(0), ['acme-1', 'sandbox-key', 'sandbox-key-good', 'from=plugin'])
  const config = await account.config('sandbox-key')
  assert.deepEqual(config.fields[0].options.map((option) => option.value), ['a', 2])
  assert.equal(seen[0].source, 'rooms')
  assert.equal(seen[0].field, 'room')
})

test('one that throws is named, with its own error as the cause and its stack', async (t) => {
  let own
  const { account } = await open(t, {
    connectors: [{ slug: 'sandbox-key', verify: function brokenVerify() { throw (own = new TypeError('broken on purpose')) } }],
  })
  async function theCaller() {
    return await account.connectKey('sandbox-key', KEY)
  }
  const error = await theCaller().then(assert.fail, (error) => error)
  assert.ok(error instanceof PluginError)
  assert.equal(error.code, 'plugin_failed')
  assert.equal(error.cause, own)
  assert.match(error.cause.stack, /brokenVerify/)
  assert.match(error.stack, /theCaller/)
  assert.match(error.context.plugin, /sandbox-key/)
})

test('one that hangs is given up, and told so', async (t) => {
  let aborted
  const gone = new Promise((resolve) => (aborted = resolve))
  const hangs = ({ signal }) => new Promise(() => signal.addEventListener('abort', aborted))
  const { account } = await open(t, { connectors: [{ slug: 'sandbox-key', verify: hangs }], timings: { plugin: 300 } })
  await assert.rejects(account.connectKey('sandbox-key', KEY), { code: 'plugin_timeout' })
  await gone
})

test('rejecting, answering nonsense and throwing what is no error', async (t) => {
  let verify
  const { account } = await open(t, { connectors: [{ slug: 'sandbox-key', verify: (context) => verify(context) }] })
  const fails = async (own, code) => {
    verify = own
    await assert.rejects(account.connectKey('sandbox-key', KEY), (error) => error instanceof SmaltError && error.code === code)
  }
  await fails(() => { throw new Rejected('no such key') }, 'credentials_rejected')
  for (const nonsense of [7, 'text', { id: 1, label: 2 }, { id: '' , label: 'x' }, [], Symbol('x'), () => {}, { get id() { throw new Error('hostile') } }]) {
    await fails(() => nonsense, 'plugin_answer')
  }
  const hostile = { get message() { throw new Error('hostile') } }
  for (const thrown of [null, undefined, 0, 'text', Symbol('x'), hostile, Object.create(null), new Proxy({}, { getPrototypeOf() { throw new Error('hostile') } })]) {
    await fails(() => { throw thrown }, 'plugin_panicked')
  }
  verify = () => ({ id: 'user-1', label: 'Ada' })
  assert.equal((await account.connectKey('sandbox-key', KEY)).identity.id, 'user-1', 'others are unharmed')
})

test('one that would wait for itself is refused, and an error of Smalt passes through it', async (t) => {
  const { smalt, account } = await open(t, {
    connectors: [{ slug: 'sandbox-key', verify: () => account.credential('sandbox-key') }],
  })
  await assert.rejects(account.connectKey('sandbox-key', KEY), { code: 'reentrant' })
  // Another account's calls are no re-entry.
  const { account: other } = await open(t, {
    connectors: [{ slug: 'sandbox-key', verify: async () => ({ id: String(await smalt.countAccounts()), label: 'x' }) }],
  })
  assert.equal((await other.connectKey('sandbox-key', KEY)).identity.id, '1')
})

test('plugins of two engines do not meet', async (t) => {
  const named = (id) => ({ connectors: [{ slug: 'sandbox-key', verify: () => ({ id, label: id }) }] })
  const [one, two] = [await open(t, named('one')), await open(t, named('two'))]
  assert.equal((await one.account.connectKey('sandbox-key', KEY)).identity.id, 'one')
  assert.equal((await two.account.connectKey('sandbox-key', KEY)).identity.id, 'two')
})

test('a presenter shows the page, and answers the callback', async (t) => {
  const shown = []
  const { account } = await open(t, {
    presenter: {
      name: 'mine',
      redirectUri: 'http://127.0.0.1:9/callback',
      async present({ authorizeUrl, redirectUri, application, device }) {
        shown.push(redirectUri, application, device)
        const url = new URL(authorizeUrl)
        url.searchParams.append('sandbox_user', 'grace')
        url.searchParams.append('sandbox_decision', 'allow')
        return (await fetch(url, { redirect: 'manual' })).headers.get('location')
      },
    },
  })
  const connection = await account.connect('sandbox-oauth')
  assert.match(connection.identity.label, /grace/)
  assert.deepEqual(shown, ['http://127.0.0.1:9/callback', 'Sandbox (OAuth)', null])
})

test('a presenter says how it ended', async (t) => {
  let says
  const presenter = { redirectUri: 'http://127.0.0.1:9/callback', present: () => { throw says() } }
  const { account } = await open(t, { presenter })
  for (const [end, code] of [[FlowError.userCancelled, 'user_cancelled'], [FlowError.windowBlocked, 'window_blocked']]) {
    says = end
    const { reason: message, httpStatus, retry } = { ...end(), reason: end().message }
    await assert.rejects(account.connect('sandbox-oauth'), (error) => error instanceof FlowError && error.code === code && error.message === message && error.httpStatus === httpStatus && error.retry === retry)
    assert.equal(end().code, code)
  }
})

test('a presenter that fails is named, however it fails', async (t) => {
  let present
  const { account } = await open(t, { presenter: { name: 'window', present: () => present() } })
  for (const [code, fails] of [['plugin_failed', () => { throw new Error('no screen') }], ['plugin_answer', () => 7], ['plugin_panicked', () => { throw 7 }]]) {
    present = fails
    await assert.rejects(account.connect('sandbox-oauth'), (error) => error.code === code && error.context.plugin === 'presenter window' && error.context.call === 'present')
  }
})

test('a key provider wraps the data keys', async (t) => {
  const path = `${folder(t)}/smalt.db`
  const asked = []
  const mask = (bytes) => Buffer.from(bytes).map((byte) => byte ^ 0x5a)
  const keys = {
    keyId: () => 'kms-1',
    wrap: async (dataKey, aad) => (asked.push(['wrap', dataKey.length, aad.length > 0]), mask(dataKey)),
    unwrap: (keyId, wrapped) => (asked.push(['unwrap', keyId]), mask(wrapped)),
  }
  for (const times of [1, 2]) {
    const smalt = await Smalt.embedded({ path, keys, project: PROJECT })
    const account = smalt.account('acme-1')
    await account.ensure()
    if (times === 1) await account.connectKey('sandbox-key', KEY)
    assert.equal((await account.credential('sandbox-key')).values.key.reveal(), KEY.key)
    await smalt.close()
  }
  assert.ok(asked.some(([what, size]) => what === 'wrap' && size >= 32) && asked.some(([what, id]) => what === 'unwrap' && id === 'kms-1'))
  const broken = { ...keys, keyId: () => { throw new Error('the service is down') } }
  const named = (error) => error instanceof PluginError && error.context.plugin === 'key provider'
  await assert.rejects(Smalt.embedded({ path, keys: broken }), (error) => named(error) && error.cause.message === 'the service is down')
  await assert.rejects(Smalt.embedded({ path, keys: { ...keys, keyId: () => 7 } }), (error) => named(error) && error.code === 'plugin_answer')
})

test('a workflow runner is given what was asked, with data as it is', async (t) => {
  const { account } = await open(t, { runner: { run: ({ signal, ...run }) => ({ ...run, aborted: signal.aborted }) } })
  await account.connect('sandbox-oauth')
  await account.config('sandbox-oauth')
  const answer = await account.runWorkflow('sandbox-oauth', 'echo', { deal_id: 7, camelCase: 1 })
  assert.deepEqual(answer.payload, { deal_id: 7, camelCase: 1 })
  assert.equal(answer.accountId, 'acme-1')
  assert.equal(answer.aborted, false)
})

test('events come as they happen, from a cursor on', async (t) => {
  const { smalt, account } = await open(t, {})
  const types = []
  let cursor
  for await (const event of smalt.events({ keepAlive: true })) {
    types.push(event.type)
    cursor = event.cursor
    if (event.type === 'account.created') {
      void account.connect('sandbox-oauth')
    }
    if (event.type === 'connection.created') break
  }
  assert.ok(types.includes('account.created') && types.includes('connection.created'))
  await smalt.createAccount('acme-2')
  for await (const event of smalt.events({ since: cursor, keepAlive: true })) {
    assert.deepEqual([event.type, event.accountId], ['account.created', 'acme-2'])
    assert.ok(event.at instanceof Date)
    break
  }
})

test('registered plugins do not keep the process alive', async () => {
  const ended = await child(`
    import { Smalt } from 'smalt'
    await Smalt.sandbox({ connectors: [{ slug: 'sandbox-key', verify: () => null }], runner: { run: () => 1 } })
    console.log('open')`)
  assert.deepEqual([ended.code, ended.stdout], [0, 'open\n'], ended.stderr)
})
