// What hosts register: behaviour of applications, presenters, keys, runners.
import { ApiResponse, toRequest, type RequestOptions } from './api.js'
import { discreet } from './discreet.js'
import { SmaltError } from './error.js'
import type { AppManifest } from './generated/documents.js'
import type { ApiAnswer, Credential, FieldOption, Identity, RuleColumns } from './generated/types.js'
import { inside, remember, room, setHost, wait, type HostCall } from './room.js'
import type { Json } from './values.js'

type Awaitable<T> = T | PromiseLike<T>

/** Thrown by a connector's `verify`: the application refuses the credentials. It is the user's fault, not the plugin's. */
export class Rejected extends Error {
  override readonly name = 'Rejected'
}

/** What a connector is called with, beside its arguments. It is good until the call has ended. */
export interface ConnectorContext {
  /** The linked account. */
  readonly accountId: string
  /** The application's slug. */
  readonly application: string
  /** The credential; absent while the application is not connected. */
  readonly credential: Credential | null
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  /** An authenticated call to the application. */
  request(method: string, path: string, options?: RequestOptions): Promise<ApiResponse>
}

/** Which choices are wanted. */
export interface OptionsRequest {
  /** The field's id. */
  readonly field: string
  /** What the project's field names as `options_from`, or the field's id. */
  readonly source: string
  /** The workflow that the field belongs to. */
  readonly workflow: string | null
  /** The value of the field that this one depends on. */
  readonly parentValue: Json
  /** What the user typed. */
  readonly search: string | null
}

/** Which columns are wanted. */
export interface RuleRequest {
  /** The field's id. */
  readonly field: string
  /** The workflow that the field belongs to. */
  readonly workflow: string | null
  /** The left side that was chosen. */
  readonly lhs: Json
}

/** Which grant ends. */
export interface RevokeRequest {
  /** The connection. */
  readonly connectionId: string
  /** Which attempt this is, from 1. */
  readonly attempt: number
}

/**
 * An application's behaviour as code. Methods that are missing are the manifest's matter, and so is what answers `null`. Every method has
 * a deadline; a method that throws anything but {@link Rejected} ends its call as `plugin_failed`, with the error as the cause.
 */
export interface Connector {
  /** The application's slug; that of the manifest where there is one. */
  readonly slug?: string
  /** The application as data, where it is not known already. */
  readonly manifest?: AppManifest
  /** Who the context's credential belongs to. */
  verify?(context: ConnectorContext): Awaitable<Identity | null | undefined>
  /** The choices of a field. */
  options?(context: ConnectorContext, request: OptionsRequest): Awaitable<readonly (Partial<FieldOption> & { readonly value: unknown })[] | null | undefined>
  /** The columns of a rule. */
  ruleColumns?(context: ConnectorContext, request: RuleRequest): Awaitable<RuleColumns | null | undefined>
  /** Ends a grant at the provider; true means that it is dead now. */
  revoke?(context: ConnectorContext, request: RevokeRequest): Awaitable<boolean | null | undefined>
}

