// The hosted page in Chromium: redirected to, in frames of other sites, connecting, setting and disconnecting.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { APPS, MORE, accessible, fromSources, host, launch, shot, troubles } from './portal.mjs';
import { serve } from './server.mjs';

let server;
let browser;
let product;
let stranger;
let accounts = 0;

before(async () => {
  product = await host({ '/': '<!doctype html><title>product</title><h1>Product</h1>', '/back': '<!doctype html><title>back</title><h1>Back</h1>' });
  stranger = await host({});
  const org = `return_to = ["${product.origin}"]`;
  server = await serve({ org, apps: APPS + MORE, project: `[portal]\nembed = ["${product.origin}"]\n` });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await product?.close();
  await stranger?.close();
  assert.equal(await server?.close(), 0, 'the server ends cleanly on SIGTERM');
});

/** A linked account with a link to the page. */
async function visitor({ properties = {}, query = '', name = 'Ada & <Sons>' } = {}) {
  const account = `visitor-${(accounts += 1)}`;
  const token = await server.session(account, name);
  const made = await server.call('POST', `/api/v2/public/connect-url${query}`, { token, body: properties });
  assert.equal(made.status, 200, made.text);
  const app = async (slug) => (await server.call('GET', `/api/v2/f-sdk/application/${slug}`, { token })).body;
  return { account, token, url: made.body.hosted_url, app };
}

/** A browser of its own. What its pages complain about fails the test at its end. */
async function inBrowser(options, work) {
  const context = await browser.newContext({ viewport: { width: 900, height: 900 }, ...options });
  // Generous: it ends what hangs, and says nothing about speed.
  context.setDefaultTimeout(120_000);
  await fromSources(context);
  const page = await context.newPage();
  const seen = troubles(page);
  try {
    await work(page, context, seen);
    assert.deepEqual(seen, [], 'nothing went wrong on the page, and its policy refused nothing');
  } finally {
    await context.close();
  }
}

const atProvider = (url) => url.protocol === 'http:' && url.port !== new URL(server.url).port && url.pathname.includes('authorize');

/** Presses a connect button and answers the provider's page in its window. */
async function provider(page, context, button) {
  const [popup] = await Promise.all([context.waitForEvent('page'), button.click()]);
  await popup.waitForURL(atProvider);
  return popup;
}

const consent = (popup, how = 'allow') => popup.locator(`button[value=${how}]`).click({ noWaitAfter: true });
/** What is said stands on the page and, for those who do not see it, in a live region. */
const says = (page, text, options) => page.getByText(text, options).first().waitFor();
const brand = (page, slug) => page.locator(`[data-app=${slug}] .brand`);

