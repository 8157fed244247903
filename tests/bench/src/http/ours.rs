//! The child that is measured: `Api` over both environments, behind its own accept loop, as `smalt serve` runs it.

use std::path::Path;

use serde_json::json;
use smalt::{
    Smalt,
    model::Environment,
    project::{Project, RateSettings},
    vault::LocalKey,
};
use smalt_server::{Api, ApiOptions, Limits, Server};

/// The application of all reads.
pub const APP: &str = "slack";

pub fn project(folder: &Path) -> Project {
    let mut project: Project = serde_json::from_value(json!({
        "version": 1,
        "org": {"public_url": "http://127.0.0.1:1"},
        "sandbox": {"enabled": true},
        "apps": {APP: {"client": {"test": {"id": "1.2", "secret": {"file": folder.join("secret")}}}}, "sandbox-oauth": {}}
    }))
    .unwrap();
    // Work is measured, not how soon it is refused.
    project.server.rates = RateSettings::off();
    (project.server.requests, project.server.connections, project.server.connections_per_address) = (0, 100_000, 0);
    project
}

pub async fn serve(folder: &str) {
    let folder = Path::new(folder);
    let keys = LocalKey::from_file(folder.join("key")).unwrap();
    let project = project(folder);
    let limits = Limits::from(&project.server);
    let host = Smalt::embedded(folder.join("smalt.db")).keys(keys).project_value(project).host().unwrap();
    let mut engines = Vec::new();
    for environment in [Environment::Test, Environment::Production] {
        engines.push((environment, host.environment(environment).await.unwrap()));
    }
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).await.unwrap();
    let address = server.address().unwrap();
    let public_url = Some(format!("http://{address}"));
    println!("{address}");
    server.serve(Api::new(engines, ApiOptions { public_url, ..ApiOptions::default() }), std::future::pending()).await;
}
