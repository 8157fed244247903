//! What stands in the sealed columns, and the identity (AAD) under which each is sealed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Secret, Timestamp,
    error::Result,
    model::{Json, Tenant, WebhookKind},
    store::rows::{ConfigRow, ConnectionRow, FlowRow, OwnCredentialsRow, RegistrationRow, RevocationRow, WebhookRow},
    vault::{Aad, Vault},
};

/// Writes secrets out, for sealing only: the one place where they are serialised.
mod exposed {
    use serde::{Serialize, Serializer, ser::SerializeMap};

    use super::{BTreeMap, Secret};

    #[allow(clippy::ref_option)] // serde's signature
    pub(super) fn option<S: Serializer>(secret: &Option<Secret>, s: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(s)
    }

    pub(super) fn one<S: Serializer>(secret: &Secret, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(secret.expose())
    }

    pub(super) fn map<S: Serializer>(secrets: &BTreeMap<String, Secret>, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(secrets.len()))?;
        for (name, secret) in secrets {
            map.serialize_entry(name, secret.expose())?;
        }
        map.end()
    }
}

/// A connection's secrets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Grant {
    #[serde(serialize_with = "exposed::option", default)]
    pub(super) access_token: Option<Secret>,
    #[serde(serialize_with = "exposed::option", default)]
    pub(super) refresh_token: Option<Secret>,
    #[serde(default)]
    pub(super) token_type: Option<String>,
    /// The token comes of the values, so that a new one can be had at any time without anything being spent.
    #[serde(default)]
    pub(super) by_values: bool,
    /// Key-based: what the user entered. OAuth: the inputs that are needed again.
    #[serde(serialize_with = "exposed::map", default)]
    pub(super) values: BTreeMap<String, Secret>,
}

/// A flow's secrets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct FlowSecrets {
    #[serde(serialize_with = "exposed::option", default)]
    pub(super) verifier: Option<Secret>,
    #[serde(serialize_with = "exposed::map", default)]
    pub(super) inputs: BTreeMap<String, Secret>,
    /// What the polls of a device flow name.
    #[serde(serialize_with = "exposed::option", default)]
    pub(super) device_code: Option<Secret>,
    /// OAuth 1.0a: the temporary credentials.
    #[serde(serialize_with = "exposed::option", default)]
    pub(super) temporary: Option<Secret>,
    #[serde(serialize_with = "exposed::option", default)]
    pub(super) temporary_secret: Option<Secret>,
    /// The parked code, and the callback's other values that are kept.
    #[serde(serialize_with = "exposed::option", default)]
    pub(super) code: Option<Secret>,
    #[serde(default)]
    pub(super) copied: BTreeMap<String, String>,
    /// A flow that was handed off: the provider's page, which holds the state.
    #[serde(serialize_with = "exposed::option", default)]
    pub(super) authorize_url: Option<Secret>,
    /// A flow that was handed off: the cookie that the browser is still to get.
    #[serde(serialize_with = "exposed::option", default)]
    pub(super) cookie: Option<Secret>,
    /// The redirect URI as it was sent, where the state stands in it.
    #[serde(serialize_with = "exposed::option", default)]
    pub(super) redirect_uri: Option<Secret>,
}

/// A linked account's credentials for the organisation's own application.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct OwnValues {
    #[serde(serialize_with = "exposed::map")]
    pub(super) values: BTreeMap<String, Secret>,
}

/// Where a webhook's deliveries go and with what: its URL and its headers may be secrets too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Target {
    #[serde(serialize_with = "exposed::one")]
    pub(super) url: Secret,
    pub(super) method: String,
    pub(super) kind: WebhookKind,
    #[serde(serialize_with = "exposed::map")]
    pub(super) headers: BTreeMap<String, Secret>,
    /// Sealed as text, so that no Debug shows it.
    #[serde(serialize_with = "exposed::option")]
    pub(super) body: Option<Secret>,
    pub(super) description: Option<String>,
    pub(super) group: Option<String>,
    pub(super) application: Option<String>,
    pub(super) workflows: Vec<String>,
    /// The newest first.
    pub(super) secrets: Vec<Signing>,
}

/// A secret that signs deliveries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Signing {
    #[serde(serialize_with = "exposed::one")]
    pub(super) secret: Secret,
    /// When it ends; a replaced one does.
    pub(super) until: Option<i64>,
}

impl Target {
    /// The secrets that sign now, the newest first.
    pub(super) fn live(&self, now: Timestamp) -> Vec<Secret> {
        let live = self.secrets.iter().filter(|signing| signing.until.is_none_or(|until| now.millis() < until));
        live.map(|signing| signing.secret.clone()).collect()
    }

    pub(super) fn template(&self) -> Option<Json> {
        serde_json::from_str(self.body.as_ref()?.expose()).ok()
    }
}

/// A registered client's secrets. Its id is sealed with them: who registers for whom is nobody's business.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct RegisteredSecrets {
    pub(super) client_id: String,
    #[serde(serialize_with = "exposed::option", default)]
    pub(super) client_secret: Option<Secret>,
    #[serde(serialize_with = "exposed::option", default)]
    pub(super) access_token: Option<Secret>,
    /// The client's own page at the provider (RFC 7592).
    #[serde(default)]
    pub(super) page: Option<String>,
}

pub(super) fn connection_aad(tenant: &Tenant, row: &ConnectionRow) -> Aad {
    Aad::new(tenant, "connections").part(&row.account_id).part(&row.application).part(&row.id).part("grant").version(row.secret_version)
}

