// Starts an unmodified `oidc-provider` on loopback, with a control server beside it. See README.md.
import { createServer } from 'node:http';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { MemoryAdapter } from './memory.mjs';
import { control, observe, wrap } from './control.mjs';

// The library warns on stdout about things that do not matter on loopback; stdout carries one JSON line and nothing else.
console.info = console.log = console.warn = console.error;
const { Provider } = await import('oidc-provider');

const { values: args } = parseArgs({
  options: {
    port: { type: 'string', default: process.env.PORT ?? '0' },
    'control-port': { type: 'string', default: process.env.CONTROL_PORT ?? '0' },
    'redirect-uri': { type: 'string', multiple: true },
    'client-id': { type: 'string', default: process.env.CLIENT_ID ?? 'counterpart' },
    'client-secret': { type: 'string', default: process.env.CLIENT_SECRET ?? randomBytes(24).toString('base64url') },
    'access-token-ttl': { type: 'string', default: process.env.ACCESS_TOKEN_TTL ?? '60' },
    'code-ttl': { type: 'string', default: process.env.CODE_TTL ?? '60' },
    'device-code-ttl': { type: 'string', default: process.env.DEVICE_CODE_TTL ?? '600' },
    'refresh-token': { type: 'string', default: process.env.REFRESH_TOKEN ?? 'always' },
    'until-stdin-closes': { type: 'boolean', default: false },
  },
});

const list = (text) => text?.split(/\s+/).filter(Boolean);
const redirectUris = args['redirect-uri'] ?? list(process.env.REDIRECT_URIS) ?? [
  'http://127.0.0.1/callback',
  'http://[::1]/callback',
];

function seconds(name) {
  const value = Number(args[name]);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes whole seconds, at least 1`);
  return value;
}
if (!['always', 'offline_access'].includes(args['refresh-token'])) throw new Error('--refresh-token takes `always` or `offline_access`');

const listen = (server, port) =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(Number(port), '127.0.0.1', () => resolve(server.address().port));
  });

// The issuer names the port, so the port is taken first.
let handle;
const server = createServer((req, res) => handle(req, res));
const port = await listen(server, args.port);
const issuer = `http://127.0.0.1:${port}`;

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const scope = 'openid offline_access read email';
const device = 'urn:ietf:params:oauth:grant-type:device_code';
const grants = { grant_types: ['authorization_code', 'refresh_token', device], response_types: ['code'], scope };
// A native client may come back on any loopback port (RFC 8252 section 7.3); tests can't know theirs in advance.
const native = { application_type: 'native', redirect_uris: redirectUris, ...grants };

// Clients that prove themselves with a key: its private half is one of the conformance cases' keys.
const pem = readFileSync(new URL('../conformance/keys/rsa.pem', import.meta.url));
const byKey = {
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: { keys: [{ ...createPublicKey(pem).export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'conformance' }] },
};
const machine = { grant_types: ['client_credentials'], response_types: [], redirect_uris: [], scope: 'read' };

const provider = new Provider(issuer, {
  adapter: MemoryAdapter,
  clients: [
    {
      client_id: args['client-id'],
      client_secret: args['client-secret'],
      token_endpoint_auth_method: 'client_secret_basic',
      ...native,
    },
    { client_id: `${args['client-id']}-key`, ...byKey, ...native },
    { client_id: `${args['client-id']}-machine`, client_secret: args['client-secret'], ...machine },
    { client_id: `${args['client-id']}-machine-key`, ...byKey, ...machine },
    { client_id: `${args['client-id']}-native`, token_endpoint_auth_method: 'none', ...native },
  ],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', kid: 'test' }] },
  cookies: { keys: [randomBytes(24).toString('base64url')] },
  scopes: scope.split(' '),
  claims: { openid: ['sub'], email: ['email'] },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.test` }) }),
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: { enabled: false },
  },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: (_ctx, client, code) =>
    client.grantTypeAllowed('refresh_token') && (args['refresh-token'] === 'always' || code.scopes.has('offline_access')),
  // Otherwise a grant without offline_access would end with the browser's session.
  expiresWithSession: () => false,
  ttl: {
    AccessToken: seconds('access-token-ttl'),
    AuthorizationCode: seconds('code-ttl'),
    ClientCredentials: seconds('access-token-ttl'),
    DeviceCode: seconds('device-code-ttl'),
    Grant: 14 * 86_400,
    IdToken: 3600,
    Interaction: 3600,
    RefreshToken: 14 * 86_400,
    Session: 14 * 86_400,
  },
});

const state = observe(provider);
handle = wrap(provider.callback(), state);

const controlServer = createServer(control(state));
const controlPort = await listen(controlServer, args['control-port']);

process.stdout.write(
  `${JSON.stringify({
    issuer,
    port,
    control: `http://127.0.0.1:${controlPort}`,
    client: { id: args['client-id'], secret: args['client-secret'] },
    native_client: { id: `${args['client-id']}-native` },
  })}\n`,
);

function stop() {
  for (const one of [server, controlServer]) {
    one.close();
    one.closeAllConnections();
  }
  process.exit(0);
}
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
if (args['until-stdin-closes']) process.stdin.on('end', stop).on('error', stop).resume();
