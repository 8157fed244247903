import { discreet } from './discreet.js'
import type { ParkedCallback } from './generated/types.js'
import type { Secret } from './secret.js'

/** A callback whose code waits to be claimed. Where the browser is sent holds the claim: it is there to be read, and in no print and no JSON. @internal */
export class Parked implements ParkedCallback {
  readonly flowId: string
  readonly accountId: string
  readonly handedOff: boolean
  readonly claim: Secret | null
  readonly error: string | null
  /** A property of its own, as those of other answers are, which is not listed with them: the claim is a secret. */
  declare readonly returnTo: string | null

  constructor(answer: ParkedCallback) {
    this.flowId = answer.flowId
    this.accountId = answer.accountId
    this.handedOff = answer.handedOff
    this.claim = answer.claim ?? null
    this.error = answer.error ?? null
    const returnTo = answer.returnTo ?? null
    // A getter: not even what describes the property shows it.
    Object.defineProperty(this, 'returnTo', { get: () => returnTo })
    discreet('ParkedCallback', this)
  }
}
