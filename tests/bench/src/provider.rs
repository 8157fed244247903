//! The sandbox as a provider in a process of its own, so that its work is nobody's but its own, and a clock that both can set forward.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use serde_json::{Value, json};
use smalt::{
    Secret, Smalt, Timestamp,
    backend::ImportConnection,
    plugin::{BootTime, Clock, SystemClock},
    sandbox::{CLIENT_ID, CLIENT_SECRET, Sandbox, SandboxOptions, Ways},
};

/// What its access tokens live, in seconds.
pub const LIFE: u64 = 3600;

/// The child: says its origin, and its counters for every line that it reads.
pub async fn provide() {
    let ways = Ways { auto_consent: Some("ada".to_owned()), pkce_required: false, expires_in: LIFE, ..Ways::default() };
    let clock = Forward::default();
    let options = SandboxOptions { ways, clock: Arc::new(clock.clone()), ..SandboxOptions::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    println!("{}", sandbox.origin());
    let control = sandbox.control();
    tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lines() {
            match line.unwrap().split_once(' ') {
                Some(("forward", milliseconds)) => clock.forward(milliseconds.parse().unwrap()),
                Some(("reset", _)) => control.reset_stats(),
                _ => {}
            }
            println!("{}", json!(control.stats()));
        }
    })
    .await
    .unwrap();
}

pub struct Provider {
    child: Child,
    pipe: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    pub origin: String,
}

impl Provider {
    pub fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["provide", "", ""])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut origin = String::new();
        output.read_line(&mut origin).unwrap();
        Self { pipe: Mutex::new((child.stdin.take().unwrap(), output)), child, origin: origin.trim().to_owned() }
    }

    /// Orders: `stats`, `reset all`, `forward <milliseconds>`.
    pub fn ask(&self, order: &str) -> Value {
        let mut pipe = self.pipe.lock().unwrap();
        writeln!(pipe.0, "{order}").unwrap();
        let mut line = String::new();
        pipe.1.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    pub fn refreshes(&self) -> usize {
        usize::try_from(self.ask("stats")["refreshes"].as_u64().unwrap()).unwrap()
    }

    /// What the operating system is told about the process: `STOP` makes a provider that takes connections and never answers.
    pub fn signal(&self, name: &str) {
        let told = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The system's clock, set forward.
#[derive(Clone, Default)]
pub struct Forward(SystemClock, Arc<AtomicI64>);

impl Forward {
    pub fn forward(&self, milliseconds: i64) {
        self.1.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for Forward {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now().millis() + self.1.load(Ordering::SeqCst))
    }

    fn boot(&self) -> BootTime {
        self.0.boot()
    }
}

/// A plain HTTP client.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

/// A token request, and the access and refresh token of its answer.
pub async fn tokens(client: &reqwest::Client, origin: &str, body: &str) -> (String, String) {
    let request = client.post(format!("{origin}/token")).basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.to_owned());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let said: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    (said["access_token"].as_str().unwrap().to_owned(), said["refresh_token"].as_str().unwrap().to_owned())
}

/// A user's consent and its exchange: an access and a refresh token.
pub async fn grant(client: &reqwest::Client, origin: &str) -> (String, String) {
    let query =
        format!("response_type=code&client_id={CLIENT_ID}&redirect_uri=http://127.0.0.1/callback&scope=profile%20items.read&state=s");
    let answer = client.get(format!("{origin}/authorize?{query}")).send().await.unwrap();
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let code = location.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap();
    tokens(client, origin, &format!("grant_type=authorization_code&code={code}&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcallback")).await
}

/// An application at this provider, with its client's secret in a file.
pub fn manifest(slug: &str, origin: &str) -> smalt::manifest::AppManifest {
    serde_json::from_value(json!({
        "manifest": 1, "slug": slug, "name": slug, "description": "The sandbox.",
        "api": {"base_url": format!("{origin}/api/")},
        "oauth2": {"authorize_url": format!("{origin}/authorize"), "token_url": format!("{origin}/token")}
    }))
    .unwrap()
}

/// The project's part about an application; the secret is written beside the store.
pub fn offered(folder: &std::path::Path) -> Value {
    let secret = folder.join("secret");
    std::fs::write(&secret, CLIENT_SECRET).unwrap();
    json!({"client": {"test": {"id": CLIENT_ID, "secret": {"file": secret}}}})
}

/// A connection of tokens that somebody has already, with its account; answers its id.
pub async fn link(smalt: &Smalt, account: &str, application: &str, (access, refresh): (String, String), expires_in: u64) -> String {
    let account = smalt.account(account);
    account.ensure().await.unwrap();
    let values = [("access_token".to_owned(), Secret::new(access)), ("refresh_token".to_owned(), Secret::new(refresh))];
    let application = application.to_owned();
    let import = ImportConnection { application, values: values.into(), expires_in: Some(expires_in), ..ImportConnection::default() };
    account.import(import).await.unwrap().id
}
