// The conformance driver of the package: steps of cases through the public API of the packed tarball, with an engine of their own (*embedded*), and
// with a remote handle on an engine behind `nodeHandler` (*remote*). Expectations live in the cases.
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { FlowError, Rejected, Secret, Smalt, SmaltError, verifyWebhook, verifyWebhookCompatible } from 'smalt'
import { fixedClock, Sandbox, visit } from 'smalt/testing'
import { matches } from './matcher.mjs'
import { hits } from './search.mjs'

export const root = process.env.SMALT_ROOT
export const room = join(root, 'tests/conformance')
/** What the operations table keeps to embedded engines; see docs/operations.md. */
const EMBEDDED_ONLY = new Set(['rotate_keys', 'set_project'])
const standard = JSON.parse(readFileSync(join(room, 'project.json'), 'utf8'))

/** A mistake in the case, or something that this driver cannot do. */
class Mistake extends Error {}

const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Answers in the form of the cases. Objects that are data keep their keys; those of the package's types are in snake_case there. */
const DATA = new Set(['properties', 'values', 'data', 'context', 'value', 'default_value', 'payload', 'answer', 'headers', 'body'])
function plain(value, data = false) {
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Secret) return value.reveal()
  if (Array.isArray(value)) return value.map((item) => plain(item, data))
  if (value === null || typeof value !== 'object') return value === undefined ? null : value
  if (Buffer.isBuffer(value)) return value.toString('base64')
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const name = data ? key : snake(key)
      return [name, plain(item, data || DATA.has(name))]
    }),
  )
}

/** Data as it is. */
const asIs = (value) => (value === undefined ? null : value)

/** RFC 7396: objects merge, everything else replaces, null removes. */
function merge(target, patch) {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch
  const merged = target !== null && typeof target === 'object' && !Array.isArray(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key]
    else merged[key] = merge(merged[key], value)
  }
  return merged
}

/** Puts saved values in the place of `${name}`. */
function fill(value, saved) {
  if (typeof value === 'string') {
    const find = (name) => (saved.has(name) ? saved.get(name) : raise(`\`${name}\` was not saved`))
    const alone = /^\$\{([^}]*)\}$/.exec(value)
    if (alone) return find(alone[1])
    return value.replace(/\$\{([^}]*)\}/g, (_, name) => {
      const found = find(name)
      return typeof found === 'string' ? found : JSON.stringify(found)
    })
  }
  if (Array.isArray(value)) return value.map((item) => fill(item, saved))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, saved)]))
}

export function raise(why) {
  throw new Mistake(why)
}

function pointer(value, path) {
  let at = value
  for (const part of path.split('/').slice(1)) at = at?.[part.replaceAll('~1', '/').replaceAll('~0', '~')]
  return at === undefined ? raise(`the answer has no \`${path}\` to save`) : at
}

const KEYS = {
  case: ['$schema', 'version', 'id', 'title', 'tags', 'environment', 'project', 'manifests', 'clock', 'steps'],
  step: ['do', 'note', 'as', 'args', 'save', 'expect', 'error', 'repeat', 'parallel', 'outcomes', 'eventually', 'within'],
  error: ['code', 'context', 'retry_after', 'without'],
}
export function known(kind, object) {
  const strange = Object.keys(object).find((key) => !KEYS[kind].includes(key))
  if (strange) raise(`there is no key \`${strange}\` in a ${kind}`)
}

/** What one case runs in: an engine on a store of its own, and a sandbox. `host` is the engine, `smalt` what the case speaks to. */
export class World {
  constructor(testCase, backend) {
    this.case = testCase
    this.isRemote = backend === 'remote'
    this.key = Smalt.makeKey()
    this.behaviours = new Map()
    this.runner = undefined
  }

  static async open(testCase, backend) {
    const world = new World(testCase, backend)
    world.sandbox = await Sandbox.start()
    world.given = new Map([['sandbox', world.sandbox.origin], ['keys', join(room, 'keys')]])
    if (testCase.steps.some((step) => ['restart', 'search_store'].includes(step.do))) {
      world.folder = mkdtempSync(join(tmpdir(), 'smalt-conformance-'))
    }
    if (testCase.clock) world.clock = fixedClock(new Date(testCase.clock))
    await world.start()
    return world
  }

  project(project) {
    return merge(project, { sandbox: { url: this.sandbox.origin } })
  }

