import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { format, inspect } from 'node:util'
import { Secret, Smalt } from 'smalt'
import { Sandbox, visit } from 'smalt/testing'
import { connected, folder } from './helpers.mjs'

/** Every way in which a value gets into a log by accident. */
function shown(value) {
  const ways = [
    () => inspect(value, { depth: 20, showHidden: true, getters: true }),
    // As `console.dir` and the differences of `assert` are written, which ask no value.
    () => inspect(value, { depth: 20, showHidden: true, customInspect: false }),
    () => JSON.stringify(value),
    () => format('%s %o %O %j', value, value, value, value),
    () => `${value}`,
    () => String(value) + value,
    () => JSON.stringify(structuredClone(value)),
    () => inspect(structuredClone(value), { depth: 20, showHidden: true }),
    () => Object.values(value).map(String).join(),
    () => inspect(Object.entries(Object.getOwnPropertyDescriptors(value)), { depth: 20 }),
  ]
  return ways
    .map((way) => {
      try {
        return way()
      } catch (error) {
        return inspect(error)
      }
    })
    .join('\n')
}

/** Every secret within an answer. */
function within(value, found = new Set()) {
  if (value instanceof Secret) found.add(value)
  else if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) within(one, found)
  return [...found]
}

/** The types of answers that core's schema gives a secret. */
function typesWithSecrets() {
  const { operations, $defs } = JSON.parse(readFileSync(join(process.env.SMALT_ROOT, 'docs/schema/operations-1.json'), 'utf8'))
  const seen = new Set()
  const names = new Set()
  const visit = (schema, owner) => {
    if (typeof schema !== 'object' || schema === null) return
    if (Array.isArray(schema)) return schema.forEach((one) => visit(one, owner))
    for (const [key, value] of Object.entries(schema)) {
      if (key !== '$ref') visit(value, owner)
      else if (value.endsWith('/Secret')) names.add(owner)
      else if (!seen.has(value)) {
        seen.add(value)
        visit($defs[value.split('/').at(-1)], value.split('/').at(-1))
      }
    }
  }
  for (const { answer } of Object.values(operations)) visit(answer)
  return [...names].sort()
}

test('s41: no way of printing shows a secret', async (t) => {
  const returnTo = 'https://app.example/connected'
  const { smalt, account } = await connected(t, {
    project: { version: 1, org: { public_url: 'https://app.example', return_to: [returnTo] }, sandbox: { enabled: true }, apps: { 'sandbox-oauth': {}, 'sandbox-key': {} } },
  })
  await account.connectKey('sandbox-key', { key: new Secret('sandbox-key-good'), workspace: 'main' })
  const oauth = await account.credential('sandbox-oauth')
  const key = await account.credential('sandbox-key')
  const session = await account.session()
  const redirectUri = 'http://127.0.0.1/callback'
  const started = await account.startConnect('sandbox-oauth', { redirectUri })
  const handoff = await account.handOffConnect('sandbox-oauth', { redirectUri, returnTo })
  const parking = await account.startConnect('sandbox-oauth', { redirectUri, returnTo })
  const parked = await smalt.parkCallback(await visit(`${parking.authorizeUrl}&sandbox_user=ada&sandbox_decision=allow`), { cookie: parking.cookie.value })
  const link = await account.portalUrl({ once: true })
  const portal = await smalt.openPortal(link.url.reveal().split('/').pop())
  const hook = { url: 'https://93.184.216.34/hooks/3c1f9ad2c7e04b55', events: ['connection.created'], headers: { authorization: 'Bearer webhook-header-canary' } }
  const webhook = await smalt.createWebhook(hook)
  const rotated = await smalt.rotateWebhookSecret(webhook.webhook.id)
  await account.putOwnCredentials({ token: 'own-credentials-canary', region: 'eu-central-canary' })
  const master = Smalt.makeKey()
  // What has a secret, by the type that core's schema names it.
  const holders = {
    Credential: [oauth, key],
    SessionInfo: [session, await account.createSession(), await smalt.verifySession(session.token)],
    StateCookie: [started, started.cookie, await smalt.takeHandoff(handoff.ticket)],
    Handoff: [handoff],
    ParkedCallback: [parked],
    NewApiKey: [await smalt.createApiKey('worker')],
    PortalLink: [link],
    Portal: [portal],
    NewWebhook: [webhook, rotated],
    Webhook: [await smalt.listWebhooks(), await smalt.updateWebhook(webhook.webhook.id, { description: 'changed' })],
    OwnCredentials: [await account.ownCredentials()],
  }
  assert.deepEqual(Object.keys(holders).sort(), typesWithSecrets(), 'every type that holds a secret is here')
  const secrets = new Set([master])
  for (const [type, held] of Object.entries(holders)) {
    for (const holder of held) {
      // A workspace or a region is no secret by itself, and too short to be sought.
      const own = (type === 'SessionInfo' && holder === session ? [session.token] : within(holder)).filter((secret) => secret.reveal().length >= 16)
      assert.ok(own.length > 0, `${type} has a secret`)
      for (const secret of own) secrets.add(secret)
    }
  }
  const texts = [...secrets].map((secret) => secret.reveal())
  for (const known of [hook.url, hook.headers.authorization, 'own-credentials-canary', 'eu-central-canary', 'sandbox-key-good']) assert.ok(texts.includes(known), known)
  for (const holder of [...Object.values(holders).flat(), master, smalt, account, account.flow('x'), [...secrets], new Map(Object.entries(holders))]) {
    const shows = shown(holder)
    for (const text of texts) assert.ok(!shows.includes(text), `a secret stands in ${shows.slice(0, 2000)}`)
  }
  assert.equal(JSON.stringify({ secret: master }), '{"secret":"Secret(…)"}')
  assert.equal(inspect(master), 'Secret(…)')
  // Where a browser is sent holds the claim: it is there for whoever asks for it, as a property like the others.
  assert.ok(Object.hasOwn(parked, 'returnTo') && !Object.keys(parked).includes('returnTo'))
  assert.equal(new URL(parked.returnTo).searchParams.get('claim'), parked.claim.reveal())
})

