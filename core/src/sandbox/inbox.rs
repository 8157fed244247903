//! A receiver of webhooks: it takes what comes and shows it.

use std::collections::{BTreeMap, VecDeque};

use serde_json::json;

use super::{json_answer, state::State};
use crate::{
    listen::{Answer, Request},
    model::Json,
};

/// What is kept of each inbox.
const MOST: usize = 500;
/// Inboxes.
const MOST_INBOXES: usize = 50;

/// What came, by inbox, oldest first.
pub(super) type Inboxes = BTreeMap<String, VecDeque<Json>>;

/// The inbox of a path, if it is one of one.
pub(super) fn name(path: &str) -> Option<&str> {
    path.strip_prefix("/inbox/").filter(|name| !name.is_empty() && name.len() <= 64 && !name.contains('/'))
}

impl State {
    pub(super) fn receive(&mut self, request: &Request) -> Answer {
        let Some(name) = name(&request.path) else { return Answer::empty(404) };
        if !self.inboxes.contains_key(name) && self.inboxes.len() >= MOST_INBOXES {
            return Answer::empty(507);
        }
        let headers: BTreeMap<&str, &str> =
            request.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let received = json!({"method": request.method, "headers": headers, "body": String::from_utf8_lossy(&request.body)});
        let inbox = self.inboxes.entry(name.to_owned()).or_default();
        inbox.push_back(received);
        if inbox.len() > MOST {
            inbox.pop_front();
        }
        json_answer(200, &json!({"ok": true}))
    }

    pub(super) fn inbox(&self, path: &str) -> Answer {
        let received = name(path).and_then(|name| self.inboxes.get(name));
        json_answer(200, &json!({"received": received.cloned().unwrap_or_default()}))
    }
}
