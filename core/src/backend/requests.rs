//! The request of each operation. Structs, so that a new option breaks no implementor.
//!
//! Their JSON form is that of the fields; a duration is a number of seconds, bytes are base64. A field that is not known is
//! refused. They are written out by [`Exposed`](crate::Exposed) only, since most can hold what a user entered.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{
    Secret,
    expose::{Seconds, exposes},
    manifest::Pagination,
    model::{AccountUpdate, ApiBody, AuthType, ConfigUpdate, Json, JsonMap, Labels, NameValue, SiblingPolicy, WebhookEvent, WebhookKind},
};

/// Structs whose Debug hides the fields after `hides`: what a user or a provider wrote may be a secret (S-41).
macro_rules! requests {
    ($($(#[$meta:meta])* pub struct $name:ident $(hides($($hidden:ident),*))? { $($(#[$fmeta:meta])* pub $field:ident: $ty:ty,)* })*) => { $(
        $(#[$meta])*
        #[derive(Clone, Default, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                #[allow(dead_code)] // a struct without fields
                const HIDDEN: &[&str] = &[$($(stringify!($hidden)),*)?];
                let mut shown = f.debug_struct(stringify!($name));
                $(if HIDDEN.contains(&stringify!($field)) {
                    shown.field(stringify!($field), &format_args!("…"));
                } else {
                    shown.field(stringify!($field), &self.$field);
                })*
                shown.finish()
            }
        }

        exposes! { $name { $($field),* } }
    )* };
}

