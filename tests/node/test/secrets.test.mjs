import assert from 'node:assert/strict'
import { test } from 'node:test'
import { format, inspect } from 'node:util'
import { Secret, Smalt } from 'smalt'
import { connected } from './helpers.mjs'

/** Every way in which a value gets into a log by accident. */
function shown(value) {
  const ways = [
    () => inspect(value, { depth: 20, showHidden: true, getters: true }),
    () => JSON.stringify(value),
    () => format('%s %o %O %j', value, value, value, value),
    () => `${value}`,
    () => String(value) + value,
    () => JSON.stringify(structuredClone(value)),
    () => inspect(structuredClone(value), { depth: 20, showHidden: true }),
    () => Object.values(value).map(String).join(),
    () => inspect(Object.entries(Object.getOwnPropertyDescriptors(value)), { depth: 20 }),
  ]
  return ways
    .map((way) => {
      try {
        return way()
      } catch (error) {
        return inspect(error)
      }
    })
    .join('\n')
}

test('s41: no way of printing shows a secret', async (t) => {
  const { smalt, account } = await connected(t)
  await account.connectKey('sandbox-key', { key: new Secret('sandbox-key-good'), workspace: 'main' })
  const oauth = await account.credential('sandbox-oauth')
  const key = await account.credential('sandbox-key')
  const session = await account.session()
  const started = await account.startConnect('sandbox-oauth', { redirectUri: 'http://127.0.0.1/callback' })
  const made = await smalt.createApiKey('worker')
  const handoff = await account.handOffConnect('sandbox-oauth', { redirectUri: 'http://127.0.0.1/callback' })
  const master = Smalt.makeKey()
  const secrets = [oauth.accessToken, key.values.key, session.token, started.cookie.value, made.key, handoff.ticket, master]
  for (const secret of secrets) assert.ok(secret instanceof Secret && secret.reveal().length >= 16)
  const holders = [oauth, key, session, started, made, handoff, master, smalt, account, account.flow('x'), await account.createSession(), secrets]
  for (const holder of holders) {
    const text = shown(holder)
    for (const secret of secrets) assert.ok(!text.includes(secret.reveal()), `a secret stands in ${text.slice(0, 2000)}`)
  }
  assert.equal(JSON.stringify({ secret: master }), '{"secret":"Secret(…)"}')
  assert.equal(inspect(master), 'Secret(…)')
})

test('s41: a refused secret is not in its error', async (t) => {
  const { smalt, account } = await connected(t)
  const canary = 'canary-4b1d77e2-canary-4b1d77e2'
  const calls = [
    () => account.connectKey('sandbox-key', { key: canary, workspace: 'main' }),
    () => smalt.verifySession(canary),
    () => smalt.verifyApiKey(canary),
    () => smalt.takeHandoff(canary),
    () => smalt.withToken(canary).account('acme-1').get(),
    () => account.claimConnect(canary),
    () => account.finishConnect('https://app.example/callback?code=c&state=s', { cookie: canary }),
    () => account.importConnection('sandbox-oauth', { nonsense: canary }),
    () => Smalt.embedded({ key: canary }),
  ]
  for (const call of calls) {
    const error = await call().then(() => assert.fail(`${call} succeeded`), (error) => error)
    assert.ok(!`${shown(error)}${error.stack}${error.message}`.includes(canary), `${call}`)
  }
})
