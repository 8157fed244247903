//! `smalt serve`: the HTTP API, for both environments of the project's organisation.

use serde_json::json;
use smalt::{Code, Error, Result, engine::Timings, model::Environment};
use smalt_server::{Api, ApiOptions, Limits, Server};

use crate::{
    args,
    context::Context,
    output::{Answer, BOLD, DIM, note, paint, print, print_json},
};

pub async fn run(context: &Context, args: args::Serve) -> Result<Answer> {
    let taken = |error: std::io::Error| {
        Error::new(Code::Unsupported, format!("cannot listen on {}: {error}", args.listen)).with("listen", args.listen)
    };
    let server = Server::bind(args.listen, Limits::default()).await.map_err(taken)?;
    let url = format!("http://{}", server.address().map_err(taken)?);
    let own = context.project()?.and_then(|project| project.org.public_url);
    let public = args.public_url.or(own).unwrap_or_else(|| url.clone());

    // Unlike other commands, it stays: tokens are renewed ahead of their end.
    let host = context.builder(true)?.timings(Timings::default()).deliver_webhooks().public_url(public.as_str()).host()?;
    let mut engines = Vec::new();
    for environment in [Environment::Test, Environment::Production] {
        engines.push((environment, host.environment(environment).await?.acting_as("server")));
    }
    let mut keyless = true;
    for (_, smalt) in &engines {
        keyless = keyless && smalt.api_keys().await?.iter().all(|key| key.revoked_at.is_some());
    }
    if context.global.json {
        print_json(&json!({ "url": url, "public_url": public }));
    } else {
        print(&format!("Serving at {}. {}", paint(BOLD, &url), paint(DIM, "Ctrl-C ends it.")));
    }
    if keyless {
        note("There is no API key yet. Make one for your backend: smalt keys api create --environment test");
    }
    let api = Api::new(engines, ApiOptions { public_url: Some(public), ..ApiOptions::default() });
    server.serve(api, stopped()).await;
    // What providers were asked for is still stored.
    host.close().await;
    Ok(Answer::new(json!({}), ""))
}

/// Ctrl-C, or the signal that service managers send.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
