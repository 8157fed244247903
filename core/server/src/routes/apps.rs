//! Applications, as both route families answer them.

use smalt::{
    backend::{GetAccount, GetApp},
    model::{self, AuthType},
    wire::{Application, auth_structure as structure},
};

use crate::{
    answer::{Answer, Trouble, json},
    call::Call,
};

fn described(app: &model::Application) -> Application {
    Application::new(app, app.brand.icon.clone())
}

pub(super) async fn list(call: Call) -> Result<Answer, Trouble> {
    let apps = call.backend()?.list_apps(&call.who()?.caller, GetAccount { account: call.account()? }).await?;
    let tags: Vec<&str> = call.query("tags").map(|tags| tags.split(',').map(str::trim).collect()).unwrap_or_default();
    let auth_type = call.query("auth_type").map(AuthType::parse);
    let wanted = |app: &&model::Application| {
        call.query("slug").is_none_or(|slug| slug == app.slug)
            && (tags.is_empty() || tags.iter().any(|tag| app.categories.iter().any(|category| category == tag)))
            && auth_type.is_none_or(|auth_type| auth_type.is_some_and(|auth_type| app.auth_types.contains(&auth_type)))
    };
    json(apps.iter().filter(wanted).map(described).collect::<Vec<_>>())
}

pub(super) async fn get(call: Call) -> Result<Answer, Trouble> {
    let request = GetApp { account: call.account()?, application: call.param("slug") };
    json(described(&call.backend()?.get_app(&call.who()?.caller, request).await?))
}

/// There is one: clients of the future ask, and send its id back, which is passed over.
pub(super) async fn auth_configs(call: Call) -> Result<Answer, Trouble> {
    let request = GetApp { account: call.account()?, application: call.param("slug") };
    let app = call.backend()?.get_app(&call.who()?.caller, request).await?;
    json(serde_json::json!({"docs": [{"_id": format!("{}:default", app.slug), "name": "Default", "is_default": true}]}))
}

/// Says nothing of any organisation: the manifest alone answers.
pub(super) async fn auth_structure(call: Call) -> Result<Answer, Trouble> {
    let slug = call.param("slug");
    match smalt::manifest::Catalog::builtin().get(&slug) {
        Some(manifest) => Ok(Answer::Json(structure(&manifest))),
        None => Err(Trouble::Plain(404, "INVALID_APP_ID", format!("Schema not found for integration type: {slug}"))),
    }
}
