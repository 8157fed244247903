// Made from core's schema by scripts/generate.mjs. Do not edit.
import type { AppManifest, Project } from './documents.js'
import type { Secret } from '../secret.js'
import type { Json } from '../values.js'

/** One page of a list. */
export interface Page<T> {
  /** The entries. */
  readonly items: readonly T[]
  /** Pass it as `cursor` to get the next page; absent on the last one. */
  readonly next?: string | null
}

/** What a provider answered to an authenticated call, whatever the status. Debug shows status and size only. */
export interface ApiAnswer {
  /** The status. */
  readonly status: number
  /** Names are in lower case; one that came several times stands here as often. */
  readonly headers: readonly NameValue[]
  /** The body. */
  readonly body: Buffer
}

/** A key that a backend of the organisation uses at the HTTP API; the key itself is kept as a hash only. */
export interface ApiKey {
  /** 24 hex digits. */
  readonly id: string
  /** What people tell it apart by. */
  readonly name: string
  /** The environment it opens. */
  readonly environment: Environment
  /** Its last four characters. */
  readonly ending: string
  /** When it was made. */
  readonly createdAt: Date
  /** When it was revoked. */
  readonly revokedAt?: Date | null
}

/** One page of a provider's list. Debug shows the number of items only. */
export interface ApiPage {
  /** The provider's answer, whatever its status. */
  readonly answer: ApiAnswer
  /** The items; none when the status is not a good one. */
  readonly items: readonly Json[]
  /** Pass it as `cursor` to get the next page; absent on the last one. */
  readonly next?: string | null
}

/** How an application stands for one linked account. */
export type AppStatus =
  /** No connection. */
  | 'not_connected'
  /** The default connection works. */
  | 'connected'
  /** The default connection must be authorised again. */
  | 'reauth_required'

/** A third-party product, described for one linked account. */
export interface Application {
  /** The stable name, e.g. `slack`. */
  readonly slug: string
  /** The name for people. */
  readonly name: string
  /** One sentence about it. */
  readonly description: string
  /** Sorting words, e.g. `communication`. */
  readonly categories: readonly string[]
  /** The ways to authorise that the project offers, the default one first. */
  readonly authTypes: readonly AuthType[]
  /** How each way leads to a credential, the default one first. */
  readonly grants: Readonly<Record<string, readonly GrantKind[]>>
  /** What the user must enter, per auth type; empty lists where nothing is needed. */
  readonly inputs: Readonly<Record<string, readonly InputField[]>>
  /** How it looks. */
  readonly brand: Brand
  /** How it stands for the linked account. */
  readonly status: AppStatus
  /** The linked account's connections, the default one first. */
  readonly connections: readonly Connection[]
  /** Help for the connect form. */
  readonly help?: string | null
}

/** Who did what with secrets; written in the same transaction as the deed. */
export interface AuditEntry {
  /** What was done: `connect`, `refresh`, `disconnect`, `credential` (given out), `request` (a call was made with it), `key`, `client`, `webhook`, `own_credentials`. */
  readonly action: string
  /** Who asked. */
  readonly actor: string
  /** The linked account. */
  readonly accountId?: string | null
  /** The application's slug. */
  readonly application?: string | null
  /** The connection. */
  readonly connectionId?: string | null
  /** How often, for reads and calls that are counted together. */
  readonly count: number
  /** Ids and words about it; never a secret. */
  readonly detail: Json
  /** When it was first done. */
  readonly at: Date
}

/** A way to authorise, by what it asks of the user. */
export type AuthType =
  /** The user consents at the provider's page: OAuth 2.0 with a code or on a device, OAuth 1.0a. */
  | 'oauth2'
  /**
   * Nothing opens: the user enters values, e.g. API keys, account ids, passwords, a service account's key; or nothing
   * at all, where the organisation's own client is enough.
   */
  | 'keybased'

/** How an application looks. */
export interface Brand {
  /** The icon: an https URL or a `data:` URI. Absent where the licence forbids shipping one; the project supplies it. */
  readonly icon?: string | null
  /** The brand colour, `#rrggbb`. */
  readonly color?: string | null
  /** The connect button. */
  readonly button?: BrandButton | null
}

/** A branded connect button. */
export interface BrandButton {
  /** At rest. */
  readonly normal?: ButtonState | null
  /** Under the pointer. */
  readonly hover?: ButtonState | null
  /** The provider's rules for such buttons. */
  readonly guidelinesUrl?: string | null
  /** Whether the provider mandates its own artwork, which the project must then supply as `image`. */
  readonly mandated?: boolean | null
}

/** One state of the button: an image, or text and colours. */
export interface ButtonState {
  /** The provider's own artwork, an https URL or a `data:` URI. */
  readonly image?: string | null
  /** The text. */
  readonly label?: string | null
  /** The background colour. */
  readonly background?: string | null
  /** The text colour. */
  readonly foreground?: string | null
  /** The border colour. */
  readonly border?: string | null
}

/** What a backend can do beyond the operations themselves. */
export interface Capabilities {
  /** `embedded` or `remote`. */
  readonly backend: string
  /** The version of Smalt that does the work. */
  readonly version: string
  /** The operations that are offered, by name. */
  readonly operations: readonly string[]
  /** Whether `run_workflow` has a runner. */
  readonly workflows: boolean
  /** Whether `connect` can open the authorize page. */
  readonly presenter: boolean
}