describe('links', () => {
  test('a link holds a ticket and no token, whoever asks for it', async () => {
    const { account, token, url } = await visitor({ properties: { color: '#123456', anything: [1, { x: null }] }, query: '?config_id=north%20side' });
    assert.match(url, new RegExp(`^${server.url}/connect/[\\w-]{43}\\?config_id=north\\+side$`));
    assert.ok(!url.includes(token));
    const properties = () => server.call('GET', '/api/v2/public/hosted-properties', { token });
    assert.deepEqual((await properties()).body, { color: '#123456', anything: [1, { x: null }] }, 'kept as they were sent');
    // A backend's link is of the same session, and what it says replaces what was said.
    const by = await server.call('POST', '/api/v2/public/connect-url', { headers: { linked_account_id: account }, body: {} });
    assert.match(by.body.hosted_url, /\/connect\/[\w-]{43}$/);
    assert.deepEqual((await properties()).body, {});
    assert.equal((await fetch(`${server.url}/api/v2/public/connect-url`, { method: 'POST' })).status, 401);
    assert.equal((await fetch(`${server.url}/api/v2/public/hosted-properties`)).status, 401);
  });

  test('a page leads back to listed places only', async () => {
    const token = await server.session('returns-1');
    for (const redirect_url of ['https://evil.example', `${product.origin}.evil.example`, 'javascript:alert(1)', `${product.origin}@evil.example`, 7]) {
      const refused = await server.call('POST', '/api/v2/public/connect-url', { token, body: { redirect_url } });
      assert.equal(refused.status, 400, JSON.stringify(redirect_url));
    }
  });

  test('s30: a token is no ticket, and a ticket ends with its session', async () => {
    const { token, url } = await visitor();
    const open = (ticket, headers = {}) => server.call('POST', '/connect/open', { body: { ticket }, headers, token: '' });
    assert.equal((await fetch(`${server.url}/connect/${token}`)).status, 404);
    assert.equal((await open(token)).status, 404);
    const ticket = new URL(url).pathname.split('/').pop();
    assert.equal((await server.call('GET', '/api/v2/f-sdk/application', { token: ticket })).status, 401, 'a ticket is no token');
    assert.equal((await open(ticket, { 'sec-fetch-site': 'cross-site' })).status, 403, 'another site has no business with it');
    assert.equal((await open(ticket)).body.token, token);
    await server.call('POST', '/api/v2/public/session-token/revoke', { token });
    assert.equal((await open(ticket)).status, 404);
  });

  test('s30: a link that works once works once', async () => {
    const { url } = await visitor({ query: '?once=true' });
    const ticket = new URL(url).pathname.split('/').pop();
    const open = (ticket) => server.call('POST', '/connect/open', { body: { ticket }, token: '' });
    const all = await Promise.all(Array.from({ length: 8 }, () => open(ticket)));
    const good = all.filter(({ status }) => status === 200);
    assert.equal(good.length, 1);
    assert.equal((await open(ticket)).status, 404);
    assert.equal((await open(good[0].body.ticket)).status, 200, 'the page has a ticket of its own for reloads');
  });

  test('s10: what a request says about its host changes nothing', async () => {
    const { token } = await visitor();
    for (const headers of [{ 'x-forwarded-host': 'evil.example' }, { forwarded: 'host=evil.example' }, { 'x-forwarded-proto': 'https' }]) {
      const { body } = await server.call('POST', '/api/v2/public/connect-url', { token, headers, body: {} });
      assert.ok(body.hosted_url.startsWith(`${server.url}/connect/`), body.hosted_url);
    }
  });

  test('s65: what the page says to browsers', async () => {
    const { url } = await visitor();
    const { headers, text } = await fetch(url).then(async (response) => ({ headers: response.headers, text: await response.text() }));
    const policy = Object.fromEntries(headers.get('content-security-policy').split('; ').map((part) => [part.split(' ')[0], part.split(' ').slice(1).join(' ')]));
    assert.equal(policy['default-src'], "'none'");
    assert.equal(policy['object-src'], "'none'");
    assert.equal(policy['base-uri'], "'none'");
    assert.equal(policy['frame-ancestors'], product.origin);
    const nonce = /^'nonce-([0-9a-f]{32})'$/.exec(policy['script-src'])[1];
    assert.ok(text.includes(`nonce="${nonce}"`));
    assert.equal(headers.get('cross-origin-opener-policy'), 'same-origin-allow-popups');
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.ok(!text.includes(new URL(url).pathname.split('/').pop()), 'the ticket does not stand in the page');
    const again = await fetch(url).then((response) => response.headers.get('content-security-policy'));
    assert.ok(!again.includes(nonce), 'each answer has a nonce of its own');
  });
});

describe('the list', () => {
  test('applications with their brand; the button has a hover state; the ticket is gone from the address', async () => {
    const { url } = await visitor({ properties: { name: 'Northwind', redirect_url: `${product.origin}/back` } });
    await inBrowser({}, async (page) => {
      await page.goto(url);
      await page.locator('.card').first().waitFor();
      assert.equal(page.url(), `${server.url}/connect`);
      assert.match(await page.locator('.lead').innerText(), /Northwind .* Ada & <Sons>/);
      const names = await page.locator('.card h2').allInnerTexts();
      assert.equal(names.length, 9);
      assert.deepEqual(names, [...names].sort((a, b) => a.localeCompare(b)));
      await accessible(page, 'the list');
      await shot(page, 'list');
      const button = brand(page, 'sandbox-oauth');
      const ground = () => button.evaluate((element) => getComputedStyle(element).backgroundColor);
      assert.equal(await ground(), 'rgb(11, 87, 208)');
      await button.hover();
      await page.waitForFunction(() => getComputedStyle(document.querySelector('[data-app=sandbox-oauth] .brand')).backgroundColor === 'rgb(8, 66, 160)');
      await shot(page, 'list-hover');
      await page.getByRole('searchbox').fill('slack');
      assert.deepEqual(await page.locator('.card h2').allInnerTexts(), ['Slack']);
      await page.getByRole('link', { name: 'Back to Northwind' }).click();
      await page.waitForURL(`${product.origin}/back`);
    });
  });

  test('keyboard alone leads to a form, and the heading has the focus there', async () => {
    const { url } = await visitor();
    await inBrowser({}, async (page) => {
      await page.goto(url);
      await page.locator('.card').first().waitFor();
      await brand(page, 'sandbox-key').focus();
      await page.keyboard.press('Enter');
      await page.locator('form').waitFor();
      assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1');
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate(() => document.activeElement.name), 'key');
    });
  });

  test('dark, narrow, and in stashed colours', async () => {
    const { url } = await visitor();
    await inBrowser({ colorScheme: 'dark' }, async (page) => {
      await page.goto(url);
      await page.locator('.card').first().waitFor();
      await accessible(page, 'dark');
      await shot(page, 'list-dark');
    });
    await inBrowser({ viewport: { width: 320, height: 640 } }, async (page) => {
      await page.goto(url);
      await page.locator('.card').first().waitFor();
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= 320, `${wide} pixels in 320`);
      await accessible(page, 'narrow');
      await shot(page, 'list-narrow');
    });
    const colours = [
      { bgColor: '#0f2a1d', color: '#e8fff1', button_color: '#ffd24a' },
      // Nobody could read it so: the page takes what can be read.
      { bgColor: '#ffffff', color: '#fefefe', base_color: '#ffff00', button_color: '#ffffff' },
      { color: 'red;}*{display:none', bgColor: 'url(https://evil.example)', name: '<img src=x onerror=alert(1)>', base_color: 7 },
    ];
    for (const [index, properties] of colours.entries()) {
      const { url } = await visitor({ properties });
      await inBrowser({}, async (page) => {
        await page.goto(url);
        await page.locator('.card').first().waitFor();
        if (index === 0) assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(15, 42, 29)');
        await accessible(page, JSON.stringify(properties));
        await shot(page, `list-colours-${index}`);
      });
    }
  });

  test('links that are wrong or over say so', async () => {
    await inBrowser({}, async (page) => {
      await page.goto(`${server.url}/connect/${'x'.repeat(43)}`);
      await page.getByRole('heading', { name: 'This link has ended' }).waitFor();
      await accessible(page, 'an ended link');
      await shot(page, 'ended');
      await page.goto(`${server.url}/connect`);
      await page.getByRole('heading', { name: 'This link has ended' }).waitFor();
      await page.goto(`${server.url}/connect/nonsense`);
      await page.getByRole('heading', { name: 'Nothing here' }).waitFor();
      await accessible(page, 'no link');
    });
  });

  test('a reload goes on, also where the link worked once; the token is kept nowhere', async () => {
    const { url, token } = await visitor({ query: '?once=true' });
    await inBrowser({}, async (page, context) => {
      await page.goto(url);
      await page.locator('.card').first().waitFor();
      await page.reload();
      await page.locator('.card').first().waitFor();
      const stored = await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }) + document.cookie + location.href);
      assert.ok(!stored.includes(token));
      const other = await context.newPage();
      await other.goto(url);
      await other.getByRole('heading', { name: 'This link has ended' }).waitFor();
    });
  });

  test('a session that ends while the page is open', async () => {
    const { url, token } = await visitor();
    await inBrowser({}, async (page) => {
      await page.goto(url);
      await page.locator('.card').first().waitFor();
      await server.call('POST', '/api/v2/public/session-token/revoke', { token });
      await brand(page, 'sandbox-oauth').click();
      await page.getByRole('heading', { name: 'This link has ended' }).waitFor();
    });
  });
});

