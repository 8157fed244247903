//! OAuth 1.0a beyond single calls: pages, downloads and uploads, each signed on its own and checked by the sandbox.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use smalt::{
    Account, Code, Smalt,
    backend::{ApiRequest, ImportConnection},
    model::{Json, NameValue},
    plugin::Upload,
    project::Project,
    sandbox::{CLIENT_ID, CLIENT_SECRET, Sandbox, SandboxControl, SandboxOptions, TBA_TOKEN},
    vault::LocalKey,
};

struct Stage {
    account: Account,
    control: SandboxControl,
    _sandbox: Sandbox,
    _folder: tempfile::TempDir,
}

async fn stage() -> Stage {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let origin = sandbox.origin();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret.txt");
    std::fs::write(&secret, CLIENT_SECRET).unwrap();
    let manifest = json!({
        "manifest": 1, "slug": "signed", "name": "Signed", "description": "Signs every request.",
        "api": {
            "base_url": format!("{origin}/oauth1/api/"),
            "pagination": {"style": "offset", "items": "/items", "size": 2, "size_param": "limit"},
        },
        "oauth1": {
            "request_token_url": format!("{origin}/oauth1/request_token"), "authorize_url": format!("{origin}/oauth1/authorize"),
            "access_token_url": format!("{origin}/oauth1/access_token"), "identity": {"url": "me", "id": "/id"},
        },
    });
    let project: Project = serde_json::from_value(json!({
        "version": 1, "network": {"allow": [sandbox.address().to_string()]},
        "apps": {"signed": {"client": {"test": {"id": CLIENT_ID, "secret": {"file": secret}}}}},
    }))
    .unwrap();
    let smalt = Smalt::in_memory()
        .keys(LocalKey::generate().unwrap())
        .manifest(serde_json::from_value(manifest).unwrap())
        .project_value(project)
        .open()
        .await
        .unwrap();
    let account = smalt.account("a");
    account.ensure().await.unwrap();
    let mut import = ImportConnection { application: "signed".into(), ..ImportConnection::default() };
    import.values.insert("access_token".into(), TBA_TOKEN.0.into());
    import.values.insert("token_secret".into(), TBA_TOKEN.1.into());
    account.import(import).await.unwrap();
    // Who it is was asked already.
    sandbox.control().reset_stats();
    Stage { account, control: sandbox.control(), _sandbox: sandbox, _folder: folder }
}

fn call(method: &str, query: &[(&str, &str)]) -> ApiRequest {
    let query = query.iter().map(|(name, value)| NameValue { name: (*name).to_owned(), value: (*value).to_owned() }).collect();
    ApiRequest { application: "signed".into(), method: method.into(), path: "me".into(), query, ..ApiRequest::default() }
}

#[tokio::test]
async fn every_page_is_signed_with_what_names_it() {
    let stage = stage().await;
    let asked = ApiRequest { path: "items".into(), ..call("GET", &[("q", "a b&c=d ü"), ("q", "twice")]) };
    let mut pages = stage.account.pages(asked);
    let mut found = Vec::new();
    while let Some(item) = pages.next_item().await.unwrap() {
        found.push(item["id"].as_u64().unwrap());
    }
    assert_eq!(found, [1, 2, 3, 4, 5]);
    // Two, two, and the one that is left.
    let stats = stage.control.stats();
    assert_eq!((stats.api_calls, stats.api_refused), (3, 0), "{stats:?}");
}

#[tokio::test]
async fn streams_are_signed_and_forms_are_refused_before_they_are_sent() {
    let stage = stage().await;
    let answer = stage.account.download(call("GET", &[("part", "1/2"), ("empty", "")])).await.unwrap();
    let status = answer.status;
    let body: Json = serde_json::from_slice(&answer.rest(10_000).await.unwrap()).unwrap();
    assert_eq!((status, body["query"].as_str()), (200, Some("part=1%2F2&empty=")), "{body}");

    let bytes = vec![7_u8; 20_000];
    let upload = Upload::from_reader("application/octet-stream", std::io::Cursor::new(bytes.clone())).length(bytes.len() as u64);
    let answer = stage.account.upload(call("PUT", &[("name", "a file")]), upload).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!((stage.control.stats().api_calls, stage.control.stats().api_refused), (2, 0));

    // A form's fields belong to the signature, which goes before them.
    let form = Upload::from_reader("application/x-www-form-urlencoded", std::io::Cursor::new(b"a=b".to_vec()));
    let error = stage.account.upload(call("POST", &[]), form).await.unwrap_err();
    assert_eq!(error.code(), Code::Unsupported, "{error}");
    assert_eq!(stage.control.stats().api_calls, 2);
}
