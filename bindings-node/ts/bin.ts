#!/usr/bin/env node
// The `smalt` command, from the same addon: `npx smalt`.
import { addon } from './native.js'

process.exitCode = addon.command(['smalt', ...process.argv.slice(2)])
