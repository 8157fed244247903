//! What bad input must never do, as functions of bytes: `make fuzz` looks for inputs that break them, and every test run
//! plays the ones that were kept (`tests/fuzz/corpus`). A target fails by panicking.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use serde_json::json;
use smalt::{
    Code, Smalt, Timestamp,
    backend::{ListAccounts, ListEvents},
    config::{self, Stored},
    http::protocol,
    manifest::{
        AppManifest, Catalog, Oauth2,
        template::{self, Values},
    },
    model::{AccountUpdate, ConfigUpdate},
    plugin::HttpResponse,
    project::AppSettings,
};

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them. The name is also that of its folder of kept inputs.
pub const TARGETS: [Target; 6] = [
    ("token", token),
    ("cursor", cursor),
    ("template", url_template),
    ("answer", provider_answer),
    ("manifest", manifest),
    ("fields", fields),
];

struct Engine {
    runtime: tokio::runtime::Runtime,
    smalt: Smalt,
    token: String,
    cursor: String,
}

/// One engine for all inputs, with what is needed to make good tokens and cursors.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (smalt, token, cursor) = runtime.block_on(async {
            let smalt = Smalt::sandbox().await.unwrap();
            for id in ["customer-1", "customer-2"] {
                smalt.upsert_account(id, AccountUpdate::default()).await.unwrap();
            }
            let session = smalt.account("customer-1").session().await.unwrap();
            let page = smalt.list_accounts(ListAccounts { limit: Some(1), ..ListAccounts::default() }).await.unwrap();
            (smalt, session.token().expose().to_owned(), page.next.unwrap())
        });
        Engine { runtime, smalt, token, cursor }
    })
}

/// A part of a good text is replaced by the input, so that the fuzzer gets behind the first check: the first byte says
/// where, the second how much goes.
fn spliced(good: &str, data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data.get(2..).unwrap_or_default());
    let place = |n: usize| usize::from(data.get(n).copied().unwrap_or(255)) * good.len() / 255;
    let (from, gone) = (place(0).min(good.len()), place(1));
    let to = from.saturating_add(gone).min(good.len());
    format!("{}{text}{}", &good[..from], &good[to..])
}

/// Session tokens (S-20, S-21): nothing but the token itself is taken.
fn token(data: &[u8]) {
    let engine = engine();
    for forged in [String::from_utf8_lossy(data).into_owned(), spliced(&engine.token, data)] {
        let told = engine.runtime.block_on(engine.smalt.verify_session(forged.as_str()));
        match told {
            Ok(_) => assert_eq!(forged, engine.token, "another token is taken"),
            Err(error) => assert!(error.is(Code::InvalidToken), "{error}"),
        }
    }
}

/// Cursors (S-36): nothing but what was made here is taken.
fn cursor(data: &[u8]) {
    let engine = engine();
    for forged in [String::from_utf8_lossy(data).into_owned(), spliced(&engine.cursor, data)] {
        let request = ListAccounts { cursor: Some(forged.clone()), ..ListAccounts::default() };
        match engine.runtime.block_on(engine.smalt.list_accounts(request)) {
            Ok(_) => assert_eq!(forged, engine.cursor, "another cursor is taken"),
            Err(error) => assert!(error.is(Code::InvalidCursor), "{error}"),
        }
        let request = ListEvents { since: Some(forged), ..ListEvents::default() };
        let told = engine.runtime.block_on(engine.smalt.events_page(request));
        assert!(told.is_err_and(|error| error.is(Code::InvalidCursor)), "a cursor of another list is taken");
    }
}

