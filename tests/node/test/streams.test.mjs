// Event streams through both doors of the HTTP API: they come as they happen, and for whoever leaves nothing goes on.
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Smalt } from 'smalt'
import { connected, listening } from './helpers.mjs'

const require = createRequire(import.meta.url)
const { room } = require(join(dirname(require.resolve('smalt/package.json')), 'dist/bundle.js')).inner
const PATH = '/smalt/v1/events/stream'

/** An engine whose API has room for one stream: a second one tells whether the first is over. */
async function open(t) {
  const { smalt } = await connected(t, { project: { version: 1, sandbox: { enabled: true }, server: { waiters: 1 } } })
  const { key } = await smalt.createApiKey('test')
  return { smalt, headers: { 'x-api-key': key.reveal() } }
}

/** What a stream says, event by event. */
async function* events(reader) {
  const decoder = new TextDecoder()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += decoder.decode(value, { stream: true })
    const pieces = text.split('\n\n')
    text = pieces.pop()
    for (const piece of pieces) {
      const name = /^event: (.*)$/m.exec(piece)?.[1]
      if (name !== undefined) yield { name, data: JSON.parse(/^data: (.*)$/m.exec(piece)[1]) }
    }
  }
}

/** Reads two events, each as it happens, and leaves. */
async function readsTwoAndLeaves(t, smalt, get) {
  const stream = await get()
  assert.equal(stream.status, 200)
  assert.match(stream.headers.get('content-type'), /^text\/event-stream/)
  const reader = stream.body.getReader()
  const seen = events(reader)
  const next = async () => (await seen.next()).value
  assert.equal((await next()).name, 'ready')
  const second = await get()
  assert.equal(second.status, 503)
  assert.equal((await second.json()).code, 'overloaded', 'there is room for one')
  for (const id of ['one', 'two']) {
    await smalt.createAccount(id)
    const { name, data } = await next()
    assert.deepEqual([name, data.account_id], ['account.created', id])
  }
  // The third is awaited already.
  await new Promise(setImmediate)
  let givenUp = 0
  room.cancel = (id) => {
    givenUp += 1
    Object.getPrototypeOf(room).cancel.call(room, id)
  }
  t.after(() => delete room.cancel)
  await reader.cancel()
  let later = await get()
  while (later.status !== 200) {
    await later.arrayBuffer()
    await pause(50)
    later = await get()
  }
  assert.equal(givenUp, 1, 'what was awaited is awaited no more')
  await later.body.cancel()
}

test('an event stream through smalt.fetch comes as it happens, and ends with its reader', { timeout: 120_000 }, async (t) => {
  const { smalt, headers } = await open(t)
  await readsTwoAndLeaves(t, smalt, () => smalt.fetch(new Request(`http://127.0.0.1${PATH}`, { headers })))

  const abort = new AbortController()
  const request = new Request(`http://127.0.0.1${PATH}`, { headers, signal: abort.signal })
  let stream = await smalt.fetch(request)
  while (stream.status !== 200) {
    await pause(50)
    stream = await smalt.fetch(request)
  }
  const seen = events(stream.body.getReader())
  assert.equal((await seen.next()).value.name, 'ready')
  const reason = new Error('the client went away')
  abort.abort(reason)
  await assert.rejects(seen.next(), (error) => error === reason)
})

test('an event stream through nodeHandler comes as it happens, and ends with its reader', { timeout: 120_000 }, async (t) => {
  const { smalt, headers } = await open(t)
  const handler = smalt.nodeHandler()
  let drains = 0
  let early = 0
  const base = await listening(
    t,
    createServer((request, response) => {
      const write = response.write.bind(response)
      let full = false
      // A connection that is full after each part.
      response.write = (part) => {
        if (full) early += 1
        full = true
        write(part)
        setImmediate(() => {
          full = false
          drains += 1
          response.emit('drain')
        })
        return false
      }
      handler(request, response)
    }),
  )
  await readsTwoAndLeaves(t, smalt, () => fetch(`${base}${PATH}`, { headers }))
  assert.ok(drains >= 3, `${drains} parts were written`)
  assert.equal(early, 0, 'no part was written into a connection that was full')
})

/** A HEAD request of a stream gets its head, and the one place that there is stays free for others. */
async function headHoldsNothing(get) {
  for (let i = 0; i < 3; i++) {
    let head = await get('HEAD')
    // The one before may still be about to end.
    while (head.status === 503) {
      await pause(50)
      head = await get('HEAD')
    }
    assert.equal(head.status, 200)
    assert.match(head.headers.get('content-type'), /^text\/event-stream/)
    assert.ok(head.body === null, 'there is nothing to read')
  }
  let stream = await get('GET')
  while (stream.status !== 200) {
    await stream.arrayBuffer()
    await pause(50)
    stream = await get('GET')
  }
  const reader = stream.body.getReader()
  assert.equal((await events(reader).next()).value.name, 'ready')
  await reader.cancel()
}

test('a HEAD request of an event stream holds no place through smalt.fetch', { timeout: 120_000 }, async (t) => {
  const { smalt, headers } = await open(t)
  await headHoldsNothing((method) => smalt.fetch(new Request(`http://127.0.0.1${PATH}`, { method, headers })))
})

test('a HEAD request of an event stream holds no place through nodeHandler', { timeout: 120_000 }, async (t) => {
  const { smalt, headers } = await open(t)
  const base = await listening(t, createServer(smalt.nodeHandler()))
  await headHoldsNothing((method) => fetch(`${base}${PATH}`, { method, headers }))
})

test('a stream that is cut off is an error to its reader, and leaves nothing on the signal of the request', { timeout: 120_000 }, async (t) => {
  // An application that promises more than it sends.
  const application = await listening(
    t,
    createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': 2 ** 20 })
      response.write('x'.repeat(2 ** 16), () => response.destroy())
    }),
  )
  const smalt = await Smalt.sandbox({
    project: { version: 1, sandbox: { enabled: true }, network: { allow: [new URL(application).host] }, apps: { liar: {} } },
    manifests: [
      {
        manifest: 1,
        slug: 'liar',
        name: 'Liar',
        description: 'It promises more than it sends.',
        api: { base_url: `${application}/` },
        keybased: { placement: { in: 'header', name: 'x-api-key', value: '{key}' }, inputs: [{ name: 'key', label: 'Key', type: 'password', secret: true }] },
      },
    ],
    connectors: [{ slug: 'liar', verify: () => ({ id: 'liar', label: 'Liar' }) }],
  })
  t.after(() => smalt.close())
  const account = smalt.account('acme-1')
  await account.ensure()
  await account.connectKey('liar', { key: 'some-key-or-other' })
  const { key } = await smalt.createApiKey('test')
  const { signal } = new AbortController()
  const request = new Request('http://127.0.0.1/smalt/v1/request/stream', {
    method: 'POST',
    signal,
    headers: { 'x-api-key': key.reveal(), 'smalt-request': Buffer.from('{"account":"acme-1","application":"liar","method":"GET","path":"file"}').toString('base64url') },
  })
  const before = getEventListeners(request.signal, 'abort').length
  const answer = await smalt.fetch(request)
  assert.equal(answer.status, 200)
  assert.equal(getEventListeners(request.signal, 'abort').length, before + 1, 'whoever aborts ends it')
  await assert.rejects(answer.arrayBuffer(), /cut off/)
  assert.equal(getEventListeners(request.signal, 'abort').length, before)
})
