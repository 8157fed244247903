(function (globalThis) {
'use strict';
// The browser client of Smalt: what a linked account's session may do, from a page. No dependencies.
// The file `smalt.js` beside this one is made from it. Types stand in `smalt.d.ts`.

/** The version of client and server. */
const version = '0.1.0';

/** Where a flow that is under way is kept, so that a reload finds it again. It holds no secret. */
const PENDING = 'smalt.pending';
/** How long one watching call waits for a flow's end, in seconds. */
const WATCH = 20;
/** Calls that only read are tried again when the network or the server fails for a moment. */
const READS = /^(get_|list_|wait_|count_|config_field$|rule_columns$)/;

const sleep = (ms, signal) =>
  new Promise((resolve, reject) => {
    const ended = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', ended);
      resolve();
    }, ms);
    signal?.addEventListener('abort', ended, { once: true });
  });

/** Whether an application is connected with a code alone, and not at a page that a window shows. */
const wantsCode = (app) => {
  const grants = app.grants?.oauth2 ?? [];
  return grants.includes('device_code') && !grants.includes('authorization_code');
};

/** Something did not work. `code` is stable: one of docs/errors.md, or `unreachable` or `popup_blocked`, which are this client's own. */
class SmaltError extends Error {
  constructor(code, message, facts = {}) {
    super(message || code);
    this.name = 'SmaltError';
    this.code = code;
    Object.assign(this, facts);
  }
}

/** What stands between the dots of a token, to know whose it is; the server alone says whether it is good. */
function accountOf(token) {
  try {
    const text = atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0)))).linked_account_id;
  } catch {
    throw new SmaltError('invalid_token', 'this is no session token: make one on your backend, with `account.session()`');
  }
}

function remember(value) {
  try {
    if (value) sessionStorage.setItem(PENDING, JSON.stringify(value));
    else sessionStorage.removeItem(PENDING);
  } catch {
    // A frame without storage: a reload then begins anew.
  }
}

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(PENDING) || 'null');
  } catch {
    return null;
  }
}

/** Opens an empty window. Only inside a click does a browser allow it, so nothing may be awaited before. */
function openWindow() {
  const [width, height] = [520, 720];
  const left = Math.max(0, Math.round((window.screenX || 0) + (window.outerWidth - width) / 2));
  const top = Math.max(0, Math.round((window.screenY || 0) + (window.outerHeight - height) / 3));
  try {
    const opened = window.open('about:blank', '_blank', `popup,width=${width},height=${height},left=${left},top=${top}`);
    return opened && !opened.closed ? opened : null;
  } catch {
    return null;
  }
}

/** A session of one linked account. */
class Session {
  #server;
  #fetch;
  #token;
  #provider;
  #asking = null;
  #apps = new Map();

  /** `token`: a session token, or a function that fetches one from your backend whenever the last has ended. */
  constructor({ server, token, fetch: own }) {
    if (typeof server !== 'string') throw new SmaltError('invalid_request', '`server` must be the address of a Smalt server');
    this.#server = server.replace(/\/+$/, '');
    this.#fetch = own || ((...args) => globalThis.fetch(...args));
    if (typeof token === 'function') this.#provider = token;
    else this.#token = token;
  }

  /** The server's address. */
  get server() {
    return this.#server;
  }

