//! From the provider's callback to the answer that a waiting client gets: the code's exchange at the provider is part of it.

use std::{net::SocketAddr, time::Instant};

use serde_json::json;

use super::{
    Asked,
    load::{Wire, request},
    parsed,
};
use crate::report::{Row, percentile};

const APP: &str = "sandbox-oauth";
const FLOWS: usize = 200;

/// Milliseconds per flow, one flow after the other, each of a waiting client with a session token.
pub async fn measure(address: SocketAddr, asked: &Asked) -> Row {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let mut times = Vec::new();
    for n in 0..FLOWS {
        let (account, token, _) = &asked.sessions[n % asked.sessions.len()];
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let mut client = Wire::open(address).await;
        let begin = json!({"account": account, "application": APP}).to_string();
        let begun = parsed(client.ask(&request("POST", "/smalt/v1/hand_off_connect", &headers, &begin)).await);
        let (flow, ticket) = (begun["flow_id"].as_str().unwrap(), begun["ticket"].as_str().unwrap());

        // The user's browser: our page, the provider's page, and back.
        let go = browser.post(format!("http://{address}/connect/go/{ticket}")).send().await.unwrap();
        let location = |answer: &reqwest::Response| answer.headers()["location"].to_str().unwrap().to_owned();
        let cookie = go.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        // The sandbox is told who it is, and asks no more.
        let consent = browser.get(format!("{}&sandbox_user=ada", location(&go))).send().await.unwrap();
        let back = location(&consent);

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
        assert_eq!(called.await.unwrap().unwrap().status().as_u16(), 200);
        times.push(resolved.duration_since(from).as_secs_f64() * 1e3);
    }
    Row::budget("callback-to-client", "callback until the waiting client knows, p99", percentile(times, 0.99), 50.0, "ms")
}
