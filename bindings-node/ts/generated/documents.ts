// Made from core's schema by scripts/generate.mjs. Do not edit.
// The project and manifests, in the form of their files: TOML, JSON and these have the same names.

/** How answers are written. */
export type AnswerFormat =
  /** JSON, or a form. */
  | 'auto'
  /** XML. */
  | 'xml'

/** How the API is called. */
export interface Api {
  /** Template, ends with `/`. Relative paths of `request` are resolved against it. */
  readonly base_url?: string | null | undefined
  /** Templates: headers of every call, e.g. a version. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Where the access token goes; default `Authorization: Bearer {access_token}`. Key-based placement stands under `keybased`. */
  readonly placement?: Placements | null | undefined
  /** When to wait and try again. */
  readonly rate_limit?: RateLimit | undefined
  /** Whether calls present the client's certificate, as tokens that are bound to it demand (RFC 8705 section 3). Default false. */
  readonly client_certificate?: boolean | undefined
  /** How its lists come in pages; a call may say otherwise. */
  readonly pagination?: Pagination | null | undefined
}

/** One application. Texts marked *template* may hold `{placeholders}`: see `manifest::template`. */
export interface AppManifest {
  /** The manifest language's version: 1. */
  readonly manifest: number
  /** The manifest that this one is a variant of, by its slug: what is not said here is as it says. */
  readonly extends?: string | null | undefined
  /** Keys of the manifest above that do not hold here, e.g. `oauth2.revoke`. */
  readonly without?: readonly string[] | undefined
  /** Whether this is no application of its own but what others extend; default false. Never inherited. */
  readonly abstract?: boolean | undefined
  /** The stable name: lower-case letters, digits and `-`. */
  readonly slug: string
  /** The name for people. */
  readonly name: string
  /** One sentence about it. */
  readonly description: string
  /** Sorting words. */
  readonly categories?: readonly string[] | undefined
  /** Help shown above the connect form. */
  readonly help?: string | null | undefined
  /** Pages for the developer: `docs`, `console` (where OAuth clients are made), `status`. */
  readonly links?: Readonly<Record<string, string>> | undefined
  /** How it looks. */
  readonly brand?: Brand | undefined
  /** How its API is called. */
  readonly api?: Api | undefined
  /** OAuth 2.0, when it offers that. */
  readonly oauth2?: Oauth2 | null | undefined
  /** OAuth 1.0a with three legs, when it offers that in place of OAuth 2.0. */
  readonly oauth1?: Oauth1 | null | undefined
  /** Keys, when it offers that. */
  readonly keybased?: Keybased | null | undefined
  /** Values that are the same for everyone, which the project may set under `apps.<slug>.variables`. */
  readonly variables?: Readonly<Record<string, Variable>> | undefined
  /** Where the facts above come from. */
  readonly facts?: readonly Fact[] | undefined
}

/** One application's settings. */
export interface AppSettings {
  /** Whether it is offered. Default true. */
  readonly enabled?: boolean | undefined
  /** The OAuth client, per environment. */
  readonly client?: Readonly<Record<string, Client>> | undefined
  /** Where the provider registers clients for those only who have a token of its own (RFC 7591 section 3): that one. */
  readonly registration_token?: SecretRef | null | undefined
  /** The scopes to ask for, beside the required ones; absent: the manifest's default. */
  readonly scopes?: readonly string[] | null | undefined
  /** Replaces the key-based input fields of the manifest. */
  readonly inputs?: readonly InputField[] | null | undefined
  /** Replaces the manifest's verify request by none. */
  readonly skip_verify?: boolean | undefined
  /** Overrides of how it looks, e.g. artwork that may not be shipped; what it leaves out is as the manifest says. */
  readonly brand?: Brand | null | undefined
  /** The application's own settings. */
  readonly fields?: readonly FieldDef[] | undefined
  /** The workflows that are offered. */
  readonly workflows?: readonly WorkflowDef[] | undefined
  /** Values for placeholders of the manifest that are the same for everyone. */
  readonly variables?: Readonly<Record<string, string>> | undefined
}

/** How a provider's callback differs from RFC 6749 section 4.1.2. */
export interface AuthorizeCallback {
  /** The parameter with the code; default `code`. */
  readonly code?: string | null | undefined
  /** The parameter with the error; default `error`. */
  readonly error?: string | null | undefined
  /** Errors that mean that the user did not consent; default `access_denied`. */
  readonly denied?: readonly string[] | undefined
  /** Where the state travels; default `param`. */
  readonly state?: StateIn | undefined
  /**
   * The parameter that proves the others: the hexadecimal HMAC-SHA256 of all others, sorted and joined as `name=value`
   * with `&`, under the client's secret. Without a right one the callback is refused.
   */
  readonly hmac?: string | null | undefined
}

/** How an application looks. */
export interface Brand {
  /** The icon: an https URL or a `data:` URI. Absent where the licence forbids shipping one; the project supplies it. */
  readonly icon?: string | null | undefined
  /** The brand colour, `#rrggbb`. */
  readonly color?: string | null | undefined
  /** The connect button. */
  readonly button?: BrandButton | undefined
}

/** A branded connect button. */
export interface BrandButton {
  /** At rest. */
  readonly normal?: ButtonState | undefined
  /** Under the pointer. */
  readonly hover?: ButtonState | undefined
  /** The provider's rules for such buttons. */
  readonly guidelines_url?: string | null | undefined
  /** Whether the provider mandates its own artwork, which the project must then supply as `image`. */
  readonly mandated?: boolean | undefined
}

