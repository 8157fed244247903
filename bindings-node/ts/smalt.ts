import { Account } from './account.js'
import type { ErrorRecord } from './error.js'
import { follow, type EventsOptions, type EventsPageOptions } from './events.js'
import { SmaltMethods, type ListAccountsOptions, type AuditOptions } from './generated/methods.js'
import type { AuditEntry, Capabilities, EmbeddedOptions, Environment, Event, LinkedAccount, Page } from './generated/types.js'
import { asOptions, call, NATIVE, type CallOptions } from './handle.js'
import { answerFetch, nodeHandler, type HandlerOptions, type NodeHandler } from './http.js'
import type { FixedClock, NativeApi, NativeEngine } from './native.js'
import { describe, forget, register, type Connector, type KeyProvider, type Presenter, type WorkflowRunner } from './plugins.js'
import { ReadyCredentials } from './ready.js'
import { number, room, toError, wait } from './room.js'
import { Secret } from './secret.js'
import { Session } from './session.js'
import { seconds } from './values.js'

/** The presenters that are in the box. */
export type BoxedPresenter = NonNullable<EmbeddedOptions['presenter']>

/** What an embedded engine is opened with. What is left out keeps its default. */
export interface SmaltOptions extends Omit<EmbeddedOptions, 'presenter'>, CallOptions {
  /** Opens authorize pages: one of the box (`browser`, `print`), or your own. Default none. */
  readonly presenter?: BoxedPresenter | Presenter | undefined
  /** Behaviour of applications as code. */
  readonly connectors?: readonly Connector[] | undefined
  /** Master keys of a key management service, in the place of `key` and `keyFile`. */
  readonly keys?: KeyProvider | undefined
  /** Runs workflows for `runWorkflow`. */
  readonly runner?: WorkflowRunner | undefined
  /** A clock that stands still, for tests; see `smalt/testing`. */
  readonly clock?: FixedClock | undefined
}

/** What a handle on a server is made with. What is left out keeps its default. */
export interface RemoteOptions {
  /** The server's address; it may end in a path. */
  readonly url: string
  /** The organisation's API key, which also says which environment is meant. Absent: the variable `SMALT_API_KEY`. */
  readonly apiKey?: Secret | string | undefined
  /** How long a call may take in all, tries and waits included, in milliseconds. Default 60,000. */
  readonly timeout?: number | undefined
  /** How long one try may take, in milliseconds. Default 30,000. */
  readonly attemptTimeout?: number | undefined
  /** How long connecting may take, within a try's time, in milliseconds. Default 5,000. */
  readonly connectTimeout?: number | undefined
  /** How often a call is sent again, for each sort of trouble; 0: never. Default 2. */
  readonly retries?: number | undefined
  /** The largest answer, in bytes. Default 16 MiB. */
  readonly maxAnswer?: number | undefined
  /** Allows plain http to an address that is not this machine. Default false. */
  readonly plainHttp?: boolean | undefined
  /** A certificate authority to trust beside the platform's: PEM. */
  readonly certificateAuthority?: string | undefined
  /** Whether the proxies of the environment are used. Default true. */
  readonly proxy?: boolean | undefined
  /** Who asks, for the server's audit. */
  readonly actor?: string | undefined
  /** Opens authorize pages: one of the box (`browser`, `print`), or your own. Default none. */
  readonly presenter?: BoxedPresenter | Presenter | undefined
}

function isPresenter(presenter: SmaltOptions['presenter']): presenter is Presenter {
  return typeof presenter === 'object' && presenter !== null && 'present' in presenter
}

/** Every page of a list. */
async function* everything<T, O extends { readonly cursor?: string | null | undefined }>(
  page: (options: O) => Promise<Page<T>>,
  options: O,
): AsyncGenerator<T, void, void> {
  let { cursor } = asOptions(options)
  do {
    const { items, next }: Page<T> = await page({ ...options, cursor })
    yield* items
    cursor = next ?? undefined
  } while (cursor !== undefined)
}

/**
 * One organisation in one environment. Open one per process and share it; {@link Smalt.close} it at the end.
 *
 * @example
 * ```ts
 * await using smalt = await Smalt.embedded({ path: 'smalt.db', project: 'smalt.toml' })
 * const { authorizeUrl, cookie } = await smalt.account('customer-42').startConnect('slack', { returnTo })
 * ```
 */
export class Smalt extends SmaltMethods {
  readonly #engine: number
  readonly #environment: Environment | undefined
  /** The engine's, whichever of its handles this is: one that asks for a session reads none, and closes all of them. */
  readonly #kept: ReadyCredentials | undefined
  readonly #apis = new Map<string | undefined, NativeApi>()
  #closed: Promise<void> | undefined

  private constructor(native: NativeEngine, engine: number, environment: Environment | undefined, kept: ReadyCredentials | undefined) {
    super(native)
    this.#engine = engine
    this.#environment = environment
    this.#kept = kept
  }

  /**
   * Opens the engine in this process, over one encrypted file. Several processes of one machine may open the same file; several
   * machines, and serverless functions, use `smalt serve`.
   */
  static async embedded(options: SmaltOptions = {}): Promise<Smalt> {
    const { signal, presenter, connectors = [], keys, runner, clock, ...values } = asOptions(options)
    const own = isPresenter(presenter) ? presenter : undefined
    const plugins = { connectors, presenter: own, keys, runner }
    const described = describe(plugins)
    let engine = 0
    try {
      const native = await wait<NativeEngine>({ signal }, (id) => {
        engine = id
        register(id, plugins)
        return room.embedded(id, { ...values, presenter: own === undefined ? presenter : undefined }, described, clock)
      })
      native.ready = ReadyCredentials.ofEngine()
      return new Smalt(native, engine, options.environment ?? undefined, native.ready)
    } catch (error) {
      if (engine !== 0) forget(engine)
      throw error
    }
  }

