import type { SessionInfo } from './generated/types.js'
import { call, type CallOptions } from './handle.js'
import type { NativeEngine } from './native.js'
import type { Secret } from './secret.js'
import { Verbs } from './verbs.js'

/** The holder of a session token: one linked account, and fewer operations. */
export class Session extends Verbs {
  /** The session's id. */
  readonly id: string
  /** The linked account. */
  readonly accountId: string
  /** The token, for a browser or phone of this account's user. */
  readonly token: Secret
  /** When it ends. */
  readonly expiresAt: Date

  /** @internal */
  constructor(native: NativeEngine, info: SessionInfo) {
    super(native.session(info.token))
    this.id = info.id
    this.accountId = info.accountId
    this.token = info.token
    this.expiresAt = info.expiresAt
  }

  /** Ends the session at once; false when it had ended. */
  revoke(options: CallOptions = {}): Promise<boolean> {
    return call(this, 'revoke_session', { token: this.token }, options)
  }
}
