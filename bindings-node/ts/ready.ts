// Credentials from memory, as they were answered before. Core decides whether one still counts, and nothing else is asked of it.
import type { Credential } from './generated/types.js'
import type { NativeReady } from './native.js'

/** How many are kept for an engine. */
const MOST = 4096

/** What was answered, and what tells whether it still counts. */
interface Kept {
  readonly answer: Promise<Credential>
  readonly ready: NativeReady
}

function key(application: string, connection: string | undefined): string {
  return connection === undefined ? application : `${application}\0${connection}`
}

/** The credentials of one engine that were in memory. @internal */
export class ReadyCredentials {
  private readonly accounts = new Map<string, Map<string, Kept>>()

  /** What was answered, while it is the one to use. */
  get(account: string, application: string, connection: string | undefined): Promise<Credential> | undefined {
    const kept = this.accounts.get(account)?.get(key(application, connection))
    return kept?.ready.counts() ? kept.answer : undefined
  }

  /** Keeps one, and drops what core has let go of: its secrets go with the last reference. */
  keep(account: string, application: string, connection: string | undefined, kept: Kept): Promise<Credential> {
    let size = 0
    for (const [id, credentials] of this.accounts) {
      for (const [name, { ready }] of credentials) if (ready.gone()) credentials.delete(name)
      if (credentials.size === 0) this.accounts.delete(id)
      size += credentials.size
    }
    if (size >= MOST) return kept.answer
    let credentials = this.accounts.get(account)
    if (credentials === undefined) this.accounts.set(account, (credentials = new Map()))
    credentials.set(key(application, connection), kept)
    return kept.answer
  }
}
