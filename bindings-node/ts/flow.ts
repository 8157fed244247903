import type { WaitFlowOptions } from './generated/methods.js'
import type { ConnectFlow } from './generated/types.js'
import { call, Handle, type CallOptions } from './handle.js'
import type { NativeEngine } from './native.js'

/** One attempt to connect. */
export class Flow extends Handle {
  /** The linked account that connects. */
  readonly accountId: string
  /** The flow's id. */
  readonly id: string

  /** @internal */
  constructor(native: NativeEngine, accountId: string, id: string) {
    super(native)
    this.accountId = accountId
    this.id = id
  }

  /** Reads it. */
  get(options: CallOptions = {}): Promise<ConnectFlow> {
    return call(this, 'get_flow', { account: this.accountId, flow: this.id }, options)
  }

  /** Waits for its end, or for `timeout`; answers it as it stands then. */
  wait(options: WaitFlowOptions = {}): Promise<ConnectFlow> {
    return call(this, 'wait_flow', { account: this.accountId, flow: this.id }, options)
  }

  /** Cancels it. */
  cancel(options: CallOptions = {}): Promise<ConnectFlow> {
    return call(this, 'cancel_flow', { account: this.accountId, flow: this.id }, options)
  }
}
