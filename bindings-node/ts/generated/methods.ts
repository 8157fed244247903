// Made from core's schema by scripts/generate.mjs. Do not edit.
import { call, Handle, perform, type CallOptions } from '../handle.js'
import type { Secret } from '../secret.js'
import type { Json } from '../values.js'
import type { Project } from './documents.js'
import type {
  AccountUpdate,
  ApiKey,
  Application,
  AuditEntry,
  AuthType,
  Config,
  ConfigUpdate,
  ConnectFlow,
  Connection,
  Delivery,
  Executed,
  Execution,
  Field,
  Handoff,
  HandoffPreview,
  KeyRotation,
  Labels,
  LinkedAccount,
  NewApiKey,
  NewWebhook,
  OwnChange,
  Page,
  ParkedCallback,
  Portal,
  PortalLink,
  Receipt,
  RuleColumns,
  SessionInfo,
  SiblingPolicy,
  StartedConnect,
  UpsertedAccount,
  Webhook,
  WebhookEvent,
  WebhookKind,
  WebhookSettings,
} from './types.js'
import { Parked } from '../parked.js'

/** Options of `listAccounts`. */
export interface ListAccountsOptions extends CallOptions {
  /** Where the last page ended. */
  readonly cursor?: string | null | undefined
  /** How many; 1 to 500, default 50. */
  readonly limit?: number | null | undefined
  /** A part of the id or the name. */
  readonly search?: string | null | undefined
  /** How many to pass over first, for pages by number; a cursor is cheaper. */
  readonly skip?: number | null | undefined
}

/** Options of `countAccounts`. */
export interface CountAccountsOptions extends CallOptions {
  /** A part of the id or the name. */
  readonly search?: string | null | undefined
}

/** Options of `startConnect`. */
export interface StartConnectOptions extends CallOptions {
  /** What the user entered first (a shop's name, …). */
  readonly inputs?: Readonly<Record<string, string>> | undefined
  /** Scopes to ask for, in place of the project's; required ones are always added. */
  readonly scopes?: readonly string[] | null | undefined
  /** Where the user goes at the end; on the project's list. */
  readonly returnTo?: string | null | undefined
  /** Where the provider sends the user back; the project's own, on its list, or a loopback address. */
  readonly redirectUri?: string | null | undefined
  /** The connection to authorise again. */
  readonly connection?: string | null | undefined
  /** Takes the device flow (RFC 8628): the user enters a code at a page, on any device, and nobody comes back. */
  readonly device?: boolean | undefined
}

/** Options of `handOffConnect`. */
export interface HandOffConnectOptions extends CallOptions {
  /** What the user entered first (a shop's name, …). */
  readonly inputs?: Readonly<Record<string, string>> | undefined
  /** Scopes to ask for, in place of the project's; required ones are always added. */
  readonly scopes?: readonly string[] | null | undefined
  /** Where the user goes at the end; on the project's list. */
  readonly returnTo?: string | null | undefined
  /** Where the provider sends the user back; the project's own, on its list, or a loopback address. */
  readonly redirectUri?: string | null | undefined
  /** The connection to authorise again. */
  readonly connection?: string | null | undefined
  /** Takes the device flow (RFC 8628): the user enters a code at a page, on any device, and nobody comes back. */
  readonly device?: boolean | undefined
}

/** Options of `parkCallback`. */
export interface ParkCallbackOptions extends CallOptions {
  /** The cookie's value, if the browser sent it. */
  readonly cookie?: Secret | string | null | undefined
}

/** Options of `finishConnect`. */
export interface FinishConnectOptions extends CallOptions {
  /** The cookie that `start_connect` gave: its value, or the request's whole `Cookie` header. */
  readonly cookie?: Secret | string | null | undefined
  /** The one-time claim of a parked callback. */
  readonly claim?: Secret | string | null | undefined
}

/** Options of `waitFlow`. */
export interface WaitFlowOptions extends CallOptions {
  /**
   * How long at most; default until the flow ends.
   * In milliseconds.
   */
  readonly timeout?: number | null | undefined
}

/** Options of `connectKey`. */
export interface ConnectKeyOptions extends CallOptions {
  /** The connection to authorise again. */
  readonly connection?: string | null | undefined
}

/** Options of `disconnect`. */
export interface DisconnectOptions extends CallOptions {
  /** Only this connection; absent: all of the application. */
  readonly connection?: string | null | undefined
  /** Only connections of this sort. */
  readonly authType?: AuthType | null | undefined
  /** What to do about connections that share the grant; default ask. */
  readonly siblings?: SiblingPolicy | null | undefined
  /**
   * How long to wait for the provider's answer before `queued` is answered; default 2 s.
   * In milliseconds.
   */
  readonly wait?: number | null | undefined
}