  async start() {
    const { steps, environment, manifests = [], project = {} } = this.case
    const slugs = new Set(steps.filter((step) => step.do === 'register_connector').map((step) => step.args.application))
    this.host = await Smalt.embedded({
      path: this.folder && join(this.folder, 'smalt.db'),
      key: this.key,
      project: this.project(merge(standard, fill(project, this.given))),
      environment,
      manifests: fill(manifests, this.given),
      clock: this.clock,
      timings: { provider: 6000, lease: 8000, plugin: 6000, poll: 20, revokeBackoff: 50, webhookBackoff: 50, webhookAttempts: 5, ahead: null },
      deliverWebhooks: steps.some((step) => step.do === 'create_webhook'),
      connectors: [...slugs].map((slug) => this.connector(slug)),
      runner: steps.some((step) => step.do === 'register_runner') ? { run: (run) => this.run(run) } : undefined,
      presenter: this.isRemote ? undefined : this.presenter(),
    })
    this.smalt = this.isRemote ? await this.remote() : this.host
  }

  /** A handle on the engine through a server: the API in this process, and the client of the package. */
  async remote() {
    this.apiKey ??= (await this.host.createApiKey('conformance')).key
    this.server = createServer(this.host.nodeHandler())
    await new Promise((resolve, reject) => this.server.once('error', reject).listen(0, '127.0.0.1', resolve))
    return Smalt.remote({ url: `http://127.0.0.1:${this.server.address().port}`, apiKey: this.apiKey, proxy: false, presenter: this.presenter() })
  }

  async stop() {
    if (this.server) {
      await this.smalt?.close()
      this.server.closeAllConnections()
      await new Promise((resolve) => this.server.close(resolve))
    }
    await this.host?.close()
  }

  async close() {
    await this.stop()
    this.sandbox.stop()
    if (this.folder) rmSync(this.folder, { recursive: true, force: true })
  }

  /** A connector whose behaviour the case chooses; until then it answers "not mine". */
  connector(slug) {
    const behave = async (context, again) => {
      const behaviour = this.behaviours.get(slug)
      switch (behaviour) {
        case 'throws':
          throw new Error('broken on purpose')
        case 'rejects':
          throw new Rejected('refused on purpose')
        case 'hangs':
          return new Promise(() => {})
        case 'panics':
          // What comes closest to a panic: something that nobody throws.
          throw null
        case 'reenters':
          await again(this.host.account(context.accountId))
      }
      return behaviour
    }
    return {
      slug,
      verify: async (context) => {
        const behaviour = await behave(context, (account) => account.credential(context.application))
        return behaviour && { id: behaviour === 'nonsense' ? '' : 'plugin-1', label: 'Plugin' }
      },
      options: async (context) => {
        const behaviour = await behave(context, (account) => account.config(context.application))
        if (!behaviour) return null
        const more = behaviour === 'nonsense' ? Array.from({ length: 9999 }, (_, i) => String(i + 2)) : []
        return ['one', 'two', ...more].map((value) => ({ value }))
      },
    }
  }

  /** A presenter whose behaviour a step chooses, where the case has one. It catches the callback itself, so that the page is the provider's on both backends. */
  presenter() {
    if (!this.case.steps.some((step) => step.do === 'connect' && step.args.presenter)) return undefined
    return {
      name: 'scripted',
      redirectUri: 'http://127.0.0.1/callback',
      present: async ({ authorizeUrl }) => {
        switch (this.presents) {
          case 'closes':
            throw FlowError.userCancelled()
          case 'blocked':
            throw FlowError.windowBlocked()
          case 'throws':
            throw new Error('broken on purpose')
          case 'waits':
            this.shown?.()
            return new Promise(() => {})
        }
        const url = new URL(authorizeUrl)
        url.searchParams.append('sandbox_user', 'ada')
        url.searchParams.append('sandbox_decision', 'allow')
        return visit(url.href)
      },
    }
  }

  run({ signal: _, ...run }) {
    if (this.runner === 'throws') throw new Error('broken on purpose')
    return { ...Object.fromEntries(Object.entries(run).map(([key, value]) => [snake(key), value])) }
  }
}

