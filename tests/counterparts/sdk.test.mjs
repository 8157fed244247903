// The published @cobaltio/cobalt-js, unmodified, in Chromium and in Node, with `oidc-provider` behind the server: the calls of its documentation,
// letter by letter, how each way of not connecting ends, and at last that no method of the package was left out in either place.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';

import { launch } from './portal.mjs';
import { provide, serve } from './server.mjs';
import { PlainVisitor } from './visit.mjs';

const require = createRequire(import.meta.url);
const source = await readFile(require.resolve('@cobaltio/cobalt-js'), 'utf8');
const { Cobalt } = require('@cobaltio/cobalt-js');

/** Whatever the package has, whether its documentation says so or not. */
const METHODS = Object.getOwnPropertyNames(Cobalt.prototype).filter((name) => name !== 'constructor');
/** Those that were called, by us or by the package itself. */
const called = { chromium: new Set(), node: new Set() };

/** A client that notes which of its methods are called; the package itself is as it was published. It runs in Chromium, too. */
function noting(client, called) {
  return new Proxy(client, {
    get(target, name, self) {
      const value = Reflect.get(target, name, self);
      if (typeof value !== 'function') return value;
      return (...given) => {
        called.add(name);
        return value.apply(self, given);
      };
    },
  });
}

let provider;
let server;
let browser;
let page;
let host;
let accounts = 0;

/** The documentation says `slack` and `twilio`; here they stand for a provider on this machine, and for a key that the sandbox checks. */
const slack = (issuer) => `manifest = 1
slug = "slack"
name = "Slack"
description = "Messages."
[api]
base_url = "${issuer}/"
[oauth2]
authorize_url = "${issuer}/auth"
token_url = "${issuer}/token"
issuer = "${issuer}"
authorize_params = { prompt = "consent" }
scopes = { default = ["openid", "offline_access", "email"] }
identity = { url = "${issuer}/me", id = "/sub", label = "/sub" }
revoke = { url = "${issuer}/token/revocation" }
`;
const twilio = (issuer) => `manifest = 1
slug = "twilio"
name = "Twilio"
description = "Calls."
[api]
base_url = "${issuer}/"
[keybased]
placement = { in = "basic", username = "{sid}", password = "{number}" }
inputs = [{ name = "number", label = "Number", type = "text", required = true }, { name = "sid", label = "SID", type = "text", required = true }]
`;

before(async () => {
  provider = await provide('--redirect-uri', 'http://127.0.0.1/api/v1/slack/callback');
  const { issuer, client } = provider;
  server = await serve({
    manifests: { slack: slack(issuer), twilio: twilio(issuer) },
    files: { 'slack.secret': client.secret },
    apps: `[apps.slack]
client = { test = { id = "${client.id}", secret = { file = "slack.secret" } } }
fields = [{ id = "channel", name = "Channel", type = "text" }]
workflows = [{ id = "notify", name = "Notify", published = true }]
[apps.twilio]
`,
    project: `[network]\nallow = ["${new URL(issuer).host}"]\n`,
  });
  host = createServer((request, response) => {
    const html = '<!doctype html><title>host</title><button id="go">Connect</button><script>var exports = {};</script><script src="/sdk.js"></script>';
    const [type, body] = request.url === '/sdk.js' ? ['text/javascript', source] : ['text/html', html];
    response.writeHead(200, { 'content-type': type }).end(body);
  });
  await new Promise((resolve) => host.listen(0, '127.0.0.1', resolve));
  browser = await launch();
});
after(async () => {
  await browser?.close();
  if (host) await new Promise((resolve) => host.close(resolve));
  await provider?.close();
  assert.equal(await server?.close(), 0, 'the server ends cleanly on SIGTERM');
});

/** A page of a product with the SDK, for an account of its own. */
async function product(work) {
  const context = await browser.newContext();
  context.setDefaultTimeout(120_000);
  const account = `sdk-${(accounts += 1)}`;
  const token = await server.session(account, `Name of ${account}`);
  page = await context.newPage();
  await page.goto(`http://127.0.0.1:${host.address().port}/`);
  await page.evaluate(
    ([baseUrl, token, noting]) => {
      window.called = new Set();
      window.cobalt = eval(`(${noting})`)(new exports.Cobalt({ baseUrl, token }), window.called);
    },
    [server.url, token, noting.toString()],
  );
  try {
    await work({ page, context, token, account });
    for (const name of await page.evaluate(() => [...window.called])) called.chromium.add(name);
  } finally {
    await context.close();
  }
}

