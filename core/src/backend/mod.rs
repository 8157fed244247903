//! The doorway: one async method per operation. The embedded engine and the remote client implement it; handles, routes
//! and bindings call it.

mod found;
mod misread;
mod requests;

use std::sync::Arc;

use async_trait::async_trait;

pub use found::Found;
pub use misread::{Misread, too_large};
pub use requests::*;

pub use crate::model::{Handoff, HandoffPreview, ParkedCallback};
use crate::{
    Secret,
    error::{Result, err},
    expose::Exposed,
    model::{
        ApiAnswer, ApiKey, ApiPage, Application, AuditEntry, Config, ConnectFlow, Connection, Credential, Delivery, Event, Executed,
        Execution, Field, Json, KeyRotation, LinkedAccount, NewApiKey, NewWebhook, OwnChange, OwnCredentials, Page, Portal, PortalLink,
        Receipt, RuleColumns, SessionInfo, StartedConnect, UpsertedAccount, Webhook,
    },
    operations::Operation,
    plugin::{HttpStream, Upload},
    project::{LoadedProject, Project},
};

/// On whose authority a call is made.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The organisation itself. The name goes into the audit.
    Organisation(Arc<str>),
    /// The holder of a session token: one linked account, and fewer operations.
    Session(Secret),
    /// The same, where the token was looked up a moment ago; see [`Backend::prove_session`].
    Proved(Arc<SessionProof>),
}

impl Caller {
    /// The session token, unless it is the organisation.
    pub fn token(&self) -> Option<&Secret> {
        match self {
            Caller::Organisation(_) => None,
            Caller::Session(token) => Some(token),
            Caller::Proved(proof) => Some(&proof.token),
        }
    }

    pub(crate) fn proof(&self) -> Option<&SessionProof> {
        match self {
            Caller::Proved(proof) => Some(proof),
            _ => None,
        }
    }
}

/// That an engine looked at a session token, and when: it counts there only, for a second. Afterwards the token counts as if it
/// came alone.
#[derive(Clone, Debug)]
pub struct SessionProof {
    pub(crate) token: Secret,
    pub(crate) session_id: String,
    pub(crate) account_id: String,
    /// Whether the store was asked, too: else only the signature is known to be good, and whoever acts by it asks.
    pub(crate) asked: bool,
    /// The engine's own name.
    pub(crate) by: String,
    /// Its boot time, in milliseconds.
    pub(crate) at: i64,
}

/// What a backend can do beyond the operations themselves.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Capabilities {
    /// `embedded` or `remote`.
    pub backend: String,
    /// The version of Smalt that does the work.
    pub version: String,
    /// The operations that are offered, by name.
    pub operations: Vec<String>,
    /// Whether `run_workflow` has a runner.
    pub workflows: bool,
    /// Whether `connect` can open the authorize page.
    pub presenter: bool,
}

