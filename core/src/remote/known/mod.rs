//! A server without `/smalt/v1`: the routes of the hosted service, in the bodies of [`wire`](crate::wire).
//!
//! With an API key the routes of its backends are used (`/api/v2/public/…`, the account in header and query), with a session
//! token those of its web SDK (`/api/v2/f-sdk/…`). What these routes cannot say is `unsupported`; nothing is guessed.

mod configs;
mod convert;
mod flows;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use url::form_urlencoded::byte_serialize;

pub use flows::Poll;

use self::{
    convert::{application, connections},
    flows::Flows,
};
use super::{
    link::{Call, Link, json},
    retry::Effect,
    tokens::Claims,
};
use crate::{
    Secret,
    backend::*,
    error::{Code, Error, Result, bail, err},
    expose::{Expose, Exposed},
    model::*,
    operations::Operation,
    plugin::{Clock, SystemClock},
    wire,
};

/// Accounts on one page, at most: what the service is documented to take.
const LARGEST_PAGE: u32 = 100;

/// The operations that the hosted service's routes can express.
pub(super) struct Known {
    link: Arc<Link>,
    flows: Flows,
}

/// What a request asks for and the routes cannot do.
fn cannot(what: &str) -> Error {
    err!(Unsupported, "its routes cannot do this").with("why", what)
}

fn by_key(caller: &Caller) -> bool {
    matches!(caller, Caller::Organisation(_))
}

/// A segment of a path. An empty one would name another route, and dots are resolved away by whoever reads a URL.
fn segment(what: &str, value: &str) -> Result<String> {
    if value.is_empty() || value.bytes().all(|byte| byte == b'.') {
        bail!(InvalidRequest, "the {what} is empty, or nothing but dots");
    }
    Ok(byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20"))
}

impl Known {
    pub(super) fn new(link: Arc<Link>, poll: Poll) -> Self {
        Self { link, flows: Flows::new(poll) }
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, caller: &Caller, mut call: Call) -> Result<T> {
        let name = call.operation.row().name;
        let got = self.link.send(caller, &mut call).await?;
        got.json().map_err(|error| error.with("server", &self.link.host).with("operation", name))
    }

    /// A call about a linked account. A session names its own by its token.
    fn about(&self, caller: &Caller, account: &str, operation: Operation, method: &'static str, path: String) -> Result<Call> {
        let mut call = Call::new(operation, method, path);
        if by_key(caller) {
            if account.is_empty() {
                bail!(InvalidId, "the linked account's id is empty");
            }
            // As the published SDK for backends does: proxies like to drop one, and the other wins where both come.
            call.headers.push(("linked_account_id", account.to_owned()));
            call.query.push(("linked_account_id", account.to_owned()));
        }
        Ok(call)
    }

    async fn app(&self, caller: &Caller, account: &str, slug: &str, operation: Operation) -> Result<wire::Application> {
        let family = if by_key(caller) { "public" } else { "f-sdk" };
        let path = format!("/api/v2/{family}/application/{}", segment("application", slug)?);
        self.ask(caller, self.about(caller, account, operation, "GET", path)?).await
    }

    async fn apps(&self, caller: &Caller, account: &str, operation: Operation) -> Result<Vec<wire::Application>> {
        let family = if by_key(caller) { "public" } else { "f-sdk" };
        self.ask(caller, self.about(caller, account, operation, "GET", format!("/api/v2/{family}/application"))?).await
    }

    async fn all_connections(&self, caller: &Caller, account: &str, slug: Option<&str>, operation: Operation) -> Result<Vec<Connection>> {
        let apps = match slug {
            Some(slug) => vec![self.app(caller, account, slug, operation).await?],
            None => self.apps(caller, account, operation).await?,
        };
        Ok(apps.iter().flat_map(|app| connections(account, app)).collect())
    }

    async fn put_account(
        &self,
        caller: &Caller,
        operation: Operation,
        method: &'static str,
        request: PutAccount,
    ) -> Result<wire::LinkedAccount> {
        let mut call = Call::new(operation, method, "/api/v2/public/linked-account");
        call.body = Some(json(&wire::Written::new(&request.id, request.update))?);
        self.ask(caller, call).await
    }

    async fn page(
        &self,
        caller: &Caller,
        operation: Operation,
        page: u64,
        limit: u32,
        search: Option<String>,
    ) -> Result<wire::Listed<wire::LinkedAccount>> {
        let mut call = Call::new(operation, "GET", "/api/v2/public/linked-account");
        call.query = vec![("page", page.to_string()), ("limit", limit.to_string())];
        call.query.extend(search.map(|search| ("search", search)));
        self.ask(caller, call).await
    }

    /// The connection that was just made.
    async fn made(&self, caller: &Caller, account: &str, slug: &str, auth_type: AuthType, operation: Operation) -> Result<Connection> {
        let app = self.app(caller, account, slug, operation).await?;
        let found = connections(account, &app).into_iter().find(|connection| connection.auth_type == auth_type);
        found.ok_or_else(|| err!(ServerAnswer, "the server has saved the connection and does not list it").with("application", slug))
    }
}

/// Values by name, secrets in the clear.
struct Values<'a>(&'a BTreeMap<String, Secret>);

