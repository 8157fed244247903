import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Smalt } from 'smalt'

/** An open sandbox engine with a connected account, closed when the test ends. */
export async function connected(t, options = {}) {
  const smalt = await Smalt.sandbox(options)
  t.after(() => smalt.close())
  const account = smalt.account('acme-1')
  await account.ensure()
  await account.connect('sandbox-oauth')
  return { smalt, account }
}

/** A folder that is gone when the test ends. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'smalt-node-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** The address of a server that listens until the test ends. */
export async function listening(t, server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))))
  return `http://127.0.0.1:${server.address().port}`
}

/**
 * Runs a module in a Node of its own: how it ended, and what it printed. One that hangs is ended after `timeout` milliseconds, and has a signal
 * and no code then.
 */
export function child(code, { flags = [], env = {}, timeout = 120_000 } = {}) {
  return new Promise((resolve) => {
    const args = [...flags, '--input-type=module', '-e', code]
    execFile(process.execPath, args, { cwd: process.cwd(), env: { ...process.env, ...env }, timeout }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, signal: error?.signal ?? null, stdout, stderr }),
    )
  })
}
