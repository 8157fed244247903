// The package in a CommonJS project: the same classes as an ES module of the process sees.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { Secret, Smalt, SmaltError } = require('smalt')
const { Sandbox } = require('smalt/testing')

test('require and import give the same classes', async () => {
  const own = await import('smalt')
  assert.equal(own.Smalt, Smalt)
  assert.equal(own.Secret, Secret)
  assert.equal(own.SmaltError, SmaltError)
  assert.equal((await import('smalt/testing')).Sandbox, Sandbox)
})

test('a sandbox is opened, used and closed', async () => {
  const smalt = await Smalt.sandbox()
  const account = smalt.account('acme-1')
  await account.ensure()
  await account.connect('sandbox-oauth')
  const { accessToken } = await account.credential('sandbox-oauth')
  assert.ok(accessToken instanceof Secret)
  await smalt.close()
  await assert.rejects(account.get(), (error) => error instanceof SmaltError && error.code === 'closed')
})