/** Options of `config`. */
export interface ConfigOptions extends CallOptions {
  /** Default the linked account's id. */
  readonly configId?: string | null | undefined
  /** Labels of `map` fields; absent keeps the stored ones. */
  readonly labels?: Labels | null | undefined
  /** Values and switches to begin with, used only when the config is made. */
  readonly seed?: ConfigUpdate | null | undefined
  /** Leaves choices out instead of resolving them. */
  readonly withoutOptions?: boolean | undefined
}

/** Options of `getConfig`. */
export interface GetConfigOptions extends CallOptions {
  /** Default the linked account's id. */
  readonly configId?: string | null | undefined
  /** Leaves choices out instead of resolving them. */
  readonly withoutOptions?: boolean | undefined
  /** Reading: answers what a new config would hold (version 0) where there is none, and makes none. */
  readonly orEmpty?: boolean | undefined
}

/** Options of `updateConfig`. */
export interface UpdateConfigOptions extends CallOptions {
  /** Default the linked account's id. */
  readonly configId?: string | null | undefined
  /** Leaves choices out instead of resolving them. */
  readonly withoutOptions?: boolean | undefined
}

/** Options of `deleteConfig`. */
export interface DeleteConfigOptions extends CallOptions {
  /** Default the linked account's id. */
  readonly configId?: string | null | undefined
}

/** Options of `configField`. */
export interface ConfigFieldOptions extends CallOptions {
  /** Default the linked account's id. */
  readonly configId?: string | null | undefined
  /** The workflow; absent: a field of the application. */
  readonly workflow?: string | null | undefined
  /** Stands in for the stored value of the parent, for this call only. */
  readonly parentValue?: unknown | undefined
  /** What the user typed. */
  readonly search?: string | null | undefined
}

/** Options of `setConfigField`. */
export interface SetConfigFieldOptions extends CallOptions {
  /** Default the linked account's id. */
  readonly configId?: string | null | undefined
  /** The workflow; absent: a field of the application. */
  readonly workflow?: string | null | undefined
}

/** Options of `ruleColumns`. */
export interface RuleColumnsOptions extends CallOptions {
  /** The workflow; absent: a field of the application. */
  readonly workflow?: string | null | undefined
}

/** Options of `executeWorkflow`. */
export interface ExecuteWorkflowOptions extends CallOptions {
  /** Default the linked account's id. */
  readonly configId?: string | null | undefined
  /** Whether to wait for its end. Default false: it is answered as running. */
  readonly wait?: boolean | undefined
}

/** Options of `listExecutions`. */
export interface ListExecutionsOptions extends CallOptions {
  /** Where the last page ended. */
  readonly cursor?: string | null | undefined
  /** How many; 1 to 500, default 50. */
  readonly limit?: number | null | undefined
}

/** Options of `audit`. */
export interface AuditOptions extends CallOptions {
  /** Where the last page ended. */
  readonly cursor?: string | null | undefined
  /** How many; 1 to 500, default 50. */
  readonly limit?: number | null | undefined
}

/** Options of `portalUrl`. */
export interface PortalUrlOptions extends CallOptions {
  /**
   * What the page is told: `name`, `color`, `bgColor`, `base_color`, `button_color`, `redirect_url`, and what else a page of
   * yours reads. It replaces what was stored for the session before; absent: that stays. At most 16 KiB.
   */
  readonly properties?: Readonly<Record<string, unknown>> | null | undefined
  /** The config that the page edits; default the linked account's id. */
  readonly configId?: string | null | undefined
  /** Where the page leads back to; on the project's list. The same as `redirect_url` in the properties, and comes before it. */
  readonly returnTo?: string | null | undefined
  /** Whether the link works once, within 60 seconds; otherwise as long as the session. */
  readonly once?: boolean | undefined
}