impl serde::Serialize for Values<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.0.write_exposed(serializer)
    }
}

/// What an import sends.
#[derive(serde::Serialize)]
struct Migrated<'a> {
    linked_account_id: &'a str,
    slug: &'a str,
    auth_object: BTreeMap<AuthType, Values<'a>>,
}

/// What tells that something was done.
#[derive(serde::Deserialize)]
struct Done {
    #[serde(default)]
    success: bool,
}

#[derive(serde::Deserialize)]
struct Url {
    auth_url: String,
}

impl Done {
    fn check(&self, what: &str) -> Result<()> {
        if self.success { Ok(()) } else { Err(err!(ServerAnswer, "the server does not say that it has {what}")) }
    }
}

fn session_info(token: Secret, account: String, life: Option<u64>) -> SessionInfo {
    let (claims, now) = (Claims::of(&token), SystemClock::default().now());
    let created_at = Claims::time(claims.iat).unwrap_or(now);
    let stated = life.map(|seconds| now.plus(std::time::Duration::from_secs(seconds)));
    let expires_at = Claims::time(claims.exp).or(stated).unwrap_or(crate::Timestamp::from_millis(i64::MAX));
    let expires_in = life.unwrap_or_else(|| expires_at.since(now).as_secs());
    SessionInfo { id: claims.jti.unwrap_or_default(), account_id: account, token, created_at, expires_at, expires_in }
}

#[async_trait]
impl Backend for Known {
    fn capabilities(&self) -> Capabilities {
        use Operation as O;
        let offered = [
            O::CreateAccount,
            O::UpsertAccount,
            O::Account,
            O::ListAccounts,
            O::CountAccounts,
            O::DeleteAccount,
            O::CreateSession,
            O::VerifySession,
            O::RevokeSession,
            O::ListApps,
            O::App,
            O::HandOffConnect,
            O::Flow,
            O::WaitFlow,
            O::CancelFlow,
            O::ConnectKey,
            O::ImportConnection,
            O::ListConnections,
            O::Connection,
            O::Disconnect,
            O::Config,
            O::GetConfig,
            O::UpdateConfig,
            O::DeleteConfig,
            O::ListConfigs,
            O::ConfigField,
            O::SetConfigField,
            O::RuleColumns,
        ];
        Capabilities {
            backend: "remote".to_owned(),
            version: String::new(),
            operations: offered.iter().map(|operation| operation.row().name.to_owned()).collect(),
            workflows: false,
            presenter: false,
        }
    }

    async fn create_account(&self, caller: &Caller, request: PutAccount) -> Result<LinkedAccount> {
        self.put_account(caller, Operation::CreateAccount, "POST", request).await.map(LinkedAccount::from)
    }

    async fn upsert_account(&self, caller: &Caller, request: PutAccount) -> Result<UpsertedAccount> {
        let body = self.put_account(caller, Operation::UpsertAccount, "PUT", request).await?;
        Ok(UpsertedAccount { is_new: body.new_account.unwrap_or(false), account: body.into() })
    }

