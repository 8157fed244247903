// Panics, hostile arguments, worker threads, leaks.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Secret, Smalt, SmaltError, verifyWebhook, verifyWebhookCompatible } from 'smalt'
import { fixedClock } from 'smalt/testing'
import { child, connected, folder } from './helpers.mjs'

const require = createRequire(import.meta.url)
const { inner } = require(join(dirname(require.resolve('smalt/package.json')), 'dist/bundle.js'))
const full = process.env.SMALT_FULL === '1'

test('s77: a panic in any exported function is an error, and the process lives', async (t) => {
  const { addon, NATIVE, room: shared, wait } = inner
  const { smalt, account } = await connected(t)
  if (!addon.panicNext()) return t.skip('a release never panics on purpose')
  assert.throws(() => new addon.FixedClock(0), /on purpose/)
  addon.panicNext()
  assert.throws(() => new addon.Room(() => {}, Secret), /on purpose/)
  const engine = smalt[NATIVE]
  const room = new addon.Room(() => {}, Secret)
  const api = engine.http({})
  const { key } = await smalt.createApiKey('test')
  const asked = { method: 'GET', target: '/smalt/v1/events/stream', headers: [['x-api-key', key.reveal()]] }
  const { rest } = await wait({}, (id) => shared && api.answer(shared, id, asked, undefined))
  const sandbox = await wait({}, (id) => (shared.sandbox(id), undefined))
  // One of each, and arguments that each function takes, so that the panic is reached and no check before it.
  const own = { Room: room, NativeEngine: engine, FixedClock: new addon.FixedClock(0), Sandbox: sandbox, NativeApi: api, NativeUpload: room.upload(), NativeBody: rest }
  const given = {
    cancel: [1], forget: [1], embedded: [1, {}, {}, undefined], sandbox: [1], visit: [1, ''], answer: [1, 1], reject: [1, ''],
    fail: [1, '', ''], passOn: [1, {}], contextRequest: [1, 1, {}], session: [''], actingAs: [''], tryCredential: [room, '', '', ''],
    connect: [room, 1, {}, 0], capabilities: [room], close: [1], advance: [1], http: [{}], panicked: [1, ''], remote: [1, {}, {}], verifyWebhook: [{}],
    'NativeEngine.upload': [room, 1, {}, room.upload(), 0], push: [1, new Uint8Array(1)], end: [true], next: [1], 'NativeApi.answer': [room, 1, {}, undefined],
    readyCounts: [0], readyIsGone: [0], readyDrop: [0], call: [engine.number(), 1, '', {}, 0], command: [['smalt', '--version']],
  }
  const reached = new Set()
  for (const [name, exported] of Object.entries(addon)) {
    if (name === 'panicNext') continue
    const methods = Object.getOwnPropertyNames(exported.prototype ?? {}).filter((method) => method !== 'constructor')
    if (methods.length === 0) {
      addon.panicNext()
      assert.throws(() => exported(...(given[name] ?? [])), /on purpose/, name)
      reached.add(name)
    }
    for (const method of methods) {
      const target = own[name]
      assert.ok(target instanceof exported, `there is no ${name} to call`)
      addon.panicNext()
      assert.throws(() => target[method](...(given[`${name}.${method}`] ?? given[method] ?? [])), /on purpose/, `${name}.${method}`)
      reached.add(`${name}.${method}`)
    }
  }
  for (const kind of Object.keys(own)) assert.ok([...reached].some((name) => name.startsWith(`${kind}.`)), `${kind} has functions`)
  assert.ok(reached.size >= 35, `${reached.size} functions`)
  const got = account.get()
  addon.panicNext()
  assert.equal((await got).id, 'acme-1', 'also while completions are taken')
  assert.equal((await account.get()).id, 'acme-1')
  assert.match(sandbox.origin(), /^http:\/\/127\.0\.0\.1:/, 'what was called goes on')
  rest.stop()
  sandbox.stop()
})