/** One state of the button: an image, or text and colours. */
export interface ButtonState {
  /** The provider's own artwork, an https URL or a `data:` URI. */
  readonly image?: string | null | undefined
  /** The text. */
  readonly label?: string | null | undefined
  /** The background colour. */
  readonly background?: string | null | undefined
  /** The text colour. */
  readonly foreground?: string | null | undefined
  /** The border colour. */
  readonly border?: string | null | undefined
}

/** An OAuth client that the organisation registered. */
export interface Client {
  /** The client's id. */
  readonly id: string
  /** The client's secret; absent for a public client. */
  readonly secret?: SecretRef | null | undefined
  /** Its certificate in PEM form, by which it proves itself (RFC 8705), with those that vouch for it; it may hold the key too. */
  readonly certificate?: SecretRef | null | undefined
  /** The private key of the certificate, in PEM form. */
  readonly certificate_key?: SecretRef | null | undefined
  /** The redirect URI registered for it; default the project's own. */
  readonly redirect_uri?: string | null | undefined
}

/** How the client proves itself (RFC 6749 section 2.3, RFC 7523 section 2.2, RFC 8705 section 2). */
export type ClientAuth =
  /** HTTP Basic. */
  | 'basic'
  /** `client_id` and `client_secret` in the body. */
  | 'body'
  /** `client_id` only: a public client. */
  | 'none'
  /** A JWT that the client's private key signs. */
  | 'private_key_jwt'
  /** A JWT that the client's secret signs. */
  | 'client_secret_jwt'
  /** The client's certificate, which an authority signed (RFC 8705 section 2.1). */
  | 'tls_client_auth'
  /** The client's certificate, which it signed itself (RFC 8705 section 2.2). */
  | 'self_signed_tls_client_auth'

/** A value that is kept: its place, or a place with a check. */
export type Copied = string | CopiedFrom

/** A value that is checked before it is kept. */
export interface CopiedFrom {
  /** The place: a JSON pointer in an answer, a parameter's name in a callback. */
  readonly from: string
  /** What the value must look like. Where the pattern has a group `(?<value>…)`, that part is kept. */
  readonly pattern?: string | null | undefined
  /** Whether the connection may do without it; default false. */
  readonly optional?: boolean | undefined
}

/** The device flow (RFC 8628): the user enters a code at the provider's page, on any device. */
export interface Device {
  /** Template: the device authorization URL. */
  readonly url: string
  /** Templates: more parameters of the first request. */
  readonly params?: Readonly<Record<string, string>> | undefined
  /** Whether the first request carries a PKCE challenge; default `off`, which RFC 8628 has. */
  readonly pkce?: Pkce | undefined
  /** How the client proves itself in both requests; default as at the token URL. */
  readonly client_auth?: ClientAuth | null | undefined
}

/** How a stated end of a token is to be read. */
export type ExpiresUnit =
  /** Seconds from now; more than ten years is taken for a time, in seconds or milliseconds since 1970. */
  | 'auto'
  /** Seconds from now. */
  | 'seconds'
  /** Minutes from now. */
  | 'minutes'
  /** Milliseconds from now. */
  | 'milliseconds'
  /** A time, in seconds since 1970. */
  | 'at_seconds'
  /** A time, in milliseconds since 1970. */
  | 'at_milliseconds'
  /** A time as RFC 3339 writes it, e.g. `2026-11-25T12:00:00Z`. */
  | 'at_date'

/** Where facts come from. */
export interface Fact {
  /** The keys it speaks of, e.g. `oauth2.token_url`, `brand.color`. */
  readonly about: readonly string[]
  /** The page that says so. */
  readonly source: string
  /** When it was read there, `YYYY-MM-DD`. */
  readonly date: string
  /** What is worth knowing beside. */
  readonly note?: string | null | undefined
}

/** One setting that the user of a linked account can make. */
export interface FieldDef {
  /** Unique within the application's fields or the workflow. */
  readonly id?: string | undefined
  /** The label for people. */
  readonly name?: string | undefined
  /** What it holds. Default `text`. */
  readonly type?: FieldType | undefined
  /** Whether it should be set. */
  readonly required?: boolean | undefined
  /** Whether user interfaces skip it. */
  readonly hidden?: boolean | undefined
  /** Whether it holds several values. */
  readonly multiple?: boolean | undefined
  /** Help for people. */
  readonly help?: string | null | undefined
  /** An example. */
  readonly placeholder?: string | null | undefined
  /** Used when no value is set. */
  readonly default?: unknown | undefined
  /** Fixed choices. */
  readonly options?: readonly FieldOption[] | undefined
  /** The name that the connector's `options` is asked for. */
  readonly options_from?: string | null | undefined
  /** The id of the field whose value this one depends on. */
  readonly parent?: string | null | undefined
  /** The page that shows it. */
  readonly page?: string | null | undefined
  /** Fixed left-hand entries of a `map`. */
  readonly labels?: readonly Label[] | undefined
  /** The object whose labels the caller supplies. */
  readonly label_object?: string | null | undefined
  /** Both sides of a `map_v2`. */
  readonly mapping?: Mapping | null | undefined
  /** The rule columns, by left side; a left side that is not listed takes free text and the default operators. */
  readonly rules?: readonly RuleDef[] | undefined
}

