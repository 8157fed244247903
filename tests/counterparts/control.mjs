// Watches the provider and, on request, spoils its answers. Nothing here changes what the provider does.

const zero = () => ({
  // Requests that came in, by `METHOD path`.
  requests: {},
  // Answers that went out (or would have), by `METHOD path status`.
  answers: {},
  // POST /token by grant_type: what came in, and how the provider ended it.
  token: {},
  codes: { issued: 0, consumed: 0 },
  refresh_tokens: { issued: 0, consumed: 0 },
  access_tokens: { issued: 0 },
  grants_revoked: 0,
  // Revocation requests that the provider answered with success.
  revocations: 0,
  authorizations: { granted: 0, refused: 0 },
  // Answers that were spoiled on request.
  faults: 0,
  // Polls of device codes: which (its first characters) and when, in milliseconds of a clock that nobody sets.
  polls: [],
});

const add = (counts, key) => {
  counts[key] = (counts[key] ?? 0) + 1;
};

/** Counts what the provider reports. */
export function observe(provider) {
  const state = { stats: zero(), faults: [], held: [] };
  const token = (type) => (state.stats.token[type ?? 'none'] ??= { received: 0, success: 0, error: 0 });
  state.token = token;

  provider.on('authorization_code.saved', () => (state.stats.codes.issued += 1));
  provider.on('authorization_code.consumed', () => (state.stats.codes.consumed += 1));
  provider.on('refresh_token.saved', () => (state.stats.refresh_tokens.issued += 1));
  provider.on('refresh_token.consumed', () => (state.stats.refresh_tokens.consumed += 1));
  provider.on('access_token.saved', () => (state.stats.access_tokens.issued += 1));
  provider.on('grant.revoked', () => (state.stats.grants_revoked += 1));
  provider.on('grant.success', (ctx) => (token(ctx.oidc.params?.grant_type).success += 1));
  provider.on('grant.error', (ctx) => (token(ctx.oidc?.params?.grant_type).error += 1));
  provider.on('authorization.success', () => (state.stats.authorizations.granted += 1));
  provider.on('authorization.error', () => (state.stats.authorizations.refused += 1));
  provider.on('server_error', (_ctx, error) => console.error('provider fault:', error));
  return state;
}

/** Ids in paths would make every count its own row. */
const shape = (path) => path.replace(/^\/(interaction|auth)\/[^/]+/, '/$1/:uid');

/** The provider's request handler, with counting and faults around it. */
export function wrap(handler, state) {
  return (req, res) => {
    const path = new URL(req.url, 'http://provider').pathname;
    const route = `${req.method} ${shape(path)}`;
    add(state.stats.requests, route);

    const early = take(state, path, (fault) => fault.status !== undefined);
    if (early) {
      req.resume();
      setTimeout(() => {
        add(state.stats.answers, `${route} ${early.status}`);
        res.writeHead(early.status, { 'content-type': 'application/json', ...early.headers });
        res.end(JSON.stringify(early.body ?? { error: 'temporarily_unavailable' }));
      }, early.delay_ms ?? 0);
      return;
    }

    // Listening would start the stream before the provider reads it; looking over its shoulder does not.
    const chunks = [];
    const emit = req.emit;
    req.emit = function watched(event, ...rest) {
      if (event === 'data') chunks.push(rest[0]);
      if (event === 'end' && req.method === 'POST' && path === '/token') {
        state.token(grantType(chunks)).received += 1;
        const code = new URLSearchParams(Buffer.concat(chunks).toString('utf8')).get('device_code');
        if (code) state.stats.polls.push({ code: code.slice(0, 8), at: performance.now() });
      }
      return emit.call(this, event, ...rest);
    };

    // The work is done when the provider ends its answer: only then may the answer be late or lost.
    const end = res.end;
    res.end = function ended(...rest) {
      res.end = end;
      add(state.stats.answers, `${route} ${res.statusCode}`);
      if (req.method === 'POST' && path === '/token/revocation' && res.statusCode === 200) state.stats.revocations += 1;
      const fault = take(state, path, (f) => f.status === undefined && (!f.grant_type || f.grant_type === grantType(chunks)));
      const go = () => (fault?.drop ? res.socket?.destroy() : end.apply(res, rest));
      if (fault?.hold) state.held.push(go);
      else if (fault?.delay_ms) setTimeout(go, fault.delay_ms);
      else go();
      return res;
    };
    handler(req, res);
  };
}

function grantType(chunks) {
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8')).get('grant_type') ?? 'none';
}

function take(state, path, fits) {
  const at = state.faults.findIndex((fault) => fault.path === path && fits(fault));
  if (at < 0) return undefined;
  const fault = state.faults[at];
  fault.times -= 1;
  if (fault.times <= 0) state.faults.splice(at, 1);
  state.stats.faults += 1;
  return fault;
}

function release(state) {
  const held = state.held.splice(0);
  for (const go of held) go();
  return held.length;
}

const known = new Set(['path', 'grant_type', 'delay_ms', 'hold', 'drop', 'status', 'headers', 'body', 'times']);

function checked(fault) {
  if (typeof fault?.path !== 'string') throw new Error('a fault names a `path`, e.g. "/token"');
  const odd = Object.keys(fault).filter((key) => !known.has(key));
  if (odd.length > 0) throw new Error(`unknown keys: ${odd.join(', ')}`);
  if (fault.status !== undefined && (fault.grant_type || fault.drop || fault.hold)) {
    throw new Error('`status` answers before the body is read: it goes with none of `grant_type`, `drop`, `hold`');
  }
  if (fault.status === undefined && !fault.drop && !fault.hold && !fault.delay_ms) {
    throw new Error('a fault needs `status`, `drop`, `hold` or `delay_ms`');
  }
  return { times: 1, ...fault };
}

/** The control server's request handler. */
export function control(state) {
  return async (req, res) => {
    const answer = (status, body) => {
      res.writeHead(status, { 'content-type': 'application/json' });
      res.end(`${JSON.stringify(body)}\n`);
    };
    try {
      let text = '';
      for await (const chunk of req) text += chunk;
      switch (`${req.method} ${req.url}`) {
        case 'GET /__stats':
          return answer(200, state.stats);
        case 'POST /__reset':
          state.stats = zero();
          state.faults = [];
          release(state);
          return answer(200, {});
        case 'POST /__release':
          return answer(200, { released: release(state) });
        case 'POST /__faults':
          state.faults.push(checked(JSON.parse(text)));
          return answer(200, {});
        default:
          return answer(404, { error: 'GET /__stats, POST /__reset, POST /__faults, POST /__release' });
      }
    } catch (error) {
      return answer(400, { error: error.message });
    }
  };
}