test('s77: every exported function catches panics', () => {
  const sources = join(process.env.SMALT_ROOT, 'bindings-node/src')
  let functions = 0
  for (const file of readdirSync(sources).filter((name) => name !== 'panics.rs')) {
    const text = readFileSync(join(sources, file), 'utf8')
    for (const [, attribute] of text.matchAll(/#\[napi(\([^)]*\))?\]\s*(?:#\[[^\]]*\]\s*)*pub (?:async )?fn /g)) {
      assert.match(attribute ?? '', /catch_unwind/, file)
      functions++
    }
  }
  assert.ok(functions >= 20, `${functions} functions`)
})

test('many ends come with few wake-ups', async (t) => {
  const { room } = inner
  const { smalt } = await connected(t)
  let [wakes, ends] = [0, 0]
  room.take = () => {
    const list = Object.getPrototypeOf(room).take.call(room)
    wakes += 1
    ends += list.length / 3
    return list
  }
  t.after(() => delete room.take)
  const calls = Array.from({ length: 500 }, () => smalt.countAccounts())
  // Meanwhile this thread takes nothing.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
  await Promise.all(calls)
  assert.ok(ends >= 500, `${ends} ends were seen`)
  assert.ok(wakes <= ends / 2, `${wakes} wake-ups for ${ends} ends`)
})

/** Numbers that look like chance and are the same in every run (mulberry32). */
function chance(seed) {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** Values of every sort. */
function nonsense() {
  const cyclic = {}
  cyclic.self = cyclic
  let deep = []
  for (let i = 0; i < 100_000; i++) deep = [deep]
  const thrower = new Proxy({}, { get() { throw new RangeError('hostile') }, ownKeys() { throw new RangeError('hostile') } })
  return [
    undefined, null, true, 0, -1, -0, 1.5, NaN, Infinity, 2 ** 53, 2 ** 64, -(2 ** 63), 10n, 'x', '', '\ud800', 'a\0b', '../..', 'ü'.repeat(300),
    'x'.repeat(full ? 100 * 2 ** 20 : 2 ** 20), Symbol('x'), () => {}, class {}, [], [[]], {}, Object.create(null), cyclic, deep, new Date(NaN), new Map([[1, 2]]), /x/,
    new Uint8Array(10), new Float64Array(2), new ArrayBuffer(8), new SharedArrayBuffer(8), new DataView(new ArrayBuffer(8)), thrower, new Proxy([], {}), Promise.resolve(1), new Secret('x'),
    { reveal: () => 7 }, { reveal() { throw new Error('hostile') } }, { toJSON() { return cyclic } }, { length: 2 ** 32 }, Object.assign([], { length: 2 ** 16 }), Object.assign([], { length: 2 ** 32 - 1 }), new WeakMap(), globalThis,
    { get a() { throw new Error('hostile') } }, { account: 1 }, { signal: 7 }, { limit: -1 }, { limit: 1e300 }, { wait: NaN }, { timeout: -5 },
  ]
}

/** What a call ended with: an error in words that says no fault of ours, or an answer. Each error counts. */
async function refuses(what, run) {
  try {
    await run()
    return 0
  } catch (error) {
    assert.ok(error instanceof Error, `${what}: ${typeof error} was thrown`)
    assert.notEqual(error.code, 'internal', `${what}: ${error.message.slice(0, 200)}`)
    return 1
  }
}

const OPTIONS = ['cursor', 'limit', 'search', 'application', 'connection', 'configId', 'timeout', 'wait', 'signal', 'value', 'json', 'body', 'query', 'headers', 'fields', 'scopes', 'url', 'events', '\ud800']

test('s78: hostile arguments never crash', async (t) => {
  const { smalt, account } = await connected(t)
  const values = nonsense()
  const random = chance(78)
  const pick = () => values[random(values.length)]
  const argument = () => (random(4) === 0 ? { [OPTIONS[random(OPTIONS.length)]]: pick(), [OPTIONS[random(OPTIONS.length)]]: pick() } : pick())
  const calls = []
  for (const handle of [smalt, account, account.flow('x'), await account.session()]) {
    for (let proto = Object.getPrototypeOf(handle); proto !== Object.prototype; proto = Object.getPrototypeOf(proto)) {
      for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(proto))) {
        // `close` takes nothing; the others would end what the rest is about, or replace its applications and keys: they have a test of their own below.
        if (typeof value === 'function' && !['constructor', 'close', 'delete', 'revoke', 'setProject', 'rotateKeys'].includes(name)) calls.push([handle, name])
      }
    }
  }
  assert.ok(calls.length >= 60, `${calls.length} methods`)
  let made = 0
  let refused = 0
  const wanted = full ? 100_000 : 3_000
  const inFlight = new Set()
  while (made < wanted) {
    const [handle, name] = calls[made % calls.length]
    const given = [argument(), argument(), argument(), argument()]
    // Behind an application that there is, more of a call is read. A good `disconnect` would end what the others are about.
    if (name !== 'disconnect' && random(2) === 0) given[0] = 'sandbox-oauth'
    const run = async () => {
      const answer = handle[name](...given)
      if (answer && typeof answer[Symbol.asyncIterator] === 'function') return name === 'events' ? answer.return() : answer.next()
      return answer
    }
    const one = refuses(name, run).then((count) => ((refused += count), inFlight.delete(one)))
    inFlight.add(one)
    made++
    if (inFlight.size >= 32) await Promise.race(inFlight)
  }
  await Promise.all(inFlight)
  assert.ok(refused > made / 2, `${refused} of ${made} calls were refused`)
  assert.ok(refused < made, 'some arguments are good ones')
  assert.equal((await account.get()).id, 'acme-1')
  const { id } = await account.connect('sandbox-oauth')
  assert.equal((await account.request('sandbox-oauth', 'GET', 'echo', { connection: id })).status, 200)
})