describe('OAuth', () => {
  test('a popup; the user does not confirm twice; the page says who it is', async () => {
    const { url, app } = await visitor();
    await inBrowser({}, async (page, context) => {
      await page.goto(url);
      const popup = await provider(page, context, brand(page, 'sandbox-oauth'));
      await says(page, 'Finish in the other window');
      await accessible(page, 'while a window is open');
      await shot(page, 'waiting');
      const closed = popup.waitForEvent('close');
      await consent(popup);
      await closed;
      await says(page, 'is connected as');
      assert.equal((await app('sandbox-oauth')).connected, true);
      assert.match(await page.locator('[data-app=sandbox-oauth] .state').innerText(), /Connected/);
    });
  });

  test('a window that is closed, a consent that is denied, a wait that is cancelled', async () => {
    const { url, app } = await visitor();
    await inBrowser({}, async (page, context) => {
      await page.goto(url);
      const first = await provider(page, context, brand(page, 'sandbox-oauth'));
      await first.close();
      await says(page, 'The window was closed before');
      const second = await provider(page, context, brand(page, 'sandbox-oauth'));
      await consent(second, 'deny');
      await says(page, 'You did not give your consent');
      await accessible(page, 'after a denied consent');
      await shot(page, 'denied');
      const third = await provider(page, context, brand(page, 'sandbox-oauth'));
      await page.getByRole('button', { name: 'Cancel' }).click();
      await brand(page, 'sandbox-oauth').waitFor();
      await third.close();
      assert.equal((await app('sandbox-oauth')).connected, false);
    });
  });

  test('a reload while the window is open: the page learns of the end', async () => {
    const { url } = await visitor();
    await inBrowser({}, async (page, context) => {
      await page.goto(url);
      const popup = await provider(page, context, brand(page, 'sandbox-oauth'));
      await page.reload();
      await page.locator('.card').first().waitFor();
      await consent(popup);
      await says(page, 'is connected');
    });
  });

  test('a blocked popup: the page itself goes to the provider and comes back', async () => {
    const { url, app } = await visitor();
    await inBrowser({}, async (page) => {
      await page.addInitScript(() => (window.open = () => null));
      await page.goto(url);
      await brand(page, 'sandbox-oauth').click();
      await page.waitForURL(atProvider);
      await page.locator('button[value=deny]').click();
      await says(page, 'You did not give your consent');
      assert.equal(page.url(), `${server.url}/connect`, 'nothing of it stays in the address');
      await brand(page, 'sandbox-oauth').click();
      await page.waitForURL(atProvider);
      await page.locator('button.yes').click();
      await says(page, 'is connected as');
      assert.equal(page.url(), `${server.url}/connect`);
      assert.equal((await app('sandbox-oauth')).connected, true);
    });
  });

  test('s04: a claim that somebody else brings is worth nothing', async () => {
    const [attacker, victim] = [await visitor(), await visitor()];
    const start = await server.call('POST', '/smalt/v1/start_connect', {
      token: attacker.token,
      body: { account: attacker.account, application: 'sandbox-oauth', return_to: `${server.url}/connect` },
    });
    await inBrowser({}, async (page) => {
      await page.goto(victim.url);
      await page.locator('.card').first().waitFor();
      await page.goto(start.body.authorize_url);
      await page.locator('button.yes').click();
      await says(page, 'can no longer be finished');
      for (const each of [attacker, victim]) assert.equal((await each.app('sandbox-oauth')).connected, false);
    });
  });
});

