// Makes `ts/generated` from core's schema: types, errors, and a thin method per operation. `--check` compares instead of writing.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { METHODS } from './methods.mjs'

const room = dirname(fileURLToPath(import.meta.url))
const schemas = join(room, '../../docs/schema')
const out = join(room, '../ts/generated')
const operations = JSON.parse(readFileSync(join(schemas, 'operations-1.json'), 'utf8'))
const bridge = JSON.parse(readFileSync(join(schemas, 'bridge-1.json'), 'utf8'))

/** Types whose members have the names that they have in a file. */
const DOCUMENTS = ['Project', 'AppManifest']
/** Types that are written by hand, or are TypeScript's own. */
const OWN = new Set(['Secret', 'Timestamp', 'Duration', 'Bytes', ...DOCUMENTS])
const defs = { ...bridge.$defs, ...operations.$defs }

const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase())
const pascal = (name) => camel(`_${name}`)
const quoted = (text) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
const named = (ref) => ref.split('/').at(-1)
const fails = (why) => {
  throw new Error(why)
}

/** Lists have one generic type; `Page2` is the schema's name for another page. */
function pageOf(name) {
  return /^Page\d*$/.test(name) ? defs[name].properties.items.items : undefined
}

/** Every type that is reachable from these schemas. */
function reachable(roots) {
  const seen = new Set()
  const visit = (schema) => {
    if (Array.isArray(schema)) return schema.forEach(visit)
    if (schema === null || typeof schema !== 'object') return
    for (const [key, value] of Object.entries(schema)) {
      if (key !== '$ref') visit(value)
      else if (!OWN.has(named(value)) && !seen.has(named(value))) {
        seen.add(named(value))
        visit(defs[named(value)] ?? fails(`${value} is not described`))
      }
    }
  }
  visit(roots)
  return seen
}

const answers = reachable([...Object.values(operations.operations).map((operation) => operation.answer), bridge.capabilities])
const requests = reachable([
  ...Object.values(operations.operations).map((operation) => operation.request),
  bridge.embedded,
  ...Object.values(bridge.host).map((call) => call.answer),
])

function doc(text, indent = '', more = []) {
  const lines = [...(text ?? '').split('\n'), ...more].map((line) => line.trim()).filter(Boolean)
  if (lines.length === 0) return ''
  const safe = lines.map((line) => line.replaceAll('*/', '*\\/'))
  if (safe.length === 1) return `${indent}/** ${safe[0]} */\n`
  return `${indent}/**\n${safe.map((line) => `${indent} * ${line}`).join('\n')}\n${indent} */\n`
}

/** How a schema is written as a type. `into` is true for what the caller passes. */
class Types {
  constructor({ into, name }) {
    this.into = into
    this.name = name
  }

  list(item) {
    return /^[\w.<>]+$/.test(item) ? `readonly ${item}[]` : `readonly (${item})[]`
  }

  type(schema) {
    if (schema === true || Object.keys(schema).every((key) => ['description', 'default'].includes(key))) {
      return this.into ? 'unknown' : 'Json'
    }
    if (schema.$ref) return this.reference(named(schema.$ref))
    if ('const' in schema) return quoted(schema.const)
    if (schema.enum) return schema.enum.map((value) => (value === null ? 'null' : quoted(value))).join(' | ')
    const several = schema.anyOf ?? schema.oneOf
    if (several) return several.map((one) => this.type(one)).join(' | ')
    return [schema.type].flat().map((type) => this.plain(type, schema)).join(' | ')
  }

  reference(name) {
    if (name === 'Secret') return this.into ? 'Secret | string' : 'Secret'
    if (name === 'Timestamp') return 'Date'
    if (name === 'Duration') return 'number'
    if (name === 'Bytes') return this.into ? 'Uint8Array | string' : 'Buffer'
    const item = pageOf(name)
    return item ? `Page<${this.type(item)}>` : name
  }

  plain(type, schema) {
    switch (type) {
      case 'null':
        return 'null'
      case 'string':
        return 'string'
      case 'boolean':
        return 'boolean'
      case 'integer':
      case 'number':
        return 'number'
      case 'array':
        return this.list(this.type(schema.items ?? true))
      case 'object':
        if (schema.properties) return `{ ${this.members(schema, '').map((member) => member.trim()).join('; ')} }`
        return `Readonly<Record<string, ${this.type(schema.additionalProperties ?? true)}>>`
      default:
        return fails(`there is no type for ${JSON.stringify(schema)}`)
    }
  }

