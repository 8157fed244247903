// Panics, hostile arguments, worker threads, leaks.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Secret, Smalt, SmaltError } from 'smalt'
import { child, connected } from './helpers.mjs'

const require = createRequire(import.meta.url)
const dist = join(dirname(require.resolve('smalt/package.json')), 'dist')
const full = process.env.SMALT_FULL === '1'

test('s77: a panic in any exported function is an error, and the process lives', async (t) => {
  const { addon } = require(join(dist, 'native.js'))
  const { smalt, account } = await connected(t)
  if (!addon.panicNext()) return t.skip('a release never panics on purpose')
  assert.throws(() => new addon.FixedClock(0), /on purpose/)
  const names = []
  const room = new addon.Room(() => {}, Secret)
  for (const kind of [addon.Room, addon.NativeEngine, addon.FixedClock, addon.Sandbox]) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(kind.prototype))) {
      if (name !== 'constructor' && typeof value === 'function') names.push([kind, name])
    }
  }
  assert.ok(names.length >= 20, `${names.length} functions`)
  const { NATIVE } = require(join(dist, 'handle.js'))
  const own = new Map([
    [addon.Room, room],
    [addon.NativeEngine, smalt[NATIVE]],
    [addon.FixedClock, new addon.FixedClock(0)],
  ])
  // Arguments that each of them takes, so that the panic is reached and no check before it.
  const given = {
    cancel: [1], forget: [1], embedded: [1, {}, {}, undefined], sandbox: [1], visit: [1, ''], answer: [1, 1], reject: [1, ''],
    fail: [1, '', ''], passOn: [1, {}], contextRequest: [1, 1, {}], session: [''], actingAs: [''], tryCredential: [room, '', '', ''],
    connect: [room, 1, {}, 0], capabilities: [room], close: [room, 1], advance: [1], http: [{}], panicked: [1, ''], remote: [1, {}, {}], verifyWebhook: [{}],
  }
  let reached = 0
  for (const [kind, name] of names) {
    const target = own.get(kind)
    if (!target) continue
    addon.panicNext()
    assert.throws(() => target[name](...(given[name] ?? [])), /on purpose/, name)
    reached++
  }
  for (const [name, args] of Object.entries({ readyCounts: [0], readyIsGone: [0], readyDrop: [0], call: [smalt[NATIVE].number(), 1, '', {}, 0] })) {
    addon.panicNext()
    assert.throws(() => addon[name](...args), /on purpose/, name)
    reached++
  }
  assert.ok(reached >= 21, `${reached} functions`)
  const got = account.get()
  addon.panicNext()
  assert.equal((await got).id, 'acme-1', 'also while completions are taken')
  assert.equal((await account.get()).id, 'acme-1')
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
  const { room } = require(join(dist, 'room.js'))
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

