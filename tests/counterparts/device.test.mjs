// An application that is connected with a code alone, on the hosted page and with the browser client, in Chromium. The provider is
// `oidc-provider`: the user enters the code on its pages, in a browser of their own.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { accessible, fromSources, host, launch, shot, troubles } from './portal.mjs';
import { provide, serve } from './server.mjs';
import { PlainVisitor } from './visit.mjs';

let provider;
let server;
let browser;
let product;
let accounts = 0;

/** It has no page that sends the user back: there is no `authorize_url`. */
const manifest = (issuer) => `manifest = 1
slug = "tv"
name = "Living Room"
description = "Plays what you like."
[api]
base_url = "${issuer}/"
[oauth2]
token_url = "${issuer}/token"
device = { url = "${issuer}/device/auth" }
scopes = { default = ["openid", "offline_access", "email"] }
identity = { url = "${issuer}/me", id = "/sub", label = "/sub" }
revoke = { url = "${issuer}/token/revocation" }
`;

before(async () => {
  provider = await provide();
  product = await host({ '/': '<!doctype html><title>product</title><h1>Product</h1>' });
  const { id, secret } = provider.client;
  server = await serve({
    manifests: { tv: manifest(provider.issuer) },
    apps: `[apps.sandbox-key]\n[apps.tv]\nclient = { test = { id = "${id}", secret = { file = "tv.secret" } } }\n`,
    files: { 'tv.secret': secret },
    org: `return_to = ["${product.origin}"]`,
    project: `[network]\nallow = ["${new URL(provider.issuer).host}"]\n`,
  });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await product?.close();
  assert.equal(await server?.close(), 0, 'the server ends cleanly on SIGTERM');
  await provider?.close();
});

async function visitor() {
  const account = `viewer-${(accounts += 1)}`;
  const token = await server.session(account, 'Ada');
  const made = await server.call('POST', '/api/v2/public/connect-url', { token, body: {} });
  assert.equal(made.status, 200, made.text);
  const call = async (operation, body = {}) => (await server.call('POST', `/smalt/v1/${operation}`, { token, body: { account, ...body } })).body;
  return { account, token, url: made.body.hosted_url, call, app: () => call('get_app', { application: 'tv' }) };
}

async function inBrowser(work) {
  const context = await browser.newContext({ viewport: { width: 900, height: 900 } });
  context.setDefaultTimeout(120_000);
  await fromSources(context);
  const page = await context.newPage();
  const seen = troubles(page);
  try {
    await work(page, context);
    assert.deepEqual(seen, [], 'nothing went wrong on the page, and its policy refused nothing');
  } finally {
    await context.close();
  }
}

const says = (page, text) => page.getByText(text).first().waitFor();
const card = (page) => page.locator('[data-app=tv]');
/** What the page shows: the code, and where it is entered. */
async function shown(page) {
  const code = await page.locator('.user-code').innerText();
  const link = page.locator('.code a');
  assert.match(code, /^[A-Z0-9]{4}-[A-Z0-9]{4}$/);
  return { code, href: await link.getAttribute('href'), text: await link.innerText(), target: await link.getAttribute('target') };
}
/** Somebody enters the code, in another browser. */
const enters = (url, decision = 'allow') => new PlainVisitor().visit({ url, login: 'grace', decision });

