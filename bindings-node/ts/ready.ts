// Credentials from memory, as they were answered before. Core decides whether one still counts, and nothing else is asked of it.
import type { Credential } from './generated/types.js'
import { addon } from './native.js'

/** What was answered, and the number by which core tells whether it still counts. */
interface Kept {
  readonly answer: Promise<Credential>
  readonly number: number
}

/** How many are kept for an engine; then all of them are made anew. */
const MOST = 4096
const FEW = 64

function key(application: string, connection: string | undefined): string {
  return connection === undefined && !application.includes('\0') ? application : `${application}\0${connection ?? ''}`
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
    return kept !== undefined && addon.readyCounts(kept.number) ? kept.answer : undefined
  }

  /** Keeps one. */
  keep(account: string, application: string, connection: string | undefined, kept: Kept): Promise<Credential> {
    if (this.size >= this.full) this.sweep()
    let credentials = this.accounts.get(account)
    if (credentials === undefined) this.accounts.set(account, (credentials = new Map()))
    const name = key(application, connection)
    const before = credentials.get(name)
    if (before === undefined) this.size += 1
    else addon.readyDrop(before.number)
    credentials.set(name, kept)
    return kept.answer
  }

  /** Drops what core has let go of: its secrets go with the last reference. Done when there is twice as much as the last time. */
  private sweep(): void {
    if (!this.drop(addon.readyIsGone)) this.drop(() => true)
    this.full = Math.min(MOST, Math.max(FEW, this.size * 2))
  }

  /** Drops those of which this is true; answers whether there is room now. */
  private drop(which: (number: number) => boolean): boolean {
    for (const [id, credentials] of this.accounts) {
      for (const [name, { number }] of credentials) {
        if (!which(number)) continue
        addon.readyDrop(number)
        credentials.delete(name)
        this.size -= 1
      }
      if (credentials.size === 0) this.accounts.delete(id)
    }
    return this.size < MOST
  }
}
