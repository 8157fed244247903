// A `smalt serve` of the build that is there, on a folder of its own, with an API key and the sandbox applications.
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const root = new URL('../..', import.meta.url).pathname;
const program = join(process.env.CARGO_TARGET_DIR || join(root, 'target'), 'debug/smalt');
const run = promisify(execFile);

const APPS = `
[apps.sandbox-oauth]
fields = [{ id = "greeting", name = "Greeting", type = "text" }, { id = "amount", name = "Amount", type = "number" }]
workflows = [{ id = "digest", name = "Digest", published = true, fields = [{ id = "hour", name = "Hour", type = "number" }] }]
[apps.sandbox-key]
fields = [{ id = "colour", name = "Colour", type = "text" }]
`;

/** Starts `oidc-provider` beside it; what it says of itself, and how to end it. */
export async function provide(...args) {
  const script = join(root, 'tests/counterparts/provider.mjs');
  const child = spawn(process.execPath, [script, '--until-stdin-closes', ...args], { stdio: ['pipe', 'pipe', process.env.DEBUG ? 'inherit' : 'ignore'] });
  const line = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the provider ended with ${code}`)));
  });
  const close = () => new Promise((resolve) => (child.once('exit', resolve), child.stdin.end()));
  return { ...JSON.parse(line), close };
}

/**
 * Starts one; `project` is added to the project file, `org` to its organisation, and `apps` stands in place of the usual applications.
 * `manifests` are applications by slug, `files` stand beside the project file. Answers its url, a way to call it, and how to end it.
 */
export async function serve({ project = '', org = '', apps = APPS, manifests = {}, files = {} } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'smalt-serve-'));
  const env = { ...process.env, SMALT_LISTEN: '', SMALT_PUBLIC_URL: '' };
  for (const name of Object.keys(env)) if (name.startsWith('SMALT_')) delete env[name];
  const smalt = (...args) => run(program, [...args, '--json'], { cwd: folder, env }).then(({ stdout }) => JSON.parse(stdout));
  await smalt('keys', 'create', '--out', 'smalt.key');
  await mkdir(join(folder, 'manifests'));
  for (const [slug, text] of Object.entries(manifests)) await writeFile(join(folder, 'manifests', `${slug}.toml`), text);
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
  const head = `version = 1\nmanifests = ["manifests"]\n[org]\nid = "acme"\nname = "Acme"\n${org}\n[sandbox]\nenabled = true\n`;
  await writeFile(join(folder, 'smalt.toml'), head + apps + project);
  const { key } = await smalt('keys', 'api', 'create');

  const child = spawn(program, ['serve', '--listen', '127.0.0.1:0', '--json'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const first = await new Promise((resolve, reject) => {
    lines.once('line', resolve);
    child.once('exit', (code) => reject(new Error(`smalt serve ended with ${code}`)));
  });
  const { url } = JSON.parse(first);

  /** A call of a backend: status, headers and body. */
  async function call(method, path, { body, headers = {}, token } = {}) {
    const auth = token === undefined ? { 'x-api-key': key } : { authorization: `Bearer ${token}` };
    const response = await fetch(`${url}${path}`, {
      method,
      redirect: 'manual',
      headers: { 'content-type': 'application/json', ...auth, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : undefined };
  }

  /** A session token of a new or known linked account. */
  async function session(account, name) {
    await call('PUT', '/api/v2/public/linked-account', { body: { linked_account_id: account, name } });
    return (await call('POST', '/api/v2/public/session-token', { body: { linked_account_id: account } })).body.token;
  }

  async function close() {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const code = await ended;
    await rm(folder, { recursive: true, force: true });
    return code;
  }

  return { url, key, folder, smalt, call, session, close };
}
