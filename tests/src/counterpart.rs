//! The npm package `oidc-provider`, unchanged, as provider; and a user who consents there, with Chromium or without.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Mutex,
};

use serde_json::{Value, json};
use smalt::{manifest::AppManifest, model::Environment, project::Project};

/// The folder of the counterparts.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("counterparts")
}

fn node(script: &str, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let folder = folder();
    assert!(folder.join("node_modules").is_dir(), "the counterparts are not installed: run tests/counterparts/install.sh (make test does)");
    let mut child = Command::new("node")
        .arg(folder.join(script))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("node is on the PATH");
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

fn read(output: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("a JSON line was expected, not {line:?}"))
}

/// A running `oidc-provider`. It ends when this is dropped.
pub struct Provider {
    child: Child,
    /// Its issuer and origin.
    pub issuer: String,
    control: String,
    client_id: String,
    client_secret: String,
}

impl Provider {
    /// Starts one; flags as in `tests/counterparts/README.md`.
    pub fn start(flags: &[&str]) -> Provider {
        let (child, mut output) = node("provider.mjs", &[&["--until-stdin-closes"], flags].concat());
        let said = read(&mut output);
        let text = |pointer: &str| said.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        Provider {
            child,
            issuer: text("/issuer"),
            control: text("/control"),
            client_id: text("/client/id"),
            client_secret: text("/client/secret"),
        }
    }

    /// The provider as an application with the slug `counterpart`.
    pub fn manifest(&self) -> AppManifest {
        let issuer = &self.issuer;
        serde_json::from_value(json!({
            "manifest": 1, "slug": "counterpart", "name": "Counterpart", "description": "oidc-provider",
            "api": {"base_url": format!("{issuer}/")},
            "oauth2": {
                "authorize_url": format!("{issuer}/auth"), "token_url": format!("{issuer}/token"), "issuer": issuer,
                "authorize_params": {"prompt": "consent"},
                "scopes": {"default": ["openid", "offline_access", "email"]},
                "refresh": {"early": 5},
                "revoke": {"url": format!("{issuer}/token/revocation")},
                "identity": {"url": format!("{issuer}/me"), "id": "/sub", "label": "/sub"}
            }
        }))
        .unwrap()
    }

    /// Its client: id and secret.
    pub fn client(&self) -> (&str, &str) {
        (&self.client_id, &self.client_secret)
    }

    /// A project that offers it, and lets it be called on loopback. The client's secret stands in a variable of this process.
    pub fn project(&self, folder: &std::path::Path) -> Project {
        let secret = folder.join("counterpart-secret");
        std::fs::write(&secret, &self.client_secret).unwrap();
        let mut project: Project = serde_json::from_value(json!({
            "version": 1,
            "org": {"public_url": "http://127.0.0.1", "redirect_uris": ["http://127.0.0.1/callback"]},
            "network": {"allow": [self.issuer.trim_start_matches("http://")]},
            "apps": {"counterpart": {"client": {"test": {
                "id": self.client_id, "secret": {"file": secret}, "redirect_uri": "http://127.0.0.1/callback"
            }}}}
        }))
        .unwrap();
        assert!(project.apps["counterpart"].client.contains_key(&Environment::Test));
        project.sandbox.enabled = true;
        project
    }

    /// What the provider itself counted.
    pub fn stats(&self) -> Value {
        self.ask("GET", "/__stats", None)
    }

    /// Spoils coming answers.
    pub fn fault(&self, fault: Value) {
        self.ask("POST", "/__faults", Some(fault));
    }

    /// Lets held answers go.
    pub fn release(&self) {
        self.ask("POST", "/__release", None);
    }

    /// Counts from zero, without faults.
    pub fn reset(&self) {
        self.ask("POST", "/__reset", None);
    }

    /// Whether an access or refresh token is alive (RFC 7662).
    pub fn is_active(&self, token: &str) -> bool {
        let body = url::form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        let header = format!("Basic {}", base64(&format!("{}:{}", self.client_id, self.client_secret)));
        let answer = http(
            "POST",
            &format!("{}/token/introspection", self.issuer),
            &[("authorization", &header)],
            Some(("application/x-www-form-urlencoded", body)),
        );
        answer["active"] == json!(true)
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        http(method, &format!("{}{path}", self.control), &[], body.map(|body| ("application/json", body.to_string())))
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A user at the provider's pages.
pub struct User {
    child: Mutex<(Child, BufReader<ChildStdout>, u64)>,
}

impl User {
    /// One who posts the forms without a browser: fast, for many flows.
    pub fn without_browser() -> User {
        Self::start(&["--no-browser", "--serve"])
    }

    /// One who sits at Chromium.
    pub fn with_chromium() -> User {
        Self::start(&["--serve"])
    }

    fn start(arguments: &[&str]) -> User {
        let (child, mut output) = node("consent.mjs", arguments);
        assert_eq!(read(&mut output)["ready"], json!(true));
        User { child: Mutex::new((child, output, 0)) }
    }

    /// Logs in as `login` and consents; answers the callback URL. `context` names a browser to go on with.
    pub fn visit(&self, authorize_url: &str, login: &str, allow: bool, context: Option<&str>) -> String {
        let mut request = json!({"url": authorize_url, "login": login, "decision": if allow { "allow" } else { "deny" }});
        if let Some(context) = context {
            request["context"] = json!(context);
        }
        self.ask(request)["callback_url"].as_str().unwrap().to_owned()
    }

    /// Logs in and consents at Chromium, and lets it go to the callback; answers `callback_url` and the `page` that is
    /// shown in the end, see `tests/counterparts/README.md`.
    pub fn follow(&self, authorize_url: &str, login: &str) -> Value {
        self.ask(json!({"url": authorize_url, "login": login, "follow": true}))
    }

    fn ask(&self, mut request: Value) -> Value {
        let mut guard = self.child.lock().unwrap();
        let (child, output, count) = &mut *guard;
        *count += 1;
        request["id"] = json!(*count);
        writeln!(child.stdin.as_mut().unwrap(), "{request}").unwrap();
        let answer = read(output);
        assert!(answer["callback_url"].is_string(), "the visit failed: {answer}");
        answer
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let child = &mut self.child.get_mut().unwrap().0;
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks(3)
        .map(|chunk| {
            let bits = chunk.iter().fold(0_u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
            (0..4).map(|i| if i <= chunk.len() { DIGITS[(bits >> (18 - 6 * i) & 63) as usize] as char } else { '=' }).collect::<String>()
        })
        .collect()
}

/// One plain request to loopback, answered as JSON (`null` when it is none).
pub fn http(method: &str, url: &str, headers: &[(&str, &str)], body: Option<(&str, String)>) -> Value {
    use std::io::Read;
    let url = url::Url::parse(url).unwrap();
    let mut stream = std::net::TcpStream::connect((url.host_str().unwrap().trim_matches(['[', ']']), url.port().unwrap())).unwrap();
    let target = &url[url::Position::BeforePath..];
    let mut request = format!(
        "{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
        &url[url::Position::BeforeHost..url::Position::AfterPort]
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let (content_type, body) = body.unwrap_or(("text/plain", String::new()));
    request.push_str(&format!("content-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let from = body.find(['{', '[']).unwrap_or(0);
    let to = body.rfind(['}', ']']).map_or(0, |at| at + 1);
    serde_json::from_str(body.get(from..to).unwrap_or("")).unwrap_or(Value::Null)
}
