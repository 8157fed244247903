import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, openAsBlob, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { ConflictError, NotFoundError, Secret, Smalt, SmaltError, UnavailableError } from 'smalt'
import { fixedClock, Sandbox } from 'smalt/testing'
import { connected, folder } from './helpers.mjs'

test('answers are plain objects with camelCase names, dates and secrets; data keeps its keys', async (t) => {
  const { smalt, account } = await connected(t)
  await smalt.upsertAccount('acme-2', { name: 'Acme', properties: { snake_key: 'a', camelKey: 'b', __proto__x: 'c' } })
  const read = await smalt.getAccount('acme-2')
  assert.deepEqual(read.properties, { snake_key: 'a', camelKey: 'b', __proto__x: 'c' })
  assert.ok(read.createdAt instanceof Date && Math.abs(Date.now() - read.createdAt) < 600_000)
  const [connection] = await account.listConnections()
  assert.equal(connection.accountId, 'acme-1')
  assert.equal(connection.isDefault, true)
  const { items, next } = await smalt.listAccounts({ limit: 1 })
  assert.equal(items.length, 1)
  assert.equal(typeof next, 'string')
  const all = []
  for await (const one of smalt.accounts({ limit: 1 })) all.push(one.id)
  assert.deepEqual(all.sort(), ['acme-1', 'acme-2'])
  assert.equal(await smalt.countAccounts(), 2)
})

test('keys that JavaScript treats specially are data like others', async (t) => {
  const { smalt, account } = await connected(t, {
    runner: { run: ({ payload }) => payload },
    project: {
      version: 1,
      sandbox: { enabled: true },
      apps: { 'sandbox-oauth': { enabled: true, workflows: [{ id: 'echo', name: 'Echo', enabled: true }] } },
    },
  })
  assert.equal(smalt.capabilities.workflows, true)
  await account.config('sandbox-oauth')
  const payload = JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1, "a_b": [1, 1.5, -3, null, true, "x"], "1": "one"}')
  const back = await account.runWorkflow('sandbox-oauth', 'echo', payload)
  assert.equal(JSON.stringify(back), JSON.stringify(payload))
  assert.equal({}.polluted, undefined)
  const dated = await account.runWorkflow('sandbox-oauth', 'echo', { at: new Date(0), gone: undefined, list: [undefined] })
  assert.deepEqual(dated, { at: '1970-01-01T00:00:00.000Z', list: [null] })
})

test('durations are milliseconds', async (t) => {
  const clock = fixedClock(new Date('2026-01-31T08:00:00.000Z'))
  const { smalt, account } = await connected(t, { clock, timings: { flowLifetime: 60_000 } })
  const flow = await account.startConnect('sandbox-oauth', { redirectUri: 'http://127.0.0.1/callback' })
  assert.equal(flow.expiresAt - new Date('2026-01-31T08:00:00.000Z'), 60_000)
  clock.advance(61_000)
  assert.equal(clock.now(), Date.parse('2026-01-31T08:01:01.000Z'))
  assert.equal((await account.flow(flow.flowId).get()).status, 'expired')
  assert.equal((await smalt.listAccounts()).items.length, 1)
})

test('an error has its class, code, retry and the caller\'s stack', async (t) => {
  const { smalt, account } = await connected(t)
  async function theCaller() {
    await smalt.account('nobody').get()
  }
  const error = await theCaller().then(assert.fail, (error) => error)
  assert.ok(error instanceof NotFoundError && error instanceof SmaltError && error instanceof Error)
  assert.equal(error.code, 'linked_account_not_found')
  assert.equal(error.kind, 'not_found')
  assert.equal(error.retry, 'never')
  assert.equal(error.name, 'NotFoundError')
  assert.match(error.stack, /^NotFoundError: /)
  assert.match(error.stack, /theCaller/)
  await assert.rejects(smalt.createAccount('acme-1'), (error) => error instanceof ConflictError && error.code === 'linked_account_exists')
  // The ready path, too.
  async function readyCaller() {
    await account.credential('sandbox-key')
  }
  const ready = await readyCaller().then(assert.fail, (error) => error)
  assert.equal(ready.code, 'not_connected')
  assert.match(ready.stack, /readyCaller/)
})

test('a mistaken argument is refused by its name, and never repeats a value', async (t) => {
  const { smalt, account } = await connected(t)
  const refused = async (call, words) => {
    const error = await call().then(assert.fail, (error) => error)
    assert.equal(error.code, 'invalid_request', inspect(error))
    assert.match(error.message, words)
    assert.ok(!inspect(error).includes('canary'))
  }
  await refused(() => smalt.listAccounts({ canarias: 'canary' }), /`canarias`/)
  await assert.rejects(account.startConnect('sandbox-oauth', 'canary'), { name: 'TypeError', message: 'options are an object' })
  await refused(() => account.startConnect('sandbox-oauth', { return_to: 'canary' }), /`return_to`/)
  await refused(() => smalt.createAccount({ canary: 'canary' }), /another type/)
  await refused(() => account.connectKey('sandbox-key', { key: { reveal: 'canary' } }), /another type/)
  // What is too much for the addon is no other type.
  const deep = Array.from({ length: 200 }).reduce((inner) => [inner], 'canary')
  await refused(() => account.runWorkflow('sandbox-oauth', 'none', deep), /128 deep at most/)
  await refused(() => smalt.createWebhook({ url: 'https://canary.example', events: Object.assign([], { length: 2 ** 21 }) }), /1048576 items at most/)
  await refused(() => Smalt.embedded({ throwawayKey: true, canarias: 'canary' }), /`canarias`/)
})

