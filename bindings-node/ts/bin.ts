#!/usr/bin/env node
// The `smalt` command, from the same addon: `npx smalt`.
import { addon } from './native.js'

// Node's handlers raise their signal again, to die of it: under the command's own, which call them, that would never end. A listener that
// is gone leaves the system's default behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  const listener = (): void => {}
  process.on(signal, listener).off(signal, listener)
}
process.exitCode = addon.command(['smalt', ...process.argv.slice(2)])
