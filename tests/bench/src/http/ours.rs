//! The child that is measured: `Api` over both environments, behind its own accept loop, as `smalt serve` runs it.

use std::path::Path;

use serde_json::json;
use smalt::{Smalt, model::Environment, project::Project, vault::LocalKey};
use smalt_server::{Api, ApiOptions, Limits, Server};

/// The application of all reads.
pub const APP: &str = "slack";

pub fn project(folder: &Path) -> Project {
    serde_json::from_value(json!({
        "version": 1,
        "org": {"public_url": "http://127.0.0.1:1"},
        "sandbox": {"enabled": true},
        "apps": {APP: {"client": {"test": {"id": "1.2", "secret": {"file": folder.join("secret")}}}}, "sandbox-oauth": {}}
    }))
    .unwrap()
}

pub async fn serve(folder: &str) {
    let folder = Path::new(folder);
    let keys = LocalKey::from_file(folder.join("key")).unwrap();
    let host = Smalt::embedded(folder.join("smalt.db")).keys(keys).project_value(project(folder)).host().unwrap();
    let mut engines = Vec::new();
    for environment in [Environment::Test, Environment::Production] {
        engines.push((environment, host.environment(environment).await.unwrap()));
    }
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), Limits::default()).await.unwrap();
    let address = server.address().unwrap();
    let public_url = Some(format!("http://{address}"));
    println!("{address}");
    server.serve(Api::new(engines, ApiOptions { public_url, ..ApiOptions::default() }), std::future::pending()).await;
}
