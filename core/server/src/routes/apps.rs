//! Applications, as both route families answer them.

use base64ct::{Base64, Encoding};
use smalt::{
    backend::{GetAccount, GetApp},
    manifest::Catalog,
    model::{self, AuthType},
    project::Project,
    wire::{Application, auth_structure as structure},
};

use crate::{
    answer::{Answer, Picture, Trouble, json},
    call::Call,
    project::{InForce, in_force},
};

/// Looks at the icon that anybody may see: the project's own where it has one, or the one in the box. Those of other folders travel in
/// answers only.
fn public_icon<T>(project: &Project, slug: &str, look: impl FnOnce(Option<&str>) -> T) -> T {
    let own = project.apps.get(slug).and_then(|settings| settings.brand.as_ref()?.icon.as_deref());
    match own {
        Some(icon) => look(Some(icon)),
        None => look(Catalog::builtin().get(slug).as_ref().and_then(|manifest| manifest.brand.icon.as_deref())),
    }
}

/// What stands in a `data:` URL (RFC 2397) of a picture.
fn picture(url: &str) -> Option<Picture> {
    let (kind, data) = url.strip_prefix("data:")?.split_once(',')?;
    let (content_type, is_base64) = match kind.strip_suffix(";base64") {
        Some(content_type) => (content_type, true),
        None => (kind, false),
    };
    let bytes = match is_base64 {
        true => Base64::decode_vec(data).ok()?,
        false => percent_encoding::percent_decode_str(data).collect(),
    };
    let is_picture = content_type.starts_with("image/") && content_type.bytes().all(|b| b.is_ascii_graphic());
    is_picture.then(|| Picture { content_type: content_type.to_owned(), bytes })
}

/// Applications as clients read them: an icon that is data in the manifest has an address here, which browsers can keep.
pub(super) struct Described {
    project: InForce,
    public: Option<String>,
}

impl Described {
    pub(super) async fn new(call: &Call) -> Result<Self, Trouble> {
        let smalt = call.smalt()?;
        Ok(Self { project: in_force(smalt).await?, public: call.api.public_url(smalt).await.ok() })
    }

    /// Where the icon can be had, or the icon itself where it has no address.
    pub(super) fn icon(&self, app: &model::Application) -> Option<String> {
        let icon = app.brand.icon.as_deref()?;
        let has_address = || icon.starts_with("data:") && public_icon(&self.project, &app.slug, |public| public == Some(icon));
        match &self.public {
            Some(public) if has_address() => Some(format!("{public}/api/v2/public/application/{}/icon", app.slug)),
            _ => Some(icon.to_owned()),
        }
    }

    fn describe(&self, app: &model::Application) -> Application {
        Application::new(app, self.icon(app))
    }
}

pub(super) async fn icon(call: Call) -> Result<Answer, Trouble> {
    let slug = call.param("slug");
    let (_, smalt) = call.api.hosts().all().next().ok_or_else(|| Trouble::Plain(503, "SERVER_ERROR", "no engine is open".into()))?;
    let found = public_icon(&*in_force(smalt).await?, &slug, |icon| picture(icon?));
    let none = || Trouble::Plain(404, "INVALID_APP_ID", "there is no icon of this application here".into());
    found.map(Answer::Picture).ok_or_else(none)
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
    let described = Described::new(&call).await?;
    json(apps.iter().filter(wanted).map(|app| described.describe(app)).collect::<Vec<_>>())
}

pub(super) async fn get(call: Call) -> Result<Answer, Trouble> {
    let request = GetApp { account: call.account()?, application: call.param("slug") };
    let app = call.backend()?.get_app(&call.who()?.caller, request).await?;
    json(Described::new(&call).await?.describe(&app))
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
    match Catalog::builtin().get(&slug) {
        Some(manifest) => Ok(Answer::Json(structure(&manifest))),
        None => Err(Trouble::Plain(404, "INVALID_APP_ID", format!("Schema not found for integration type: {slug}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_picture_is_what_its_data_url_says() {
        let text = picture("data:image/svg+xml,%3Csvg%20a=%22%23%22/%3E").unwrap();
        assert_eq!((text.content_type.as_str(), text.bytes.as_slice()), ("image/svg+xml", br##"<svg a="#"/>"##.as_slice()));
        assert_eq!(picture("data:image/png;base64,AAEC").unwrap().bytes, [0, 1, 2]);
        for other in
            ["https://a.example/x.png", "data:text/html,x", "data:image/png;base64,?", "data:image/png", "data:image/x\r\ny: z,x", ""]
        {
            assert!(picture(other).is_none(), "{other}");
        }
    }
}
