// The example of a Next.js application: built and served as its users do, and under hot reload.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const project = join(process.env.SMALT_ROOT, '.cache/node/next')
const next = join(project, 'node_modules/next/dist/bin/next')
const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NO_COLOR: '1', CI: '1' }
for (const part of ['app', 'lib', '.next']) rmSync(join(project, part), { recursive: true, force: true })
cpSync(join(process.cwd(), 'tests/examples/next'), project, { recursive: true })

/** Starts it on a free port; answers its address once it takes requests. */
async function started(t, command) {
  const child = spawn(process.execPath, [next, command, '--hostname', '127.0.0.1', '--port', '0'], { cwd: project, env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(async () => {
    child.kill()
    await ended
  })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const lines = createInterface({ input: child.stdout })
  let said = ''
  for await (const line of lines) {
    said += `${line}\n`
    const [address] = /http:\/\/127\.0\.0\.1:[1-9]\d*/.exec(line) ?? []
    // What it says later is read, lest its pipe fill.
    if (address) return (child.stdout.resume(), address)
  }
  return assert.fail(`next ${command} ended:\n${said}`)
}

async function text(address) {
  const answer = await fetch(address)
  const body = await answer.text()
  assert.equal(answer.status, 200, body)
  return body
}

test('Next.js: built and served, the API is mounted and a page knows who is connected', { timeout: 300_000 }, async (t) => {
  await run(process.execPath, [next, 'build'], { cwd: project, env }).catch((error) => assert.fail(`${error.stdout}${error.stderr}`))
  const base = await started(t, 'start')
  assert.equal(JSON.parse(await text(`${base}/smalt/smalt/v1/capabilities`)).backend, 'embedded')
  const plain = await fetch(`${base}/smalt/smalt/v1/capabilities`, { headers: { 'accept-encoding': 'identity' } })
  assert.equal((await plain.json()).backend, 'embedded', 'packed or not')
  assert.match(await text(base), /Sandbox[^<]*: not_connected/)
  const refused = await fetch(`${base}/smalt/api/v2/public/linked-account`, { method: 'PUT', body: '{}', headers: { 'x-api-key': 'tk-wrong' } })
  assert.equal(refused.status, 401)
})

test('Next.js: a module that hot reload evaluates again finds the engine that is open', { timeout: 300_000 }, async (t) => {
  const base = await started(t, 'dev')
  const file = join(project, 'app/engine/route.js')
  const route = (word) => `
    import { engine } from '../../lib/smalt.js'
    export const dynamic = 'force-dynamic'
    export async function GET() {
      return Response.json({ word: ${JSON.stringify(word)}, accounts: await (await engine()).countAccounts() })
    }
  `
  mkdirSync(join(project, 'app/engine'))
  writeFileSync(file, route('first'))
  t.after(() => rmSync(join(project, 'app/engine'), { recursive: true }))
  await text(base)
  assert.deepEqual(JSON.parse(await text(`${base}/engine`)), { word: 'first', accounts: 1 })
  const lib = join(project, 'lib/smalt.js')
  writeFileSync(lib, `${readFileSync(lib, 'utf8')}\nexport const changed = true\n`)
  writeFileSync(file, route('second'))
  let answer
  do answer = JSON.parse(await text(`${base}/engine`))
  while (answer.word !== 'second')
  // The sandbox's store is memory: another engine would have none.
  assert.equal(answer.accounts, 1)
})