/** Options of `createWebhook`. */
export interface CreateWebhookOptions extends CallOptions {
  /** Where deliveries go: https, to a public address, except where the project allows others. */
  readonly url?: string | null | undefined
  /** What it is told, in any order. */
  readonly events?: readonly WebhookEvent[] | null | undefined
  /** Whether it is told anything; default true. */
  readonly enabled?: boolean | null | undefined
  /** `POST` (the default), `PUT` or `PATCH`. */
  readonly method?: string | null | undefined
  /** What it is sent; default the event. */
  readonly kind?: WebhookKind | null | undefined
  /** Further headers; for a custom one the values are templates. */
  readonly headers?: Readonly<Record<string, Secret | string>> | null | undefined
  /** The template of a custom one; default `{{event}}`. */
  readonly body?: unknown | undefined
  /** For people; empty clears it. */
  readonly description?: string | null | undefined
  /** For people; empty clears it. */
  readonly group?: string | null | undefined
  /** Workflows of this application only; empty clears it. */
  readonly application?: string | null | undefined
  /** These workflows only. */
  readonly workflows?: readonly string[] | null | undefined
}

/** Options of `rotateWebhookSecret`. */
export interface RotateWebhookSecretOptions extends CallOptions {
  /**
   * How long the replaced secret goes on signing beside the new one; default 24 hours, at most 30 days.
   * In milliseconds.
   */
  readonly overlap?: number | null | undefined
}

/** Options of `listDeliveries`. */
export interface ListDeliveriesOptions extends CallOptions {
  /** Where the last page ended. */
  readonly cursor?: string | null | undefined
  /** How many; 1 to 500, default 50. */
  readonly limit?: number | null | undefined
}

/** Options of `rotateKeys`. */
export interface RotateKeysOptions extends CallOptions {
  /** The new key's id, to watch the rotation to it instead of beginning one. */
  readonly watch?: string | null | undefined
  /**
   * How long to wait for the end; default until it is there.
   * In milliseconds.
   */
  readonly wait?: number | null | undefined
}

/** The operations of an organisation. */
export abstract class SmaltMethods extends Handle {
  /**
   * Makes a linked account; an error when it exists.
   * Scope: organisation.
   */
  createAccount(id: string, update?: AccountUpdate, options: CallOptions = {}): Promise<LinkedAccount> {
    return call(this, 'create_account', { id, update }, options)
  }

  /**
   * Makes a linked account or changes it.
   * Scope: organisation.
   */
  upsertAccount(id: string, update?: AccountUpdate, options: CallOptions = {}): Promise<UpsertedAccount> {
    return call(this, 'upsert_account', { id, update }, options)
  }

  /** Reads a linked account. */
  getAccount(id: string, options: CallOptions = {}): Promise<LinkedAccount> {
    return call(this, 'get_account', { account: id }, options)
  }

  /**
   * Lists linked accounts, newest first.
   * Scope: organisation.
   */
  listAccounts(options: ListAccountsOptions = {}): Promise<Page<LinkedAccount>> {
    return call(this, 'list_accounts', {}, options)
  }

  /**
   * Counts linked accounts.
   * Scope: organisation.
   */
  countAccounts(options: CountAccountsOptions = {}): Promise<number> {
    return call(this, 'count_accounts', {}, options)
  }

  /**
   * Deletes a linked account and everything of it; grants are revoked.
   * Scope: organisation.
   */
  deleteAccount(id: string, options: CallOptions = {}): Promise<void> {
    return perform(this, 'delete_account', { account: id }, options)
  }

  /** Tells whose session token it is, or refuses it. */
  verifySession(token: Secret | string, options: CallOptions = {}): Promise<SessionInfo> {
    return call(this, 'verify_session', { token }, options)
  }

  /** Ends a session at once. */
  revokeSession(token: Secret | string, options: CallOptions = {}): Promise<boolean> {
    return call(this, 'revoke_session', { token }, options)
  }

  /**
   * Makes an API key for a backend; it is shown this once.
   * Scope: organisation.
   */
  createApiKey(name: string, options: CallOptions = {}): Promise<NewApiKey> {
    return call(this, 'create_api_key', { name }, options)
  }

  /**
   * Lists API keys without the keys themselves.
   * Scope: organisation.
   */
  listApiKeys(options: CallOptions = {}): Promise<readonly ApiKey[]> {
    return call(this, 'list_api_keys', {}, options)
  }

  /**
   * Ends an API key at once.
   * Scope: organisation.
   */
  revokeApiKey(id: string, options: CallOptions = {}): Promise<boolean> {
    return call(this, 'revoke_api_key', { id }, options)
  }

  /** Tells which API key it is, or refuses it. */
  verifyApiKey(key: Secret | string, options: CallOptions = {}): Promise<ApiKey> {
    return call(this, 'verify_api_key', { key }, options)
  }

  /** Tells whose handed-off connect a ticket stands for. */
  getHandoff(ticket: Secret | string, options: CallOptions = {}): Promise<HandoffPreview> {
    return call(this, 'get_handoff', { ticket }, options)
  }

