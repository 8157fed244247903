use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::grants::{Jwts, PublicKey};
use super::{Control, Endpoint, Misbehaviour, ServerKind, Stats, TokenInfo, TokenKind, TokenState, Ways};
use crate::{
    Result, Secret, Timestamp,
    error::{bail, err},
    ids,
    model::Json,
    plugin::Clock,
};

/// The people of the sandbox: name, subject, name for people.
pub(super) const USERS: [(&str, &str, &str); 3] =
    [("ada", "sandbox-user-1", "Ada Lovelace"), ("grace", "sandbox-user-2", "Grace Hopper"), ("linus", "sandbox-user-3", "Linus Pauling")];

/// A registered client.
pub(super) struct Client {
    pub secret: Option<Secret>,
    /// When the secret ends; none: never.
    pub secret_expires_at: Option<Timestamp>,
    /// For `private_key_jwt`.
    pub key: Option<PublicKey>,
    pub redirect_uris: Vec<String>,
    /// Set for one that was registered by protocol.
    pub registered: Option<super::register::Registered>,
}

impl Client {
    /// One that has been here all along.
    pub fn of(secret: Option<Secret>, key: Option<PublicKey>, redirect_uris: Vec<String>) -> Self {
        Self { secret, secret_expires_at: None, key, redirect_uris, registered: None }
    }
}

/// An API key.
struct Key {
    workspace: Option<String>,
    live: bool,
}

/// What the authorize page was asked for, checked.
#[derive(Clone)]
pub(super) struct Asked {
    pub client_id: String,
    pub redirect_uri: String,
    pub scope: Vec<String>,
    pub state: Option<String>,
    pub challenge: Option<Challenge>,
    /// Which of the user's browsers it is.
    pub browser: String,
}

/// What a verifier must match (RFC 7636).
#[derive(Clone)]
pub(super) struct Challenge {
    pub value: String,
    pub plain: bool,
}

impl Challenge {
    pub fn fits(&self, verifier: &str) -> bool {
        (43..=128).contains(&verifier.len()) && self.value == if self.plain { verifier.to_owned() } else { ids::fingerprint(verifier) }
    }
}

/// An issued code.
pub(super) struct Code {
    pub asked: Asked,
    pub user: &'static str,
    pub expires_at: Timestamp,
    /// The name of the user's session.
    pub session: String,
    /// A wrong verifier came where that spends it.
    pub spent: bool,
    /// Set when it was redeemed.
    pub grant: Option<String>,
}

/// One consent of one user to one client, with all tokens that came of it.
pub(super) struct Grant {
    pub client_id: String,
    pub user: &'static str,
    pub live: bool,
    pub session: String,
    browser: String,
    tokens: Vec<String>,
}

/// An issued token, known by its fingerprint only.
pub(super) struct Token {
    pub kind: TokenKind,
    pub grant: String,
    pub scope: Vec<String>,
    pub expires_at: Option<Timestamp>,
    pub revoked: bool,
    /// When a refresh token was used up.
    pub rotated_at: Option<Timestamp>,
}

/// Everything that the sandbox knows.
pub(super) struct State {
    clock: Arc<dyn Clock>,
    pub origin: String,
    pub ways: Ways,
    pub stats: Stats,
    pub clients: HashMap<String, Client>,
    pub codes: HashMap<String, Code>,
    pub grants: HashMap<String, Grant>,
    /// Consent pages that are open, by nonce.
    pub pages: HashMap<String, (Timestamp, Asked)>,
    /// Who consented to which client in which browser.
    pub remembered: HashMap<(String, String), &'static str>,
    tokens: HashMap<String, Token>,
    /// Fingerprints in the order of issue.
    issued: Vec<String>,
    keys: HashMap<String, Key>,
    pub jwts: Jwts,
    pub devices: super::device::Devices,
    pub oauth1: super::oauth1::Oauth1,
    pub inboxes: super::inbox::Inboxes,
    faults: BTreeMap<Endpoint, VecDeque<(Option<u32>, Misbehaviour)>>,
}

