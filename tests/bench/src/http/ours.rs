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

/// How it serves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Without limits, since others have none.
    Usual,
    /// The same, and no credential stays in memory, so that each is read and opened.
    Cold,
    /// With the limits that a server has by default.
    Limited,
}

/// The engine sends callbacks to the public URL, so it must be where the server is.
pub fn project(folder: &Path, public_url: &str, sort: Sort) -> Project {
    let mut project: Project = serde_json::from_value(json!({
        "version": 1,
        "org": {"public_url": public_url},
        "sandbox": {"enabled": true},
        "apps": {APP: {"client": {"test": {"id": "1.2", "secret": {"file": folder.join("secret")}}}}, "sandbox-oauth": {}}
    }))
    .unwrap();
    if sort == Sort::Limited {
        // One organisation stands for all that are served.
        project.server.rates.tenant = 0;
        return project;
    }
    // Work is measured, not how soon it is refused.
    project.server.rates = RateSettings::off();
    (project.server.requests, project.server.connections, project.server.connections_per_address) = (0, 100_000, 0);
    project
}

pub async fn serve(folder: &str, sort: Sort) {
    let folder = Path::new(folder);
    let keys = LocalKey::from_file(folder.join("key")).unwrap();
    let limits = Limits::from(&project(folder, NOWHERE, sort).server);
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).await.unwrap();
    let public_url = format!("http://{}", server.address().unwrap());
    let project = project(folder, &public_url, sort);
    let mut timings = Timings::default();
    if sort == Sort::Cold {
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