/** One choice. */
export interface FieldOption {
  /** What people see. */
  readonly name?: string | null | undefined
  /** What is stored: a string, number or boolean. */
  readonly value: unknown
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

/** Who the user is at the provider. */
export interface IdentityRequest {
  /** Template, or a path below the API's base URL. Absent: read from the token answer. */
  readonly url?: string | null | undefined
  /** `GET` by default. */
  readonly method?: string | null | undefined
  /** JSON pointer of the stable id; or a template of copied values, e.g. `{realm_id}`. */
  readonly id: string
  /** JSON pointer of what people recognise, or a template of copied values. */
  readonly label?: string | null | undefined
}

/** One value that the user enters to connect. */
export interface InputField {
  /** The key in `connect(app, inputs)`. */
  readonly name: string
  /** The label for people. */
  readonly label: string
  /** `text`, `password`, `number`, `boolean`, `select` or `textarea`. */
  readonly type?: 'text' | 'password' | 'number' | 'boolean' | 'select' | 'textarea' | undefined
  /** Whether it must be given; default true. */
  readonly required?: boolean | undefined
  /** Whether it is a secret: stored sealed, never shown again. */
  readonly secret?: boolean | undefined
  /** Whether forms leave it out; the host passes it, or the default counts. */
  readonly hidden?: boolean | undefined
  /** An example of a right value. */
  readonly placeholder?: string | null | undefined
  /** Where to find the value. */
  readonly help_text?: string | null | undefined
  /** An anchored regular pattern of the manifest language: see `manifest::pattern`. */
  readonly pattern?: string | null | undefined
  /** Fixed text shown before the input. */
  readonly prefix?: string | null | undefined
  /** Fixed text shown after the input, e.g. `.zendesk.com`. */
  readonly suffix?: string | null | undefined
  /** The value when none is given. */
  readonly default?: string | null | undefined
  /** The choices of a `select`. */
  readonly options?: readonly InputOption[] | undefined
}

/** One choice. */
export interface InputOption {
  /** What people see. */
  readonly name: string
  /** What is sent. */
  readonly value: string
}

/** A signed JWT (RFC 7519). `iat`, `exp` and a fresh `jti` are set by Smalt, each time anew. */
export interface Jwt {
  /** How it is signed; default `RS256`, and `HS256` for `client_secret_jwt`. */
  readonly algorithm?: JwtAlgorithm | null | undefined
  /** Template: the private key in PEM form, or the secret. A client's is its secret of the project file. */
  readonly key?: string | null | undefined
  /** Templates: more of the header, e.g. `kid`. */
  readonly header?: Readonly<Record<string, string>> | undefined
  /**
   * Templates: `iss`, `sub`, `aud` and others; `{scope}` is what is asked for. One whose optional input was left
   * empty is left out. `aud` is the token URL by default; a client's `iss` and `sub` are its id.
   */
  readonly claims?: Readonly<Record<string, string>> | undefined
  /** Seconds from `iat` to `exp`; default 300. */
  readonly lifetime?: number | null | undefined
}

/** How a JWT is signed (RFC 7518 section 3.1). */
export type JwtAlgorithm =
  /** RSA PKCS #1 v1.5 with SHA-256. */
  | 'RS256'
  /** RSA PKCS #1 v1.5 with SHA-384. */
  | 'RS384'
  /** RSA PKCS #1 v1.5 with SHA-512. */
  | 'RS512'
  /** RSA PSS with SHA-256. */
  | 'PS256'
  /** ECDSA on P-256 with SHA-256. */
  | 'ES256'
  /** ECDSA on P-384 with SHA-384. */
  | 'ES384'
  /** HMAC with SHA-256: the key is the secret text itself. */
  | 'HS256'

/** How entered values become an access token. */
export type KeyGrant =
  /** OAuth 2.0 client credentials (RFC 6749 section 4.4). */
  | 'client_credentials'
  /** A JWT that the values sign (RFC 7523 section 2.1), e.g. of a service account. */
  | 'jwt_bearer'
  /** A login request of the application's own form. */
  | 'login'

/** How entered values become an access token. There is no refresh token: when the token ends, the request is made again. */
export interface KeyToken {
  /** The kind of request. */
  readonly grant: KeyGrant
  /** Template: where the token comes from. */
  readonly url: string
  /** Whose client it is; default `project` for `client_credentials`, `none` for the others. */
  readonly client?: TokenClient | null | undefined
  /** How the client proves itself; default `basic`. */
  readonly client_auth?: ClientAuth | undefined
  /** The client's JWT, for `private_key_jwt` and `client_secret_jwt`. */
  readonly client_assertion?: Jwt | null | undefined
  /** `jwt_bearer`: the JWT that is exchanged. `login`: its templates may name it as `{assertion}`. */
  readonly assertion?: Jwt | null | undefined
  /** `POST` by default. */
  readonly method?: string | null | undefined
  /** Templates: more parameters; of a `login`, all of them. */
  readonly params?: Readonly<Record<string, string>> | undefined
  /** Templates: more headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Where the values go in the request itself, e.g. HTTP Basic; beside `params`. */
  readonly placement?: Placement | null | undefined
  /** The request's form; default `form`. */
  readonly body?: TokenBody | undefined
  /** `login`: template of the XML document that the request sends, in place of `params` and `body`. Values are escaped. */
  readonly xml?: string | null | undefined
  /** What is asked for. */
  readonly scopes?: Scopes | undefined
  /** Where the values stand in the answer. */
  readonly answer?: TokenAnswer | undefined
  /** Renew this many seconds before the end; default 60. */
  readonly early?: number | null | undefined
  /** Statuses that mean that the values are refused; default 401 and 403, where the values prove the request. */
  readonly rejected?: readonly number[] | undefined
  /** Provider error codes that mean that the values are refused; default `invalid_grant`. */
  readonly final_errors?: readonly string[] | undefined
  /** Provider error codes that mean that the client is refused; default `invalid_client`, `unauthorized_client`. */
  readonly client_errors?: readonly string[] | undefined
  /** Values to keep from the answer: property name to JSON pointer. */
  readonly copy_from_token?: Readonly<Record<string, Copied>> | undefined
  /**
   * JSON pointer, in the answer, of the stable id of who it is; or a template of inputs that are no secrets and copied
   * values. `keybased.verify` goes before it.
   */
  readonly id?: string | null | undefined
  /** The same of what people recognise. */
  readonly label?: string | null | undefined
  /** How a token is ended; absent where the provider offers nothing. */
  readonly revoke?: Revoke | null | undefined
}

/** Keys. */
export interface Keybased {
  /** What the user must enter. */
  readonly inputs: readonly InputField[]
  /** Where the values go in a request; templates name the inputs, and `{access_token}` where there is a `token`. */
  readonly placement: Placements
  /** How the values become an access token; absent where they are sent themselves. */
  readonly token?: KeyToken | null | undefined
  /** The request that proves them. */
  readonly verify?: VerifyRequest | null | undefined
}

/** One left-hand entry of a `map`. */
export interface Label {
  /** What people see. */
  readonly name?: string | null | undefined
  /** The key in the field's value. */
  readonly value: unknown
  /** Whether it takes several options. */
  readonly multiple?: boolean | undefined
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
  readonly options?: readonly FieldOption[] | null | undefined
  /** Whether several may be chosen. */
  readonly multiple?: boolean | undefined
}

/** Other URLs for clients that prove themselves by a certificate: servers may listen elsewhere for them (RFC 8705 section 5). */
export interface MtlsAliases {
  /** Template, in place of `token_url`. */
  readonly token_url?: string | null | undefined
  /** Template, in place of `revoke.url`. */
  readonly revoke_url?: string | null | undefined
  /** Template, in place of `device.url`. */
  readonly device_url?: string | null | undefined
}

/** Where requests may go. */
export interface Network {
  /** Hosts (`host` or `host:port`) that may be private, and be called over plain http, e.g. a provider on your own network. */
  readonly allow?: readonly string[] | undefined
}

/** OAuth 1.0a with three legs (RFC 5849 section 2). The client is that of the project file: consumer key and secret. */
export interface Oauth1 {
  /** Template: where the temporary credentials come from. */
  readonly request_token_url: string
  /** Template. */
  readonly authorize_url: string
  /** Template: where the token comes from. */
  readonly access_token_url: string
  /** How requests are signed; default `HMAC-SHA1`. */
  readonly signature?: Oauth1Signature | undefined
  /** Template: the realm of the Authorization header. */
  readonly realm?: string | null | undefined
  /** Templates: more parameters of the authorize URL, e.g. the scope. */
  readonly authorize_params?: Readonly<Record<string, string>> | undefined
  /** Values to keep from the token answer: property name to JSON pointer. */
  readonly copy_from_token?: Readonly<Record<string, Copied>> | undefined
  /** How a token is ended: a signed request; absent where the provider offers nothing. */
  readonly revoke?: Oauth1Revoke | null | undefined
  /** What the user must enter first. */
  readonly inputs?: readonly InputField[] | undefined
  /** Who the user is at the provider. */
  readonly identity?: IdentityRequest | null | undefined
}

/** How an OAuth 1.0a token is ended. */
export interface Oauth1Revoke {
  /** Template; may name `{token}`. */
  readonly url: string
  /** `POST` by default. */
  readonly method?: string | null | undefined
  /** Statuses that mean that the token was dead already; 401 is one by default. */
  readonly gone_statuses?: readonly number[] | undefined
}

/** How OAuth 1.0a requests are signed (RFC 5849 section 3.4). */
export type Oauth1Signature =
  /** HMAC-SHA1, which the RFC defines. */
  | 'HMAC-SHA1'
  /** HMAC-SHA256, which some providers demand. */
  | 'HMAC-SHA256'

/** OAuth 2.0 authorization code. */
export interface Oauth2 {
  /** Template: the page where the user consents. Absent where the provider offers the device flow alone. */
  readonly authorize_url?: string | undefined
  /** Template: where codes and refresh tokens are exchanged. May name values of `copy_from_callback`. */
  readonly token_url: string
  /** Template; default `token_url`. */
  readonly refresh_url?: string | null | undefined
  /** The issuer, where the provider states it in the callback (RFC 9207); then it is required there. */
  readonly issuer?: string | null | undefined
  /** Templates: more parameters of the authorize URL. An empty text leaves a parameter of Smalt's own out. */
  readonly authorize_params?: Readonly<Record<string, string>> | undefined
  /**
   * Templates: more parameters of the token request. An empty text leaves a parameter of Smalt's own out, so that it can go by
   * another name: `{ code = "", auth_code = "{code}" }`.
   */
  readonly token_params?: Readonly<Record<string, string>> | undefined
  /** Templates: more parameters of the refresh request; an empty text as in `token_params`. */
  readonly refresh_params?: Readonly<Record<string, string>> | undefined
  /** Templates: more headers of both. */
  readonly token_headers?: Readonly<Record<string, string>> | undefined
  /** PKCE; default `S256`. */
  readonly pkce?: Pkce | undefined
  /** How the client proves itself at the token URL; default `basic`. */
  readonly client_auth?: ClientAuth | undefined
  /** The client's JWT, for `private_key_jwt` and `client_secret_jwt`. */
  readonly client_assertion?: Jwt | null | undefined
  /** The device flow, where the provider offers it. */
  readonly device?: Device | null | undefined
  /** Other URLs for clients that prove themselves by a certificate (RFC 8705 section 5). */
  readonly mtls_endpoint_aliases?: MtlsAliases | null | undefined
  /** How a client is registered, where the provider wants one for each who asks. */
  readonly registration?: Registration | null | undefined
  /** The token request's form; default `form`. */
  readonly token_body?: TokenBody | undefined
  /** The method of token and refresh requests: `POST` (default), or `GET`, which puts the parameters into the query. */
  readonly token_method?: 'POST' | 'GET' | null | undefined
  /** What is asked for. */
  readonly scopes?: Scopes | undefined
  /** Where the values stand in the token answer. */
  readonly answer?: TokenAnswer | undefined
  /** How tokens are renewed. */
  readonly refresh?: Refresh | undefined
  /** How a grant is ended; absent where the provider offers nothing. */
  readonly revoke?: Revoke | null | undefined
  /** How the provider's callback differs from RFC 6749. */
  readonly callback?: AuthorizeCallback | undefined
  /** Values to keep from the token answer: property name to JSON pointer, or with a check. */
  readonly copy_from_token?: Readonly<Record<string, Copied>> | undefined
  /** Values to keep from the callback's query: property name to parameter, or with a check. */
  readonly copy_from_callback?: Readonly<Record<string, Copied>> | undefined
  /** Requests that follow the exchange, in this order: look something up, or swap the token for another one. */
  readonly steps?: readonly Step[] | undefined
  /** What the user must enter first, e.g. a shop's name. */
  readonly inputs?: readonly InputField[] | undefined
  /** Who the user is at the provider. */
  readonly identity?: IdentityRequest | null | undefined
}

/** The organisation. */
export interface Org {
  /** Its id; part of every row. Default `default`. */
  readonly id?: string | undefined
  /** Its name, for people. */
  readonly name?: string | undefined
  /** Where its backend is reached from outside; redirect URIs are built on it, never on a request's headers. */
  readonly public_url?: string | null | undefined
  /**
   * Where users may be sent back to: exact origins, full URLs, and for native apps `com.example.app:/path` (a private-use scheme in
   * reverse-DNS form) or `http://127.0.0.1/path`, whose port is free (RFC 8252 section 7).
   */
  readonly return_to?: readonly string[] | undefined
  /** Exact origins whose pages may call the HTTP API from a browser. Empty: any, without credentials of the browser. */
  readonly origins?: readonly string[] | undefined
  /** Redirect URIs, beside the project's own, that `start_connect` may be given. */
  readonly redirect_uris?: readonly string[] | undefined
}

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
  readonly size_param?: string | null | undefined
  /** How many items a page has; a page with fewer is the last one with `offset` and `page`. */
  readonly size?: number | null | undefined
}