  /** What people are told of a member: durations are milliseconds here. */
  about(schema) {
    const is = JSON.stringify(schema).includes('#/$defs/Duration')
    return is ? [`In milliseconds.`] : []
  }

  members(schema, indent = '  ', only = () => true) {
    const required = new Set(schema.required ?? [])
    return Object.entries(schema.properties ?? {})
      .filter(([name]) => only(name))
      .map(([name, member]) => {
        const text = indent ? doc(member.description, indent, this.about(member)) : ''
        const type = this.type(member)
        const key = /^[a-z_$][\w$]*$/i.test(this.name(name)) ? this.name(name) : quoted(this.name(name))
        if (required.has(name)) return `${text}${indent}readonly ${key}: ${type}`
        const rest = this.into ? ' | undefined' : type.endsWith('| null') || type === 'Json' ? '' : ' | null'
        return `${text}${indent}readonly ${key}?: ${type}${rest}`
      })
  }

  declaration(name) {
    const schema = defs[name]
    if (schema.oneOf?.every((one) => 'const' in one)) {
      const rows = schema.oneOf.map((one) => `${doc(one.description, '  ')}  | ${quoted(one.const)}`)
      return `${doc(schema.description)}export type ${name} =\n${rows.join('\n')}\n`
    }
    if (schema.type === 'object' && schema.properties) {
      return `${doc(schema.description)}export interface ${name} {\n${this.members(schema).join('\n')}\n}\n`
    }
    return `${doc(schema.description)}export type ${name} = ${this.type(schema)}\n`
  }
}

const HEAD = '// Made from core\'s schema by scripts/generate.mjs. Do not edit.\n'

/** Requests of operations are arguments and options of methods, and have no type of their own unless another one holds them. */
const held = JSON.stringify(operations.$defs)
const whole = new Set(Object.values(operations.operations).map((operation) => named(operation.request.$ref)).filter((name) => !held.includes(`"#/$defs/${name}"`)))

function typesFile() {
  const outward = new Types({ into: false, name: camel })
  const inward = new Types({ into: true, name: camel })
  const parts = []
  for (const name of [...answers].sort()) {
    if (!pageOf(name)) parts.push(outward.declaration(name))
  }
  for (const name of [...requests].filter((name) => !answers.has(name) && !whole.has(name)).sort()) {
    parts.push(inward.declaration(name))
  }
  return `${HEAD}import type { AppManifest, Project } from './documents.js'
import type { Secret } from '../secret.js'
import type { Json } from '../values.js'

/** One page of a list. */
export interface Page<T> {
  /** The entries. */
  readonly items: readonly T[]
  /** Pass it as \`cursor\` to get the next page; absent on the last one. */
  readonly next?: string | null
}

${parts.join('\n')}`
}

function documentsFile() {
  const types = new Types({ into: true, name: (name) => name })
  // A secret in a document is text; it is read from a file.
  types.reference = function (name) {
    if (name === 'Secret') return 'string'
    if (name === 'Duration') return 'number'
    return name
  }
  const seen = new Set(DOCUMENTS)
  const visit = (schema) => {
    if (Array.isArray(schema)) return schema.forEach(visit)
    if (schema === null || typeof schema !== 'object') return
    for (const [key, value] of Object.entries(schema)) {
      if (key !== '$ref') visit(value)
      else if (!['Secret', 'Duration'].includes(named(value)) && !seen.has(named(value))) {
        seen.add(named(value))
        visit(defs[named(value)])
      }
    }
  }
  visit(DOCUMENTS.map((name) => defs[name]))
  const parts = [...seen].sort().map((name) => types.declaration(name))
  return `${HEAD}// The project and manifests, in the form of their files: TOML, JSON and these have the same names.\n\n${parts.join('\n')}`
}

function made({ code, kind, meaning, next, retry, http_status: httpStatus }) {
  const record = { code, kind, reason: `${meaning} ${next}`, retry, httpStatus, retryAfter: null, requestId: null, context: {}, trace: null }
  const fields = Object.entries(record).map(([name, value]) => `      ${name}: ${typeof value === 'string' ? quoted(value) : JSON.stringify(value)},\n`)
  return `
${doc(`What a presenter throws: ${meaning}`, '  ')}  static ${camel(code)}(): ${pascal(kind)}Error {
    return new ${pascal(kind)}Error({
${fields.join('')}    })
  }
`
}

