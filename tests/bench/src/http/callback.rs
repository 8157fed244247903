//! From the provider's callback to the answer that a waiting client gets: the code's exchange at the provider is part of it.

use std::{net::SocketAddr, process::Stdio, time::Instant};

use serde_json::json;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{
    Asked,
    load::{Wire, request},
    parsed,
};
use crate::{
    report::{Row, median, percentile},
    small,
};

const APP: &str = "sandbox-oauth";
const FLOWS: usize = 200;
/// It looks every three seconds: each of these takes one and a half on average.
const FLOWS_OF_SDK: usize = 20;

/// The user's browser: our page, the provider's page, and where that sends it back to, with the cookie that it has then.
async fn consent(browser: &reqwest::Client, page: &str) -> (String, String) {
    let go = browser.post(page).send().await.unwrap();
    let location = |answer: &reqwest::Response| answer.headers()["location"].to_str().unwrap().to_owned();
    let cookie = go.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    // The sandbox is told who it is, and asks no more.
    let consented = browser.get(format!("{}&sandbox_user=ada", location(&go))).send().await.unwrap();
    (location(&consented), cookie)
}

/// The published web SDK in a process of its own.
struct Sdk {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Sdk {
    /// `None` where it, or Node, is not installed (`tests/counterparts/install.sh`).
    async fn start(address: SocketAddr) -> Option<Self> {
        let url = format!("http://{address}");
        let command = Command::new("node").args(["tests/bench/cobalt.mjs", &url, APP]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = command.ok()?;
        let (input, output) = (child.stdin.take()?, BufReader::new(child.stdout.take()?).lines());
        Some(Self { child, input, output })
    }

    async fn line(&mut self) -> String {
        self.output.next_line().await.unwrap().expect("the SDK goes on: is it installed?")
    }

    /// Milliseconds per flow.
    async fn measure(mut self, browser: &reqwest::Client, asked: &Asked) -> Vec<f64> {
        let mut times = Vec::new();
        for n in 0..small(FLOWS_OF_SDK, 1) {
            // Accounts of its own: it takes whoever is connected already for connected.
            let (_, token, _) = &asked.sessions[asked.sessions.len() - 1 - n];
            self.input.write_all(format!("{token}\n").as_bytes()).await.unwrap();
            let page = self.line().await;
            let (back, cookie) = consent(browser, &page).await;
            let from = Instant::now();
            let called = tokio::spawn(browser.get(&back).header("cookie", cookie).send());
            assert_eq!(self.line().await, "done");
            times.push(from.elapsed().as_secs_f64() * 1e3);
            assert_eq!(called.await.unwrap().unwrap().status().as_u16(), 303);
        }
        drop(self.input);
        let _ = self.child.wait().await;
        times
    }
}

/// Milliseconds per flow, one flow after the other, each of a waiting client with a session token.
pub async fn measure(address: SocketAddr, asked: &Asked) -> Vec<Row> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let mut times = Vec::new();
    let sdk = Sdk::start(address).await.expect("node, and `make counterparts` before");
    let theirs = sdk.measure(&browser, asked).await;
    for n in 0..small(FLOWS, 4) {
        let (account, token, _) = &asked.sessions[n % (asked.sessions.len() - FLOWS_OF_SDK)];
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let mut client = Wire::open(address).await;
        let begin = json!({"account": account, "application": APP}).to_string();
        let begun = parsed(client.ask(&request("POST", "/smalt/v1/hand_off_connect", &headers, &begin)).await);
        let (flow, ticket) = (begun["flow_id"].as_str().unwrap(), begun["ticket"].as_str().unwrap());

        let (back, cookie) = consent(&browser, &format!("http://{address}/connect/go/{ticket}")).await;
        let wait = json!({"account": account, "flow": flow, "timeout": 30}).to_string();
        let wait = request("POST", "/smalt/v1/wait_flow", &headers, &wait);
        let waiting = tokio::spawn(async move {
            let ended = parsed(client.ask(&wait).await);
            (Instant::now(), ended)
        });
        // Until it waits, or nearly: one that comes late would be answered sooner, not later.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let from = Instant::now();
        let called = tokio::spawn(browser.get(&back).header("cookie", cookie).send());
        let (resolved, ended) = waiting.await.unwrap();
        assert_eq!(ended["status"], "connected", "{ended}");
        assert_eq!(called.await.unwrap().unwrap().status().as_u16(), 303);
        times.push(resolved.duration_since(from).as_secs_f64() * 1e3);
    }
    let middle = median(times.clone());
    let (ours, sdk) = ("callback until the waiting client knows, p99", "the same, median, beside the SDK that asks every 3 s");
    vec![
        Row::budget("callback-to-client", ours, percentile(times, 0.99), 50.0, "ms"),
        Row::at_most("callback-beside-cobalt-js", sdk, middle, "cobalt-js 8.0.0", median(theirs), "ms", 1.0),
    ]
}