/** What the user of one linked account has set for one application. */
export interface Config {
  /** The application's slug. */
  readonly application: string
  /** The linked account. */
  readonly accountId: string
  /** The linked account's id unless another was given. */
  readonly configId: string
  /** Grows by one with every change; pass it to an update to detect a conflict. */
  readonly version: number
  /** The application's own fields. */
  readonly fields: readonly Field[]
  /** The published workflows that are not hidden. */
  readonly workflows: readonly Workflow[]
  /** Trouble per field; never makes the call fail. */
  readonly fieldErrors: readonly FieldError[]
  /** When it was made. */
  readonly createdAt: Date
  /** When it last changed. */
  readonly updatedAt: Date
}

/** One attempt to connect. It survives restarts, and any process on the store can finish it. */
export interface ConnectFlow {
  /** 24 hex digits. */
  readonly id: string
  /** The linked account that began it. */
  readonly accountId: string
  /** The application's slug. */
  readonly application: string
  /** Where it stands. */
  readonly status: FlowStatus
  /** The connection, once connected. */
  readonly connectionId?: string | null
  /** Why it failed. */
  readonly error?: FlowFailure | null
  /** Where the user goes at the end, as `start_connect` was told. */
  readonly returnTo?: string | null
  /**
   * The same once the flow has ended, with what the page there needs to know: `flow`, `application`, `outcome` (the
   * status) and, if it failed, `error` (the code). Redirect the user to it.
   */
  readonly returnUrl?: string | null
  /** When it began. */
  readonly createdAt: Date
  /** When the user must be back. */
  readonly expiresAt: Date
}

/** A linked account's authorisation for one application. */
export interface Connection {
  /** 24 hex digits. */
  readonly id: string
  /** The linked account. */
  readonly accountId: string
  /** The application's slug. */
  readonly application: string
  /** How it was authorised. */
  readonly authType: AuthType
  /** Whether it can be used. */
  readonly status: ConnectionStatus
  /** How it stands, in more words: what is wrong, and whose fault it is. */
  readonly health: ConnectionHealth
  /** Whether calls without a selector use it. */
  readonly isDefault: boolean
  /** Who it is at the provider, if the application can tell. */
  readonly identity?: Identity | null
  /** The scopes that the provider granted, if it says. */
  readonly scopes: readonly string[]
  /** Values that the provider gave at connect (realm id, instance URL, …) and inputs that are no secrets. */
  readonly properties: Readonly<Record<string, string>>
  /** When the user first authorised. */
  readonly createdAt: Date
  /** When the user last authorised. */
  readonly connectedAt: Date
  /** When the access token ends, if it does. */
  readonly expiresAt?: Date | null
  /** The last trouble, if the last use had any; while the organisation's client is refused, that. */
  readonly lastError?: ConnectionError | null
}

/** The last trouble of a connection. */
export interface ConnectionError {
  /** An error code of the table. */
  readonly code: string
  /** What to do about it. */
  readonly reason: string
  /** When it happened. */
  readonly at: Date
}

/** How a connection stands, and whose turn it is. */
export type ConnectionHealth =
  /** Nothing is wrong. */
  | 'healthy'
  /** The access token ends soon or has ended, and could not be renewed so far; or it ends soon, and nothing renews it. */
  | 'expiring'
  /** The provider refuses the grant for now, e.g. while the user is switched off there. It is kept and tried again, rarely. */
  | 'suspended'
  /** The provider refuses the organisation's own client. Grants are untouched; no user can do anything about it. */
  | 'client_rejected'
  /** The user must authorise again. */
  | 'expired'

/** Whether a connection can be used. */
export type ConnectionStatus =
  /** It can. */
  | 'active'
  /** It cannot: the user must authorise again, or, where [`ConnectionHealth::Suspended`], be let in again at the provider. */
  | 'expired'

/** What an authenticated call needs; valid now. */
export interface Credential {
  /** The connection it belongs to. */
  readonly connectionId: string
  /** The application's slug. */
  readonly application: string
  /** How it was authorised. */
  readonly authType: AuthType
  /** OAuth: the access token. */
  readonly accessToken?: Secret | null
  /** OAuth: usually `Bearer`. */
  readonly tokenType?: string | null
  /** When the access token ends, if it does. */
  readonly expiresAt?: Date | null
  /** The scopes that the provider granted. */
  readonly scopes: readonly string[]
  /** Key-based: the values that the user entered. */
  readonly values: Readonly<Record<string, Secret>>
  /** Values that the provider gave at connect. */
  readonly properties: Readonly<Record<string, string>>
}

/** One event on its way to a webhook, and what became of it. */
export interface Delivery {
  /** The value of its header `webhook-id`, the same for all tries. */
  readonly id: string
  /** Whose it is. */
  readonly webhookId: string
  /** What it tells. */
  readonly event: WebhookEvent
  /** The event as it is told. */
  readonly payload: Json
  /** How it stands. */
  readonly status: DeliveryStatus
  /** How often it was sent. */
  readonly attempts: number
  /** When it is tried next. */
  readonly nextAt?: Date | null
  /** The status that the last try was answered. */
  readonly httpStatus?: number | null
  /** Why the last try had no answer, or why it is not tried: a code of the error table. */
  readonly error?: string | null
  /** When it was queued. */
  readonly createdAt: Date
  /** When it last changed. */
  readonly changedAt: Date
}

