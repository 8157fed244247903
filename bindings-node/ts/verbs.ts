import { Flow } from './flow.js'
import { VerbMethods } from './generated/methods.js'
import type { AuthType, Connection } from './generated/types.js'
import { asOptions, call, NATIVE, type CallOptions } from './handle.js'
import { inside, room, wait } from './room.js'
import type { Secret } from './secret.js'
import { seconds } from './values.js'

/** Options of `connect`. */
export interface ConnectOptions extends CallOptions {
  /** What the user entered, by input name: makes it a key-based connect where the application offers one. */
  readonly inputs?: Readonly<Record<string, Secret | string>> | undefined
  /** Which way to authorise, where the application offers several; default its first. */
  readonly authType?: AuthType | undefined
  /** Scopes to ask for, in place of the project's; required ones are always added. */
  readonly scopes?: readonly string[] | undefined
  /** The connection to authorise again. */
  readonly connection?: string | undefined
  /** Takes the device flow (RFC 8628): the presenter shows a code, and the user enters it on any device. */
  readonly device?: boolean | undefined
  /**
   * How long the user may take, in milliseconds, above zero; then the flow is cancelled and the call ends as `connect_timeout`. Default, and at
   * most: as long as the flow lives (`flow_expired`): 10 minutes for a page, and for a code what the provider says.
   */
  readonly timeout?: number | undefined
}

/** What the organisation and a session can do with a linked account. */
export abstract class Verbs extends VerbMethods {
  /**
   * Connects an application: shows the authorize page with the engine's presenter and waits for the user, or verifies and saves the
   * inputs. Servers that send a browser somewhere use {@link startConnect} and {@link finishConnect}.
   */
  async connect(application: string, options: ConnectOptions = {}): Promise<Connection> {
    const request = { ...asOptions(options), account: this.accountId, application, timeout: seconds(options.timeout), signal: undefined }
    return await wait<Connection>(options, (id) => this[NATIVE].connect(room, id, request, inside.getStore() ?? 0))
  }

  /** Ends a connect flow with the claim that the browser brought, for the user who is logged in. */
  claimConnect(claim: Secret | string, options: CallOptions = {}): Promise<Connection> {
    return call(this, 'finish_connect', { account: this.accountId, claim }, options)
  }

  /** A connect flow by its id. No I/O. */
  flow(id: string): Flow {
    return new Flow(this[NATIVE], this.accountId, id)
  }
}
