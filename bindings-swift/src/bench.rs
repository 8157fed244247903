//! The peer of the benches: `credential` as somebody would write it by hand who uses UniFFI and nothing else. No library that is given
//! away has it.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use smalt::{Code, Error, model};

use crate::{call::ENGINES, error::Failed};

/// A way to authorise.
#[derive(uniffi::Enum)]
pub enum PlainAuthType {
    Oauth2,
    Keybased,
}

/// The fields of core's credential.
#[derive(uniffi::Record)]
pub struct PlainCredential {
    pub connection_id: String,
    pub application: String,
    pub auth_type: PlainAuthType,
    pub access_token: Option<String>,
    pub token_type: Option<String>,
    pub expires_at: Option<SystemTime>,
    pub scopes: Vec<String>,
    pub values: HashMap<String, String>,
    pub properties: HashMap<String, String>,
}

impl From<&model::Credential> for PlainCredential {
    fn from(made: &model::Credential) -> Self {
        Self {
            connection_id: made.connection_id.clone(),
            application: made.application.clone(),
            auth_type: match made.auth_type {
                model::AuthType::Oauth2 => PlainAuthType::Oauth2,
                model::AuthType::Keybased => PlainAuthType::Keybased,
            },
            access_token: made.access_token.as_ref().map(|token| token.expose().to_owned()),
            token_type: made.token_type.clone(),
            expires_at: made.expires_at.map(|ends| SystemTime::UNIX_EPOCH + Duration::from_millis(ends.millis().unsigned_abs())),
            scopes: made.scopes.clone(),
            values: made.values.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
            properties: made.properties.clone().into_iter().collect(),
        }
    }
}

async fn credential(engine: u64, account: String, application: String) -> smalt::Result<PlainCredential> {
    let open = ENGINES.get(engine)?;
    let made = open.engine.smalt()?.account(account).credential(application).await?;
    Ok((&*made).into())
}

/// A credential, which is ready when it is in memory.
#[uniffi::export(async_runtime = "tokio")]
pub async fn plain_credential(engine: u64, account: String, application: String) -> Result<PlainCredential, Failed> {
    Ok(credential(engine, account, application).await?)
}

/// The same in a task of its own, which the call waits for.
#[uniffi::export(async_runtime = "tokio")]
pub async fn plain_pending(engine: u64, account: String, application: String) -> Result<PlainCredential, Failed> {
    let task = tokio::spawn(credential(engine, account, application));
    Ok(task.await.map_err(|_| Error::code_only(Code::Internal))??)
}