/** How a delivery stands. */
export type DeliveryStatus =
  /** It is to be sent, or sent again. */
  | 'queued'
  /** The receiver took it. */
  | 'delivered'
  /** It is not tried any more. */
  | 'failed'

/** What a user of the device flow (RFC 8628) must be shown. */
export interface DevicePrompt {
  /** What the user enters. */
  readonly userCode: string
  /** Where, on any device. */
  readonly verificationUri: string
  /** The same with the code in it, e.g. for a QR code; not every provider has one. */
  readonly verificationUriComplete?: string | null
  /** How often the provider is asked at most, in seconds. */
  readonly interval: number
}

/** Everything is kept apart by environment; test and production never mix. */
export type Environment =
  /** For development and tests; the sandbox applications live here only. */
  | 'test'
  /** The real thing. */
  | 'production'

/** One entry of the durable log. */
export interface Event {
  /** 24 hex digits, unique. */
  readonly id: string
  /** What happened. */
  readonly type: EventType
  /** The linked account. */
  readonly accountId?: string | null
  /** The application's slug. */
  readonly application?: string | null
  /** Ids and words about it; never a secret. */
  readonly data: Json
  /** When it happened. */
  readonly at: Date
  /** Pass it as `since` to get what came after. */
  readonly cursor: string
}

/** What happened. */
export type EventType =
  /** A linked account was made. */
  | 'account.created'
  /** A linked account and everything of it was deleted. */
  | 'account.deleted'
  /** A connection became active: new, or authorised again. */
  | 'connection.created'
  /** A connection's token is about to end: it could not be renewed ahead, or nothing can renew it. */
  | 'connection.expiring'
  /** A connection cannot be used: it must be authorised again, or, where `recoverable` is true, is refused for now. */
  | 'connection.expired'
  /** A connection that was expiring or expired is good again, by itself. */
  | 'connection.recovered'
  /** A connection was removed. */
  | 'connection.deleted'
  /** A connection became the default one. */
  | 'connection.default'
  /** A token was renewed. */
  | 'connection.refreshed'
  /** The provider refuses the organisation's own client. Once for all of its connections. */
  | 'application.client_rejected'
  /** The provider takes the organisation's client again. */
  | 'application.client_recovered'
  /** A connect flow began. */
  | 'flow.started'
  /** A connect flow ended without a connection. */
  | 'flow.failed'
  /** A connect flow was cancelled. */
  | 'flow.cancelled'
  /** A revocation at the provider ended. */
  | 'revocation.finished'
  /** A config was made. */
  | 'config.created'
  /** A config's values or switches changed. */
  | 'config.updated'
  /** A config was deleted. */
  | 'config.deleted'
  /** A workflow was switched on. */
  | 'workflow.enabled'
  /** A workflow was switched off. */
  | 'workflow.disabled'
  /** An API key was made. */
  | 'api_key.created'
  /** An API key was revoked. */
  | 'api_key.revoked'
  /** A session was revoked. */
  | 'session.revoked'
  /** A workflow ran to its end. */
  | 'workflow.completed'
  /** A workflow failed. */
  | 'workflow.errored'
  /** A workflow's time was over. */
  | 'workflow.timed_out'
  /** A webhook was made. */
  | 'webhook.created'
  /** A webhook was changed. */
  | 'webhook.updated'
  /** A webhook was deleted. */
  | 'webhook.deleted'
  /** A webhook was disabled, since it took nothing for too long, or said that it is gone. */
  | 'webhook.disabled'

/** A run that was begun, with its answer where it was waited for. Debug hides what it answered. */
export interface Executed {
  /** The run. */
  readonly execution: Execution
  /** What the workflow answered. */
  readonly answer?: Json
  /** Why it failed, for people. */
  readonly reason?: string | null
}

/** One run of a workflow. What it was given and what it answered is not kept. */
export interface Execution {
  /** 24 hex digits. */
  readonly id: string
  /** The linked account. */
  readonly accountId: string
  /** The application's slug. */
  readonly application: string
  /** The config. */
  readonly configId: string
  /** The workflow's id. */
  readonly workflow: string
  /** Whether the caller waited for its end. */
  readonly waited: boolean
  /** How it stands. */
  readonly status: ExecutionStatus
  /** Why it failed: a code of the error table. */
  readonly error?: string | null
  /** When it began. */
  readonly createdAt: Date
  /** When it ended. */
  readonly endedAt?: Date | null
}

/** How a run of a workflow stands. */
export type ExecutionStatus =
  /** It has not ended. */
  | 'running'
  /** It ran to its end. */
  | 'completed'
  /** It failed. */
  | 'errored'
  /** Its time was over. */
  | 'timed_out'

