// Types of the browser client. Shapes of answers are those of docs/schema/operations-1.json.

/** The version of client and server. */
export const version: string;

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type AuthType = 'oauth2' | 'keybased';

/** Something did not work. */
export class SmaltError extends Error {
  constructor(code: string, message?: string, facts?: object);
  /** Stable: one of docs/errors.md, or `unreachable` or `popup_blocked`, which are this client's own. */
  readonly code: string;
  /** Whether trying again can help. */
  readonly retry?: 'never' | 'later' | 'after_reauth';
  /** Seconds until trying again makes sense. */
  readonly retryAfter?: number;
  readonly requestId?: string;
  /** The HTTP status; absent where there was no answer. */
  readonly status?: number;
  /** Named facts, e.g. what was expected of each wrong field. */
  readonly context?: Record<string, string>;
  /** `popup_blocked`: the page that the user has to open. */
  readonly url?: string;
  /** The flow that it is about. */
  readonly flow?: string;
  readonly application?: string;
}

export interface ButtonState {
  image?: string;
  label?: string;
  background?: string;
  foreground?: string;
  border?: string;
}

export interface Brand {
  icon?: string;
  color?: string;
  button: { normal: ButtonState; hover: ButtonState; guidelines_url?: string; mandated: boolean };
}

export interface InputField {
  name: string;
  label: string;
  type: 'text' | 'password' | 'number' | 'boolean' | 'select' | 'textarea';
  required: boolean;
  secret: boolean;
  hidden?: boolean;
  placeholder?: string;
  help_text?: string;
  pattern?: string;
  prefix?: string;
  suffix?: string;
  default?: string;
  options?: { name: string; value: string }[];
}

export interface Application {
  slug: string;
  name: string;
  description: string;
  categories: string[];
  /** The default one first. */
  auth_types: AuthType[];
  grants: Partial<Record<AuthType, string[]>>;
  inputs: Partial<Record<AuthType, InputField[]>>;
  brand: Brand;
  status: 'not_connected' | 'connected' | 'reauth_required';
  connections: Connection[];
  help: string | null;
}

export interface Connection {
  id: string;
  account_id: string;
  application: string;
  auth_type: AuthType;
  status: 'active' | 'expired';
  health: 'healthy' | 'expiring' | 'suspended' | 'client_rejected' | 'expired';
  is_default: boolean;
  identity: { id: string; label: string } | null;
  scopes: string[];
  properties: Record<string, string>;
  created_at: string;
  connected_at: string;
  expires_at: string | null;
  last_error: { code: string; reason: string; at: string } | null;
}

export interface ConnectFlow {
  id: string;
  account_id: string;
  application: string;
  status: 'pending' | 'parked' | 'exchanging' | 'connected' | 'failed' | 'cancelled' | 'expired';
  connection_id: string | null;
  error: { code: string; reason: string } | null;
  return_to: string | null;
  return_url: string | null;
  created_at: string;
  expires_at: string;
}

/** What a user is shown who connects with a code (RFC 8628). */
export interface DevicePrompt {
  user_code: string;
  verification_uri: string;
  /** With the code in it, where the provider can. */
  verification_uri_complete: string | null;
  interval: number;
}

export interface StartedConnect {
  flow_id: string;
  authorize_url: string;
  redirect_uri: string;
  cookie: { name: string; value: string; max_age: number };
  expires_at: string;
  device: DevicePrompt | null;
}

export interface Receipt {
  id: string;
  account_id: string;
  application: string;
  revocation: 'revoked' | 'queued' | 'unsupported' | 'kept_shared' | 'nothing_to_revoke' | 'failed';
  connections: { connection_id: string; revocation: string; attempts: number; siblings: string[] }[];
  deleted_configs: string[];
  created_at: string;
  finished_at: string | null;
}

export interface FieldOption {
  name?: string;
  value: Json;
}

export interface MappingSide {
  name: string;
  options?: FieldOption[];
  multiple: boolean;
}

export interface Field {
  id: string;
  name: string;
  field_type:
    | 'text'
    | 'textarea'
    | 'url'
    | 'email'
    | 'password'
    | 'number'
    | 'date'
    | 'boolean'
    | 'select'
    | 'json'
    | 'map'
    | 'map_v2'
    | 'rule_engine';
  required: boolean;
  hidden: boolean;
  multiple: boolean;
  help_text?: string;
  placeholder?: string;
  value?: Json;
  default_value?: Json;
  options?: FieldOption[];
  labels?: { name?: string; value: Json; multiple: boolean }[];
  parent?: string;
  page?: string;
  label_object?: string;
  mapping?: { lhs: MappingSide; rhs: MappingSide };
}

export interface Workflow {
  id: string;
  name: string;
  description: string;
  icon?: string;
  enabled: boolean;
  page?: string;
  fields: Field[];
}

export interface Config {
  application: string;
  account_id: string;
  config_id: string;
  version: number;
  fields: Field[];
  workflows: Workflow[];
  field_errors: { id: string; name: string; path: string; code: string; message: string }[];
  created_at: string;
  updated_at: string;
}