/** The types of answers of which core's schema says what printing hides, by their names: the members, as they are called here. */
function hidden() {
  const read = (name) => JSON.parse(readFileSync(join(process.env.SMALT_ROOT, 'docs/schema', name), 'utf8'))
  const { operations, $defs } = read('operations-1.json')
  const reached = new Set()
  const reach = (schema) => {
    if (typeof schema !== 'object' || schema === null) return
    for (const [key, value] of Object.entries(schema)) {
      const name = key === '$ref' ? value.split('/').at(-1) : undefined
      if (name === undefined) reach(value)
      else if (!reached.has(name)) {
        reached.add(name)
        reach($defs[name])
      }
    }
  }
  for (const { answer } of Object.values(operations)) reach(answer)
  const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())
  const rows = Object.entries(read('bridge-1.json').hidden).filter(([name]) => reached.has(name))
  return Object.fromEntries(rows.map(([name, members]) => [name, members.map(camel)]))
}

test('s41: what may hold a secret of a user\'s is not printed, and is there all the same', async (t) => {
  const sandbox = await Sandbox.start()
  t.after(() => sandbox.stop())
  await sandbox.control({ do: 'register_client', client_id: 'tv-client', client_secret: 'tv-client-secret' })
  const secret = join(folder(t), 'client-secret')
  writeFileSync(secret, 'tv-client-secret', { mode: 0o600 })
  const page = 'https://app.example/connected'
  const tv = {
    manifest: 1,
    slug: 'tv',
    name: 'Tv',
    description: 'A test application at the sandbox.',
    api: { base_url: `${sandbox.origin}/api/` },
    oauth2: {
      authorize_url: `${sandbox.origin}/authorize`,
      token_url: `${sandbox.origin}/token`,
      scopes: { default: ['profile'] },
      identity: { url: `${sandbox.origin}/userinfo`, id: '/sub' },
      device: { url: `${sandbox.origin}/device` },
    },
  }
  const fields = [
    { id: 'pass', name: 'Pass', type: 'password' },
    { id: 'note', name: 'Note', type: 'text', default: 'default-canary' },
  ]
  const prompts = []
  const { smalt, account } = await connected(t, {
    runner: {
      run({ workflow }) {
        if (workflow === 'fails') throw new Error('reason-canary')
        return { answer: 'answer-canary' }
      },
    },
    manifests: [tv],
    project: {
      version: 1,
      org: { public_url: 'https://app.example', return_to: [page] },
      network: { allow: [sandbox.origin.replace('http://', '')] },
      sandbox: { enabled: true, url: sandbox.origin },
      apps: {
        'sandbox-oauth': { fields, workflows: ['echo', 'fails'].map((id) => ({ id, name: id, enabled: true, fields })) },
        tv: { client: { test: { id: 'tv-client', secret: { file: secret } } } },
      },
    },
  })
  await account.config('sandbox-oauth')
  const update = { fields: { pass: 'password-canary', note: 'value-canary' }, workflows: { echo: { fields: { note: 'inner-canary' } } } }
  const config = await account.updateConfig('sandbox-oauth', update)
  const redirectUri = 'http://127.0.0.1/callback'
  const started = await account.startConnect('sandbox-oauth', { redirectUri, returnTo: page })
  const device = await account.startConnect('tv', { device: true })
  const parked = await smalt.parkCallback(await visit(`${started.authorizeUrl}&sandbox_user=ada&sandbox_decision=allow`), { cookie: started.cookie.value })
  const link = await account.portalUrl({ properties: { name: 'property-canary' }, returnTo: page })
  const hook = await smalt.createWebhook({ url: 'https://93.184.216.34/hooks', events: ['connection.created'], kind: 'custom', body: { text: 'body-canary' } })
  const answer = await account.request('sandbox-oauth', 'GET', 'echo', { headers: { 'x-canary': 'header-canary' } })
  const listed = await account.requestPage('sandbox-oauth', 'GET', 'channels', { query: { limit: '3' } })
  const echo = await account.executeWorkflow('sandbox-oauth', 'echo', null, { wait: true })
  const fails = await account.executeWorkflow('sandbox-oauth', 'fails', null, { wait: true })
  const holders = {
    ApiAnswer: [answer, listed.answer],
    ApiPage: [listed],
    DevicePrompt: [device.device],
    Executed: [echo, fails],
    Field: [...config.fields, ...config.workflows[0].fields, await account.configField('sandbox-oauth', 'note')],
    NameValue: answer.headers,
    ParkedCallback: [parked],
    Portal: [await smalt.openPortal(link.url.reveal().split('/').pop())],
    StartedConnect: [started, device],
    Webhook: [hook.webhook, ...(await smalt.listWebhooks())],
  }
  const members = hidden()
  assert.deepEqual(Object.keys(holders).sort(), Object.keys(members).sort(), 'every type is here')
  const printed = (value) => [inspect(value, { depth: 20 }), inspect(value, { depth: 20, showHidden: true, getters: true }), format('%s %o %O', value, value, value)].join('\n')
  const nested = [config, hook, listed, device, new Map([['config', config]])]
  for (const [type, held] of Object.entries(holders)) {
    for (const member of members[type]) {
      const set = held.filter((one) => one[member] !== null && one[member] !== undefined)
      assert.ok(set.length > 0, `${type} has ${member}`)
      for (const one of set) {
        assert.match(printed(one), new RegExp(`${member}: …`), `${type}: ${member} is printed`)
        // A claim is a secret: where it stands is serialised no more than it is. All else is data.
        const data = JSON.parse(JSON.stringify(one))
        assert.equal(member in data, type !== 'ParkedCallback', `${type}: ${member} as JSON`)
      }
    }
    for (const one of held) assert.ok(Object.keys(one).length > 0 && Object.getOwnPropertySymbols({ ...one }).length === 0, 'a copy is plain data')
  }
  const shown = printed([...Object.values(holders), ...nested])
  const { userCode } = device.device
  const state = new URL(started.authorizeUrl).searchParams.get('state')
  for (const text of [userCode, state, 'default-canary', 'value-canary', 'inner-canary', 'property-canary', 'answer-canary', 'reason-canary', 'body-canary', 'header-canary', listed.items[0].name]) {
    assert.ok(typeof text === 'string' && text.length > 3, `${text}`)
    assert.ok(!shown.includes(text), `${text} stands in ${shown.slice(0, 4000)}`)
  }
  // What is compared and read is as it was.
  assert.deepEqual(config.fields.find(({ id }) => id === 'note').value, 'value-canary')
  assert.deepEqual(hook.webhook.body, { text: 'body-canary' })
  assert.deepEqual({ ...started.cookie, ...echo.answer }.answer, 'answer-canary')
  assert.match(fails.reason, /reason-canary/)
  // Nor does a presenter print what it is to show.
  const presenter = {
    present(request) {
      prompts.push(printed(request), request.authorizeUrl)
      throw new Error('it was seen')
    },
  }
  const other = await Smalt.sandbox({ presenter })
  t.after(() => other.close())
  await other.account('acme-1').ensure()
  await assert.rejects(other.account('acme-1').connect('sandbox-oauth'), { code: 'plugin_failed' })
  assert.match(prompts[0], /authorizeUrl: …/)
  assert.ok(!prompts[0].includes(new URL(prompts[1]).searchParams.get('state')))
})

