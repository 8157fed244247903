//! S-50 by sockets: whatever is entered where a host has a placeholder, at save and at use, nobody else is looked up or called.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    Secret, Smalt,
    backend::{Disconnect, ImportConnection, StartConnect},
    http::{AddressPolicy, BreakerSettings, HostPort, ReqwestTransport, TransportOptions},
    manifest::{AppManifest, template::tests::payloads},
    model::AuthType,
    plugin::{HttpRequest, HttpTransport},
    vault::LocalKey,
};

/// Where names of the provider lead; every other name leads to [`STRANGER`].
const PROVIDER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
const SUFFIX: &str = ".provider.test";

/// Counts connections and closes them.
async fn counter(address: SocketAddr) -> (u16, Arc<AtomicUsize>) {
    let (listener, count) = (TcpListener::bind(address).await.unwrap(), Arc::new(AtomicUsize::new(0)));
    let (port, counted) = (listener.local_addr().unwrap().port(), count.clone());
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, count)
}

/// A transport for which the whole world is public and lies on this machine; and the names that it looks up.
fn transport(world: &BTreeSet<String>) -> (ReqwestTransport, Arc<Mutex<Vec<String>>>) {
    let names = Arc::new(Mutex::new(Vec::new()));
    let seen = names.clone();
    let breaker = BreakerSettings { failures: u32::MAX, ..BreakerSettings::default() };
    let options = TransportOptions {
        breaker,
        connect_timeout: Duration::from_secs(20),
        lookup: Arc::new(move |name| {
            let address = if name.ends_with(SUFFIX) { PROVIDER } else { STRANGER };
            seen.lock().unwrap().push(name);
            Box::pin(async move { Ok(vec![address]) })
        }),
        ..TransportOptions::default()
    };
    let allow = world.iter().filter_map(|host| HostPort::parse(host).ok()).collect();
    (ReqwestTransport::with_options(AddressPolicy { allow }, options).unwrap(), names)
}

fn manifests(port: u16) -> [AppManifest; 2] {
    let at = |path: &str| format!("https://{{sub}}{SUFFIX}:{port}/{path}");
    let inputs = json!([{"name": "sub", "label": "Subdomain"}, {"name": "key", "label": "Key", "type": "password", "secret": true}]);
    let one = |slug: &str, rest: crate::model::Json| {
        let mut manifest =
            json!({"manifest": 1, "slug": slug, "name": slug, "description": "A host that users name.", "api": {"base_url": at("api/")}});
        manifest.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        serde_json::from_value(manifest).unwrap()
    };
    [
        one(
            "pages",
            json!({"oauth2": {
                "authorize_url": at("authorize"), "token_url": at("token"), "client_auth": "none", "revoke": {"url": at("revoke")},
                "inputs": [{"name": "sub", "label": "Subdomain"}]
            }}),
        ),
        one(
            "keys",
            json!({"keybased": {
                "inputs": inputs,
                "placement": {"in": "header", "name": "authorization", "value": "Bearer {access_token}"},
                "token": {
                    "grant": "login", "url": at("login"), "params": {"key": "{key}"}, "id": "{sub}",
                    "revoke": {"url": at("logout"), "token": "access"}
                },
                "verify": {"url": at("me")}
            }}),
        ),
    ]
}

/// What somebody would call who put the value in and looked no further: the host, and the URL.
fn careless(payload: &str, port: u16) -> Option<(String, url::Url)> {
    let url = url::Url::parse(&format!("https://{payload}{SUFFIX}:{port}/login")).ok()?;
    Some((url.host_str()?.to_owned(), url))
}