/** The arguments of a step; what nobody asked for is a mistake. */
class Args {
  constructor(args) {
    this.left = { ...args }
  }
  maybe(name) {
    const value = this.left[name]
    delete this.left[name]
    return value === null ? undefined : value
  }
  need(name) {
    return this.maybe(name) ?? raise(`\`${name}\` is missing`)
  }
  milliseconds(name) {
    const seconds = this.maybe(name)
    return seconds === undefined ? undefined : seconds * 1000
  }
  end() {
    for (const name of Object.keys(this.left)) raise(`there is no argument \`${name}\``)
  }
}

/** A call of the API: arguments are taken, then it is made. */
const op = (names, call, form = plain) => async (world, who, a) => {
  const given = {}
  for (const name of names.split(' ').filter(Boolean)) {
    const optional = name.endsWith('?')
    const plainName = name.replace(/[?~]/g, '')
    given[plainName] = name.includes('~') ? a.milliseconds(plainName) : optional ? a.maybe(plainName) : a.need(plainName)
  }
  a.end()
  return form(await call(who, given, world))
}

const none = () => ({})
const answer = (response) => ({
  status: response.status,
  headers: Object.fromEntries(response.headers.map(({ name, value }) => [name, value])),
  json: json(response),
})
function json(response) {
  try {
    return response.json()
  } catch {
    return null
  }
}
/** Types whose parts are data of the project or of users. */
const fieldForm = (field) => {
  const { value, defaultValue, options, ...rest } = field
  const given = Object.entries({ value, default_value: defaultValue, options }).filter(([, part]) => part !== undefined)
  return { ...plain(rest), ...Object.fromEntries(given) }
}
const configForm = (config) => ({
  ...plain({ ...config, fields: null, workflows: null }),
  fields: config.fields.map(fieldForm),
  workflows: config.workflows.map((workflow) => ({ ...plain({ ...workflow, fields: null }), fields: workflow.fields.map(fieldForm) })),
})
const requestOptions = (g) => ({
  connection: g.connection,
  query: g.query,
  headers: g.headers,
  json: g.json,
  timeout: g.timeout,
  maxBody: g.max_body,
})
const sent = 'application connection? method path query? headers? json? timeout~? max_body?'
const connecting = (g) => ({ inputs: g.inputs, scopes: g.scopes, returnTo: g.return_to, redirectUri: g.redirect_uri, connection: g.connection, device: g.device })

async function* bytes(texts) {
  for (const text of texts) yield Buffer.from(text)
}

const WEBHOOK = 'url? events? enabled? method? kind? headers? body? description? group? application? workflows?'
const newWebhook = (made) => ({ ...plain(made.webhook), secret: made.secret.reveal() })

