// Measures the package beside named peers in the same run: medians of rounds in turns. Adds its rows to target/bench.json.
// `bindings-node/bench.sh` builds the release package and runs this. Names choose some: `ready pending remote budgets`.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

const require = createRequire(import.meta.url)
const root = process.env.SMALT_ROOT
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target')
const package_ = dirname(require.resolve('smalt/package.json'))
const ROUNDS = 5

function row(id, what, ours, peer, theirs, unit, least) {
  const ratio = ours / theirs
  const [goal, holds] = peer === 'budget' ? [`<= ${theirs} ${unit}`, ours <= theirs] : [`>= ${least}x`, ratio >= least]
  return { id, what, ours, peer, theirs, unit, ratio, goal, holds }
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
}

/** Calls per second, with so many pending all the time. */
async function rate(total, together, call) {
  let left = total
  const worker = async () => {
    while (left > 0) {
      left -= 1
      await call()
    }
  }
  const started = performance.now()
  await Promise.all(Array.from({ length: together }, worker))
  return (total / (performance.now() - started)) * 1000
}

/** The medians of rounds in which all take their turns; a first round warms up. */
async function interleaved(...measures) {
  for (const measure of measures) await measure()
  const seen = measures.map(() => [])
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [at, measure] of measures.entries()) seen[at].push(await measure())
  }
  return seen.map(median)
}

async function sandbox() {
  const { Smalt } = await import('smalt')
  const smalt = await Smalt.sandbox()
  const account = smalt.account('customer-42')
  await account.ensure()
  await account.connect('sandbox-oauth')
  await account.credential('sandbox-oauth')
  return { smalt, account }
}

async function memory() {
  const { Operator } = require('opendal')
  const operator = new Operator('memory')
  await operator.write('x', 'x')
  return operator
}

async function ready() {
  const operator = await memory()
  const { smalt, account } = await sandbox()
  const [ours, theirs] = await interleaved(
    () => rate(500_000, 1, () => account.credential('sandbox-oauth')),
    () => rate(5_000, 1, () => operator.stat('x')),
  )
  await smalt.close()
  return [row('node-ready', 'ready credential, per await', ours, 'opendal', theirs, 'calls/s', 25)]
}

async function pending() {
  const operator = await memory()
  const { smalt, account } = await sandbox()
  // What waits takes this way; a credential from memory takes a shorter one.
  const { call } = require(join(package_, 'dist/bundle.js')).inner
  const spawned = () => call(account, 'credential', { account: 'customer-42', application: 'sandbox-oauth' })
  const [ours, theirs] = await interleaved(
    () => rate(50_000, 64, spawned),
    () => rate(10_000, 64, () => operator.stat('x')),
  )
  await smalt.close()
  return [row('node-pending', '64 pending', ours, 'opendal', theirs, 'calls/s', 2.5)]
}

/** What the peers make of an answer: the same object. */
function linkedAccount(text) {
  const answer = JSON.parse(text)
  return Object.freeze({
    id: answer.id,
    recordId: answer.record_id,
    environment: answer.environment,
    name: answer.name,
    properties: answer.properties,
    createdAt: new Date(answer.created_at),
    updatedAt: new Date(answer.updated_at),
  })
}

async function remote() {
  const { Smalt } = await import('smalt')
  const { Agent, request } = require('undici')
  const folder = mkdtempSync(join(tmpdir(), 'smalt-bench-'))
  writeFileSync(join(folder, 'smalt.toml'), 'version = 1\n[server.rates]\nkey = 0\ntenant = 0\n')
  const env = { ...process.env, SMALT_KEY: Smalt.makeKey().reveal(), SMALT_JSON: 'true', SMALT_DATA: join(folder, 'smalt.db') }
  const command = (...args) => [[join(package_, 'dist/bin.js'), ...args], { cwd: folder, env }]
  const { key } = JSON.parse(execFileSync(process.execPath, ...command('keys', 'api', 'create')))
  const [args, options] = command('serve', '--listen', '127.0.0.1:0')
  const server = spawn(process.execPath, args, { ...options, stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const [line] = await new Promise((resolve) => createInterface({ input: server.stdout }).once('line', (...args) => resolve(args)))
    const { url } = JSON.parse(line)
    const id = 'customer-42'
    const smalt = Smalt.remote({ url, apiKey: key, proxy: false, retries: 0 })
    const account = smalt.account(id)
    await account.ensure()
    const dispatcher = new Agent({ connections: 64, connect: { timeout: 5_000 }, headersTimeout: 30_000, bodyTimeout: 30_000 })
    const address = `${url}/smalt/v1/get_account`
    const body = JSON.stringify({ account: id })
    const headers = { 'x-api-key': key, 'content-type': 'application/json' }
    const byUndici = async () => {
      const answer = await request(address, { method: 'POST', headers, body, dispatcher, signal: AbortSignal.timeout(60_000) })
      const text = await answer.body.text()
      if (answer.statusCode !== 200) throw new Error(text)
      return linkedAccount(text)
    }
    const byFetch = async () => {
      const answer = await fetch(address, { method: 'POST', headers, body, signal: AbortSignal.timeout(60_000) })
      const text = await answer.text()
      if (!answer.ok) throw new Error(text)
      return linkedAccount(text)
    }
    const [ours, theirs, slow] = await interleaved(
      () => rate(5_000, 64, () => account.get()),
      () => rate(5_000, 64, byUndici),
      () => rate(2_000, 64, byFetch),
    )
    await dispatcher.close()
    await smalt.close()
    return [
      row('node-remote', 'remote, 64 at once', ours, 'undici', theirs, 'calls/s', 1),
      row('node-remote-fetch', 'remote, 64 at once', ours, 'fetch', slow, 'calls/s', 3),
    ]
  } finally {
    server.kill()
    await once(server, 'exit')
    rmSync(folder, { recursive: true })
  }
}

function budgets() {
  const program = "const t = performance.now(); require('smalt'); console.log(performance.now() - t)"
  const times = Array.from({ length: 11 }, () => Number(execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' })))
  const size = statSync(process.env.ADDON).size / (1024 * 1024)
  return [
    row('node-require', "`require('smalt')`", median(times), 'budget', 15, 'ms'),
    row('node-addon', 'the addon, stripped', size, 'budget', 10, 'MiB'),
  ]
}

const BENCHES = { ready, pending, remote, budgets }
const names = process.argv.slice(2)
const rows = []
for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
  console.log(`node ${name} …`)
  rows.push(...(await BENCHES[name]()))
}
for (const { what, ours, theirs, unit, ratio, goal, peer, holds } of rows) {
  const numbers = [ours, theirs].map((value) => value.toFixed(2).padStart(14)).join(' ')
  console.log(`${what.padEnd(44)} ${numbers}  ${unit.padEnd(9)} ${ratio.toFixed(2).padStart(7)}  ${goal} (${peer}) ${holds ? 'yes' : 'NO'}`)
}
const path = join(target, 'bench.json')
const known = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : []
const mine = new Set(rows.map(({ id }) => id))
mkdirSync(target, { recursive: true })
writeFileSync(path, `${JSON.stringify([...known.filter(({ id }) => !mine.has(id)), ...rows], undefined, 2)}\n`)
