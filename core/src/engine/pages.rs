//! A provider's lists, page by page.

use std::sync::Arc;

use super::{Inner, request::secret_params};
use crate::{
    backend::{ApiPageRequest, json_body},
    error::{Result, bail, err},
    http::protocol::{Asked, Place, ask_page, read_page, strip_param},
    model::{ApiPage, Json},
};

impl Inner {
    /// One page. Its cursor is authenticated and of this account and application (S-36); where a link leads is compared
    /// with the application's own origin when it is used (S-50).
    pub(super) async fn api_page(self: &Arc<Self>, actor: &str, request: ApiPageRequest) -> Result<ApiPage> {
        let app = self.app(&request.application).await?;
        let Some(rules) = request.pagination.clone().or_else(|| app.manifest.api.pagination.clone()) else {
            bail!(Unsupported, "the manifest of `{}` says nothing about pages; pass `pagination`", app.slug())
        };
        let list = format!("pages\0{}\0{}", request.account, request.application);
        let place = match &request.cursor {
            Some(cursor) => {
                let (_, place) = self.open_cursor(&list, cursor)?;
                serde_json::from_str(&place).map_err(|_| err!(InvalidCursor, "the cursor is not one of this list"))?
            }
            None => Place::First,
        };
        // Its host is compared when the call is built; what is no URL of the web must not be taken for a path.
        if matches!(&place, Place::Url(url) if !url.starts_with("https://") && !url.starts_with("http://")) {
            bail!(HostMismatch, "the provider's link to the next page leads away from `{}`", app.slug());
        }
        let mut call = request.call();
        let is_json = call.body.as_ref().is_some_and(|body| body.content_type.starts_with("application/json"));
        let mut body: Option<Json> = match &call.body {
            Some(body) if is_json => serde_json::from_slice(&body.content).ok().filter(Json::is_object),
            _ => None,
        };
        ask_page(&rules, &place, Asked { path: &mut call.path, query: &mut call.query, body: body.as_mut() });
        if let Some(body) = &body {
            call.body = Some(json_body(body));
        }
        let (answer, mut asked) = self.api_call(actor, call).await?;
        let answer = answer.into();
        let secret = secret_params(&app);
        secret.iter().for_each(|name| strip_param(&mut asked, name));
        let (items, next) = read_page(&rules, &place, &asked, &answer)?;
        let next = match next {
            Some(Place::Url(link)) => {
                // Some providers repeat the key in their links; it is put in anew, and stands in no cursor.
                let mut link = url::Url::parse(&link).map_err(|_| err!(MalformedAnswer, "the link to the next page is no URL"))?;
                secret.iter().for_each(|name| strip_param(&mut link, name));
                Some(Place::Url(link.into()))
            }
            next => next,
        };
        let next = match next {
            Some(place) => {
                let text = serde_json::to_string(&place).map_err(|_| err!(Internal, "a place has no JSON form"))?;
                if text.len() > super::events::LONGEST_CURSOR / 2 {
                    bail!(MalformedAnswer, "the provider's place of the next page is longer than any should be");
                }
                Some(self.make_cursor(&list, 0, &text)?)
            }
            None => None,
        };
        Ok(ApiPage { answer, items, next })
    }
}
