// The examples run as they stand: no copy of them is tested.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { Smalt } from 'smalt'
import { folder, listening } from './helpers.mjs'

const run = promisify(execFile)
const examples = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../examples')
const example = (name) => import(join(examples, name))

/** The API as a browser or backend meets it, below this address. */
async function speaksTheApi(smalt, base) {
  const capabilities = await (await fetch(`${base}/smalt/v1/capabilities`)).json()
  assert.equal(capabilities.backend, 'embedded')
  assert.equal((await fetch(`${base}/nowhere`)).status, 404)
  const { key } = await smalt.createApiKey('test')
  const put = (body, headers = {}) => fetch(`${base}/api/v2/public/linked-account`, { method: 'PUT', body, headers: { 'x-api-key': key.reveal(), 'content-type': 'application/json', ...headers } })
  const made = await put(JSON.stringify({ linked_account_id: 'over-http', name: 'Ünïcode' }))
  assert.equal(made.status, 200, await made.clone().text())
  assert.equal((await made.json()).account_id, 'over-http')
  assert.equal((await smalt.getAccount('over-http')).name, 'Ünïcode')
  assert.equal((await put('{}', { 'x-api-key': 'tk-wrong' })).status, 401)
  assert.equal((await put(JSON.stringify({ linked_account_id: 'x', name: 'x'.repeat(70_000) }))).status, 413)
  const refused = await fetch(`${base}/api/v2/public/linked-account`, { method: 'PATCH' })
  assert.equal(refused.status, 405)
  assert.ok(refused.headers.get('x-request-id'))
}

test('Express: a user connects in a browser, and the API is mounted', async (t) => {
  const smalt = await Smalt.sandbox()
  t.after(() => smalt.close())
  const { makeApp } = await example('express.mjs')
  const base = await listening(t, createServer(makeApp(smalt, 'sandbox-oauth')))
  const started = await fetch(`${base}/connect`, { redirect: 'manual' })
  assert.equal(started.status, 302, await started.text())
  const cookie = started.headers.get('set-cookie').split(';')[0]
  const page = new URL(started.headers.get('location'))
  page.searchParams.append('sandbox_user', 'ada')
  page.searchParams.append('sandbox_decision', 'allow')
  const back = (await fetch(page, { redirect: 'manual' })).headers.get('location')
  assert.ok(back.startsWith(`${base}/callback`), back)
  const foreign = await fetch(back, { headers: { cookie: 'smalt-flow=other' } })
  assert.ok(!foreign.ok, 'who begins is who ends')
  const again = await fetch(`${base}/connect`, { redirect: 'manual' })
  const second = new URL(again.headers.get('location'))
  second.searchParams.append('sandbox_user', 'ada')
  second.searchParams.append('sandbox_decision', 'allow')
  const callback = (await fetch(second, { redirect: 'manual' })).headers.get('location')
  const ended = await fetch(callback, { headers: { cookie: again.headers.get('set-cookie').split(';')[0] } })
  assert.deepEqual(await ended.json(), { connected: 'sandbox-oauth', as: 'ada@sandbox.example' })
  assert.ok(cookie)
  assert.equal((await fetch(`${base}/items`)).status, 200)
  await speaksTheApi(smalt, `${base}/smalt`)
})

test('Fastify: the API below a prefix', async (t) => {
  const smalt = await Smalt.sandbox()
  const { makeServer } = await example('fastify.mjs')
  const server = makeServer(smalt)
  t.after(() => server.close())
  await speaksTheApi(smalt, `${await server.listen({ port: 0, host: '127.0.0.1' })}/smalt`)
})

test('a bare http server', async (t) => {
  const smalt = await Smalt.sandbox()
  t.after(() => smalt.close())
  await speaksTheApi(smalt, await listening(t, createServer(smalt.nodeHandler())))
})

test('a command ends by itself', async () => {
  const { stdout } = await run(process.execPath, [join(examples, 'cli.mjs')])
  assert.match(stdout, /^connected sandbox-oauth as ada@sandbox\.example\n\d+ channels\ndisconnected: revoked\n$/)
  const unknown = await run(process.execPath, [join(examples, 'cli.mjs'), '--application', 'nothing']).catch((error) => error)
  assert.equal(unknown.code, 1)
  assert.match(unknown.stderr, /^application_not_found: /)
})

test('worker threads share a store', async (t) => {
  const { stdout } = await run(process.execPath, [join(examples, 'worker.mjs'), join(folder(t), 'smalt.db'), Smalt.makeKey().reveal()])
  assert.equal(stdout, 'thread 1 has a token: true\nthread 2 has a token: true\nthread 3 has a token: true\n')
})

test('a vitest suite of a user', async () => {
  const vitest = join(examples, '../../node_modules/vitest/vitest.mjs')
  const { stdout } = await run(process.execPath, [vitest, 'run', '--root', examples, 'vitest.test.mjs'], { env: { ...process.env, NO_COLOR: '1', CI: '1' } }).catch(
    (error) => assert.fail(`${error.stdout}${error.stderr}`),
  )
  assert.match(stdout, /Tests\s+2 passed/)
})

test('the lines of the README', async () => {
  const { stdout } = await run(process.execPath, [join(examples, 'ten-lines.mjs')])
  assert.match(stdout, / 200\nrevoked\n$/)
})

test('Acme CRM says what it says in every language', async () => {
  const folder = join(process.env.SMALT_ROOT, 'examples/acme-crm')
  // Beside the tests, where the installed package is found.
  const { stdout } = await run(process.execPath, [join(examples, 'acme-crm.mjs'), join(folder, 'smalt.toml')])
  assert.equal(stdout, readFileSync(join(folder, 'expected.txt'), 'utf8'))
})