/** The item of a list that is meant: the first that fits. */
export interface Pick {
  /** JSON pointer of the list; the empty text is the whole answer. */
  readonly list: string
  /** What the item holds; a text may name values, e.g. `https://{site}.example.com`. Absent: the first item. */
  readonly where?: Success | null | undefined
}

/** Proof key for code exchange (RFC 7636). */
export type Pkce =
  /** On. */
  | 'S256'
  /** On, with the verifier itself as challenge, for providers that know no other: weaker than S256. */
  | 'plain'
  /** Off, for providers that refuse it. */
  | 'off'

/** Where a credential goes in a request. */
export type Placement = { readonly in: 'header'; readonly name: string; readonly value: string } | { readonly in: 'query'; readonly name: string; readonly value: string } | { readonly in: 'basic'; readonly username: string; readonly password: string } | { readonly in: 'body'; readonly name: string; readonly value: string } | { readonly in: 'xml'; readonly path: string; readonly value: string } | { readonly in: 'oauth1'; readonly consumer_key: string; readonly consumer_secret: string; readonly token: string; readonly token_secret: string; readonly signature?: Oauth1Signature | undefined; readonly realm?: string | null | undefined }

/** One place or several. */
export type Placements = Placement | readonly Placement[]

/** The hosted page, on which users connect and set applications. */
export interface PortalSettings {
  /** Exact origins whose pages may show it in a frame. Empty: none; it can be redirected to all the same. */
  readonly embed?: readonly string[] | undefined
}

