// The published @cobaltio/cobalt-js, unmodified, against `smalt serve`: every method, in Node and in Chromium.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

import { serve } from './server.mjs';

const require = createRequire(import.meta.url);
const sdk = require.resolve('@cobaltio/cobalt-js');
const { Cobalt } = require('@cobaltio/cobalt-js');
const KEYS = { key: 'sandbox-key-good', workspace: 'acme' };

let server;
before(async () => {
  server = await serve();
});
after(async () => {
  assert.equal(await server?.close(), 0, 'the server ends cleanly on SIGTERM');
});

async function client(account) {
  return new Cobalt({ baseUrl: server.url, token: await server.session(account, `Name of ${account}`) });
}

test('account and applications', async () => {
  const cobalt = await client('ada@example.com');
  const details = await cobalt.getAccountDetails();
  assert.equal(details.linked_account_id, 'ada@example.com');
  assert.equal(details.linked_account.name, 'Name of ada@example.com');
  const apps = await cobalt.getApp();
  assert.deepEqual(apps.map(({ slug }) => slug).sort(), ['sandbox-key', 'sandbox-oauth']);
  const app = await cobalt.getApp('sandbox-key');
  assert.equal(app.auth_type, 'keybased');
  assert.equal(app.connected, false);
  assert.deepEqual(app.connected_accounts, []);
  assert.deepEqual(app.auth_input_map.map(({ name }) => name), ['key', 'workspace']);
  await assert.rejects(cobalt.getApp('nothing'), /Not Found/);
});

test('keys: connect, config, update, delete, disconnect', async () => {
  const cobalt = await client('keys-1');
  await assert.rejects(cobalt.connect('sandbox-key', { ...KEYS, key: 'wrong-key' }), /Bad Request/);
  assert.equal((await cobalt.getApp('sandbox-key')).connected, false, 'nothing was saved');
  assert.equal(await cobalt.connect('sandbox-key', KEYS), true);
  const app = await cobalt.getApp('sandbox-key');
  assert.equal(app.connected, true);
  assert.equal(app.reauth_required, false);
  assert.equal(app.connected_accounts[0].status, 'active');

  const made = await cobalt.config({ slug: 'sandbox-key', labels: [] });
  assert.equal(made.config_id, 'keys-1');
  assert.deepEqual(made.field_errors, []);
  const changed = await cobalt.updateConfig({ slug: 'sandbox-key', fields: { colour: 'red' }, workflows: [] });
  assert.equal(changed.fields.find(({ id }) => id === 'colour').value, 'red');
  assert.deepEqual(await cobalt.getConfig('sandbox-key'), changed);
  await cobalt.config({ slug: 'sandbox-key', config_id: 'second', labels: [] });
  assert.equal((await cobalt.getConfig('sandbox-key', 'second')).config_id, 'second');
  await cobalt.deleteConfig('sandbox-key', 'second');
  await assert.rejects(cobalt.getConfig('sandbox-key', 'second'), /Not Found/);

  await cobalt.disconnect('sandbox-key');
  assert.equal((await cobalt.getApp('sandbox-key')).connected, false);
  await assert.rejects(cobalt.getConfig('sandbox-key'), /Not Found/, 'its configs went with it');
  await cobalt.disconnect('sandbox-key');
});

test('values are kept as they were sent', async () => {
  const cobalt = await client('values-1');
  await cobalt.config({ slug: 'sandbox-oauth', labels: [] });
  const value = async (amount) => {
    const config = await cobalt.updateConfig({ slug: 'sandbox-oauth', fields: { amount }, workflows: [{ id: 'digest', enabled: true, fields: [] }] });
    return config.fields.find(({ id }) => id === 'amount');
  };
  for (const amount of [0, '0', '7.5']) assert.strictEqual((await value(amount)).value, amount);
  assert.equal('value' in (await value(null)), false, 'null clears');
  const config = await cobalt.getConfig('sandbox-oauth');
  assert.deepEqual(config.workflows.map(({ id, enabled, fields }) => [id, enabled, fields.length]), [['digest', true, 1]]);
});

test('a token that is not good', async () => {
  const cobalt = new Cobalt({ baseUrl: server.url, token: 'nonsense' });
  await assert.rejects(cobalt.getApp(), /Unauthorized/);
  const token = await server.session('gone-1');
  assert.deepEqual((await server.call('POST', '/api/v2/public/session-token/revoke', { token })).body, { success: true, revoked_count: 1 });
  await assert.rejects(new Cobalt({ baseUrl: server.url, token }).getApp(), /Unauthorized/);
});

