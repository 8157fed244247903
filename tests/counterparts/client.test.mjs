// The browser client: as it is served, as it is packed, and on a page of another site in Chromium.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { host, launch, shot, troubles } from './portal.mjs';
import { serve } from './server.mjs';

const require = createRequire(import.meta.url);
const run = promisify(execFile);
const source = new URL('../../core/portal/client/', import.meta.url).pathname;
const { version } = require('../../core/portal/client/package.json');
const KEYS = { key: 'sandbox-key-good', workspace: 'acme' };

let server;
let browser;
let product;

before(async () => {
  product = await host();
  server = await serve({ org: `return_to = ["${product.origin}", "com.example.app:/done", "http://127.0.0.1/done"]\norigins = ["${product.origin}"]` });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await product?.close();
  assert.equal(await server?.close(), 0, 'the server ends cleanly on SIGTERM');
});

const sri = (bytes) => `sha384-${createHash('sha384').update(bytes).digest('base64')}`;

describe('as it is served', () => {
  test('under its exact version for ever, as the latest for a while, with hashes, to every origin', async () => {
    const index = await fetch(`${server.url}/client/${version}/index.json`).then((response) => response.json());
    assert.equal(index.version, version);
    for (const [at, keep] of [[version, 'public, max-age=31536000, immutable'], ['latest', 'public, max-age=300']]) {
      for (const name of ['smalt.mjs', 'smalt.js', 'smalt.d.ts']) {
        const response = await fetch(`${server.url}/client/${at}/${name}`, { headers: { origin: 'https://anywhere.example' } });
        const bytes = Buffer.from(await response.arrayBuffer());
        assert.equal(response.status, 200);
        assert.deepEqual(bytes, await readFile(join(source, name)));
        assert.equal(index.files[name].integrity, sri(bytes));
        assert.equal(response.headers.get('cache-control'), keep);
        assert.equal(response.headers.get('access-control-allow-origin'), '*');
        assert.equal(response.headers.get('cross-origin-resource-policy'), 'cross-origin');
        assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
      }
    }
    for (const path of ['0.0.1/smalt.mjs', 'latest/other.mjs', 'latest/..%2fportal.css']) {
      assert.equal((await fetch(`${server.url}/client/${path}`)).status, 404, path);
    }
    const { bytes } = index.files['smalt.mjs'];
    assert.ok(bytes < 32 * 1024, `${bytes} bytes`);
  });
});

test('icons have an address of their own, which any page may show and keep', async () => {
  const token = await server.session('icons-1');
  const apps = (await server.call('GET', '/api/v2/f-sdk/application', { token })).body;
  for (const { slug, icon } of apps) {
    assert.equal(icon, `${server.url}/api/v2/public/application/${slug}/icon`);
    const response = await fetch(icon);
    assert.equal(response.headers.get('content-type'), 'image/svg+xml');
    assert.equal(response.headers.get('cache-control'), 'public, max-age=86400');
    assert.equal(response.headers.get('access-control-allow-origin'), '*');
    assert.match(response.headers.get('content-security-policy'), /default-src 'none';.*sandbox/);
    assert.match(await response.text(), /^<svg /);
  }
  const { body } = await server.call('POST', '/smalt/v1/get_app', { token, body: { account: 'icons-1', application: 'sandbox-key' } });
  assert.match(body.brand.icon, /^data:image/, 'the bytes themselves, for clients that are offline');
  assert.equal((await fetch(`${server.url}/api/v2/public/application/nothing/icon`)).status, 404);
});

