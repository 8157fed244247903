import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import * as smaltModule from 'smalt'
import { connected } from './helpers.mjs'

const require = createRequire(import.meta.url)
const root = process.env.SMALT_ROOT
const schema = JSON.parse(readFileSync(join(root, 'docs/schema/operations-1.json'), 'utf8'))
const { METHOD_OF } = require(join(dirname(require.resolve('smalt/package.json')), 'dist/bundle.js')).inner

test('every operation of the table has its method', () => {
  assert.deepEqual(Object.keys(METHOD_OF).sort(), Object.keys(schema.operations).sort())
  for (const [operation, method] of Object.entries(METHOD_OF)) {
    const [owner, name] = method.split('.')
    assert.equal(typeof smaltModule[owner].prototype[name], 'function', `${operation}: ${method}`)
    if (schema.operations[operation].scope === 'account' && owner === 'Account') {
      assert.equal(typeof smaltModule.Session.prototype[name], 'function', `a session may call ${operation}`)
    }
  }
})

test('a session has no method that is the organisation\'s', () => {
  for (const [operation, method] of Object.entries(METHOD_OF)) {
    const [owner, name] = method.split('.')
    if (owner === 'Account' && schema.operations[operation].scope === 'organisation') {
      assert.equal(smaltModule.Session.prototype[name], undefined, method)
    }
  }
})

test('every kind of error has its class', () => {
  const bridge = JSON.parse(readFileSync(join(root, 'docs/schema/bridge-1.json'), 'utf8'))
  for (const { kind } of bridge.errors) {
    const name = `${kind.replace(/(^|_)([a-z])/g, (_, __, letter) => letter.toUpperCase())}Error`
    assert.ok(smaltModule[name].prototype instanceof smaltModule.SmaltError, name)
  }
})

test('an error that comes is of its kind\'s class, and no other error is one', async (t) => {
  const { account } = await connected(t)
  const error = await account.credential('no-such-application').catch((error) => error)
  assert.ok(smaltModule.isSmaltError(error))
  assert.deepEqual([error.kind, error.constructor], ['not_found', smaltModule.NotFoundError])
  for (const other of [new TypeError('x'), { kind: 'not_found', code: 'application_not_found' }, undefined, null]) assert.ok(!smaltModule.isSmaltError(other))
})
