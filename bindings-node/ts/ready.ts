// Credentials from memory, as they were answered before. Core decides whether one still counts, and nothing else is asked of it.
import type { Credential } from './generated/types.js'
import { addon } from './native.js'

/** What was answered, and the number by which core tells whether it still counts. */
interface Kept {
  readonly answer: Promise<Credential>
  readonly number: number
}

/** How many are kept for an engine at most. Where more than half as many are in use, all of them are made anew then. */
const MOST = 4096
const FEW = 64

/** Those of one engine: by the name for the audit, by account, and by application and connection. */
class Everybodys {
  readonly actors = new Map<string | undefined, Map<string, Map<string, Kept>>>()
  size = 0
  /** How many there are when it is looked through again. */
  full = FEW
}

function key(application: string, connection: string | undefined): string {
  return connection === undefined && !application.includes('\0') ? application : `${application}\0${connection ?? ''}`
}

/** The credentials of one engine that were in memory, for one of those who ask it. @internal */
export class ReadyCredentials {
  private constructor(
    private readonly actor: string | undefined,
    private readonly all: Everybodys,
  ) {}

  /** For the one who opened the engine. */
  static ofEngine(): ReadyCredentials {
    return new ReadyCredentials(undefined, new Everybodys())
  }

  /** For another name in the audit. */
  actingAs(actor: string): ReadyCredentials {
    return new ReadyCredentials(actor, this.all)
  }

  /** How many are kept, whoever asked for them. */
  get size(): number {
    return this.all.size
  }

  /** What was answered, while it is the one to use. */
  get(account: string, application: string, connection: string | undefined): Promise<Credential> | undefined {
    const kept = this.all.actors.get(this.actor)?.get(account)?.get(key(application, connection))
    return kept !== undefined && addon.readyCounts(kept.number) ? kept.answer : undefined
  }

  /** Keeps one. */
  keep(account: string, application: string, connection: string | undefined, kept: Kept): Promise<Credential> {
    const { all } = this
    if (all.size >= all.full) this.sweep()
    let accounts = all.actors.get(this.actor)
    if (accounts === undefined) all.actors.set(this.actor, (accounts = new Map()))
    let credentials = accounts.get(account)
    if (credentials === undefined) accounts.set(account, (credentials = new Map()))
    const name = key(application, connection)
    const before = credentials.get(name)
    if (before === undefined) all.size += 1
    else addon.readyDrop(before.number)
    credentials.set(name, kept)
    return kept.answer
  }

  /** Forgets everybody's. */
  clear(): void {
    this.drop(() => true)
    this.all.full = FEW
  }

  /**
   * Drops what core has let go of: its secrets go with the last reference. Done when there is twice as much as the last time; where that is
   * not to be, all is dropped, as core's bridge does.
   */
  private sweep(): void {
    this.drop(addon.readyIsGone)
    if (this.size > MOST / 2) this.drop(() => true)
    this.all.full = Math.min(MOST, Math.max(FEW, this.size * 2))
  }

  /** Drops those of which this is true. */
  private drop(which: (number: number) => boolean): void {
    const { actors } = this.all
    for (const [actor, accounts] of actors) {
      for (const [id, credentials] of accounts) {
        for (const [name, { number }] of credentials) {
          if (!which(number)) continue
          addon.readyDrop(number)
          credentials.delete(name)
          this.all.size -= 1
        }
        if (credentials.size === 0) accounts.delete(id)
      }
      if (accounts.size === 0) actors.delete(actor)
    }
  }
}
