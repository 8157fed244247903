//! API keys: what backends prove themselves with at the HTTP API. Shown once, kept as a hash (S-26).

use subtle::ConstantTimeEq;

use super::Inner;
use crate::{
    Secret, Timestamp,
    backend::{CreateApiKey, RevokeApiKey, VerifyApiKey},
    error::{Error, Result, bail},
    ids,
    model::{ApiKey, Environment, EventType, NewApiKey},
    store::rows::ApiKeyRow,
};

/// The longest text that is looked at.
const LONGEST: usize = 128;
/// The longest name.
const LONGEST_NAME: usize = 100;

/// What a key of this environment begins with; so one that is used in the wrong place is told apart before it is looked up.
pub(super) const fn prefix(environment: Environment) -> &'static str {
    match environment {
        Environment::Test => "tk",
        Environment::Production => "pk",
    }
}

/// The prefix and 128 random bits in the form of a UUID.
fn new_key(environment: Environment) -> Result<Secret> {
    let hex = ids::hex(&ids::random::<16>()?);
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    Ok(Secret::new(format!("{}{a}-{b}-{c}-{d}-{e}", prefix(environment))))
}

/// The one answer for every way in which a key can be wrong (S-27).
fn refused() -> Error {
    Error::code_only(crate::Code::InvalidApiKey)
}

fn to_model(environment: Environment, row: ApiKeyRow) -> ApiKey {
    ApiKey {
        id: row.id,
        name: row.name,
        environment,
        ending: row.ending,
        created_at: Timestamp::from_millis(row.created_at),
        revoked_at: row.revoked_at.map(Timestamp::from_millis),
    }
}

impl Inner {
    pub(super) async fn create_api_key(&self, actor: String, request: CreateApiKey) -> Result<NewApiKey> {
        let name = request.name.trim().to_owned();
        if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            bail!(InvalidRequest, "`name` must have 1 to {LONGEST_NAME} printable bytes, so that people can tell keys apart");
        }
        let about = self.about(actor, "", None);
        let key = new_key(self.tenant.environment)?;
        let ending = key.expose()[key.expose().len() - 4..].to_owned();
        let hash = ids::fingerprint(key.expose());
        let row = ApiKeyRow { id: ids::new_id(about.now)?, hash, name, ending, created_at: about.now.millis(), revoked_at: None };
        let environment = self.tenant.environment;
        let row = self
            .write(move |tx| {
                tx.put_api_key(&about.tenant, &row)?;
                about.audit(tx, "key", None, &serde_json::json!({"api_key": row.id, "did": "create"}))?;
                about.event(tx, EventType::ApiKeyCreated, &serde_json::json!({"api_key": row.id}))?;
                Ok(row)
            })
            .await?;
        Ok(NewApiKey { info: to_model(environment, row), key })
    }

    pub(super) async fn list_api_keys(&self) -> Result<Vec<ApiKey>> {
        let tenant = self.tenant.clone();
        let rows = self.read(move |tx| tx.api_keys(&tenant)).await?;
        Ok(rows.into_iter().map(|row| to_model(self.tenant.environment, row)).collect())
    }

    /// False when it had been revoked already.
    pub(super) async fn revoke_api_key(&self, actor: String, request: RevokeApiKey) -> Result<bool> {
        let about = self.about(actor, "", None);
        self.write(move |tx| {
            let row = tx.api_keys(&about.tenant)?.into_iter().find(|row| row.id == request.id);
            let Some(mut row) = row else { bail!(ApiKeyNotFound, "no API key `{}`", request.id.escape_debug()) };
            if row.revoked_at.is_some() {
                return Ok(false);
            }
            row.revoked_at = Some(about.now.millis());
            tx.put_api_key(&about.tenant, &row)?;
            about.audit(tx, "key", None, &serde_json::json!({"api_key": row.id, "did": "revoke"}))?;
            about.event(tx, EventType::ApiKeyRevoked, &serde_json::json!({"api_key": row.id}))?;
            Ok(true)
        })
        .await
    }

    /// Which key it is. The look-up goes by hash: how much of a wrong key is right does not show in the time.
    pub(super) async fn verify_api_key(&self, request: VerifyApiKey) -> Result<ApiKey> {
        let text = request.key.expose();
        if text.len() > LONGEST || !text.starts_with(prefix(self.tenant.environment)) {
            return Err(refused());
        }
        let (tenant, hash) = (self.tenant.clone(), ids::fingerprint(text));
        let asked = hash.clone();
        let row = self.read(move |tx| tx.api_key_by_hash(&tenant, &asked)).await?;
        let row = row.filter(|row| row.revoked_at.is_none() && bool::from(row.hash.as_bytes().ct_eq(hash.as_bytes())));
        row.map(|row| to_model(self.tenant.environment, row)).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn s26_keys_have_the_known_form_and_128_random_bits() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let key = new_key(Environment::Test).unwrap();
            let parts: Vec<_> = key.expose().strip_prefix("tk").unwrap().split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12]);
            assert!(seen.insert(key.expose().to_owned()));
        }
        assert!(new_key(Environment::Production).unwrap().expose().starts_with("pk"));
    }
}
