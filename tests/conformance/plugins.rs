//! Host code whose behaviour a case chooses while the engine is open.

use std::sync::{Arc, Mutex, RwLock};

use async_trait::async_trait;
use smalt::{
    Code, Error, Smalt,
    backend::{FindConfig, GetCredential},
    model::{FieldOption, Identity, Json},
    plugin::{Connector, ConnectorContext, Fault, OptionsRequest, PresentRequest, Presenter, WorkflowRun, WorkflowRunner},
    present::ScriptedConsent,
};
use tokio::sync::Notify;

/// The engine that plugins call back into. Emptied at the end: engine and plugins hold each other.
pub type Host = Arc<RwLock<Option<Smalt>>>;

/// What a plugin does when it is called; `None` until a case says.
pub type Behaviour = Arc<Mutex<Option<String>>>;

fn chosen(behaviour: &Behaviour) -> Option<String> {
    behaviour.lock().unwrap().clone()
}

/// Whatever plugins of all sorts do in the same way. `Ok` means that this behaviour is not one of those.
async fn common(behaviour: &str) -> Result<(), Fault> {
    match behaviour {
        "throws" => Err(Fault::failed("broken on purpose")),
        "rejects" => Err(Fault::Rejected("refused on purpose".to_owned())),
        "hangs" => std::future::pending().await,
        "panics" => panic!("panics on purpose"),
        _ => Ok(()),
    }
}

/// A connector by behaviour.
pub struct Scripted {
    pub slug: String,
    pub behaviour: Behaviour,
    pub host: Host,
}

impl Scripted {
    fn host(&self) -> Result<Smalt, Fault> {
        self.host.read().unwrap().clone().ok_or_else(|| Fault::failed("the engine is not open"))
    }
}

#[async_trait]
impl Connector for Scripted {
    fn slug(&self) -> &str {
        &self.slug
    }

    fn verifies(&self) -> bool {
        chosen(&self.behaviour).is_some()
    }

    async fn verify(&self, ctx: ConnectorContext) -> Result<Option<Identity>, Fault> {
        let Some(behaviour) = chosen(&self.behaviour) else { return Ok(None) };
        common(&behaviour).await?;
        if behaviour == "reenters" {
            let wanted = GetCredential { application: ctx.application, ..GetCredential::default() };
            self.host()?.account(ctx.account_id).credential_of(wanted).await?;
        }
        let id = if behaviour == "nonsense" { "" } else { "plugin-1" };
        Ok(Some(Identity { id: id.to_owned(), label: "Plugin".to_owned() }))
    }

    async fn options(&self, ctx: ConnectorContext, _: OptionsRequest) -> Result<Option<Vec<FieldOption>>, Fault> {
        let Some(behaviour) = chosen(&self.behaviour) else { return Ok(None) };
        common(&behaviour).await?;
        if behaviour == "reenters" {
            let wanted = FindConfig { application: ctx.application, ..FindConfig::default() };
            self.host()?.account(ctx.account_id).find_config(wanted).await?;
        }
        // More than a user interface could show.
        let count = if behaviour == "nonsense" { 10_001 } else { 2 };
        let option = |value: String| FieldOption { name: None, value: Json::String(value) };
        Ok(Some(["one", "two"].iter().map(ToString::to_string).chain((2..count).map(|i| i.to_string())).map(option).collect()))
    }
}

/// A workflow runner by behaviour; `echo` answers what it was given.
pub struct ScriptedRunner(pub Behaviour);

#[async_trait]
impl WorkflowRunner for ScriptedRunner {
    async fn run(&self, run: WorkflowRun) -> Result<Json, Fault> {
        common(&chosen(&self.0).unwrap_or_default()).await?;
        Ok(serde_json::json!({
            "account_id": run.account_id,
            "application": run.application,
            "config_id": run.config_id,
            "workflow": run.workflow,
            "fields": run.fields,
            "workflow_fields": run.workflow_fields,
            "payload": run.payload,
        }))
    }
}

/// A presenter by behaviour, and who is told when it waits.
pub struct ScriptedPresenter(pub String, pub Arc<Notify>);

impl ScriptedPresenter {
    pub const KNOWN: [&str; 5] = ["consents", "closes", "blocked", "throws", "waits"];
}

#[async_trait]
impl Presenter for ScriptedPresenter {
    fn name(&self) -> &str {
        "scripted"
    }

    async fn present(&self, request: PresentRequest) -> Result<Option<String>, Fault> {
        match &*self.0 {
            "closes" => Err(Error::code_only(Code::UserCancelled).into()),
            "blocked" => Err(Error::code_only(Code::WindowBlocked).into()),
            "waits" => {
                self.1.notify_one();
                std::future::pending().await
            }
            other => {
                common(other).await?;
                ScriptedConsent::allow("ada").present(request).await
            }
        }
    }

    /// It catches the callback itself, so that the page is the provider's on both backends.
    fn redirect_uri(&self) -> Option<String> {
        ScriptedConsent::allow("ada").redirect_uri()
    }
}