/** What a presenter shows. */
export interface PresentRequest {
  /** The page to open. */
  readonly authorizeUrl: string
  /** Where the provider sends the user back. */
  readonly redirectUri: string
  /** The application's name, for people. */
  readonly application: string
  /** The device flow: what the user enters, and where. */
  readonly device: { readonly userCode: string; readonly verificationUri: string; readonly verificationUriComplete: string | null } | null
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/** Opens authorize pages. */
export interface Presenter {
  /** For errors; default `node`. */
  readonly name?: string
  /** Where it catches the callback itself. */
  readonly redirectUri?: string
  /**
   * Shows the page; answers the callback URL, or nothing when it is caught elsewhere. It throws `FlowError.userCancelled()` for a user who
   * closes it, and `FlowError.windowBlocked()` for a window that something blocks. It may answer as soon as the page is open, or keep it open:
   * when the flow, the caller's time or the call has ended, its `signal` is aborted, and what it shows is to go.
   */
  present(request: PresentRequest): Awaitable<string | null | undefined>
}

/** Master keys, e.g. of a key management service. Asked at open and rotation only. */
export interface KeyProvider {
  /** The id of the master key that wraps. */
  keyId(): Awaitable<string>
  /** Seals a data key; `aad` is bound to it. */
  wrap(dataKey: Buffer, aad: Buffer): Awaitable<Uint8Array>
  /** Opens a data key that the key of this id sealed. */
  unwrap(keyId: string, wrapped: Buffer, aad: Buffer): Awaitable<Uint8Array>
}

/** A workflow that is to run. */
export interface WorkflowRun {
  readonly accountId: string
  readonly application: string
  readonly configId: string
  readonly workflow: string
  /** The values of the application's fields. */
  readonly fields: Readonly<Record<string, Json>>
  /** The values of the workflow's own fields. */
  readonly workflowFields: Readonly<Record<string, Json>>
  /** What the caller of `runWorkflow` gave. */
  readonly payload: Json
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/** Runs workflows; the answer is any JSON value. */
export interface WorkflowRunner {
  run(run: WorkflowRun): Awaitable<unknown>
}

/** What an engine is opened with, beside values. @internal */
export interface Plugins {
  readonly connectors: readonly Connector[]
  readonly presenter: Presenter | undefined
  readonly keys: KeyProvider | undefined
  readonly runner: WorkflowRunner | undefined
}

const METHODS = ['verify', 'options', 'ruleColumns', 'revoke'] as const
const WIRE: Readonly<Record<string, string>> = { ruleColumns: 'rule_columns' }

function slugOf(connector: Connector): string {
  const slug = connector.slug ?? connector.manifest?.slug
  if (typeof slug !== 'string') throw new TypeError('a connector has a `slug`, or a manifest with one')
  return slug
}

/** What the addon is told of the plugins. @internal */
export function describe({ connectors, presenter, keys, runner }: Plugins): object {
  return {
    connectors: connectors.map((connector) => ({
      slug: slugOf(connector),
      manifest: connector.manifest,
      methods: METHODS.filter((method) => typeof connector[method] === 'function').map((method) => WIRE[method] ?? method),
    })),
    presenter: presenter && { name: presenter.name ?? 'node', redirectUri: presenter.redirectUri },
    keys: keys !== undefined,
    runner: runner !== undefined,
  }
}

/** Plugins by the engine that they were registered with. */
const registered = new Map<number, Plugins>()
/** What ends calls that nobody waits for any more. */
const running = new Map<number, AbortController>()

/** @internal */
export function register(engine: number, plugins: Plugins): void {
  registered.set(engine, plugins)
}

/** @internal */
export function forget(engine: number): void {
  registered.delete(engine)
  room.forget(engine)
}

function context(call: HostCall, signal: AbortSignal): ConnectorContext {
  return {
    accountId: call.accountId as string,
    application: call.application as string,
    credential: (call.credential ?? null) as Credential | null,
    signal,
    async request(method, path, options = {}) {
      const request = { ...toRequest(options), account: '', application: '', method, path, signal: undefined }
      const either = options.signal === undefined ? signal : AbortSignal.any([signal, options.signal])
      return new ApiResponse(await wait<ApiAnswer>({ signal: either }, (id) => room.contextRequest(id, call.number, request)))
    },
  }
}

/** Calls the method that is asked for, with its arguments. */
function ask({ connectors, presenter, keys, runner }: Plugins, call: HostCall, signal: AbortSignal): unknown {
  const given = call.arguments as never
  switch (call.what) {
    case 'present':
      return presenter?.present(discreet('PresentRequest', { ...(given as PresentRequest), signal }))
    case 'key_id':
      return keys?.keyId()
    case 'wrap':
      return keys?.wrap((given as { dataKey: Buffer }).dataKey, (given as { aad: Buffer }).aad)
    case 'unwrap': {
      const { keyId, wrapped, aad } = given as { keyId: string; wrapped: Buffer; aad: Buffer }
      return keys?.unwrap(keyId, wrapped, aad)
    }
    case 'run':
      return runner?.run(discreet('WorkflowRun', { ...(given as WorkflowRun), signal }))
    default: {
      const connector = connectors.find((connector) => slugOf(connector) === call.plugin)
      const at = context(call, signal)
      switch (call.what) {
        case 'verify':
          return connector?.verify?.(at)
        case 'options':
          return connector?.options?.(at, discreet('OptionsRequest', given as OptionsRequest))
        case 'rule_columns':
          return connector?.ruleColumns?.(at, discreet('RuleRequest', given as RuleRequest))
        case 'revoke':
          return connector?.revoke?.(at, given)
      }
      return undefined
    }
  }
}

function failed(number: number, error: unknown): void {
  if (error instanceof Rejected) return room.reject(number, error.message)
  if (error instanceof SmaltError) return room.passOn(number, { code: error.code, reason: error.message, context: error.context })
  // What is no error comes closest to a panic.
  if (!(error instanceof Error)) return room.panicked(number, `it threw ${typeof error === 'string' ? error : typeof error}, which is no error`)
  const trace = error.stack
  if (trace !== undefined) remember(trace, error)
  room.fail(number, error.message, trace)
}

setHost({
  call(engine, call) {
    const plugins = registered.get(engine)
    if (plugins === undefined) return room.fail(call.number, 'the engine of this plugin is closed', undefined)
    const ended = new AbortController()
    running.set(call.number, ended)
    // Calls that the plugin makes are known as its own; one that would wait for itself is refused.
    inside.run(call.number, async () => {
      try {
        const answer = await ask(plugins, call, ended.signal)
        room.answer(call.number, answer ?? null)
      } catch (error) {
        try {
          failed(call.number, error)
        } catch {
          // Even its message cannot be read.
          room.panicked(call.number, 'it threw what is no error')
        }
      } finally {
        running.delete(call.number)
      }
    })
  },
  cancel(number) {
    const ended = running.get(number)
    running.delete(number)
    ended?.abort()
  },
})