requests! {
    /// `create_account`, `upsert_account`.
    pub struct PutAccount {
        /// The organisation's own id for the customer.
        pub id: String,
        /// What to set.
        #[serde(default)]
        pub update: AccountUpdate,
    }
    /// Names a linked account.
    pub struct GetAccount {
        /// The linked account's id.
        pub account: String,
    }
    /// `list_accounts`.
    pub struct ListAccounts {
        /// Where the last page ended.
        pub cursor: Option<String>,
        /// How many; 1 to 500, default 50.
        pub limit: Option<u32>,
        /// A part of the id or the name.
        pub search: Option<String>,
        /// How many to pass over first, for pages by number; a cursor is cheaper.
        pub skip: Option<u64>,
    }
    /// `count_accounts`.
    pub struct CountAccounts {
        /// A part of the id or the name.
        pub search: Option<String>,
    }
    /// `create_session`.
    pub struct CreateSession {
        /// The linked account's id.
        pub account: String,
        /// Makes a new one even if the last has more than half its life left.
        #[serde(default)]
        pub force: bool,
    }
    /// `verify_session`.
    pub struct VerifySession {
        /// The token.
        pub token: Secret,
    }
    /// `revoke_session`.
    pub struct RevokeSession {
        /// The token.
        pub token: Secret,
    }
    /// `portal_url`.
    pub struct GetPortalUrl hides(properties) {
        /// The linked account's id.
        pub account: String,
        /// What the page is told: `name`, `color`, `bgColor`, `base_color`, `button_color`, `redirect_url`, and what else a page of
        /// yours reads. It replaces what was stored for the session before; absent: that stays. At most 16 KiB.
        pub properties: Option<JsonMap>,
        /// The config that the page edits; default the linked account's id.
        pub config_id: Option<String>,
        /// Where the page leads back to; on the project's list. The same as `redirect_url` in the properties, and comes before it.
        pub return_to: Option<String>,
        /// Whether the link works once, within 60 seconds; otherwise as long as the session.
        #[serde(default)]
        pub once: bool,
    }
    /// `open_portal`.
    pub struct OpenPortal {
        /// The ticket in the link.
        pub ticket: Secret,
    }
    /// `portal_properties`.
    pub struct GetPortalProperties {
        /// The session's token.
        pub token: Secret,
    }
    /// `create_api_key`.
    pub struct CreateApiKey {
        /// What people tell it apart by, e.g. the backend that uses it.
        pub name: String,
    }
    /// `list_api_keys`.
    pub struct ListApiKeys {}
    /// `revoke_api_key`.
    pub struct RevokeApiKey {
        /// The key's id.
        pub id: String,
    }
    /// `verify_api_key`.
    pub struct VerifyApiKey {
        /// The key.
        pub key: Secret,
    }
    /// Names an application for a linked account.
    pub struct GetApp {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
    }
    /// `start_connect`.
    pub struct StartConnect hides(inputs) {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// What the user entered first (a shop's name, …).
        #[serde(default)]
        pub inputs: BTreeMap<String, String>,
        /// Scopes to ask for, in place of the project's; required ones are always added.
        pub scopes: Option<Vec<String>>,
        /// Where the user goes at the end; on the project's list.
        pub return_to: Option<String>,
        /// Where the provider sends the user back; the project's own, on its list, or a loopback address.
        pub redirect_uri: Option<String>,
        /// The connection to authorise again.
        pub connection: Option<String>,
        /// Takes the device flow (RFC 8628): the user enters a code at a page, on any device, and nobody comes back.
        #[serde(default)]
        pub device: bool,
    }
    /// `get_handoff`, `take_handoff`.
    pub struct TakeHandoff {
        /// The one-time ticket.
        pub ticket: Secret,
    }
    /// `park_callback`.
    pub struct ParkCallback hides(callback_url) {
        /// The whole URL that the provider sent the browser to.
        pub callback_url: String,
        /// The cookie's value, if the browser sent it.
        pub cookie: Option<Secret>,
    }
    /// `finish_connect`: with the callback and the cookie, or with the claim of a parked callback.
    pub struct FinishConnect hides(callback_url) {
        /// The linked account's id: the user who is logged in where the callback arrived.
        pub account: String,
        /// The URL that the provider sent the browser to, or its path and query.
        pub callback_url: Option<String>,
        /// The cookie that `start_connect` gave: its value, or the request's whole `Cookie` header.
        pub cookie: Option<Secret>,
        /// The one-time claim of a parked callback.
        pub claim: Option<Secret>,
    }
    /// Names a connect flow.
    pub struct GetFlow {
        /// The linked account's id.
        pub account: String,
        /// The flow's id.
        pub flow: String,
    }
    /// `wait_flow`.
    pub struct WaitFlow {
        /// The linked account's id.
        pub account: String,
        /// The flow's id.
        pub flow: String,
        /// How long at most; default until the flow ends.
        #[serde(default, deserialize_with = "Seconds::read")]
        #[schemars(with = "Option<Seconds>")]
        pub timeout: Option<Duration>,
    }
    /// `connect_key`.
    pub struct ConnectKey {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// What the user entered, by input name.
        #[serde(default)]
        pub inputs: BTreeMap<String, Secret>,
        /// The connection to authorise again.
        pub connection: Option<String>,
    }
    /// `import_connection`.
    pub struct ImportConnection {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// Which sort of credential it is; default the application's first.
        pub auth_type: Option<AuthType>,
        /// OAuth: `access_token`, `refresh_token`, `token_type`; key-based: the inputs.
        pub values: BTreeMap<String, Secret>,
        /// OAuth: seconds until the access token ends; absent: unknown, renewed at first use if possible.
        pub expires_in: Option<u64>,
        /// OAuth: the granted scopes.
        #[serde(default)]
        pub scopes: Vec<String>,
    }
    /// `list_connections`.
    pub struct ListConnections {
        /// The linked account's id.
        pub account: String,
        /// The application's slug; absent: of all applications.
        pub application: Option<String>,
    }
    /// Names a connection.
    pub struct GetConnection {
        /// The linked account's id.
        pub account: String,
        /// The connection's id.
        pub connection: String,
    }
    /// `credential`.
    pub struct GetCredential {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// The connection; absent: the default one.
        pub connection: Option<String>,
    }
    /// `request`.
    pub struct ApiRequest hides(path, query, headers, body) {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// The connection; absent: the default one.
        pub connection: Option<String>,
        /// `GET`, `POST`, …
        pub method: String,
        /// A path below the application's base URL, or a full URL on its host.
        pub path: String,
        /// Query parameters.
        #[serde(default)]
        pub query: Vec<NameValue>,
        /// More headers.
        #[serde(default)]
        pub headers: Vec<NameValue>,
        /// The body, with its content type.
        pub body: Option<ApiBody>,
        /// How long at most; default 30 s.
        #[serde(default, deserialize_with = "Seconds::read")]
        #[schemars(with = "Option<Seconds>")]
        pub timeout: Option<Duration>,
        /// The answer's largest size in bytes; default 8 MiB.
        pub max_body: Option<u64>,
    }
    /// `request_page`: an authenticated call for one page of a list.
    pub struct ApiPageRequest hides(path, query, headers, body) {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// The connection; absent: the default one.
        pub connection: Option<String>,
        /// `GET`, or `POST` where lists are searched so.
        pub method: String,
        /// A path below the application's base URL, or a full URL on its host.
        pub path: String,
        /// Query parameters.
        #[serde(default)]
        pub query: Vec<NameValue>,
        /// More headers.
        #[serde(default)]
        pub headers: Vec<NameValue>,
        /// The body, with its content type.
        pub body: Option<ApiBody>,
        /// How long at most; default 30 s.
        #[serde(default, deserialize_with = "Seconds::read")]
        #[schemars(with = "Option<Seconds>")]
        pub timeout: Option<Duration>,
        /// The page's largest size in bytes; default 8 MiB.
        pub max_body: Option<u64>,
        /// Where the last page ended; absent: the first page.
        pub cursor: Option<String>,
        /// How this list comes in pages; default as the application's manifest says.
        pub pagination: Option<Pagination>,
    }
    /// `disconnect`.
    pub struct Disconnect {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// Only this connection; absent: all of the application.
        pub connection: Option<String>,
        /// Only connections of this sort.
        pub auth_type: Option<AuthType>,
        /// What to do about connections that share the grant; default ask.
        pub siblings: Option<SiblingPolicy>,
        /// How long to wait for the provider's answer before `queued` is answered; default 2 s.
        #[serde(default, deserialize_with = "Seconds::read")]
        #[schemars(with = "Option<Seconds>")]
        pub wait: Option<Duration>,
    }
    /// `get_receipt`.
    pub struct GetReceipt {
        /// The linked account's id.
        pub account: String,
        /// The receipt's id.
        pub receipt: String,
    }
    /// `config`.
    pub struct FindConfig {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// Default the linked account's id.
        pub config_id: Option<String>,
        /// Labels of `map` fields; absent keeps the stored ones.
        pub labels: Option<Labels>,
        /// Values and switches to begin with, used only when the config is made.
        pub seed: Option<ConfigUpdate>,
        /// Leaves choices out instead of resolving them.
        #[serde(default)]
        pub without_options: bool,
    }
    /// `get_config`, `delete_config`.
    pub struct GetConfig {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// Default the linked account's id.
        pub config_id: Option<String>,
        /// Leaves choices out instead of resolving them.
        #[serde(default)]
        pub without_options: bool,
        /// Reading: answers what a new config would hold (version 0) where there is none, and makes none.
        #[serde(default)]
        pub or_empty: bool,
    }
    /// `update_config`.
    pub struct UpdateConfig {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// Default the linked account's id.
        pub config_id: Option<String>,
        /// What to change.
        #[serde(default)]
        pub update: ConfigUpdate,
        /// Leaves choices out instead of resolving them.
        #[serde(default)]
        pub without_options: bool,
    }
    /// `config_field`.
    pub struct ConfigField hides(parent_value, search) {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// Default the linked account's id.
        pub config_id: Option<String>,
        /// The workflow; absent: a field of the application.
        pub workflow: Option<String>,
        /// The field's id.
        pub field: String,
        /// Stands in for the stored value of the parent, for this call only.
        pub parent_value: Option<Json>,
        /// What the user typed.
        pub search: Option<String>,
    }
    /// `set_config_field`.
    pub struct SetConfigField hides(value) {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// Default the linked account's id.
        pub config_id: Option<String>,
        /// The workflow; absent: a field of the application.
        pub workflow: Option<String>,
        /// The field's id.
        pub field: String,
        /// The value; absent clears it.
        pub value: Option<Json>,
    }
    /// `rule_columns`.
    pub struct GetRuleColumns hides(lhs) {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// The workflow; absent: a field of the application.
        pub workflow: Option<String>,
        /// The field's id.
        pub field: String,
        /// The chosen left side.
        pub lhs: Json,
    }
    /// `run_workflow`.
    pub struct RunWorkflow hides(payload) {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// Default the linked account's id.
        pub config_id: Option<String>,
        /// The workflow's id.
        pub workflow: String,
        /// Passed on to the runner.
        #[serde(default)]
        pub payload: Json,
    }
    /// `put_own_credentials`.
    pub struct PutOwnCredentials {
        /// The linked account's id.
        pub account: String,
        /// The values by name.
        pub values: BTreeMap<String, Secret>,
    }
    /// `set_own_credential`.
    pub struct SetOwnCredential {
        /// The linked account's id.
        pub account: String,
        /// The value's name.
        pub name: String,
        /// The value; absent: it is removed.
        pub value: Option<Secret>,
    }
    /// `execute_workflow`.
    pub struct ExecuteWorkflow hides(payload) {
        /// The linked account's id.
        pub account: String,
        /// The application's slug.
        pub application: String,
        /// Default the linked account's id.
        pub config_id: Option<String>,
        /// The workflow's id.
        pub workflow: String,
        /// Passed on to the runner.
        #[serde(default)]
        pub payload: Json,
        /// Whether to wait for its end. Default false: it is answered as running.
        #[serde(default)]
        pub wait: bool,
    }
    /// `list_executions`.
    pub struct ListExecutions {
        /// The linked account's id.
        pub account: String,
        /// Where the last page ended.
        pub cursor: Option<String>,
        /// How many; 1 to 500, default 50.
        pub limit: Option<u32>,
    }
    /// `get_execution`.
    pub struct GetExecution {
        /// The linked account's id.
        pub account: String,
        /// The execution's id.
        pub execution: String,
    }
    /// `events`.
    pub struct ListEvents {
        /// Where the caller stopped: a cursor; `now`: what comes from now on; absent: from the oldest that is kept.
        pub since: Option<String>,
        /// How many; 1 to 1,000, default 100.
        pub limit: Option<u32>,
        /// How long to wait when there is none yet; default not at all.
        #[serde(default, deserialize_with = "Seconds::read")]
        #[schemars(with = "Option<Seconds>")]
        pub wait: Option<Duration>,
    }
    /// `audit`.
    pub struct ListAudit {
        /// Where the last page ended.
        pub cursor: Option<String>,
        /// How many; 1 to 500, default 50.
        pub limit: Option<u32>,
    }
    /// `create_webhook`, which needs `url` and `events`; and what `update_webhook` sets: absent fields stay as they are.
    pub struct WebhookSettings hides(url, headers, body) {
        /// Where deliveries go: https, to a public address, except where the project allows others.
        pub url: Option<String>,
        /// What it is told, in any order.
        pub events: Option<Vec<WebhookEvent>>,
        /// Whether it is told anything; default true.
        pub enabled: Option<bool>,
        /// `POST` (the default), `PUT` or `PATCH`.
        pub method: Option<String>,
        /// What it is sent; default the event.
        pub kind: Option<WebhookKind>,
        /// Further headers; for a custom one the values are templates.
        pub headers: Option<BTreeMap<String, Secret>>,
        /// The template of a custom one; default `{{event}}`.
        pub body: Option<Json>,
        /// For people; empty clears it.
        pub description: Option<String>,
        /// For people; empty clears it.
        pub group: Option<String>,
        /// Workflows of this application only; empty clears it.
        pub application: Option<String>,
        /// These workflows only.
        pub workflows: Option<Vec<String>>,
    }
    /// `list_webhooks`.
    pub struct ListWebhooks {}
    /// `update_webhook`.
    pub struct UpdateWebhook {
        /// The webhook's id.
        pub webhook: String,
        /// What to set.
        pub settings: WebhookSettings,
    }
    /// Names a webhook.
    pub struct GetWebhook {
        /// The webhook's id.
        pub webhook: String,
    }
    /// `rotate_webhook_secret`.
    pub struct RotateWebhookSecret {
        /// The webhook's id.
        pub webhook: String,
        /// How long the replaced secret goes on signing beside the new one; default 24 hours, at most 30 days.
        #[serde(default, deserialize_with = "Seconds::read")]
        #[schemars(with = "Option<Seconds>")]
        pub overlap: Option<Duration>,
    }
    /// `list_deliveries`.
    pub struct ListDeliveries {
        /// The webhook's id.
        pub webhook: String,
        /// Where the last page ended.
        pub cursor: Option<String>,
        /// How many; 1 to 500, default 50.
        pub limit: Option<u32>,
    }
    /// `redeliver`.
    pub struct Redeliver {
        /// The delivery's id.
        pub delivery: String,
    }
    /// `rotate_keys`.
    pub struct RotateKeys {
        /// The new key's id, to watch the rotation to it instead of beginning one.
        pub watch: Option<String>,
        /// How long to wait for the end; default until it is there.
        #[serde(default, deserialize_with = "Seconds::read")]
        #[schemars(with = "Option<Seconds>")]
        pub wait: Option<Duration>,
    }
    /// `get_project`.
    pub struct GetProject {
    }
}

impl ApiPageRequest {
    /// A call whose answer is the first page of a list.
    pub fn of(call: ApiRequest) -> Self {
        let ApiRequest { account, application, connection, method, path, query, headers, body, timeout, max_body } = call;
        let (cursor, pagination) = (None, None);
        Self { account, application, connection, method, path, query, headers, body, timeout, max_body, cursor, pagination }
    }

    pub(crate) fn call(self) -> ApiRequest {
        let Self { account, application, connection, method, path, query, headers, body, timeout, max_body, .. } = self;
        ApiRequest { account, application, connection, method, path, query, headers, body, timeout, max_body }
    }
}

/// A JSON body for [`ApiRequest`].
pub fn json_body(value: &Json) -> ApiBody {
    ApiBody { content_type: "application/json".to_owned(), content: value.to_string().into_bytes() }
}

/// A form body for [`ApiRequest`].
pub fn form_body(pairs: &[(&str, &str)]) -> ApiBody {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs);
    ApiBody { content_type: "application/x-www-form-urlencoded".to_owned(), content: form.finish().into_bytes() }
}