describe('as it is packed', () => {
  let folder;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'smalt-client-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test('the tarball installs, imports, and its types hold', async () => {
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: source });
    const [{ filename, files }] = JSON.parse(stdout);
    assert.deepEqual(files.map(({ path }) => path).sort(), ['README.md', 'package.json', 'smalt.d.ts', 'smalt.js', 'smalt.mjs']);
    await writeFile(join(folder, 'package.json'), '{"type":"module","private":true}');
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts', join(folder, filename)], { cwd: folder });
    await writeFile(
      join(folder, 'use.mjs'),
      `import { Session, SmaltError, connectButton, version } from '@smalt-dev/browser';
       import pack from '@smalt-dev/browser/package.json' with { type: 'json' };
       const session = new Session({ server: ${JSON.stringify(server.url + '/')}, token: process.argv[2] });
       const error = await session.connectKey('sandbox-key', { key: 'wrong', workspace: 'acme' }).catch((error) => error);
       console.log(JSON.stringify({ same: version === pack.version, button: typeof connectButton, is: error instanceof SmaltError && error instanceof Error,
         code: error.code, apps: (await session.apps()).length, account: await session.accountId() }));`,
    );
    const token = await server.session('packed-1');
    const said = JSON.parse((await run('node', ['--no-warnings', join(folder, 'use.mjs'), token])).stdout);
    assert.deepEqual(said, { same: true, button: 'function', is: true, code: 'credentials_rejected', apps: 2, account: 'packed-1' });

    await writeFile(
      join(folder, 'use.ts'),
      `import { Session, SmaltError, connectButton, type Connection, type Config } from '@smalt-dev/browser';
       const session = new Session({ server: 'https://a.example', token: async () => 'token' });
       export async function life(): Promise<Connection> {
         const connection = await session.connect('twilio', { number: '1', sid: '2' }, { authType: 'keybased' });
         const config: Config = await session.updateConfig('twilio', { fields: { a: 1 }, workflows: { digest: true } });
         const back: Connection | null = await session.resume();
         document.body.append(connectButton(await session.app('slack')));
         const receipt = await session.disconnect('twilio', { siblings: 'keep' });
         return back ?? (receipt.revocation === 'revoked' && config.version > 0 ? connection : Promise.reject(new SmaltError('internal')));
       }
       // @ts-expect-error a session has no credentials
       session.credential('slack');
       // @ts-expect-error there is no such policy for a session
       session.disconnect('slack', { siblings: 'kill' });`,
    );
    const tsc = require.resolve('typescript/bin/tsc');
    const strict = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--moduleResolution', 'nodenext', '--lib', 'es2022,dom'];
    await run('node', [tsc, ...strict, join(folder, 'use.ts')], { cwd: folder }).catch(({ stdout }) => assert.fail(stdout));
  });

  test('the types name what the module has, and nothing else', async () => {
    const module = await import(join(source, 'smalt.mjs'));
    const types = await readFile(join(source, 'smalt.d.ts'), 'utf8');
    const names = [...types.matchAll(/^export (?:const|class|function) (\w+)/gm)].map(([, name]) => name);
    assert.deepEqual(names.sort(), Object.keys(module).sort());
    const own = Object.getOwnPropertyNames(module.Session.prototype).filter((name) => name !== 'constructor');
    const body = /export class Session \{([\s\S]*?)\n\}/.exec(types)[1];
    const methods = [...body.matchAll(/^ {2}(?:readonly )?(\w+)[(<:]/gm)].map(([, name]) => name).filter((name) => name !== 'constructor');
    assert.deepEqual(methods.sort(), own.sort());
    assert.deepEqual((await readdir(source)).sort(), ['README.md', 'package.json', 'smalt.d.ts', 'smalt.js', 'smalt.mjs']);
  });

  test('every operation that it calls is one that a session may call', async () => {
    const text = await readFile(join(source, 'smalt.mjs'), 'utf8');
    const called = new Set([...text.matchAll(/call\('(\w+)'/g)].map(([, name]) => name));
    const token = await server.session('operations-1');
    assert.ok(called.size > 20);
    for (const operation of called) {
      const { status } = await server.call('POST', `/smalt/v1/${operation}`, { token, body: { account: 'operations-1' } });
      assert.ok(![403, 404].includes(status) || operation === 'get_account', `${operation}: ${status}`);
    }
  });
});

const atProvider = (url) => url.protocol === 'http:' && url.pathname.includes('authorize') && url.port !== new URL(server.url).port;