/** The whole project. */
export interface Project {
  /** The project file's version: 1. */
  readonly version: number
  /** The organisation. */
  readonly org?: Org | undefined
  /** Session tokens. */
  readonly sessions?: Sessions | undefined
  /** The hosted page. */
  readonly portal?: PortalSettings | undefined
  /** Where requests may go. */
  readonly network?: Network | undefined
  /** How tokens are renewed before they end. */
  readonly refresh?: RefreshSettings | undefined
  /** The built-in sandbox applications. */
  readonly sandbox?: SandboxSettings | undefined
  /** Who runs workflows, where the program has no runner of its own. */
  readonly workflow_runner?: WorkflowReceiver | null | undefined
  /** How much the HTTP API bears. */
  readonly server?: ServerSettings | undefined
  /** Folders with more manifests, relative to the project file; read again when they change. */
  readonly manifests?: readonly string[] | undefined
  /** The applications that are offered, by slug. An entry enables one, unless it says `enabled = false`. */
  readonly apps?: Readonly<Record<string, AppSettings>> | undefined
}

/** When to wait and try again. */
export interface RateLimit {
  /** Statuses that mean "too many"; default 429 and 503. */
  readonly statuses?: readonly number[] | undefined
  /** The header with seconds or an HTTP date; default `retry-after`. */
  readonly retry_after?: string | null | undefined
  /** The header with the time of the next window: seconds or milliseconds since 1970, or a date. */
  readonly reset_at?: string | null | undefined
  /** The header with the calls that are left; 0 on an answer of 400 or above means "too many". */
  readonly remaining?: string | null | undefined
  /** Error codes that mean "too many" whatever the status, and that nothing was done. */
  readonly errors?: readonly string[] | undefined
  /** JSON pointer of those codes; default `/error`. */
  readonly error?: string | null | undefined
}