test('s78: hostile arguments never crash', async (t) => {
  const { smalt, account } = await connected(t)
  const cyclic = {}
  cyclic.self = cyclic
  let deep = []
  for (let i = 0; i < 100_000; i++) deep = [deep]
  const thrower = new Proxy({}, { get() { throw new RangeError('hostile') }, ownKeys() { throw new RangeError('hostile') } })
  const values = [
    undefined, null, true, 0, -1, -0, 1.5, NaN, Infinity, 2 ** 53, 2 ** 64, -(2 ** 63), 10n, 'x', '', '\ud800', 'a\0b', '../..', 'ü'.repeat(300),
    'x'.repeat(full ? 100 * 2 ** 20 : 2 ** 20), Symbol('x'), () => {}, class {}, [], [[]], {}, Object.create(null), cyclic, deep, new Date(NaN), new Map([[1, 2]]), /x/,
    new Uint8Array(10), new Float64Array(2), new ArrayBuffer(8), new SharedArrayBuffer(8), new DataView(new ArrayBuffer(8)), thrower, new Proxy([], {}), Promise.resolve(1), new Secret('x'),
    { reveal: () => 7 }, { reveal() { throw new Error('hostile') } }, { toJSON() { return cyclic } }, { length: 2 ** 32 }, Object.assign([], { length: 2 ** 32 - 1 }), new WeakMap(), globalThis,
    { get a() { throw new Error('hostile') } }, { account: 1 }, { signal: 7 }, { limit: -1 }, { limit: 1e300 }, { wait: NaN }, { timeout: -5 },
  ]
  const calls = []
  for (const handle of [smalt, account, account.flow('x'), await account.session()]) {
    for (let proto = Object.getPrototypeOf(handle); proto !== Object.prototype; proto = Object.getPrototypeOf(proto)) {
      for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(proto))) {
        // Those that would end the others, wait on purpose, or make a handle without a call.
        if (typeof value === 'function' && !['constructor', 'close', 'delete', 'deleteAccount', 'revoke', 'rotateKeys', 'setProject', 'waitFlow', 'wait', 'connect'].includes(name)) calls.push([handle, name])
      }
    }
  }
  assert.ok(calls.length >= 60)
  let made = 0
  let random = 7
  const pick = () => values[(random = (random * 1103515245 + 12345) % 2147483648) % values.length]
  const wanted = full ? 100_000 : 3_000
  const inFlight = new Set()
  while (made < wanted) {
    const [handle, name] = calls[made % calls.length]
    const run = async () => {
      let answer = handle[name](pick(), pick(), pick(), pick())
      if (answer && typeof answer[Symbol.asyncIterator] === 'function') answer = name === 'events' ? answer.return() : answer.next()
      await answer
    }
    const one = run().catch(() => {}).finally(() => inFlight.delete(one))
    inFlight.add(one)
    made++
    if (inFlight.size >= 32) await Promise.race(inFlight)
  }
  await Promise.all(inFlight)
  assert.equal((await account.get()).id, 'acme-1')
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

test('s79: calls leave nothing behind', async () => {
  const ended = await child(
    `
    import { Smalt } from 'smalt'
    const smalt = await Smalt.sandbox({ connectors: [{ slug: 'sandbox-key', verify: () => ({ id: 'a', label: 'b' }) }] })
    const account = smalt.account('acme-1')
    await account.ensure()
    await account.connect('sandbox-oauth')
    const abort = new AbortController()
    const round = async () => {
      for (let i = 0; i < ${full ? 20_000 : 1500}; i++) {
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
    await round()
    const before = await round()
    const after = await round()
    const last = await round()
    console.log(JSON.stringify({ heap: after.heapUsed - before.heapUsed, external: after.external - before.external, rss: last.rss - before.rss }))
    await smalt.close()`,
    // The space of new objects keeps its size, so that what the process holds tells of us.
    { flags: ['--expose-gc', '--max-semi-space-size=2'] },
  )
  assert.equal(ended.code, 0, ended.stderr)
  const { heap, external, rss } = JSON.parse(ended.stdout)
  // One object a call would be a hundred bytes and more.
  assert.ok(heap < 100_000, `the heap grew by ${heap} bytes`)
  assert.ok(external < 100_000, `external memory grew by ${external} bytes`)
  // What is outside of JavaScript, core's own memory too, shows here only.
  assert.ok(rss < 8 * 2 ** 20, `the process grew by ${rss} bytes`)
})

test('an error of another sort than Smalt\'s says so', async (t) => {
  const { account } = await connected(t)
  await assert.rejects(account.request('sandbox-oauth', 'GET', 'echo', { json: 1, body: 'x' }), TypeError)
  await assert.rejects(account.request('sandbox-oauth', 'GET', 'echo', { json: 10n }), TypeError)
  assert.throws(() => new Secret(7), TypeError)
  await assert.rejects(account.get({ signal: 7 }), (error) => error instanceof TypeError && !(error instanceof SmaltError))
})