const OPERATIONS = {
  create_account: op('account update?', ({ smalt }, g) => smalt.createAccount(g.account, g.update)),
  upsert_account: op('account update?', ({ smalt }, g) => smalt.upsertAccount(g.account, g.update), (made) => ({ ...plain(made.account), is_new: made.isNew })),
  get_account: op('account', ({ account }) => account.get()),
  list_accounts: op('search? limit? cursor?', ({ smalt }, g) => smalt.listAccounts(g)),
  delete_account: op('account', ({ account }) => account.delete(), none),
  count_accounts: op('search?', ({ smalt }, g) => smalt.countAccounts(g)),
  hand_off_connect: op('account application redirect_uri?', ({ account }, g) => account.handOffConnect(g.application, { redirectUri: g.redirect_uri })),
  get_handoff: op('ticket', ({ smalt }, g) => smalt.getHandoff(g.ticket)),
  take_handoff: op('ticket', ({ smalt }, g) => smalt.takeHandoff(g.ticket)),
  create_api_key: op('name', ({ smalt }, g) => smalt.createApiKey(g.name), (made) => ({ ...plain(made.info), key: made.key.reveal() })),
  list_api_keys: op('', ({ smalt }) => smalt.listApiKeys()),
  revoke_api_key: op('id', ({ smalt }, g) => smalt.revokeApiKey(g.id)),
  verify_api_key: op('key', ({ smalt }, g) => smalt.verifyApiKey(g.key)),
  create_session: op('account force?', ({ account }, g) => account.createSession({ force: g.force })),
  verify_session: op('token', ({ smalt }, g) => smalt.verifySession(g.token)),
  revoke_session: op('token', ({ smalt }, g) => smalt.revokeSession(g.token)),
  list_apps: op('account', ({ account }) => account.listApps()),
  get_app: op('account application', ({ account }, g) => account.getApp(g.application)),
  start_connect: op('account application return_to? redirect_uri? scopes? inputs? connection? device?', ({ account }, g) => account.startConnect(g.application, connecting(g))),
  park_callback: op('callback_url cookie?', ({ smalt }, g) => smalt.parkCallback(g.callback_url, { cookie: g.cookie }), (parked) => plain({ ...parked, returnTo: parked.returnTo })),
  finish_connect: op('account callback_url? claim? cookie?', ({ account }, g) => account.finishConnect(g.callback_url, { cookie: g.cookie, claim: g.claim })),
  get_flow: op('account flow', ({ account }, g) => account.flow(g.flow).get()),
  wait_flow: op('account flow timeout~?', ({ account }, g) => account.flow(g.flow).wait({ timeout: g.timeout ?? 10_000 })),
  cancel_flow: op('account flow', ({ account }, g) => account.flow(g.flow).cancel()),
  connect_key: op('account application inputs connection?', ({ account }, g) => account.connectKey(g.application, g.inputs, { connection: g.connection })),
  import_connection: op('account application auth_type? values expires_in? scopes?', ({ account }, g) =>
    account.importConnection(g.application, g.values, { authType: g.auth_type, expiresIn: g.expires_in, scopes: g.scopes }),
  ),
  list_connections: op('account application?', ({ account }, g) => account.listConnections(g.application)),
  get_connection: op('account connection', ({ account }, g) => account.getConnection(g.connection)),
  set_default_connection: op('account connection', ({ account }, g) => account.setDefaultConnection(g.connection)),
  credential: op('account application connection?', ({ account }, g) => account.credential(g.application, { connection: g.connection })),
  request: op(`account ${sent}`, ({ account }, g) => account.request(g.application, g.method, g.path, requestOptions(g)), answer),
  upload: op(
    `account ${sent.replace('json?', 'content_type parts length?')}`,
    ({ account }, g) => account.upload(g.application, g.method, g.path, bytes(g.parts), { ...requestOptions(g), contentType: g.content_type, length: g.length }),
    answer,
  ),
  request_page: op(
    `account ${sent} cursor? pagination?`,
    ({ account }, g) => account.requestPage(g.application, g.method, g.path, { ...requestOptions(g), cursor: g.cursor, pagination: camelled(g.pagination) }),
    (page) => ({ answer: answer(page.answer), items: page.items, next: page.next ?? null }),
  ),
  disconnect: op('account application connection? auth_type? siblings? wait~?', ({ account }, g) =>
    account.disconnect(g.application, { connection: g.connection, authType: g.auth_type, siblings: g.siblings, wait: g.wait }),
  ),
  get_receipt: op('account receipt', ({ account }, g) => account.getReceipt(g.receipt)),
  config: op(
    'account application config_id? seed? labels? without_options?',
    ({ account }, g) => account.config(g.application, { configId: g.config_id, seed: g.seed, labels: g.labels, withoutOptions: g.without_options }),
    configForm,
  ),
  get_config: op('account application config_id? without_options?', ({ account }, g) => account.getConfig(g.application, { configId: g.config_id, withoutOptions: g.without_options }), configForm),
  update_config: op(
    'account application config_id? update without_options?',
    ({ account }, g) => account.updateConfig(g.application, g.update, { configId: g.config_id, withoutOptions: g.without_options }),
    configForm,
  ),
  delete_config: op('account application config_id?', ({ account }, g) => account.deleteConfig(g.application, { configId: g.config_id }), none),
  list_configs: op('account application', ({ account }, g) => account.listConfigs(g.application)),
  config_field: op(
    'account application config_id? field workflow? parent_value? search?',
    ({ account }, g) => account.configField(g.application, g.field, { configId: g.config_id, workflow: g.workflow, parentValue: g.parent_value, search: g.search }),
    fieldForm,
  ),
  set_config_field: op(
    'account application config_id? field workflow? value?',
    ({ account }, g) => account.setConfigField(g.application, g.field, g.value, { configId: g.config_id, workflow: g.workflow }),
    fieldForm,
  ),
  rule_columns: op('account application field workflow? lhs', ({ account }, g) => account.ruleColumns(g.application, g.field, g.lhs, { workflow: g.workflow })),
  run_workflow: op('account application config_id? workflow payload?', ({ account }, g) => account.runWorkflow(g.application, g.workflow, g.payload, { configId: g.config_id }), asIs),
  events: op('since? limit? wait~?', ({ smalt }, g) => smalt.eventsPage(g)),
  audit: op('limit? cursor?', ({ smalt }, g) => smalt.audit(g)),
  rotate_keys: op('watch? wait~?', ({ smalt }, g) => smalt.rotateKeys(g)),
  portal_url: op('account properties? config_id? return_to? once?', ({ account }, g) =>
    account.portalUrl({ properties: g.properties, configId: g.config_id, returnTo: g.return_to, once: g.once }),
    (link) => ({ ...plain(link), ticket: new URL(link.url.reveal()).pathname.split('/').at(-1) }),
  ),
  open_portal: op('ticket', ({ smalt }, g) => smalt.openPortal(g.ticket)),
  portal_properties: op('token', ({ smalt }, g) => smalt.portalProperties(g.token), asIs),
  put_own_credentials: op('account values', ({ account }, g) => account.putOwnCredentials(g.values), none),
  set_own_credential: op('account name value?', ({ account }, g) => account.setOwnCredential(g.name, g.value)),
  own_credentials: op('account', ({ account }) => account.ownCredentials()),
  execute_workflow: op('account application config_id? workflow payload? wait?', ({ account }, g) =>
    account.executeWorkflow(g.application, g.workflow, g.payload, { configId: g.config_id, wait: g.wait }),
  ),
  list_executions: op('account limit? cursor?', ({ account }, g) => account.listExecutions({ limit: g.limit, cursor: g.cursor })),
  get_execution: op('account execution', ({ account }, g) => account.getExecution(g.execution)),
  create_webhook: op(WEBHOOK, ({ smalt }, g) => smalt.createWebhook(g), newWebhook),
  list_webhooks: op('', ({ smalt }) => smalt.listWebhooks()),
  update_webhook: op('webhook settings', ({ smalt }, g) => smalt.updateWebhook(g.webhook, g.settings)),
  delete_webhook: op('webhook', ({ smalt }, g) => smalt.deleteWebhook(g.webhook), none),
  rotate_webhook_secret: op('webhook overlap~?', ({ smalt }, g) => smalt.rotateWebhookSecret(g.webhook, { overlap: g.overlap }), newWebhook),
  list_deliveries: op('webhook limit? cursor?', ({ smalt }, g) => smalt.listDeliveries(g.webhook, { limit: g.limit, cursor: g.cursor })),
  redeliver: op('delivery', ({ smalt }, g) => smalt.redeliver(g.delivery)),
  get_project: op('', ({ smalt }) => smalt.getProject(), asIs),
  set_project: op('project', ({ smalt }, g, world) => smalt.setProject(world.project(g.project)), none),
}

