//! The bodies of the HTTP API that is compatible with the hosted service: each type exists once and serves the server's
//! routes and the remote client. Keys that only old clients read are there too, and say so.

mod account;
mod application;
mod config;
mod error;
mod webhook;
mod workflow;

pub use account::{Integration, LinkedAccount, Listed, SessionRevoked, SessionToken, UdfEntry, Written, YourApp, list_page};
pub use application::{Application, ConnectedAccount, InputField, auth_structure};
pub use config::{Config, ConfigWorkflow, Field, FieldError, FieldTrouble, config_body, config_update, labels};
pub use error::{Failure, failure};
pub use webhook::{titles, webhook, webhook_events, webhook_settings};
pub use workflow::{Offered, execution, workflow};

/// `pub struct` with the derives that every body has.
macro_rules! body {
    ($($item:item)*) => { $(
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        $item
    )* };
}
pub(crate) use body;

use serde::{Deserialize, Deserializer};

use crate::model::Json;

/// A text; other servers have any JSON there.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    maybe_text(from).map(Option::unwrap_or_default)
}

/// A text, if there is one.
fn maybe_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Json>::deserialize(from)? {
        None | Some(Json::Null) => None,
        Some(Json::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
    })
}

/// A switch; old servers write it as a text.
fn maybe_bool<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(match Option::<Json>::deserialize(from)? {
        Some(Json::Bool(on)) => on,
        Some(Json::String(text)) => text == "true",
        _ => false,
    })
}
