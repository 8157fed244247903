// What users' tests need: a clock that they move, and the sandbox provider.
import { addon, type FixedClock as NativeClock, type NativeSandbox } from './native.js'
import { room, wait } from './room.js'

/** A clock that moves only when told to: `Smalt.sandbox({ clock })`. */
export type FixedClock = NativeClock

/** A clock that stands at this time. */
export function fixedClock(at: Date | number): FixedClock {
  const millis = Number(at)
  if (!Number.isFinite(millis)) throw new TypeError('a time is expected')
  return new addon.FixedClock(millis)
}

/** A running sandbox: a small OAuth 2.0 provider and an API that takes keys, on a loopback port. See docs/sandbox.md. */
export class Sandbox {
  readonly #native: NativeSandbox
  /** Its origin, e.g. `http://127.0.0.1:40123`; also its issuer. */
  readonly origin: string

  private constructor(native: NativeSandbox) {
    this.#native = native
    this.origin = native.origin() ?? ''
  }

  /** Starts one on a free port. Name it in a project as `sandbox.url`. */
  static async start(): Promise<Sandbox> {
    return new Sandbox(
      await wait<NativeSandbox>({}, (id) => {
        room.sandbox(id)
        return undefined
      }),
    )
  }

  /** Tells it how to behave, e.g. `{ do: 'set', ways: { expires_in: 1 } }`. */
  async control(order: object): Promise<void> {
    const answer = await fetch(new URL('/control', this.origin), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(order),
    })
    if (!answer.ok) throw new Error(`the sandbox refuses the order: ${await answer.text()}`)
  }

  /** What it counted. */
  async stats(): Promise<Record<string, unknown>> {
    const answer = await fetch(new URL('/stats', this.origin))
    return ((await answer.json()) as { stats: Record<string, unknown> }).stats
  }

  /** Ends it. */
  stop(): void {
    this.#native.stop()
  }

  [Symbol.dispose](): void {
    this.stop()
  }
}

/** Plays the user at a sandbox's authorize page; answers the callback URL, which is not requested. */
export function visit(authorizeUrl: string): Promise<string> {
  return wait<string>({}, (id) => {
    room.visit(id, authorizeUrl)
    return undefined
  })
}
