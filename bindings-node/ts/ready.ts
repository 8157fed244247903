// Credentials from memory, as they were answered before. Core decides whether one still counts, and nothing else is asked of it.
import type { Credential } from './generated/types.js'
import type { NativeReady } from './native.js'

/** How many are kept for an engine. */
const MOST = 4096

type Kept = readonly [Credential, NativeReady]

function key(application: string, connection: string | undefined): string {
  return connection === undefined ? application : `${application}\0${connection}`
}

/** The credentials of one engine that were in memory. @internal */
export class ReadyCredentials {
  private readonly accounts = new Map<string, Map<string, Kept>>()

  /** The credential, while it is the one to use. */
  get(account: string, application: string, connection: string | undefined): Credential | undefined {
    const kept = this.accounts.get(account)?.get(key(application, connection))
    return kept?.[1].counts() ? kept[0] : undefined
  }

  /** Keeps one, and drops what core has let go of: its secrets go with the last reference. */
  keep(account: string, application: string, connection: string | undefined, kept: Kept): void {
    let size = 0
    for (const [id, credentials] of this.accounts) {
      for (const [name, [, ready]] of credentials) if (ready.gone()) credentials.delete(name)
      if (credentials.size === 0) this.accounts.delete(id)
      size += credentials.size
    }
    if (size >= MOST) return
    let credentials = this.accounts.get(account)
    if (credentials === undefined) this.accounts.set(account, (credentials = new Map()))
    credentials.set(key(application, connection), kept)
  }
}