/** A page of another origin that uses the SDK as a script, as the users of a product see it. */
async function hostPage() {
  const source = await readFile(sdk, 'utf8');
  const html = `<!doctype html><title>host</title><button id="go">Connect</button><script>var exports = {};</script><script src="/sdk.js"></script>`;
  const host = createServer((request, response) => {
    const [type, body] = request.url === '/sdk.js' ? ['text/javascript', source] : ['text/html', html];
    response.writeHead(200, { 'content-type': type }).end(body);
  });
  await new Promise((resolve) => host.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${host.address().port}/`, close: () => new Promise((resolve) => host.close(resolve)) };
}

test('a real popup in Chromium: the user confirms, consents, and the SDK resolves', async () => {
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    chromiumSandbox: false,
    args: ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const host = await hostPage();
  try {
    const token = await server.session('browser-1', 'Acme & <Sons>');
    const context = await browser.newContext();
    context.setDefaultTimeout(120_000);
    const page = await context.newPage();
    await page.goto(host.url);
    const begin = () =>
      page.evaluate(([baseUrl, token]) => {
        const button = document.getElementById('go');
        button.onclick = () => {
          window.result = new exports.Cobalt({ baseUrl, token }).connect('sandbox-oauth').then((done) => ({ done }), (error) => ({ error: String(error) }));
        };
      }, [server.url, token]);

    // The window is closed before anybody consents: the SDK says no.
    await begin();
    let popup = (await Promise.all([context.waitForEvent('page'), page.click('#go')]))[0];
    await popup.waitForLoadState();
    assert.match(await popup.locator('h1').innerText(), /Connect Sandbox \(OAuth\)/);
    assert.match(await popup.locator('main').innerText(), /Acme & <Sons>/, 'the account is named, and escaped');
    await popup.close();
    assert.deepEqual(await page.evaluate(() => window.result), { done: false });

    // Confirmed and consented: connected, the window closes, the SDK says yes.
    await begin();
    popup = (await Promise.all([context.waitForEvent('page'), page.click('#go')]))[0];
    await popup.locator('main button').click();
    await popup.waitForURL((url) => url.port !== new URL(server.url).port);
    const closed = popup.waitForEvent('close');
    await popup.locator('button.yes').click({ noWaitAfter: true });
    await closed;
    assert.deepEqual(await page.evaluate(() => window.result), { done: true });
    const app = await page.evaluate(([baseUrl, token]) => new exports.Cobalt({ baseUrl, token }).getApp('sandbox-oauth'), [server.url, token]);
    assert.equal(app.connected, true);
    assert.equal(app.connected_accounts[0].status, 'active');

    // A ticket that was taken leads nowhere a second time, and a stranger's browser cannot end a connect.
    const { auth_url: ticket } = (await server.call('GET', '/api/v1/sandbox-oauth/integrate', { token })).body;
    const taken = await fetch(ticket, { method: 'POST', redirect: 'manual' });
    assert.equal(taken.status, 303);
    assert.equal((await fetch(ticket, { method: 'POST', redirect: 'manual' })).status, 403);
    const stranger = await (await browser.newContext()).newPage();
    stranger.setDefaultTimeout(120_000);
    await stranger.goto(taken.headers.get('location'));
    await stranger.locator('button.yes').click();
    await stranger.waitForURL((url) => url.pathname === '/connect/done');
    assert.match(await stranger.locator('main').innerText(), /browser_mismatch/);
  } finally {
    await browser.close();
    await host.close();
  }
});

test('s08: code and state leave the address bar at once, and no request after the callback carries them', async () => {
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    chromiumSandbox: false,
    args: ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const flows = process.env.SMALT_FULL ? 20 : 10;
  let looked = 0;
  try {
    for (let n = 0; n < flows; n += 1) {
      // Every third user says no, and is told so by the same page.
      const denies = n % 3 === 2;
      const token = await server.session(`address-${n}`);
      const { auth_url: ticket } = (await server.call('GET', '/api/v1/sandbox-oauth/integrate', { token })).body;
      const context = await browser.newContext();
      context.setDefaultTimeout(120_000);
      const page = await context.newPage();
      const requests = [];
      const addresses = [];
      context.on('request', (request) => requests.push({ url: request.url(), headers: request.allHeaders().catch(() => request.headers()) }));
      page.on('framenavigated', (frame) => addresses.push(frame.url()));
      await page.goto(ticket);
      await page.locator('main button').click();
      await page.waitForURL((url) => url.port !== new URL(server.url).port);
      await page.locator(denies ? 'button[value=deny]' : 'button.yes').click({ noWaitAfter: true });
      await page.waitForURL((url) => url.pathname === '/connect/done');
      assert.match(await page.locator('h1').innerText(), denies ? /did not work/ : /Connected/);

      const called = requests.findIndex(({ url }) => new URL(url).pathname === '/api/v1/sandbox-oauth/callback');
      const callback = new URL(requests[called].url);
      const secrets = ['code', 'state'].map((name) => callback.searchParams.get(name)).filter(Boolean);
      assert.equal(secrets.length, denies ? 1 : 2);
      for (const { url, headers } of requests.slice(called + 1)) {
        const text = `${url} ${JSON.stringify(await headers)}`;
        assert.ok(secrets.every((secret) => !text.includes(secret)), `flow ${n}: a request carries them: ${new URL(url).pathname}`);
        assert.equal(new URL(url).origin, callback.origin, 'nobody else is asked');
        assert.equal((await headers).referer, undefined);
        looked += 1;
      }
      // The callback's own address was never one that a page was shown at.
      assert.ok(addresses.length >= 3 && addresses.every((address) => secrets.every((secret) => !address.startsWith(server.url) || !address.includes(secret))));
      await context.close();
    }
    assert.ok(looked >= flows, 'the log has the page after each callback');
  } finally {
    await browser.close();
  }
});

test('a form of another site does not press the button', async () => {
  const token = await server.session('forged-1');
  const { auth_url: ticket } = (await server.call('GET', '/api/v1/sandbox-oauth/integrate', { token })).body;
  for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { origin: 'https://evil.example' }, { origin: 'null' }]) {
    assert.equal((await fetch(ticket, { method: 'POST', redirect: 'manual', headers })).status, 403);
  }
});