  /** Spends the ticket of a handed-off connect for the browser that shows it. */
  takeHandoff(ticket: Secret | string, options: CallOptions = {}): Promise<StartedConnect> {
    return call(this, 'take_handoff', { ticket }, options)
  }

  /** Takes a provider's callback and keeps its code, sealed and briefly, until the user claims it. */
  async parkCallback(callbackUrl: string, options: ParkCallbackOptions = {}): Promise<ParkedCallback> {
    return new Parked(await call<ParkedCallback>(this, 'park_callback', { callbackUrl }, options))
  }

  /**
   * Reads who did what with secrets.
   * Scope: organisation.
   */
  audit(options: AuditOptions = {}): Promise<Page<AuditEntry>> {
    return call(this, 'audit', {}, options)
  }

  /** Trades the ticket of a link to the hosted page for its session. */
  openPortal(ticket: Secret | string, options: CallOptions = {}): Promise<Portal> {
    return call(this, 'open_portal', { ticket }, options)
  }

  /** Reads what was stored for the hosted page of a session. */
  portalProperties(token: Secret | string, options: CallOptions = {}): Promise<Json> {
    return call(this, 'portal_properties', { token }, options)
  }

  /**
   * Makes a webhook; the secret that signs its deliveries is shown this once.
   * Scope: organisation.
   */
  createWebhook(options: CreateWebhookOptions = {}): Promise<NewWebhook> {
    return call(this, 'create_webhook', {}, options)
  }

  /**
   * Lists webhooks, oldest first.
   * Scope: organisation.
   */
  listWebhooks(options: CallOptions = {}): Promise<readonly Webhook[]> {
    return call(this, 'list_webhooks', {}, options)
  }

  /**
   * Changes a webhook.
   * Scope: organisation.
   */
  updateWebhook(id: string, settings: WebhookSettings, options: CallOptions = {}): Promise<Webhook> {
    return call(this, 'update_webhook', { webhook: id, settings }, options)
  }

  /**
   * Deletes a webhook with its deliveries.
   * Scope: organisation.
   */
  deleteWebhook(id: string, options: CallOptions = {}): Promise<void> {
    return perform(this, 'delete_webhook', { webhook: id }, options)
  }

  /**
   * Replaces a webhook's secret; the old one signs on for a while.
   * Scope: organisation.
   */
  rotateWebhookSecret(id: string, options: RotateWebhookSecretOptions = {}): Promise<NewWebhook> {
    return call(this, 'rotate_webhook_secret', { webhook: id }, options)
  }

  /**
   * Lists what was and is to be sent to a webhook, newest first.
   * Scope: organisation.
   */
  listDeliveries(id: string, options: ListDeliveriesOptions = {}): Promise<Page<Delivery>> {
    return call(this, 'list_deliveries', { webhook: id }, options)
  }

  /**
   * Sends a delivery again.
   * Scope: organisation.
   */
  redeliver(id: string, options: CallOptions = {}): Promise<Delivery> {
    return call(this, 'redeliver', { delivery: id }, options)
  }

  /**
   * Replaces the data keys and seals everything anew while others go on working.
   * Scope: organisation.
   */
  rotateKeys(options: RotateKeysOptions = {}): Promise<KeyRotation> {
    return call(this, 'rotate_keys', {}, options)
  }

  /**
   * Reads the project.
   * Scope: organisation.
   */
  getProject(options: CallOptions = {}): Promise<Project> {
    return call(this, 'get_project', {}, options)
  }

/** Replaces the project of this engine. */
  setProject(project: Project, options: CallOptions = {}): Promise<void> {
    return perform(this, 'set_project', project, options)
  }
}

/** The operations on one linked account, for the organisation and for a session of the account. */
export abstract class VerbMethods extends Handle {
  abstract readonly accountId: string

  /** Lists the enabled applications with their status for the linked account. */
  listApps(options: CallOptions = {}): Promise<readonly Application[]> {
    return call(this, 'list_apps', { account: this.accountId }, options)
  }

  /** Describes one application for the linked account. */
  getApp(application: string, options: CallOptions = {}): Promise<Application> {
    return call(this, 'get_app', { account: this.accountId, application }, options)
  }

  /** Begins an OAuth connect flow. */
  startConnect(application: string, options: StartConnectOptions = {}): Promise<StartedConnect> {
    return call(this, 'start_connect', { account: this.accountId, application }, options)
  }