const camelled = (object) => object && Object.fromEntries(Object.entries(object).map(([key, value]) => [key.replace(/_([a-z])/g, (_, l) => l.toUpperCase()), value]))

/** The driver's own. */
const VERBS = {
  sandbox: async (world, a) => {
    const control = a.need('control')
    a.end()
    await world.sandbox.control(control)
    return {}
  },
  stats: async (world, a) => {
    a.end()
    return world.sandbox.stats()
  },
  visit: async (_, a) => {
    const url = new URL(a.need('url'))
    url.searchParams.append('sandbox_user', a.maybe('user') ?? 'ada')
    url.searchParams.append('sandbox_decision', a.maybe('decision') ?? 'allow')
    const browser = a.maybe('browser')
    if (browser) url.searchParams.append('sandbox_browser', browser)
    a.end()
    const callback = await visit(url.href)
    return { callback_url: callback, params: Object.fromEntries(new URL(callback).searchParams) }
  },
  open: async (_, a) => {
    const [key, store, manifests] = [a.maybe('key'), a.maybe('store'), a.maybe('manifests')]
    a.end()
    const folder = mkdtempSync(join(tmpdir(), 'smalt-conformance-'))
    try {
      const path = store && join(folder, store)
      if (path) copyFileSync(join(room, 'stores', store), path)
      const opened = await Smalt.embedded({ path, key, manifests })
      await opened.close()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
    return {}
  },
  connect: async (world, a) => {
    const [account, application, presenter] = [a.need('account'), a.need('application'), a.maybe('presenter')]
    const [timeout, cancel] = [a.milliseconds('timeout'), a.maybe('cancel')]
    a.end()
    if (presenter && !['consents', 'closes', 'blocked', 'throws', 'waits'].includes(presenter)) raise(`there is no behaviour \`${presenter}\``)
    world.presents = presenter
    if (!cancel) return plain(await world.smalt.account(account).connect(application, { timeout }))
    // Whoever goes away in JavaScript aborts the signal, and is told its reason.
    const [caller, reason] = [new AbortController(), { why: 'the caller went away' }]
    world.shown = () => caller.abort(reason)
    const ended = await world.smalt.account(account).connect(application, { signal: caller.signal }).catch((error) => error)
    if (ended !== reason) throw new Error(`whoever went away was told ${inspect(ended)}`)
    throw new SmaltError({ code: 'cancelled', kind: 'cancelled', reason: 'The caller went away.', retry: 'later', context: {} })
  },
  advance: async (world, a) => {
    const seconds = a.need('seconds')
    a.end()
    if (!world.clock) raise('`advance` needs a `clock`')
    world.clock.advance(seconds * 1000)
    return {}
  },
  inbox: async (world, a) => {
    const name = a.need('name')
    a.end()
    const answer = await fetch(new URL(`/inbox/${name}`, world.sandbox.origin))
    return (await answer.json()).received
  },
  restart: async (world, a) => {
    a.end()
    await world.stop()
    await world.start()
    return {}
  },
  verify_webhook: async (world, a) => {
    const [headers, body, secrets] = [a.need('headers'), a.need('body'), a.need('secrets')]
    const [now, tolerance, compatible] = [a.maybe('now'), a.milliseconds('tolerance'), a.maybe('compatible')]
    a.end()
    if (compatible) {
      verifyWebhookCompatible(headers['x-cobalt-signature'] ?? raise('there is no compatible signature'), body, secrets)
      return {}
    }
    const at = now ? new Date(now) : world.clock && new Date(world.clock.now())
    return plain(verifyWebhook(headers, body, secrets, { tolerance, now: at }))
  },
  register_connector: async (world, a) => {
    const [slug, behaviour] = [a.need('application'), a.need('behaviour')]
    a.end()
    if (!['ok', 'throws', 'hangs', 'nonsense', 'panics', 'reenters', 'rejects'].includes(behaviour)) raise(`there is no behaviour \`${behaviour}\``)
    world.behaviours.set(slug, behaviour)
    return {}
  },
  register_runner: async (world, a) => {
    world.runner = a.need('behaviour')
    a.end()
    if (!['echo', 'throws'].includes(world.runner)) raise(`there is no behaviour \`${world.runner}\``)
    return {}
  },
  tamper_url: async (_, a) => {
    const url = new URL(a.need('url'))
    for (const [name, value] of Object.entries(a.need('set'))) {
      if (value === null) url.searchParams.delete(name)
      else url.searchParams.set(name, value)
    }
    a.end()
    return { url: url.href }
  },
  search_store: async (world, a) => {
    const secrets = a.need('secrets')
    a.end()
    return { hits: hits(world.folder, secrets) }
  },
}

/** The token on whose authority a step is done; absent: the organisation's. */
async function tokenOf(world, step, args) {
  if (step.as === undefined || step.as === 'organisation') return undefined
  if (step.as === 'session') return (await world.smalt.account(args.account ?? 'nobody').createSession()).token
  return step.as?.token ?? raise(`there is no authority ${JSON.stringify(step.as)}`)
}

function handles(smalt, token, args) {
  const own = token === undefined ? smalt : smalt.withToken(token)
  return { smalt: own, account: own.account(args.account ?? 'nobody') }
}

/** A remote backend refuses what the table keeps to embedded engines; the server's own engine does it then. */
async function keptToEmbedded(call) {
  try {
    await call
  } catch (error) {
    if (error instanceof SmaltError && error.code === 'unsupported' && error.message.includes('embedded')) return
    throw new Error(`expected \`unsupported\` of a remote backend, got ${inspect(error)}`)
  }
  throw new Error('a remote backend offers what the table keeps to embedded engines')
}

async function perform(world, step, args) {
  if (VERBS[step.do]) return VERBS[step.do](world, new Args(args))
  const operation = OPERATIONS[step.do] ?? raise(`there is no verb \`${step.do}\``)
  const token = await tokenOf(world, step, args)
  if (world.isRemote && EMBEDDED_ONLY.has(step.do)) {
    await keptToEmbedded(operation(world, handles(world.smalt, token, args), new Args(args)))
    return operation(world, handles(world.host, token, args), new Args(args))
  }
  return operation(world, handles(world.smalt, token, args), new Args(args))
}

async function once(world, step) {
  try {
    return { ok: await perform(world, step, step.args ?? {}) }
  } catch (error) {
    return { error }
  }
}

async function act(world, step) {
  if (step.parallel) return Promise.all(Array.from({ length: step.parallel }, () => once(world, step)))
  const ended = []
  for (let i = 0; i < (step.repeat ?? 1); i++) ended.push(await once(world, step))
  return ended
}

function check(step, ended) {
  const { error } = ended
  if (error !== undefined && !(error instanceof SmaltError)) {
    return `${error instanceof Mistake ? 'a mistake in the case' : 'no error of Smalt'}: ${error?.stack ?? error}`
  }
  if (!step.error) {
    if (error) return `expected an answer, got ${inspect(error)}`
    return step.expect === undefined ? undefined : matches(step.expect, ended.ok)
  }
  if (!error) return `expected the error \`${step.error.code}\`, got ${JSON.stringify(ended.ok)}`
  if (error.code !== step.error.code) return `expected the error \`${step.error.code}\`, got ${inspect(error)}`
  if (step.error.context !== undefined) {
    const why = matches(step.error.context, error.context)
    if (why) return `the error's context: ${why}`
  }
  if (step.error.retry_after !== undefined) {
    const why = matches(step.error.retry_after, error.retryAfter === undefined ? null : Math.floor(error.retryAfter / 1000))
    if (why) return `the error's retry_after: ${why}`
  }
  const shown = `${error} ${error.stack} ${inspect(error, { depth: 9 })} ${JSON.stringify(error)} ${inspect(error.cause, { depth: 9 })}`
  const leaked = step.error.without?.find((text) => shown.includes(text))
  return leaked && `\`${leaked}\` stands in the error ${inspect(error)}`
}

function checkOutcomes(wanted, all) {
  const got = {}
  for (const { error } of all) {
    if (error && !(error instanceof SmaltError)) return check({}, { error })
    const name = error ? error.code : 'ok'
    got[name] = (got[name] ?? 0) + 1
  }
  const sorted = (counts) => JSON.stringify(Object.entries(counts).sort())
  return sorted(got) === sorted(wanted) ? undefined : `expected the outcomes ${JSON.stringify(wanted)}, got ${JSON.stringify(got)}`
}

function ready(step, saved) {
  known('step', step)
  if (step.error) known('error', step.error)
  const filled = { ...step }
  for (const part of ['args', 'as', 'expect', 'error']) if (part in step) filled[part] = fill(step[part], saved)
  return filled
}

async function take(world, step, saved) {
  const filled = ready(step, saved)
  const until = Date.now() + 30_000
  for (;;) {
    const acting = act(world, filled)
    // The program of bad networks says so; cases of conformance have none.
    const all = await (filled.within ? limited(acting, filled.within * 1000) : acting)
    const why = filled.outcomes ? checkOutcomes(filled.outcomes, all) : all.map((ended) => check(filled, ended)).find(Boolean)
    if (!why) {
      for (const [name, path] of Object.entries(step.save ?? {})) saved.set(name, pointer(all.at(-1).ok, path))
      return undefined
    }
    if (!filled.eventually || Date.now() > until) return why
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Fails when it takes longer than so many milliseconds. */
export async function limited(running, longest) {
  let timer
  const late = new Promise((_, reject) => (timer = setTimeout(reject, longest, new Error(`it does not end in ${longest / 1000} s`))))
  try {
    return await Promise.race([running, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Does `work` for each, so many at once. */
export async function each(items, atOnce, work) {
  const queue = [...items]
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let item = queue.shift(); item; item = queue.shift()) await work(item)
    }),
  )
}

/** Why the steps do not hold, if they do not. */
export async function steps(world, list, saved) {
  for (const [at, step] of list.entries()) {
    const why = await take(world, step, saved)
    if (why) return `step ${at + 1} (${step.do}): ${why}`
  }
  return undefined
}

export async function run(testCase, backend) {
  const world = await World.open(testCase, backend)
  try {
    return await steps(world, testCase.steps, new Map(world.given))
  } finally {
    await world.close()
  }
}
