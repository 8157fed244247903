//! Linked accounts, their integrations, and session tokens.

use std::collections::BTreeMap;

use super::{body, maybe_text, text};
use crate::{
    Secret, Timestamp,
    model::{self, Connection, ConnectionStatus, Environment, Json},
};

body! {
    /// A linked account.
    pub struct LinkedAccount {
        /// The record's id.
        #[serde(rename = "_id")]
        #[serde(default)]
        pub id: String,
        /// The organisation.
        #[serde(default)]
        pub associated_org: String,
        /// The id that the organisation chose.
        pub account_id: String,
        /// A name for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        /// The environment.
        pub environment: Environment,
        /// The organisation's own facts: a list here, although an object is sent.
        #[serde(default)]
        pub udf: Vec<UdfEntry>,
        /// The connections; absent where they were not asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub integrations: Option<Vec<Integration>>,
        /// When it was made.
        #[serde(rename = "createdAt")]
        pub created_at: Timestamp,
        /// When it last changed.
        #[serde(rename = "updatedAt")]
        pub updated_at: Timestamp,
        /// Whether an upsert made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub new_account: Option<bool>,
        /// After a disconnect: true.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub success: Option<bool>,
    }

    /// One fact about a linked account.
    pub struct UdfEntry {
        /// Its name.
        pub key_name: String,
        /// Its value.
        #[serde(deserialize_with = "text")]
        pub key_value: String,
        /// An id.
        #[serde(default, rename = "_id")]
        pub id: String,
        /// When it was set.
        #[serde(default, rename = "createdAt")]
        pub created_at: Timestamp,
        /// When it was set.
        #[serde(default, rename = "updatedAt")]
        pub updated_at: Timestamp,
    }

    /// An application that a linked account has connected.
    pub struct Integration {
        /// The default connection's id.
        #[serde(rename = "_id")]
        pub id: String,
        /// The application's slug.
        #[serde(rename = "type")]
        pub integration_type: String,
        /// The application's slug again, which is its name here.
        pub name: String,
        /// The application's icon.
        pub icon: Option<String>,
        /// Only of applications that the organisation made itself.
        pub app_id: Option<String>,
        /// Who it is at the application.
        #[serde(default, deserialize_with = "maybe_text", skip_serializing_if = "Option::is_none")]
        pub identifier: Option<String>,
        /// Whether the user must authorise again.
        #[serde(default)]
        pub reauth_required: bool,
        /// The same.
        #[serde(default)]
        pub refresh_token_expired: bool,
        /// Whether it is the account's default one.
        #[serde(default)]
        pub is_default: bool,
        /// When the user first authorised.
        #[serde(rename = "createdAt")]
        pub created_at: Timestamp,
        /// When the user last authorised.
        #[serde(rename = "updatedAt")]
        pub updated_at: Timestamp,
    }

    /// What create and upsert take.
    #[derive(Default)]
    pub struct Written {
        /// The id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub linked_account_id: Option<String>,
        /// The same, as older clients call it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub account_id: Option<String>,
        /// A name for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        /// Facts, as an object.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub udf: Option<BTreeMap<String, Json>>,
        /// Name and facts again, one level deeper; they win.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub payload: Option<Box<Written>>,
        /// Credentials of the organisation's own application.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub your_app: Option<YourApp>,
    }
}

/// Credentials of a linked account for the organisation's own application, as they are sent. Debug shows nothing of them.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct YourApp(pub Json);

impl std::fmt::Debug for YourApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("YourApp(…)")
    }
}

impl Written {
    /// The credentials for the organisation's own application, if any were sent. Values that are no texts are written as JSON.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn own_credentials(&self) -> Result<Option<BTreeMap<String, Secret>>, &'static str> {
        let inner = self.payload.as_deref().unwrap_or(self);
        let Some(YourApp(sent)) = inner.your_app.as_ref().or(self.your_app.as_ref()).filter(|sent| !sent.0.is_null()) else {
            return Ok(None);
        };
        let Some(values) = sent.get("auth_credentials").and_then(Json::as_object) else {
            return Err("`your_app` needs `auth_credentials`, an object of values");
        };
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        Ok(Some(values.iter().map(|(name, value)| (name.clone(), Secret::new(text(value)))).collect()))
    }

    /// What a client sends to make or change an account.
    pub fn new(id: &str, update: model::AccountUpdate) -> Self {
        let udf = update.properties.map(|all| all.into_iter().map(|(name, value)| (name, Json::String(value))).collect());
        Self { linked_account_id: Some(id.to_owned()), name: update.name, udf, ..Self::default() }
    }

    /// The id that was sent; an empty one counts as none.
    pub fn id(&self) -> Option<&str> {
        [&self.linked_account_id, &self.account_id].into_iter().flatten().map(String::as_str).find(|id| !id.is_empty())
    }

    /// What to set. Facts that are no texts are written as JSON.
    pub fn update(&self) -> model::AccountUpdate {
        let inner = self.payload.as_deref().unwrap_or(self);
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let udf = inner.udf.as_ref().or(self.udf.as_ref());
        model::AccountUpdate {
            name: inner.name.clone().or_else(|| self.name.clone()),
            properties: udf.map(|udf| udf.iter().map(|(name, value)| (name.clone(), text(value))).collect()),
        }
    }
}

