//! The words of the domain, as plain data. Every public type here has a JSON form and a JSON Schema.

mod account;
mod api;
mod application;
mod config;
mod connection;
mod event;
mod flow;
mod keys;
mod own;
mod page;
mod portal;
mod webhook;

pub use account::{AccountUpdate, ApiKey, Environment, LinkedAccount, NewApiKey, SessionInfo, Tenant, UpsertedAccount};
pub use api::{ApiAnswer, ApiBody, NameValue};
pub use application::{AppStatus, Application, AuthType, Brand, BrandButton, ButtonState, GrantKind, InputField, InputOption};
pub use config::{
    Config, ConfigUpdate, Field, FieldError, FieldOption, FieldType, Label, Labels, Mapping, MappingSide, RuleColumn, RuleColumns,
    Workflow, WorkflowUpdate,
};
pub use connection::{
    Connection, ConnectionError, ConnectionHealth, ConnectionStatus, Credential, Identity, Receipt, RevocationOutcome, RevokedConnection,
    SiblingPolicy,
};
pub use event::{AuditEntry, Event, EventType, Page};
pub use flow::{ConnectFlow, DevicePrompt, FlowFailure, FlowStatus, Handoff, HandoffPreview, ParkedCallback, StartedConnect, StateCookie};
pub use keys::{KeyRotation, RotationState};
pub use own::{Executed, Execution, ExecutionStatus, OwnChange, OwnCredentials};
pub use page::ApiPage;
pub use portal::{Portal, PortalLink};
pub use webhook::{Delivery, DeliveryStatus, NewWebhook, Webhook, WebhookEvent, WebhookKind};

/// Any JSON value.
pub type Json = serde_json::Value;
/// A JSON object.
pub type JsonMap = serde_json::Map<String, Json>;

/// `pub struct` with the derives that every public model type has.
macro_rules! model {
    ($($item:item)*) => { $(
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        $item
    )* };
}
/// `pub enum` of unit variants with a snake_case string form.
macro_rules! words {
    ($($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)* })*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// The stable string form.
            pub const fn as_str(self) -> &'static str { match self { $($name::$variant => $text,)* } }
            /// The value with this string form.
            pub fn parse(text: &str) -> Option<Self> { match text { $($text => Some($name::$variant),)* _ => None } }
            /// All values.
            pub const ALL: &'static [Self] = &[$($name::$variant,)*];
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    )* };
}
pub(crate) use {model, words};