test('s78: hostile arguments of what ends, replaces and rotates', async (t) => {
  const { smalt, account } = await connected(t)
  const project = await smalt.getProject()
  const token = (await account.session()).token
  let refused = 0
  let made = 0
  const one = async (what, run) => {
    made += 1
    refused += await refuses(what, run)
  }
  for (const value of nonsense()) {
    await one('rotateKeys', () => smalt.rotateKeys(value))
    await one('setProject', () => smalt.setProject(value))
    await one('setProject', () => smalt.setProject({ ...project, org: value }))
    await one('setProject', () => smalt.setProject(project, value))
    const other = smalt.account('other')
    await other.ensure()
    await one('delete', () => other.delete(value))
    await one('revoke', async () => (await other.session({ force: true })).revoke(value))
    for (const open of [() => smalt.session(value), () => smalt.session(token, value), () => smalt.withToken(value), () => smalt.actingAs(value)]) await one('a handle', open)
  }
  assert.ok(refused > made / 2, `${refused} of ${made} calls were refused`)
  assert.ok(refused < made, 'some arguments are good ones')
  await smalt.setProject(project)
  assert.equal((await account.request('sandbox-oauth', 'GET', 'echo')).status, 200)
})

test('s78: what opens an engine and what needs none, with nonsense in every place', async (t) => {
  // Names of files are among the nonsense.
  const before = process.cwd()
  process.chdir(folder(t))
  t.after(() => process.chdir(before))
  const schema = JSON.parse(readFileSync(join(process.env.SMALT_ROOT, 'docs/schema/bridge-1.json'), 'utf8'))
  const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())
  const named = schema.embedded.properties ?? schema.$defs[schema.embedded.$ref.split('/').at(-1)].properties
  const embedded = [...Object.keys(named).map(camel), 'connectors', 'keys', 'runner', 'clock', 'signal', '\ud800']
  assert.ok(embedded.includes('throwawayKey') && embedded.includes('project'), `${embedded}`)
  const remote = ['url', 'apiKey', 'timeout', 'attemptTimeout', 'connectTimeout', 'retries', 'maxAnswer', 'plainHttp', 'certificateAuthority', 'proxy', 'actor', 'presenter']
  // Nobody listens there, and nothing asks.
  const server = { url: 'http://127.0.0.1:9', apiKey: 'a' }
  const ways = [
    [Smalt.embedded, embedded, { throwawayKey: true }],
    [Smalt.sandbox, embedded, {}],
    [async (options) => Smalt.remote(options), remote, server],
  ]
  const values = nonsense()
  const random = chance(780)
  const pick = () => values[random(values.length)]
  let refused = 0
  let made = 0
  const open = async (opens, options) => {
    made += 1
    refused += await refuses(opens.name || 'remote', async () => await (await opens.call(Smalt, options)).close())
  }
  for (const [opens] of ways) for (const value of values) await open(opens, value)
  for (let i = 0; i < (full ? 4000 : 200); i++) {
    const [opens, places, needed] = ways[random(ways.length)]
    const given = Object.fromEntries(Array.from({ length: 1 + random(3) }, () => [places[random(places.length)], pick()]))
    await open(opens, { ...needed, ...given })
  }
  assert.ok(refused > made / 4, `${refused} of ${made} openings were refused`)
  assert.ok(refused < made, 'some are none that is refused')
  let wrong = 0
  for (const value of values) {
    for (const call of [verifyWebhook, verifyWebhookCompatible]) {
      for (const given of [[value, 'x', 'x'], [{}, value, 'x'], [{}, 'x', value], [{}, 'x', 'x', value]]) wrong += await refuses(call.name, async () => call(...given))
    }
    await refuses('fixedClock', async () => fixedClock(value).advance(value))
  }
  assert.equal(wrong, values.length * 8, 'no delivery is true by chance')
  const smalt = await Smalt.sandbox()
  assert.equal(await smalt.countAccounts(), 0)
  await smalt.close()
})

