//! One application through its lives: the real engine in memory, the provider of the replay.

use std::{collections::BTreeMap, path::Path, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use smalt::{
    Account, Secret, Smalt,
    backend::{ApiRequest, Disconnect, StartConnect, form_body, json_body},
    engine::Timings,
    manifest::AppManifest,
    model::{self, ApiBody, Json},
    plugin::FixedClock,
    project::Project,
    vault::LocalKey,
};
use url::Url;

use crate::{
    form::{Answer, At, Call, Connection, Exchange, Oauth2, Refusal, Replay, Signed},
    provider::{Provider, pairs, same},
};

/// After it, one more call may have a token renewed that died early.
const COOLDOWN: i64 = 31_000;
pub(crate) const REDIRECT: &str = "https://app.example/callback";

/// Plays everything that the file holds with this manifest.
pub async fn play(replay: &Replay, manifest: &AppManifest) -> Result<(), String> {
    let open = || Stage::open(replay, manifest);
    if let Some(way) = &replay.oauth2 {
        open().await?.oauth2(way).await?;
        if let Some(device) = &way.device {
            open().await?.device(way, device).await.map_err(|what| format!("on a device: {what}"))?;
            for poll in &device.errors {
                open()
                    .await?
                    .refused_device(way, device, poll)
                    .await
                    .map_err(|what| format!("a device refused with {}: {what}", poll.code))?;
            }
        }
        for refusal in &way.errors {
            open().await?.refused(way, refusal).await.map_err(|what| format!("{:?} refused with {}: {what}", refusal.at, refusal.code))?;
        }
    }
    if let Some(way) = &replay.oauth1 {
        open().await?.oauth1(way).await?;
        for refusal in &way.errors {
            open()
                .await?
                .refused_oauth1(way, refusal)
                .await
                .map_err(|what| format!("{:?} refused with {}: {what}", refusal.at, refusal.code))?;
        }
    }
    if let Some(way) = &replay.keybased {
        open().await?.keybased(way).await?;
        for refusal in &way.errors {
            open()
                .await?
                .refused_keys(way, refusal)
                .await
                .map_err(|what| format!("keys refused at {:?} with {}: {what}", refusal.at, refusal.code))?;
        }
    }
    Ok(())
}

pub(crate) struct Stage {
    pub(crate) slug: String,
    pub(crate) provider: Provider,
    pub(crate) clock: FixedClock,
    pub(crate) account: Account,
    pub(crate) smalt: Smalt,
}

fn project(slug: &str, replay: &Replay, manifest: &Json) -> Project {
    let by_key =
        manifest["oauth2"]["client_auth"] == "private_key_jwt" || manifest["keybased"]["token"]["client_auth"] == "private_key_jwt";
    let file = if by_key { "../tests/conformance/keys/rsa.pem" } else { "tests/replay/client-secret.txt" };
    let secret = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let client = json!({"id": "client-1", "secret": {"file": secret}, "redirect_uri": REDIRECT});
    let mut app = json!({"client": {"test": client}, "variables": replay.variables});
    let mut org = json!({"redirect_uris": [REDIRECT]});
    if replay.oauth2.as_ref().is_some_and(|way| !way.registration.is_empty()) {
        app["client"] = json!({});
        org["name"] = "Example Inc.".into();
        org["public_url"] = "https://app.example".into();
    }
    serde_json::from_value(json!({"version": 1, "org": org, "apps": {slug: app}})).unwrap()
}

/// The same exchange after so many renewals.
pub(crate) fn renewed(exchange: &Exchange, access: u32, refresh: u32) -> Exchange {
    let name = |text: &str| text.replace("access-1", &format!("access-{access}")).replace("refresh-1", &format!("refresh-{refresh}"));
    let map = |map: &BTreeMap<String, String>| map.iter().map(|(k, v)| (k.clone(), name(v))).collect::<BTreeMap<_, _>>();
    let mut renewed = exchange.clone();
    let request = &mut renewed.request;
    request.url = name(&request.url);
    request.query = map(&request.query);
    request.headers = map(&request.headers);
    request.signed = request.signed.clone().map(|signed| Signed { params: map(&signed.params), ..signed });
    request.basic = request.basic.as_deref().map(name);
    request.form = request.form.as_ref().map(map);
    request.json = request.json.as_ref().map(|json| name(&json.to_string()).parse().unwrap());
    request.xml = request.xml.as_deref().map(name);
    renewed
}

/// The second renewal: as the first, with the tokens that came of it.
fn second(refresh: &Exchange) -> Exchange {
    let next = |text: &str| text.replace("access-2", "access-3").replace("refresh-2", "refresh-3");
    let mut second = renewed(refresh, 2, if rotates(refresh) { 2 } else { 1 });
    second.answer.json = second.answer.json.map(|json| next(&json.to_string()).parse().unwrap());
    second.answer.text = second.answer.text.as_deref().map(next);
    second
}

fn rotates(refresh: &Exchange) -> bool {
    let json = refresh.answer.json.as_ref().map(ToString::to_string);
    json.or(refresh.answer.text.clone()).is_some_and(|answer| answer.contains("refresh-2"))
}

/// The call with a token that died early.
fn refused_call(call: &Call) -> Exchange {
    Exchange { answer: Answer { status: 401, headers: BTreeMap::new(), json: None, text: None }, ..call.exchange() }
}

/// All parameters, sorted, under the client's secret.
fn signature(callback: &Url) -> String {
    let mut pairs: Vec<String> = callback.query_pairs().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.sort();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret-1").unwrap();
    mac.update(pairs.join("&").as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn said<T>(what: smalt::Result<T>) -> Result<T, String> {
    what.map_err(|error| format!("{} ({})", error.code().as_str(), error.reason()))
}

impl Stage {
    pub(crate) async fn open(replay: &Replay, manifest: &AppManifest) -> Result<Stage, String> {
        let slug = manifest.slug.as_str();
        let (provider, clock) = (Provider::default(), FixedClock::at("2026-11-23T12:00:00.000Z".parse().unwrap()));
        let builder = Smalt::in_memory().keys(LocalKey::generate().unwrap()).project_value(project(
            slug,
            replay,
            &serde_json::to_value(manifest).unwrap(),
        ));
        let timings = Timings { poll: Duration::from_millis(5), ..Timings::default() };
        let builder = builder.manifest(manifest.clone()).clock(clock.clone()).transport(provider.transport()).timings(timings);
        let smalt = said(builder.open().await)?;
        let account = smalt.account("customer-42");
        said(account.ensure().await)?;
        Ok(Stage { slug: slug.to_owned(), provider, clock, account, smalt })
    }

    /// Says what the provider saw, and failing that what the engine answered.
    pub(crate) fn reached<T>(&self, step: &str, answer: smalt::Result<T>) -> Result<T, String> {
        self.provider.satisfied(step)?;
        said(answer).map_err(|error| format!("{step}: {error}"))
    }

    pub(crate) async fn end(self) {
        self.provider.over();
        self.smalt.close().await;
    }

    async fn start(&self, way: &Oauth2) -> smalt::Result<model::StartedConnect> {
        // The project's own redirect URI is another one where its client states none.
        let redirect_uri = (!way.registration.is_empty()).then(|| REDIRECT.to_owned());
        let options = StartConnect { inputs: way.inputs.clone(), scopes: way.scopes.clone(), redirect_uri, ..StartConnect::default() };
        self.account.start_connect(self.slug.as_str(), options).await
    }

    /// To the authorize page and back.
    async fn come_back(&self, way: &Oauth2, params: &BTreeMap<String, String>) -> Result<smalt::Result<model::Connection>, String> {
        self.provider.expect_first(way.registration.clone());
        let started = said(self.start(way).await)?;
        let page: Url = started.authorize_url.parse().map_err(|_| "the authorize URL is none".to_owned())?;
        let mut plain = page.clone();
        plain.set_query(None);
        same("the authorize URL", &way.authorize.url, plain.as_str())?;
        pairs("the authorize URL", &way.authorize.params, page.query_pairs())?;
        let param = |wanted: &str| page.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned());
        self.provider.challenge(param("code_challenge"), param("code_challenge_method").as_deref() == Some("plain"));
        // Some carry the state in it.
        let mut callback: Url = started.redirect_uri.parse().map_err(|_| "the redirect URI is none".to_owned())?;
        same("the redirect URI", param("redirect_uri").as_deref().unwrap_or(REDIRECT), callback.as_str())?;
        callback.query_pairs_mut().extend_pairs(params).extend_pairs(param("state").iter().map(|state| ("state", state)));
        if let Some(name) = way.sign.as_ref().filter(|name| !params.contains_key(*name)) {
            let signature = signature(&callback);
            callback.query_pairs_mut().append_pair(name, &signature);
        }
        Ok(self.account.finish_connect(callback, Secret::new(started.cookie.value.expose())).await)
    }

    async fn connected(&self, way: &Oauth2) -> Result<model::Connection, String> {
        self.provider.expect(std::iter::once(way.exchange.clone()).chain(way.after.clone()));
        let answer = self.come_back(way, &way.callback).await?;
        let connection = self.reached("connect", answer)?;
        stands(&way.connection, &connection)?;
        Ok(connection)
    }

    pub(crate) async fn call(&self, call: &Call, access: u32, refresh: u32) -> Result<(), String> {
        self.provider.expect([renewed(&call.exchange(), access, refresh)]);
        self.send(call, &format!("call with access-{access}")).await
    }

    async fn send(&self, call: &Call, step: &str) -> Result<(), String> {
        let answer = self.reached(step, self.request(call).await)?;
        if answer.status == call.answer.status { Ok(()) } else { Err(format!("{step}: answered {}", answer.status)) }
    }

    /// What the host asks for; its body is the request's.
    async fn request(&self, call: &Call) -> smalt::Result<model::ApiAnswer> {
        let body = match (&call.request.json, &call.request.form, &call.request.xml) {
            (Some(json), ..) => Some(json_body(json)),
            (None, Some(form), _) => Some(form_body(&form.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>())),
            // The host leaves the credential's element empty.
            (None, None, Some(document)) => {
                Some(ApiBody { content_type: "application/xml".to_owned(), content: document.replace("access-1", "").into_bytes() })
            }
            (None, None, None) => None,
        };
        let (application, method, path) = (self.slug.clone(), call.request.method.clone(), call.path.clone());
        self.account.send(ApiRequest { application, method, path, body, ..ApiRequest::default() }).await
    }

    /// Has the token renewed: by time where its end is known, else by an answer of 401.
    async fn renew(&self, way: &Oauth2, refresh: Exchange, times: u32) -> Result<(), String> {
        let step = format!("refresh {times}");
        let presented = if rotates(&refresh) { times } else { 1 };
        if let Some(seconds) = way.connection.expires_in {
            self.provider.expect([refresh]);
            self.clock.advance_millis(seconds * 1000);
            self.reached(&step, self.account.credential(self.slug.as_str()).await)?;
            return self.call(&way.call, times + 1, presented + 1).await;
        }
        self.clock.advance_millis(COOLDOWN);
        let (dead, again) = (refused_call(&way.call), way.call.exchange());
        self.provider.expect([renewed(&dead, times, presented), refresh, renewed(&again, times + 1, presented + 1)]);
        self.send(&way.call, &step).await
    }

    async fn oauth2(self, way: &Oauth2) -> Result<(), String> {
        self.connected(way).await?;
        self.call(&way.call, 1, 1).await?;
        let (mut access, mut refresh_token) = (1, 1);
        if let Some(refresh) = &way.refresh {
            self.renew(way, refresh.clone(), 1).await?;
            self.renew(way, second(refresh), 2).await?;
            (access, refresh_token) = (3, if rotates(refresh) { 3 } else { 1 });
        }
        self.provider.expect(way.disconnect.iter().map(|exchange| renewed(exchange, access, refresh_token)));
        let outcome = self.disconnect().await?;
        self.provider.satisfied("disconnect")?;
        same("the receipt", &way.revocation, &outcome)?;
        self.end().await;
        Ok(())
    }

    /// Disconnects; answers the receipt's word once a first try was made.
    pub(crate) async fn disconnect(&self) -> Result<String, String> {
        let options = Disconnect { application: self.slug.clone(), wait: Some(Duration::ZERO), ..Disconnect::default() };
        let mut receipt = said(self.account.disconnect_with(options).await)?;
        loop {
            let outcome = receipt.revocation.as_str();
            if outcome != "queued" || receipt.connections.iter().any(|connection| connection.attempts > 0) {
                return Ok(outcome.to_owned());
            }
            self.provider.trouble()?;
            tokio::time::sleep(Duration::from_millis(2)).await;
            receipt = said(self.account.receipt(receipt.id).await)?;
        }
    }

    async fn refused(self, way: &Oauth2, refusal: &Refusal) -> Result<(), String> {
        let instead = |exchange: &Exchange| match &refusal.answer {
            Some(answer) => Ok(Exchange { request: exchange.request.clone(), answer: answer.clone() }),
            None => Err("it has no answer".to_owned()),
        };
        let code = match refusal.at {
            At::Registration => {
                let (last, before) = way.registration.split_last().ok_or("no client is registered")?;
                self.provider.expect(before.iter().cloned().chain([instead(last)?]));
                code_of(self.start(way).await)?
            }
            At::Callback => {
                let params = refusal.params.as_ref().ok_or("it has no parameters")?;
                code_of(self.come_back(way, params).await?)?
            }
            At::Exchange => {
                let exchange = instead(&way.exchange)?;
                if exchange.answer.issues_a_token() {
                    self.provider.over_after_this();
                }
                self.provider.expect([exchange]);
                code_of(self.come_back(way, &way.callback).await?)?
            }
            At::After => {
                let first = way.after.first().ok_or("nothing comes after the exchange")?;
                self.provider.expect([way.exchange.clone(), instead(first)?]);
                self.provider.over_after_this();
                code_of(self.come_back(way, &way.callback).await?)?
            }
            At::Refresh => {
                self.connected(way).await?;
                let refresh = instead(way.refresh.as_ref().ok_or("there is no refresh")?)?;
                if let Some(seconds) = way.connection.expires_in {
                    self.clock.advance_millis(seconds * 1000);
                    self.provider.expect([refresh]);
                    code_of(self.account.credential(self.slug.as_str()).await)?
                } else {
                    self.provider.expect([refused_call(&way.call), refresh]);
                    code_of(self.request(&way.call).await)?
                }
            }
            At::Revoke => {
                self.connected(way).await?;
                let first = way.disconnect.first().ok_or("nothing is sent at disconnect")?;
                self.provider.expect(std::iter::once(instead(first)?).chain(way.disconnect.iter().skip(1).cloned()));
                self.disconnect().await?
            }
            At::Verify | At::Token | At::Renewal | At::Temporary => return Err("that belongs to another way".to_owned()),
        };
        self.provider.satisfied("refusal")?;
        same("the code", &refusal.code, &code)?;
        self.end().await;
        Ok(())
    }
}

pub(crate) fn code_of<T>(answer: smalt::Result<T>) -> Result<String, String> {
    answer.err().map(|error| error.code().as_str().to_owned()).ok_or_else(|| "it was taken for a success".to_owned())
}

pub(crate) fn stands(wanted: &Connection, got: &model::Connection) -> Result<(), String> {
    let identity = |id: &str, label: &str| json!({"id": id, "label": label});
    let lifetime = got.expires_at.map(|end| (end.millis() - got.connected_at.millis()) / 1000);
    let wanted = json!({
        "identity": wanted.identity.as_ref().map(|who| identity(&who.id, &who.label)),
        "scopes": wanted.scopes, "properties": wanted.properties, "expires_in": wanted.expires_in,
    });
    let got = json!({
        "identity": got.identity.as_ref().map(|who| identity(&who.id, &who.label)),
        "scopes": got.scopes, "properties": got.properties, "expires_in": lifetime,
    });
    if wanted == got { Ok(()) } else { Err(format!("the connection should be {wanted}, not {got}")) }
}