/** How often somebody may call, per minute; 0 is no limit. Who was quiet may make the calls of ten seconds at once. */
export interface RateSettings {
  /**
   * Credentials that are tried and wrong, from one address, and of API keys with the same first ten characters. Credentials
   * that were good a while ago are not held up by it; the whole minute's may come at once. Default 100.
   */
  readonly guesses?: number | undefined
  /** Calls without a credential, from one address. Default 1,200. */
  readonly address?: number | undefined
  /** Calls with one session token. Default 1,200. */
  readonly session?: number | undefined
  /** Calls with one API key. Default 30,000. */
  readonly key?: number | undefined
  /** Calls of the organisation and its sessions in one environment, all together. Default 120,000. */
  readonly tenant?: number | undefined
  /**
   * Calls that ask how an application or a flow stands, with one session token: web SDKs do while a user is at the
   * provider. They count here only. Default 6,000.
   */
  readonly polls?: number | undefined
  /**
   * Connects that are begun, or keys that are tried, for one linked account with a session token. They count here
   * beside `session`. Default 120.
   */
  readonly connects?: number | undefined
}

/** How tokens are renewed. */
export interface Refresh {
  /** What happens to the refresh token; default `rotates`, the careful choice. */
  readonly rotation?: Rotation | undefined
  /** Seconds during which the provider takes the old refresh token once more; default 0. */
  readonly grace?: number | undefined
  /** Renew this many seconds before the end; default 60. */
  readonly early?: number | null | undefined
  /** Provider error codes that mean the grant is dead; default `invalid_grant`. */
  readonly final_errors?: readonly string[] | undefined
  /** Provider error codes that mean the organisation's client is refused; default `invalid_client`, `unauthorized_client`. */
  readonly client_errors?: readonly string[] | undefined
  /** What refusals mean that their code alone does not tell; the first rule that fits goes before the lists above. */
  readonly errors?: readonly RefusalRule[] | undefined
  /** Renewals per minute that the provider takes from one client; default the project's `refresh.per_minute`. */
  readonly per_minute?: number | null | undefined
  /** Seconds after which a refresh token that nobody used is dead. A connection is renewed in time, also where nobody uses it. */
  readonly unused_life?: number | null | undefined
}

/** How tokens are renewed before they end, by engines that stay open. */
export interface RefreshSettings {
  /** Whether they are; otherwise a token is renewed when somebody asks for it. Default true. */
  readonly ahead?: boolean | undefined
  /** Seconds over which renewals are spread before they are due. Default 600. */
  readonly window?: number | undefined
  /** Days after which a connection that nobody used is left alone, unless its grant would die of that. Default 30. */
  readonly unused?: number | undefined
  /** Whether connections are renewed however long nobody used them. Default false. */
  readonly keep_unused?: boolean | undefined
  /** Renewals per minute at one application, where its manifest states no limit; 0: none. All processes on the store share it. Default 1200. */
  readonly per_minute?: number | undefined
  /** Calls for renewals ahead that one process has under way at one application. Default 8. */
  readonly at_once?: number | undefined
  /**
   * Hours before the end at which a token that cannot be renewed is announced as `connection.expiring`, but never in the first
   * three quarters of its life. Default 72.
   */
  readonly notice?: number | undefined
}

/** Whose fault a refusal is, and whether it passes. */
export type RefusalMeaning =
  /** The grant is dead: the user must authorise again. */
  | 'final'
  /** The organisation's client is refused; grants are untouched. */
  | 'client'
  /** The grant is refused for now, e.g. while the user is switched off at the provider. It is kept and tried again, rarely. */
  | 'suspended'
  /** Trouble of the provider that passes. */
  | 'passing'

/** What one refusal of the token URL means. All that is given must fit. */
export interface RefusalRule {
  /** The provider's error code. */
  readonly error?: string | null | undefined
  /** A part of its description, in any case. */
  readonly description?: string | null | undefined
  /** What it means. */
  readonly means: RefusalMeaning
}

/**
 * Dynamic client registration (RFC 7591): the provider is asked for a client, once for each organisation, environment and host,
 * when the first user connects. Where a host is the user's own (a server of one's own), that is the only way to have a client.
 */
export interface Registration {
  /** Template: the registration endpoint. It may name variables and inputs that are no secrets. */
  readonly url?: string | null | undefined
  /**
   * Template, in place of `url`: metadata that name the endpoint as `registration_endpoint` (RFC 8414, OpenID Connect
   * Discovery). It must be of the same origin.
   */
  readonly discovery?: string | null | undefined
  /** The request's form: `json` (default, RFC 7591) or `form`. */
  readonly body?: TokenBody | undefined
  /**
   * Templates: more parameters, or other names for those of RFC 7591, of which an empty text leaves one out. Known are
   * `{client_name}`, `{redirect_uris}` (a line each), `{scope}` and `{public_url}`; a parameter whose value is not there is
   * left out.
   */
  readonly params?: Readonly<Record<string, string>> | undefined
  /** Templates: more headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Seconds after which the provider deletes a client with which nobody has connected: an older one is registered anew. */
  readonly unused_life?: number | null | undefined
}

/** How a grant is ended. */
export interface Revoke {
  /** Template. */
  readonly url: string
  /** Which token; default `refresh`. */
  readonly token?: RevokeToken | undefined
  /** `POST` by default. */
  readonly method?: string | null | undefined
  /**
   * Templates (`{token}` is the token): the body's or query's parameters; default `token`, `token_type_hint`,
   * or none where the URL or a header names `{token}`.
   */
  readonly params?: Readonly<Record<string, string>> | undefined
  /** How the client proves itself; default as at the token URL. */
  readonly client_auth?: ClientAuth | null | undefined
  /** The body's form; default `form`. */
  readonly body?: TokenBody | undefined
  /** Templates: more headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** A good answer holds this; for providers that answer 200 to everything. */
  readonly success?: Success | null | undefined
  /** Provider error codes (at `answer.error`) that mean the grant was dead already, which is as good. */
  readonly gone_errors?: readonly string[] | undefined
  /** Statuses that mean the grant was dead already. */
  readonly gone_statuses?: readonly number[] | undefined
  /** Whether ending one connection's grant ends those of the same user and client too. */
  readonly shared_grant?: boolean | undefined
}

