// What the tests of the hosted page share: a project with every sort of setting, pages of other origins, a browser, and axe.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);
const root = new URL('../..', import.meta.url).pathname;
/** Screenshots are kept here; nobody but people looks at them. */
const shots = join(process.env.CARGO_TARGET_DIR || join(root, 'target'), 'portal');

/** Applications with a field of every type. */
export const APPS = `
[apps.sandbox-oauth]
[[apps.sandbox-oauth.fields]]
id = "channel"
name = "Channel"
type = "select"
required = true
options_from = "channels"
help = "Where messages are posted."
[[apps.sandbox-oauth.fields]]
id = "greeting"
name = "Greeting"
type = "text"
placeholder = "Hello"
[[apps.sandbox-oauth.fields]]
id = "story"
name = "Story"
type = "textarea"
[[apps.sandbox-oauth.fields]]
id = "site"
name = "Site"
type = "url"
[[apps.sandbox-oauth.fields]]
id = "contact"
name = "Contact"
type = "email"
[[apps.sandbox-oauth.fields]]
id = "pass"
name = "Pass phrase"
type = "password"
[[apps.sandbox-oauth.fields]]
id = "amount"
name = "Amount"
type = "number"
default = 10
[[apps.sandbox-oauth.fields]]
id = "from"
name = "From"
type = "date"
[[apps.sandbox-oauth.fields]]
id = "loud"
name = "Mention everybody"
type = "boolean"
help = "Sends a notification to all members."
[[apps.sandbox-oauth.fields]]
id = "level"
name = "Level"
type = "select"
options = [{ name = "None", value = 0 }, { name = "One", value = 1 }, { name = "One, as a text", value = "1" }]
[[apps.sandbox-oauth.fields]]
id = "days"
name = "Days"
type = "select"
multiple = true
options = [{ name = "Monday", value = "mo" }, { name = "Tuesday", value = "tu" }, { name = "Friday", value = "fr" }]
[[apps.sandbox-oauth.fields]]
id = "thread"
name = "Thread"
type = "select"
options_from = "channels"
parent = "level"
[[apps.sandbox-oauth.fields]]
id = "extra"
name = "Extra"
type = "json"
page = "Advanced"
[[apps.sandbox-oauth.fields]]
id = "columns"
name = "Columns"
type = "map"
page = "Advanced"
labels = [{ name = "Deal name", value = "deal_name" }, { name = "Tags", value = "tags", multiple = true }]
options = [{ name = "Title", value = "title" }, { name = "Note", value = "note" }]
[[apps.sandbox-oauth.fields]]
id = "mapping"
name = "Deal fields"
type = "map_v2"
page = "Advanced"
mapping = { lhs = { name = "Ours", options = [{ name = "Name", value = "name" }, { name = "Value", value = 2 }] }, rhs = { name = "Theirs", options = [{ name = "Title", value = "title" }, { name = "Sum", value = "sum" }] } }
[[apps.sandbox-oauth.fields]]
id = "rule"
name = "Only when"
type = "rule_engine"
page = "Advanced"
options = [{ name = "Stage", value = "stage" }, { name = "Amount", value = "amount" }]
rules = [{ lhs = "stage", operators = [{ name = "is", value = "eq" }, { name = "is not", value = "neq" }], rhs = [{ name = "Open", value = "open" }, { name = "Won", value = "won" }] }]
[[apps.sandbox-oauth.fields]]
id = "secret"
name = "Not shown"
type = "text"
hidden = true
[[apps.sandbox-oauth.workflows]]
id = "digest"
name = "Daily digest"
description = "Posts a summary once a day."
fields = [{ id = "hour", name = "Hour", type = "number", required = true }]
[[apps.sandbox-oauth.workflows]]
id = "notify"
name = "New deals"
description = "Posts every new deal."
enabled = true
[apps.sandbox-key]
fields = [{ id = "colour", name = "Colour", type = "text" }]
`;

/** More of them, so that there is something to search. */
export const MORE = ['slack', 'hubspot', 'notion', 'quickbooks', 'airtable', 'stripe', 'twilio']
  .map((slug) => `[apps.${slug}]\n`)
  .join('');

export async function launch() {
  const { chromium } = await import('playwright-core');
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    chromiumSandbox: false,
    args: ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/** A page of another site: `localhost` is another one than the server's `127.0.0.1`. `routes` answer HTML by path. */
export async function host(routes = {}) {
  const server = createServer((request, response) => {
    const path = request.url.split('?')[0];
    const html = routes[path];
    const found = typeof html === 'function' ? html(request) : html;
    response.writeHead(found === undefined ? 404 : 200, { 'content-type': 'text/html' }).end(found ?? '');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://localhost:${server.address().port}`;
  return { origin, routes, close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))) };
}

/** With SMALT_PORTAL_SOURCES the page's files come from the sources, not from the build: for those who change them. */
export async function fromSources(context) {
  if (!process.env.SMALT_PORTAL_SOURCES) return;
  await context.route('**/connect/assets/**', async (route) => {
    const name = new URL(route.request().url()).pathname.split('/').pop();
    const folder = name === 'smalt.mjs' ? 'client' : 'page';
    const contentType = name.endsWith('.css') ? 'text/css' : 'text/javascript';
    await route.fulfill({ contentType, body: await readFile(join(root, 'core/portal', folder, name)) });
  });
}

/** Keeps a picture for people. */
export async function shot(page, name, options = {}) {
  await mkdir(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true, animations: 'disabled', ...options });
}

/** What axe finds on a page or in a frame must be nothing. */
export async function accessible(page, what) {
  const source = await readFile(require.resolve('axe-core/axe.min.js'), 'utf8');
  // As a debugger does it: the page's own policy would not let it in.
  await page.evaluate(source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const found = violations.map(({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`).join('\n  ')}`);
  assert.deepEqual(found, [], what);
}

/** Problems that a page reports: errors of scripts, and what its policy refused. */
export function troubles(page) {
  const seen = [];
  page.on('pageerror', (error) => seen.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && !/status of 4\d\d/.test(message.text()) && seen.push(message.text()));
  return seen;
}