describe('keys', () => {
  test('missing, wrong and right ones', async () => {
    const { url, app } = await visitor();
    await inBrowser({}, async (page) => {
      await page.goto(url);
      await brand(page, 'sandbox-key').click();
      const form = page.locator('form');
      await form.waitFor();
      await accessible(page, 'the form for keys');
      await shot(page, 'keys');
      await form.locator('.brand').click();
      assert.equal(await form.locator('[aria-invalid=true]').count(), 2);
      await page.fill('[name=key]', 'wrong-key');
      await page.fill('[name=workspace]', 'Not A Workspace');
      await form.locator('.brand').click();
      await form.locator('[name=workspace][aria-invalid=true]').waitFor();
      assert.equal(await page.evaluate(() => document.activeElement.name), 'workspace');
      await page.fill('[name=workspace]', 'acme');
      await form.locator('.brand').click();
      await says(page, 'These were not accepted');
      await accessible(page, 'wrong keys');
      await shot(page, 'keys-wrong');
      assert.equal((await app('sandbox-key')).connected, false);
      await page.fill('[name=key]', 'sandbox-key-good');
      await page.keyboard.press('Enter');
      await says(page, 'is connected as');
      assert.equal((await app('sandbox-key')).connected, true);
    });
  });
});

/** An account whose OAuth application is connected already. */
async function connected(options) {
  const made = await visitor(options);
  const { body: start } = await server.call('POST', '/smalt/v1/start_connect', { token: made.token, body: { account: made.account, application: 'sandbox-oauth' } });
  // The sandbox takes the user's decision in the address, too.
  const decided = await fetch(`${start.authorize_url}&sandbox_user=ada&sandbox_decision=allow`, { redirect: 'manual' });
  const finished = await server.call('POST', '/smalt/v1/finish_connect', {
    token: made.token,
    body: { account: made.account, callback_url: decided.headers.get('location'), cookie: start.cookie.value },
  });
  assert.equal(finished.status, 200, finished.text);
  return made;
}

const config = async ({ token }) => (await server.call('GET', '/api/v2/f-sdk/slug/sandbox-oauth/config', { token })).body;
const valuesOf = (config) => Object.fromEntries(config.fields.filter((field) => 'value' in field).map(({ id, value }) => [id, value]));

