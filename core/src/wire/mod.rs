//! The bodies of the HTTP API that is compatible with the hosted service: each type exists once and serves the server's
//! routes and the remote client. Keys that only old clients read are there too, and say so.

mod account;
mod application;
mod config;
mod error;
mod webhook;
mod workflow;

pub use account::{Integration, LinkedAccount, SessionToken, UdfEntry, Written, YourApp, list_page};
pub use application::{Application, ConnectedAccount, InputField, auth_structure};
pub use config::{Config, ConfigWorkflow, Field, FieldError, FieldTrouble, config_update, labels};
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
