import type { Event, Page } from './generated/types.js'
import { call, type CallOptions, type Handle } from './handle.js'

/** Options of `events`. */
export interface EventsOptions extends CallOptions {
  /** Where to go on: an event's `cursor`. Absent: from the oldest that is kept. */
  readonly since?: string | undefined
  /** Keeps the process alive while it waits for the next event. Default false: a listener is no reason to go on. */
  readonly keepAlive?: boolean | undefined
}

/** Options of `eventsPage`. */
export interface EventsPageOptions extends CallOptions {
  /** Only events after this cursor; absent: from the oldest that is kept. */
  readonly since?: string | undefined
  /** How many; 1 to 1,000, default 100. */
  readonly limit?: number | undefined
  /** How long to wait when there is none yet, in milliseconds; default not at all. */
  readonly wait?: number | undefined
}

/** How long one reading waits where nothing was left to read. Whoever stops in the meantime ends it at once. */
const WAIT = 30_000

/** How many events one reading takes. One that took fewer took all that there were. */
const MOST = 100

/** Follows the log. @internal */
export async function* follow(handle: Handle, options: EventsOptions): AsyncGenerator<Event, void, void> {
  const { signal, keepAlive = false } = options
  let { since } = options
  // A reading that does not wait for an event is waited for in any case: its error is told also where nothing else goes on, and what is in
  // the log is read to its end. Once there was nothing more, the next one is a listener's.
  for (let wait = 0; ;) {
    const asked = { since, limit: MOST, wait }
    const page: Page<Event> = await call(handle, 'events', asked, { signal, keepAlive: keepAlive || wait === 0 } as CallOptions)
    for (const event of page.items) {
      yield event
      since = event.cursor
    }
    wait = page.items.length < MOST ? WAIT : 0
  }
}