/** Calls the SDK inside a click, as its documentation says; `outcome` waits for the end. */
async function click(page, call) {
  await page.evaluate((call) => {
    window.outcome = undefined;
    document.getElementById('go').onclick = () => {
      window.outcome = eval(call).then((done) => ({ done }), (error) => ({ error: String(error) }));
    };
  }, call);
  await page.click('#go');
}
const outcome = (page) => page.evaluate(() => window.outcome);

/** The user on the provider's pages. */
async function signIn(popup, { consents = true } = {}) {
  await popup.waitForURL((url) => url.origin === provider.issuer);
  await popup.locator('input[name=login]').fill('grace');
  await popup.locator('input[name=password]').fill('any');
  await popup.locator('button[type=submit]').click();
  await popup.locator('input[name=prompt][value=consent]').waitFor({ state: 'attached' });
  if (consents) await popup.locator('button[type=submit]').click({ noWaitAfter: true });
  else await popup.locator('a[href$="/abort"]').click({ noWaitAfter: true });
}

async function popupOf(context, opened) {
  const [popup] = await Promise.all([context.waitForEvent('page'), opened()]);
  await popup.locator('main button').click({ noWaitAfter: true });
  return popup;
}

describe('the calls of the documentation', () => {
  test('connect("slack"), config, updateConfig, disconnect', async () => {
    await product(async ({ page, context }) => {
      const popup = await popupOf(context, () => click(page, 'cobalt.connect("slack")'));
      const closed = popup.waitForEvent('close');
      await signIn(popup);
      await closed;
      assert.deepEqual(await outcome(page), { done: true });
      const app = await page.evaluate(() => cobalt.getApp('slack'));
      assert.equal(app.connected, true);
      assert.equal(app.connected_accounts[0].identifier, 'grace');

      const config = await page.evaluate(() => cobalt.config({ slug: 'slack', config_id: 'OPTIONAL_CONFIG_ID', labels: [] }));
      assert.equal(config.config_id, 'OPTIONAL_CONFIG_ID');
      assert.deepEqual(config.workflows.map(({ id, enabled }) => [id, enabled]), [['notify', false]]);
      const updated = await page.evaluate(() =>
        cobalt.updateConfig({ slug: 'slack', config_id: 'OPTIONAL_CONFIG_ID', fields: { channel: 'C1' }, workflows: [{ id: 'notify', enabled: true, fields: {} }] }),
      );
      assert.equal(updated.fields[0].value, 'C1');
      assert.equal(updated.workflows[0].enabled, true);
      await page.evaluate(() => cobalt.disconnect('slack'));
      assert.equal((await page.evaluate(() => cobalt.getApp('slack'))).connected, false);
    });
    const counted = await (await fetch(`${provider.control}/__stats`)).json();
    assert.equal(counted.codes.consumed, 1, 'one code, exchanged once');
    assert.equal(counted.revocations >= 1, true, 'the provider was told of the end');
  });

  test('connect("twilio", { number, sid })', async () => {
    await product(async ({ page }) => {
      await click(page, 'cobalt.connect("twilio", { number: "+1 555 0100", sid: "AC1" })');
      assert.deepEqual(await outcome(page), { done: true });
      assert.equal((await page.evaluate(() => cobalt.getApp('twilio'))).connected, true);
      // What is missing is not saved.
      await page.evaluate(() => cobalt.disconnect('twilio'));
      await click(page, 'cobalt.connect("twilio", { number: "+1 555 0100" })');
      assert.deepEqual(await outcome(page), { error: 'Error: Bad Request' });
      assert.equal((await page.evaluate(() => cobalt.getApp('twilio'))).connected, false);
    });
  });
});

