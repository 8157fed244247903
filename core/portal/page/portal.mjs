// The hosted page: applications, their connections and settings. An ordinary client of the API, with a session that stays in memory.
import { GLYPHS, announce, button, confirm, freshId, glyph, h, rich } from './dom.mjs';
import { fieldEditor, inputEditor } from './fields.mjs';
import { Session, SmaltError, connectButton } from './smalt.mjs';
import { applyTheme, nameIn } from './theme.mjs';

const root = document.getElementById('portal');
const base = location.origin + (document.documentElement.dataset.base ?? '');
/** The ticket is kept for a reload of this tab; the session itself is not. */
const TICKET = 'smalt.portal';

let portal = null;
let session = null;
let apps = [];
/** What the user is told at the top of the next view. */
let notice = null;
/** Applications whose window is open: what ends the waiting. */
const waiting = new Map();
/** Applications that are connected with a code: what the user is shown. */
const codes = new Map();
/** Whether the settings on this view have changes that are not saved. */
let unsaved = () => false;

function kept(value) {
  try {
    if (value === undefined) return sessionStorage.getItem(TICKET);
    if (value === null) sessionStorage.removeItem(TICKET);
    else sessionStorage.setItem(TICKET, value);
  } catch {
    // A frame may have no storage: then a reload needs the link again.
  }
  return null;
}

const WORDS = {
  user_denied: 'You did not give your consent, so nothing was connected. You can try again at any time.',
  user_cancelled: 'The window was closed before the connection was made.',
  flow_expired: 'That took longer than ten minutes, so it was ended. Please try again.',
  flow_cancelled: 'The attempt was cancelled.',
  unreachable: 'The server cannot be reached at the moment. Check your connection and try again.',
  claim_invalid: 'This attempt can no longer be finished. Please try again.',
  browser_mismatch: 'You came back in another browser than the one in which you began. Please try again here.',
  scope_missing: 'Not everything that is needed was allowed. Please try again and leave all permissions on.',
  config_conflict: 'These settings were changed elsewhere in the meantime. They were loaded again; please make your changes once more.',
  credentials_rejected: 'These were not accepted. Check what you entered, and try again.',
  provider_unreachable: 'The application cannot be reached at the moment. Please try again later.',
  provider_timeout: 'The application does not answer at the moment. Please try again later.',
};
/** What is told of an error. A code that came in the address is nobody's words. */
function said(error) {
  if (error instanceof SmaltError && Object.hasOwn(WORDS, error.code)) return WORDS[error.code];
  return error instanceof SmaltError && error.message !== error.code ? error.message : 'Something went wrong. Please try again.';
}
const isOver = (error) => ['portal_link_invalid', 'invalid_token', 'linked_account_not_found'].includes(error?.code);

async function open(ticket) {
  let response;
  let body;
  try {
    response = await fetch(`${base}/connect/open`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ticket }),
      credentials: 'omit',
    });
    body = await response.json();
  } catch (cause) {
    throw new SmaltError('unreachable', '', { cause });
  }
  if (!response.ok) throw new SmaltError(body.code, body.message, { status: response.status });
  kept(body.ticket ?? ticket);
  return body;
}

const find = (slug) => apps.find((app) => app.slug === slug);
const inputsOf = (app, type) => (app.inputs[type] ?? []).filter((input) => !input.hidden);
const labelOf = (connection) => connection.identity?.label ?? 'Connected account';
const day = (time) => new Date(time).toLocaleDateString(undefined, { year: 'numeric', month: 'short', day: 'numeric' });

function icon(app) {
  const letter = h('span', { class: 'tile letter', 'aria-hidden': 'true' }, app.name.slice(0, 1).toUpperCase());
  if (!app.brand.icon) return letter;
  const image = h('img', { class: 'tile', src: app.brand.icon, alt: '', width: 40, height: 40, loading: 'lazy', on: { error: () => image.replaceWith(letter) } });
  return image;
}

function chip(app) {
  if (app.status === 'connected') return h('span', { class: 'chip good' }, glyph(GLYPHS.check), 'Connected');
  if (app.status === 'reauth_required') return h('span', { class: 'chip bad' }, glyph(GLYPHS.warn), 'Needs attention');
  return h('span', { class: 'chip' }, 'Not connected');
}

