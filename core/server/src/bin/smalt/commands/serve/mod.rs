//! `smalt serve`: the HTTP API, for both environments of the project's organisation.

mod dev;
mod log;
mod metrics;
mod process;
mod traces;

use std::sync::Arc;

use serde_json::json;
use smalt::{Code, Error, Result, Smalt, engine::Timings, model::Environment};
use smalt_server::{Api, ApiOptions, Limits, Observer, PORT_SECRET, Server, port_secret};

use crate::{
    args,
    context::Context,
    output::{Answer, BOLD, DIM, note, paint, print, print_json},
};

pub async fn run(context: &Context, args: args::Serve) -> Result<Answer> {
    log::begin(args.log, args.log_level);
    process::harden();
    if args.dev && !args.listen.ip().is_loopback() {
        let reason = format!("`--dev` is open to whoever reaches it, so it listens on this machine only; {} is not", args.listen);
        return Err(Error::new(Code::InvalidRequest, reason).with("listen", args.listen));
    }
    if args.local && !args.listen.ip().is_loopback() {
        let reason = format!("`--local` is for programs on this machine, so it listens here only; {} is elsewhere", args.listen);
        return Err(Error::new(Code::InvalidRequest, reason).with("listen", args.listen));
    }
    let project = if args.dev { Some(dev::project()?) } else { context.project()? };
    let mut limits = project.as_ref().map_or_else(Limits::default, |project| Limits::from(&project.server));
    if let Some(handles) = process::raise_handles(limits.connections) {
        note(&format!("The operating system allows {handles} connections and no more: raise the limit of open files (ulimit -n)."));
        limits.connections = handles;
    }
    let taken = |address: std::net::SocketAddr| {
        move |error: std::io::Error| Error::new(Code::Unsupported, format!("cannot listen on {address}: {error}")).with("listen", address)
    };
    let server = Server::bind(args.listen, limits).await.map_err(taken(args.listen))?;
    let metrics = match args.metrics {
        Some(address) => Some(tokio::net::TcpListener::bind(address).await.map_err(taken(address))?),
        None => None,
    };
    let url = format!("http://{}", server.address().map_err(taken(args.listen))?);
    let own = project.as_ref().and_then(|project| project.org.public_url.clone());
    let public = args.public_url.or(own).unwrap_or_else(|| url.clone());

    let builder = match project.filter(|_| args.dev) {
        Some(project) => dev::builder(project)?,
        // Unlike other commands, it stays: tokens are renewed ahead of their end.
        None => context.builder(true)?.timings(Timings::default()),
    };
    let host = builder.deliver_webhooks().public_url(public.as_str()).host()?;
    let mut engines = Vec::new();
    for environment in [Environment::Test, Environment::Production] {
        engines.push((environment, host.environment(environment).await?.acting_as("server")));
    }
    let test = engines[0].1.clone();
    let is_keyless = !args.dev && is_keyless(&engines).await?;
    let (traces, sending) = args.traces.as_deref().map(traces::begin).transpose()?.unzip();
    let secret = if args.local { Some(port_secret()?) } else { None };
    let observer = Some(Arc::new(log::Requests { traces }) as Arc<dyn Observer>);
    let api = Api::new(engines, ApiOptions { public_url: Some(public.clone()), observer, port_secret: secret.clone() });
    let mut first = json!({ "url": url, "public_url": public });
    if let Some(secret) = &secret {
        first["port_secret"] = secret.expose().into();
    }
    let mut reader = None;
    if let (Some(listener), Some(address)) = (metrics, args.metrics) {
        let address = listener.local_addr().map_err(taken(address))?;
        first["metrics"] = format!("http://{address}").into();
        reader = Some(tokio::spawn(metrics::serve(listener, api.clone())));
    }
    let mut text = format!("Serving at {}. {}\n", paint(BOLD, &url), paint(DIM, "Ctrl-C ends it."));
    if let Some(secret) = &secret {
        text += &format!("Every call needs the header {PORT_SECRET}: {}\n", secret.expose());
    }
    if args.dev {
        text += &dev::welcome(&test, &url, &mut first).await?;
    }
    if context.global.json {
        print_json(&first);
    } else {
        print(&text);
    }
    if is_keyless {
        note("There is no API key yet. Make one for your backend: smalt keys api create --environment test");
    }
    server.serve(api, stopped()).await;
    // What providers were asked for is still stored.
    host.close().await;
    if let Some(reader) = reader {
        reader.abort();
    }
    if let Some(sending) = sending {
        sending.end().await;
    }
    Ok(Answer::new(json!({}), ""))
}

async fn is_keyless(engines: &[(Environment, Smalt)]) -> Result<bool> {
    for (_, smalt) in engines {
        if smalt.api_keys().await?.iter().any(|key| key.revoked_at.is_none()) {
            return Ok(false);
        }
    }
    Ok(true)
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
