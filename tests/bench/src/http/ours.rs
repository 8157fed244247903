//! The child that is measured: `Api` over both environments, behind its own accept loop, as `smalt serve` runs it.

use std::path::Path;

use serde_json::json;
use smalt::{
    Smalt,
    engine::Timings,
    model::Environment,
    project::{Project, RateSettings},
    vault::LocalKey,
};
use smalt_server::{Api, ApiOptions, Limits, Server};

/// The application of all reads.
pub const APP: &str = "slack";
/// A public URL for who makes no callback.
pub const NOWHERE: &str = "http://127.0.0.1:1";

/// The engine sends callbacks to the public URL, so it must be where the server is.
pub fn project(folder: &Path, public_url: &str) -> Project {
    let mut project: Project = serde_json::from_value(json!({
        "version": 1,
        "org": {"public_url": public_url},
        "sandbox": {"enabled": true},
        "apps": {APP: {"client": {"test": {"id": "1.2", "secret": {"file": folder.join("secret")}}}}, "sandbox-oauth": {}}
    }))
    .unwrap();
    // Work is measured, not how soon it is refused.
    project.server.rates = RateSettings::off();
    (project.server.requests, project.server.connections, project.server.connections_per_address) = (0, 100_000, 0);
    project
}

/// `is_cold`: no credential stays in memory, so that each is read and opened.
pub async fn serve(folder: &str, is_cold: bool) {
    let folder = Path::new(folder);
    let keys = LocalKey::from_file(folder.join("key")).unwrap();
    let limits = Limits::from(&project(folder, NOWHERE).server);
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).await.unwrap();
    let public_url = format!("http://{}", server.address().unwrap());
    let project = project(folder, &public_url);
    let mut timings = Timings::default();
    if is_cold {
        timings.cached_credentials = 0;
    }
    let host = Smalt::embedded(folder.join("smalt.db")).keys(keys).project_value(project).timings(timings).host().unwrap();
    let mut engines = Vec::new();
    for environment in [Environment::Test, Environment::Production] {
        engines.push((environment, host.environment(environment).await.unwrap()));
    }
    println!("{}", server.address().unwrap());
    let options = ApiOptions { public_url: Some(public_url), ..ApiOptions::default() };
    server.serve(Api::new(engines, options), std::future::pending()).await;
}