test('s78: options and plugins of an engine that are nonsense', async () => {
  const nonsense = [
    null, 7, { path: 7 }, { path: 'a\0b' }, { project: 7 }, { project: { version: 99 } }, { key: 'short' }, { key: {} }, { keys: 7 }, { connectors: 7 },
    { connectors: [7] }, { connectors: [{}] }, { connectors: [{ slug: 7 }] }, { clock: {} }, { timings: { plugin: -1 } }, { timings: { plugin: 'x' } }, { environment: 'x' },
    { manifests: [{}] }, { presenter: 'nobody' }, { presenter: { present: 7 } },
  ]
  for (const options of nonsense) {
    const smalt = await Smalt.embedded(options === null ? null : { throwawayKey: true, ...options }).catch((error) => error)
    if (smalt instanceof Smalt) await smalt.close()
    else assert.ok(smalt instanceof Error, String(smalt))
  }
})

test('calls after close, and handles that nobody holds any more', async () => {
  const ended = await child(
    `
    import { Smalt } from 'smalt'
    const errors = new Set()
    for (let i = 0; i < 10; i++) {
      const smalt = await Smalt.sandbox()
      const account = smalt.account('acme-1')
      await account.ensure()
      const late = [account.get(), account.listConnections()].map((call) => call.catch((error) => errors.add(error.code)))
      await smalt.close()
      await Promise.all(late)
      await account.get().catch((error) => errors.add(error.code))
      await account.credential('sandbox-oauth').catch((error) => errors.add(error.code))
    }
    // Never closed, and gone.
    for (let i = 0; i < 10; i++) {
      void (await Smalt.sandbox()).countAccounts()
      gc()
    }
    console.log([...errors].join())`,
    { flags: ['--expose-gc'] },
  )
  assert.deepEqual([ended.code, ended.signal, ended.stdout], [0, null, 'closed\n'], ended.stderr)
})

