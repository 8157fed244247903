//! Several servers on one store.

use std::time::{Duration, Instant};

use smalt::{
    Secret, Smalt,
    model::{Environment, Json},
    sandbox::{Sandbox, SandboxOptions},
    vault::LocalKey,
};
use smalt_server::{Api, ApiOptions};

use crate::world::{PUBLIC, World, project};

pub fn size(first: usize, full: usize) -> usize {
    if std::env::var_os("SMALT_FULL").is_some() { full } else { first }
}

struct Nodes {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
    key: Secret,
    api_key: Option<String>,
}

impl Nodes {
    async fn new() -> Nodes {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        Nodes { folder: tempfile::tempdir().unwrap(), sandbox, key: LocalKey::generate().unwrap().text(), api_key: None }
    }

    /// One more server.
    async fn open(&mut self) -> World {
        let builder = Smalt::embedded(self.folder.path().join("smalt.db")).keys(LocalKey::parse(&self.key).unwrap());
        let test = builder.project_value(project(&self.sandbox.origin())).environment(Environment::Test).open().await.unwrap();
        let api_key = match &self.api_key {
            Some(key) => key.clone(),
            None => test.create_api_key("backend").await.unwrap().key.expose().to_owned(),
        };
        self.api_key = Some(api_key.clone());
        let api = Api::new([(Environment::Test, test.clone())], ApiOptions::default());
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        // They serve one environment; nothing here asks for the other.
        World { sandbox, production: test.clone(), test, api, key: api_key, production_key: String::new() }
    }
}

/// A revoked session is refused by the server that revoked it from then on, and by the others after a second at most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s23_revocation_holds_at_once_here_and_soon_elsewhere() {
    let mut nodes = Nodes::new().await;
    let worlds = [nodes.open().await, nodes.open().await, nodes.open().await];
    let ask = async |world: &World, session: &str| {
        world.call("GET", "/api/v2/f-sdk/application", &[("authorization", session)], Json::Null).await.status
    };
    for round in 0..size(25, 500) {
        let here = &worlds[round % 3];
        let session = here.account(&format!("account-{round}")).await;
        for world in &worlds {
            assert_eq!(ask(world, &session).await, 200, "as it was made");
        }
        here.call("POST", "/api/v2/public/session-token/revoke", &[("authorization", &session)], Json::Null).await.expect(200);
        let revoked = Instant::now();
        assert_eq!(ask(here, &session).await, 401, "at once");
        let mut refused = [false; 3];
        while revoked.elapsed() < Duration::from_secs(1) && refused != [true; 3] {
            for (world, refused) in worlds.iter().zip(&mut refused) {
                // Once refused, always refused.
                let status = ask(world, &session).await;
                assert!(status == 401 || !*refused, "{status}");
                *refused = status == 401;
            }
        }
        for world in &worlds {
            assert_eq!(ask(world, &session).await, 401, "within a second");
        }
    }
}

/// The provider sends the user back to another server, and the one that began is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r50_a_connect_survives_its_server() {
    let mut nodes = Nodes::new().await;
    for round in 0..size(10, 100) {
        let first = nodes.open().await;
        let session = first.account(&format!("account-{round}")).await;
        let ticket = first.integrate(&session).await;
        first.test.close().await;

        let second = nodes.open().await;
        second.send("GET", &ticket, &[], b"").await.expect(200);
        let gone = second.send("POST", &ticket, &[("sec-fetch-site", "same-origin")], b"").await.expect(303);
        second.test.close().await;

        let third = nodes.open().await;
        let mut url = url::Url::parse(gone.header("location")).unwrap();
        url.query_pairs_mut().append_pair("sandbox_user", "ada").append_pair("sandbox_decision", "allow");
        let callback = smalt::sandbox::visit(url.as_str()).await.unwrap();
        let cookie = gone.header("set-cookie").split(';').next().unwrap().to_owned();
        let came = third.send("GET", callback.strip_prefix(PUBLIC).unwrap(), &[("cookie", &cookie)], b"").await;
        third.ends_on(&callback, &came).await.expect(200);
        assert_eq!(third.state(&session, "sandbox-oauth").await.2, ["active"]);
        third.test.close().await;
    }
}
