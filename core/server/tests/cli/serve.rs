//! `smalt serve` as a process.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use serde_json::Value;

use crate::folder::{Folder, Running};

/// One request over a connection of its own: status line, headers and body.
pub fn ask(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: smalt\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

pub fn first(serving: &mut Running) -> Value {
    let line = serving.out_line();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

pub fn text<'a>(first: &'a Value, name: &str) -> &'a str {
    first[name].as_str().unwrap_or_else(|| panic!("`{name}`: {first}"))
}

#[test]
fn dev_needs_nothing_says_what_one_needs_and_leaves_nothing() {
    let folder = Folder::new();
    let mut serving = folder.begin(&["serve", "--dev", "--listen", "127.0.0.1:0", "--json"]);
    let said = first(&mut serving);
    let url = text(&said, "url");
    assert!(ask(url, "GET", "/readyz", &[], "").starts_with("HTTP/1.1 200 OK\r\n"));
    let bearer = format!("Bearer {}", text(&said, "token"));
    let apps = ask(url, "GET", "/api/v2/f-sdk/application", &[("authorization", &bearer), ("origin", "http://localhost:3000")], "");
    assert!(apps.contains("\"sandbox-oauth\"") && apps.contains("access-control-allow-origin: http://localhost:3000\r\n"), "{apps}");
    let elsewhere = ask(url, "GET", "/api/v2/f-sdk/application", &[("authorization", &bearer), ("origin", "https://example.com")], "");
    assert!(!elsewhere.contains("access-control-allow-origin"), "{elsewhere}");
    let account = format!("/api/v2/public/linked-account/{}", text(&said, "account"));
    assert!(ask(url, "GET", &account, &[("x-api-key", text(&said, "key"))], "").starts_with("HTTP/1.1 200 OK\r\n"));
    let portal = text(&said, "portal_url").strip_prefix(url).unwrap();
    assert!(ask(url, "GET", portal, &[], "").starts_with("HTTP/1.1 200 OK\r\n"));
    // A connect goes to its end, as far as one can go without a browser.
    let begun = ask(url, "GET", "/api/v1/sandbox-oauth/integrate", &[("authorization", &bearer)], "");
    assert!(begun.contains(&format!("\"auth_url\":\"{url}/connect/go/")), "{begun}");
    let curl = text(&said, "curl");
    assert!(curl.starts_with(&format!("curl {url}/")) && curl.contains(text(&said, "token")), "{curl}");
    serving.terminate();
    let ended = serving.end();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(std::fs::read_dir(folder.path("")).unwrap().count(), 0, "nothing was written");

    let mut serving = folder.begin(&["serve", "--dev", "--listen", "127.0.0.1:0"]);
    let mut shown = String::new();
    while !shown.contains("For trying only") {
        let line = serving.out_line();
        assert!(!line.is_empty(), "{shown}");
        shown += &line;
    }
    for what in
        ["Serving at http://127.0.0.1:", "hosted page", "/connect/", "API key", "tk", "session token", "eyJ", "curl http://127.0.0.1:"]
    {
        assert!(shown.contains(what), "{what}: {shown}");
    }
}

#[test]
fn dev_is_for_this_machine_only() {
    let folder = Folder::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let said = folder.run(&["serve", "--dev", "--listen", address, "--json"]);
        assert_eq!(said.code, 3, "{}", said.all());
        assert_eq!(said.json()["error"]["code"], "invalid_request");
    }
}

