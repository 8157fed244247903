// What is installed: the command, what a missing addon says, and bundlers.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { child, folder } from './helpers.mjs'

const run = promisify(execFile)
const require = createRequire(import.meta.url)
const installed = dirname(require.resolve('smalt/package.json'))
const manifest = require('smalt/package.json')

test('npx smalt is the command, with its exit status', async () => {
  const command = join(dirname(installed), '.bin/smalt')
  const { stdout } = await run(command, ['--version'])
  assert.match(stdout, new RegExp(`^smalt ${manifest.version.replaceAll('.', '\\.')}`))
  const wrong = await run(command, ['no-such-command']).catch((error) => error)
  assert.equal(wrong.code, 2, wrong.stderr)
})

test('npx smalt serve ends when it is told to', { timeout: 120_000 }, async () => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const server = spawn(process.execPath, [join(installed, 'dist/bin.js'), 'serve', '--dev', '--json', '--listen', '127.0.0.1:0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(createInterface({ input: server.stdout }), 'line')
    assert.equal((await fetch(`${JSON.parse(line).url}/healthz`)).status, 200)
    server.kill(signal)
    assert.deepEqual(await once(server, 'exit'), [0, null], signal)
  }
})

test('the package names the addon of this platform, and nothing that runs at its installation', () => {
  const targets = Object.entries(manifest.optionalDependencies)
  assert.ok(targets.some(([name]) => name.startsWith(`@smalt-dev/node-${process.platform}-${process.arch}`)), JSON.stringify(targets))
  for (const [, version] of targets) assert.equal(version, manifest.version)
  assert.equal(manifest.scripts, undefined)
  assert.equal(manifest.dependencies, undefined)
  const [platform] = targets
  const own = require(join(platform[0], 'package.json'))
  assert.deepEqual([own.os, own.cpu], [[process.platform], [process.arch]])
})

test('a missing addon names the platform, what was tried, and the cure', async (t) => {
  const alone = join(folder(t), 'node_modules/smalt')
  mkdirSync(alone, { recursive: true })
  for (const part of ['dist', 'package.json']) cpSync(join(installed, part), join(alone, part), { recursive: true })
  const missing = await child(`await import(${JSON.stringify(join(alone, 'dist/index.mjs'))})`)
  assert.equal(missing.code, 1)
  const target = `${process.platform}-${process.arch}`
  assert.match(missing.stderr, new RegExp(`native addon for ${target}[^]*dist/smalt\\.${target}[^]*there is no such file[^]*@smalt-dev/node-${target}`))
  assert.match(missing.stderr, /--include=optional/)

  const broken = join(folder(t), 'broken.node')
  writeFileSync(broken, 'this is no library')
  for (const file of [broken, '/nowhere/smalt.node']) {
    const named = await child(`await import('smalt')`, { env: { SMALT_ADDON: file } })
    assert.equal(named.code, 1)
    assert.ok(named.stderr.includes(file) && named.stderr.includes('SMALT_ADDON names no addon'), named.stderr)
  }
})

const PROGRAM = `
  import { Smalt } from 'smalt'
  const smalt = await Smalt.sandbox()
  console.log(smalt.capabilities.backend)
  await smalt.close()
`

test('esbuild leaves the package external', async (t) => {
  const room = folder(t)
  // Where the bundle runs, the package is installed.
  symlinkSync(dirname(installed), join(room, 'node_modules'))
  const outfile = join(room, 'bundle.mjs')
  const stdin = { contents: PROGRAM, resolveDir: join(installed, '../..') }
  const { metafile } = await build({ stdin, outfile, bundle: true, platform: 'node', format: 'esm', external: ['smalt'], metafile: true, logLevel: 'silent' })
  assert.deepEqual(Object.keys(metafile.inputs), ['<stdin>'])
  assert.equal((await run(process.execPath, [outfile], { cwd: room })).stdout, 'embedded\n')
})
