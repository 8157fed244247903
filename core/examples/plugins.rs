//! Four plugins and a life with them, offline: `cargo run -p smalt --example plugins`. `docs/adding-a-plugin.md` explains it.
#![allow(clippy::print_stdout, missing_docs)] // a program, public only for the test that runs it

use async_trait::async_trait;
use serde_json::json;
use smalt::{
    Code, Result, Smalt,
    backend::RunWorkflow,
    manifest::AppManifest,
    model::{ConfigUpdate, FieldOption, Identity, Json, WorkflowUpdate},
    plugin::{Connector, ConnectorContext, Fault, KeyProvider, OptionsRequest, PresentRequest, Presenter, WorkflowRun, WorkflowRunner},
    sandbox::{API_KEY, Sandbox, SandboxOptions},
    vault::LocalKey,
};
use zeroize::Zeroizing;

/// An application's behaviour as code: what its manifest cannot say.
struct Acme {
    manifest: AppManifest,
}

#[async_trait]
impl Connector for Acme {
    fn slug(&self) -> &str {
        "acme"
    }

    fn manifest(&self) -> Option<AppManifest> {
        Some(self.manifest.clone())
    }

    fn verifies(&self) -> bool {
        true
    }

    async fn verify(&self, ctx: ConnectorContext) -> Result<Option<Identity>, Fault> {
        // The request bears the credential already; the address is the application's own.
        let answer = ctx.send(ctx.request("GET", "key-check?workspace=acme")?).await?;
        match answer.status {
            200 => {}
            401 | 403 => return Err(Fault::Rejected("Acme does not know this key".to_owned())),
            other => return Err(Fault::failed(format!("Acme answered {other}"))),
        }
        let body = answer.json().unwrap_or_default();
        let text = |key: &str| body["workspace"][key].as_str().unwrap_or_default().to_owned();
        Ok(Some(Identity { id: text("id"), label: text("name") }))
    }

    async fn options(&self, ctx: ConnectorContext, request: OptionsRequest) -> Result<Option<Vec<FieldOption>>, Fault> {
        if request.source != "channels" {
            return Ok(None);
        }
        let answer = ctx.send(ctx.request("GET", "channels")?).await?;
        let body = answer.json().unwrap_or_default();
        let items = body["items"].as_array().ok_or_else(|| Fault::failed("Acme answered no list"))?;
        let option = |item: &Json| FieldOption { name: item["name"].as_str().map(ToOwned::to_owned), value: item["id"].clone() };
        Ok(Some(items.iter().map(option).collect()))
    }
}

/// Shows the authorize page. This one plays the user of the sandbox; yours opens a window.
struct Scripted;

#[async_trait]
impl Presenter for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    async fn present(&self, request: PresentRequest) -> Result<Option<String>, Fault> {
        let page = format!("{}&sandbox_user=grace&sandbox_decision=allow", request.authorize_url);
        // It catches the callback itself. `Ok(None)` leaves that to Smalt's listener on the loopback address.
        Ok(Some(smalt::sandbox::visit(&page).await?))
    }

    fn redirect_uri(&self) -> Option<String> {
        Some("http://127.0.0.1/callback".to_owned())
    }
}

/// Master keys that are kept elsewhere. This one stands in for a key management service.
struct Kms {
    key: LocalKey,
}

#[async_trait]
impl KeyProvider for Kms {
    async fn key_id(&self) -> Result<String> {
        Ok(format!("kms/{}", self.key.id()))
    }

    async fn wrap(&self, data_key: Zeroizing<Vec<u8>>, aad: Vec<u8>) -> Result<Vec<u8>> {
        self.key.wrap(data_key, aad).await
    }

    async fn unwrap(&self, key_id: String, wrapped: Vec<u8>, aad: Vec<u8>) -> Result<Zeroizing<Vec<u8>>> {
        let id = key_id.strip_prefix("kms/").ok_or_else(|| smalt::Error::code_only(Code::KeyWrong))?;
        self.key.unwrap(id.to_owned(), wrapped, aad).await
    }
}

/// Runs the organisation's workflows. This one only says what it would do.
struct Runner;

#[async_trait]
impl WorkflowRunner for Runner {
    async fn run(&self, run: WorkflowRun) -> Result<Json, Fault> {
        Ok(json!({"would": run.workflow, "for": run.account_id, "at": run.workflow_fields["hour"], "with": run.payload}))
    }
}

#[tokio::main]
pub async fn main() -> Result<()> {
    let provider = Sandbox::start(SandboxOptions::default()).await?;
    let manifest: AppManifest = serde_json::from_value(json!({
        "manifest": 1, "slug": "acme", "name": "Acme", "description": "Supplies for desert dwellers.",
        "api": {"base_url": format!("{}/api/", provider.origin())},
        "keybased": {
            "placement": {"in": "header", "name": "X-Api-Key", "value": "{key}"},
            "inputs": [{"name": "key", "label": "API key", "secret": true}]
        }
    }))
    .expect("it is a manifest");
    let project = serde_json::from_value(json!({
        "version": 1,
        "network": {"allow": [provider.address().to_string()]},
        "sandbox": {"enabled": true, "url": provider.origin()},
        "apps": {
            "sandbox-oauth": {},
            "acme": {
                "fields": [{"id": "channel", "name": "Channel", "type": "select", "options_from": "channels"}],
                "workflows": [{"id": "digest", "name": "Digest", "fields": [{"id": "hour", "name": "Hour", "type": "number", "default": 9}]}]
            }
        }
    }))
    .expect("it is a project");

    let smalt = Smalt::in_memory()
        .keys(Kms { key: LocalKey::generate()? })
        .project_value(project)
        .connector(Acme { manifest })
        .presenter(Scripted)
        .workflow_runner(Runner)
        .open()
        .await?;
    let account = smalt.account("customer-42");
    account.ensure().await?;

    let refused = account.connect("acme").input("key", "wrong").await;
    assert!(refused.is_err_and(|error| error.is(Code::CredentialsRejected)));
    let connection = account.connect("acme").input("key", API_KEY).await?;
    println!("the connector verified: {}", connection.identity.map_or_else(String::new, |who| who.label));

    let on = ConfigUpdate { workflows: [("digest".to_owned(), WorkflowUpdate::Switch(true))].into(), ..ConfigUpdate::default() };
    account.config("acme").await?;
    let config = account.update_config("acme", on).await?;
    println!("the connector's choices: {}", config.fields[0].options.as_ref().map_or(0, Vec::len));

    let run = RunWorkflow { application: "acme".into(), workflow: "digest".into(), payload: json!(1), ..RunWorkflow::default() };
    println!("the runner: {}", account.run_workflow(run).await?);

    let connection = account.connect("sandbox-oauth").await?;
    println!("the presenter let consent: {}", connection.identity.map_or_else(String::new, |who| who.label));
    smalt.close().await;
    Ok(())
}