function errorsFile() {
  const kinds = [...new Set(bridge.errors.map((row) => row.kind))]
  const of = (kind) => bridge.errors.filter((row) => row.kind === kind)
  const codes = bridge.errors.map((row) => `${doc(`${row.meaning} ${row.next}`, '  ')}  | ${quoted(row.code)}`)
  const classes = kinds.map((kind) => {
    const own = of(kind).map((row) => quoted(row.code)).join(' | ')
    return `${doc(MEANINGS[kind] ?? fails(`kind ${kind} has no words`), '', [`Codes: ${of(kind).map((row) => `\`${row.code}\``).join(', ')}.`])}export class ${pascal(kind)}Error extends SmaltError {
  declare readonly kind: ${quoted(kind)}
  declare readonly code: ${own}
${of(kind).filter((row) => row.presenters).map(made).join('')}}
`
  })
  return `${HEAD}import { SmaltError } from '../error.js'

/** The stable name of what went wrong; docs/errors.md lists them. */
export type ErrorCode =
${codes.join('\n')}

/** The sort of trouble; there is one class for each. */
export type ErrorKind = ${kinds.map(quoted).join(' | ')}

${classes.join('\n')}
/**
 * Any error of Smalt. \`switch (error.kind)\` tells its class, and so does a \`code\`: each is of one kind. There are no others: what a newer
 * server says in a code that this version does not know arrives as what its status means, e.g. \`server_error\`.
 */
export type AnySmaltError =
${kinds.map((kind) => `  | ${pascal(kind)}Error`).join('\n')}

/** Whether Smalt failed, and nothing else: an error that was caught is then one of the classes. */
export function isSmaltError(error: unknown): error is AnySmaltError {
  return error instanceof SmaltError
}
`
}

function kindsFile() {
  const kinds = [...new Set(bridge.errors.map((row) => row.kind))]
  return `${HEAD}import type { ErrorRecord, SmaltError } from '../error.js'
import * as errors from './errors.js'

const CLASSES: Readonly<Record<string, new (record: ErrorRecord, cause?: unknown) => SmaltError>> = {
${kinds.map((kind) => `  ${kind}: errors.${pascal(kind)}Error,`).join('\n')}
}

/** The class of a kind of error. The addon knows no other kind than these; what it could not name would be a fault in Smalt itself. */
export function classOf(kind: string): new (record: ErrorRecord, cause?: unknown) => SmaltError {
  return CLASSES[kind] ?? errors.InternalError
}
`
}

const MEANINGS = {
  invalid: 'An argument is wrong.',
  unauthenticated: 'There is no valid session token or key.',
  forbidden: 'The caller is known, but may not do that.',
  not_found: 'The thing does not exist.',
  conflict: "The thing's state stands against it.",
  flow: 'A connect flow ended without a connection.',
  reauth: 'The user must authorise again.',
  provider: "The application's server failed.",
  timeout: 'Time ran out.',
  configuration: "The organisation's own settings are wrong.",
  unavailable: 'Something that Smalt needs is not available now.',
  plugin: 'A plugin failed; its own error is the `cause`.',
  unsupported: 'This backend or set-up cannot do that.',
  cancelled: 'The call was cancelled elsewhere than by its own signal.',
  internal: 'A fault in Smalt itself.',
}

const GROUPS = {
  smalt: ['SmaltMethods', 'The operations of an organisation.'],
  account: ['AccountMethods', 'The operations on one linked account that only the organisation has.'],
  verbs: ['VerbMethods', 'The operations on one linked account, for the organisation and for a session of the account.'],
}

/** The class that people see, by group. */
const OWNERS = { smalt: 'Smalt', account: 'Account', verbs: 'Account' }

