// Made from core's schema by scripts/generate.mjs. Do not edit.
import { call, type CallOptions } from '../handle.js'
import type { Secret } from '../secret.js'
import type { Json } from '../values.js'
import type {
  AuthType,
  Connection,
  OwnCredentials,
  SessionInfo,
} from './types.js'
import { Verbs } from '../verbs.js'

/** Options of `createSession`. */
export interface CreateSessionOptions extends CallOptions {
  /** Makes a new one even if the last has more than half its life left. */
  readonly force?: boolean | undefined
}

/** Options of `importConnection`. */
export interface ImportConnectionOptions extends CallOptions {
  /** Which sort of credential it is; default the application's first. */
  readonly authType?: AuthType | null | undefined
  /** OAuth: seconds until the access token ends; absent: unknown, renewed at first use if possible. */
  readonly expiresIn?: number | null | undefined
  /** OAuth: the granted scopes. */
  readonly scopes?: readonly string[] | undefined
}

/** Options of `runWorkflow`. */
export interface RunWorkflowOptions extends CallOptions {
  /** Default the linked account's id. */
  readonly configId?: string | null | undefined
}

/** The operations on one linked account that only the organisation has. */
export abstract class AccountMethods extends Verbs {
  /**
   * Makes or reuses a session token of a linked account.
   * Scope: organisation.
   */
  createSession(options: CreateSessionOptions = {}): Promise<SessionInfo> {
    return call(this, 'create_session', { account: this.accountId }, options)
  }

  /**
   * Takes over a token that was issued elsewhere.
   * Scope: organisation.
   */
  importConnection(application: string, values: Readonly<Record<string, Secret | string>>, options: ImportConnectionOptions = {}): Promise<Connection> {
    return call(this, 'import_connection', { account: this.accountId, application, values }, options)
  }

  /**
   * Hands an enabled workflow to the host's runner.
   * Scope: organisation.
   */
  runWorkflow(application: string, workflow: string, payload?: unknown, options: RunWorkflowOptions = {}): Promise<Json> {
    return call(this, 'run_workflow', { account: this.accountId, application, workflow, payload }, options)
  }

  /**
   * Answers these credentials.
   * Scope: organisation.
   */
  ownCredentials(options: CallOptions = {}): Promise<OwnCredentials> {
    return call(this, 'own_credentials', { account: this.accountId }, options)
  }
}