#[cfg(target_os = "linux")] // where all of 127/8 is this machine
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s50_nobody_else_is_called_whatever_is_entered() {
    let (port, strange) = counter(SocketAddr::new(STRANGER, 0)).await;
    let (_, right) = counter(SocketAddr::new(PROVIDER, port)).await;
    let mut all = payloads();
    for host in ["evil.test", "127.0.0.1", "localhost"] {
        for form in ["{}/", "{}#", "{}?", "{}\\", "x@{}/", "x:y@{}#", "{}/a", "//{}/", "{}/@x", "\t{}/"] {
            all.push(form.replace("{}", &format!("{host}:{port}")));
        }
    }
    all.push("acme".to_owned());
    let urls: Vec<(String, url::Url)> = all.iter().filter_map(|payload| careless(payload, port)).collect();
    let world: BTreeSet<String> = urls.iter().map(|(host, _)| host.clone()).collect();

    // The listener counts: most of these would have got there, or to a name that is looked up.
    let (direct, looked_up) = transport(&world);
    let (mut misled, mut reached) = (0, 0);
    for (_, url) in urls.into_iter().filter(|(host, _)| !host.ends_with(SUFFIX)) {
        misled += 1;
        let before = strange.load(Ordering::SeqCst);
        let mut request = HttpRequest::new("GET", url);
        request.timeout = Duration::from_secs(20);
        let _ = direct.send(request).await;
        reached += usize::from(strange.load(Ordering::SeqCst) > before);
    }
    assert!(misled >= 50 && reached >= 20, "{misled} would be led elsewhere, {reached} to the listener");
    assert!(looked_up.lock().unwrap().iter().any(|name| name == "evil.test"));
    strange.store(0, Ordering::SeqCst);

    let (transport, names) = transport(&world);
    let [pages, keys] = manifests(port);
    let project = json!({
        "version": 1, "org": {"redirect_uris": ["https://app.example/callback"]},
        "apps": {"pages": {"client": {"test": {"id": "us"}}}, "keys": {}}
    });
    let smalt = Smalt::in_memory()
        .keys(LocalKey::generate().unwrap())
        .transport(transport)
        .manifest(pages)
        .manifest(keys)
        .project_value(serde_json::from_value(project).unwrap())
        .open()
        .await
        .unwrap();
    for (n, payload) in all.iter().enumerate() {
        let account = smalt.account(format!("account-{n}"));
        account.ensure().await.unwrap();
        // At save: the page and the exchange behind it, the login and the trial.
        let options = StartConnect {
            inputs: [("sub".to_owned(), payload.clone())].into(),
            redirect_uri: Some("https://app.example/callback".to_owned()),
            ..StartConnect::default()
        };
        if let Ok(started) = account.start_connect("pages", options).await {
            let page = url::Url::parse(&started.authorize_url).unwrap();
            assert!(page.host_str().unwrap().ends_with(SUFFIX) && page.port() == Some(port), "{payload:?}: {page}");
            let state = page.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
            let callback = format!("https://app.example/callback?code=c&state={state}");
            account.finish_connect(callback, started.cookie.value).await.unwrap_err();
        }
        account.connect("keys").input("sub", payload.as_str()).input("key", "k-12345678").await.unwrap_err();
        // At use: what came from elsewhere is in the store already.
        let values = [("sub", payload.as_str()), ("key", "k-12345678")];
        let import = ImportConnection {
            application: "keys".to_owned(),
            auth_type: Some(AuthType::Keybased),
            values: values.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect(),
            ..ImportConnection::default()
        };
        if account.import(import).await.is_ok() {
            account.credential("keys").await.unwrap_err();
            account.request("keys", "GET", "items").await.unwrap_err();
            let options = Disconnect { application: "keys".to_owned(), wait: Some(Duration::ZERO), ..Disconnect::default() };
            account.disconnect_with(options).await.unwrap();
        }
    }
    smalt.close().await;
    assert_eq!(strange.load(Ordering::SeqCst), 0, "somebody else was called");
    let others: Vec<String> = names.lock().unwrap().iter().filter(|name| !name.ends_with(SUFFIX)).cloned().collect();
    assert!(others.is_empty(), "somebody else was looked up: {others:?}");
    assert!(right.load(Ordering::SeqCst) > 0, "the provider itself is called");
}
