import { discreetly } from './discreet.js'
import { addon, type NativeEngine } from './native.js'
import { inside, wait } from './room.js'

/** What every call takes. */
export interface CallOptions {
  /**
   * Ends the wait with the signal's reason. A signal that is aborted already sends nothing; later, what has begun at a provider goes
   * on in the background and shows in flow, connection and events.
   */
  readonly signal?: AbortSignal | undefined
}

/** @internal */
export const NATIVE: unique symbol = Symbol('native')

/** What speaks for an engine. */
export abstract class Handle {
  /** @internal */
  declare readonly [NATIVE]: NativeEngine

  /** @internal */
  constructor(native: NativeEngine) {
    // Not enumerable: an inspected handle shows what it is about.
    Object.defineProperty(this, NATIVE, { value: native })
  }
}

/** Options are an object: a text, which JavaScript would take apart letter by letter, is a mistake. @internal */
export function asOptions<O extends object>(options: O): O {
  if (typeof options !== 'object' || options === null) throw new TypeError('options are an object')
  return options
}

/** Calls an operation that answers nothing. @internal */
export async function perform(handle: Handle, name: string, request: object, options: CallOptions = {}): Promise<void> {
  await call(handle, name, request, options)
}

/** Calls an operation. @internal */
export async function call<T>(handle: Handle, name: string, request: object, options: CallOptions = {}): Promise<T> {
  const bare = Object.keys(asOptions(options)).length === 0
  const whole = bare ? request : { ...options, ...request, signal: undefined, keepAlive: undefined }
  const answer = await wait<T>(options, (id) => {
    const native = handle[NATIVE]
    const begun = addon.call((native.known ??= native.number()), id, name, whole, inside.getStore() ?? 0)
    return begun ? undefined : 'ended'
  })
  return discreetly(name, answer)
}