describe('an application that is connected with a code', () => {
  test('says so, and offers nothing else', async () => {
    const { token, account, app } = await visitor();
    assert.deepEqual((await app()).grants, { oauth2: ['device_code'] });
    for (const operation of ['start_connect', 'hand_off_connect']) {
      const refused = await server.call('POST', `/smalt/v1/${operation}`, { token, body: { account, application: 'tv' } });
      assert.equal(refused.status, 400, refused.text);
      assert.match(refused.body.message, /with a code on a device/);
      assert.equal(refused.body.code, 'wrong_auth_type');
    }
  });

  test('the page shows code and link, opens no window, and knows when the user has finished', async () => {
    const { url, app, call } = await visitor();
    await inBrowser(async (page, context) => {
      await page.goto(url);
      await card(page).locator('.brand').click();
      await page.locator('.user-code').waitFor();
      assert.equal(context.pages().length, 1, 'no window was opened');
      const { code, href, text, target } = await shown(page);
      assert.equal(text, `${new URL(provider.issuer).host}/device`);
      assert.equal(href, `${provider.issuer}/device?user_code=${code}`);
      assert.equal(target, '_blank');
      await accessible(page, 'while a code is shown');
      await shot(page, 'device-code');
      assert.equal((await app()).status, 'not_connected');
      await enters(href);
      await says(page, 'Living Room is connected as grace');
      assert.equal(await page.locator('.user-code').count(), 0, 'the code is gone');
      const connected = await app();
      assert.equal(connected.status, 'connected');
      assert.equal(connected.connections[0].identity.label, 'grace');
      await card(page).getByRole('link', { name: 'Manage' }).click();
      await page.getByRole('button', { name: /^Disconnect/ }).click();
      await page.locator('dialog').getByRole('button', { name: 'Disconnect' }).click();
      await says(page, 'is disconnected');
      assert.equal((await call('list_connections')).length, 0);
    });
  });

  test('the link leads to the provider, in a tab that cannot reach the page', async () => {
    const { url } = await visitor();
    await inBrowser(async (page, context) => {
      await page.goto(url);
      await card(page).locator('.brand').click();
      await page.locator('.user-code').waitFor();
      const { code } = await shown(page);
      const [tab] = await Promise.all([context.waitForEvent('page'), page.locator('.code a').click()]);
      await tab.waitForURL((there) => there.origin === provider.issuer);
      assert.equal(await tab.evaluate(() => window.opener), null);
      assert.ok((await tab.content()).includes(code));
    });
  });

  test('a reload shows the code again; a refusal is told', async () => {
    const { url, app } = await visitor();
    await inBrowser(async (page) => {
      await page.goto(url);
      await card(page).locator('.brand').click();
      await page.locator('.user-code').waitFor();
      const before = await shown(page);
      await page.reload();
      await page.locator('.user-code').waitFor();
      assert.deepEqual(await shown(page), before);
      await enters(before.href, 'deny');
      await says(page, 'You did not give your consent');
      assert.equal(await page.locator('.user-code').count(), 0);
      assert.equal((await app()).status, 'not_connected');
      // And once more, to the end.
      await card(page).locator('.brand').click();
      await page.locator('.user-code').waitFor();
      const again = await shown(page);
      assert.notEqual(again.code, before.code);
      await page.reload();
      await page.locator('.user-code').waitFor();
      await enters(again.href);
      await says(page, 'Living Room is connected');
    });
  });

  test('a code that was cancelled is of no use', async () => {
    const { url, app, call } = await visitor();
    await inBrowser(async (page) => {
      const ended = page.waitForResponse((response) => response.url().endsWith('/smalt/v1/cancel_flow'));
      await page.goto(url);
      await card(page).locator('.brand').click();
      await page.locator('.user-code').waitFor();
      const { href } = await shown(page);
      await page.getByRole('button', { name: 'Cancel' }).click();
      const flow = await (await ended).json();
      assert.equal(flow.status, 'cancelled');
      await card(page).locator('.brand').waitFor();
      await enters(href);
      assert.equal((await call('get_flow', { flow: flow.id })).status, 'cancelled');
      assert.equal((await app()).status, 'not_connected');
    });
  });
});

describe('the browser client', () => {
  const inPage = (page, token) =>
    page.evaluate(
      async ([server, token]) => {
        const { Session } = await import(`${server}/client/latest/smalt.mjs`);
        globalThis.session = new Session({ server, token });
      },
      [server.url, token],
    );

  test('shows the code by `onCode`, known beforehand or not; says what it needs', async () => {
    for (const known of [true, false]) {
      const { token, app } = await visitor();
      await inBrowser(async (page, context) => {
        await page.goto(product.origin);
        await inPage(page, token);
        const refused = await page.evaluate(() => globalThis.session.connect('tv').then(String, ({ code, message }) => ({ code, message })));
        assert.equal(refused.code, 'invalid_request');
        assert.match(refused.message, /onCode/);
        if (!known) await inPage(page, token);
        const prompt = await page.evaluate(
          () =>
            new Promise((resolve, reject) => {
              globalThis.done = globalThis.session.connect('tv', {}, { onCode: (prompt, application) => resolve({ ...prompt, application }) });
              globalThis.done.catch(reject);
            }),
        );
        assert.equal(prompt.application, 'tv');
        assert.equal(prompt.verification_uri, `${provider.issuer}/device`);
        await enters(prompt.verification_uri_complete);
        const connection = await page.evaluate(() => globalThis.done);
        assert.equal(connection.identity.label, 'grace');
        assert.equal((await app()).status, 'connected');
        assert.equal(context.pages().length, 1, 'whatever window was opened is closed');
        assert.equal(await page.evaluate(() => sessionStorage.getItem('smalt.pending')), null);
      });
    }
  });
});