describe('settings', () => {
  test('every type of field', async () => {
    const made = await connected();
    await inBrowser({}, async (page) => {
      await page.goto(`${made.url}#/sandbox-oauth`);
      const form = page.locator('form:has(.save)');
      await form.waitFor();
      await accessible(page, 'settings that are not made yet');
      await shot(page, 'settings-empty');
      const save = form.getByRole('button', { name: 'Save changes' });
      assert.ok(await save.isDisabled());
      assert.equal(await page.getByText('Not shown').count(), 0, 'hidden fields are');

      // A choice among many is searched, here and at the application.
      const channel = form.getByRole('combobox', { name: /Channel/ });
      const asked = page.waitForResponse((response) => response.url().endsWith('/config_field'));
      await channel.fill('nobody has this');
      await form.getByText('Nothing found').waitFor();
      assert.equal((await asked).request().postDataJSON().search, 'nobody has this');
      await channel.fill('al-');
      await form.locator('[role=option]:not([aria-disabled])').nth(1).waitFor();
      await channel.press('ArrowDown');
      await channel.press('ArrowDown');
      await accessible(page, 'an open list');
      await channel.press('Enter');
      const chosen = await channel.inputValue();

      await form.getByLabel('Greeting').fill('Hello <b>');
      await form.getByLabel('Story').fill('line 1\nline 2');
      await form.getByLabel('Site').fill('https://a.example');
      await form.getByLabel('Contact').fill('a@b.example');
      await form.getByLabel('Pass phrase').fill('canary pass');
      await form.getByLabel('Amount').fill('7.5');
      await form.getByLabel('From', { exact: true }).fill('2026-03-04');
      await form.getByRole('switch', { name: 'Mention everybody' }).check();
      const thread = form.getByLabel('Thread');
      assert.ok(await thread.isDisabled(), 'what it depends on is not chosen');
      await form.getByLabel('Level').selectOption({ label: 'One, as a text' });
      await form.getByRole('combobox', { name: 'Thread' }).waitFor();
      await form.getByRole('combobox', { name: 'Thread' }).click();
      await form.locator('.combobox:has([id^="field-thread"]) [role=option]').nth(2).click();
      await form.getByLabel('Monday').check();
      await form.getByLabel('Friday').check();
      const json = form.getByLabel('Extra');
      await json.fill('{"a": [1, ');
      await save.click();
      await says(page, 'This is not JSON yet');
      await json.fill('{"a": [1, null]}');

      await form.getByLabel('Columns: Deal name').selectOption({ label: 'Note' });
      await form.getByRole('group', { name: 'Columns: Tags' }).getByLabel('Title').check();
      await form.getByRole('button', { name: 'Add a row' }).click();
      await form.getByLabel('Ours, row 1').selectOption({ label: 'Value' });
      await form.getByLabel('Theirs, row 1').selectOption({ label: 'Sum' });
      await form.getByRole('button', { name: 'Add a row' }).click();
      assert.deepEqual(await form.getByLabel('Ours, row 2').locator('option').allInnerTexts(), ['Choose…', 'Name'], 'each left side once');
      await form.getByRole('button', { name: 'Remove row 2' }).click();

      await form.getByRole('button', { name: 'Add a condition' }).click();
      await form.getByLabel('Field, condition 1').selectOption({ label: 'Stage' });
      await form.getByLabel('Operator, condition 1').selectOption({ label: 'is not' });
      await form.getByLabel('Value, condition 1').selectOption({ label: 'Won' });
      await form.getByRole('button', { name: 'Add a group' }).click();
      await form.getByLabel('How the conditions of group 2 are combined').selectOption({ label: 'Any of these holds' });
      await form.getByLabel('Field, condition 2.1').selectOption({ label: 'Amount' });
      await form.getByLabel('Operator, condition 2.1').locator('option[value="4"]').waitFor({ state: 'attached' });
      await form.getByLabel('Operator, condition 2.1').selectOption({ index: 5 });
      await form.getByLabel('Value, condition 2.1').fill('1000');

      await form.getByRole('switch', { name: 'New deals' }).uncheck();
      await form.getByRole('switch', { name: 'Daily digest' }).check();
      await form.getByLabel('Hour').fill('9');
      await accessible(page, 'settings that are made');
      await shot(page, 'settings');
      await save.click();
      await says(page, 'Saved', { exact: true });

      const saved = await config(made);
      const { channel: picked, thread: followed, ...values } = valuesOf(saved);
      const named = (id, value) => saved.fields.find((field) => field.id === id).options.find((option) => option.value === value)?.name;
      assert.equal(named('channel', picked), chosen);
      assert.ok(followed);
      assert.deepEqual(values, {
        greeting: 'Hello <b>',
        story: 'line 1\nline 2',
        site: 'https://a.example',
        contact: 'a@b.example',
        pass: 'canary pass',
        amount: 7.5,
        from: '2026-03-04',
        loud: true,
        level: '1',
        days: ['mo', 'fr'],
        extra: { a: [1, null] },
        columns: { deal_name: 'note', tags: ['title'] },
        mapping: { 2: 'sum' },
        rule: {
          conditions: [
            { lhs: 'stage', operator: 'neq', type: 'select', rhs: 'won' },
            { logic: 'OR', conditions: [{ lhs: 'amount', operator: 'greater_or_equal', type: 'text', rhs: '1000' }] },
          ],
          logic: 'AND',
        },
      });
      assert.deepEqual(saved.workflows.map(({ id, enabled }) => [id, enabled]), [['digest', true], ['notify', false]]);
      assert.equal(saved.workflows[0].fields[0].value, 9);
      assert.deepEqual(saved.field_errors, []);

      // They are all there after a reload, and only what is changed then is sent.
      await page.reload();
      await form.waitFor();
      assert.equal(await form.getByLabel('Operator, condition 2.1').inputValue(), '4');
      assert.equal(await form.getByRole('combobox', { name: /Channel/ }).inputValue(), chosen);
      const [request] = await Promise.all([
        page.waitForRequest((request) => request.url().endsWith('/update_config')),
        form.getByLabel('Greeting').fill('').then(() => save.click()),
      ]);
      const { update } = request.postDataJSON();
      assert.deepEqual([update.fields, update.workflows], [{ greeting: null }, {}]);
      await says(page, 'Saved', { exact: true });
      assert.equal('greeting' in valuesOf(await config(made)), false, 'what is emptied is cleared');
    });
  });

  test('what the server refuses is said beside the field; what changed elsewhere is not overwritten', async () => {
    const made = await connected();
    await inBrowser({}, async (page) => {
      await page.goto(`${made.url}#/sandbox-oauth`);
      const form = page.locator('form:has(.save)');
      await form.waitFor();
      const save = form.getByRole('button', { name: 'Save changes' });
      await page.route('**/update_config', async (route) => {
        const body = route.request().postDataJSON();
        body.update.fields.amount = [1];
        await route.continue({ postData: JSON.stringify(body) });
      });
      await form.getByLabel('Amount').fill('3');
      await save.click();
      const amount = form.locator('[aria-invalid=true]');
      await amount.waitFor();
      assert.match(await form.locator('.field:has([aria-invalid=true]) .error').innerText(), /Expected: /);
      assert.ok(await amount.evaluate((element) => element === document.activeElement));
      await accessible(page, 'a refused setting');
      await shot(page, 'settings-refused');
      await page.unroute('**/update_config');

      // Changes are not lost by a click on a link.
      await page.getByRole('link', { name: 'All connections' }).click();
      await page.getByRole('dialog').waitFor();
      await accessible(page, 'the question before changes are lost');
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.getByRole('dialog').waitFor({ state: 'detached' });

      await server.call('PUT', '/api/v2/f-sdk/config', { token: made.token, body: { slug: 'sandbox-oauth', fields: { greeting: 'elsewhere' } } });
      await form.getByLabel('Greeting').fill('here');
      await save.click();
      await says(page, 'were changed elsewhere');
      assert.equal(await form.getByLabel('Greeting').inputValue(), 'elsewhere');

      // A required setting that is missing is said, and stops nothing.
      await form.getByLabel('Greeting').fill('there');
      await save.click();
      await says(page, 'Saved', { exact: true });
      await form.locator('.field:has(label:text("Channel")) .error:not([hidden])').waitFor();
      assert.equal(valuesOf(await config(made)).greeting, 'there');
    });
  });

  test('dark and narrow', async () => {
    const made = await connected();
    await inBrowser({ colorScheme: 'dark', viewport: { width: 320, height: 640 }, reducedMotion: 'reduce' }, async (page) => {
      await page.goto(`${made.url}#/sandbox-oauth`);
      const form = page.locator('form:has(.save)');
      await form.waitFor();
      await form.getByRole('button', { name: 'Add a row' }).click();
      await form.getByRole('button', { name: 'Add a group' }).click();
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= 320, `${wide} pixels in 320`);
      await accessible(page, 'settings, dark and narrow');
      await shot(page, 'settings-dark-narrow');
    });
  });

  test('the config that the link names', async () => {
    const made = await connected({ query: '?config_id=north' });
    await inBrowser({}, async (page) => {
      await page.goto(`${made.url}#/sandbox-oauth`);
      await page.locator('form:has(.save)').waitFor();
      const ids = (await server.call('GET', '/api/v2/public/slug/sandbox-oauth/configs', { token: made.token })).body;
      assert.deepEqual(ids.map(({ config_id }) => config_id), ['north']);
    });
  });

  test('disconnect, once it is confirmed', async () => {
    const made = await connected();
    await inBrowser({}, async (page) => {
      await page.goto(`${made.url}#/sandbox-oauth`);
      await page.locator('form:has(.save)').waitFor();
      const button = page.getByRole('button', { name: /^Disconnect/ }).first();
      await button.click();
      const dialog = page.getByRole('dialog');
      await dialog.waitFor();
      assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Cancel', 'nothing happens by accident');
      await accessible(page, 'the question before a disconnect');
      await shot(page, 'disconnect', { fullPage: false });
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'detached' });
      assert.equal((await made.app('sandbox-oauth')).connected, true);
      await button.click();
      await dialog.getByRole('button', { name: 'Disconnect' }).click();
      await says(page, 'is disconnected');
      assert.equal((await made.app('sandbox-oauth')).connected, false);
      assert.equal((await server.call('GET', '/api/v2/f-sdk/slug/sandbox-oauth/config', { token: made.token })).status, 404);
    });
  });
});