test('s41: nor does what a plugin is asked with print what a user chose, typed or gave', async (t) => {
  const { hidden } = JSON.parse(readFileSync(join(process.env.SMALT_ROOT, 'docs/schema/bridge-1.json'), 'utf8'))
  const printed = {}
  const keep = (type, request) => {
    printed[type] = [inspect(request, { depth: 20, showHidden: true }), format('%s %o %O', request, request, request), JSON.stringify(request)]
  }
  const { account } = await connected(t, {
    connectors: [
      {
        slug: 'sandbox-oauth',
        options(_, request) {
          keep('OptionsRequest', request)
          return [{ value: 'a' }]
        },
        ruleColumns(_, request) {
          keep('RuleRequest', request)
          return null
        },
      },
    ],
    runner: {
      run(run) {
        keep('WorkflowRun', run)
        return null
      },
    },
    project: {
      version: 1,
      sandbox: { enabled: true },
      apps: {
        'sandbox-oauth': {
          fields: [
            { id: 'room', name: 'Room', type: 'select', options_from: 'rooms' },
            { id: 'rule', name: 'Rule', type: 'rule_engine', options: [{ name: 'Stage', value: 'stage' }] },
            { id: 'note', name: 'Note', type: 'text' },
          ],
          workflows: [{ id: 'echo', name: 'Echo', enabled: true, fields: [{ id: 'own', name: 'Own', type: 'text' }] }],
        },
      },
    },
  })
  await account.config('sandbox-oauth')
  await account.updateConfig('sandbox-oauth', { fields: { note: 'fields-canary' }, workflows: { echo: { fields: { own: 'workflowFields-canary' } } } })
  await account.configField('sandbox-oauth', 'room', { parentValue: 'parentValue-canary', search: 'search-canary' })
  await account.ruleColumns('sandbox-oauth', 'rule', 'lhs-canary')
  await account.runWorkflow('sandbox-oauth', 'echo', { text: 'payload-canary' })
  assert.deepEqual(Object.keys(printed).sort(), ['OptionsRequest', 'RuleRequest', 'WorkflowRun'])
  for (const [type, [inspected, formatted, data]] of Object.entries(printed)) {
    for (const member of hidden[type].map((name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()))) {
      for (const shown of [inspected, formatted]) assert.match(shown, new RegExp(`\\b${member}: …`), `${type}: ${member} is printed`)
      assert.ok(!`${inspected} ${formatted}`.includes(`${member}-canary`), inspected)
      assert.ok(data.includes(`${member}-canary`), `${type}: ${member} is data: ${data}`)
    }
  }
})