/** One setting. */
export interface Field {
  /** Unique within the application's fields or the workflow. */
  readonly id: string
  /** The label for people. */
  readonly name: string
  /** What it holds. */
  readonly fieldType: FieldType
  /** Whether it should be set; a missing value is reported in `field_errors`. */
  readonly required: boolean
  /** Whether user interfaces skip it. */
  readonly hidden: boolean
  /** Whether it holds several values. */
  readonly multiple: boolean
  /** Help for people. */
  readonly helpText?: string | null
  /** An example. */
  readonly placeholder?: string | null
  /** The value, exactly as set; absent when unset. */
  readonly value?: Json
  /** Used when no value is set. */
  readonly defaultValue?: Json
  /** The choices; absent while they cannot be resolved. */
  readonly options?: readonly FieldOption[] | null
  /** The left side of a `map`. */
  readonly labels?: readonly Label[] | null
  /** The id of the field whose value this one depends on. */
  readonly parent?: string | null
  /** The page that shows it. */
  readonly page?: string | null
  /** The object whose labels the caller supplies with `labels`. */
  readonly labelObject?: string | null
  /** Both sides of a `map_v2`. */
  readonly mapping?: Mapping | null
}

/** Trouble with one field. */
export interface FieldError {
  /** The field's id. */
  readonly id: string
  /** The field's name. */
  readonly name: string
  /** `fields.<id>`, or `workflows.<id>.fields.<id>`. */
  readonly path: string
  /** An error code of the table, or `required`, `unknown_field`, `stale_option`. */
  readonly code: string
  /** What to do. */
  readonly message: string
}

/** One choice. */
export interface FieldOption {
  /** What people see. */
  readonly name?: string | null
  /** What is stored: a string, number or boolean. */
  readonly value: Json
}

/** What a field holds. A value is stored and answered exactly as it was given, never coerced. */
export type FieldType =
  /** One line. */
  | 'text'
  /** Several lines. */
  | 'textarea'
  /** A URL. */
  | 'url'
  /** An e-mail address. */
  | 'email'
  /** A secret line. */
  | 'password'
  /** A number, or a string that holds one. */
  | 'number'
  /** `YYYY-MM-DD`, or an ISO date-time. */
  | 'date'
  /** A switch. */
  | 'boolean'
  /** One option's value, or an array of them when `multiple`. */
  | 'select'
  /** Any JSON value, or a string that holds one. */
  | 'json'
  /** An object from label values to option values. */
  | 'map'
  /** An object from left values to right values, see `Mapping`. */
  | 'map_v2'
  /** A tree of conditions. */
  | 'rule_engine'

/** Why a flow failed. */
export interface FlowFailure {
  /** An error code of the table. */
  readonly code: string
  /** What to do next. */
  readonly reason: string
}

/** Where a connect flow stands. */
export type FlowStatus =
  /** The user is at the provider. */
  | 'pending'
  /** The user came back; the code waits for `finish_connect`. */
  | 'parked'
  /** The code is being exchanged. */
  | 'exchanging'
  /** Done: there is a connection. */
  | 'connected'
  /** Done: there is an error. */
  | 'failed'
  /** Ended by `cancel()`. */
  | 'cancelled'
  /** Its time is over. */
  | 'expired'

/** How a way to authorise leads to a credential. What it asks of a user is the auth type's matter: see [`AuthType`]. */
export type GrantKind =
  /** The user consents at a page and comes back with a code (RFC 6749 section 4.1). */
  | 'authorization_code'
  /** The user enters a code at a page, on any device (RFC 8628). */
  | 'device_code'
  /** The user consents at a page of OAuth 1.0a (RFC 5849). */
  | 'oauth1'
  /** The entered values are sent as they are, or sign each request. */
  | 'keys'
  /** A client's own credentials become a token (RFC 6749 section 4.4). */
  | 'client_credentials'
  /** A JWT that the entered key signs becomes a token (RFC 7523 section 2.1). */
  | 'jwt_bearer'
  /** A login with the entered values becomes a token. */
  | 'login'

/** A connect flow for a browser that the caller does not hold: send it to a page that shows the preview and takes the ticket. */
export interface Handoff {
  /** The flow's id. */
  readonly flowId: string
  /** Good once, as long as the flow. Empty where the server keeps it to itself and only tells the page. */
  readonly ticket: Secret
  /** The page to send the browser to, where a server has one. */
  readonly page?: Secret | null
  /** When the user must be back. */
  readonly expiresAt: Date
}

/** Whose connect it is, for the page that asks the user to go on. */
export interface HandoffPreview {
  /** The flow's id. */
  readonly flowId: string
  /** The linked account's id. */
  readonly accountId: string
  /** The linked account's name. */
  readonly accountName?: string | null
  /** The application's slug. */
  readonly application: string
  /** The application's name. */
  readonly applicationName: string
  /** Scheme, host and port of the provider's page. */
  readonly authorizeOrigin: string
  /** When the user must be back. */
  readonly expiresAt: Date
}

/** Who a connection is at the provider. */
export interface Identity {
  /** The provider's stable id. */
  readonly id: string
  /** What people recognise: an address, a team's name. */
  readonly label: string
}