function banner() {
  if (!notice) return null;
  const { text, good, link } = notice;
  notice = null;
  announce(text);
  const box = h(
    'div',
    { class: good ? 'banner good' : 'banner bad' },
    glyph(good ? GLYPHS.check : GLYPHS.warn),
    h('p', {}, text, link ? [' ', h('a', { href: link.href, target: '_blank', rel: 'opener' }, link.text)] : null),
    button(glyph(GLYPHS.remove), () => box.remove(), { class: 'icon', 'aria-label': 'Dismiss' }),
  );
  return box;
}

/** Shows a view; the heading takes the focus, so that everybody notices the change. */
function show(title, content, { focus = true } = {}) {
  unsaved = () => false;
  document.title = title;
  root.replaceChildren(content);
  root.querySelector('.banner')?.scrollIntoView({ block: 'center' });
  if (focus) {
    const heading = root.querySelector('h1');
    heading?.setAttribute('tabindex', '-1');
    heading?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

function backLink() {
  if (!portal?.return_to) return null;
  const name = nameIn(portal.properties) || portal.organisation.name;
  // In a frame the page around it is left, not the frame.
  return h('a', { class: 'return', href: portal.return_to, target: '_top', rel: 'noreferrer' }, glyph(GLYPHS.back), name ? `Back to ${name}` : 'Back');
}

function ended(error) {
  kept(null);
  session = null;
  const over = isOver(error) || !error;
  show(
    'Connections',
    h(
      'main',
      { class: 'lone' },
      h('h1', {}, over ? 'This link has ended' : 'This page could not be loaded'),
      h('p', {}, over ? 'Links to this page work for a limited time. Go back to where you came from and open it again from there.' : said(error)),
      over ? backLink() : button('Try again', () => location.reload(), { class: 'button primary' }),
    ),
  );
}

// ---- Connecting

/** Connects; must be called inside the click, since the window is opened at once. */
function connect(app, inputs, { type, connection } = {}) {
  waiting.get(app.slug)?.abort();
  const stop = new AbortController();
  waiting.set(app.slug, stop);
  codes.delete(app.slug);
  const options = { authType: type, signal: stop.signal, returnTo: `${base}/connect`, onCode, ...(connection ? { connection } : {}) };
  return finish(app, session.connect(app.slug, inputs, options), stop);
}

/** There is a code to show: it stands where the waiting is. */
function onCode(prompt, slug) {
  codes.set(slug, prompt);
  if (!waiting.has(slug)) waiting.set(slug, new AbortController());
  announce(`Your code is ${prompt.user_code.split('').join(' ')}`);
  if (apps.length) render({ focus: false });
}

async function finish(app, outcome, stop) {
  try {
    const connection = await outcome;
    notice = { good: true, text: `${app.name} is connected${connection?.identity ? ` as ${connection.identity.label}` : ''}.` };
  } catch (error) {
    if (stop.signal.aborted) return;
    if (error.code === 'popup_blocked') {
      notice = { text: `Your browser opened no window for ${app.name}.`, link: { href: error.url, text: 'Open it here' } };
      finish(app, session.waitFlow(error.flow, { signal: stop.signal }), stop);
      render({ focus: false });
      return;
    }
    if (['credentials_rejected', 'invalid_inputs'].includes(error.code)) throw error;
    if (error.code === 'user_cancelled') follow(app, error.flow);
    notice = { text: said(error) };
    if (isOver(error)) return ended(error);
  } finally {
    if (waiting.get(app.slug) === stop && notice && !notice.link) {
      waiting.delete(app.slug);
      codes.delete(app.slug);
    }
  }
  await reload();
  render({ focus: false });
}

/** A window that seemed closed may still come to its end. */
function follow(app, flow) {
  const own = session;
  session
    .waitFlow(flow)
    .then(async () => {
      if (own !== session) return;
      notice = { good: true, text: `${app.name} is connected.` };
      await reload();
      if (!unsaved()) render({ focus: false });
    })
    .catch(() => {});
}

async function reload() {
  apps = await session.apps().catch((error) => {
    if (isOver(error)) throw error;
    return apps;
  });
}

function waitingPart(app) {
  const stop = waiting.get(app.slug);
  const code = codes.get(app.slug);
  const cancel = button('Cancel', () => {
    stop.abort();
    waiting.delete(app.slug);
    // Nobody looks at the code any more; a window may still come to its end.
    if (codes.delete(app.slug)) session.cancelFlow(code.flow).catch(() => {});
    render({ focus: false });
  }, { class: 'button small' });
  const spinner = h('span', { class: 'spinner', 'aria-hidden': 'true' });
  if (!code) return h('div', { class: 'waiting', role: 'status' }, spinner, h('span', {}, 'Finish in the other window…'), cancel);
  return h(
    'div',
    { class: 'waiting code' },
    h('p', {}, 'Open ', verification(app, code), ' on any device and enter this code:'),
    h('p', { class: 'user-code', 'aria-label': `Code: ${code.user_code.split('').join(' ')}` }, code.user_code),
    h('div', { class: 'row', role: 'status' }, spinner, h('span', {}, 'Waiting until you have finished there…'), cancel),
  );
}

/** Where the code is entered. It is the provider's word: anything but a web address is shown, and not followed. */
function verification(app, { verification_uri: shown, verification_uri_complete: complete }) {
  const web = (text) => /^https?:\/\//i.test(text ?? '') && URL.canParse(text);
  if (!web(shown)) return h('strong', {}, shown);
  return h('a', { href: web(complete) ? complete : shown, target: '_blank', rel: 'noopener noreferrer', 'aria-label': `${shown} (${app.name}, in a new window)` }, shown.replace(/^https?:\/\//i, ''));
}

/** The button that goes to the application, or to the form that comes before. */
function connectAction(app, { connection, label } = {}) {
  const type = app.auth_types[0];
  const text = label ?? (app.status === 'reauth_required' ? `Reconnect ${app.name}` : undefined);
  const made = connectButton(app, text ? { label: text } : {});
  made.classList.add('button', 'brand');
  if (!made.textContent.includes(app.name)) made.setAttribute('aria-label', `${made.textContent || 'Connect'} (${app.name})`);
  made.addEventListener('click', () => {
    if (type === 'keybased' || inputsOf(app, type).length || app.auth_types.length > 1) {
      location.hash = `#/${app.slug}`;
      return;
    }
    const done = connect(app, {}, { type, connection });
    render({ focus: false });
    done.catch(() => {});
  });
  return made;
}

// ---- The list

let sought = '';

function card(app) {
  const titleId = freshId('app');
  const connected = app.connections.length > 0;
  const who = app.connections.length === 1 ? labelOf(app.connections[0]) : app.connections.length > 1 ? `${app.connections.length} accounts` : null;
  const action = waiting.has(app.slug)
    ? waitingPart(app)
    : connected
      ? [app.status === 'reauth_required' ? connectAction(app, { connection: app.connections[0].id }) : null, h('a', { class: 'button', href: `#/${app.slug}`, 'aria-label': `Manage ${app.name}` }, 'Manage')]
      : connectAction(app);
  return h(
    'li',
    { class: 'card', 'data-app': app.slug },
    icon(app),
    h('div', { class: 'about' }, h('h2', { id: titleId }, h('a', { href: `#/${app.slug}` }, app.name)), h('p', { class: 'quiet' }, app.description)),
    h('div', { class: 'state' }, chip(app), who ? h('span', { class: 'quiet who' }, who) : null),
    h('div', { class: 'action' }, action),
  );
}

function listView() {
  const order = { reauth_required: 0, connected: 1, not_connected: 2 };
  const all = [...apps].sort((a, b) => order[a.status] - order[b.status] || a.name.localeCompare(b.name));
  const name = nameIn(portal.properties);
  const list = h('ul', { class: 'cards' });
  const none = h('p', { class: 'quiet', hidden: true }, 'No application has this name.');
  const fill = () => {
    const found = all.filter((app) => `${app.name} ${app.description} ${app.categories.join(' ')}`.toLowerCase().includes(sought.toLowerCase()));
    list.replaceChildren(...found.map(card));
    none.hidden = found.length > 0;
  };
  fill();
  const search = h('input', {
    class: 'input',
    type: 'search',
    placeholder: 'Search applications',
    'aria-label': 'Search applications',
    set: { value: sought },
    on: {
      input: () => {
        sought = search.value.trim();
        fill();
        announce(`${list.children.length} applications`);
      },
    },
  });
  return h(
    'main',
    {},
    h(
      'header',
      { class: 'top' },
      backLink(),
      h('h1', {}, 'Connections'),
      h('p', { class: 'lead' }, name ? `${name} can use the applications that you connect for ` : 'Connect applications and choose what they do for ', h('strong', {}, portal.account.name || portal.account.id), '.'),
    ),
    banner(),
    all.length > 6 ? h('div', { class: 'search' }, glyph(GLYPHS.search), search) : null,
    all.length ? list : h('p', { class: 'quiet' }, 'There is no application to connect yet.'),
    none,
    portal.environment === 'test' ? h('p', { class: 'quiet foot' }, 'Test environment') : null,
  );
}

// ---- One application

function connectForm(app, { connection } = {}) {
  const types = app.auth_types;
  let type = types[0];
  const node = h('form', { class: 'stack', novalidate: true, 'aria-label': `Connect ${app.name}` });
  const draw = () => {
    const inputs = inputsOf(app, type).map(inputEditor);
    const alert = h('p', { class: 'error', role: 'alert', hidden: true });
    const submit = connectButton(app, connection || app.status === 'reauth_required' ? { label: `Reconnect ${app.name}` } : {});
    submit.type = 'submit';
    submit.classList.add('button', 'brand', 'wide');
    const failed = (error) => {
      if (!node.isConnected) {
        // The waiting took its place meanwhile.
        waiting.delete(app.slug);
        notice = { text: said(error) };
        return render({ focus: false });
      }
      const fields = error.context?.fields?.split(',') ?? [];
      const wrong = inputs.filter((input) => fields.includes(input.name));
      wrong.forEach((input) => input.showErrors([error.context[`field.${input.name}`] ?? 'This is not right.']));
      alert.textContent = wrong.length ? 'Please check the fields below.' : said(error);
      alert.hidden = false;
      (wrong[0] ?? inputs[0])?.focus();
    };
    node.onsubmit = (event) => {
      event.preventDefault();
      alert.hidden = true;
      const missing = inputs.filter((input) => input.missing());
      inputs.forEach((input) => input.showErrors(input.missing() ? ['Please fill this in.'] : []));
      if (missing.length) return missing[0].focus();
      const values = Object.fromEntries(inputs.map((input) => [input.name, input.value()]).filter(([, value]) => value !== ''));
      const done = connect(app, values, { type, connection });
      if (type === 'keybased') {
        submit.disabled = true;
        submit.setAttribute('aria-busy', 'true');
        announce('Checking…');
        done.catch(failed).finally(() => {
          waiting.delete(app.slug);
          submit.disabled = false;
          submit.removeAttribute('aria-busy');
        });
      } else {
        done.catch(failed);
        render({ focus: false });
      }
    };
    const ways =
      types.length > 1
        ? h(
            'fieldset',
            { class: 'field' },
            h('legend', {}, 'How do you want to connect?'),
            h('div', { class: 'ticks' }, types.map((each) => h('label', { class: 'tick' }, h('input', { type: 'radio', name: 'type', value: each, set: { checked: each === type }, on: { change: () => ((type = each), draw(), node.querySelector('input:checked')?.focus()) } }), h('span', {}, each === 'oauth2' ? `Sign in at ${app.name}` : 'Enter keys')))),
          )
        : null;
    node.replaceChildren(...[ways, app.help && type === 'keybased' ? h('p', { class: 'help' }, rich(app.help)) : null, alert, ...inputs.map((input) => input.node), h('div', {}, submit)].filter(Boolean));
  };
  draw();
  return node;
}

async function disconnect(app, connection) {
  const whose = connection && app.connections.length > 1 ? ` (${labelOf(connection)})` : '';
  const last = !connection || app.connections.length === 1;
  const sure = await confirm({
    title: `Disconnect ${app.name}${whose}?`,
    text: last ? 'Access ends at once, and the settings made here are deleted. This cannot be undone.' : 'Access of this account ends at once. The others stay connected.',
    action: 'Disconnect',
  });
  if (!sure) return;
  const options = last ? {} : { connection: connection.id };
  try {
    await session.disconnect(app.slug, options).catch(async (error) => {
      if (error.code !== 'shared_grant') throw error;
      const here = await confirm({
        title: 'This access is shared',
        text: `Others use the same access to ${app.name}. It can be ended here, and stays alive for them.`,
        action: 'Disconnect here only',
      });
      if (!here) throw new SmaltError('cancelled', '');
      return session.disconnect(app.slug, { ...options, siblings: 'keep' });
    });
    notice = { good: true, text: last ? `${app.name} is disconnected.` : `${labelOf(connection)} is disconnected.` };
  } catch (error) {
    if (error.code === 'cancelled') return;
    if (isOver(error)) return ended(error);
    notice = { text: said(error) };
  }
  await reload();
  render();
}

function connectionsPart(app) {
  return h(
    'section',
    { class: 'panel', 'aria-label': 'Connected accounts' },
    h('h2', {}, app.connections.length > 1 ? 'Connected accounts' : 'Connected account'),
    h(
      'ul',
      { class: 'plain' },
      app.connections.map((connection) => {
        const broken = connection.status === 'expired';
        return h(
          'li',
          { class: 'connection' },
          h(
            'div',
            {},
            h('strong', {}, labelOf(connection)),
            app.connections.length > 1 && connection.is_default ? h('span', { class: 'chip' }, 'Default') : null,
            h('p', { class: 'quiet' }, broken ? h('span', { class: 'bad-text' }, 'Access has ended: connect it again.') : `Connected on ${day(connection.connected_at)}`),
          ),
          h(
            'div',
            { class: 'row' },
            app.connections.length > 1 && !connection.is_default
              ? button('Make default', async () => {
                  await session.setDefaultConnection(connection.id).catch((error) => (notice = { text: said(error) }));
                  await reload();
                  render({ focus: false });
                }, { class: 'button small', 'aria-label': `Make ${labelOf(connection)} the default` })
              : null,
            button('Disconnect', () => disconnect(app, connection), { class: 'button small danger', 'aria-label': `Disconnect ${labelOf(connection)} from ${app.name}` }),
          ),
        );
      }),
    ),
    waiting.has(app.slug) ? waitingPart(app) : null,
  );
}

/** The settings of an application: its own fields, by page, and its workflows with theirs. */
async function settingsPart(app, into) {
  const at = { config_id: portal.config_id ?? null };
  let config;
  try {
    config = await session.config(app.slug, at);
  } catch (error) {
    if (isOver(error)) return ended(error);
    into.replaceChildren(h('p', { class: 'error', role: 'alert' }, said(error)), button('Try again', () => settingsPart(app, into)));
    return;
  }
  const draw = (fresh) => {
    const editors = new Map();
    const switches = [];
    const form = h('form', { class: 'stack', novalidate: true, 'aria-label': `Settings of ${app.name}` });
    const state = h('p', { class: 'quiet', role: 'status' });
    const save = h('button', { type: 'submit', class: 'button primary' }, 'Save changes');
    const dirty = () => [...editors.values()].some((editor) => editor.changed() || editor.trouble()) || switches.some((each) => each.changed());
    const changed = () => {
      save.disabled = !dirty();
      state.textContent = dirty() ? 'Not saved yet' : '';
    };
    unsaved = dirty;
    const place = (workflow, id) => (workflow ? `workflows.${workflow}.fields.${id}` : `fields.${id}`);
    const context = (workflow) => ({
      changed,
      parent: (id) => editors.get(place(workflow, id)) ?? editors.get(place(null, id)),
      search: async (field, text, parent) => {
        const options = { ...at, workflow: workflow ?? null, search: text || null, parent_value: parent ?? null };
        return (await session.configField(app.slug, field.id, options)).options;
      },
      columns: (field, lhs) => session.ruleColumns(app.slug, field.id, lhs, { workflow: workflow ?? null }),
    });
    const make = (workflow) => (field) => {
      const editor = fieldEditor(field, context(workflow));
      editors.set(place(workflow, field.id), editor);
      return editor.node;
    };
    const visible = (fields) => fields.filter((field) => !field.hidden);
    const pages = Map.groupBy ? Map.groupBy(visible(fresh.fields), (field) => field.page ?? '') : group(visible(fresh.fields), (field) => field.page ?? '');
    const parts = [...pages].map(([page, fields]) => (page ? h('section', { class: 'stack', 'aria-label': page }, h('h3', {}, page), fields.map(make(null))) : h('div', { class: 'stack' }, fields.map(make(null)))));
    const workflows = fresh.workflows.map((workflow) => {
      const [nameId, textId] = [freshId('workflow'), freshId('about')];
      const fields = visible(workflow.fields).map(make(workflow.id));
      const inner = fields.length ? h('div', { class: 'stack inner', role: 'group', 'aria-labelledby': nameId, hidden: !workflow.enabled }, fields) : null;
      const input = h('input', {
        type: 'checkbox',
        role: 'switch',
        'aria-labelledby': nameId,
        'aria-describedby': textId,
        set: { checked: workflow.enabled },
        on: {
          change: () => {
            if (inner) inner.hidden = !input.checked;
            changed();
          },
        },
      });
      switches.push({ id: workflow.id, changed: () => input.checked !== workflow.enabled, value: () => input.checked });
      return h('li', { class: 'workflow', 'data-workflow': workflow.id }, h('label', { class: 'switch spread' }, h('span', {}, h('strong', { id: nameId }, workflow.name), h('span', { id: textId, class: 'quiet block' }, workflow.description)), input), inner);
    });
    if (!parts.length && !workflows.length) {
      into.replaceChildren();
      into.hidden = true;
      return;
    }
    form.append(...parts);
    if (workflows.length) form.append(h('h3', {}, 'Workflows'), h('ul', { class: 'plain workflows' }, workflows));
    form.append(h('div', { class: 'save' }, save, state));
    for (const editor of editors.values()) {
      const prefix = [...editors].find(([, each]) => each === editor)[0].replace(/[^.]+$/, '');
      const parent = editor.field.parent && (editors.get(prefix + editor.field.parent) ?? editors.get(`fields.${editor.field.parent}`));
      if (parent) editor.follow(parent);
    }
    const showErrors = (errors, focus) => {
      const by = new Map();
      for (const { path, message } of errors) by.set(path, [...(by.get(path) ?? []), message]);
      let first = null;
      for (const [path, texts] of by) {
        const editor = editors.get(path) ?? [...editors].find(([at]) => path.startsWith(`${at}.`) || path.startsWith(`${at}[`))?.[1];
        editor?.showErrors(texts);
        first ??= editor;
      }
      if (focus) first?.focus();
      return first !== null && first !== undefined;
    };
    form.onsubmit = async (event) => {
      event.preventDefault();
      const stuck = [...editors.values()].filter((editor) => editor.trouble());
      if (stuck.length) {
        stuck.forEach((editor) => editor.showErrors([editor.trouble()]));
        stuck[0].focus();
        return;
      }
      const update = { fields: {}, workflows: {}, version: fresh.version };
      for (const [path, editor] of editors) {
        if (!editor.changed()) continue;
        const value = editor.value() ?? null;
        const workflow = fresh.workflows.find((each) => path === place(each.id, editor.field.id));
        if (workflow) (update.workflows[workflow.id] ??= { fields: {} }).fields[editor.field.id] = value;
        else update.fields[editor.field.id] = value;
      }
      for (const each of switches) if (each.changed()) (update.workflows[each.id] ??= { fields: {} }).enabled = each.value();
      save.disabled = true;
      state.textContent = 'Saving…';
      try {
        const saved = await session.updateConfig(app.slug, update, at);
        draw(saved);
      } catch (error) {
        if (isOver(error)) return ended(error);
        if (error.code === 'config_conflict') {
          notice = { text: said(error) };
          return render();
        }
        const errors = Object.entries(error.context ?? {}).filter(([path]) => /^(fields|workflows)\./.test(path)).map(([path, expected]) => ({ path, message: `Expected: ${expected}.` }));
        save.disabled = false;
        state.textContent = showErrors(errors, true) ? 'Not saved: please check the marked settings.' : `Not saved. ${said(error)}`;
        return;
      }
      const now = into.querySelector('.save [role=status]');
      if (now) now.textContent = 'Saved';
      announce('Saved');
      into.querySelector('.save button')?.focus();
    };
    into.replaceChildren(h('h2', {}, 'Settings'), form);
    // What is missing in new settings is no error before anything was entered.
    showErrors(fresh.field_errors.filter((each) => fresh.version > 1 || each.code !== 'required'), false);
    changed();
  };
  draw(config);
}

function group(items, by) {
  const map = new Map();
  for (const item of items) map.set(by(item), [...(map.get(by(item)) ?? []), item]);
  return map;
}

function appView(app) {
  const connected = app.connections.length > 0;
  const broken = app.connections.find((connection) => connection.status === 'expired');
  const settings = h('section', { class: 'panel', 'aria-label': 'Settings' }, h('p', { class: 'quiet' }, 'Loading settings…'));
  if (connected) settingsPart(app, settings);
  const more = h(
    'details',
    { class: 'more' },
    h('summary', {}, 'Connect another account'),
    connectForm({ ...app, status: 'not_connected' }),
  );
  return h(
    'main',
    {},
    h(
      'header',
      { class: 'top' },
      h('a', { class: 'return', href: '#/' }, glyph(GLYPHS.back), 'All connections'),
      h('div', { class: 'headline' }, icon(app), h('div', {}, h('h1', {}, app.name), h('p', { class: 'quiet' }, app.description)), chip(app)),
    ),
    banner(),
    broken && !waiting.has(app.slug)
      ? h('section', { class: 'panel', 'aria-label': 'Connect again' }, h('h2', {}, 'Connect again'), h('p', { class: 'quiet' }, 'Settings are kept.'), connectForm(app, { connection: broken.id }))
      : null,
    connected
      ? [connectionsPart(app), settings, waiting.has(app.slug) ? null : more]
      : h('section', { class: 'panel', 'aria-label': 'Connect' }, waiting.has(app.slug) ? waitingPart(app) : connectForm(app)),
  );
}

// ---- Which view

function render(options) {
  // Slugs need no decoding.
  const app = find(/^#\/([^/]+)/.exec(location.hash)?.[1]);
  if (app) show(`${app.name} – Connections`, appView(app), options);
  else show('Connections', listView(), options);
}

async function start() {
  const address = new URL(location.href);
  const last = address.pathname.split('/').pop();
  const ticket = /^[\w-]{43}$/.test(last) ? last : kept();
  address.pathname = `${document.documentElement.dataset.base ?? ''}/connect`;
  address.searchParams.delete('config_id');
  history.replaceState(null, '', address);
  if (!ticket) return ended();
  try {
    portal = await open(ticket);
  } catch (error) {
    return ended(error);
  }
  applyTheme(portal.properties);
  let first = portal.token;
  session = new Session({
    server: base,
    token: async () => {
      if (first) return [first, (first = null)][0];
      return (await open(kept() ?? ticket)).token;
    },
  });
  const came = Object.fromEntries(address.searchParams);
  const back = session.resume({ onCode });
  back.catch(() => {});
  try {
    apps = await session.apps();
    if (came.flow && came.outcome) {
      // It came back from an application's page in this window.
      const app = find(came.application) ?? { name: 'The application', slug: '' };
      try {
        const connection = await back;
        notice = { good: true, text: `${app.name} is connected${connection?.identity ? ` as ${connection.identity.label}` : ''}.` };
      } catch (error) {
        notice = { text: said(error) };
      }
      apps = await session.apps();
    } else {
      back
        .then(async (connection) => {
          if (!connection) return;
          waiting.delete(connection.application);
          codes.delete(connection.application);
          notice = { good: true, text: `${find(connection.application)?.name ?? 'The application'} is connected.` };
          await reload();
          if (!unsaved()) render({ focus: false });
        })
        .catch((error) => {
          // The code that is shown is of no use any more.
          if (!codes.size) return;
          for (const slug of codes.keys()) waiting.delete(slug);
          codes.clear();
          notice = { text: said(error) };
          if (!unsaved()) render({ focus: false });
        });
    }
  } catch (error) {
    return ended(error);
  }
  render({ focus: false });
  window.addEventListener('hashchange', () => session && render());
  document.addEventListener('click', async (event) => {
    const link = event.target.closest?.('a[href^="#/"]');
    if (!link || !unsaved()) return;
    event.preventDefault();
    const sure = await confirm({ title: 'Leave without saving?', text: 'The changes that you made here are lost then.', action: 'Leave' });
    if (!sure) return;
    unsaved = () => false;
    location.hash = link.getAttribute('href');
  });
  window.addEventListener('beforeunload', (event) => unsaved() && event.preventDefault());
  document.addEventListener('visibilitychange', async () => {
    if (document.visibilityState !== 'visible' || !session || waiting.size || unsaved() || document.querySelector('dialog')) return;
    const before = JSON.stringify(apps);
    await reload().catch(ended);
    const inUse = ['INPUT', 'SELECT', 'TEXTAREA'].includes(document.activeElement?.tagName);
    if (session && JSON.stringify(apps) !== before && !inUse) render({ focus: false });
  });
}

start();