/** A page of the product with the client, begun with the token of an account. `script` runs when it is there. */
function page(token, load, script = '') {
  return `<!doctype html><meta charset="utf-8"><title>product</title><link rel="icon" href="data:,"><button id="go">Connect</button>${load}
    <script type="module">
      const { Session, connectButton } = globalThis.Smalt;
      globalThis.session = new Session({ server: ${JSON.stringify(server.url)}, token: ${JSON.stringify(token)} });
      globalThis.told = (promise) => (globalThis.result = promise.then((done) => ({ done }), (error) => ({ code: error.code, message: error.message, url: error.url, flow: error.flow })));
      document.getElementById('go').onclick = () => told(session.connect('sandbox-oauth'));
      globalThis.resumed = session.resume().then((done) => ({ done }), (error) => ({ code: error.code }));
      ${script}
      globalThis.ready = true;
    </script>`;
}

const asModule = () =>
  `<script type="module">import * as Smalt from ${JSON.stringify(`${server.url}/client/${version}/smalt.mjs`)}; globalThis.Smalt = Smalt;</script>`;

async function inBrowser(work) {
  const context = await browser.newContext();
  // Generous: it ends what hangs, and says nothing about speed.
  context.setDefaultTimeout(120_000);
  const opened = await context.newPage();
  const seen = troubles(opened);
  try {
    await work(opened, context, seen);
  } finally {
    await context.close();
  }
}

async function visit(opened, token, { load = asModule(), script } = {}) {
  product.routes['/'] = page(token, load, script);
  await opened.goto(`${product.origin}/`);
  await opened.waitForFunction(() => globalThis.ready);
}

/** Clicks, confirms on the page before the provider, and answers the window at the provider. */
async function begin(opened, context) {
  const [popup] = await Promise.all([context.waitForEvent('page'), opened.click('#go')]);
  await popup.locator('main button').click();
  await popup.waitForURL(atProvider);
  return popup;
}

const result = (opened) => opened.evaluate(() => globalThis.result);