    async fn get_account(&self, caller: &Caller, request: GetAccount) -> Result<LinkedAccount> {
        let path = match caller {
            Caller::Organisation(_) => format!("/api/v2/public/linked-account/{}", segment("linked account's id", &request.account)?),
            Caller::Session(_) | Caller::Proved(_) => "/api/v2/public/session/active-linked-account".to_owned(),
        };
        self.ask::<wire::LinkedAccount>(caller, Call::new(Operation::Account, "GET", path)).await.map(LinkedAccount::from)
    }

    /// The service counts pages; a cursor is the next one's number.
    async fn list_accounts(&self, caller: &Caller, request: ListAccounts) -> Result<Page<LinkedAccount>> {
        let limit = request.limit.unwrap_or(50).clamp(1, LARGEST_PAGE);
        let number = |cursor: &String| {
            let (stated, page) = cursor
                .strip_prefix("page:")?
                .split_once('/')
                .and_then(|(page, limit)| Some((limit.parse::<u32>().ok()?, page.parse().ok()?)))?;
            (stated == limit).then_some(page)
        };
        let page = match (&request.cursor, request.skip.unwrap_or(0)) {
            (Some(cursor), _) => number(cursor).ok_or_else(|| Error::code_only(Code::InvalidCursor))?,
            (None, skip) if skip % u64::from(limit) == 0 => skip / u64::from(limit) + 1,
            (None, _) => return Err(cannot("`skip` must be a multiple of `limit`")),
        };
        let listed = self.page(caller, Operation::ListAccounts, page, limit, request.search).await?;
        let more = page.saturating_mul(u64::from(limit)) < listed.total_docs;
        let next = more.then(|| format!("page:{}/{limit}", page + 1));
        Ok(Page { items: listed.docs.into_iter().map(LinkedAccount::from).collect(), next })
    }

    async fn count_accounts(&self, caller: &Caller, request: CountAccounts) -> Result<u64> {
        Ok(self.page(caller, Operation::CountAccounts, 1, 1, request.search).await?.total_docs)
    }

    async fn delete_account(&self, caller: &Caller, request: GetAccount) -> Result<()> {
        let path = format!("/api/v2/public/linked-account/{}", segment("linked account's id", &request.account)?);
        self.ask::<serde::de::IgnoredAny>(caller, Call::new(Operation::DeleteAccount, "DELETE", path)).await.map(drop)
    }

    async fn create_session(&self, caller: &Caller, request: CreateSession) -> Result<SessionInfo> {
        let mut call = Call::new(Operation::CreateSession, "POST", "/api/v2/public/session-token");
        call.effect = Effect::of_session(&request);
        if request.force {
            call.query.push(("force_refresh", "true".to_owned()));
        }
        call.body = Some(json(&serde_json::json!({"linked_account_id": request.account}))?);
        let body: wire::SessionToken = self.ask(caller, call).await?;
        Ok(session_info(body.token, request.account, body.expires_in))
    }

    async fn verify_session(&self, caller: &Caller, request: VerifySession) -> Result<SessionInfo> {
        let token = self.own(caller, request.token).await?;
        let whose = Caller::Session(token.clone());
        let call = Call::new(Operation::VerifySession, "GET", "/api/v2/public/session/active-linked-account");
        let account: wire::LinkedAccount = self.ask(&whose, call).await?;
        Ok(session_info(token, account.account_id, None))
    }

    /// The token that is shown is the one that ends.
    async fn revoke_session(&self, caller: &Caller, request: RevokeSession) -> Result<bool> {
        let whose = Caller::Session(self.own(caller, request.token).await?);
        let call = Call::new(Operation::RevokeSession, "POST", "/api/v2/public/session-token/revoke");
        Ok(self.ask::<wire::SessionRevoked>(&whose, call).await?.revoked_count > 0)
    }

    async fn list_apps(&self, caller: &Caller, request: GetAccount) -> Result<Vec<Application>> {
        let apps = self.apps(caller, &request.account, Operation::ListApps).await?;
        Ok(apps.into_iter().map(|app| application(&request.account, app)).collect())
    }