test('a ready credential is answered at once, and the promise is resolved already', async (t) => {
  const { account } = await connected(t)
  const waited = await account.credential('sandbox-oauth')
  const parts = [waited, waited.scopes, waited.values, waited.properties]
  assert.deepEqual(parts.map(Object.isFrozen), [true, true, true, true], 'one that was waited for is frozen, too')
  const first = await account.credential('sandbox-oauth')
  assert.deepEqual(first, waited)
  assert.equal(first.accessToken.reveal(), waited.accessToken.reveal())
  const promise = account.credential('sandbox-oauth')
  assert.match(inspect(promise), /^Promise \{\s+\{/)
  const second = await promise
  assert.equal(second, first, 'the very same object while core has the same credential')
  assert.ok(Object.isFrozen(second) && Object.isFrozen(second.scopes) && Object.isFrozen(second.values))
})

test('ten thousand calls of one handle at once', async (t) => {
  const { smalt } = await connected(t)
  for (let n = 0; n < 10; n++) await smalt.createAccount(`c-${n}`)
  // All of them are begun before the first one can end: nothing is taken meanwhile.
  const calls = Array.from({ length: 10_000 }, (_, n) => smalt.getAccount(`c-${n % 10}`))
  await Promise.race(calls)
  if (existsSync('/proc/self/task')) {
    const threads = readdirSync('/proc/self/task').length
    assert.ok(threads < 1_000, `${threads} threads: a call that waits holds one`)
  }
  const right = (await Promise.all(calls)).filter(({ id }, n) => id === `c-${n % 10}`)
  assert.equal(right.length, 10_000)
})

test('a session has its token, and fewer powers', async (t) => {
  const { smalt, account } = await connected(t)
  const session = await account.session()
  assert.ok(session.token instanceof Secret && session.expiresAt instanceof Date)
  assert.equal((await session.listConnections()).length, 1)
  assert.equal((await smalt.session(session.token)).accountId, 'acme-1')
  await assert.rejects(smalt.withToken(session.token).account('acme-1').credential('sandbox-oauth'), { code: 'forbidden' })
  assert.equal(await session.revoke(), true)
  await assert.rejects(session.listApps(), { code: 'invalid_token' })
})

test('an authenticated request, its pages, and fetch', async (t) => {
  const { account } = await connected(t)
  const answer = await account.request('sandbox-oauth', 'GET', 'echo', { query: { a: 'b' }, headers: { 'x-own': '1' } })
  assert.equal(answer.status, 200)
  assert.ok(answer.ok)
  assert.match(answer.text(), /a=b/)
  assert.match(answer.header('Content-Type'), /json/)
  const response = await account.fetch('sandbox-oauth', 'echo')
  assert.ok(response instanceof Response && response.ok)
  assert.equal((await response.json()).method, 'GET')
  const posted = await account.fetch('sandbox-oauth', 'echo', { method: 'POST', body: new URLSearchParams({ a: '1' }) })
  assert.match(await posted.text(), /a=1/)
  await assert.rejects(account.fetch('sandbox-oauth', 'https://elsewhere.example/'), { code: 'host_mismatch' })
})

test('an upload is sent part by part, whole and in order', async (t) => {
  const { account } = await connected(t)
  const pieces = Array.from({ length: 60 }, (_, n) => `${n};`.padEnd(1024, '.'))
  const whole = pieces.join('')
  async function* comes() {
    for (const piece of pieces) yield Buffer.from(piece)
  }
  const sent = [comes(), Readable.from(comes()), pieces.map((piece) => Buffer.from(piece)), new Response(whole).body]
  for (const body of sent) {
    const answer = await account.upload('sandbox-oauth', 'PUT', 'echo', body, { contentType: 'text/plain', query: { a: 'b' } })
    assert.equal(answer.status, 200)
    const { method, query, headers, body: came } = answer.json()
    assert.deepEqual([method, query, headers['content-type'], headers['content-length']], ['PUT', 'a=b', 'text/plain', undefined])
    assert.ok(came === whole)
  }
  // A file says what it is, and how long.
  const path = join(folder(t), 'page.html')
  writeFileSync(path, whole)
  const { headers, body } = (await account.upload('sandbox-oauth', 'PUT', 'echo', await openAsBlob(path, { type: 'text/html' }))).json()
  assert.deepEqual([headers['content-type'], headers['content-length']], ['text/html', String(whole.length)])
  assert.ok(body === whole)
  // One that says too little of itself is cut.
  await assert.rejects(account.upload('sandbox-oauth', 'PUT', 'echo', [Buffer.from('hello')], { length: 4 }), { code: 'invalid_request', message: /larger than 4 bytes/ })
})

test('a large upload is read no faster than the application takes it', async (t) => {
  const [part, parts] = [64 * 1024, 512]
  const [sent, came] = [createHash('sha256'), createHash('sha256')]
  let [made, release] = [0, undefined]
  const released = new Promise((resolve) => (release = resolve))
  const server = createServer(async (request, response) => {
    if (request.method === 'PUT') {
      await released
      for await (const piece of request) came.update(piece)
    }
    response.setHeader('content-type', 'application/json').end('{"workspace": {"id": "acme", "name": "Acme"}}')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    release()
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${server.address().port}`
  const smalt = await Smalt.embedded({ throwawayKey: true, project: { version: 1, sandbox: { enabled: true, url }, apps: { 'sandbox-key': {} } } })
  t.after(() => smalt.close())
  const account = smalt.account('acme-1')
  await account.ensure()
  await account.connect('sandbox-key', { inputs: { key: 'sandbox-key-good', workspace: 'acme' } })
  let begin
  const begun = new Promise((resolve) => (begin = resolve))
  async function* body() {
    begin()
    for (; made < parts; made++) {
      const piece = Buffer.alloc(part, made)
      sent.update(piece)
      yield piece
    }
  }
  const answered = account.upload('sandbox-key', 'PUT', 'files', body(), { length: part * parts })
  // What the system's buffers hold is taken, and no more: long enough for all of it.
  await begun
  await new Promise((resolve) => setTimeout(resolve, 1000))
  assert.ok(made > 0 && made < parts, `${made} of ${parts} parts were read while nobody took them`)
  release()
  assert.equal((await answered).status, 200)
  assert.equal(made, parts)
  assert.equal(came.digest('hex'), sent.digest('hex'))
})

test('an upload that ends early reads no more of its body, and says what was wrong', async (t) => {
  const { smalt, account } = await connected(t)
  const left = []
  /** Comes to no end by itself, and calls back with its tenth part. */
  async function* endless(name, tenth = () => {}) {
    try {
      for (let n = 1; ; n++) {
        yield Buffer.from('a')
        if (n === 10) tenth()
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    } finally {
      left.push(name)
    }
  }
  await smalt.account('other').ensure()
  await assert.rejects(smalt.account('other').upload('sandbox-oauth', 'PUT', 'echo', endless('refused')), { code: 'not_connected' })
  const broken = new Error('the disk is gone')
  const breaks = async function* () {
    yield Buffer.from('half')
    throw broken
  }
  await assert.rejects(account.upload('sandbox-oauth', 'PUT', 'echo', breaks()), (error) => error === broken)
  const gone = new AbortController()
  await assert.rejects(account.upload('sandbox-oauth', 'PUT', 'echo', endless('aborted', () => gone.abort('left')), { signal: gone.signal }), (error) => error === 'left')
  await assert.rejects(account.upload('sandbox-oauth', 'PUT', 'echo', endless('never'), { signal: AbortSignal.abort('before') }), (error) => error === 'before')
  while (left.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual(left, ['refused', 'aborted'], 'a body that nothing is asked of is not begun')
  for (const body of ['text', Buffer.from('text'), null, 3]) await assert.rejects(account.upload('sandbox-oauth', 'PUT', 'echo', body), TypeError)
  await assert.rejects(account.upload('sandbox-oauth', 'PUT', 'echo', [3]), /bytes/)
  await assert.rejects(account.upload('sandbox-oauth', 'PUT', 'echo', [Buffer.from('a')], { json: {} }), { code: 'invalid_request' })
  assert.equal((await account.upload('sandbox-oauth', 'PUT', 'echo', [Buffer.from('a')])).json().body, 'a')
})

test('a store outlives its engine; closing twice is nothing, and later calls are refused', async (t) => {
  const path = `${folder(t)}/smalt.db`
  const key = Smalt.makeKey()
  {
    const smalt = await Smalt.embedded({ path, key })
    await smalt.createAccount('acme-1', { name: 'Acme' })
    // What `await using` does; Node 20 cannot read that line.
    await smalt[Symbol.asyncDispose]()
  }
  const smalt = await Smalt.embedded({ path, key })
  assert.equal((await smalt.account('acme-1').get()).name, 'Acme')
  await Promise.all([smalt.close(), smalt.close()])
  await assert.rejects(smalt.listAccounts(), (error) => error instanceof UnavailableError && error.code === 'closed')
  await assert.rejects(Smalt.embedded({ path, key: Smalt.makeKey() }), (error) => error instanceof SmaltError && !inspect(error).includes(key.reveal()))
})

test('a sandbox of its own can be told how to behave', async (t) => {
  const sandbox = await Sandbox.start()
  t.after(() => sandbox.stop())
  await sandbox.control({ do: 'set', ways: { expires_in: 1 } })
  const { account } = await connected(t, { project: { version: 1, sandbox: { enabled: true, url: sandbox.origin } } })
  await account.credential('sandbox-oauth')
  assert.ok((await sandbox.stats()).refreshes >= 0)
})
