// What people's editors say: compiled with `tsc --strict`, never run.
import { isSmaltError, NotFoundError, Secret, Smalt, SmaltError, type Account, type AnySmaltError, type Connection, type Connector, type Credential, type ErrorCode, type ErrorKind, type Event, type Json, type Project, type ProviderError, type ReauthError } from 'smalt'
import { createReadStream } from 'node:fs'
import { fixedClock, Sandbox } from 'smalt/testing'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function is<T extends true>(..._: T[]): void {}

declare const smalt: Smalt
declare const account: Account

export async function calls(signal: AbortSignal): Promise<void> {
  const connection = await account.getConnection('x', { signal })
  is<Equal<typeof connection, Connection>>()
  is<Equal<typeof connection.authType, 'oauth2' | 'keybased'>>()
  is<Equal<typeof connection.createdAt, Date>>()
  const credential: Credential = await account.credential('slack', { connection: 'x', signal })
  is<Equal<NonNullable<typeof credential.accessToken>, Secret>>()
  // @ts-expect-error answers are read only
  credential.application = 'other'
  // @ts-expect-error a secret is no string
  const text: string = credential.accessToken
  void text
  // @ts-expect-error the name is camelCase
  await account.startConnect('slack', { return_to: 'x' })
  // @ts-expect-error an application is needed
  await account.startConnect()
  await account.startConnect('slack', { returnTo: 'x', scopes: ['a'], signal })
  await account.importConnection('slack', { access_token: new Secret('x'), refresh_token: 'y' }, { authType: 'oauth2', expiresIn: 3600 })
  await account.updateConfig('slack', { fields: { any: 1 }, workflows: { notify: true, digest: { enabled: false, fields: {} } } })
  const { items, next } = await smalt.listAccounts({ limit: 5 })
  is<Equal<(typeof items)[number]['name'], string | null | undefined>>()
  void next
  const deleted: void = await account.delete()
  void deleted
  for await (const event of smalt.events({ since: 'x', signal })) {
    is<Equal<typeof event, Event>>()
    if (event.type === 'connection.created') console.log(event.application)
    is<Equal<typeof event.data, Json>>()
    // @ts-expect-error there is no such event
    if (event.type === 'connection.exploded') console.log(event)
  }
  const session = await account.session({ force: true })
  // @ts-expect-error credentials are the organisation's
  await session.credential('slack')
  const answer = await account.request('slack', 'POST', 'x', { json: { a: 1 }, query: { q: '1' }, headers: [{ name: 'a', value: 'b' }] })
  const read: { ok: boolean } = answer.json<{ ok: boolean }>()
  void read
  const sent = await account.upload('slack', 'PUT', 'x', new Blob(['a']), { length: 1, contentType: 'text/plain', signal })
  await account.upload('slack', 'PUT', 'x', createReadStream('x'))
  await account.upload('slack', 'PUT', 'x', new Response('x').body!)
  await account.upload('slack', 'PUT', 'x', [new Uint8Array(1)])
  // @ts-expect-error a body comes in parts
  await account.upload('slack', 'PUT', 'x', 'text')
  // @ts-expect-error and has no JSON beside it
  await account.upload('slack', 'PUT', 'x', [], { json: {} })
  void sent.status
  const response: Response = await account.fetch('slack', new URL('https://slack.com/api/x'), { method: 'POST', body: new FormData(), signal })
  void response
}

export function errors(error: unknown): string {
  if (!(error instanceof SmaltError)) throw error
  is<Equal<typeof error.code, ErrorCode>>()
  is<Equal<typeof error.retry, 'never' | 'later' | 'after_reauth'>>()
  if (error instanceof NotFoundError) {
    switch (error.code) {
      case 'linked_account_not_found':
        return 'account'
      // @ts-expect-error that code is of another kind
      case 'invalid_request':
        return 'never'
    }
  }
  return error.message
}

is<Equal<AnySmaltError['kind'], ErrorKind>>()
is<Equal<AnySmaltError['code'], ErrorCode>>()

/** One `switch` tells every kind apart, and a kind that is left out is seen. */
export function told(error: unknown): string {
  if (!isSmaltError(error)) throw error
  is<Equal<typeof error, AnySmaltError>>()
  // By its code just as well: one code is of one kind.
  if (error.code === 'refresh_failed') is<Equal<typeof error, ProviderError>>()
  if (error.code === 'reauth_required') is<Equal<typeof error.kind, 'reauth'>>()
  switch (error.kind) {
    case 'reauth':
      is<Equal<typeof error, ReauthError>>()
      return error.code === 'grant_suspended' ? 'later' : 'connect again'
    case 'not_found':
      is<Equal<typeof error, NotFoundError>>()
      // @ts-expect-error that code is of another kind
      return error.code === 'invalid_request' ? 'never' : 'gone'
    // @ts-expect-error there is no such kind
    case 'exploded':
      return 'never'
    case 'invalid':
    case 'unauthenticated':
    case 'forbidden':
    case 'conflict':
    case 'flow':
    case 'timeout':
    case 'provider':
    case 'configuration':
    case 'unavailable':
    case 'plugin':
    case 'unsupported':
    case 'cancelled':
      return `${error.retryAfter}`
    case 'internal':
      return error.requestId ?? ''
    default:
      is<Equal<typeof error, never>>()
      return error
  }
}

const acme: Connector = {
  slug: 'acme',
  async verify(context) {
    const me = (await context.request('GET', 'me')).json<{ id: string }>()
    return { id: me.id, label: 'x' }
  },
  options: (_, { field, search }) => [{ value: field, name: search }],
}
const project: Project = { version: 1, org: { id: 'acme', public_url: 'https://app.example' }, sandbox: { enabled: true } }

export async function open(): Promise<void> {
  await using opened = await Smalt.embedded({
    path: 'smalt.db',
    project,
    connectors: [acme],
    keys: { keyId: () => 'k', wrap: (key) => key, unwrap: (_, key) => key },
    presenter: { present: ({ authorizeUrl }) => (console.log(authorizeUrl), null) },
    runner: { run: ({ payload }) => payload },
    clock: fixedClock(new Date()),
    timings: { plugin: 5000, ahead: null },
    environment: 'test',
  })
  // @ts-expect-error there are two environments
  await Smalt.sandbox({ environment: 'staging' })
  // @ts-expect-error the presenters of the box are few
  await Smalt.sandbox({ presenter: 'carrier pigeon' })
  opened.nodeHandler({ prefix: '/smalt' })
  const sandbox = await Sandbox.start()
  sandbox.stop()
}
