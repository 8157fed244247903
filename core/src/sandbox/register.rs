//! Registration of clients: RFC 7591, and of RFC 7592 what reads and deletes one.

use std::time::Duration;

use serde_json::json;
use url::Url;

use super::{
    authorize::loopback_http,
    json_answer,
    state::{Client, State, random_text},
};
use crate::{
    Result, Secret, Timestamp, ids,
    listen::{Answer, Request},
    model::Json,
};

/// How a client came here.
pub(super) struct Registered {
    /// Fingerprint of what opens its own page.
    token: String,
    /// What it said of itself.
    metadata: Json,
}

fn refused(status: u16, error: &str) -> Answer {
    json_answer(status, &json!({"error": error})).with("cache-control", "no-store")
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl State {
    /// Answers `POST /register`.
    pub(super) fn register(&mut self, request: &Request) -> Result<Answer> {
        self.stats.registration_requests += 1;
        if !self.ways.registration {
            return Ok(refused(403, "access_denied"));
        }
        if self.ways.registration_token.as_deref().is_some_and(|token| bearer(request) != Some(token)) {
            return Ok(refused(401, "invalid_token"));
        }
        let Some(metadata) = serde_json::from_slice::<Json>(&request.body).ok().filter(Json::is_object) else {
            return Ok(refused(400, "invalid_client_metadata"));
        };
        let list = |name: &str| -> Vec<String> {
            metadata[name].as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let redirect_uris = list("redirect_uris");
        let fits =
            |uri: &String| Url::parse(uri).is_ok_and(|url| url.scheme() == "https" || url.scheme().contains('.') || loopback_http(&url));
        if redirect_uris.is_empty() || !redirect_uris.iter().all(fits) {
            return Ok(refused(400, "invalid_redirect_uri"));
        }
        let method = metadata["token_endpoint_auth_method"].as_str().unwrap_or("client_secret_basic");
        if !matches!(method, "client_secret_basic" | "client_secret_post" | "client_secret_jwt" | "none") {
            return Ok(refused(400, "invalid_client_metadata"));
        }
        let (id, token) = (format!("registered-{}", random_text(16)?), random_text(43)?);
        let secret = if method == "none" { None } else { Some(random_text(43)?) };
        let expires_at = self.secret_end();
        let client = Client {
            secret: secret.clone().map(Secret::new),
            secret_expires_at: expires_at,
            key: None,
            redirect_uris,
            registered: Some(Registered { token: ids::fingerprint(&token), metadata: metadata.clone() }),
        };
        self.clients.insert(id.clone(), client);
        self.stats.registrations += 1;
        Ok(self.client_answer(201, &id, secret.as_deref(), expires_at, &metadata, &token))
    }

    fn secret_end(&self) -> Option<Timestamp> {
        self.ways.client_secret_expires_in.map(|seconds| self.now().plus(Duration::from_secs(seconds)))
    }

    fn client_answer(
        &self,
        status: u16,
        id: &str,
        secret: Option<&str>,
        expires_at: Option<Timestamp>,
        metadata: &Json,
        token: &str,
    ) -> Answer {
        let mut body = metadata.clone();
        body["client_id"] = id.into();
        if let Some(secret) = secret {
            body["client_secret"] = secret.into();
            body["client_secret_expires_at"] = expires_at.map_or(0, Timestamp::seconds).into();
        }
        if self.ways.registration_management {
            body["registration_access_token"] = token.into();
            body["registration_client_uri"] = format!("{}/register/{id}", self.origin).into();
        }
        json_answer(status, &body).with("cache-control", "no-store")
    }

    /// Answers `GET` and `DELETE /register/<id>`. A look at a client whose secret has ended gives it another one.
    pub(super) fn client_page(&mut self, request: &Request) -> Result<Answer> {
        let id = request.path.trim_start_matches("/register/").to_owned();
        let given = bearer(request).map(str::to_owned).unwrap_or_default();
        let known = self.clients.get(&id).and_then(|client| client.registered.as_ref().map(|page| (page, client)));
        let open = self.ways.registration_management && known.is_some_and(|(page, _)| page.token == ids::fingerprint(&given));
        let Some((page, client)) = known.filter(|_| open) else { return Ok(refused(401, "invalid_token")) };
        if request.method == "DELETE" {
            self.clients.remove(&id);
            self.stats.registrations_deleted += 1;
            return Ok(Answer::empty(204));
        }
        let metadata = page.metadata.clone();
        let (mut secret, mut expires_at) = (client.secret.as_ref().map(|secret| secret.expose().to_owned()), client.secret_expires_at);
        if secret.is_some() && expires_at.is_some() && self.ways.secrets_renewed {
            (secret, expires_at) = (Some(random_text(43)?), self.secret_end());
            if let Some(client) = self.clients.get_mut(&id) {
                (client.secret, client.secret_expires_at) = (secret.clone().map(Secret::new), expires_at);
            }
        }
        self.stats.registrations_read += 1;
        Ok(self.client_answer(200, &id, secret.as_deref(), expires_at, &metadata, &given))
    }

    /// Deletes clients that were registered by protocol; what was granted to them dies.
    pub(super) fn forget_clients(&mut self) {
        let gone: Vec<String> = self.clients.iter().filter(|(_, client)| client.registered.is_some()).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.clients.remove(&id);
            let grants: Vec<String> =
                self.grants.iter().filter(|(_, grant)| grant.client_id == id).map(|(grant, _)| grant.clone()).collect();
            grants.iter().for_each(|grant| self.end_grant(grant));
        }
    }
}
