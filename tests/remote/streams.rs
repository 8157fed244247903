//! Bodies that pass through a server piece by piece: `download` and `upload` of the remote backend.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use serde_json::json;
use smalt::{
    Code, Error, Session, Smalt,
    backend::ApiRequest,
    model::{Environment, Json},
    plugin::{Upload, UploadSource},
    sandbox::{API_KEY, Sandbox, SandboxOptions},
    vault::LocalKey,
};
use smalt_server::{Api, ApiOptions, Limits, Server};

struct World {
    url: String,
    key: String,
    smalt: Smalt,
    _sandbox: Sandbox,
}

impl World {
    async fn new() -> World {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).await.unwrap();
        let url = format!("http://{}", server.address().unwrap());
        let project = serde_json::from_value(json!({
            "version": 1, "org": {"id": "acme", "public_url": url}, "sandbox": {"enabled": true, "url": sandbox.origin()},
        }))
        .unwrap();
        let smalt = Smalt::in_memory().keys(LocalKey::generate().unwrap()).project_value(project).open().await.unwrap();
        smalt.account("acme-1").ensure().await.unwrap();
        smalt.account("acme-1").connect("sandbox-key").input("key", API_KEY).input("workspace", "acme").await.unwrap();
        let key = smalt.create_api_key("backend").await.unwrap().key.expose().to_owned();
        let api = Api::new([(Environment::Test, smalt.clone())], ApiOptions::default());
        tokio::spawn(server.serve(api, std::future::pending()));
        World { url, key, smalt, _sandbox: sandbox }
    }

    fn remote(&self) -> Smalt {
        Smalt::remote(&self.url).api_key(&*self.key).no_proxy().open().unwrap()
    }
}

fn call(method: &str, path: &str) -> ApiRequest {
    ApiRequest { application: "sandbox-key".into(), method: method.into(), path: path.into(), ..ApiRequest::default() }
}

/// So many pieces; counts those that were asked for.
struct Pieces(usize, Arc<AtomicUsize>);

#[async_trait]
impl UploadSource for Pieces {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if self.0 == 0 {
            return Ok(None);
        }
        self.0 -= 1;
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(Some(vec![b'x'; 10_000]))
    }
}

/// As the embedded backend answers: status, headers, body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_pass_through_a_server_as_they_do_without_one() {
    let world = World::new().await;
    let remote = world.remote();
    let mut told = Vec::new();
    for smalt in [&world.smalt, &remote] {
        let account = smalt.account("acme-1");
        let down = account.download(call("GET", "echo")).await.unwrap();
        let (status, kind) = (down.status, down.header("content-type").map(ToOwned::to_owned));
        let echoed: Json = serde_json::from_slice(&down.rest(1 << 20).await.unwrap()).unwrap();

        let asked = Arc::new(AtomicUsize::new(0));
        let upload = Upload::new("text/plain", Pieces(5, asked.clone())).length(50_000);
        let up = account.upload(call("POST", "echo"), upload).await.unwrap();
        let up_status = up.status;
        let sent: Json = serde_json::from_slice(&up.rest(1 << 20).await.unwrap()).unwrap();
        assert!(sent.to_string().contains(&"x".repeat(50_000)) && asked.load(Ordering::SeqCst) == 5);

        let missing = account.download(call("GET", "nothing-there")).await.unwrap();
        told.push((status, kind, echoed["method"].clone(), up_status, sent["headers"]["content-type"].clone(), missing.status));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!((told[0].0, told[0].5), (200, 404));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_has_its_own_code() {
    let world = World::new().await;
    let account = world.remote().account("acme-1");
    let unknown = ApiRequest { application: "nothing".into(), ..call("GET", "echo") };
    let error = account.download(unknown).await.unwrap_err();
    assert!(error.is(Code::ApplicationNotFound) && error.info().request_id.is_some(), "{error:?}");
    assert_eq!(error.info().context["operation"], "request");
    let error = account.download(ApiRequest { application: "sandbox-oauth".into(), ..call("GET", "echo") }).await.unwrap_err();
    assert!(error.is(Code::NotConnected), "{error:?}");
    // Beyond the caller's own limit nothing is taken for the whole, here or at the server.
    let small = ApiRequest { max_body: Some(10), ..call("GET", "echo") };
    let ended = match account.download(small).await {
        Ok(answer) => answer.rest(1 << 20).await.map(drop),
        Err(error) => Err(error),
    };
    let error = ended.unwrap_err();
    assert!([Code::AnswerTooLarge, Code::ServerAnswerTooLarge, Code::ServerError].contains(&error.code()), "{error:?}");
    // The source's own trouble ends the call.
    struct Broken;
    #[async_trait]
    impl UploadSource for Broken {
        async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
            Err(Error::new(Code::InvalidRequest, "the file is gone"))
        }
    }
    let error = account.upload(call("POST", "echo"), Upload::new("text/plain", Broken)).await.unwrap_err();
    assert!(error.is(Code::InvalidRequest) && error.reason().contains("the file is gone"), "{error:?}");
}

/// A session has no credentials to use, and the hosted service no such route: both are told, by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_stream_is_told() {
    let world = World::new().await;
    let known = Smalt::remote(&world.url).api_key(&*world.key).no_proxy().compatible_routes().open().unwrap();
    let error = known.account("acme-1").download(call("GET", "echo")).await.unwrap_err();
    assert!(error.is(Code::Unsupported) && error.reason().contains("`request`"), "{error:?}");
    let token = world.smalt.account("acme-1").session().await.unwrap().token().clone();
    let session = Session::remote(&world.url).token(token).no_proxy().open().unwrap();
    let caller = smalt::backend::Caller::Session(session.token().clone());
    let of_session = ApiRequest { account: "acme-1".into(), ..call("GET", "echo") };
    let error = world.remote().backend().request_stream(&caller, of_session, None).await.unwrap_err();
    assert!(error.is(Code::Forbidden), "{error:?}");
}