/** One value that the user enters to connect. */
export interface InputField {
  /** The key in `connect(app, inputs)`. */
  readonly name: string
  /** The label for people. */
  readonly label: string
  /** `text`, `password`, `number`, `boolean`, `select` or `textarea`. */
  readonly type?: 'text' | 'password' | 'number' | 'boolean' | 'select' | 'textarea' | null
  /** Whether it must be given; default true. */
  readonly required?: boolean | null
  /** Whether it is a secret: stored sealed, never shown again. */
  readonly secret?: boolean | null
  /** Whether forms leave it out; the host passes it, or the default counts. */
  readonly hidden?: boolean | null
  /** An example of a right value. */
  readonly placeholder?: string | null
  /** Where to find the value. */
  readonly helpText?: string | null
  /** An anchored regular pattern of the manifest language: see `manifest::pattern`. */
  readonly pattern?: string | null
  /** Fixed text shown before the input. */
  readonly prefix?: string | null
  /** Fixed text shown after the input, e.g. `.zendesk.com`. */
  readonly suffix?: string | null
  /** The value when none is given. */
  readonly default?: string | null
  /** The choices of a `select`. */
  readonly options?: readonly InputOption[] | null
}

/** One choice. */
export interface InputOption {
  /** What people see. */
  readonly name: string
  /** What is sent. */
  readonly value: string
}

/** A rotation of the organisation's data keys. */
export interface KeyRotation {
  /** The new key's public id. */
  readonly keyId: string
  /** The ids of the keys that it replaces. */
  readonly replaced: readonly string[]
  /** How far it is. */
  readonly state: RotationState
  /** How many values were sealed anew. */
  readonly resealed: number
  /** How many there were when it began. What was written since has the new key already and is not counted. */
  readonly total: number
  /** How many values do not open, and so cannot be sealed anew: they were damaged before. */
  readonly unreadable: number
  /** Some of them: table and row. */
  readonly unreadableRows: readonly string[]
  /** Replaced keys that stay, since unreadable values name them. */
  readonly kept: readonly string[]
  /** When it began. */
  readonly startedAt: Date
  /** When it last moved on. */
  readonly movedAt: Date
}

/** One left-hand entry of a `map`. */
export interface Label {
  /** What people see. */
  readonly name?: string | null
  /** The key in the field's value. */
  readonly value: Json
  /** Whether it takes several options. */
  readonly multiple?: boolean | null
}

/** An end customer of the organisation, keyed by the id that the organisation chose. */
export interface LinkedAccount {
  /** The organisation's own id for the customer. */
  readonly id: string
  /** Smalt's id of the record, 24 hex digits. */
  readonly recordId: string
  /** The environment it lives in. */
  readonly environment: Environment
  /** A name for people. */
  readonly name?: string | null
  /** The organisation's own facts about the customer. */
  readonly properties: Readonly<Record<string, string>>
  /** When it was made. */
  readonly createdAt: Date
  /** When it last changed. */
  readonly updatedAt: Date
}

/** Both sides of a `map_v2`. */
export interface Mapping {
  /** The organisation's side. */
  readonly lhs: MappingSide
  /** The application's side. */
  readonly rhs: MappingSide
}

/** One side of a `map_v2`. */
export interface MappingSide {
  /** The column's heading. */
  readonly name: string
  /** The choices; free text when absent. */
  readonly options?: readonly FieldOption[] | null
  /** Whether several may be chosen. */
  readonly multiple?: boolean | null
}

/** A name and its value: a header, a query parameter. */
export interface NameValue {
  /** The name. */
  readonly name: string
  /** The value. */
  readonly value: string
}

/** A new API key. */
export interface NewApiKey {
  /** What is kept of it. */
  readonly info: ApiKey
  /** The key: `tk` or `pk` and a UUID. It is never shown again. */
  readonly key: Secret
}

/** A webhook with its new secret. */
export interface NewWebhook {
  /** The webhook. */
  readonly webhook: Webhook
  /** What its deliveries are signed with: `whsec_…`. It is never shown again. */
  readonly secret: Secret
}

/** What became of one value. */
export type OwnChange =
  /** It is new. */
  | 'added'
  /** It had another value. */
  | 'updated'
  /** It is gone. */
  | 'removed'

/** A linked account's credentials for the organisation's own application ("your app" at the hosted service). */
export interface OwnCredentials {
  /** Whose they are. */
  readonly accountId: string
  /** The values by name. */
  readonly values: Readonly<Record<string, Secret>>
  /** When the first of them came. */
  readonly createdAt: Date
  /** When they last changed. */
  readonly updatedAt: Date
}

/** A callback whose code waits to be claimed. */
export interface ParkedCallback {
  /** The flow's id. */
  readonly flowId: string
  /** The linked account's id. */
  readonly accountId: string
  /**
   * Whether the flow was handed off to the browser that came back: it has shown the cookie, and whoever serves the
   * callback hands the claim in itself.
   */
  readonly handedOff: boolean
  /** Where to send the browser: the stored return URL with `flow`, `application`, `outcome`, and `claim` or `error`. */
  readonly returnTo?: string | null
  /** The one-time claim for `finish_connect`; absent when the flow failed. */
  readonly claim?: Secret | null
  /** The error code when the flow failed. */
  readonly error?: string | null
}