describe('on a page of another site', () => {
  test('as a script whose hash is right; not where it is wrong', async () => {
    const token = await server.session('script-1');
    const index = await fetch(`${server.url}/client/latest/index.json`).then((response) => response.json());
    const tag = (integrity) => `<script src="${server.url}/client/latest/smalt.js" integrity="${integrity}" crossorigin="anonymous"></script>`;
    await inBrowser(async (opened) => {
      await visit(opened, token, { load: tag(index.files['smalt.js'].integrity) });
      const said = await opened.evaluate(async (keys) => {
        const made = await session.connect('sandbox-key', keys, { authType: 'keybased' });
        const config = await session.config('sandbox-key');
        const changed = await session.updateConfig('sandbox-key', { fields: { colour: 'red' } });
        const receipt = await session.disconnect('sandbox-key');
        return [made.identity.label, config.version, changed.fields[0].value, receipt.revocation, (await session.apps()).map(({ status }) => status)];
      }, KEYS);
      assert.deepEqual(said, ['Workspace acme', 1, 'red', 'nothing_to_revoke', ['not_connected', 'not_connected']]);
    });
    await inBrowser(async (opened) => {
      product.routes['/'] = page(token, tag(index.files['smalt.mjs'].integrity));
      await opened.goto(`${product.origin}/`);
      assert.equal(await opened.evaluate(() => typeof globalThis.Smalt), 'undefined');
    });
  });

  test('a popup: the user confirms and consents; a key in place of consent closes the window again', async () => {
    const token = await server.session('popup-1', 'Acme & <Sons>');
    await inBrowser(async (opened, context, seen) => {
      await visit(opened, token);
      const [asked] = await Promise.all([context.waitForEvent('page'), opened.click('#go')]);
      // The page of another site cannot press the button in the user's place.
      await opened.evaluate(() => (globalThis.smaltFlow = globalThis.smaltFlow ?? 'any'));
      await asked.locator('main button').waitFor();
      assert.match(await asked.locator('main').innerText(), /Acme & <Sons>/);
      await asked.locator('main button').click();
      await asked.waitForURL(atProvider);
      const closed = asked.waitForEvent('close');
      await asked.locator('button.yes').click({ noWaitAfter: true });
      await closed;
      const { done } = await result(opened);
      assert.equal(done.application, 'sandbox-oauth');
      assert.equal(done.status, 'active');
      // It is not known before that this one takes keys, so a window opens, and closes again.
      await opened.evaluate((keys) => {
        document.getElementById('go').onclick = () => told(session.connect('sandbox-key', keys));
      }, KEYS);
      const [needless] = await Promise.all([context.waitForEvent('page'), opened.click('#go')]);
      if (!needless.isClosed()) await needless.waitForEvent('close');
      assert.equal((await result(opened)).done.application, 'sandbox-key');
      assert.deepEqual(seen, []);
    });
  });

  test('a window that is closed, and a consent that is denied', async () => {
    const token = await server.session('closed-1');
    await inBrowser(async (opened, context) => {
      await visit(opened, token);
      const first = await begin(opened, context);
      await first.close();
      assert.equal((await result(opened)).code, 'user_cancelled');
      const second = await begin(opened, context);
      await second.locator('button[value=deny]').click({ noWaitAfter: true });
      assert.equal((await result(opened)).code, 'user_denied');
    });
  });

  test('a blocked popup: the page goes to the provider, and hands in the claim that comes back', async () => {
    const token = await server.session('blocked-1');
    await inBrowser(async (opened) => {
      await opened.addInitScript(() => (window.open = () => null));
      await visit(opened, token);
      assert.deepEqual(await opened.evaluate(() => globalThis.resumed), { done: null });
      await opened.click('#go');
      await opened.waitForURL(atProvider);
      await opened.locator('button.yes').click();
      await opened.waitForFunction(() => globalThis.ready);
      const { done } = await opened.evaluate(() => globalThis.resumed);
      assert.equal(done.status, 'active');
      assert.equal(opened.url(), `${product.origin}/`, 'nothing of it stays in the address');
      await opened.reload();
      await opened.waitForFunction(() => globalThis.ready);
      assert.deepEqual(await opened.evaluate(() => globalThis.resumed), { done: null });
      await opened.click('#go');
      await opened.waitForURL(atProvider);
      await opened.locator('button[value=deny]').click();
      await opened.waitForFunction(() => globalThis.ready);
      assert.deepEqual(await opened.evaluate(() => globalThis.resumed), { code: 'user_denied' });
    });
  });

  test('s12: only a result comes to return_to, and of another account it is worth nothing', async () => {
    const [token, other] = [await server.session('claims-1'), await server.session('claims-2')];
    const { body: start } = await server.call('POST', '/smalt/v1/start_connect', {
      token,
      body: { account: 'claims-1', application: 'sandbox-oauth', return_to: `${product.origin}/done?x=1` },
    });
    await inBrowser(async (opened) => {
      product.routes['/done'] = page(other, asModule());
      const [arrived] = await Promise.all([
        opened.waitForRequest((request) => request.url().startsWith(`${product.origin}/done`)),
        opened.goto(start.authorize_url).then(() => opened.locator('button.yes').click()),
      ]);
      const came = Object.fromEntries(new URL(arrived.url()).searchParams);
      assert.deepEqual(Object.keys(came).sort(), ['application', 'claim', 'flow', 'outcome', 'x']);
      assert.equal(came.outcome, 'claim');
      await opened.waitForFunction(() => globalThis.ready);
      assert.deepEqual(await opened.evaluate(() => globalThis.resumed), { code: 'claim_invalid' });
      assert.equal(opened.url(), `${product.origin}/done?x=1`);
    });
  });

  describe('s12: no message passes between windows', () => {
    /** What a page of ours might be told, if it listened. */
    const lies = (flow) =>
      [
        { type: 'smalt', flow, outcome: 'connected' },
        { smaltFlow: flow, status: 'connected', claim: 'made-up' },
        JSON.stringify({ flow, outcome: 'claim', claim: 'made-up' }),
        'success',
        { close: true },
      ];

    /** Opens an address, tells it lies, listens to anybody, and looks into the window for as long as it can. */
    const opener = (url, flow) => `<!doctype html><title>opener</title><button id="go">Go</button><script>
      var smaltFlow = ${JSON.stringify(flow)}, heard = [], read = [], told = 0;
      addEventListener('message', (event) => heard.push([event.origin, event.data]));
      postMessage('that it hears', '*');
      document.getElementById('go').onclick = () => {
        const opened = open(${JSON.stringify(url)});
        setInterval(() => {
          for (const lie of ${JSON.stringify(lies(flow))}) { opened.postMessage(lie, '*'); told += 1; }
          try { if (opened.location.href !== 'about:blank') read.push(opened.location.href); } catch {}
          try { if (opened.smaltFlow !== undefined) read.push(opened.smaltFlow); } catch {}
        }, 20);
      };
    </script>`;
    const attribute = (html) => html.replaceAll('&', '&amp;').replaceAll('"', '&quot;');
    /** A frame that may do everything but have an origin: its messages come from `null`. */
    const without = (html) =>
      `<!doctype html><title>around</title><iframe sandbox="allow-scripts allow-popups allow-popups-to-escape-sandbox" srcdoc="${attribute(html)}"></iframe>`;

    /** Notes every page that listens for messages: a page that does not is told nothing. */
    async function noting(context) {
      const listening = [];
      await context.exposeBinding('noteListener', (_source, where) => void listening.push(where));
      await context.addInitScript(() => {
        window.noteListener(`looked at ${location.href}`);
        const add = EventTarget.prototype.addEventListener;
        EventTarget.prototype.addEventListener = function (type, ...rest) {
          if (type === 'message' && (this === undefined || this === window)) window.noteListener(location.href);
          return add.call(this ?? window, type, ...rest);
        };
        Object.defineProperty(window, 'onmessage', { set: () => window.noteListener(location.href) });
      });
      return listening;
    }

    test('s12: a hostile opener hears nothing and is not heard, whether it opens a connect or the hosted page', async () => {
      const stranger = await host();
      const openers = [
        ['a page of a stranger', stranger, (html) => html],
        ['a frame without an origin', stranger, without],
        ['a page of a listed origin', product, (html) => html],
        ['such a frame there', product, without],
      ];
      const tries = process.env.SMALT_FULL ? 50 : 10;
      try {
        for (let at = 0; at < tries; at += 1) {
          const [who, site, around] = openers[at % openers.length];
          const account = `opened-${at}`;
          const token = await server.session(account);
          const isHosted = Math.floor(at / openers.length) % 2 === 1;
          const made = isHosted
            ? (await server.call('POST', '/api/v2/public/connect-url', { token, body: {} })).body.hosted_url
            : (await server.call('GET', '/api/v1/sandbox-oauth/integrate', { token })).body.auth_url;
          const { body: other } = await server.call('POST', '/smalt/v1/hand_off_connect', { token, body: { account, application: 'sandbox-oauth' } });
          await inBrowser(async (opened, context) => {
            const listening = await noting(context);
            site.routes['/opener'] = around(opener(made, other.flow_id));
            await opened.goto(`${site.origin}/opener`);
            const frame = around === without ? opened.frames()[1] : opened.mainFrame();
            const [popup] = await Promise.all([context.waitForEvent('page'), frame.locator('#go').click()]);
            if (isHosted) {
              const [asked] = await Promise.all([context.waitForEvent('page'), popup.locator('[data-app=sandbox-oauth] .brand').click()]);
              await asked.waitForURL(atProvider);
              const closed = asked.waitForEvent('close');
              await asked.locator('button.yes').click({ noWaitAfter: true });
              await closed;
              await popup.getByText('is connected as').first().waitFor();
            } else {
              // Whatever the opener says of itself, the user presses the button.
              const button = popup.locator('main button');
              await button.waitFor();
              assert.equal(new URL(popup.url()).pathname.startsWith('/connect/go/'), true, who);
              await button.click();
              await popup.waitForURL(atProvider);
              const closed = popup.waitForEvent('close');
              await popup.locator('button.yes').click({ noWaitAfter: true });
              await closed;
            }
            await frame.waitForFunction(() => told >= 50);
            const seen = await frame.evaluate(() => [heard.map(([, data]) => data), read]);
            assert.deepEqual(seen, [['that it hears'], []], `${who}, ${made}`);
            const ours = listening.filter((where) => where.startsWith(server.url));
            assert.deepEqual(ours, [], 'no page of ours listens');
            assert.ok(listening.includes(`looked at ${made}`), 'and it was looked at');
            // A page that listens is noticed: the opener, where it is no frame.
            if (around !== without) assert.ok(listening.includes(`${site.origin}/opener`));
          });
          const app = (await server.call('GET', '/api/v2/f-sdk/application/sandbox-oauth', { token })).body;
          assert.equal(app.connected, true, `${who}: the user is served all the same`);
          assert.equal((await server.call('POST', '/smalt/v1/get_flow', { token, body: { account, flow: other.flow_id } })).body.status, 'pending');
        }
      } finally {
        await stranger.close();
      }
    });

    test('s12: what a frame tells a page with the client, and what its opener does, counts for nothing', async () => {
      const stranger = await host();
      try {
        const token = await server.session('told-1');
        const lie = (target) => `<!doctype html><title>liar</title><script>
          var told = 0;
          setInterval(() => { for (const lie of ${JSON.stringify(lies('any'))}) { ${target}.postMessage(lie, '*'); told += 1; } }, 20);
        </script>`;
        stranger.routes['/frame'] = lie('parent');
        await inBrowser(async (opened, context) => {
          const listening = await noting(context);
          const script = `const frame = document.createElement('iframe'); frame.src = ${JSON.stringify(`${stranger.origin}/frame`)}; document.body.append(frame);`;
          await visit(opened, token, { script });
          const popup = await begin(opened, context);
          await opened.frames()[1].waitForFunction(() => told >= 50);
          await popup.close();
          assert.equal((await result(opened)).code, 'user_cancelled', 'told of an end as often as it was, it knows better');
          assert.deepEqual(listening.filter((where) => !where.startsWith('looked at ')), []);
          assert.ok(listening.includes(`looked at ${product.origin}/`));
        });
      } finally {
        await stranger.close();
      }
    });
  });

  test('s11: a native app is sent its claim, and nobody else can use it', async () => {
    const [token, other] = [await server.session('native-1'), await server.session('native-2')];
    const begin = (return_to) => server.call('POST', '/smalt/v1/start_connect', { token, body: { account: 'native-1', application: 'sandbox-oauth', return_to } });
    for (const near of ['com.example.app:/other', 'com.example.app2:/done', 'COM.EXAMPLE.APP:/done', 'acme://done', 'http://localhost:5000/done', 'http://127.0.0.1:5000/x/../done']) {
      assert.equal((await begin(near)).body.code, 'return_to_not_allowed', near);
    }
    for (const [return_to, expected] of [['com.example.app:/done', 'com.example.app:/done?flow='], ['http://127.0.0.1:51004/done', 'http://127.0.0.1:51004/done?flow=']]) {
      const { body: start } = await begin(return_to);
      const decided = await fetch(`${start.authorize_url}&sandbox_user=ada&sandbox_decision=allow`, { redirect: 'manual' });
      const came = await fetch(decided.headers.get('location'), { redirect: 'manual' });
      const location = came.headers.get('location');
      assert.equal(came.status, 303);
      assert.ok(location.startsWith(expected), location);
      const { claim, ...rest } = Object.fromEntries(new URLSearchParams(location.split('?')[1]));
      assert.deepEqual(rest, { flow: start.flow_id, application: 'sandbox-oauth', outcome: 'claim' });
      assert.ok(!location.includes(token));
      if (return_to.startsWith('com.')) {
        const finished = await server.call('POST', '/smalt/v1/finish_connect', { token, body: { account: 'native-1', claim } });
        assert.equal(finished.body.status, 'active');
      } else {
        const stolen = await server.call('POST', '/smalt/v1/finish_connect', { token: other, body: { account: 'native-2', claim } });
        assert.equal(stolen.body.code, 'claim_invalid');
      }
    }
  });

  test('a connect that is handed off leads back where it was told to, with how it ended', async () => {
    const token = await server.session('handed-1');
    for (const [decision, outcome, error] of [['allow', 'connected', null], ['deny', 'failed', 'user_denied']]) {
      const body = { account: 'handed-1', application: 'sandbox-oauth', return_to: `${product.origin}/done` };
      const { body: handoff } = await server.call('POST', '/smalt/v1/hand_off_connect', { token, body });
      const gone = await fetch(`${server.url}/connect/go/${handoff.ticket}`, { method: 'POST', redirect: 'manual' });
      const decided = await fetch(`${gone.headers.get('location')}&sandbox_user=ada&sandbox_decision=${decision}`, { redirect: 'manual' });
      const cookie = gone.headers.get('set-cookie').split(';')[0];
      const came = await fetch(decided.headers.get('location'), { redirect: 'manual', headers: { cookie } });
      const back = new URL(came.headers.get('location'));
      assert.equal(back.origin + back.pathname, `${product.origin}/done`);
      assert.equal(back.searchParams.get('outcome'), outcome);
      assert.equal(back.searchParams.get('error'), error);
      assert.equal(back.searchParams.get('claim'), null, 'there is nothing left to claim');
    }
  });

  test('a reload while the window is open; a token that ends while the client waits', async () => {
    const token = await server.session('reload-1');
    await inBrowser(async (opened, context) => {
      await visit(opened, token);
      const popup = await begin(opened, context);
      await opened.reload();
      await opened.waitForFunction(() => globalThis.ready);
      await popup.locator('button.yes').click({ noWaitAfter: true });
      assert.equal((await opened.evaluate(() => globalThis.resumed)).done.status, 'active');
    });
    const ended = await server.session('ended-1');
    await inBrowser(async (opened, context) => {
      await visit(opened, ended);
      await server.call('POST', '/api/v2/public/session-token/revoke', { token: ended });
      await opened.click('#go');
      assert.equal((await result(opened)).code, 'invalid_token');
      // A provider is asked for a new one, once for all callers.
      const fresh = await server.session('ended-1');
      const asked = await opened.evaluate(
        async ([server, old, fresh]) => {
          let asked = 0;
          const given = [old, fresh];
          const session = new globalThis.Smalt.Session({ server, token: async () => given[asked++] });
          const all = await Promise.all(Array.from({ length: 10 }, () => session.apps()));
          return [asked, all.length];
        },
        [server.url, ended, fresh],
      );
      assert.deepEqual(asked, [2, 10]);
    });
  });

  test('where long calls do not pass, short ones do', async () => {
    const token = await server.session('polled-1');
    await inBrowser(async (opened, context) => {
      await visit(opened, token);
      await opened.route('**/wait_flow', (route) => route.abort());
      const popup = await begin(opened, context);
      await popup.locator('button.yes').click({ noWaitAfter: true });
      assert.equal((await result(opened)).done.status, 'active');
    });
  });

  test('a button in the brand, with its hover state', async () => {
    const token = await server.session('button-1');
    await inBrowser(async (opened) => {
      await visit(opened, token, { script: `document.body.append(connectButton(await session.app('sandbox-oauth')));` });
      const button = opened.locator('.smalt-connect');
      assert.equal(await button.innerText(), 'Connect the sandbox');
      assert.equal(await button.evaluate((element) => getComputedStyle(element).backgroundColor), 'rgb(11, 87, 208)');
      await button.hover();
      assert.equal(await button.evaluate((element) => getComputedStyle(element).backgroundColor), 'rgb(8, 66, 160)');
      await shot(opened, 'button-hover');
    });
  });
});