function methodFiles() {
  const inward = new Types({ into: true, name: camel })
  const outward = new Types({ into: false, name: camel })
  const missing = Object.keys(operations.operations).filter((name) => !METHODS[name])
  if (missing.length > 0) fails(`scripts/methods.mjs has no row for ${missing.join(', ')}`)
  const options = []
  const groups = Object.fromEntries(Object.keys(GROUPS).map((group) => [group, []]))
  // What their modules import beside that.
  const made = Object.fromEntries(Object.keys(GROUPS).map((group) => [group, []]))
  for (const [name, row] of Object.entries(METHODS)) {
    const operation = operations.operations[name] ?? fails(`there is no operation ${name}`)
    if (row.by) continue
    const request = named(operation.request.$ref)
    if (request === 'Project') {
      groups[row.on].push(`${doc(operation.description)}  setProject(project: Project, options: CallOptions = {}): Promise<void> {
    return perform(this, 'set_project', project, options)
  }
`)
      continue
    }
    const schema = defs[request]
    const bound = { account: 'this.accountId' }
    const own = Object.keys(schema.properties ?? {})
    const given = own.filter((field) => row.bound?.includes(field))
    const args = row.args.map((arg) => arg.replace('?', ''))
    const rest = own.filter((field) => !given.includes(field) && !args.includes(field) && !row.without?.includes(field))
    const left = (schema.required ?? []).filter((field) => !given.includes(field) && !args.includes(field))
    if (left.length > 0) fails(`${name}: ${left.join(', ')} must be arguments`)
    let optionsType = 'CallOptions'
    if (rest.length > 0) {
      optionsType = `${pascal(row.name)}Options`
      options.push({ group: row.on, name: optionsType, text: `${doc(`Options of \`${row.name}\`.`)}export interface ${optionsType} extends CallOptions {
${inward.members(schema, '  ', (field) => rest.includes(field)).join('\n')}
}
` })
    }
    const parameters = row.args.map((arg) => {
      const field = arg.replace('?', '')
      const type = inward.type(schema.properties[field] ?? fails(`${name} has no ${field}`))
      const safe = row.as?.[field] ?? camel(field)
      return arg.endsWith('?') ? `${safe}?: ${type}` : `${safe}: ${type}`
    })
    const fields = [
      ...given.map((field) => `${camel(field)}: ${bound[field]}`),
      ...row.args.map((arg) => {
        const field = arg.replace('?', '')
        const safe = row.as?.[field] ?? camel(field)
        return safe === camel(field) ? safe : `${camel(field)}: ${safe}`
      }),
    ]
    const answer = operation.answer.type === 'null' ? 'void' : outward.type(operation.answer)
    const scope = operation.scope === 'organisation' ? ['Scope: organisation.'] : []
    const asked = `(this, '${name}', {${fields.length > 0 ? ` ${fields.join(', ')} ` : ''}}, options)`
    const body = row.into ? `    return new ${row.into[0]}(await call<${answer}>${asked})` : `    return ${answer === 'void' ? 'perform' : 'call'}${asked}`
    if (row.into) made[row.on].push(`import { ${row.into[0]} } from '${row.into[1]}'`)
    groups[row.on].push(`${doc(row.about ?? operation.description, '  ', scope)}  ${row.into ? 'async ' : ''}${row.name}(${[...parameters, `options: ${optionsType} = {}`].join(', ')}): Promise<${answer}> {
${body}
  }
`)
  }
  const members = { verbs: ['accountId'] }
  const bases = { account: 'Verbs' }
  const classes = (names) => names.map((group) => {
    const [name, about] = GROUPS[group]
    const own = (members[group] ?? []).map((member) => `  abstract readonly ${member}: string\n`).join('')
    return `/** ${about} */\nexport abstract class ${name} extends ${bases[group] ?? 'Handle'} {\n${own}${own && '\n'}${groups[group].join('\n')}}\n`
  })
  const file = (names, more, interfaces) => {
    const text = `${interfaces}\n${classes(names).join('\n')}`
    const words = new Set(text.replace(/\/\*\*[^]*?\*\//g, '').match(/\b[A-Z]\w+\b/g))
    const types = [...words].filter((word) => (answers.has(word) || requests.has(word) || word === 'Page') && !whole.has(word)).sort()
    const lines = [
      `import { call, ${bases[names[0]] ? '' : 'Handle, '}${/\bperform\(/.test(text) ? 'perform, ' : ''}type CallOptions } from '../handle.js'`,
      ...(words.has('Secret') ? [`import type { Secret } from '../secret.js'`] : []),
      ...(words.has('Json') ? [`import type { Json } from '../values.js'`] : []),
      ...(words.has('Project') ? [`import type { Project } from './documents.js'`] : []),
      `import type {\n${types.map((name) => `  ${name},`).join('\n')}\n} from './types.js'`,
      ...more,
    ]
    return `${HEAD}${lines.join('\n')}\n\n${text}`
  }
  const rows = Object.entries(METHODS).map(([name, row]) => `  ${name}: ${quoted(row.by ?? `${OWNERS[row.on]}.${row.name}`)},`)
  const table = `
/** Which method is which operation's, for the check of the table. */
export const METHOD_OF: Readonly<Record<string, string>> = {
${rows.join('\n')}
}
`
  const pick = (names) => options.filter((option) => names.includes(option.group)).map((option) => option.text).join('\n')
  return {
    'methods.ts': file(['smalt', 'verbs'], [...made.smalt, ...made.verbs], pick(['smalt', 'verbs'])) + table,
    'options.ts': `${HEAD}${[['account', ['account']], ['methods', ['smalt', 'verbs']]]
      .map(([module, names]) => `export type {\n${options.filter((option) => names.includes(option.group)).map((option) => `  ${option.name},`).join('\n')}\n} from './${module}.js'\n`)
      .join('')}`,
    'account.ts': file(['account'], [...made.account, `import { Verbs } from '../verbs.js'`], pick(['account'])),
  }
}

/** What plugins are asked with, and what else is in it that hides something. */
const ASKED = { OptionsRequest: {}, PresentRequest: { device: 'DevicePrompt' }, RuleRequest: {}, WorkflowRun: {} }

/** What printing hides, and the way to it within answers and what plugins are asked with. */
function printsFile() {
  const hidden = (name) => bridge.hidden[name] ?? []
  /** The type that a member's schema speaks of, itself or in a list. */
  const typeOf = (schema) => {
    if (schema === null || typeof schema !== 'object') return undefined
    if (schema.$ref) return named(schema.$ref)
    if (typeof schema.additionalProperties === 'object' && JSON.stringify(schema.additionalProperties).includes('#/$defs/')) {
      const name = named(JSON.stringify(schema.additionalProperties).match(/#\/\$defs\/\w+/)[0])
      if (reaches(name)) fails(`${name} is in a map: what hides it looks into objects and lists only`)
    }
    for (const one of [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), schema.items]) {
      const name = typeOf(one)
      if (name) return name
    }
    return undefined
  }
  const members = (name) => Object.entries(defs[name]?.properties ?? {}).map(([member, schema]) => [member, typeOf(schema)])
  const known = new Map()
  const reaches = (name) => {
    if (OWN.has(name) || !defs[name]) return false
    if (!known.has(name)) {
      known.set(name, hidden(name).length > 0)
      if (members(name).some(([, type]) => type && reaches(type))) known.set(name, true)
    }
    return known.get(name)
  }
  const list = (names) => (names.length > 0 ? `[${names.map((name) => quoted(camel(name))).join(', ')}]` : '[]')
  const types = [...answers].filter(reaches).sort()
  const rows = types.map((name) => {
    const within = members(name).filter(([, type]) => type && reaches(type)).map(([member, type]) => `${camel(member)}: ${quoted(type)}`)
    return `  ${name}: { hidden: ${list(hidden(name))}, within: {${within.length > 0 ? ` ${within.join(', ')} ` : ''}} },`
  })
  // What plugins are asked with is described by hand, and in no schema.
  for (const [name, within] of Object.entries(ASKED)) {
    if (defs[name] || hidden(name).length === 0) fails(`${name} is no longer what plugins alone are asked with`)
    const held = Object.entries(within).map(([member, type]) => `${member}: ${quoted(reaches(type) ? type : fails(`${type} hides nothing`))}`)
    rows.push(`  ${name}: { hidden: ${list(hidden(name))}, within: {${held.length > 0 ? ` ${held.join(', ')} ` : ''}} },`)
  }
  rows.sort()
  const unknown = Object.keys(bridge.hidden).filter((name) => !defs[name] && !ASKED[name])
  if (unknown.length > 0) fails(`nothing here is ${unknown.join(', ')}`)
  const operationsOf = Object.entries(operations.operations).map(([name, { answer }]) => [name, typeOf(answer)])
  const asked = operationsOf.filter(([, type]) => type && reaches(type)).map(([name, type]) => `  ${name}: ${quoted(type)},`)
  return `${HEAD}
/** What printing hides of a type, and where within it there are others of which it hides something. */
export interface Prints {
  readonly hidden: readonly string[]
  readonly within: Readonly<Record<string, string>>
}

/** The types that have either. */
export const PRINTS: Readonly<Record<string, Prints>> = {
${rows.join('\n')}
}

/** The operations whose answers are such, alone or as a list. */
export const ANSWERS: Readonly<Record<string, string>> = {
${asked.join('\n')}
}
`
}

const files = { 'types.ts': typesFile(), 'documents.ts': documentsFile(), 'errors.ts': errorsFile(), 'kinds.ts': kindsFile(), 'prints.ts': printsFile(), ...methodFiles() }
mkdirSync(out, { recursive: true })
let stale = false
for (const [name, text] of Object.entries(files)) {
  const path = join(out, name)
  if (!process.argv.includes('--check')) {
    writeFileSync(path, text)
    continue
  }
  let found = ''
  try {
    found = readFileSync(path, 'utf8')
  } catch {}
  if (found !== text) {
    console.error(`bindings-node/ts/generated/${name} is not what core's schema says: run \`node bindings-node/scripts/generate.mjs\``)
    stale = true
  }
}
process.exitCode = stale ? 1 : 0