/** What the hosted page begins with. */
export interface Portal {
  /** The session that the page acts with. */
  readonly session: SessionInfo
  /** The environment. */
  readonly environment: Environment
  /** The config that the page edits; absent: the default one. */
  readonly configId?: string | null
  /** What was stored for the page, as it was given. */
  readonly properties: Readonly<Record<string, Json>>
  /** Where the page leads back to, if that is on the project's list now. */
  readonly returnTo?: string | null
  /** A ticket that the page may keep for a reload, where the link's own worked once. */
  readonly ticket?: Secret | null
}

/**
 * A link to the hosted page. Whoever opens it acts for the linked account: redirect its user there, or embed it for them, and put
 * it nowhere else.
 */
export interface PortalLink {
  /** The whole address; it holds the ticket. */
  readonly url: Secret
  /** When it ends by itself; it ends sooner with its session. */
  readonly expiresAt: Date
  /** Whether it works once. */
  readonly once: boolean
}

/** What a disconnect did, kept for later questions. */
export interface Receipt {
  /** 24 hex digits. */
  readonly id: string
  /** The linked account. */
  readonly accountId: string
  /** The application's slug. */
  readonly application: string
  /** The worst outcome of all connections: what to show. */
  readonly revocation: RevocationOutcome
  /** One row per connection that was removed. */
  readonly connections: readonly RevokedConnection[]
  /** The ids of the configs that were deleted. */
  readonly deletedConfigs: readonly string[]
  /** When it was asked for. */
  readonly createdAt: Date
  /** When the last revocation ended. */
  readonly finishedAt?: Date | null
}

/** What became of a grant at the provider after a disconnect. */
export type RevocationOutcome =
  /** The provider confirmed the end. */
  | 'revoked'
  /** Still being tried; ask again with the receipt's id. */
  | 'queued'
  /** The provider offers no revocation. */
  | 'unsupported'
  /** Left alive on request, since siblings share it. */
  | 'kept_shared'
  /** There was no token, or the grant was dead already. */
  | 'nothing_to_revoke'
  /** All tries were refused or unanswered; the secret is erased. */
  | 'failed'

/** One connection of a receipt. */
export interface RevokedConnection {
  /** The connection's id. */
  readonly connectionId: string
  /** Who it was. */
  readonly identity?: Identity | null
  /** What became of the grant. */
  readonly revocation: RevocationOutcome
  /** How often the provider was asked. */
  readonly attempts: number
  /** Ids of the connections that shared the grant. */
  readonly siblings: readonly string[]
}

/** How far a rotation of the data keys is. */
export type RotationState =
  /** Everything that is sealed is sealed anew under the new key, which all new values have already. */
  | 'resealing'
  /** Nothing can be sealed under the replaced keys any more; everything is looked at once more. */
  | 'checking'
  /** The replaced keys are dropped. */
  | 'done'

/** One column of a rule. */
export interface RuleColumn {
  /** The heading. */
  readonly name: string
  /** `text` or `select`. */
  readonly type: string
  /** The choices. */
  readonly options: readonly FieldOption[]
}

/** The columns of a rule that depend on its left side. */
export interface RuleColumns {
  /** The right side. */
  readonly rhs: RuleColumn
  /** The operators. */
  readonly operator: RuleColumn
}

/** A session token of one linked account, for browsers, phones and SDKs. */
export interface SessionInfo {
  /** The session's id, 24 hex digits. */
  readonly id: string
  /** The linked account it speaks for. */
  readonly accountId: string
  /** The bearer token. */
  readonly token: Secret
  /** When it was made. */
  readonly createdAt: Date
  /** When it ends by itself. */
  readonly expiresAt: Date
  /** The seconds until then, when this was answered. */
  readonly expiresIn?: number | null
}

/** What `start_connect` answers: send the user to `authorize_url`, and set the cookie in the user's browser. */
export interface StartedConnect {
  /** The flow's id. */
  readonly flowId: string
  /** The provider's page, complete with state and challenge; of the device flow, with the user code where the provider can. */
  readonly authorizeUrl: string
  /** Where the provider sends the user back; empty in the device flow. */
  readonly redirectUri: string
  /** Binds the browser that begins to the one that ends. */
  readonly cookie: StateCookie
  /** When the user must be back. */
  readonly expiresAt: Date
  /** The device flow: what to show. Nobody comes back from it; wait for the flow. */
  readonly device?: DevicePrompt | null
}

/** The cookie that binds a browser to a flow. Random, one per flow. */
export interface StateCookie {
  /** `__Host-smalt-` and the flow's id, so that two tabs do not overwrite each other. */
  readonly name: string
  /** 256 random bits. */
  readonly value: Secret
  /** Seconds until it may be dropped. */
  readonly maxAge: number
}

/** What an upsert did. */
export interface UpsertedAccount {
  /** The linked account as it is now. */
  readonly account: LinkedAccount
  /** Whether it was made just now. */
  readonly isNew: boolean
}