describe('in a frame of a listed origin, on another host than the server, within a page of a third one', () => {
  /** `127.0.0.1` is another site than the frame's `localhost`, and another origin than the server's. */
  async function framed(opened, token, { site = product, script } = {}) {
    site.routes['/inner'] = page(token, asModule(), script);
    const outer = new URL(`${site.origin}/outer`);
    outer.hostname = '127.0.0.1';
    site.routes['/outer'] = `<!doctype html><title>outer</title><iframe title="inner" src="${site.origin}/inner"></iframe>`;
    await opened.goto(outer.href);
    const frame = opened.frames()[1];
    await frame.waitForFunction(() => globalThis.ready);
    const where = await frame.evaluate(() => [location.origin, window.top === window, [...location.ancestorOrigins]]);
    assert.deepEqual(where, [site.origin, false, [outer.origin]]);
    assert.notEqual(new URL(site.origin).hostname, new URL(server.url).hostname);
    return frame;
  }

  test('keys, settings, a popup, and the end', async () => {
    const token = await server.session('framed-1');
    await inBrowser(async (opened, context, seen) => {
      const frame = await framed(opened, token);
      const said = await frame.evaluate(async (keys) => {
        const made = await session.connect('sandbox-key', keys, { authType: 'keybased' });
        const config = await session.config('sandbox-key');
        const changed = await session.updateConfig('sandbox-key', { fields: { colour: 'red' } });
        return [await session.accountId(), made.status, config.version, changed.fields[0].value, (await session.apps()).map(({ status }) => status)];
      }, KEYS);
      assert.deepEqual(said, ['framed-1', 'active', 1, 'red', ['connected', 'not_connected']]);
      const [popup] = await Promise.all([context.waitForEvent('page'), frame.locator('#go').click()]);
      await popup.locator('main button').click();
      await popup.waitForURL(atProvider);
      const closed = popup.waitForEvent('close');
      await popup.locator('button.yes').click({ noWaitAfter: true });
      await closed;
      const { done } = await frame.evaluate(() => globalThis.result);
      assert.deepEqual([done.application, done.status], ['sandbox-oauth', 'active']);
      const receipt = await frame.evaluate(() => session.disconnect('sandbox-oauth'));
      assert.equal(receipt.revocation, 'revoked');
      assert.deepEqual(seen, []);
    });
  });

  test('a popup that is blocked: an address to show as a link, and a flow to wait for', async () => {
    const token = await server.session('framed-2');
    await inBrowser(async (opened, context) => {
      await opened.addInitScript(() => (window.open = () => null));
      const frame = await framed(opened, token);
      await frame.locator('#go').click();
      const { code, url, flow } = await frame.evaluate(() => globalThis.result);
      assert.equal(code, 'popup_blocked');
      assert.equal(opened.frames()[1].url(), `${product.origin}/inner`, 'the frame goes nowhere');
      // Such a frame may have no storage, so that nothing is found again by `resume`.
      const waited = frame.evaluate(async (flow) => (await session.waitFlow(flow)).status, flow);
      const tab = await context.newPage();
      await tab.goto(url);
      await tab.locator('main button').click();
      await tab.waitForURL(atProvider);
      await tab.locator('button.yes').click({ noWaitAfter: true });
      assert.equal(await waited, 'active');
    });
  });

  test('of an origin that is not listed it reads nothing', async () => {
    const stranger = await host();
    try {
      const token = await server.session('framed-3');
      await inBrowser(async (opened) => {
        const frame = await framed(opened, token, { site: stranger });
        const code = await frame.evaluate(() => session.apps().then(() => 'read', (error) => error.code));
        assert.equal(code, 'unreachable');
      });
    } finally {
      await stranger.close();
    }
  });
});