/** Which token a revocation names. */
export type RevokeToken =
  /** The refresh token, or the access token where there is none. */
  | 'refresh'
  /** The access token. */
  | 'access'
  /** Both, one request each. */
  | 'both'

/** What a refresh does to the refresh token. */
export type Rotation =
  /** Each works once. */
  | 'rotates'
  /** It stays. */
  | 'stays'
  /** There are no refresh tokens; the access token lives until it is revoked. */
  | 'never'

/** The columns of a rule for one left side. */
export interface RuleDef {
  /** The left side's value; absent: for every left side. */
  readonly lhs?: unknown | undefined
  /** The operators; default `eq`, `neq`, `start_with`, `end_with`, `greater_or_equal`, `less_or_equal`. */
  readonly operators?: readonly FieldOption[] | undefined
  /** The right side's choices; absent: free text. */
  readonly rhs?: readonly FieldOption[] | null | undefined
}

/** The built-in sandbox applications. */
export interface SandboxSettings {
  /** Whether they exist; never in the production environment. */
  readonly enabled?: boolean | undefined
  /** The origin of a sandbox that runs already (`smalt sandbox`); otherwise one is started in this process when needed. */
  readonly url?: string | null | undefined
  /** The address to listen on. Default `127.0.0.1:0`. */
  readonly listen?: string | null | undefined
}

/** What is asked for. */
export interface Scopes {
  /** Asked for when the project names none. */
  readonly default?: readonly string[] | undefined
  /** Always asked for; the connection fails with `scope_missing` without them. */
  readonly required?: readonly string[] | undefined
  /** Not asked for unless the project or the caller names them; for those who read what there is. */
  readonly suggested?: readonly string[] | undefined
  /** What a scope is needed for: scope to reason. */
  readonly reasons?: Readonly<Record<string, string>> | undefined
  /** Between them; default one space. */
  readonly separator?: string | null | undefined
  /** The parameter's name; default `scope`. */
  readonly param?: string | null | undefined
}

/** Where a secret is read from; it never stands in the project file. */
export type SecretRef = { readonly env: string } | { readonly file: string }

/** How much the HTTP API bears. A limit of 0 is none. Times are seconds and may have fractions. */
export interface ServerSettings {
  /** Connections at once; more wait in the operating system's queue. Counts from the next start. Default 4,096. */
  readonly connections?: number | undefined
  /**
   * Connections at once from one address (IPv6: one /64 network); more are closed. Trusted proxies are exempt. Counts from
   * the next start. Default 2,048.
   */
  readonly connections_per_address?: number | undefined
  /** How long a connection takes requests; twice that ends it whatever is under way. Counts from the next start. Default 600. */
  readonly connection_time?: number | undefined
  /**
   * How long a connection may be open with nothing under way. On HTTP/1 `head_time` ends it too. Counts from the next start.
   * Default 60.
   */
  readonly idle_time?: number | undefined
  /** How long a request's head may take to come. Counts from the next start. Default 10. */
  readonly head_time?: number | undefined
  /** How long a client may take nothing of its answer. Counts from the next start. Default 30. */
  readonly write_time?: number | undefined
  /** The largest head, in bytes, at least 8,192. Counts from the next start. Default 16,384. */
  readonly head_size?: number | undefined
  /** Header lines of one request. Counts from the next start. Default 80. */
  readonly headers?: number | undefined
  /** How long a request's body may take to come, whole. Default 10. */
  readonly body_time?: number | undefined
  /** The largest body, in bytes. Default 65,536. */
  readonly body_size?: number | undefined
  /** Arrays and objects in each other. Default 32. */
  readonly body_depth?: number | undefined
  /** Keys of all objects of one body together. Default 1,000. */
  readonly body_keys?: number | undefined
  /** How long a request may take before it is answered with 504; what it began goes on. Default 60. */
  readonly request_time?: number | undefined
  /** Requests that are answered at once, without those that wait for an event; more are answered with 503. Default 1,024. */
  readonly requests?: number | undefined
  /** HTTP/2: requests at once on one connection. Counts from the next start. Default 100. */
  readonly streams?: number | undefined
  /**
   * HTTP/2: requests that a client may take back before they were looked at; more end the connection. Counts from the next
   * start. Default 20.
   */
  readonly resets?: number | undefined
  /** Calls that wait for an event at once: `wait_flow`, `events` with `wait`, event streams. Default 10,000. */
  readonly waiters?: number | undefined
  /** The same for one linked account. Default 100. */
  readonly waiters_per_account?: number | undefined
  /** How long an event stream lasts; then the client comes back and goes on where it was. Default 300. */
  readonly stream_time?: number | undefined
  /** How long open requests may take to end when the server is stopped; 0 waits for none. Counts from the next start. Default 5. */
  readonly stop_time?: number | undefined
  /**
   * Addresses or ranges (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` is believed. Default none: the address of the
   * connection counts, whatever a header says.
   */
  readonly trusted_proxies?: readonly string[] | undefined
  /** How often somebody may call. */
  readonly rates?: RateSettings | undefined
}

/** Session tokens. */
export interface Sessions {
  /** Seconds that a token lives. Default 86,400. */
  readonly lifetime?: number | undefined
}

/** Where the state travels to the provider and back. */
export type StateIn =
  /** In the parameter `state`, as RFC 6749 says. */
  | 'param'
  /** In the redirect URI's query, for providers that do not give `state` back. */
  | 'redirect_query'
  /** As the last part of the redirect URI's path, for providers that give neither `state` nor a query back. */
  | 'redirect_path'