describe('in a frame', () => {
  const framed = (url) => `<!doctype html><title>host</title><h1>Host</h1><iframe title="Connections" src="${url}" style="width:100%;height:700px"></iframe>`;

  test('s65: of a listed origin; a popup from inside; back to the page around it', async () => {
    const made = await visitor({ properties: { redirect_url: `${product.origin}/back`, name: 'Northwind' } });
    product.routes['/frame'] = framed(made.url);
    await inBrowser({}, async (page, context) => {
      await page.goto(`${product.origin}/frame`);
      const frame = page.frameLocator('iframe');
      await frame.locator('.card').first().waitFor();
      const popup = await provider(page, context, frame.locator('[data-app=sandbox-oauth] .brand'));
      const closed = popup.waitForEvent('close');
      await consent(popup);
      await closed;
      await says(frame, 'is connected as');
      await shot(page, 'framed');
      assert.equal((await made.app('sandbox-oauth')).connected, true);
      await accessible(page.frames()[1], 'the page in a frame');
      await frame.getByRole('link', { name: 'Back to Northwind' }).click();
      await page.waitForURL(`${product.origin}/back`);
    });
  });

  test('a popup that is blocked in a frame: a link opens it', async () => {
    const made = await visitor();
    product.routes['/frame'] = framed(made.url);
    await inBrowser({}, async (page, context) => {
      await page.addInitScript(() => (window.open = () => null));
      await page.goto(`${product.origin}/frame`);
      const frame = page.frameLocator('iframe');
      await frame.locator('[data-app=sandbox-oauth] .brand').click();
      const [tab] = await Promise.all([context.waitForEvent('page'), frame.getByRole('link', { name: 'Open it here' }).click()]);
      await tab.waitForURL(atProvider);
      await consent(tab);
      await says(frame, 'is connected as');
    });
  });

  test('s65: of nobody else: 20 times each', async () => {
    const urls = [];
    for (let n = 0; n < 20; n += 1) urls.push((await visitor()).url);
    const all = `<!doctype html><title>host</title>${urls.map((url) => `<iframe title="one" src="${url}"></iframe>`).join('')}`;
    for (const [site, shown] of [[product, 20], [stranger, 0]]) {
      site.routes['/frames'] = all;
      const context = await browser.newContext();
      context.setDefaultTimeout(120_000);
      try {
        const page = await context.newPage();
        const refused = [];
        page.on('console', (message) => /frame-ancestors/.test(message.text()) && refused.push(message.text()));
        await page.goto(`${site.origin}/frames`, { waitUntil: 'load' });
        const frames = page.frames().slice(1);
        assert.equal(frames.length, 20);
        if (shown) await Promise.all(frames.map((frame) => frame.locator('.card').first().waitFor()));
        else for (let n = 0; refused.length < 20 && n < 2_000; n += 1) await page.waitForTimeout(50);
        const seen = await Promise.all(frames.map((frame) => frame.locator('.card').count()));
        assert.deepEqual([seen.filter((count) => count > 0).length, refused.length], [shown, 20 - shown]);
      } finally {
        await context.close();
      }
    }
  });
});