/** A place of the organisation that is told what happens. Debug hides where it is: the URL may be a secret itself, as Slack's are. */
export interface Webhook {
  /** 24 hex digits. */
  readonly id: string
  /** Where deliveries go. */
  readonly url: Secret
  /** What it is told. */
  readonly events: readonly WebhookEvent[]
  /** Whether it is told anything now. What happens while it is not is not sent later. */
  readonly enabled: boolean
  /** `POST`, `PUT` or `PATCH`. */
  readonly method: string
  /** What it is sent. */
  readonly kind: WebhookKind
  /** Further headers of its deliveries. */
  readonly headers: Readonly<Record<string, Secret>>
  /** The template of a custom one. */
  readonly body?: Json
  /** For people. */
  readonly description?: string | null
  /** For people: several webhooks may have one. */
  readonly group?: string | null
  /** Workflows of this application only. */
  readonly application?: string | null
  /** These workflows only; empty: all. */
  readonly workflows: readonly string[]
  /** Since when every try failed. */
  readonly failingSince?: Date | null
  /** Why it was disabled, where that was not done by hand: `failing` or `gone`. */
  readonly disabledBecause?: string | null
  /** When a replaced secret ends that still signs. */
  readonly oldSecretUntil?: Date | null
  /** When it was made. */
  readonly createdAt: Date
  /** When it was last changed. */
  readonly updatedAt: Date
}

/** What a webhook can be told. */
export type WebhookEvent =
  /** A connection became active: new, authorised again, or good again after it had expired. */
  | 'connection.created'
  /** A connection was removed. */
  | 'connection.deleted'
  /** A connection cannot be used. */
  | 'connection.expired'
  /** A workflow ran to its end. */
  | 'workflow.completed'
  /** A workflow failed. */
  | 'workflow.errored'
  /** A workflow was stopped. */
  | 'workflow.stopped'
  /** A workflow's time was over. */
  | 'workflow.timed_out'

/** What a webhook is sent. */
export type WebhookKind =
  /** The event. */
  | 'default'
  /** A message that Slack shows. */
  | 'slack'
  /** What its own template makes of the event. */
  | 'custom'

/** A workflow that the organisation offers, and its switch. */
export interface Workflow {
  /** The workflow's id. */
  readonly id: string
  /** The name for people. */
  readonly name: string
  /** What it does. */
  readonly description: string
  /** Its icon. */
  readonly icon?: string | null
  /** The switch. */
  readonly enabled: boolean
  /** The page that shows it. */
  readonly page?: string | null
  /** Its own fields. */
  readonly fields: readonly Field[]
}

/** What to set on a linked account; absent keys stay as they are. */
export interface AccountUpdate {
  /** A name for people. */
  readonly name?: string | null | undefined
  /** Replaces the whole set when present. */
  readonly properties?: Readonly<Record<string, string>> | null | undefined
}

/** A request's body with its content type. Debug shows the size only. */
export interface ApiBody {
  /** The media type, e.g. `application/json`. */
  readonly contentType: string
  /** The bytes. */
  readonly content: Uint8Array | string
}

/** What to change; everything that is not listed stays. */
export interface ConfigUpdate {
  /** Values by field id; `null` clears. */
  readonly fields?: Readonly<Record<string, unknown>> | undefined
  /** Switches and values by workflow id. */
  readonly workflows?: Readonly<Record<string, WorkflowUpdate>> | undefined
  /** Labels for `map` fields; absent keeps the stored ones. */
  readonly labels?: Labels | null | undefined
  /** The version that the caller saw; another one in the store is a `config_conflict`. */
  readonly version?: number | null | undefined
}

/** What an embedded engine is opened with: values only. What is left out keeps its default. */
export interface EmbeddedOptions {
  /** The store's file, made when it is missing. Absent: in memory, gone when the engine is closed. */
  readonly path?: string | null | undefined
  /** The project: its file's path, which is read again when it changes, or the project itself. Absent: an empty project. */
  readonly project?: ProjectOption | null | undefined
  /** The organisation, in the place of the project's `org.id`. */
  readonly organisation?: string | null | undefined
  /** Test (the default) or production. */
  readonly environment?: Environment | null | undefined
  /** The master key's text. Absent: the key provider, `key_file`, then `SMALT_KEY` and `SMALT_KEY_FILE`. */
  readonly key?: Secret | string | null | undefined
  /** The file that holds the master key. */
  readonly keyFile?: string | null | undefined
  /** Makes a new master key that nobody keeps, for stores in memory. */
  readonly throwawayKey?: boolean | undefined
  /** Enables the sandbox applications in the project. */
  readonly sandbox?: boolean | undefined
  /** Applications as data, beside the built-in ones and the project's folders. */
  readonly manifests?: readonly AppManifest[] | undefined
  /** Where the engine is reached from outside, in the place of the project's `org.public_url`. */
  readonly publicUrl?: string | null | undefined
  /** Sends the organisation's webhooks from this engine. */
  readonly deliverWebhooks?: boolean | undefined
  /** How long things take. */
  readonly timings?: Timings | undefined
  /** Opens authorize pages, where no presenter of the host does. */
  readonly presenter?: PresenterOption | null | undefined
  /** Who asks, for the audit; default `organisation`. */
  readonly actor?: string | null | undefined
}

/** Left-hand entries of `map` fields, supplied by the caller. */
export type Labels = readonly Label[] | Readonly<Record<string, readonly Label[]>>