test('worker threads have engines of their own, and end with calls in flight', async () => {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { Smalt } = require('smalt')
    ;(async () => {
      const smalt = await Smalt.sandbox({ connectors: [{ slug: 'sandbox-key', verify: () => new Promise(() => {}) }] })
      const account = smalt.account('acme-' + workerData)
      await account.ensure()
      await account.connect('sandbox-oauth')
      const { accessToken } = await account.credential('sandbox-oauth')
      for (let i = 0; i < 100; i++) account.request('sandbox-oauth', 'GET', 'echo').catch(() => {})
      account.connectKey('sandbox-key', { key: 'sandbox-key-good', workspace: 'main' }).catch(() => {})
      parentPort.postMessage(accessToken.reveal().length)
    })()`
  const ended = await Promise.all(
    Array.from({ length: full ? 32 : 6 }, async (_, number) => {
      const worker = new Worker(code, { eval: true, workerData: number })
      const [length] = await new Promise((resolve, reject) => {
        worker.once('message', (length) => resolve([length]))
        worker.once('error', reject)
      })
      await worker.terminate()
      return length
    }),
  )
  for (const length of ended) assert.ok(length >= 16)
  const smalt = await Smalt.sandbox()
  await smalt.createAccount('acme-1')
  await smalt.close()
})

/** How often the body of a measured round runs: 2.13 calls each. */
const TIMES = full ? 32_000 : 6_000
/** One object a call would be a hundred bytes and more. */
const HEAP = 100_000
/** What is outside of JavaScript, core's own memory too, shows here only. */
const RSS = 8 * 2 ** 20

test('s79: calls leave nothing behind', async () => {
  const ended = await child(
    `
    import { Smalt } from 'smalt'
    const smalt = await Smalt.sandbox({ connectors: [{ slug: 'sandbox-key', verify: () => ({ id: 'a', label: 'b' }) }] })
    const account = smalt.account('acme-1')
    await account.ensure()
    await account.connect('sandbox-oauth')
    const abort = new AbortController()
    const round = async (times) => {
      for (let i = 0; i < times; i++) {
        await account.credential('sandbox-oauth')
        await account.get({ signal: abort.signal })
        if (i % 10 === 0) await smalt.getAccount('nobody').catch(() => {})
        if (i % 100 === 0) await account.request('sandbox-oauth', 'GET', 'echo')
        if (i % 100 === 0) await account.connectKey('sandbox-key', { key: 'sandbox-key-good', workspace: 'main' })
        if (i % 100 === 0) await account.get({ signal: AbortSignal.timeout(0) }).catch(() => {})
      }
      gc()
      return process.memoryUsage()
    }
    // What is made once, and what each place of memory grows to, is there before it is measured.
    await round(${TIMES / 4})
    let before = await round(${TIMES / 4})
    // What settles late does so once; what is left behind is left in each window.
    for (let window = 0; window < 3; window++) {
      const after = await round(${TIMES})
      const last = await round(${TIMES})
      const grown = { heap: after.heapUsed - before.heapUsed, external: after.external - before.external, rss: last.rss - before.rss }
      console.log(JSON.stringify(grown))
      if (grown.heap < ${HEAP} && grown.external < ${HEAP} && grown.rss < ${RSS}) break
      before = last
    }
    await smalt.close()`,
    // The space of new objects keeps its size, so that what the process holds tells of us.
    { flags: ['--expose-gc', '--max-semi-space-size=2'], timeout: full ? 3_600_000 : 1_200_000 },
  )
  assert.equal(ended.code, 0, ended.stderr)
  const { heap, external, rss } = JSON.parse(ended.stdout.trim().split('\n').at(-1))
  assert.ok(heap < HEAP, `the heap grew by ${heap} bytes: ${ended.stdout}`)
  assert.ok(external < HEAP, `external memory grew by ${external} bytes: ${ended.stdout}`)
  assert.ok(rss < RSS, `the process grew by ${rss} bytes: ${ended.stdout}`)
})

test('an error of another sort than Smalt\'s says so', async (t) => {
  const { account } = await connected(t)
  await assert.rejects(account.request('sandbox-oauth', 'GET', 'echo', { json: 1, body: 'x' }), TypeError)
  await assert.rejects(account.request('sandbox-oauth', 'GET', 'echo', { json: 10n }), TypeError)
  // A text is not taken apart letter by letter.
  for (const place of ['query', 'headers']) await assert.rejects(account.request('sandbox-oauth', 'GET', 'echo', { [place]: 'a=b' }), TypeError)
  for (const headers of ['webhook-id: x', null, 7]) assert.throws(() => verifyWebhook(headers, 'x', 'x'), TypeError)
  // What a list says of its length is no size to reserve, and none to believe.
  const endless = Object.assign([], { length: 2 ** 32 - 1 })
  for (const place of ['query', 'headers']) await assert.rejects(account.request('sandbox-oauth', 'GET', 'echo', { [place]: endless }), SmaltError)
  await assert.rejects(account.startConnect('sandbox-oauth', { scopes: endless }), SmaltError)
  assert.throws(() => new Secret(7), TypeError)
  await assert.rejects(account.get({ signal: 7 }), (error) => error instanceof TypeError && !(error instanceof SmaltError))
})