/// S-30: a port that a program opens for itself prints a secret of its own, first and once, and takes no call without it.
#[test]
fn s30_a_local_port_wants_its_secret() {
    let folder = Folder::initialised();
    let key = folder.run(&["keys", "api", "create", "--json"]).ok().json()["key"].as_str().unwrap().to_owned();
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let mut serving = folder.begin(&["serve", "--local", "--listen", "127.0.0.1:0", "--json", "--log", "json", "--log-level", "info"]);
        let said = first(&mut serving);
        let (url, secret) = (text(&said, "url"), text(&said, "port_secret"));
        let host = url.strip_prefix("http://").unwrap();
        // This helper names another host, which is refused whatever else comes.
        let path = "/api/v2/public/linked-account";
        assert!(ask(url, "GET", path, &[("smalt-port-secret", secret), ("x-api-key", &key)], "").starts_with("HTTP/1.1 400 "));
        let here = |headers: &[(&str, &str)]| {
            let mut stream = TcpStream::connect(host).unwrap();
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n").as_bytes()).unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            said
        };
        let (good, key) = (("smalt-port-secret", secret), ("x-api-key", key.as_str()));
        assert!(here(&[good, key]).starts_with("HTTP/1.1 200 "));
        assert!(here(&[key]).starts_with("HTTP/1.1 403 "));
        assert!(here(&[good]).starts_with("HTTP/1.1 401 "));
        assert!(here(&[good, key, ("x-forwarded-for", "127.0.0.1")]).starts_with("HTTP/1.1 400 "));
        // The command itself, as one of the programs that were told it.
        let command = |secret: &str| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_smalt"));
            command.args(["account", "list", "--url", url, "--json"]).env("SMALT_API_KEY", key.1).env("NO_PROXY", "127.0.0.1");
            command.env("SMALT_PORT_SECRET", secret).output().unwrap()
        };
        assert!(command(secret).status.success(), "{:?}", command(secret));
        assert!(!command("another").status.success());
        secrets.push(secret.to_owned());
        serving.terminate();
        let ended = serving.end();
        assert!(ended.code == 0 && !ended.all().contains(secret), "it stands in no log");
    }
    assert_ne!(secrets[0], secrets[1], "new with each start");
    for wrong in [&["--listen", "0.0.0.0:0"][..], &["--listen", "127.0.0.1:0", "--dev"]] {
        let said = folder.run(&[&["serve", "--local", "--json"], wrong].concat());
        assert!([2, 3].contains(&said.code), "{}", said.all());
    }
}

/// Logs are lines of JSON with the request's id and route, and nothing of what was sent; metrics have an address of their own.
#[test]
fn logs_and_metrics() {
    let folder = Folder::new();
    let flags = ["serve", "--dev", "--listen", "127.0.0.1:0", "--json", "--log", "json", "--log-level", "info", "--metrics", "127.0.0.1:0"];
    let mut serving = folder.begin(&flags);
    let said = first(&mut serving);
    let (url, metrics) = (text(&said, "url"), text(&said, "metrics"));
    let headers = [("x-request-id", "my-1"), ("authorization", "Bearer canary-token"), ("cookie", "canary=cookie")];
    assert!(ask(url, "GET", "/connect/go/canary-ticket?x=canary", &headers, "").contains("x-request-id: my-1\r\n"));
    let line: Value = loop {
        let line = serving.line_with("{");
        assert!(!line.contains("canary"), "{line}");
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["request_id"] == "my-1" {
            break line;
        }
    };
    assert_eq!(
        (&line["method"], &line["route"], &line["level"]),
        (&"GET".into(), &"/connect/go/{ticket}".into(), &"INFO".into()),
        "{line}"
    );
    assert!(line["status"].is_u64() && line["ms"].is_u64() && line["client"] == "127.0.0.1", "{line}");
    let counted = ask(metrics, "GET", "/metrics", &[], "");
    assert!(counted.contains("smalt_http_requests_total{method=\"GET\",route=\"/connect/go/{ticket}\",status=\"4xx\"} 1\n"), "{counted}");
    assert!(!counted.contains("canary"), "{counted}");
    assert!(ask(metrics, "GET", "/", &[], "").starts_with("HTTP/1.1 404 "));
    assert!(ask(url, "GET", "/metrics", &[], "").starts_with("HTTP/1.1 404 "), "not where everybody can ask");
}

/// A collector gets a span per request, within the caller's trace; one that records nothing gets none.
#[test]
fn traces_go_to_a_collector() {
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", collector.local_addr().unwrap());
    let folder = Folder::new();
    let mut serving = folder.begin(&["serve", "--dev", "--listen", "127.0.0.1:0", "--json", "--traces", &at]);
    let said = first(&mut serving);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = |flags: &str| format!("00-{trace}-b7ad6b7169203331-{flags}");
    ask(text(&said, "url"), "GET", "/connect/go/canary?x=canary", &[("traceparent", &parent("00"))], "");
    ask(text(&said, "url"), "GET", "/connect/go/canary?x=canary", &[("traceparent", &parent("01"))], "");
    let (mut stream, _) = collector.accept().unwrap();
    let mut got = Vec::new();
    let body = loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        got.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&got);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        if body.len() >= length {
            assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n") && head.contains("content-type: application/json"), "{head}");
            break serde_json::from_str::<Value>(body).unwrap();
        }
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 1, "{body}");
    assert_eq!((&spans[0]["traceId"], &spans[0]["parentSpanId"]), (&trace.into(), &"b7ad6b7169203331".into()));
    assert_eq!((&spans[0]["name"], &spans[0]["kind"]), (&"GET /connect/go/{ticket}".into(), &2.into()));
    assert!(!body.to_string().contains("canary"), "{body}");
    let number = |name: &str| spans[0][name].as_str().unwrap().parse::<u128>().unwrap();
    assert!(number("endTimeUnixNano") >= number("startTimeUnixNano"));
}