  /** The linked account that the token speaks for. */
  async accountId() {
    return accountOf(await this.#good());
  }

  /** The token; many callers at once ask for a new one once. */
  async #good(refused) {
    if (this.#provider && (!this.#token || this.#token === refused)) {
      this.#asking ??= Promise.resolve(this.#provider()).finally(() => (this.#asking = null));
      this.#token = await this.#asking;
    }
    if (!this.#token) throw new SmaltError('invalid_token', 'there is no session token');
    return this.#token;
  }

  /** One operation of the table (docs/operations.md), for this account. */
  async call(operation, request = {}, { signal } = {}) {
    let tries = READS.test(operation) ? 3 : 1;
    let token = await this.#good();
    let renewed = false;
    for (;;) {
      tries -= 1;
      let response;
      let body;
      try {
        response = await this.#fetch(`${this.#server}/smalt/v1/${operation}`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify({ account: accountOf(token), ...request }),
          signal,
          credentials: 'omit',
          referrerPolicy: 'no-referrer',
        });
        body = await response.json();
      } catch (cause) {
        if (signal?.aborted) throw signal.reason;
        if (cause instanceof SmaltError) throw cause;
        if (tries > 0) {
          await sleep(300 * (3 - tries), signal);
          continue;
        }
        throw new SmaltError('unreachable', `the server at ${this.#server} cannot be reached, or its answer cannot be read`, { cause, retry: 'later' });
      }
      if (response.ok) return body;
      const { code = 'internal', message, retry, retry_after: retryAfter, request_id: requestId, context } = body || {};
      if (response.status === 401 && this.#provider && !renewed) {
        renewed = true;
        tries += 1;
        token = await this.#good(token);
        continue;
      }
      if (tries > 0 && [429, 502, 503, 504].includes(response.status) && !(retryAfter > 5)) {
        await sleep(retryAfter ? retryAfter * 1000 : 300 * (3 - tries), signal);
        continue;
      }
      throw new SmaltError(code, message, { retry, retryAfter, requestId, context, status: response.status });
    }
  }

  /** The linked account. */
  account() {
    return this.call('get_account');
  }

  /** The applications with their status. */
  async apps() {
    const apps = await this.call('list_apps');
    for (const app of apps) this.#apps.set(app.slug, app);
    return apps;
  }

  /** One application. */
  async app(application) {
    const app = await this.call('get_app', { application });
    this.#apps.set(application, app);
    return app;
  }

  /**
   * Connects an application; call it inside a click. Consent happens in a window of its own; where the browser blocks that, this page goes
   * to the provider and comes back, and `resume()` has the outcome then. Applications with keys take them as `inputs`, and open nothing;
   * nor do those that are connected with a code, which `onCode` shows.
   */
  connect(application, inputs = {}, options = {}) {
    const known = this.#apps.get(application);
    const type = options.authType ?? known?.auth_types[0];
    if (type === 'keybased') return this.connectKey(application, inputs, options);
    if (known && wantsCode(known)) return this.#device(application, inputs, options);
    const popup = options.redirect ? null : openWindow();
    return this.#consent(application, inputs, options, type, popup).catch((error) => {
      popup?.close();
      throw error;
    });
  }

  async #consent(application, inputs, options, type, popup) {
    const { signal, scopes, connection } = options;
    const known = this.#apps.get(application) ?? (await this.app(application));
    if ((type ?? known.auth_types[0]) === 'keybased' || wantsCode(known)) {
      popup?.close();
      return wantsCode(known) && type !== 'keybased' ? this.#device(application, inputs, options) : this.connectKey(application, inputs, options);
    }
    const request = { application, inputs };
    if (scopes) request.scopes = scopes;
    if (connection) request.connection = connection;
    if (!popup && window.top === window) {
      const start = await this.startConnect(application, { ...request, return_to: options.returnTo ?? location.href.split('#')[0] }, { signal });
      remember({ flow: start.flow_id, application, server: this.#server });
      location.assign(start.authorize_url);
      // The page goes away; the browser may still run it for a while.
      return new Promise(() => {});
    }
    const handoff = await this.call('hand_off_connect', request, { signal });
    const url = `${this.#server}/connect/go/${handoff.ticket}`;
    remember({ flow: handoff.flow_id, application, server: this.#server });
    // Only a page of the server's own origin can read this: the hosted page, on which the user pressed the button already.
    window.smaltFlow = handoff.flow_id;
    if (popup) {
      popup.location.replace(url);
      return this.#outcome(handoff.flow_id, { signal, popup });
    }
    // In a frame the provider's page cannot be shown, so the user has to open it.
    throw new SmaltError('popup_blocked', 'the browser opened no window: show a link to `url` that opens one, and wait for `flow`', {
      url,
      flow: handoff.flow_id,
    });
  }

  /** Shows a code, which the user enters on any device, and waits until that was done. */
  async #device(application, inputs, { signal, scopes, connection, onCode }) {
    if (!onCode) throw new SmaltError('invalid_request', `\`${application}\` is connected with a code: pass \`onCode\`, which shows it to the user`);
    const request = { inputs, device: true, ...(scopes ? { scopes } : {}), ...(connection ? { connection } : {}) };
    const start = await this.startConnect(application, request, { signal });
    const device = { ...start.device, flow: start.flow_id };
    remember({ flow: start.flow_id, application, server: this.#server, device });
    onCode(device, application);
    return this.#outcome(start.flow_id, { signal });
  }

  /** Verifies and saves what the user entered. */
  async connectKey(application, inputs = {}, { connection, signal } = {}) {
    return this.call('connect_key', { application, inputs, ...(connection ? { connection } : {}) }, { signal });
  }

  /** Begins a flow whose user comes back to `return_to` with a claim for `finishConnect`; or, with `device`, one that ends by itself. */
  startConnect(application, options = {}, { signal } = {}) {
    return this.call('start_connect', { ...options, application }, { signal });
  }

  /** Ends a flow with the claim that came to `return_to`. */
  finishConnect(claim, { signal } = {}) {
    return this.call('finish_connect', { claim }, { signal });
  }

  /** Waits for a flow's end and answers its connection. */
  async waitFlow(flow, { signal } = {}) {
    return this.#outcome(flow, { signal });
  }

  /** How a flow stands. */
  flow(flow) {
    return this.call('get_flow', { flow });
  }

  /** Ends a flow that nobody has come back to. */
  cancelFlow(flow) {
    if (remembered()?.flow === flow) remember(null);
    return this.call('cancel_flow', { flow });
  }

  /**
   * Goes on after a reload, or after this page went to the provider and came back: call it once when the page loads. Answers the connection,
   * or null when nothing was under way. What came in the address is taken out of it.
   */
  async resume({ signal, onCode } = {}) {
    const address = new URL(location.href);
    const came = Object.fromEntries(['flow', 'application', 'outcome', 'claim', 'error'].map((name) => [name, address.searchParams.get(name)]));
    const pending = remembered();
    if (came.flow && came.outcome) {
      for (const name of Object.keys(came)) address.searchParams.delete(name);
      history.replaceState(history.state, '', address);
      remember(null);
      if (came.claim) return this.finishConnect(came.claim, { signal });
      if (came.error) throw new SmaltError(came.error, '', { flow: came.flow, application: came.application });
      return this.#outcome(came.flow, { signal });
    }
    if (pending?.server !== this.#server) return null;
    if (pending.device) onCode?.(pending.device, pending.application);
    return this.#outcome(pending.flow, { signal });
  }

  /** The end of a flow: a long call that is asked again, and short ones with growing waits where that does not work. */
  async #outcome(id, { signal, popup } = {}) {
    const stop = new AbortController();
    const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
    const watched = popup ? this.#closed(popup, id, either) : new Promise(() => {});
    watched.catch(() => {});
    try {
      const flow = await Promise.race([this.#final(id, either), watched]);
      if (flow.status === 'connected') return await this.call('get_connection', { connection: flow.connection_id }, { signal });
      const code = { cancelled: 'flow_cancelled', expired: 'flow_expired' }[flow.status] ?? flow.error?.code ?? 'internal';
      throw new SmaltError(code, flow.error?.reason ?? `the connect flow is ${flow.status}`, { flow: id, application: flow.application });
    } finally {
      if (!signal?.aborted && remembered()?.flow === id) remember(null);
      stop.abort();
      popup?.close();
    }
  }

  async #final(id, signal) {
    let failures = 0;
    let long = true;
    for (;;) {
      try {
        const flow = await (long ? this.call('wait_flow', { flow: id, timeout: WATCH }, { signal }) : this.call('get_flow', { flow: id }, { signal }));
        if (['connected', 'failed', 'cancelled', 'expired'].includes(flow.status)) return flow;
        if (!long) await sleep(Math.min(5000, 1000 + failures * 500), signal);
        failures = Math.max(0, failures - 1);
      } catch (error) {
        if (signal.aborted || ![429, 500, 502, 503, 504, undefined].includes(error.status)) throw error;
        failures += 1;
        // Something between here and the server may not bear long calls.
        long = false;
        if (failures > 20) throw error;
        await sleep(error.retryAfter ? error.retryAfter * 1000 : Math.min(5000, 500 * failures), signal);
      }
    }
  }

  /**
   * Notices that the user closed the window. A provider's page may cut the window off from this one, which looks the same from here: but
   * then it still is in front, and this page has not the focus.
   */
  async #closed(popup, id, signal) {
    let since = 0;
    for (;;) {
      await sleep(250, signal);
      since = popup.closed && document.hasFocus() ? since + 1 : 0;
      if (since < 6) continue;
      const flow = await this.call('get_flow', { flow: id }, { signal });
      if (!['pending', 'parked'].includes(flow.status)) return this.#final(id, signal);
      throw new SmaltError('user_cancelled', 'the window was closed before the application was connected', { flow: id, application: flow.application });
    }
  }

  /** Connections, default ones first. */
  connections(application) {
    return this.call('list_connections', application ? { application } : {});
  }

  /** One connection. */
  connection(connection) {
    return this.call('get_connection', { connection });
  }

  /** Makes a connection its application's default one. */
  setDefaultConnection(connection) {
    return this.call('set_default_connection', { connection });
  }

  /** Disconnects an application, or one connection of it; answers a receipt. */
  disconnect(application, options = {}) {
    return this.call('disconnect', { ...options, application });
  }

  /** How the revocations of a disconnect ended. */
  receipt(receipt) {
    return this.call('get_receipt', { receipt });
  }

  /** Finds or makes a config. */
  config(application, options = {}) {
    return this.call('config', { ...options, application });
  }

  /** Reads a config; never makes one. */
  getConfig(application, configId) {
    return this.call('get_config', { application, config_id: configId ?? null });
  }

  /** Changes `fields` and `workflows` of a config; what is not listed stays. */
  updateConfig(application, update, { config_id: configId = null, signal } = {}) {
    const { fields = {}, workflows = {}, labels = null, version: seen = null } = update;
    return this.call('update_config', { application, config_id: configId, update: { fields, workflows, labels, version: seen } }, { signal });
  }

  /** Deletes a config; the connection stays. */
  deleteConfig(application, configId) {
    return this.call('delete_config', { application, config_id: configId ?? null });
  }

  /** The ids of an application's configs. */
  configs(application) {
    return this.call('list_configs', { application });
  }

  /** One field with its choices asked for anew: `search`, `parent_value`, `workflow`, `config_id`. */
  configField(application, field, options = {}, { signal } = {}) {
    return this.call('config_field', { ...options, application, field }, { signal });
  }

  /** Sets one field; null clears it. */
  setConfigField(application, field, value, options = {}) {
    return this.call('set_config_field', { ...options, application, field, value });
  }

  /** The operators and right sides of a rule for a left side. */
  ruleColumns(application, field, lhs, options = {}) {
    return this.call('rule_columns', { ...options, application, field, lhs });
  }

  /** A link to the hosted page. */
  portalUrl(options = {}) {
    return this.call('portal_url', options);
  }

  /** Ends the session. */
  async revoke() {
    return this.call('revoke_session', { account: undefined, token: await this.#good() });
  }
}

/** How bright a colour is (WCAG 2.2), of `#rgb` or `#rrggbb`; null for anything else. */
function luminance(colour) {
  const short = /^#([0-9a-f])([0-9a-f])([0-9a-f])$/i.exec(colour);
  const parts = short ? short.slice(1).map((c) => c + c) : /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(colour)?.slice(1);
  if (!parts) return null;
  const [r, g, b] = parts.map((part) => {
    const c = parseInt(part, 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** How well two colours can be told apart, from 1 to 21; 0 where one is unknown. */
function contrast(one, other) {
  const [a, b] = [luminance(one), luminance(other)];
  return a === null || b === null ? 0 : (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

/** The wanted text colour where it can be read on the background; otherwise black or white. */
function readable(background, wanted) {
  if (wanted && contrast(background, wanted) >= 4.5) return wanted;
  return contrast(background, '#ffffff') >= contrast(background, '#000000') ? '#ffffff' : '#000000';
}

/**
 * A button in the application's brand, with its hover state. `label` replaces the brand's own text. It is a plain `<button>`: give it a
 * listener that calls `connect`, and your own class for size and shape.
 */
function connectButton(app, { label, document: own = document } = {}) {
  const { normal = {}, hover = {} } = app.brand?.button ?? {};
  const button = own.createElement('button');
  button.type = 'button';
  button.className = 'smalt-connect';
  button.dataset.application = app.slug;
  const text = label ?? normal.label ?? `Connect ${app.name}`;
  const picture = !label && normal.image ? own.createElement('img') : null;
  if (picture) {
    picture.alt = text;
    picture.src = normal.image;
    button.append(picture);
  } else {
    button.textContent = text;
  }
  const paint = (state) => {
    if (picture) {
      picture.src = state.image ?? normal.image;
      return;
    }
    const background = state.background ?? normal.background ?? app.brand?.color ?? '#1f3f8f';
    button.style.backgroundColor = background;
    button.style.color = readable(background, state.foreground ?? normal.foreground);
    button.style.borderColor = state.border ?? normal.border ?? background;
    if (!label && state.label) button.textContent = state.label;
  };
  let over = false;
  let focused = false;
  const repaint = () => paint(over || focused ? { ...normal, ...hover } : normal);
  const watch = (type, change) => button.addEventListener(type, () => (change(), repaint()));
  watch('pointerenter', () => (over = true));
  watch('pointerleave', () => (over = false));
  watch('focus', () => (focused = button.matches(':focus-visible')));
  watch('blur', () => (focused = false));
  repaint();
  return button;
}
globalThis.Smalt = { version, SmaltError, Session, contrast, readable, connectButton };
})(globalThis);
