// Shows that provider and consent do what the Rust tests rely on, without Smalt.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { after, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const REDIRECT = 'http://127.0.0.1:9/callback';
const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** A helper script that speaks JSON lines. */
function start(script, ...args) {
  const child = spawn(process.execPath, [here(script), ...args], { stdio: ['pipe', 'pipe', process.env.DEBUG ? 'inherit' : 'ignore'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    next: async () => {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${script} ended without an answer`);
      return JSON.parse(value);
    },
    ask(request) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      return this.next();
    },
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', resolve);
        child.stdin.end();
      }),
  };
}

let server;
let provider;

before(async () => {
  server = start('provider.mjs', '--until-stdin-closes');
  provider = await server.next();
});
after(() => server.stop());
beforeEach(() => fetch(`${provider.control}/__reset`, { method: 'POST' }));

const stats = async () => (await fetch(`${provider.control}/__stats`)).json();
const fault = async (body) => {
  const response = await fetch(`${provider.control}/__faults`, { method: 'POST', body: JSON.stringify(body) });
  assert.equal(response.status, 200, await response.text());
};

function authorize({ client = provider.client, redirect = REDIRECT, ...more } = {}) {
  const verifier = randomBytes(32).toString('base64url');
  const state = randomBytes(16).toString('base64url');
  const url = new URL('/auth', provider.issuer);
  url.search = new URLSearchParams({
    client_id: client.id,
    response_type: 'code',
    redirect_uri: redirect,
    scope: 'openid read email',
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...more,
  });
  return { url: url.href, state, verifier, redirect, client };
}

async function post(path, client, fields) {
  const basic = client.secret && { authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}` };
  const body = new URLSearchParams(client.secret ? fields : { ...fields, client_id: client.id });
  const response = await fetch(provider.issuer + path, { method: 'POST', headers: { ...basic }, body });
  const text = await response.text();
  return { status: response.status, ...(text && JSON.parse(text)) };
}

const exchange = (flow, callback) =>
  post('/token', flow.client, {
    grant_type: 'authorization_code',
    code: new URL(callback).searchParams.get('code'),
    redirect_uri: flow.redirect,
    code_verifier: flow.verifier,
  });
const refresh = (tokens, client = provider.client) => post('/token', client, { grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
const whoami = (tokens) => fetch(`${provider.issuer}/me`, { headers: { authorization: `Bearer ${tokens.access_token}` } });

for (const [name, ...flags] of [['form posts', '--no-browser'], ['Chromium']]) {
  describe(`a user played by ${name}`, () => {
    let user;

    before(async () => {
      user = start('consent.mjs', '--serve', ...flags);
      assert.deepEqual(await user.next(), { ready: true });
    });
    after(() => user.stop());

    async function connected(request = {}, more = {}) {
      const flow = authorize(more);
      const answer = await user.ask({ id: 'x', url: flow.url, ...request });
      assert.equal(answer.error, undefined);
      assert.equal(answer.id, 'x');
      const callback = new URL(answer.callback_url);
      assert.equal(callback.origin + callback.pathname, flow.redirect);
      assert.equal(callback.searchParams.get('state'), flow.state);
      assert.equal(callback.searchParams.get('iss'), provider.issuer);
      const tokens = await exchange(flow, answer.callback_url);
      assert.equal(tokens.status, 200, tokens.error_description);
      return { flow, tokens, callback: answer.callback_url };
    }

    test('consents, and the code is worth tokens of that user', async () => {
      const { tokens } = await connected({ login: 'ada' });
      assert.deepEqual(await (await whoami(tokens)).json(), { sub: 'ada', email: 'ada@example.test' });
      const seen = await stats();
      assert.deepEqual(seen.codes, { issued: 1, consumed: 1 });
      assert.deepEqual(seen.token, { authorization_code: { received: 1, success: 1, error: 0 } });
    });

    test('denies', async () => {
      const flow = authorize();
      const { callback_url: callback } = await user.ask({ url: flow.url, decision: 'deny' });
      assert.equal(new URL(callback).searchParams.get('error'), 'access_denied');
      assert.equal(new URL(callback).searchParams.get('state'), flow.state);
      assert.equal((await stats()).codes.issued, 0);
    });

    test('is not asked twice in the same browser, and asked again in another', async () => {
      const context = `browser of ${name}`;
      await connected({ login: 'eve', context });
      const again = await connected({ login: 'nobody', context });
      assert.equal((await (await whoami(again.tokens)).json()).sub, 'eve');
      const other = await connected({ login: 'mallory' });
      assert.equal((await (await whoami(other.tokens)).json()).sub, 'mallory');
    });

    test('cannot get past an authorize URL that the provider refuses', async () => {
      const { error } = await user.ask({ url: authorize({ redirect: 'http://127.0.0.1:9/elsewhere' }).url });
      assert.match(error, /answered 400/);
    });

    test('comes back to any loopback port of the public client', async () => {
      const { tokens, flow } = await connected({}, { client: provider.native_client, redirect: 'http://127.0.0.1:40123/callback' });
      assert.equal((await refresh(tokens, flow.client)).status, 200);
    });
  });
}

describe('the provider', () => {
  let user;

  before(async () => {
    user = start('consent.mjs', '--serve', '--no-browser');
    await user.next();
  });
  after(() => user.stop());

  async function tokens() {
    const flow = authorize();
    const { callback_url: callback } = await user.ask({ url: flow.url });
    return { flow, callback, ...(await exchange(flow, callback)) };
  }

  test('rotates refresh tokens, and a reused one kills the grant', async () => {
    const first = await tokens();
    const second = await refresh(first);
    assert.equal(second.status, 200);
    assert.notEqual(second.refresh_token, first.refresh_token);
    assert.equal((await refresh(first)).error, 'invalid_grant');
    assert.equal((await refresh(second)).error, 'invalid_grant');
    assert.equal((await whoami(second)).status, 401);
    const seen = await stats();
    assert.deepEqual(seen.token.refresh_token, { received: 3, success: 1, error: 2 });
    assert.equal(seen.grants_revoked, 1);
  });

  test('kills the grant when a code comes twice', async () => {
    const first = await tokens();
    assert.equal((await exchange(first.flow, first.callback)).error, 'invalid_grant');
    assert.equal((await whoami(first)).status, 401);
    const seen = await stats();
    assert.deepEqual(seen.codes, { issued: 1, consumed: 1 });
    assert.equal(seen.grants_revoked, 1);
  });

  test('refuses a wrong verifier and a start without PKCE', async () => {
    const flow = authorize();
    const { callback_url: callback } = await user.ask({ url: flow.url });
    const wrong = await exchange({ ...flow, verifier: randomBytes(32).toString('base64url') }, callback);
    assert.equal(wrong.error, 'invalid_grant');
    const bare = new URL(authorize().url);
    bare.searchParams.delete('code_challenge');
    bare.searchParams.delete('code_challenge_method');
    const refused = await user.ask({ url: bare.href });
    assert.equal(new URL(refused.callback_url).searchParams.get('error'), 'invalid_request');
  });

  test('revokes', async () => {
    const held = await tokens();
    const answer = await post('/token/revocation', provider.client, { token: held.refresh_token, token_type_hint: 'refresh_token' });
    assert.equal(answer.status, 200);
    assert.equal((await refresh(held)).error, 'invalid_grant');
    assert.equal((await stats()).revocations, 1);
  });

  test('loses an answer after the work on request, once', async () => {
    const held = await tokens();
    await fault({ path: '/token', grant_type: 'refresh_token', drop: true });
    await assert.rejects(refresh(held), TypeError);
    const seen = await stats();
    assert.deepEqual(seen.token.refresh_token, { received: 1, success: 1, error: 0 });
    assert.equal(seen.faults, 1);
    assert.equal((await refresh(held)).error, 'invalid_grant'); // the work was done: the token is spent
  });

  test('answers a failure instead of the work on request', async () => {
    const held = await tokens();
    await fault({ path: '/token', status: 503, headers: { 'retry-after': '1' }, times: 2 });
    assert.equal((await refresh(held)).status, 503);
    assert.equal((await refresh(held)).status, 503);
    assert.equal((await refresh(held)).status, 200);
  });

  test('holds an answer back on request, until it is released', async () => {
    const held = await tokens();
    await fault({ path: '/token', grant_type: 'refresh_token', hold: true });
    let ended = false;
    const late = refresh(held).finally(() => (ended = true));
    await tokens(); // another grant type is not held up by it
    while ((await stats()).faults === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(ended, false);
    assert.equal((await stats()).token.refresh_token.success, 1); // done at the provider, not told yet
    const released = await fetch(`${provider.control}/__release`, { method: 'POST' });
    assert.deepEqual(await released.json(), { released: 1 });
    assert.equal((await late).status, 200);
  });

  test('refuses a fault that it does not understand', async () => {
    const response = await fetch(`${provider.control}/__faults`, { method: 'POST', body: JSON.stringify({ path: '/token', dorp: true }) });
    assert.equal(response.status, 400);
  });

  test('registers further clients (RFC 7591)', async () => {
    const response = await fetch(`${provider.issuer}/reg`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ redirect_uris: ['https://app.example/callback'], grant_types: ['authorization_code', 'refresh_token'] }),
    });
    assert.equal(response.status, 201);
  });
});