/// URL templates (S-50): whatever the value, the host is the application's.
fn url_template(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (written, value) = text.split_once('\n').unwrap_or(("https://{shop}.acme.example.com/{shop}?q={shop}", &text));
    let _ = template::placeholders(written);
    let values = Values::new().one("shop", value);
    let _ = template::text(written, &values);
    let _ = template::url(written, &values);
    if let Ok(url) = template::url("https://{shop}.acme.example.com/{shop}?q={shop}", &values) {
        let label = url.host_str().and_then(|host| host.strip_suffix(".acme.example.com"));
        assert!(label.is_some_and(|label| !label.is_empty() && !label.contains('.')), "{value:?} leads to {url}");
        assert!(url.scheme() == "https" && url.username().is_empty() && url.password().is_none() && url.port().is_none(), "{url}");
    }
    if let Ok(url) = template::url("https://acme.example.com/a/{shop}/b", &values) {
        assert_eq!(url.host_str(), Some("acme.example.com"));
        assert_eq!(url.path_segments().map(Iterator::count), Some(3), "{value:?} leads to {url}");
    }
}

/// Token answers, by the rules of applications of different ways.
fn provider_answer(data: &[u8]) {
    static APPS: OnceLock<Vec<Arc<AppManifest>>> = OnceLock::new();
    let apps = APPS.get_or_init(|| Catalog::builtin().all().into_iter().filter(|app| app.oauth2.is_some()).collect());
    let Some((first, rest)) = data.split_first() else { return };
    let Some((status, body)) = rest.split_first() else { return };
    let oauth = apps[usize::from(*first) % apps.len()].oauth2.as_ref().unwrap();
    let status = [200, 200, 400, 401, 403, 429, 500, 302][usize::from(*status) % 8];
    let answer = HttpResponse { status, headers: vec![("content-type".into(), "application/json".into())], body: body.to_vec() };
    let now = Timestamp::from_millis(1_767_225_600_000);
    // Each answer also as one of an application that speaks XML.
    static XML: OnceLock<Oauth2> = OnceLock::new();
    let xml = XML.get_or_init(|| Catalog::builtin().get("sage-intacct").unwrap().keybased.clone().unwrap().token.unwrap().rules());
    for oauth in [oauth, xml] {
        if let Ok(tokens) = protocol::parse_token_answer(oauth, &answer, now) {
            assert!(!tokens.access_token.is_empty());
        }
        let _ = protocol::parse_revoke_answer(oauth, &answer);
    }
    let _ = protocol::callback(&format!("https://app.example/callback?{}", String::from_utf8_lossy(body)));
}

/// Manifests: a good one is content with itself, a bad one has a cure.
fn manifest(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match AppManifest::parse(&text, "acme.toml") {
        Ok(manifest) => {
            let written = serde_json::to_value(&manifest).unwrap();
            let again: AppManifest = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(&again).unwrap(), written);
        }
        Err(error) => assert!(error.is(Code::ManifestInvalid), "{error}"),
    }
}

/// Config values: what is kept can be read again, and shows nothing but JSON.
fn fields(data: &[u8]) {
    static SETTINGS: OnceLock<AppSettings> = OnceLock::new();
    let settings = SETTINGS.get_or_init(|| {
        let types = ["text", "textarea", "url", "email", "password", "number", "date", "boolean", "select", "json", "map", "rule_engine"];
        let field = |kind: &str| json!({"id": kind, "name": kind, "type": kind, "options": [{"value": "a"}, {"value": 7}]});
        let fields: Vec<_> = types.iter().map(|kind| field(kind)).collect();
        serde_json::from_value(
            json!({"fields": fields, "workflows": [{"id": "digest", "name": "Digest", "published": true, "fields": [field("number")]}]}),
        )
        .unwrap()
    });
    let Ok(update) = serde_json::from_slice::<ConfigUpdate>(data) else { return };
    let fresh = Stored::new(settings);
    let Ok(applied) = config::apply(settings, &fresh, &update) else { return };
    let again = Stored::decode(&applied.stored.encode().unwrap()).unwrap();
    assert_eq!(again.encode().unwrap().as_slice(), applied.stored.encode().unwrap().as_slice());
    let (values, _): (BTreeMap<_, _>, ()) = (update.fields, ());
    if let Some(rule) = values.get("rule_engine") {
        let _ = config::rules::evaluate(rule, &smalt::model::JsonMap::new());
    }
}