  /** Begins an OAuth connect flow for a browser that the caller does not hold. */
  handOffConnect(application: string, options: HandOffConnectOptions = {}): Promise<Handoff> {
    return call(this, 'hand_off_connect', { account: this.accountId, application }, options)
  }

  /** Ends a connect flow for the user who came back. */
  finishConnect(callbackUrl?: string | null, options: FinishConnectOptions = {}): Promise<Connection> {
    return call(this, 'finish_connect', { account: this.accountId, callbackUrl }, options)
  }

  /** Reads a connect flow. */
  getFlow(id: string, options: CallOptions = {}): Promise<ConnectFlow> {
    return call(this, 'get_flow', { account: this.accountId, flow: id }, options)
  }

  /** Waits for a connect flow's end. */
  waitFlow(id: string, options: WaitFlowOptions = {}): Promise<ConnectFlow> {
    return call(this, 'wait_flow', { account: this.accountId, flow: id }, options)
  }

  /** Cancels a connect flow. */
  cancelFlow(id: string, options: CallOptions = {}): Promise<ConnectFlow> {
    return call(this, 'cancel_flow', { account: this.accountId, flow: id }, options)
  }

  /** Verifies and saves what the user entered. */
  connectKey(application: string, inputs: Readonly<Record<string, Secret | string>>, options: ConnectKeyOptions = {}): Promise<Connection> {
    return call(this, 'connect_key', { account: this.accountId, application, inputs }, options)
  }

  /** Lists connections of a linked account. */
  listConnections(application?: string | null, options: CallOptions = {}): Promise<readonly Connection[]> {
    return call(this, 'list_connections', { account: this.accountId, application }, options)
  }

  /** Reads one connection. */
  getConnection(id: string, options: CallOptions = {}): Promise<Connection> {
    return call(this, 'get_connection', { account: this.accountId, connection: id }, options)
  }

  /** Makes a connection its application's default one. */
  setDefaultConnection(id: string, options: CallOptions = {}): Promise<Connection> {
    return call(this, 'set_default_connection', { account: this.accountId, connection: id }, options)
  }

  /** Removes connections and configs, and queues the revocation. */
  disconnect(application: string, options: DisconnectOptions = {}): Promise<Receipt> {
    return call(this, 'disconnect', { account: this.accountId, application }, options)
  }

  /** Tells how a disconnect's revocations ended. */
  getReceipt(id: string, options: CallOptions = {}): Promise<Receipt> {
    return call(this, 'get_receipt', { account: this.accountId, receipt: id }, options)
  }

  /** Finds or makes a config. */
  config(application: string, options: ConfigOptions = {}): Promise<Config> {
    return call(this, 'config', { account: this.accountId, application }, options)
  }

  /** Reads a config; never makes one. */
  getConfig(application: string, options: GetConfigOptions = {}): Promise<Config> {
    return call(this, 'get_config', { account: this.accountId, application }, options)
  }

  /** Changes values and switches of a config. */
  updateConfig(application: string, update: ConfigUpdate, options: UpdateConfigOptions = {}): Promise<Config> {
    return call(this, 'update_config', { account: this.accountId, application, update }, options)
  }

  /** Deletes a config; the connection stays. */
  deleteConfig(application: string, options: DeleteConfigOptions = {}): Promise<void> {
    return perform(this, 'delete_config', { account: this.accountId, application }, options)
  }

  /** Lists the ids of an application's configs. */
  listConfigs(application: string, options: CallOptions = {}): Promise<readonly string[]> {
    return call(this, 'list_configs', { account: this.accountId, application }, options)
  }

  /** Reads one field with its choices resolved afresh. */
  configField(application: string, field: string, options: ConfigFieldOptions = {}): Promise<Field> {
    return call(this, 'config_field', { account: this.accountId, application, field }, options)
  }

  /** Sets or clears one field. */
  setConfigField(application: string, field: string, value: unknown, options: SetConfigFieldOptions = {}): Promise<Field> {
    return call(this, 'set_config_field', { account: this.accountId, application, field, value }, options)
  }

  /** Answers the columns of a rule for a left side. */
  ruleColumns(application: string, field: string, lhs: unknown, options: RuleColumnsOptions = {}): Promise<RuleColumns> {
    return call(this, 'rule_columns', { account: this.accountId, application, field, lhs }, options)
  }

  /** Runs an enabled workflow, and answers the run. */
  executeWorkflow(application: string, workflow: string, payload?: unknown, options: ExecuteWorkflowOptions = {}): Promise<Executed> {
    return call(this, 'execute_workflow', { account: this.accountId, application, workflow, payload }, options)
  }