  /**
   * An engine for tests, offline: in memory, with a key that nobody keeps, the sandbox applications and a user, `ada`, who consents.
   * Every option may be given all the same; a project file enables the sandbox itself, with `[sandbox] enabled = true`.
   */
  static sandbox(options: SmaltOptions = {}): Promise<Smalt> {
    const key = asOptions(options).key ?? options.keyFile ?? options.keys
    const given = { sandbox: typeof options.project !== 'string', presenter: { consents: 'ada' } as const, throwawayKey: key === undefined }
    return Smalt.embedded({ ...given, ...options })
  }

  /** The operations of a Smalt server over HTTP. No I/O: whether it is there shows at the first call. */
  static remote(options: RemoteOptions): Smalt {
    const { presenter, timeout, attemptTimeout, connectTimeout, ...values } = asOptions(options)
    const own = isPresenter(presenter) ? presenter : undefined
    const plugins = { connectors: [], presenter: own, keys: undefined, runner: undefined }
    const times = { timeout: seconds(timeout), attemptTimeout: seconds(attemptTimeout), connectTimeout: seconds(connectTimeout) }
    const engine = number()
    const given = { ...values, ...times, presenter: own === undefined ? presenter : undefined }
    const made = room.remote(engine, given, describe(plugins))
    if (Array.isArray(made)) throw toError(made[0] as ErrorRecord)
    register(engine, plugins)
    return new Smalt(made as NativeEngine, engine, undefined, undefined)
  }

  /** A new master key's text. Keep it where the store is not. */
  static makeKey(): Secret {
    const made = room.makeKey()
    if (made instanceof Secret) return made
    throw toError(made as ErrorRecord)
  }

  /** A linked account by the organisation's own id. No I/O; one that does not exist is an error of the first call. */
  account(id: string): Account {
    return new Account(this[NATIVE], id)
  }

  /** What the holder of a session token can do: the token is verified first. */
  async session(token: Secret | string, options: CallOptions = {}): Promise<Session> {
    return new Session(this[NATIVE], await this.verifySession(token, options))
  }

  /**
   * The same engine on the authority of a session token, without asking first: each call is refused as `invalid_token` or `forbidden` where
   * the token is not enough. For servers that take tokens from browsers. Close the one that was opened.
   */
  withToken(token: Secret | string): Smalt {
    return new Smalt(this[NATIVE].session(token), this.#engine, this.#environment, this.#kept)
  }

  /** The same engine, with a name for the audit: who asks, e.g. `worker-3`. Close the one that was opened. */
  actingAs(actor: string): Smalt {
    const native = this[NATIVE].actingAs(actor)
    native.ready = this[NATIVE].ready?.actingAs(actor)
    return new Smalt(native, this.#engine, this.#environment, this.#kept)
  }

  /** What the backend can do. */
  get capabilities(): Capabilities {
    return this[NATIVE].capabilities(room) as Capabilities
  }

  /** Every linked account, newest first, page after page. */
  accounts(options: ListAccountsOptions = {}): AsyncGenerator<LinkedAccount, void, void> {
    return everything((page: ListAccountsOptions) => this.listAccounts(page), options)
  }

  /** Every entry of who did what with secrets, newest first, page after page. */
  auditEntries(options: AuditOptions = {}): AsyncGenerator<AuditEntry, void, void> {
    return everything((page: AuditOptions) => this.audit(page), options)
  }

  /**
   * What happens, as it happens: at least once each, oldest first, from `since` on. It ends with `break`, or with the signal's reason
   * when that is aborted; what is in the log is read in any case, and waiting for the next event does not keep the process alive.
   */
  events(options: EventsOptions = {}): AsyncGenerator<Event, void, void> {
    return follow(this, options)
  }

  /** One page of the durable log of what happened, oldest first. */
  eventsPage(options: EventsPageOptions = {}): Promise<Page<Event>> {
    return call(this, 'events', {}, options)
  }

  /**
   * The whole HTTP API in this process, for `http.createServer(handler)`, `app.use('/smalt', handler)` in Express, or behind
   * `reply.hijack()` in Fastify. Make it once.
   */
  nodeHandler(options: HandlerOptions = {}): NodeHandler {
    return nodeHandler(this.#api(options), options)
  }

  /** Answers one request of the HTTP API: for Next.js, Hono, and whatever else speaks `Request` and `Response`. */
  async fetch(request: Request, options: HandlerOptions = {}): Promise<Response> {
    return await answerFetch(this.#api(options), options, request)
  }

  /** One API for each address: it counts requests. */
  #api(options: HandlerOptions): NativeApi {
    const { publicUrl } = options
    let api = this.#apis.get(publicUrl)
    if (api === undefined) {
      api = this[NATIVE].http({ environment: this.#environment, publicUrl })
      this.#apis.set(publicUrl, api)
    }
    return api
  }

  /** Writes what is outstanding and releases the store; later calls fail as `closed`. Again is nothing. */
  close(): Promise<void> {
    this.#closed ??= this.#end()
    return this.#closed
  }

  async #end(): Promise<void> {
    const native = this[NATIVE]
    try {
      await wait<void>({}, (id) => {
        native.close(id)
        return undefined
      })
    } finally {
      forget(this.#engine)
      // Not before: until it is closed, core answers, and what it answers is kept.
      this.#kept?.clear()
      room.forgetCredentials()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