pub(super) fn flow_aad(tenant: &Tenant, row: &FlowRow) -> Aad {
    Aad::new(tenant, "flows").part(&row.account_id).part(&row.application).part(&row.id).part("secrets").version(row.changed_at)
}

pub(super) fn revocation_aad(tenant: &Tenant, row: &RevocationRow) -> Aad {
    Aad::new(tenant, "revocations").part(&row.account_id).part(&row.application).part(&row.id).part("grant").version(row.secret_version)
}

pub(super) fn own_credentials_aad(tenant: &Tenant, row: &OwnCredentialsRow) -> Aad {
    Aad::new(tenant, "own_credentials").part(&row.account_id).part("values").version(row.secret_version)
}

pub(super) fn webhook_aad(tenant: &Tenant, row: &WebhookRow) -> Aad {
    Aad::new(tenant, "webhooks").part(&row.id).part("target").version(row.secret_version)
}

pub(super) fn registration_aad(tenant: &Tenant, row: &RegistrationRow) -> Aad {
    Aad::new(tenant, "registrations")
        .part(&row.application)
        .part(&row.authority)
        .part(&row.client_key)
        .part("client")
        .version(row.secret_version)
}

/// Seals a client under its row's next version.
pub(super) fn seal_registration(vault: &Vault, tenant: &Tenant, row: &mut RegistrationRow, client: &RegisteredSecrets) -> Result<()> {
    row.secret_version += 1;
    row.sealed = vault.seal_json(&registration_aad(tenant, row), client)?;
    Ok(())
}

pub(super) fn open_registration(vault: &Vault, tenant: &Tenant, row: &RegistrationRow) -> Result<RegisteredSecrets> {
    vault.open_json(&registration_aad(tenant, row), &row.sealed)
}

pub(super) fn config_aad(tenant: &Tenant, row: &ConfigRow) -> Aad {
    Aad::new(tenant, "configs")
        .part(&row.account_id)
        .part(&row.application)
        .part(&row.config_id)
        .part(&row.id)
        .part("values")
        .version(row.version)
}

/// Seals a new grant into the row under its next version.
pub(super) fn seal_grant(vault: &Vault, tenant: &Tenant, row: &mut ConnectionRow, grant: &Grant) -> Result<()> {
    row.secret_version += 1;
    row.sealed = vault.seal_json(&connection_aad(tenant, row), grant)?;
    row.refresh_print = match &grant.refresh_token {
        Some(token) => Some(crate::ids::fingerprint(token.expose())),
        // Nothing of what a user entered may be guessed from it.
        None => grant.by_values.then(|| format!("values:{}", row.secret_version)),
    };
    Ok(())
}

pub(super) fn open_grant(vault: &Vault, tenant: &Tenant, row: &ConnectionRow) -> Result<Grant> {
    vault.open_json(&connection_aad(tenant, row), &row.sealed)
}

pub(super) fn seal_flow(vault: &Vault, tenant: &Tenant, row: &mut FlowRow, secrets: &FlowSecrets) -> Result<()> {
    row.sealed = vault.seal_json(&flow_aad(tenant, row), secrets)?;
    Ok(())
}

pub(super) fn open_flow(vault: &Vault, tenant: &Tenant, row: &FlowRow) -> Result<FlowSecrets> {
    vault.open_json(&flow_aad(tenant, row), &row.sealed)
}

pub(super) fn seal_revocation(vault: &Vault, tenant: &Tenant, row: &mut RevocationRow, grant: &Grant) -> Result<()> {
    row.secret_version += 1;
    row.sealed = vault.seal_json(&revocation_aad(tenant, row), grant)?;
    Ok(())
}

pub(super) fn open_revocation(vault: &Vault, tenant: &Tenant, row: &RevocationRow) -> Result<Grant> {
    vault.open_json(&revocation_aad(tenant, row), &row.sealed)
}

pub(super) fn seal_own_credentials(vault: &Vault, tenant: &Tenant, row: &mut OwnCredentialsRow, values: &OwnValues) -> Result<()> {
    row.secret_version += 1;
    row.sealed = vault.seal_json(&own_credentials_aad(tenant, row), values)?;
    Ok(())
}

pub(super) fn open_own_credentials(vault: &Vault, tenant: &Tenant, row: &OwnCredentialsRow) -> Result<OwnValues> {
    vault.open_json(&own_credentials_aad(tenant, row), &row.sealed)
}

pub(super) fn seal_webhook(vault: &Vault, tenant: &Tenant, row: &mut WebhookRow, target: &Target) -> Result<()> {
    row.secret_version += 1;
    row.sealed = vault.seal_json(&webhook_aad(tenant, row), target)?;
    Ok(())
}

pub(super) fn open_webhook(vault: &Vault, tenant: &Tenant, row: &WebhookRow) -> Result<Target> {
    vault.open_json(&webhook_aad(tenant, row), &row.sealed)
}

pub(super) fn seal_config(vault: &Vault, tenant: &Tenant, row: &mut ConfigRow, stored: &crate::config::Stored) -> Result<()> {
    row.sealed = vault.seal_json(&config_aad(tenant, row), stored)?;
    Ok(())
}

pub(super) fn open_config(vault: &Vault, tenant: &Tenant, row: &ConfigRow) -> Result<crate::config::Stored> {
    vault.open_json(&config_aad(tenant, row), &row.sealed)
}
