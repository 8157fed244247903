// Where calls wait for their ends, and plugins are called. One per JavaScript environment.
import { AsyncLocalStorage } from 'node:async_hooks'
import { SmaltError, type ErrorRecord } from './error.js'
import { classOf } from './generated/kinds.js'
import { addon, type Room } from './native.js'
import { Secret } from './secret.js'

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly keepAlive: boolean
}

/** How a call of core failed; made an error where its caller's stack is known. */
class Failed {
  constructor(readonly record: ErrorRecord) {}
}

/** A call into a plugin. @internal */
export interface HostCall {
  readonly number: number
  readonly plugin: string
  readonly what: string
  readonly arguments: Readonly<Record<string, unknown>>
  readonly accountId?: string
  readonly application?: string
  readonly credential?: unknown
}

/** What runs calls into plugins. @internal */
export interface HostRunner {
  call(engine: number, call: HostCall): void
  cancel(number: number): void
}

const pending = new Map<number, Pending>()
let last = 0
let alive = 0
let host: HostRunner | undefined

/** Keeps the process going while a call is pending; nothing else does. */
const heart = setInterval(() => {}, 2 ** 31 - 1)
heart.unref()

/** The number of the plugin's call that this code runs in. @internal */
export const inside = new AsyncLocalStorage<number>()

/** @internal */
export const room: Room = new addon.Room(wake, Secret)

/** @internal */
export function setHost(runner: HostRunner): void {
  host = runner
}

function settle(id: number): Pending | undefined {
  const found = pending.get(id)
  if (found === undefined) return undefined
  pending.delete(id)
  if (found.keepAlive && --alive === 0) heart.unref()
  return found
}

/** What has ended. Should the addon fail there, nobody waits for ever. */
function taken(): unknown[] {
  try {
    return room.take()
  } catch {
    try {
      return room.take()
    } catch (error) {
      const reason = `the addon failed: ${error instanceof Error ? error.message : String(error)}`
      const record = { code: 'internal', kind: 'internal', reason, retry: 'never', context: {} }
      return [...pending.keys()].flatMap((id) => [id, 1, record])
    }
  }
}

function wake(): void {
  const list = taken()
  for (let at = 0; at < list.length; at += 3) {
    const value = list[at + 2]
    switch (list[at + 1]) {
      case 0:
        settle(list[at] as number)?.resolve(value)
        break
      case 1:
        settle(list[at] as number)?.resolve(new Failed(value as ErrorRecord))
        break
      case 2:
        host?.call(list[at] as number, value as HostCall)
        break
      default:
        host?.cancel(value as number)
    }
  }
}

/** Errors that plugins threw, by the stack that went through core, so that they come back as the cause. */
const thrown = new Map<string, unknown>()

/** @internal */
export function remember(trace: string, error: unknown): void {
  thrown.delete(trace)
  thrown.set(trace, error)
  if (thrown.size > 64) thrown.delete(thrown.keys().next().value as string)
}

/** @internal */
export function toError(record: ErrorRecord): SmaltError {
  let cause: unknown
  if (record.trace) {
    cause = thrown.get(record.trace)
    if (cause === undefined) {
      const [first] = record.trace.split('\n')
      const made = new Error(first)
      made.stack = record.trace
      cause = made
    }
  }
  return new (classOf(record.kind))(record, cause)
}

/** A number that no other call and no engine has. @internal */
export function number(): number {
  return (last = (last + 1) >>> 0)
}

/** How a call waits. @internal */
export interface Waiting {
  /** Ends the wait when it is aborted, with its reason. */
  readonly signal?: AbortSignal | undefined
  /** Whether the process goes on while it waits; true unless told otherwise. */
  readonly keepAlive?: boolean
}

/**
 * Begins a call and waits for its end. It is the awaiting of this function that gives errors their caller's stack: V8 follows the
 * promises that wait, and calls that succeed pay nothing for it.
 *
 * @internal
 */
export async function wait<T>(waiting: Waiting, begin: (id: number) => ErrorRecord | 'ended' | undefined): Promise<T> {
  const { signal } = waiting
  // Already aborted: nothing is sent.
  signal?.throwIfAborted()
  const id = number()
  const refused = begin(id)
  if (typeof refused === 'object') throw toError(refused)
  // An end that is on its way is waited for in any case.
  const keepAlive = refused === 'ended' || (waiting.keepAlive ?? true)
  if (keepAlive && ++alive === 1) heart.ref()
  let abort: (() => void) | undefined
  try {
    const ended = await new Promise<unknown>((resolve, reject) => {
      pending.set(id, { resolve, keepAlive })
      if (signal === undefined) return
      abort = () => {
        settle(id)
        room.cancel(id)
        reject(signal.reason)
      }
      signal.addEventListener('abort', abort, { once: true })
    })
    if (ended instanceof Failed) throw toError(ended.record)
    return ended as T
  } finally {
    if (abort !== undefined) signal?.removeEventListener('abort', abort)
  }
}