  /** Lists runs of workflows, newest first. */
  listExecutions(options: ListExecutionsOptions = {}): Promise<Page<Execution>> {
    return call(this, 'list_executions', { account: this.accountId }, options)
  }

  /** Reads one run of a workflow. */
  getExecution(id: string, options: CallOptions = {}): Promise<Execution> {
    return call(this, 'get_execution', { account: this.accountId, execution: id }, options)
  }

  /** Replaces the linked account's credentials for the organisation's own application. */
  putOwnCredentials(values: Readonly<Record<string, Secret | string>>, options: CallOptions = {}): Promise<void> {
    return perform(this, 'put_own_credentials', { account: this.accountId, values }, options)
  }

  /** Sets or removes one of these credentials. */
  setOwnCredential(name: string, value?: Secret | string | null, options: CallOptions = {}): Promise<OwnChange> {
    return call(this, 'set_own_credential', { account: this.accountId, name, value }, options)
  }

  /** Makes a link to the hosted page for a linked account. */
  portalUrl(options: PortalUrlOptions = {}): Promise<PortalLink> {
    return call(this, 'portal_url', { account: this.accountId }, options)
  }
}

/** Which method is which operation's, for the check of the table. */
export const METHOD_OF: Readonly<Record<string, string>> = {
  create_account: 'Smalt.createAccount',
  upsert_account: 'Smalt.upsertAccount',
  get_account: 'Smalt.getAccount',
  list_accounts: 'Smalt.listAccounts',
  count_accounts: 'Smalt.countAccounts',
  delete_account: 'Smalt.deleteAccount',
  create_session: 'Account.createSession',
  verify_session: 'Smalt.verifySession',
  revoke_session: 'Smalt.revokeSession',
  create_api_key: 'Smalt.createApiKey',
  list_api_keys: 'Smalt.listApiKeys',
  revoke_api_key: 'Smalt.revokeApiKey',
  verify_api_key: 'Smalt.verifyApiKey',
  list_apps: 'Account.listApps',
  get_app: 'Account.getApp',
  start_connect: 'Account.startConnect',
  hand_off_connect: 'Account.handOffConnect',
  get_handoff: 'Smalt.getHandoff',
  take_handoff: 'Smalt.takeHandoff',
  park_callback: 'Smalt.parkCallback',
  finish_connect: 'Account.finishConnect',
  get_flow: 'Account.getFlow',
  wait_flow: 'Account.waitFlow',
  cancel_flow: 'Account.cancelFlow',
  connect_key: 'Account.connectKey',
  import_connection: 'Account.importConnection',
  list_connections: 'Account.listConnections',
  get_connection: 'Account.getConnection',
  set_default_connection: 'Account.setDefaultConnection',
  credential: 'Account.credential',
  request: 'Account.request',
  request_page: 'Account.requestPage',
  disconnect: 'Account.disconnect',
  get_receipt: 'Account.getReceipt',
  config: 'Account.config',
  get_config: 'Account.getConfig',
  update_config: 'Account.updateConfig',
  delete_config: 'Account.deleteConfig',
  list_configs: 'Account.listConfigs',
  config_field: 'Account.configField',
  set_config_field: 'Account.setConfigField',
  rule_columns: 'Account.ruleColumns',
  run_workflow: 'Account.runWorkflow',
  execute_workflow: 'Account.executeWorkflow',
  list_executions: 'Account.listExecutions',
  get_execution: 'Account.getExecution',
  put_own_credentials: 'Account.putOwnCredentials',
  set_own_credential: 'Account.setOwnCredential',
  own_credentials: 'Account.ownCredentials',
  events: 'Smalt.eventsPage',
  audit: 'Smalt.audit',
  portal_url: 'Account.portalUrl',
  open_portal: 'Smalt.openPortal',
  portal_properties: 'Smalt.portalProperties',
  create_webhook: 'Smalt.createWebhook',
  list_webhooks: 'Smalt.listWebhooks',
  update_webhook: 'Smalt.updateWebhook',
  delete_webhook: 'Smalt.deleteWebhook',
  rotate_webhook_secret: 'Smalt.rotateWebhookSecret',
  list_deliveries: 'Smalt.listDeliveries',
  redeliver: 'Smalt.redeliver',
  rotate_keys: 'Smalt.rotateKeys',
  get_project: 'Smalt.getProject',
  set_project: 'Smalt.setProject',
}