export interface ConfigUpdate {
  /** By field id; null clears. */
  fields?: Record<string, Json>;
  /** By workflow id: the switch alone, or switch and values. */
  workflows?: Record<string, boolean | { enabled?: boolean; fields?: Record<string, Json> }>;
  labels?: Json;
  /** The version that you saw; another one in the store is a `config_conflict`. */
  version?: number;
}

export interface RuleColumn {
  name: string;
  type: 'text' | 'select';
  options: FieldOption[];
}

export interface CallOptions {
  signal?: AbortSignal;
}

export interface ConnectOptions extends CallOptions {
  /** For applications that offer both: which way. */
  authType?: AuthType;
  /** In place of the project's; required ones are always added. */
  scopes?: string[];
  /** The connection to authorise again. */
  connection?: string;
  /** Goes to the provider in this window, instead of opening one. */
  redirect?: boolean;
  /** Where the provider's page leads back to when this page went there itself; on the project's list. Default: this page. */
  returnTo?: string;
  /** Applications that are connected with a code alone: shows it to the user. `flow` can be cancelled. */
  onCode?: (prompt: DevicePrompt & { flow: string }, application: string) => void;
}

export interface SessionOptions {
  /** The address of a Smalt server, with its path if it has one. */
  server: string;
  /** A session token, or a function that fetches one from your backend whenever the last has ended. */
  token: string | (() => string | Promise<string>);
  /** In place of the browser's own. */
  fetch?: typeof fetch;
}

/** A session of one linked account. */
export class Session {
  constructor(options: SessionOptions);
  readonly server: string;
  accountId(): Promise<string>;
  /** Any operation of the table that a session may call. */
  call<T = any>(operation: string, request?: object, options?: CallOptions): Promise<T>;

  account(): Promise<{ id: string; name: string | null; properties: Record<string, string>; created_at: string; updated_at: string }>;
  apps(): Promise<Application[]>;
  app(application: string): Promise<Application>;

  /** Call it inside a click. Rejects with `user_denied`, `user_cancelled`, `flow_expired`, `popup_blocked`, `credentials_rejected`, … */
  connect(application: string, inputs?: Record<string, string>, options?: ConnectOptions): Promise<Connection>;
  connectKey(application: string, inputs?: Record<string, string>, options?: CallOptions & { connection?: string }): Promise<Connection>;
  startConnect(
    application: string,
    options?: {
      inputs?: Record<string, string>;
      scopes?: string[];
      return_to?: string;
      redirect_uri?: string;
      connection?: string;
      device?: boolean;
    },
    call?: CallOptions,
  ): Promise<StartedConnect>;
  finishConnect(claim: string, options?: CallOptions): Promise<Connection>;
  /** Call it once when the page loads. */
  resume(options?: CallOptions & Pick<ConnectOptions, 'onCode'>): Promise<Connection | null>;
  waitFlow(flow: string, options?: CallOptions): Promise<Connection>;
  flow(flow: string): Promise<ConnectFlow>;
  cancelFlow(flow: string): Promise<ConnectFlow>;

  connections(application?: string): Promise<Connection[]>;
  connection(connection: string): Promise<Connection>;
  setDefaultConnection(connection: string): Promise<Connection>;
  disconnect(
    application: string,
    options?: { connection?: string; auth_type?: AuthType; siblings?: 'ask' | 'keep'; wait?: number },
  ): Promise<Receipt>;
  receipt(receipt: string): Promise<Receipt>;

  config(application: string, options?: { config_id?: string | null; labels?: Json; seed?: ConfigUpdate; without_options?: boolean }): Promise<Config>;
  getConfig(application: string, configId?: string): Promise<Config>;
  updateConfig(application: string, update: ConfigUpdate, options?: CallOptions & { config_id?: string | null }): Promise<Config>;
  deleteConfig(application: string, configId?: string): Promise<void>;
  configs(application: string): Promise<string[]>;
  configField(
    application: string,
    field: string,
    options?: { config_id?: string | null; workflow?: string | null; search?: string | null; parent_value?: Json },
    call?: CallOptions,
  ): Promise<Field>;
  setConfigField(
    application: string,
    field: string,
    value: Json,
    options?: { config_id?: string | null; workflow?: string | null },
  ): Promise<Field>;
  ruleColumns(application: string, field: string, lhs: Json, options?: { workflow?: string | null }): Promise<{ rhs: RuleColumn; operator: RuleColumn }>;

  portalUrl(options?: {
    properties?: Record<string, Json>;
    config_id?: string;
    return_to?: string;
    once?: boolean;
  }): Promise<{ url: string; expires_at: string; once: boolean }>;
  revoke(): Promise<boolean>;
}

/** A button in the application's brand, with its hover state. */
export function connectButton(
  app: Pick<Application, 'slug' | 'name' | 'brand'>,
  options?: { label?: string; document?: Document },
): HTMLButtonElement;
/** How well two colours can be told apart, from 1 to 21; 0 where one is unknown. */
export function contrast(one: string, other: string): number;
/** The wanted text colour where it can be read on the background; otherwise black or white. */
export function readable(background: string, wanted?: string): string;