test('account, applications and configs, in Chromium', async () => {
  await product(async ({ page, account }) => {
    const details = await page.evaluate(() => cobalt.getAccountDetails());
    assert.equal(details.linked_account_id, account);
    assert.equal(details.linked_account.name, `Name of ${account}`);
    assert.deepEqual((await page.evaluate(() => cobalt.getApp())).map(({ slug }) => slug).sort(), ['sandbox-key', 'sandbox-oauth', 'slack', 'twilio']);
    const app = await page.evaluate(() => cobalt.getApp('slack'));
    assert.deepEqual([app.slug, app.auth_type, app.connected, app.connected_accounts], ['slack', 'oauth2', false, []]);
    await assert.rejects(page.evaluate(() => cobalt.getApp('nothing')), /Not Found/);

    const made = await page.evaluate(() => cobalt.config({ slug: 'slack', labels: [] }));
    assert.equal(made.config_id, account);
    assert.deepEqual(await page.evaluate(() => cobalt.getConfig('slack')), made);
    await page.evaluate(() => cobalt.config({ slug: 'slack', config_id: 'second', labels: [] }));
    const changed = await page.evaluate(() => cobalt.updateConfig({ slug: 'slack', config_id: 'second', fields: { channel: 'C2' }, workflows: [] }));
    assert.deepEqual(await page.evaluate(() => cobalt.getConfig('slack', 'second')), changed);
    assert.equal(changed.fields[0].value, 'C2');
    await page.evaluate(() => cobalt.deleteConfig('slack', 'second'));
    await assert.rejects(page.evaluate(() => cobalt.getConfig('slack', 'second')), /Not Found/);
    assert.deepEqual(await page.evaluate(() => cobalt.getConfig('slack')), made, 'the other one stays');
    await page.evaluate(() => cobalt.deleteConfig('slack'));
    await assert.rejects(page.evaluate(() => cobalt.getConfig('slack')), /Not Found/);
  });
});

describe('in Node', () => {
  const visitor = new PlainVisitor();
  const stats = async () => (await fetch(`${provider.control}/__stats`)).json();

  /** The user at the address that the package opens: confirms on our page, decides at the provider, and comes back with the cookie. */
  async function decide(url, decision) {
    const asked = await fetch(url);
    assert.equal(asked.status, 200);
    const gone = await fetch(url, { method: 'POST', redirect: 'manual', headers: { 'sec-fetch-site': 'same-origin' } });
    assert.equal(gone.status, 303);
    const callback = await visitor.visit({ url: gone.headers.get('location'), login: 'heidi', decision });
    const back = await fetch(callback, { redirect: 'manual', headers: { cookie: gone.headers.get('set-cookie').split(';')[0] } });
    assert.equal(back.status, 303);
    return (await fetch(new URL(back.headers.get('location'), callback))).text();
  }

  /** The package asks for `window.open`, which Node has not; `open` stands for it, and answers a window as browsers do. */
  async function client(open) {
    const account = `sdk-${(accounts += 1)}`;
    const token = await server.session(account, `Name of ${account}`);
    globalThis.window = { open };
    return { account, cobalt: noting(new Cobalt({ baseUrl: server.url, token }), called.node) };
  }
  after(() => delete globalThis.window);

  /** A window whose user decides this, and closes it where it does not close by itself. */
  function opened(decision) {
    const tab = { closed: false, closedBy: undefined, page: undefined, close: () => ((tab.closed = true), (tab.closedBy ??= 'the package')) };
    tab.open = (url) => {
      tab.page = decide(url, decision).then((page) => {
        if (decision === 'deny') [tab.closed, tab.closedBy] = [true, 'the user'];
        return page;
      });
      return tab;
    };
    return tab;
  }

  test('an OAuth connect: the user consents at the provider, and the package says yes', async () => {
    const before = await stats();
    const tab = opened('allow');
    const { cobalt, account } = await client(tab.open);
    assert.equal(await cobalt.connect('slack'), true);
    assert.equal(tab.closedBy, 'the package');
    assert.match(await tab.page, /<h1>Connected<\/h1>/);
    const app = await cobalt.getApp('slack');
    assert.deepEqual([app.connected, app.reauth_required, app.connected_accounts[0].identifier], [true, false, 'heidi']);

    assert.equal((await cobalt.getAccountDetails()).linked_account_id, account);
    const made = await cobalt.config({ slug: 'slack', config_id: 'OPTIONAL_CONFIG_ID', labels: [] });
    assert.equal(made.config_id, 'OPTIONAL_CONFIG_ID');
    const update = { slug: 'slack', config_id: 'OPTIONAL_CONFIG_ID', fields: { channel: 'C1' }, workflows: [{ id: 'notify', enabled: true, fields: {} }] };
    const changed = await cobalt.updateConfig(update);
    assert.deepEqual([changed.fields[0].value, changed.workflows[0].enabled], ['C1', true]);
    assert.deepEqual(await cobalt.getConfig('slack', 'OPTIONAL_CONFIG_ID'), changed);
    await cobalt.deleteConfig('slack', 'OPTIONAL_CONFIG_ID');
    await assert.rejects(cobalt.getConfig('slack', 'OPTIONAL_CONFIG_ID'), /Not Found/);

    await cobalt.disconnect('slack');
    assert.equal((await cobalt.getApp('slack')).connected, false);
    const counted = await stats();
    assert.equal(counted.codes.consumed - before.codes.consumed, 1, 'one code, exchanged once');
    assert.ok(counted.revocations > before.revocations, 'the provider was told of the end');
  });

  test('a consent that is denied: no, once the window is closed', async () => {
    const tab = opened('deny');
    const { cobalt } = await client(tab.open);
    assert.equal(await cobalt.connect('slack'), false);
    assert.equal(tab.closedBy, 'the user');
    assert.match(await tab.page, /user_denied/);
    assert.equal((await cobalt.getApp('slack')).connected, false);
  });

  test('a window that is blocked: whoever opens the link elsewhere is noticed', async () => {
    let page;
    const { cobalt } = await client((url) => {
      page = decide(url, 'allow');
      return null;
    });
    assert.equal(await cobalt.connect('slack'), true);
    assert.match(await page, /<h1>Connected<\/h1>/);
  });
});