    async fn get_app(&self, caller: &Caller, request: GetApp) -> Result<Application> {
        let app = self.app(caller, &request.account, &request.application, Operation::App).await?;
        Ok(application(&request.account, app))
    }

    /// The service's page asks and comes back to the service; that the user has connected shows in the application.
    async fn hand_off_connect(&self, caller: &Caller, request: StartConnect) -> Result<Handoff> {
        let StartConnect { account, application, inputs, scopes, return_to, redirect_uri, connection, device } = request;
        if scopes.is_some() || return_to.is_some() || redirect_uri.is_some() || connection.is_some() || device {
            return Err(cannot("`scopes`, `return_to`, `redirect_uri`, `connection` and `device` are not known there"));
        }
        let before = self.app(caller, &account, &application, Operation::HandOffConnect).await?;
        let slug = segment("application", &application)?;
        let path = match by_key(caller) {
            true => format!("/api/v2/public/linked-account/integration/oauth-url/{slug}"),
            false => format!("/api/v1/{slug}/integrate"),
        };
        let mut call = self.about(caller, &account, Operation::HandOffConnect, "GET", path)?;
        call.inputs = inputs.into_iter().collect();
        let page = Secret::new(self.ask::<Url>(caller, call).await?.auth_url);
        let flow = self.flows.begin(account, application, before)?;
        Ok(Handoff { flow_id: flow.id, ticket: Secret::default(), page: Some(page), expires_at: flow.expires_at })
    }

    async fn get_flow(&self, _: &Caller, request: GetFlow) -> Result<ConnectFlow> {
        self.flows.get(&request.flow, &request.account)
    }

    async fn cancel_flow(&self, _: &Caller, request: GetFlow) -> Result<ConnectFlow> {
        self.flows.cancel(&request.flow, &request.account)
    }

    async fn wait_flow(&self, caller: &Caller, request: WaitFlow) -> Result<ConnectFlow> {
        let look = |account: String, slug: String| async move { self.app(caller, &account, &slug, Operation::WaitFlow).await };
        self.flows.wait(&request, look).await
    }

    async fn connect_key(&self, caller: &Caller, request: ConnectKey) -> Result<Connection> {
        if request.connection.is_some() {
            return Err(cannot("it has one connection per way to authorise: leave `connection` out"));
        }
        let slug = segment("application", &request.application)?;
        let (method, path) = match by_key(caller) {
            true => ("PUT", format!("/api/v2/public/linked-account/integration/save-key-credentials/{slug}")),
            false => ("POST", format!("/api/v2/app/{slug}/save")),
        };
        let mut call = self.about(caller, &request.account, Operation::ConnectKey, method, path)?;
        call.body = Some(json(&Exposed(&request.inputs))?);
        self.ask::<Done>(caller, call).await?.check("saved the credentials")?;
        self.made(caller, &request.account, &request.application, AuthType::Keybased, Operation::ConnectKey).await
    }

    async fn import_connection(&self, caller: &Caller, request: ImportConnection) -> Result<Connection> {
        if request.expires_in.is_some() || !request.scopes.is_empty() {
            return Err(cannot("`expires_in` and `scopes` are not known there"));
        }
        let auth_type = match request.auth_type {
            Some(auth_type) => auth_type,
            None => self.app(caller, &request.account, &request.application, Operation::ImportConnection).await?.auth_type,
        };
        let body = Migrated {
            linked_account_id: &request.account,
            slug: &request.application,
            auth_object: BTreeMap::from([(auth_type, Values(&request.values))]),
        };
        let mut call =
            self.about(caller, &request.account, Operation::ImportConnection, "PUT", "/api/v2/public/migrate-token".to_owned())?;
        call.body = Some(json(&body)?);
        self.ask::<Done>(caller, call).await?.check("taken over the credentials")?;
        self.made(caller, &request.account, &request.application, auth_type, Operation::ImportConnection).await
    }

    async fn list_connections(&self, caller: &Caller, request: ListConnections) -> Result<Vec<Connection>> {
        self.all_connections(caller, &request.account, request.application.as_deref(), Operation::ListConnections).await
    }

