// Credentials from memory, as they were answered before. Core decides whether one still counts, and nothing else is asked of it.
import type { Credential } from './generated/types.js'
import type { NativeReady } from './native.js'

/** What was answered, and what tells whether it still counts. */
interface Kept {
  readonly answer: Promise<Credential>
  readonly ready: NativeReady
}

/** How many are kept for an engine; then all of them are made anew. */
const MOST = 4096
const FEW = 64

function key(application: string, connection: string | undefined): string {
  return connection === undefined ? application : `${application}\0${connection}`
}

/** The credentials of one engine that were in memory. @internal */
export class ReadyCredentials {
  private readonly accounts = new Map<string, Map<string, Kept>>()
  private size = 0
  /** How many there are when it is looked through again. */
  private full = FEW

  /** What was answered, while it is the one to use. */
  get(account: string, application: string, connection: string | undefined): Promise<Credential> | undefined {
    const kept = this.accounts.get(account)?.get(key(application, connection))
    return kept?.ready.counts() ? kept.answer : undefined
  }

  /** Keeps one. */
  keep(account: string, application: string, connection: string | undefined, kept: Kept): Promise<Credential> {
    if (this.size >= this.full) this.sweep()
    let credentials = this.accounts.get(account)
    if (credentials === undefined) this.accounts.set(account, (credentials = new Map()))
    const before = credentials.size
    credentials.set(key(application, connection), kept)
    this.size += credentials.size - before
    return kept.answer
  }

  /** Drops what core has let go of: its secrets go with the last reference. Done when there is twice as much as the last time. */
  private sweep(): void {
    this.size = 0
    for (const [id, credentials] of this.accounts) {
      for (const [name, { ready }] of credentials) if (ready.gone()) credentials.delete(name)
      if (credentials.size === 0) this.accounts.delete(id)
      this.size += credentials.size
    }
    if (this.size >= MOST) {
      this.accounts.clear()
      this.size = 0
    }
    this.full = Math.min(MOST, Math.max(FEW, this.size * 2))
  }
}