describe('what does not connect', () => {
  test('a window that is closed: false', async () => {
    await product(async ({ page, context }) => {
      const [popup] = await Promise.all([context.waitForEvent('page'), click(page, 'cobalt.connect("slack")')]);
      await popup.locator('main button').waitFor();
      await popup.close();
      assert.deepEqual(await outcome(page), { done: false });
    });
  });

  test('a consent that is denied: the window says so, and false once it is closed', async () => {
    await product(async ({ page, context }) => {
      const popup = await popupOf(context, () => click(page, 'cobalt.connect("slack")'));
      await signIn(popup, { consents: false });
      await popup.waitForURL((url) => url.pathname === '/connect/done');
      assert.match(await popup.locator('main').innerText(), /user_denied|not connected|declined/i);
      await popup.close();
      assert.deepEqual(await outcome(page), { done: false });
      assert.equal((await page.evaluate(() => cobalt.getApp('slack'))).connected, false);
    });
  });

  test('a window that is blocked: it goes on asking, and whoever opens the link by hand is noticed', async () => {
    await product(async ({ page, context }) => {
      await page.evaluate(() => (window.open = (url) => ((window.wanted = url), null)));
      await click(page, 'cobalt.connect("slack")');
      await page.waitForFunction(() => window.wanted);
      const still = await page.evaluate(() => Promise.race([window.outcome, new Promise((resolve) => setTimeout(resolve, 4000, 'asking'))]));
      assert.equal(still, 'asking');
      const url = await page.evaluate(() => window.wanted);
      const tab = await context.newPage();
      await tab.goto(url);
      await tab.locator('main button').click({ noWaitAfter: true });
      await signIn(tab);
      assert.deepEqual(await outcome(page), { done: true });
    });
  });

  test('a token that ends while it asks: the call ends with it', async () => {
    await product(async ({ page, context, token }) => {
      const [popup] = await Promise.all([context.waitForEvent('page'), click(page, 'cobalt.connect("slack")')]);
      await popup.locator('main button').waitFor();
      // An end is an end: one that is revoked is answered as one whose time is over.
      assert.equal((await server.call('POST', '/api/v2/public/session-token/revoke', { token })).status, 200);
      assert.deepEqual(await outcome(page), { error: 'Error: Unauthorized' });
      assert.equal(popup.isClosed(), false, 'its window stays, as the SDK has it');
    });
  });
});

test('no method of the package was left out, in Chromium or in Node', () => {
  assert.ok(METHODS.length >= 10, METHODS.join());
  assert.deepEqual([...called.chromium].sort(), [...METHODS].sort(), 'in Chromium');
  assert.deepEqual([...called.node].sort(), [...METHODS].sort(), 'in Node');
});
