//! One request, read and proved, as routes see it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Body;
use http::{HeaderMap, Method};
use smalt::{Smalt, backend::Backend, model::Json};

use crate::{
    answer::Trouble,
    api::Api,
    settings::Settings,
    who::{Who, header},
};

/// A body that nobody has read yet. Locked only so that a request can be looked at from several places at once.
pub(crate) struct Upload(Mutex<Option<Body>>);

impl Upload {
    pub(crate) fn new(body: Option<Body>) -> Self {
        Self(Mutex::new(body))
    }

    /// Once.
    pub(crate) fn take(&self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// One request.
pub(crate) struct Call {
    pub(crate) api: Api,
    /// The limits in force.
    pub(crate) settings: Arc<Settings>,
    pub(crate) method: Method,
    /// The path as it came, without the prefix that a mount took away, and the query.
    pub(crate) target: String,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    /// The body; null where there is none.
    pub(crate) body: Json,
    /// The body as it comes, on the one route that reads none before.
    pub(crate) upload: Upload,
    /// Absent on public routes.
    pub(crate) who: Option<Who>,
}

impl Call {
    /// The proved caller; every route that is not public has one.
    pub(crate) fn who(&self) -> Result<&Who, Trouble> {
        self.who.as_ref().ok_or_else(|| Trouble::Plain(500, "SERVER_ERROR", "a route that is not public has no caller".into()))
    }

    pub(crate) fn smalt(&self) -> Result<&Smalt, Trouble> {
        Ok(&self.who()?.smalt)
    }

    pub(crate) fn backend(&self) -> Result<&Arc<dyn Backend>, Trouble> {
        Ok(self.who()?.smalt.backend())
    }

    pub(crate) fn account(&self) -> Result<String, Trouble> {
        Ok(self.who()?.account.clone())
    }

    /// A part of the path that the route's pattern names.
    pub(crate) fn param(&self, name: &str) -> String {
        self.params.get(name).cloned().unwrap_or_default()
    }

    /// A query parameter. Clients write `undefined` and `null` where they have nothing.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        found.filter(|value| !matches!(*value, "" | "undefined" | "null"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// A text in the body; an empty one counts as none.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.body.get(name).and_then(Json::as_str).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
    }

    /// Whether choices are to be left out.
    pub(crate) fn without_options(&self) -> bool {
        self.header("disable_field_options") == Some("true")
    }

    /// `page` and `limit`; what makes no sense counts as not said.
    pub(crate) fn page(&self) -> (u64, u64) {
        let number = |name: &str| self.query(name).and_then(|text| text.parse::<u64>().ok()).filter(|n| *n > 0);
        (number("page").unwrap_or(1).min(1 << 40), number("limit").unwrap_or(10).min(500))
    }
}