describe('without scripts', () => {
  test('the page before the provider, the one after it, and the one for errors are forms that work', async () => {
    const made = await visitor();
    await inBrowser({ javaScriptEnabled: false }, async (page) => {
      const { body } = await server.call('GET', '/api/v1/sandbox-oauth/integrate', { token: made.token });
      await page.goto(body.auth_url);
      await page.locator('main button').click();
      await page.waitForURL(atProvider);
      await page.locator('button.yes').click();
      await page.getByRole('heading', { name: 'Connected' }).waitFor();
      assert.equal((await made.app('sandbox-oauth')).connected, true);
      await page.goto(body.auth_url);
      await page.getByRole('heading', { name: 'This did not work' }).waitFor();
      await page.goto(made.url);
      assert.match(await page.textContent('noscript'), /This page needs JavaScript/);
    });
    await inBrowser({}, async (page) => {
      const { body } = await server.call('GET', '/api/v1/sandbox-oauth/integrate', { token: made.token });
      await page.goto(body.auth_url);
      await accessible(page, 'the page before the provider');
      await shot(page, 'confirm');
      await page.goto(`${server.url}/connect/go/nobodys`);
      await accessible(page, 'the page for errors');
      await shot(page, 'error');
    });
  });
});

describe('what others wrote', () => {
  const PAYLOADS = [
    '<script>hit()</script>',
    '"><script>hit()</script>',
    "'><img src=x onerror=hit()>",
    '<img src=x onerror=hit()>',
    '<svg onload=hit()>',
    '<svg><script>hit()</script></svg>',
    '<body onload=hit()>',
    '<iframe srcdoc="<script>parent.hit()</script>">',
    '<iframe src="javascript:parent.hit()">',
    '<a href="javascript:hit()">x</a>',
    '<details open ontoggle=hit()>',
    '<input autofocus onfocus=hit()>',
    '<video><source onerror=hit()></video>',
    '<math><mtext></form><form><mglyph><style></math><img src onerror=hit()>',
    '<style>@import "https://evil.example"</style>',
    '<link rel=stylesheet href=https://evil.example>',
    '<base href=https://evil.example>',
    '<meta http-equiv=refresh content="0;url=https://evil.example">',
    '<form action=https://evil.example><button>x',
    '<object data=https://evil.example>',
    '<embed src=https://evil.example>',
    '<noscript><p title="</noscript><img src=x onerror=hit()>">',
    '<template><script>hit()</script></template>',
    '</title><script>hit()</script>',
    '</textarea><script>hit()</script>',
    '</option></select><script>hit()</script>',
    '<!--><script>hit()</script-->',
    '<![CDATA[<script>hit()</script>]]>',
    '{{constructor.constructor("hit()")()}}',
    '${hit()}',
    '`${hit()}`',
    '\\u003cscript\\u003ehit()\\u003c/script\\u003e',
    '&lt;script&gt;hit()&lt;/script&gt;',
    '&#60;script&#62;hit()&#60;/script&#62;',
    '%3Cscript%3Ehit()%3C/script%3E',
    'javascript:hit()',
    'data:text/html,<script>hit()</script>',
    '" onmouseover="hit()',
    "' onfocus='hit()' autofocus='",
    '` onload=`hit()',
    'x" style="background:url(https://evil.example)',
    '<p style="position:fixed;inset:0" onclick=hit()>',
    '<marquee onstart=hit()>',
    '<img srcset="x 1x" onerror=hit()>',
    '<audio src onerror=hit()>',
    '<x contenteditable onblur=hit()>',
    '<svg><animate onbegin=hit() attributeName=x>',
    '<svg><use href="data:image/svg+xml,<svg onload=hit()>">',
    '<isindex action=javascript:hit() type=image>',
    '<table background=javascript:hit()>',
    '\u2028hit()\u2029',
    '\u202e<script>hit()</script>',
    '\ufeff<script>hit()</script>',
    '<scr\u200bipt>hit()</script>',
    '<ſcript>hit()</ſcript>',
    '＜script＞hit()＜/script＞',
    '<script/src=data:,hit()>',
    '<script x>hit()</script x>',
    '<<script>hit()//<</script>',
    '"};hit();//',
  ];

  test('s66: 60 texts in every place: no script runs, and nothing is left for the policy to refuse', async () => {
    const text = (value) => JSON.stringify(value);
    const option = (payload) => `{ name = ${text(payload)}, value = ${text(payload)} }`;
    const fields = PAYLOADS.map(
      (payload, n) =>
        `[[apps.sandbox-key.fields]]\nid = "f${n}"\nname = ${text(payload)}\nhelp = ${text(payload)}\nplaceholder = ${text(payload)}\npage = ${text(payload)}\n` +
        ['type = "text"', `type = "select"\noptions = [${option(payload)}]`, `type = "select"\nmultiple = true\noptions = [${option(payload)}]`, `type = "map_v2"\nmapping = { lhs = { name = ${text(payload)}, options = [${option(payload)}] }, rhs = { name = ${text(payload)} } }`][n % 4],
    );
    const workflows = PAYLOADS.map((payload, n) => `[[apps.sandbox-key.workflows]]\nid = "w${n}"\nname = ${text(payload)}\ndescription = ${text(payload)}\nenabled = true`);
    const label = text(PAYLOADS[0]);
    const brand = `[apps.sandbox-oauth.brand]\nbutton = { normal = { label = ${label} }, hover = { label = ${label} } }`;
    const own = await serve({ apps: `${fields.join('\n')}\n${workflows.join('\n')}\n[apps.sandbox-oauth]\n${brand}\n` });
    try {
      const account = `payloads`;
      const token = await own.session(account, PAYLOADS.join(' '));
      await own.call('POST', '/api/v2/app/sandbox-key/save', { token, body: { key: 'sandbox-key-good', workspace: 'acme' } });
      const values = Object.fromEntries(PAYLOADS.map((payload, n) => [`f${n}`, [payload, payload, [payload], { [payload]: payload }][n % 4]]));
      assert.equal((await own.call('PUT', '/api/v2/f-sdk/config', { token, body: { slug: 'sandbox-key', fields: values } })).status, 404, 'there is none yet');
      await own.call('POST', '/api/v2/f-sdk/config', { token, body: { slug: 'sandbox-key', fields: values } });
      const link = async (payload) => (await own.call('POST', '/api/v2/public/connect-url', { token, body: { name: payload, color: payload, bgColor: payload, base_color: payload, button_color: payload } })).body.hosted_url;
      await inBrowser({}, async (page) => {
        const hits = [];
        await page.exposeFunction('hit', () => hits.push(page.url()));
        page.on('request', (request) => new URL(request.url()).hostname === 'evil.example' && hits.push(request.url()));
        for (const payload of PAYLOADS.slice(0, 12)) {
          await page.goto(await link(payload));
          await page.locator('.card').first().waitFor();
          assert.ok((await page.locator('.lead').innerText()).includes(payload.slice(0, 5)));
        }
        await page.goto(`${page.url()}#/sandbox-key`);
        const form = page.locator('form:has(.save)');
        await form.waitFor();
        const shown = await form.evaluate((element) => element.textContent);
        for (const payload of PAYLOADS) assert.ok(shown.includes(payload), payload);
        for (const slug of PAYLOADS) {
          await page.evaluate((slug) => (location.hash = `#/${encodeURIComponent(slug)}`), slug);
          await page.locator('.card').first().waitFor();
        }
        // What comes in the address is no more trusted.
        for (const payload of PAYLOADS.slice(0, 12)) {
          await page.goto(`${own.url}/connect?flow=${encodeURIComponent(payload)}&application=${encodeURIComponent(payload)}&outcome=failed&error=${encodeURIComponent(payload)}`);
          await page.locator('.banner').waitFor();
        }
        assert.deepEqual(hits, []);
      });
    } finally {
      await own.close();
    }
  });
});
