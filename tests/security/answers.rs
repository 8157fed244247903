//! What callers are told about things that are not theirs: the same as about things that do not exist. And what
//! key-based connects send, keep and refuse.

use std::collections::BTreeMap;

use serde_json::json;
use smalt::{
    Code, Error, Secret,
    backend::*,
    http::ScriptedTransport,
    model::{ConnectionStatus, SiblingPolicy},
    sandbox::Control,
};
use smalt_tests::size;

use super::common::{World, connect, engine, to_app};

/// What is told, with the id that was asked for taken out.
fn told(error: &Error, id: &str) -> String {
    format!("{error:?} {error} {:?}", error.info().context).replace(id, "ID")
}

const UNKNOWN: &str = "0123456789abcdef01234567";

#[tokio::test(flavor = "multi_thread")]
async fn s35_foreign_ids_answer_as_unknown_ones() {
    let world = World::new().await;
    let (mine, theirs) = (world.account("customer-42").await, world.account("customer-43").await);
    let connection = connect(&theirs, "grace").await.id;
    connect(&mine, "ada").await;
    let flow = theirs.start_connect("sandbox-oauth", to_app()).await.unwrap().flow_id;
    let find = |id: &str| FindConfig { application: "sandbox-oauth".into(), config_id: Some(id.into()), ..FindConfig::default() };
    theirs.find_config(find("their-config")).await.unwrap();
    theirs.connect("sandbox-key").input("key", smalt::sandbox::API_KEY).input("workspace", "acme").await.unwrap();
    let receipt = theirs.disconnect("sandbox-key").await.unwrap().id;
    let before = world.count("SELECT sum(row_version) FROM connections WHERE account_id = 'customer-43'");
    let configs = world.count("SELECT sum(version) FROM configs WHERE account_id = 'customer-43'");

    let session = mine.session().await.unwrap();
    let backend = world.smalt.backend();
    let org = Caller::Organisation("test".into());
    let own = Caller::Session(session.token().clone());
    let account = || "customer-42".to_owned();
    let app = || "sandbox-oauth".to_owned();
    for caller in [&org, &own] {
        let unknown_config = "no-config".to_owned();
        let their_config = "their-config".to_owned();
        for (foreign, unknown) in [(&connection, UNKNOWN), (&flow, UNKNOWN), (&receipt, UNKNOWN), (&their_config, &unknown_config)] {
            let mut pairs = Vec::new();
            for id in [foreign.as_str(), unknown] {
                let at =
                    |what: &str, error: Option<Error>| (what.to_owned(), told(&error.unwrap_or_else(|| panic!("{what} took {id}")), id));
                let connection = || GetConnection { account: account(), connection: id.into() };
                let flow = || GetFlow { account: account(), flow: id.into() };
                let config = || GetConfig { account: account(), application: app(), config_id: Some(id.into()), ..GetConfig::default() };
                let start = StartConnect { account: account(), application: app(), connection: Some(id.into()), ..to_app() };
                let field = SetConfigField {
                    account: account(),
                    application: app(),
                    config_id: Some(id.into()),
                    field: "note".into(),
                    value: Some(json!("x")),
                    ..SetConfigField::default()
                };
                let update = UpdateConfig { account: account(), application: app(), config_id: Some(id.into()), ..UpdateConfig::default() };
                let read = ConfigField {
                    account: account(),
                    application: app(),
                    config_id: Some(id.into()),
                    field: "note".into(),
                    ..ConfigField::default()
                };
                let gone = Disconnect { account: account(), application: app(), connection: Some(id.into()), ..Disconnect::default() };
                let use_it = GetCredential { account: account(), application: app(), connection: Some(id.into()) };
                let call = ApiRequest {
                    account: account(),
                    application: app(),
                    connection: Some(id.into()),
                    method: "GET".into(),
                    path: "items".into(),
                    ..ApiRequest::default()
                };
                pairs.push([
                    at("connection", backend.get_connection(caller, connection()).await.err()),
                    at("default", backend.set_default_connection(caller, connection()).await.err()),
                    at("credential", backend.credential(caller, use_it).await.err()),
                    at("request", backend.request(caller, call).await.err()),
                    at("disconnect", backend.disconnect(caller, gone).await.err()),
                    at("start", backend.start_connect(caller, start).await.err()),
                    at("flow", backend.get_flow(caller, flow()).await.err()),
                    at("cancel", backend.cancel_flow(caller, flow()).await.err()),
                    at("wait", backend.wait_flow(caller, WaitFlow { account: account(), flow: id.into(), timeout: None }).await.err()),
                    at("receipt", backend.get_receipt(caller, GetReceipt { account: account(), receipt: id.into() }).await.err()),
                    at("config", backend.get_config(caller, config()).await.err()),
                    at("delete config", backend.delete_config(caller, config()).await.err()),
                    at("update config", backend.update_config(caller, update).await.err()),
                    at("set field", backend.set_config_field(caller, field).await.err()),
                    ("field".to_owned(), format!("{:?}", backend.config_field(caller, read).await)),
                ]);
            }
            assert_eq!(pairs[0], pairs[1]);
        }
    }
    assert_eq!(world.count("SELECT sum(row_version) FROM connections WHERE account_id = 'customer-43'"), before);
    assert_eq!(world.count("SELECT sum(version) FROM configs WHERE account_id = 'customer-43'"), configs);
    assert_eq!(theirs.connection(&connection).await.unwrap().status, ConnectionStatus::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn s35_a_session_has_no_power_of_the_organisation() {
    let world = World::new().await;
    let account = world.account("customer-42").await;
    connect(&account, "ada").await;
    let session = account.session().await.unwrap();
    let caller = Caller::Session(session.token().clone());
    let backend = world.smalt.backend();
    let id = || "customer-42".to_owned();
    let credential = GetCredential { account: id(), application: "sandbox-oauth".into(), connection: None };
    assert!(backend.try_credential(&caller, &credential).is_none());
    account.credential("sandbox-oauth").await.unwrap();
    assert!(backend.try_credential(&caller, &credential).is_none(), "not from memory either");
    let refusals = [
        backend.credential(&caller, credential).await.err(),
        backend.request(&caller, ApiRequest { account: id(), application: "sandbox-oauth".into(), ..ApiRequest::default() }).await.err(),
        backend.create_account(&caller, PutAccount { id: id(), ..PutAccount::default() }).await.err(),
        backend.upsert_account(&caller, PutAccount { id: id(), ..PutAccount::default() }).await.err(),
        backend.delete_account(&caller, GetAccount { account: id() }).await.err(),
        backend.list_accounts(&caller, ListAccounts::default()).await.err(),
        backend.create_session(&caller, CreateSession { account: id(), force: true }).await.err(),
        backend.import_connection(&caller, ImportConnection { account: id(), ..ImportConnection::default() }).await.err(),
        backend.run_workflow(&caller, RunWorkflow { account: id(), ..RunWorkflow::default() }).await.err(),
        backend.events(&caller, ListEvents::default()).await.err(),
        backend.audit(&caller, ListAudit::default()).await.err(),
        backend.get_project(&caller, GetProject {}).await.err(),
        backend.set_project(&caller, super::common::project("http://127.0.0.1:1")).await.err(),
    ];
    for (at, refusal) in refusals.into_iter().enumerate() {
        assert_eq!(refusal.unwrap().code(), Code::Forbidden, "{at}");
    }
    let other = world.account("customer-43").await.session().await.unwrap();
    let theirs = RevokeSession { token: other.token().clone() };
    assert_eq!(backend.revoke_session(&caller, theirs).await.unwrap_err().code(), Code::Forbidden);
    assert!(other.apps().await.is_ok());
}

/// Two accounts whose users are the same person at the provider share a grant there. A session is told that there are
/// others, but not whose.
#[tokio::test(flavor = "multi_thread")]
async fn s35_siblings_of_other_accounts_are_not_named_to_a_session() {
    let sandbox = smalt::sandbox::Sandbox::start(smalt::sandbox::SandboxOptions::default()).await.unwrap();
    let mut manifest = json!({
        "manifest": 1, "slug": "shared", "name": "Shared", "description": "One grant per person.",
        "oauth2": {
            "authorize_url": format!("{}/authorize", sandbox.origin()), "token_url": format!("{}/token", sandbox.origin()),
            "issuer": sandbox.origin(), "identity": {"url": format!("{}/userinfo", sandbox.origin()), "id": "/sub"},
        }
    });
    manifest["oauth2"]["revoke"] = json!({"url": format!("{}/revoke", sandbox.origin()), "shared_grant": true});
    let mut project = super::common::project(&sandbox.origin());
    project.network.allow = vec![sandbox.origin().trim_start_matches("http://").to_owned()];
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, smalt::sandbox::CLIENT_SECRET).unwrap();
    project.apps.insert(
        "shared".into(),
        serde_json::from_value(json!({"client": {"test": {"id": smalt::sandbox::CLIENT_ID, "secret": {"file": secret}}}})).unwrap(),
    );
    let key = smalt::vault::LocalKey::generate().unwrap().text();
    let smalt = engine(&folder.path().join("smalt.db"), key.expose(), &sandbox.origin())
        .project_value(project)
        .manifest(serde_json::from_value(manifest).unwrap())
        .open()
        .await
        .unwrap();
    let mut ids = Vec::new();
    for name in ["customer-42", "the-secret-customer"] {
        let account = smalt.account(name);
        account.ensure().await.unwrap();
        let presenter = smalt::present::ScriptedConsent::allow("ada");
        ids.push(account.connect("shared").present(presenter).await.unwrap().id);
    }
    let account = smalt.account("customer-42");
    let told_to_org = account.disconnect("shared").await.unwrap_err();
    assert_eq!(told_to_org.code(), Code::SharedGrant);
    assert!(format!("{told_to_org:?}").contains("the-secret-customer"));
    let session = account.session().await.unwrap();
    let error = session.disconnect("shared").await.unwrap_err();
    assert_eq!(error.code(), Code::SharedGrant);
    let shown = format!("{error:?} {error} {:?}", error.info().context);
    assert!(!shown.contains("the-secret-customer") && !shown.contains(&ids[1]), "{shown}");
    let keep = Disconnect { application: "shared".into(), siblings: Some(SiblingPolicy::Keep), ..Disconnect::default() };
    let receipt = session.disconnect_with(keep).await.unwrap();
    assert!(!format!("{receipt:?}").contains(&ids[1]), "{receipt:?}");
    assert!(!format!("{:?}", session.receipt(&receipt.id).await.unwrap()).contains(&ids[1]));
    assert!(format!("{:?}", account.receipt(&receipt.id).await.unwrap()).contains(&ids[1]), "the organisation may know");
}

#[tokio::test(flavor = "multi_thread")]
async fn s36_only_cursors_of_this_list_are_taken() {
    let world = World::new().await;
    for n in 0..12 {
        world.account(&format!("customer-{n}")).await;
    }
    let smalt = &world.smalt;
    let accounts = |cursor: &str| smalt.list_accounts(ListAccounts { cursor: Some(cursor.into()), limit: Some(5), search: None });
    let events = |cursor: &str| smalt.events_page(ListEvents { since: Some(cursor.into()), ..ListEvents::default() });
    let audit = |cursor: &str| smalt.audit(ListAudit { cursor: Some(cursor.into()), limit: Some(5) });
    let page = smalt.list_accounts(ListAccounts { limit: Some(5), ..ListAccounts::default() }).await.unwrap().next.unwrap();
    let event = smalt.events_page(ListEvents { limit: Some(5), ..ListEvents::default() }).await.unwrap().next.unwrap();
    assert_eq!((accounts(&page).await.unwrap().items.len(), events(&event).await.unwrap().items.len()), (5, 7));
    let other = World::new().await;
    for n in 0..12 {
        other.account(&format!("customer-{n}")).await;
    }
    let foreign = other.smalt.list_accounts(ListAccounts { limit: Some(5), ..ListAccounts::default() }).await.unwrap().next.unwrap();
    let mut bad: Vec<String> =
        ["", "=", "0", "-1", "AAAA", "' OR 1=1 --", "../..", "null", "\u{0}", "ä", "{}", "%00"].map(str::to_owned).into();
    bad.extend([
        "A".repeat(40),
        "A".repeat(100_000),
        foreign,
        format!("{page}="),
        format!(" {page}"),
        format!("{page}A"),
        page[1..].into(),
    ]);
    for n in 0..size(1000, 1000) {
        let text = if n % 2 == 0 { &page } else { &event };
        let mut bytes = text.clone().into_bytes();
        let at = n * 7 % bytes.len();
        bytes[at] ^= 1 << (n * 5 % 7);
        bad.push(String::from_utf8(bytes).unwrap());
    }
    let tried = bad.len();
    for cursor in bad {
        for error in [accounts(&cursor).await.err(), events(&cursor).await.err(), audit(&cursor).await.err()] {
            assert_eq!(error.unwrap().code(), Code::InvalidCursor, "{cursor:.80}");
        }
    }
    assert!(tried >= 1000);
    // A good one of another list is a bad one of this.
    assert!(accounts(&event).await.is_err() && events(&page).await.is_err() && audit(&event).await.is_err());
}

fn inputs(key: &str) -> BTreeMap<String, Secret> {
    BTreeMap::from([("key".to_owned(), key.into()), ("workspace".to_owned(), "acme".into())])
}

#[tokio::test(flavor = "multi_thread")]
async fn s16_keys_are_proven_before_they_are_saved() {
    let world = World::new().await;
    let account = world.account("customer-42").await;
    let session = account.session().await.unwrap();
    let saved = || {
        (world.rows("connections"), world.rows("audit"), world.count("SELECT count(*) FROM events WHERE event_type LIKE 'connection.%'"))
    };
    let before = saved();
    let fits = "k".repeat(8 * 1024);
    world.sandbox.control().apply(Control::AddKey { key: fits.as_str().into(), workspace: None }).unwrap();
    let long = "k".repeat(8 * 1024 + 1);
    let mut refusals = vec![
        (inputs("bad"), Code::CredentialsRejected),
        (inputs(""), Code::InvalidInputs),
        (inputs(&long), Code::InvalidInputs),
        (inputs("a\r\nx-other: b"), Code::InvalidInputs),
        (BTreeMap::new(), Code::InvalidInputs),
    ];
    for extra in ["Key", "access_token", "workspace ", "__proto__", "sandbox_origin"] {
        let mut given = inputs(smalt::sandbox::API_KEY);
        given.insert(extra.to_owned(), "x".into());
        refusals.push((given, Code::InvalidInputs));
    }
    for (given, code) in refusals {
        let error = session.connect("sandbox-key").inputs(given).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(!format!("{error:?} {:?}", error.info().context).contains(&long[..100]));
        assert_eq!(saved(), before, "nothing is saved");
    }
    session.connect("sandbox-key").inputs(inputs(smalt::sandbox::API_KEY)).await.unwrap();
    assert_eq!(saved().0, 1);
    world.sandbox.control().apply(Control::RevokeKey { key: smalt::sandbox::API_KEY.into() }).unwrap();
    let error = session.connect("sandbox-key").inputs(inputs(smalt::sandbox::API_KEY)).await.unwrap_err();
    assert_eq!(error.code(), Code::CredentialsRejected);
    assert_eq!(saved().0, 1, "the former one stays");
    session.connect("sandbox-key").inputs(inputs(&fits)).await.unwrap();
}

/// A connection to authorise again that is not there, or not theirs, is said before any key is sent.
#[tokio::test(flavor = "multi_thread")]
async fn s35_keys_renew_own_connections_only() {
    let world = World::new().await;
    let (mine, theirs) = (world.account("customer-42").await, world.account("customer-43").await);
    let foreign = theirs.connect("sandbox-key").inputs(inputs(smalt::sandbox::API_KEY)).await.unwrap().id;
    let checks = world.sandbox.control().stats().key_checks;
    let mut answers = Vec::new();
    for id in [foreign.as_str(), UNKNOWN] {
        let error = mine.connect("sandbox-key").inputs(inputs(smalt::sandbox::API_KEY)).connection(id).await.unwrap_err();
        assert_eq!(error.code(), Code::ConnectionNotFound);
        answers.push(told(&error, id));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!((world.sandbox.control().stats().key_checks, world.rows("connections")), (checks, 1));
    let renewed = theirs.connect("sandbox-key").inputs(inputs(smalt::sandbox::API_KEY)).connection(&*foreign).await.unwrap();
    assert_eq!(renewed.id, foreign);
}

/// Where the manifest puts them, and nowhere else: no URL, no other header, no body.
#[tokio::test(flavor = "multi_thread")]
async fn s16_keys_go_where_the_manifest_says() {
    let transport =
        ScriptedTransport::answering(|_| Ok(ScriptedTransport::json(200, &json!({"workspace": {"id": "acme", "name": "Acme"}}))));
    let recorded = transport.clone();
    let world = World::with(|builder| builder.transport(transport)).await;
    let account = world.account("customer-42").await;
    const KEY: &str = "canary-key-0123456789";
    account.connect("sandbox-key").inputs(inputs(KEY)).await.unwrap();
    account.request("sandbox-key", "GET", "echo").await.unwrap();
    let call = ApiRequest {
        application: "sandbox-key".into(),
        method: "POST".into(),
        path: "echo".into(),
        headers: vec![("X-API-KEY", "mine").into()],
        ..ApiRequest::default()
    };
    assert_eq!(account.send(call).await.unwrap_err().code(), Code::InvalidRequest, "the key's header is not the caller's");
    let requests = recorded.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert!(!request.url.as_str().contains(KEY), "{}", request.url);
        let holders: Vec<_> = request.headers.iter().filter(|(_, value)| value.contains(KEY)).map(|(name, _)| name.as_str()).collect();
        assert_eq!(holders, ["X-Api-Key"]);
        assert!(request.body.0.is_empty());
    }
}

/// A secret that a header cannot carry is refused in words that do not repeat it.
#[tokio::test(flavor = "multi_thread")]
async fn s54_odd_keys_are_refused_without_being_shown() {
    let world = World::new().await;
    let account = world.account("customer-42").await;
    for odd in ["canary\u{e9}canary", "canary\u{7f}canary", "canary\tcanary\t", " canary-canary"] {
        let error = account.connect("sandbox-key").inputs(inputs(odd)).await.unwrap_err();
        assert!(!format!("{error:?}{:?}", error.info().context).contains("canary"), "{error:?}");
    }
    assert_eq!(world.rows("connections"), 0);
}

/// Waits and lifetimes of any length are no reason to panic.
#[tokio::test(flavor = "multi_thread")]
async fn s78_endless_waits_are_served() {
    let world = World::new().await;
    let account = world.account("customer-42").await;
    let forever = std::time::Duration::MAX;
    let flow = account.start_connect("sandbox-oauth", to_app()).await.unwrap().flow_id;
    account.flow(&flow).cancel().await.unwrap();
    assert!(account.flow(&flow).wait(Some(forever)).await.unwrap().status.is_final());
    let events = world.smalt.events_page(ListEvents { wait: Some(forever), ..ListEvents::default() }).await.unwrap();
    assert!(!events.items.is_empty());
    connect(&account, "ada").await;
    let gone = Disconnect { application: "sandbox-oauth".into(), wait: Some(forever), ..Disconnect::default() };
    account.disconnect_with(gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s38_two_accounts_never_get_each_others_credentials() {
    let world = World::new().await;
    let mut tokens = Vec::new();
    let accounts = [world.account("customer-42").await, world.account("customer-43").await];
    for (account, user) in accounts.iter().zip(["ada", "grace"]) {
        connect(account, user).await;
        tokens.push(account.credential("sandbox-oauth").await.unwrap().access_token.clone().unwrap());
    }
    assert_ne!(tokens[0], tokens[1]);
    let reads: Vec<_> = (0..size(500, 10_000))
        .map(|n| {
            let (account, expected) = (accounts[n % 2].clone(), tokens[n % 2].clone());
            tokio::spawn(async move { account.credential("sandbox-oauth").await.unwrap().access_token.as_ref() == Some(&expected) })
        })
        .collect();
    for read in reads {
        assert!(read.await.unwrap());
    }
}