/** A request after the exchange. It carries the access token as calls of the API do, unless it swaps the token. */
export interface Step {
  /** Template, or a path below the API's base URL. */
  readonly url: string
  /** `GET` by default. */
  readonly method?: 'GET' | 'POST' | null | undefined
  /** Templates: more headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Templates: the body's parameters, or the query's of a `GET`. */
  readonly params?: Readonly<Record<string, string>> | undefined
  /** The body's form; default `form`. */
  readonly body?: TokenBody | undefined
  /** The one item of a list that is meant; the places under `copy` then start there. */
  readonly pick?: Pick | null | undefined
  /** Values to keep from the answer: property name to JSON pointer, or with a check. */
  readonly copy?: Readonly<Record<string, Copied>> | undefined
  /**
   * Whether the answer is a token answer whose tokens take the place of those before; default false. No token is placed
   * into such a request: its parameters name `{access_token}` where it is needed.
   */
  readonly token?: boolean | undefined
  /** Whether the connection may do without an answer; default false. */
  readonly optional?: boolean | undefined
}

/** What a good answer holds. */
export interface Success {
  /** JSON pointer. */
  readonly pointer: string
  /** The value there. */
  readonly equals: unknown
}

/** Where the values stand in the token answer; JSON pointers, RFC 6749's places by default. */
export interface TokenAnswer {
  /** Default `/access_token`. */
  readonly access_token?: string | null | undefined
  /** Default `/refresh_token`. */
  readonly refresh_token?: string | null | undefined
  /** Default `/expires_in`. */
  readonly expires_in?: string | null | undefined
  /** Default `/scope`. */
  readonly scope?: string | null | undefined
  /** Default `/token_type`. */
  readonly token_type?: string | null | undefined
  /** Default `/error`. A value there is an error whatever the status. */
  readonly error?: string | null | undefined
  /** Default `/error_description`. Read for `refresh.errors` only; never shown or kept. */
  readonly error_description?: string | null | undefined
  /** An answer is an error unless the value at this pointer equals `equals`. */
  readonly success?: Success | null | undefined
  /**
   * How answers are written; default `auto`. In XML a pointer leads from the outermost element to the inner ones, e.g.
   * `/response/session/id`; an attribute is `@name`. Of elements that stand there several times the first is meant, unless a
   * number follows the name, from 0.
   */
  readonly format?: AnswerFormat | undefined
  /** How `expires_in` is to be read; default `auto`. */
  readonly expires_unit?: ExpiresUnit | undefined
  /** The lifetime in seconds when the answer states none. */
  readonly default_expires_in?: number | null | undefined
}

/** The form of a token request. */
export type TokenBody =
  /** `application/x-www-form-urlencoded`. */
  | 'form'
  /** `application/json`. */
  | 'json'
  /** No body: the parameters stand in the URL. */
  | 'query'

/** Whose client asks for the token. */
export type TokenClient =
  /** The organisation's, of the project file. */
  | 'project'
  /** The end customer's own: the inputs `client_id` and `client_secret`. */
  | 'inputs'
  /** None: the request proves itself otherwise. */
  | 'none'

/** A value that is the same for everyone of one organisation. */
export interface Variable {
  /** What it is, for the developer. */
  readonly description: string
  /** Used where the project sets none; without it the project must. */
  readonly default?: string | null | undefined
  /** What a value must match: see `manifest::pattern`. */
  readonly pattern?: string | null | undefined
}

/** The request that proves entered values. */
export interface VerifyRequest {
  /** Template, or a path below the API's base URL. */
  readonly url: string
  /** `GET` by default. */
  readonly method?: string | null | undefined
  /** More URLs like `url`: the values are good as soon as one of them takes them, for keys that may reach only a part of the API. */
  readonly alternatives?: readonly string[] | undefined
  /** Templates: more headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Templates: the body's parameters, or the query's of a `GET`. */
  readonly params?: Readonly<Record<string, string>> | undefined
  /** The body's form; default `form`. */
  readonly body?: TokenBody | undefined
  /** Values to keep from the answer: property name to JSON pointer, or with a check. */
  readonly copy?: Readonly<Record<string, Copied>> | undefined
  /** Statuses that mean "refused"; default 401 and 403. */
  readonly rejected?: readonly number[] | undefined
  /** A good answer holds this. */
  readonly success?: Success | null | undefined
  /** JSON pointer of the stable id of who it is; or a template of inputs that are no secrets, e.g. `{account_id}`. */
  readonly id?: string | null | undefined
  /** The same of what people recognise. */
  readonly label?: string | null | undefined
}

/** One workflow that the organisation offers. */
export interface WorkflowDef {
  /** The workflow's id. */
  readonly id?: string | undefined
  /** The name for people. */
  readonly name?: string | undefined
  /** What it does. */
  readonly description?: string | undefined
  /** Its icon. */
  readonly icon?: string | null | undefined
  /** The page that shows it. */
  readonly page?: string | null | undefined
  /** Unpublished ones are not offered. Default true. */
  readonly published?: boolean | undefined
  /** Left out of configs. */
  readonly hidden?: boolean | undefined
  /** On in a new config. */
  readonly enabled?: boolean | undefined
  /** Its own fields. */
  readonly fields?: readonly FieldDef[] | undefined
}

/** A server of the organisation that runs its workflows, told by signed POSTs. */
export interface WorkflowReceiver {
  /** Where it listens; https, or a host of `network.allow`. */
  readonly url: string
  /** What the POSTs are signed with: `whsec_…`, or any text that both sides have. */
  readonly secret: SecretRef
}