/** How the next page of a list is named. */
export type PageStyle =
  /** By a value in the page. */
  | 'cursor'
  /** By a URL: in the `Link` header (RFC 8288), or in the page. */
  | 'link'
  /** By how many items to skip. */
  | 'offset'
  /** By a number. */
  | 'page'

/** How a list comes in pages. */
export interface Pagination {
  /** How the next page is named. */
  readonly style: PageStyle
  /** JSON pointer of the list in a page, `""` for the page itself. Absent: the page itself, or the only list in it. */
  readonly items?: string | null | undefined
  /** JSON pointer of the next page's cursor, or of its URL with style `link`, which otherwise reads the `Link` header. */
  readonly next?: string | null | undefined
  /** JSON pointer of a boolean: `false` says that this page is the last one. */
  readonly more?: string | null | undefined
  /**
   * The parameter that names the page; default `cursor`, `offset` or `page`. It goes into the body of a call that has a JSON
   * object there, else into the query.
   */
  readonly param?: string | null | undefined
  /** The number of the first page or item; default 1 for `page`, 0 for `offset`. */
  readonly start?: number | null | undefined
  /** The parameter that says how many items a page has; sent with `size`. */
  readonly sizeParam?: string | null | undefined
  /** How many items a page has; a page with fewer is the last one with `offset` and `page`. */
  readonly size?: number | null | undefined
}

/** The presenters that are in the box. */
export type PresenterOption = 'browser' | 'print' | { readonly consents: string } | { readonly denies: string }

/** The project, by its file or as it is. */
export type ProjectOption = string | Project

/** What `disconnect` does about other connections that share the provider's grant. */
export type SiblingPolicy =
  /** Answer `shared_grant`, naming them, and change nothing (the default). */
  | 'ask'
  /** Disconnect here, but leave the grant alive at the provider. */
  | 'keep'
  /** Revoke the grant; the siblings are marked as expired. */
  | 'kill'

/**
 * How long things take. The defaults are for production; tests shorten them. In JSON each is a number of seconds, and what is
 * left out keeps its default.
 */
export interface Timings {
  /**
   * How long a user may stay at the provider. Default 10 minutes.
   * In milliseconds.
   */
  readonly flowLifetime?: number | undefined
  /**
   * How long a parked code waits for its claim. Default 60 s.
   * In milliseconds.
   */
  readonly park?: number | undefined
  /**
   * A provider's time for one call. Default 10 s; shorter than the lease.
   * In milliseconds.
   */
  readonly provider?: number | undefined
  /**
   * How long a refresh may hold its connection. Default 14 s.
   * In milliseconds.
   */
  readonly lease?: number | undefined
  /**
   * No second refresh within this time after a failed one. Default 30 s.
   * In milliseconds.
   */
  readonly cooldown?: number | undefined
  /**
   * How often due connections are looked for, to renew them before their tokens end. Default once a second; `None` looks never in
   * this engine. How they are renewed stands in the project: [`crate::project::RefreshSettings`].
   * In milliseconds.
   */
  readonly ahead?: number | null | undefined
  /**
   * The first wait before a grant that the provider refuses for now is tried again; it doubles, up to a day. Default 5 minutes.
   * In milliseconds.
   */
  readonly suspended?: number | undefined
  /**
   * A plugin's time for one call. Default 10 s.
   * In milliseconds.
   */
  readonly plugin?: number | undefined
  /**
   * How often other processes' changes are looked for. Default 250 ms.
   * In milliseconds.
   */
  readonly poll?: number | undefined
  /**
   * The first wait before a revocation is tried again; it doubles. Default 5 s.
   * In milliseconds.
   */
  readonly revokeBackoff?: number | undefined
  /** How often a revocation is tried. Default 14 (about 45 hours). */
  readonly revokeAttempts?: number | undefined
  /**
   * The first wait before a delivery to a webhook is tried again; it doubles, up to 6 hours, and is spread. Default 5 s.
   * In milliseconds.
   */
  readonly webhookBackoff?: number | undefined
  /** How often a delivery is tried. Default 14 (about 45 hours). */
  readonly webhookAttempts?: number | undefined
  /**
   * A webhook to which every try failed for so long is disabled. Default 3 days.
   * In milliseconds.
   */
  readonly webhookPatience?: number | undefined
  /**
   * Credential reads within this time share one audit row. Default 60 s.
   * In milliseconds.
   */
  readonly readWindow?: number | undefined
  /**
   * How long events, the log of deliveries and runs of workflows are kept. Default 30 days.
   * In milliseconds.
   */
  readonly eventRetention?: number | undefined
  /**
   * How long ended flows and sessions are kept. Default 24 hours.
   * In milliseconds.
   */
  readonly flowRetention?: number | undefined
  /** How many credentials are kept in memory. Default 20,000. */
  readonly cachedCredentials?: number | undefined
}

/** `create_webhook`, which needs `url` and `events`; and what `update_webhook` sets: absent fields stay as they are. */
export interface WebhookSettings {
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

/** A workflow's change. */
export type WorkflowUpdate = boolean | { readonly enabled?: boolean | null | undefined; readonly fields?: Readonly<Record<string, unknown>> | undefined }