impl LinkedAccount {
    /// As the engine has it. `connections` are those of this account, the default ones first; absent leaves them out.
    pub fn new(org: &str, account: model::LinkedAccount, connections: Option<&[Connection]>) -> Self {
        let udf = account.properties.into_iter().map(|(key_name, key_value)| UdfEntry {
            id: format!("{}:{key_name}", account.record_id),
            key_name,
            key_value,
            created_at: account.updated_at,
            updated_at: account.updated_at,
        });
        Self {
            id: account.record_id.clone(),
            associated_org: org.to_owned(),
            account_id: account.id,
            name: account.name,
            environment: account.environment,
            udf: udf.collect(),
            integrations: connections.map(|rows| rows.iter().filter(|row| row.is_default).map(Integration::new).collect()),
            created_at: account.created_at,
            updated_at: account.updated_at,
            new_account: None,
            success: None,
        }
    }
}

impl Integration {
    fn new(connection: &Connection) -> Self {
        let reauth_required = connection.status == ConnectionStatus::Expired;
        Self {
            id: connection.id.clone(),
            integration_type: connection.application.clone(),
            name: connection.application.clone(),
            icon: None,
            app_id: None,
            identifier: connection.identity.as_ref().map(|identity| identity.label.clone()),
            reauth_required,
            refresh_token_expired: reauth_required,
            is_default: connection.is_default,
            created_at: connection.created_at,
            updated_at: connection.connected_at,
        }
    }
}

impl From<LinkedAccount> for model::LinkedAccount {
    fn from(body: LinkedAccount) -> Self {
        Self {
            id: body.account_id,
            record_id: body.id,
            environment: body.environment,
            name: body.name,
            properties: body.udf.into_iter().map(|entry| (entry.key_name, entry.key_value)).collect(),
            created_at: body.created_at,
            updated_at: body.updated_at,
        }
    }
}

/// A session token as it is answered: the one place where it is written out.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct SessionToken {
    /// The token.
    #[serde(serialize_with = "clear")]
    pub token: Secret,
    #[serde(default, skip_deserializing)]
    refresh_token: String,
    /// Seconds until it ends; older servers do not say.
    #[serde(default)]
    pub expires_in: Option<u64>,
    #[serde(default)]
    refresh_expires_in: u64,
}

fn clear<S: serde::Serializer>(token: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose())
}

/// What the end of a session answers.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct SessionRevoked {
    /// True.
    pub success: bool,
    /// 1, or 0 when it had ended.
    pub revoked_count: u64,
}

impl SessionToken {
    /// The token and the seconds that are left of it. There is no refresh token: the key is there for clients that expect it.
    pub fn new(token: &Secret, expires_in: u64) -> Self {
        Self { token: token.clone(), refresh_token: String::new(), expires_in: Some(expires_in), refresh_expires_in: 0 }
    }
}

/// What a client reads of a page by number. Some servers leave the other keys out.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed<T> {
    /// The page.
    pub docs: Vec<T>,
    /// How many there are on all pages.
    pub total_docs: u64,
    /// How many pages there are.
    #[serde(default)]
    pub total_pages: u64,
    /// This page's number, from 1.
    #[serde(default)]
    pub page: u64,
}

/// A page by number, with all ten keys that clients know.
pub fn list_page(docs: Vec<Json>, total: u64, page: u64, limit: u64) -> Json {
    let pages = total.div_ceil(limit).max(1);
    serde_json::json!({
        "docs": docs,
        "totalDocs": total,
        "limit": limit,
        "totalPages": pages,
        "page": page,
        "pagingCounter": (page - 1).saturating_mul(limit).saturating_add(1),
        "hasPrevPage": page > 1,
        "hasNextPage": page < pages,
        "prevPage": (page > 1).then(|| page - 1),
        "nextPage": (page < pages).then(|| page + 1),
    })
}
