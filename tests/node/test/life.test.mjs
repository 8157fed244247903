// A whole life against `oidc-provider`, which others wrote: authorize with PKCE, use, refresh with rotation, disconnect with revocation.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { FlowError, ReauthError, Smalt } from 'smalt'
import { fixedClock } from 'smalt/testing'
import { folder } from './helpers.mjs'

const counterparts = join(process.env.SMALT_ROOT, 'tests/counterparts')

/** A helper of the counterparts, which speaks JSON lines. */
async function helper(t, script, ...flags) {
  const child = spawn(process.execPath, [join(counterparts, script), ...flags], { stdio: ['pipe', 'pipe', 'ignore'] })
  t.after(() => new Promise((resolve) => (child.once('exit', resolve), child.stdin.end())))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => JSON.parse((await lines.next()).value)
  const first = await next()
  return { first, ask: (request) => (child.stdin.write(`${JSON.stringify(request)}\n`), next()) }
}

test('oidc-provider: connect, use, refresh, disconnect', async (t) => {
  const { first: provider } = await helper(t, 'provider.mjs', '--until-stdin-closes', '--access-token-ttl', '600')
  const user = await helper(t, 'consent.mjs', '--serve', '--no-browser')
  const stats = async () => (await fetch(`${provider.control}/__stats`)).json()
  const { issuer, client } = provider
  const secret = join(folder(t), 'client-secret')
  writeFileSync(secret, client.secret)
  const redirect = 'http://127.0.0.1/callback'
  const clock = fixedClock(new Date())
  const smalt = await Smalt.embedded({
    clock,
    // Nobody renews but who asks.
    timings: { ahead: null },
    path: join(folder(t), 'smalt.db'),
    key: Smalt.makeKey(),
    project: {
      version: 1,
      org: { public_url: 'http://127.0.0.1', redirect_uris: [redirect] },
      network: { allow: [issuer.replace('http://', '')] },
      apps: { counterpart: { client: { test: { id: client.id, secret: { file: secret }, redirect_uri: redirect } } } },
    },
    manifests: [
      {
        manifest: 1,
        slug: 'counterpart',
        name: 'Counterpart',
        description: 'oidc-provider',
        api: { base_url: `${issuer}/` },
        oauth2: {
          authorize_url: `${issuer}/auth`,
          token_url: `${issuer}/token`,
          issuer,
          authorize_params: { prompt: 'consent' },
          scopes: { default: ['openid', 'offline_access', 'email'] },
          refresh: { early: 60 },
          revoke: { url: `${issuer}/token/revocation` },
          identity: { url: `${issuer}/me`, id: '/sub', label: '/email' },
        },
      },
    ],
  })
  t.after(() => smalt.close())
  const account = smalt.account('acme-1')
  await account.ensure()

  const denied = await account.startConnect('counterpart')
  const { callback_url: no } = await user.ask({ url: denied.authorizeUrl, decision: 'deny' })
  await assert.rejects(account.finishConnect(no, { cookie: denied.cookie.value }), (error) => error instanceof FlowError)

  const flow = await account.startConnect('counterpart')
  assert.equal(new URL(flow.authorizeUrl).searchParams.get('code_challenge_method'), 'S256')
  const { callback_url: callback } = await user.ask({ url: flow.authorizeUrl, login: 'ada' })
  const connection = await account.finishConnect(callback, { cookie: flow.cookie.value })
  assert.deepEqual(connection.identity, { id: 'ada', label: 'ada@example.test' })
  assert.deepEqual(await (await account.fetch('counterpart', 'me')).json(), { sub: 'ada', email: 'ada@example.test' })

  const before = await account.credential('counterpart')
  const refreshes = async () => (await stats()).token.refresh_token ?? { success: 0, error: 0 }
  assert.equal((await refreshes()).success, 0, 'a new token is good')
  // Due for renewal, and not over yet. The clock stands still from here: what was renewed is due no more.
  clock.advance(before.expiresAt - clock.now() - 30_000)
  const renewed = await Promise.all(Array.from({ length: 20 }, () => account.credential('counterpart')))
  const tokens = new Set(renewed.map(({ accessToken }) => accessToken.reveal()))
  assert.equal(tokens.size, 1, 'all got the same token')
  assert.ok(!tokens.has(before.accessToken.reveal()))
  const { success, error } = await refreshes()
  assert.deepEqual([success, error], [1, 0], 'one of twenty callers renewed, and rotation was respected')
  assert.equal((await account.fetch('counterpart', 'me')).status, 200)

  const receipt = await account.disconnect('counterpart', { wait: 10_000 })
  assert.equal(receipt.revocation, 'revoked')
  assert.equal((await stats()).revocations, 1)
  await assert.rejects(account.credential('counterpart'), (error) => error instanceof ReauthError || error.code === 'not_connected')
})
