//! `smalt serve --dev`: everything that is needed to try it, and nothing that stays.

use serde_json::json;
use smalt::{
    Result, Smalt, SmaltBuilder,
    backend::GetPortalUrl,
    model::{AccountUpdate, Json},
    project::{self, Project},
    vault::LocalKey,
};

use crate::output::{BOLD, DIM, Table, paint};

/// Where pages of people who develop usually are.
const PORTS: [u16; 9] = [3000, 3001, 4200, 5000, 5173, 5174, 8000, 8080, 8081];
/// The linked account that is there from the start.
const ACCOUNT: &str = "customer-1";

/// What `smalt init` writes, for pages on this machine.
pub fn project() -> Result<Project> {
    let mut project = Project::parse(project::template(), "smalt.toml")?;
    project.org.id = "dev".to_owned();
    project.org.public_url = None;
    project.org.origins = PORTS.iter().flat_map(|port| ["localhost", "127.0.0.1"].map(|host| format!("http://{host}:{port}"))).collect();
    project.org.return_to.clone_from(&project.org.origins);
    project.portal.embed.clone_from(&project.org.origins);
    Ok(project)
}

/// An engine in memory under a key that nobody has.
pub fn builder(project: Project) -> Result<SmaltBuilder> {
    Ok(Smalt::in_memory().keys(LocalKey::generate()?).project_value(project))
}

/// Makes what one needs for a first call, and says it.
pub async fn welcome(smalt: &Smalt, url: &str, first: &mut Json) -> Result<String> {
    let key = smalt.create_api_key("dev").await?.key;
    let name = AccountUpdate { name: Some("Customer One".to_owned()), ..AccountUpdate::default() };
    smalt.upsert_account(ACCOUNT, name).await?;
    let session = smalt.account(ACCOUNT).session().await?;
    let token = session.token();
    let curl = format!("curl {url}/api/v2/f-sdk/application -H 'authorization: Bearer {}'", token.expose());
    let mut facts = Table::facts();
    let portal = smalt.account(ACCOUNT).portal_url(GetPortalUrl::default()).await?.url;
    facts.fact("hosted page", portal.expose());
    facts.fact("API key", key.expose());
    facts.fact("linked account", ACCOUNT);
    facts.fact("session token", token.expose());
    facts.fact("a first call", &curl);
    facts.fact("pages", format!("on localhost and 127.0.0.1, ports {}", PORTS.map(|port| port.to_string()).join(", ")));
    let told = json!({"portal_url": portal.expose(), "key": key.expose(), "account": ACCOUNT, "token": token.expose(), "curl": curl});
    if let (Some(first), Json::Object(told)) = (first.as_object_mut(), told) {
        first.extend(told);
    }
    let warning = paint(DIM, "For trying only: key and store live in this process and are gone with it.");
    Ok(format!("{}\n{}{warning}\n", paint(BOLD, "Ready to try"), facts.text()))
}