macro_rules! backend {
    ($($(#[doc = $doc:literal])* $name:ident: $operation:ident($request:ty) -> $answer:ty;)*) => {
        /// One method per row of the operations table. A method that a backend does not implement answers `unsupported`.
        #[async_trait]
        pub trait Backend: Send + Sync + 'static {
            /// What it can do.
            fn capabilities(&self) -> Capabilities;

            /// The project in force, where it is in memory and need not be copied.
            fn try_project(&self) -> Option<Arc<LoadedProject>> {
                None
            }

            /// [`Backend::verify_session`], and the session's authority for the calls that follow at once, e.g. those of one HTTP
            /// request: they need not look the token up again.
            async fn prove_session(&self, caller: &Caller, request: VerifySession) -> Result<(SessionInfo, Caller)> {
                let token = request.token.clone();
                Ok((self.verify_session(caller, request).await?, Caller::Session(token)))
            }

            /// Whether a session token says that it is under a signing key that is known here, from memory: for servers with several
            /// engines, so that they ask the right one first. It proves nothing.
            fn knows_key_of(&self, token: &Secret) -> bool {
                let _ = token;
                false
            }

            /// What a session token says, from memory, if its signature is good, and the session's authority: whether the session still
            /// counts each operation asks that is called with it. `None` where more would have to be asked for.
            fn try_session(&self, token: &Secret) -> Option<(SessionInfo, Caller)> {
                let _ = token;
                None
            }

            /// The ready twin of [`Backend::credential`]: from memory, without waiting; `None` when the call has to wait.
            fn try_credential(&self, caller: &Caller, request: &GetCredential) -> Option<Result<Arc<Credential>>> {
                let _ = (caller, request);
                None
            }

            /// As [`Backend::try_credential`], with what tells whether it is still the one to use: for callers that keep it in a
            /// form of their own, as bindings do. `None` also where there is nothing in memory.
            fn find_credential(&self, caller: &Caller, request: &GetCredential) -> Option<(Arc<Credential>, Found)> {
                let _ = (caller, request);
                None
            }

            /// The streaming twin of [`Backend::request`]: the body is sent as it is read, and the answer read as it comes. `timeout`
            /// is how long either side may be silent, `max_body` how many bytes either way (default 1 GiB).
            async fn request_stream(&self, caller: &Caller, request: ApiRequest, upload: Option<Upload>) -> Result<HttpStream> {
                let _ = (caller, request, upload);
                Err(unsupported(Operation::Request))
            }

            /// Whether operations can work now: the store takes writes, and the keys seal and open. For readiness checks of
            /// servers; no operation.
            async fn ready(&self) -> Result<()> {
                Ok(())
            }

            /// Ends background work and releases the store. Later calls answer `closed`.
            async fn close(&self) {}

            $(
                $(#[doc = $doc])*
                async fn $name(&self, caller: &Caller, request: $request) -> Result<$answer> {
                    let _ = (caller, request);
                    Err(unsupported(Operation::$operation))
                }
            )*
        }

        /// Calls an operation with its request in JSON form, and answers in JSON form **with the secrets in the clear**: for
        /// wires and bindings. A new operation is here by itself.
        ///
        /// # Errors
        /// `invalid_request` when the request has not the operation's form; the operation's own.
        pub async fn call_json(backend: &dyn Backend, caller: &Caller, operation: Operation, request: Json) -> Result<Json> {
            let answer = call(backend, caller, AnyRequest::read(operation, request)?).await?;
            serde_json::to_value(Exposed(&answer)).map_err(|_| err!(Internal, "an answer has no JSON form"))
        }

        /// A request of any operation, for callers that choose the operation by its name: wires and bindings.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum AnyRequest { $($(#[doc = $doc])* $operation($request),)* }

        impl AnyRequest {
            /// The operation that it asks for.
            pub fn operation(&self) -> Operation {
                match self { $(AnyRequest::$operation(_) => Operation::$operation,)* }
            }

            /// Reads the operation's request from any format; from the host language's own objects without a text between.
            ///
            /// # Errors
            /// `invalid_request` when it has not the operation's form. What is said of a mistake repeats no value.
            pub fn read<'de, D: serde::Deserializer<'de>>(operation: Operation, from: D) -> Result<Self> {
                match operation { $(Operation::$operation => read(operation, from).map(AnyRequest::$operation),)* }
            }
        }

        /// The answer of any operation. It is written out by [`Exposed`] only.
        #[derive(Clone)]
        #[non_exhaustive]
        pub enum AnyAnswer { $($(#[doc = $doc])* $operation($answer),)* }

        impl crate::Expose for AnyAnswer {
            fn write_exposed<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                match self { $(AnyAnswer::$operation(answer) => answer.write_exposed(serializer),)* }
            }
        }

        /// Calls an operation that is chosen by its request. A new operation is here by itself.
        ///
        /// # Errors
        /// The operation's own.
        pub async fn call(backend: &dyn Backend, caller: &Caller, request: AnyRequest) -> Result<AnyAnswer> {
            // What is in memory needs no wait.
            if let AnyRequest::Credential(asked) = &request
                && let Some(ready) = backend.try_credential(caller, asked)
            {
                return ready.map(AnyAnswer::Credential);
            }
            match request {
                $(AnyRequest::$operation(request) => backend.$name(caller, request).await.map(AnyAnswer::$operation),)*
            }
        }

        /// The JSON Schema of every operation: by its name, the form of its `request` and of its `answer`, and the codes of the
        /// `errors` that are its own; what several share stands under `$defs`. Types of other languages are made from it.
        pub fn schema() -> Json {
            crate::manifest::schema::checked_in(include_str!(concat!(env!("OUT_DIR"), "/operations-1.json")), made_schema)
        }

        fn made_schema() -> Json {
            let mut generator = schemars::SchemaGenerator::default();
            let mut operations = crate::model::JsonMap::new();
            $(
                let row = Operation::$operation.row();
                operations.insert(row.name.to_owned(), serde_json::json!({
                    "description": row.about,
                    "scope": row.scope.as_str(),
                    "ready": row.ready,
                    "since": row.since,
                    "errors": errors_in(&[$($doc),*]),
                    "request": generator.subschema_for::<$request>(),
                    "answer": generator.subschema_for::<$answer>(),
                }));
            )*
            serde_json::json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$id": format!("{}operations-1.json", crate::manifest::schema::SCHEMA_BASE),
                "title": "Smalt operations, version 1",
                "operations": operations,
                "$defs": generator.take_definitions(true),
            })
        }
    };
}

/// The codes that a method's documentation names behind `Errors:`, in its order. Each stands between backticks.
fn errors_in(lines: &[&str]) -> Vec<String> {
    let text = lines.join("\n");
    let named = text.split_once("Errors:").map_or("", |(_, named)| named);
    named.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Reads a request. What it says of a mistake repeats no value: any of them may be a secret.
fn read<'de, T: serde::Deserialize<'de>, D: serde::Deserializer<'de>>(operation: Operation, request: D) -> Result<T> {
    T::deserialize(request).map_err(|error| {
        let name = operation.row().name;
        match Misread::of(&error.to_string()) {
            Misread::Unknown(field) => err!(InvalidRequest, "`{name}` has no field `{}`", field.escape_default()),
            Misread::Needed(field) => err!(InvalidRequest, "`{name}` needs the field `{}` once", field.escape_default()),
            Misread::TooLarge(limit) => err!(InvalidRequest, "`{name}` is asked for too much: {limit}"),
            Misread::OtherType => err!(InvalidRequest, "a field of `{name}` holds a value of another type than it takes"),
        }
    })
}

pub(crate) fn unsupported(operation: Operation) -> crate::Error {
    err!(Unsupported, "this backend does not offer `{}`", operation.row().name)
}

/// Hands every row to the macro that is named: to the trait below, and to what stands before other backends.
macro_rules! doorway {
    ($then:ident) => {
        $then! {
        /// Makes a linked account. Errors: `linked_account_exists`, `invalid_id`.
        create_account: CreateAccount(PutAccount) -> LinkedAccount;
        /// Makes or changes a linked account; tells whether it is new. Errors: `invalid_id`.
        upsert_account: UpsertAccount(PutAccount) -> UpsertedAccount;
        /// Reads a linked account. Errors: `linked_account_not_found`.
        get_account: Account(GetAccount) -> LinkedAccount;
        /// Lists linked accounts, newest first. Errors: `invalid_cursor`.
        list_accounts: ListAccounts(ListAccounts) -> Page<LinkedAccount>;
        /// How many linked accounts there are.
        count_accounts: CountAccounts(CountAccounts) -> u64;
        /// Deletes a linked account with everything of it; queues the revocation of its grants. Errors: `linked_account_not_found`.
        delete_account: DeleteAccount(GetAccount) -> ();
        /// Makes or reuses a session token. Errors: `linked_account_not_found`.
        create_session: CreateSession(CreateSession) -> SessionInfo;
        /// Tells whose token it is. Errors: `invalid_token`, one answer for every way a token can be wrong.
        verify_session: VerifySession(VerifySession) -> SessionInfo;
        /// Ends a session at once; false when it had ended.
        revoke_session: RevokeSession(RevokeSession) -> bool;
        /// Makes a link to the hosted page.
        /// Errors: `return_to_not_allowed`, `invalid_request`, `project_invalid`, `linked_account_not_found`.
        portal_url: PortalUrl(GetPortalUrl) -> PortalLink;
        /// Trades a link's ticket for its session; a link that works once ends by it. Errors: `portal_link_invalid`, one answer for
        /// every way in which a link can be wrong.
        open_portal: OpenPortal(OpenPortal) -> Portal;
        /// What was stored for the hosted page of a session; an empty object where nothing was. Errors: `invalid_token`.
        portal_properties: PortalProperties(GetPortalProperties) -> Json;
        /// Makes an API key for a backend of the organisation; the key itself is shown this once.
        create_api_key: CreateApiKey(CreateApiKey) -> NewApiKey;
        /// Lists API keys without the keys themselves, newest first.
        list_api_keys: ListApiKeys(ListApiKeys) -> Vec<ApiKey>;
        /// Ends an API key at once; false when it had ended. Errors: `api_key_not_found`.
        revoke_api_key: RevokeApiKey(RevokeApiKey) -> bool;
        /// Tells which API key it is. Errors: `invalid_api_key`, one answer for every way a key can be wrong.
        verify_api_key: VerifyApiKey(VerifyApiKey) -> ApiKey;
        /// Lists the enabled applications. Errors: `linked_account_not_found`.
        list_apps: ListApps(GetAccount) -> Vec<Application>;
        /// Describes one application. Errors: `application_not_found`, `linked_account_not_found`.
        get_app: App(GetApp) -> Application;
        /// Begins an OAuth connect flow. A provider that is asked first, as in the device flow, may refuse.
        /// Errors: `linked_account_not_found`, `application_not_found`, `client_missing`, `invalid_inputs`, `redirect_not_allowed`,
        /// `return_to_not_allowed`, `wrong_auth_type`, `connection_not_found`, `authorize_failed`, `client_rejected`.
        start_connect: StartConnect(StartConnect) -> StartedConnect;
        /// Begins an OAuth connect flow for a browser that the caller does not hold.
        /// Errors: `linked_account_not_found`, `application_not_found`, `connection_not_found`, `invalid_inputs`, `redirect_not_allowed`,
        /// `return_to_not_allowed`, `wrong_auth_type`.
        hand_off_connect: HandOffConnect(StartConnect) -> Handoff;
        /// Whose handed-off connect it is. Errors: `claim_invalid`.
        get_handoff: GetHandoff(TakeHandoff) -> HandoffPreview;
        /// Spends the ticket of a handed-off connect: the answer's cookie and page are for the browser that asked. Errors: `claim_invalid`.
        take_handoff: TakeHandoff(TakeHandoff) -> StartedConnect;
        /// Takes a provider's callback and parks its code until the user claims it (60 s at most).
        /// Errors: `invalid_state`, `state_replayed`.
        park_callback: ParkCallback(ParkCallback) -> ParkedCallback;
        /// Ends a connect flow for the user who came back.
        /// Errors: `invalid_state`, `state_replayed`, `flow_expired`, `flow_cancelled`, `flow_account_mismatch`, `browser_mismatch`,
        /// `issuer_mismatch`, `user_denied`, `exchange_failed`, `claim_invalid`, `authorize_failed`, `flow_context_mismatch`,
        /// `credentials_rejected`, `scope_missing`, `provider_unreachable`, `provider_timeout`, `provider_error`, `provider_limited`,
        /// `malformed_answer`, `linked_account_not_found`.
        finish_connect: FinishConnect(FinishConnect) -> Connection;
        /// Reads a connect flow. Errors: `flow_not_found`.
        get_flow: Flow(GetFlow) -> ConnectFlow;
        /// Waits for a connect flow's end, at most so long; answers it as it stands then. Errors: `flow_not_found`.
        wait_flow: WaitFlow(WaitFlow) -> ConnectFlow;
        /// Cancels a connect flow. Errors: `flow_not_found`.
        cancel_flow: CancelFlow(GetFlow) -> ConnectFlow;
        /// Verifies and saves what the user entered.
        /// Errors: `invalid_inputs`, `credentials_rejected`, `linked_account_not_found`, `application_not_found`, `wrong_auth_type`,
        /// `host_mismatch`, `address_refused`, `provider_unreachable`, `provider_timeout`, `provider_error`, `provider_limited`,
        /// `malformed_answer`.
        connect_key: ConnectKey(ConnectKey) -> Connection;
        /// Takes over tokens or keys that were issued elsewhere.
        /// Errors: `credential_missing`, `invalid_inputs`, `wrong_auth_type`, `linked_account_not_found`, `credentials_rejected`,
        /// `application_not_found`.
        import_connection: ImportConnection(ImportConnection) -> Connection;
        /// Lists connections, default ones first. Errors: `linked_account_not_found`.
        list_connections: ListConnections(ListConnections) -> Vec<Connection>;
        /// Reads one connection. Errors: `connection_not_found`, `linked_account_not_found`.
        get_connection: Connection(GetConnection) -> Connection;
        /// Makes a connection its application's default one. Errors: `connection_not_found`, `linked_account_not_found`.
        set_default_connection: SetDefaultConnection(GetConnection) -> Connection;
        /// A credential that is valid now.
        /// Errors: `not_connected`, `reauth_required`, `refresh_failed`, `linked_account_not_found`, `application_not_found`,
        /// `connection_not_found`, `grant_suspended`.
        credential: Credential(GetCredential) -> Arc<Credential>;
        /// Sends an authenticated call; the provider's answer is returned whatever its status.
        /// Errors: `not_connected`, `reauth_required`, `host_mismatch`, `provider_unreachable`, `answer_too_large`, `address_refused`,
        /// `connection_not_found`, `provider_timeout`, `provider_error`, `linked_account_not_found`, `application_not_found`,
        /// `refresh_failed`, `grant_suspended`.
        request: Request(ApiRequest) -> ApiAnswer;
        /// Sends an authenticated call for one page of a list.
        /// Errors: `invalid_cursor`, `malformed_answer`, `unsupported`, `not_connected`, `reauth_required`, `host_mismatch`,
        /// `provider_unreachable`, `provider_timeout`, `provider_error`, `answer_too_large`, `address_refused`, `connection_not_found`,
        /// `linked_account_not_found`, `application_not_found`, `refresh_failed`, `grant_suspended`.
        request_page: RequestPage(ApiPageRequest) -> ApiPage;
        /// Removes connections and configs and queues the revocation, in one transaction.
        /// Errors: `linked_account_not_found`, `application_not_found`, `connection_not_found`, `shared_grant`.
        disconnect: Disconnect(Disconnect) -> Receipt;
        /// How the revocations of a disconnect ended. Errors: `receipt_not_found`.
        get_receipt: Receipt(GetReceipt) -> Receipt;
        /// Finds or makes a config. Errors: `linked_account_not_found`, `application_not_found`, `invalid_config`.
        config: Config(FindConfig) -> Config;
        /// Reads a config; never makes one. Errors: `config_not_found`, `application_not_found`, `linked_account_not_found`.
        get_config: GetConfig(GetConfig) -> Config;
        /// Changes a config.
        /// Errors: `config_not_found`, `invalid_config`, `config_conflict`, `application_not_found`, `workflow_not_found`,
        /// `linked_account_not_found`.
        update_config: UpdateConfig(UpdateConfig) -> Config;
        /// Deletes a config; the connection stays. Errors: `config_not_found`, `linked_account_not_found`.
        delete_config: DeleteConfig(GetConfig) -> ();
        /// The ids of an application's configs, newest first. Errors: `linked_account_not_found`, `application_not_found`.
        list_configs: ListConfigs(GetApp) -> Vec<String>;
        /// One field with its choices resolved afresh.
        /// Errors: `field_not_found`, `application_not_found`, `workflow_not_found`, `linked_account_not_found`.
        config_field: ConfigField(ConfigField) -> Field;
        /// Sets or clears one field.
        /// Errors: `config_not_found`, `field_not_found`, `invalid_config`, `application_not_found`, `workflow_not_found`,
        /// `linked_account_not_found`.
        set_config_field: SetConfigField(SetConfigField) -> Field;
        /// The columns of a rule for a left side.
        /// Errors: `field_not_found`, `invalid_config`, `application_not_found`, `config_not_found`, `linked_account_not_found`.
        rule_columns: RuleColumns(GetRuleColumns) -> RuleColumns;
        /// Replaces the account's credentials for the organisation's own application.
        /// Errors: `invalid_request`, `linked_account_not_found`.
        put_own_credentials: PutOwnCredentials(PutOwnCredentials) -> ();
        /// Sets or removes one of them. Errors: `own_credentials_not_found`.
        set_own_credential: SetOwnCredential(SetOwnCredential) -> OwnChange;
        /// Answers them. Errors: `own_credentials_not_found`.
        own_credentials: OwnCredentials(GetAccount) -> OwnCredentials;
        /// Runs an enabled workflow; the answer is the run, also where the runner fails.
        /// Errors: `config_not_found`, `workflow_not_found`, `workflow_disabled`, `not_connected`, `reauth_required`,
        /// `linked_account_not_found`, `application_not_found`.
        execute_workflow: ExecuteWorkflow(ExecuteWorkflow) -> Executed;
        /// Runs of workflows, newest first. Errors: `invalid_cursor`, `linked_account_not_found`.
        list_executions: ListExecutions(ListExecutions) -> Page<Execution>;
        /// Reads one. Errors: `execution_not_found`, `linked_account_not_found`.
        get_execution: GetExecution(GetExecution) -> Execution;
        /// Hands an enabled workflow to the host's runner.
        /// Errors: `config_not_found`, `workflow_not_found`, `workflow_disabled`, `not_connected`, `reauth_required`,
        /// `linked_account_not_found`, `application_not_found`.
        run_workflow: RunWorkflow(RunWorkflow) -> Json;
        /// What happened since a cursor, oldest first; waits for the first event at most so long. Errors: `invalid_cursor`.
        events: Events(ListEvents) -> Page<Event>;
        /// Who did what with secrets, newest first. Errors: `invalid_cursor`.
        audit: Audit(ListAudit) -> Page<AuditEntry>;
        /// Makes a webhook; its secret is shown this once. Errors: `address_refused`.
        create_webhook: CreateWebhook(WebhookSettings) -> NewWebhook;
        /// Lists webhooks, oldest first, without their secrets.
        list_webhooks: ListWebhooks(ListWebhooks) -> Vec<Webhook>;
        /// Changes a webhook. Errors: `webhook_not_found`, `address_refused`.
        update_webhook: UpdateWebhook(UpdateWebhook) -> Webhook;
        /// Deletes a webhook with its deliveries. Errors: `webhook_not_found`.
        delete_webhook: DeleteWebhook(GetWebhook) -> ();
        /// Replaces a webhook's secret; the new one is shown this once. Errors: `webhook_not_found`.
        rotate_webhook_secret: RotateWebhookSecret(RotateWebhookSecret) -> NewWebhook;
        /// What was and is to be sent to a webhook, newest first. Errors: `webhook_not_found`, `invalid_cursor`.
        list_deliveries: ListDeliveries(ListDeliveries) -> Page<Delivery>;
        /// Sends a delivery again, under its own id. Errors: `delivery_not_found`.
        redeliver: Redeliver(Redeliver) -> Delivery;
        /// Begins a rotation of the organisation's data keys, of both environments, or joins the one under way. It goes on by itself.
        /// Errors: the key provider's.
        rotate_keys: RotateKeys(RotateKeys) -> KeyRotation;
        /// The project in force.
        get_project: Project(GetProject) -> Project;
        /// Replaces the project of this engine until it is closed.
        set_project: SetProject(Project) -> ();
        }
    };
}
pub(crate) use doorway;

doorway!(backend);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_checked_in_schema_is_the_generated_one() {
        crate::manifest::schema::assert_checked_in("operations-1.json", &schema());
    }

    #[test]
    fn every_operation_is_described() {
        let schema = schema();
        for operation in Operation::ALL {
            let described = &schema["operations"][operation.row().name];
            assert!(described["request"]["$ref"].is_string(), "{operation:?}: {described}");
        }
    }

    #[test]
    fn the_errors_of_an_operation_are_codes() {
        let schema = schema();
        for operation in Operation::ALL {
            for code in schema["operations"][operation.row().name]["errors"].as_array().unwrap() {
                assert!(crate::Code::parse(code.as_str().unwrap()).is_some(), "{operation:?}: {code}");
            }
        }
        assert_eq!(schema["operations"]["get_account"]["errors"], serde_json::json!(["linked_account_not_found"]));
        assert_eq!(errors_in(&[" Does it. Errors: `a`, one for", " every way; `b`."]), ["a", "b"]);
        assert!(errors_in(&[" Says what `errors` are."]).is_empty());
    }

    #[test]
    fn a_mistaken_request_is_named_without_its_values() {
        let refused = |json: Json| read::<PutAccount, _>(Operation::CreateAccount, json).unwrap_err().to_string();
        for (json, named) in [
            (serde_json::json!({"id": "a", "org": "canary"}), "`org`"),
            (serde_json::json!({"update": {}}), "`id`"),
            (serde_json::json!({"id": {"canary": "canary"}}), "another type"),
            (serde_json::json!({"id": "a", "update": {"environment": "canary"}}), "`environment`"),
            (serde_json::json!("canary"), "another type"),
        ] {
            let said = refused(json);
            assert!(said.contains(named) && !said.contains("canary"), "{said}");
        }
    }

    /// A reader that refuses whatever it is asked for.
    struct Full(&'static str);

    impl<'de> serde::Deserializer<'de> for Full {
        type Error = serde::de::value::Error;
        fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> std::result::Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom(self.0))
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
            tuple_struct map struct enum identifier ignored_any
        }
    }

    #[test]
    fn a_request_that_is_too_large_says_so() {
        for (said, told) in [("too large: at most 7 items", "at most 7 items"), ("at most 7 items", "another type")] {
            let error = read::<PutAccount, _>(Operation::CreateAccount, Full(said)).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