    async fn get_connection(&self, caller: &Caller, request: GetConnection) -> Result<Connection> {
        let all = self.all_connections(caller, &request.account, None, Operation::Connection).await?;
        let found = all.into_iter().find(|connection| connection.id == request.connection);
        found.ok_or_else(|| Error::code_only(Code::ConnectionNotFound).with("connection", &request.connection))
    }

    /// The service revokes by itself, later, and tells nobody how it went.
    async fn disconnect(&self, caller: &Caller, request: Disconnect) -> Result<Receipt> {
        if request.siblings.is_some_and(|siblings| siblings != SiblingPolicy::Ask) {
            return Err(cannot("`siblings` is not known there"));
        }
        let (account, slug) = (&request.account, &request.application);
        let mut chosen = self.all_connections(caller, account, Some(slug), Operation::Disconnect).await?;
        let mut auth_type = request.auth_type;
        if let Some(id) = &request.connection {
            let found = chosen.iter().find(|connection| connection.id == *id).map(|connection| connection.auth_type);
            let found = found.ok_or_else(|| Error::code_only(Code::ConnectionNotFound).with("connection", id))?;
            if auth_type.is_some_and(|auth_type| auth_type != found) || chosen.iter().filter(|one| one.auth_type == found).count() > 1 {
                return Err(cannot("it disconnects by way to authorise, not by connection"));
            }
            auth_type = Some(found);
        }
        chosen.retain(|connection| auth_type.is_none_or(|auth_type| connection.auth_type == auth_type));
        let path = match by_key(caller) {
            true => format!("/api/v2/public/linked-account/integration/{}", segment("application", slug)?),
            false => format!("/api/v1/linked-acc/integration/{}", segment("application", slug)?),
        };
        let mut call = self.about(caller, account, Operation::Disconnect, "DELETE", path)?;
        call.query.extend(auth_type.map(|auth_type| ("auth_type", auth_type.as_str().to_owned())));
        self.ask::<serde::de::IgnoredAny>(caller, call).await?;
        let revocation = if chosen.is_empty() { RevocationOutcome::NothingToRevoke } else { RevocationOutcome::Queued };
        let gone = chosen.into_iter().map(|connection| RevokedConnection {
            connection_id: connection.id,
            identity: connection.identity,
            revocation,
            attempts: 0,
            siblings: Vec::new(),
        });
        Ok(Receipt {
            id: String::new(),
            account_id: account.clone(),
            application: slug.clone(),
            revocation,
            connections: gone.collect(),
            deleted_configs: Vec::new(),
            created_at: SystemClock::default().now(),
            finished_at: None,
        })
    }

    async fn config(&self, caller: &Caller, request: FindConfig) -> Result<Config> {
        self.find_config(caller, request).await
    }

    async fn get_config(&self, caller: &Caller, request: GetConfig) -> Result<Config> {
        self.read_config(caller, request).await
    }

    async fn update_config(&self, caller: &Caller, request: UpdateConfig) -> Result<Config> {
        self.change_config(caller, request).await
    }

    async fn delete_config(&self, caller: &Caller, request: GetConfig) -> Result<()> {
        self.remove_config(caller, request).await
    }

    async fn list_configs(&self, caller: &Caller, request: GetApp) -> Result<Vec<String>> {
        self.config_ids(caller, request).await
    }

    async fn config_field(&self, caller: &Caller, request: ConfigField) -> Result<Field> {
        self.read_field(caller, request).await
    }

    async fn set_config_field(&self, caller: &Caller, request: SetConfigField) -> Result<Field> {
        self.write_field(caller, request).await
    }

    async fn rule_columns(&self, caller: &Caller, request: GetRuleColumns) -> Result<RuleColumns> {
        self.rule(caller, request).await
    }
}

impl Known {
    /// A session whose tokens come from a provider names none and means its own.
    async fn own(&self, caller: &Caller, token: Secret) -> Result<Secret> {
        match caller {
            Caller::Session(held) if held.is_empty() && token.is_empty() => Ok(self.link.token(caller).await?.unwrap_or(token)),
            _ => Ok(token),
        }
    }
}