/// Who owns the files of a process in /proc: another user than its own where it may not be dumped.
fn owner(id: u32) -> u32 {
    std::fs::metadata(format!("/proc/{id}/environ")).unwrap().uid()
}

/// Not dumpable, no core files; store and key readable by their owner only; a key that others can read is refused.
#[cfg(target_os = "linux")]
#[test]
fn s48_the_servers_memory_and_files_are_its_own() {
    use std::os::unix::process::CommandExt;
    let folder = Folder::initialised();
    folder.run(&["keys", "api", "create"]).ok();
    for file in ["smalt.key", "smalt.db"] {
        assert_eq!(std::fs::metadata(folder.path(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    let mut serving = folder.begin(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    first(&mut serving);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serving.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    drop(serving);

    // Root owns everything anyway, so another user must run it to see a difference; a sandbox is the same program without it.
    let open = tempfile::tempdir().unwrap();
    std::fs::set_permissions(open.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = open.path().join("smalt");
    std::fs::copy(env!("CARGO_BIN_EXE_smalt"), &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let own = std::fs::metadata(open.path()).unwrap().uid();
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(&program);
        command.args(args).current_dir("/").env_clear().stdout(std::process::Stdio::piped());
        if own == 0 {
            command.uid(65534).gid(65534);
        }
        let mut child = command.spawn().unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        // It has begun once it says where it is.
        while child.stdout.as_mut().unwrap().read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        assert!(!line.is_empty(), "{args:?}");
        let owner = owner(child.id());
        let _ = child.kill();
        let _ = child.wait();
        owner
    };
    let user = if own == 0 { 65534 } else { own };
    assert_eq!(run(&["sandbox", "--listen", "127.0.0.1:0", "--json"]), user, "that this can be seen here");
    assert_eq!(run(&["serve", "--dev", "--listen", "127.0.0.1:0", "--json"]), 0);

    std::fs::set_permissions(folder.path("smalt.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = folder.run(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    assert_eq!((said.code, &said.json()["error"]["code"]), (6, &"key_invalid".into()), "{}", said.all());
}

/// What a client of `s60_…` does.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
enum Sends {
    /// So many blanks, which are no JSON.
    All(usize),
    /// A byte more than is taken, of a body that is announced to be far larger, and then it waits for the answer.
    JustTooMuch,
    /// So many blanks, whatever is said meanwhile.
    Pours(usize),
}

/// 200 bodies that are too large come at once, half of them in chunks without a length: each is refused, and the server's memory is hardly more
/// than it was for small ones.
#[cfg(target_os = "linux")]
#[test]
fn s60_bodies_that_are_too_large_cost_no_memory() {
    const LARGE: usize = 8 * 1024 * 1024;
    let folder = Folder::initialised();
    // 200 at once, none of which comes so far that its key is looked at, would count as guesses; and a busy machine takes long to send them.
    let settings =
        "\n[server]\nhead_time = 300\nbody_time = 300\nrequest_time = 300\n[server.rates]\nguesses = 0\naddress = 0\nkey = 0\ntenant = 0\n";
    folder.write("smalt.toml", &format!("{}{settings}", folder.read("smalt.toml")));
    let key = folder.run(&["keys", "api", "create", "--json"]).ok().json()["key"].as_str().unwrap().to_owned();
    let mut serving = folder.begin(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    let url = text(&first(&mut serving), "url").to_owned();
    let resident = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", serving.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    };
    let round = |sends: Sends, chunked: bool| {
        let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        let (announced, sent) = match sends {
            Sends::All(size) | Sends::Pours(size) => (size, size),
            Sends::JustTooMuch => (LARGE, 64 * 1024 + 1),
        };
        let length = if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {announced}") };
        let head = format!(
            "PUT /api/v2/public/linked-account HTTP/1.1\r\nhost: smalt\r\nconnection: close\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let blanks = vec![b' '; 16 * 1024];
        let mut left = sent;
        while left > 0 {
            let piece = &blanks[..left.min(blanks.len())];
            left -= piece.len();
            let done = if chunked {
                let size = format!("{:x}\r\n", piece.len());
                stream.write_all(&[size.as_bytes(), piece, b"\r\n"].concat())
            } else {
                stream.write_all(piece)
            };
            // The server may answer and close before it has seen all of it.
            match done {
                Ok(()) => {}
                Err(_) if matches!(sends, Sends::Pours(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        if chunked && !matches!(sends, Sends::JustTooMuch) {
            let _ = stream.write_all(b"0\r\n\r\n");
        }
        let mut status = [0; 12];
        // A reset takes the answer away from who does not stop to hear it.
        stream.read_exact(&mut status).ok().map(|()| String::from_utf8_lossy(&status[9..]).into_owned())
    };
    let at_once = |sends: Sends| -> Vec<Option<String>> {
        std::thread::scope(|scope| {
            let round = &round;
            let all: Vec<_> = (0..200).map(|at| scope.spawn(move || round(sends, at % 2 == 0))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        })
    };
    // What 200 connections cost by themselves.
    let all = |code: &str| vec![Some(code.to_owned()); 200];
    assert_eq!(at_once(Sends::All(32 * 1024)), all("400"));
    let before = resident();
    assert_eq!(at_once(Sends::JustTooMuch), all("413"), "each is refused, and told why");
    let statuses = at_once(Sends::Pours(LARGE));
    assert!(statuses.iter().flatten().all(|status| status == "413"), "{statuses:?}");
    let after = resident();
    assert!(after < before + 20, "{before} MiB before, {after} MiB after");
}

/// Every command that is about accounts works at a server as it does on a store; those on the file itself say why not.
#[test]
fn commands_work_at_a_server() {
    let home = Folder::new();
    let mut serving = home.begin(&["serve", "--dev", "--listen", "127.0.0.1:0", "--json"]);
    let said = first(&mut serving);
    let mut folder = Folder::new();
    folder.variables =
        vec![("SMALT_URL".to_owned(), text(&said, "url").to_owned()), ("SMALT_API_KEY".to_owned(), text(&said, "key").to_owned())];
    let json = |args: &[&str]| folder.run(&[args, &["--json"]].concat()).ok().json();
    assert_eq!(json(&["account", "create", "remote-1", "--name", "Remote"])["id"], "remote-1");
    assert_eq!(json(&["account", "show", "remote-1"])["name"], "Remote");
    assert!(json(&["account", "list"])["items"].as_array().unwrap().len() == 2);
    assert!(json(&["session", "remote-1"])["token"].as_str().unwrap().starts_with("eyJ"));
    let connect = ["connect", "sandbox-key", "--account", "remote-1", "--input", "workspace=acme", "--input", "key=-", "--json"];
    let connected = folder.run_with(&connect, &format!("{}\n", smalt::sandbox::API_KEY)).ok().json();
    assert_eq!((&connected["application"], &connected["status"]), (&"sandbox-key".into(), &"active".into()), "{connected}");
    let id = connected["id"].as_str().unwrap().to_owned();
    assert_eq!(json(&["connections", "list", "--account", "remote-1"])[0]["id"], id.as_str());
    assert_eq!(json(&["connections", "show", &id, "--account", "remote-1"])["id"], id.as_str());
    assert_eq!(json(&["config", "sandbox-key", "--account", "remote-1"])["application"], "sandbox-key");
    assert_eq!(json(&["request", "sandbox-key", "GET", "echo", "--account", "remote-1"])["status"], 200);
    assert_eq!(json(&["credential", "sandbox-key", "--account", "remote-1"])["values"]["workspace"], "acme");
    assert!(json(&["events"]).to_string().contains("connection.created"));
    let receipt = json(&["disconnect", "sandbox-key", "--account", "remote-1"]);
    assert_eq!(json(&["receipt", receipt["id"].as_str().unwrap(), "--account", "remote-1"])["id"], receipt["id"]);
    let key = json(&["keys", "api", "create", "--name", "second"]);
    assert!(json(&["keys", "api", "list"]).as_array().unwrap().len() == 2);
    assert_eq!(json(&["keys", "api", "revoke", key["id"].as_str().unwrap()])["revoked"], true);
    assert_eq!(json(&["doctor"])["checks"][0]["status"], "ok");
    folder.run(&["account", "delete", "remote-1", "--yes"]).ok();
    for refused in [&["backup", "x"][..], &["restore", "x"], &["migrate"], &["keys", "rotate"], &["keys", "rewrap"]] {
        let said = folder.run(&[refused, &["--json"]].concat());
        assert_eq!((said.code, &said.json()["error"]["code"]), (9, &"unsupported".into()), "{refused:?} {}", said.all());
    }
    let wrong = folder.run(&["account", "list", "--environment", "production", "--json"]);
    assert_eq!(wrong.json()["error"]["code"], "invalid_request", "the key is one of the test environment");
    assert_eq!(std::fs::read_dir(folder.path("")).unwrap().count(), 0, "nothing was written here");
    folder.variables[1].1 = "tk00000000-0000-4000-8000-000000000000".to_owned();
    assert_eq!(folder.run(&["doctor", "--json"]).code, 1);
}