test('s41: a refused secret is not in its error', async (t) => {
  const { smalt, account } = await connected(t)
  const canary = 'canary-4b1d77e2-canary-4b1d77e2'
  const calls = [
    () => account.connectKey('sandbox-key', { key: canary, workspace: 'main' }),
    () => smalt.verifySession(canary),
    () => smalt.verifyApiKey(canary),
    () => smalt.takeHandoff(canary),
    () => smalt.withToken(canary).account('acme-1').get(),
    () => account.claimConnect(canary),
    () => smalt.openPortal(canary),
    () => smalt.createWebhook({ url: `not-a-url-${canary}`, events: ['connection.created'] }),
    () => smalt.createWebhook({ url: 'https://93.184.216.34/', events: ['connection.created'], headers: { 'no header': canary } }),
    () => account.putOwnCredentials({ '': canary }),
    () => account.setOwnCredential('none', canary),
    () => smalt.parkCallback(`http://127.0.0.1/callback?code=${canary}&state=${canary}`, { cookie: canary }),
    () => account.finishConnect('https://app.example/callback?code=c&state=s', { cookie: canary }),
    () => account.importConnection('sandbox-oauth', { nonsense: canary }),
    () => Smalt.embedded({ key: canary }),
  ]
  for (const call of calls) {
    const error = await call().then(() => assert.fail(`${call} succeeded`), (error) => error)
    assert.ok(!`${shown(error)}${error.stack}${error.message}`.includes(canary), `${call}`)
  }
})