impl State {
    pub fn new(clock: Arc<dyn Clock>, ways: Ways) -> Self {
        let client = Client::of(Some(Secret::new(super::CLIENT_SECRET)), None, Vec::new());
        let key = Key { workspace: None, live: true };
        Self {
            clock,
            origin: String::new(),
            ways,
            stats: Stats::default(),
            clients: HashMap::from([(super::CLIENT_ID.to_owned(), client)]),
            codes: HashMap::new(),
            grants: HashMap::new(),
            pages: HashMap::new(),
            remembered: HashMap::new(),
            tokens: HashMap::new(),
            issued: Vec::new(),
            keys: HashMap::from([(ids::fingerprint(super::API_KEY), key)]),
            jwts: Jwts::default(),
            devices: super::device::Devices::default(),
            oauth1: super::oauth1::Oauth1::default(),
            inboxes: super::inbox::Inboxes::default(),
            faults: BTreeMap::new(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn apply(&mut self, order: Control) -> Result<()> {
        match order {
            Control::Set { ways } => {
                let mut all = serde_json::to_value(&self.ways).map_err(|_| err!(Internal, "the sandbox's ways have no JSON form"))?;
                if let Json::Object(all) = &mut all {
                    all.extend(ways);
                }
                let ways: Ways = serde_json::from_value(all).map_err(|e| err!(InvalidRequest, "the sandbox has no such way: {e}"))?;
                if let Some(user) = ways.auto_consent.as_deref() {
                    known_user(user)?;
                }
                if let Some(trouble) = ways.trouble() {
                    bail!(InvalidRequest, "{trouble}");
                }
                self.ways = ways;
            }
            Control::BehaveAs { server } => self.behave_as(server),
            Control::Misbehave { at, with, times } => {
                if let Misbehaviour::Status { status, .. } | Misbehaviour::Error { status, .. } = &with
                    && !(200..600).contains(status)
                {
                    bail!(InvalidRequest, "`{status}` is not a status of a final answer; use 200 to 599");
                }
                self.misbehave(at, times, with);
            }
            Control::Clear { at } => self.clear(at),
            Control::RegisterClient { client_id, client_secret, redirect_uris, public_key } => {
                let key = public_key.as_ref().map(PublicKey::of_jwk).transpose()?;
                self.clients.insert(client_id, Client::of(client_secret, key, redirect_uris));
            }
            Control::ForgetClients {} => self.forget_clients(),
            Control::SetDevice { ways } => self.devices.ways = ways,
            Control::DecideDevice { user_code, user, decision } => {
                if !matches!(decision.as_str(), "allow" | "deny") {
                    bail!(InvalidRequest, "a decision is `allow` or `deny`");
                }
                self.decide_device(user_code.expose(), &user, decision == "allow")?;
            }
            Control::TrustIssuer { issuer, public_key } => {
                self.jwts.issuers.insert(issuer, PublicKey::of_jwk(&public_key)?);
            }
            Control::AddKey { key, workspace } => {
                self.keys.insert(ids::fingerprint(key.expose()), Key { workspace, live: true });
            }
            Control::RevokeKey { key } => match self.keys.get_mut(&ids::fingerprint(key.expose())) {
                Some(key) => key.live = false,
                None => bail!(InvalidRequest, "the sandbox knows no such key"),
            },
            Control::Withdraw { user, client_id } => {
                let user = known_user(&user)?;
                self.end_grants(|grant| grant.user == user && client_id.as_ref().is_none_or(|id| *id == grant.client_id));
            }
            Control::ExpireAccessTokens {} => {
                // Beyond every leeway.
                for token in self.tokens.values_mut().filter(|t| t.kind == TokenKind::Access) {
                    token.expires_at = Some(Timestamp::from_millis(0));
                }
            }
            Control::ResetStats {} => self.reset_stats(),
            Control::Reset {} => {
                let origin = std::mem::take(&mut self.origin);
                let running = self.stats.concurrent_refreshes;
                *self = Self { origin, ..Self::new(self.clock.clone(), Ways::default()) };
                self.stats.concurrent_refreshes = running;
            }
        }
        Ok(())
    }

    pub fn behave_as(&mut self, server: ServerKind) {
        self.ways = Ways { auto_consent: self.ways.auto_consent.take(), ..server.ways() };
        self.devices.ways = server.device_ways();
    }

    pub fn reset_stats(&mut self) {
        let running = self.stats.concurrent_refreshes;
        self.stats = Stats { concurrent_refreshes: running, concurrent_refreshes_max: running, ..Stats::default() };
    }

    pub fn misbehave(&mut self, at: Endpoint, times: Option<u32>, with: Misbehaviour) {
        self.faults.entry(at).or_default().push_back((times, with));
    }

    pub fn clear(&mut self, at: Option<Endpoint>) {
        match at {
            Some(at) => drop(self.faults.remove(&at)),
            None => self.faults.clear(),
        }
    }

    /// How the endpoint misbehaves this time; counts it down.
    pub fn next_fault(&mut self, at: Endpoint) -> Option<Misbehaviour> {
        let line = self.faults.get_mut(&at)?;
        while let Some((times, fault)) = line.front_mut() {
            match times {
                None => return Some(fault.clone()),
                Some(0) => drop(line.pop_front()),
                Some(left) => {
                    *left -= 1;
                    return Some(fault.clone());
                }
            }
        }
        None
    }

    pub fn disabled(&self, user: &str) -> bool {
        self.ways.disabled_users.iter().any(|u| u == user)
    }

    /// Makes a grant, or finds the one that is shared, as the ways say; for a consent in this browser and session.
    pub fn grant_in(&mut self, client_id: &str, user: &'static str, browser: &str, session: &str) -> Result<String> {
        let others: Vec<_> = self.grants.iter().filter(|(_, g)| g.live && g.client_id == client_id && g.user == user).collect();
        if self.ways.shared_grants
            && let Some((id, _)) = others.iter().find(|(_, g)| g.browser == browser)
        {
            return Ok((*id).clone());
        }
        if self.ways.one_refresh_token {
            let old: Vec<String> = others.iter().flat_map(|(_, g)| g.tokens.iter().cloned()).collect();
            self.revoke_all(&old, TokenKind::Refresh);
        }
        let id = ids::new_id(self.now())?;
        let (client_id, browser, session) = (client_id.to_owned(), browser.to_owned(), session.to_owned());
        self.grants.insert(id.clone(), Grant { client_id, user, live: true, session, browser, tokens: Vec::new() });
        self.stats.grants_made += 1;
        Ok(id)
    }

    /// Issues a token of a grant.
    pub fn issue(&mut self, kind: TokenKind, grant: &str, scope: &[String]) -> Result<String> {
        let (life, length) = match kind {
            TokenKind::Access => (Some(self.ways.expires_in), self.ways.access_token_length),
            TokenKind::Refresh => (self.ways.refresh_life(scope), self.ways.refresh_token_length),
        };
        let value = random_text(length)?;
        let fingerprint = ids::fingerprint(&value);
        let token = Token {
            kind,
            grant: grant.to_owned(),
            scope: scope.to_vec(),
            expires_at: life.map(|s| self.now().plus(Duration::from_secs(s))),
            revoked: false,
            rotated_at: None,
        };
        self.tokens.insert(fingerprint.clone(), token);
        self.issued.push(fingerprint.clone());
        if let Some(grant) = self.grants.get_mut(grant) {
            grant.tokens.push(fingerprint);
        }
        Ok(value)
    }

    pub fn token(&self, value: &str) -> Option<&Token> {
        self.tokens.get(&ids::fingerprint(value))
    }

    pub fn token_mut(&mut self, value: &str) -> Option<&mut Token> {
        self.tokens.get_mut(&ids::fingerprint(value))
    }

    /// How a token stands now.
    pub fn standing(&self, token: &Token) -> TokenState {
        if token.revoked {
            TokenState::Revoked
        } else if token.rotated_at.is_some() {
            TokenState::Rotated
        } else if token.expires_at.is_some_and(|end| end.plus(self.leeway(token.kind)) <= self.now()) {
            TokenState::Expired
        } else {
            TokenState::Live
        }
    }

    fn leeway(&self, kind: TokenKind) -> Duration {
        Duration::from_secs(if kind == TokenKind::Access { self.ways.access_leeway } else { 0 })
    }

    /// Ends a grant and all its tokens.
    pub fn end_grant(&mut self, id: &str) {
        if let Some(grant) = self.grants.get_mut(id).filter(|g| g.live) {
            grant.live = false;
            let tokens = std::mem::take(&mut grant.tokens);
            for token in &tokens {
                if let Some(token) = self.tokens.get_mut(token) {
                    token.revoked = true;
                }
            }
            self.stats.grants_ended += 1;
        }
    }

    fn end_grants(&mut self, which: impl Fn(&Grant) -> bool) {
        let ids: Vec<String> = self.grants.iter().filter(|(_, g)| which(g)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.end_grant(&id);
        }
    }

    /// Ends the access tokens that a grant has so far.
    pub fn end_access(&mut self, grant: &str) {
        let tokens = self.grants.get(grant).map(|g| g.tokens.clone()).unwrap_or_default();
        self.revoke_all(&tokens, TokenKind::Access);
    }

    fn revoke_all(&mut self, fingerprints: &[String], kind: TokenKind) {
        for fingerprint in fingerprints {
            if let Some(token) = self.tokens.get_mut(fingerprint).filter(|t| t.kind == kind) {
                token.revoked = true;
            }
        }
    }

    /// Whether the key is good, and for which workspace only.
    pub fn key(&self, value: &str) -> Option<Option<&str>> {
        self.keys.get(&ids::fingerprint(value)).filter(|k| k.live).map(|k| k.workspace.as_deref())
    }

    pub fn tokens(&self) -> Vec<TokenInfo> {
        let row = |fingerprint: &String| {
            let token = self.tokens.get(fingerprint)?;
            let grant = self.grants.get(&token.grant)?;
            Some(TokenInfo {
                fingerprint: fingerprint.clone(),
                kind: token.kind,
                grant: token.grant.clone(),
                client_id: grant.client_id.clone(),
                user: grant.user.to_owned(),
                scope: token.scope.join(" "),
                state: self.standing(token),
            })
        };
        self.issued.iter().filter_map(row).collect()
    }
}

/// So many random characters of the base64url alphabet.
pub(super) fn random_text(length: usize) -> Result<String> {
    let mut text = String::new();
    while text.len() < length {
        text.push_str(&ids::new_token()?);
    }
    text.truncate(length);
    Ok(text)
}

/// The user of this name or address.
pub(super) fn known_user(name: &str) -> Result<&'static str> {
    let short = name.strip_suffix("@sandbox.example").unwrap_or(name);
    match USERS.iter().find(|(user, ..)| *user == short) {
        Some((user, ..)) => Ok(user),
        None => bail!(InvalidRequest, "the sandbox knows no user `{}`; use ada, grace or linus", name.escape_debug()),
    }
}
