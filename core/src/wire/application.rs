//! Applications as clients of every age read them.

use std::collections::BTreeMap;

use super::{body, maybe_bool, text};
use crate::{
    Timestamp,
    manifest::AppManifest,
    model::{self, AuthType, Connection, ConnectionStatus, InputOption, Json},
};

body! {
    /// An application, described for a linked account.
    pub struct Application {
        /// A stable id: the slug.
        #[serde(default)]
        pub app_id: String,
        /// The same.
        #[serde(default, rename = "_id")]
        pub id: String,
        /// The name for people.
        pub name: String,
        /// One sentence about it.
        #[serde(default)]
        pub description: String,
        /// Where its icon can be had; empty where none may be shipped and the project supplies none.
        #[serde(default)]
        pub icon: String,
        /// The slug.
        #[serde(default)]
        pub slug: String,
        /// The slug, for old clients.
        #[serde(default, rename = "type")]
        pub app_type: String,
        /// Sorting words.
        #[serde(default)]
        pub tags: Vec<String>,
        /// Always false: applications that are only advertised do not exist here.
        #[serde(default)]
        pub ecosystem: bool,
        /// Help above the connect form.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub help: Option<String>,
        /// The default way to authorise.
        pub auth_type: AuthType,
        /// What the user must enter, per way to authorise.
        #[serde(default)]
        pub auth_type_options: BTreeMap<AuthType, Vec<InputField>>,
        /// The same of the default way, for old clients.
        #[serde(default)]
        pub auth_input_map: Vec<InputField>,
        /// Whether there is any connection, for clients before 9.
        #[serde(default)]
        pub connected: bool,
        /// Whether the user must authorise again, for clients before 9.
        #[serde(default)]
        pub reauth_required: bool,
        /// The connections, for clients from 9 on.
        #[serde(default)]
        pub connected_accounts: Vec<ConnectedAccount>,
    }

    /// A connection inside an application.
    pub struct ConnectedAccount {
        /// Who it is at the application, or `NA`.
        #[serde(default, deserialize_with = "text")]
        pub identifier: String,
        /// How it was authorised.
        pub auth_type: AuthType,
        /// When it last was.
        #[serde(rename = "connectedAt")]
        pub connected_at: Timestamp,
        /// `active` or `expired`; clients from 9 on poll for it.
        pub status: ConnectionStatus,
        /// The connection's id. Not every server has one.
        #[serde(default)]
        pub connection_id: String,
    }

    /// What the user must enter.
    pub struct InputField {
        /// The key.
        pub name: String,
        /// The label.
        #[serde(default)]
        pub label: String,
        /// An example.
        #[serde(default)]
        pub placeholder: String,
        /// `text`, `password`, `number`, `boolean`, `select`, `textarea`.
        #[serde(default, rename = "type")]
        pub input_type: String,
        /// Whether it must be given.
        #[serde(default, deserialize_with = "maybe_bool")]
        pub required: bool,
        /// Where to find it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub help_text: Option<String>,
        /// The choices of a `select`.
        #[serde(default, deserialize_with = "choices", skip_serializing_if = "Option::is_none")]
        pub options: Option<Vec<InputOption>>,
    }
}

/// Choices as objects, whose name may be missing, or as plain values.
fn choices<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Vec<InputOption>>, D::Error> {
    use serde::Deserialize;
    let choice = |sent: Json| {
        let plain = |value: &Json| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let value = sent.get("value").map_or_else(|| plain(&sent), plain);
        let name = sent.get("name").and_then(Json::as_str).map_or_else(|| value.clone(), ToOwned::to_owned);
        InputOption { name, value }
    };
    Ok(Option::<Vec<Json>>::deserialize(from)?.map(|list| list.into_iter().map(choice).collect()))
}

impl InputField {
    fn new(input: &model::InputField) -> Self {
        Self {
            name: input.name.clone(),
            label: input.label.clone(),
            placeholder: input.placeholder.clone().unwrap_or_default(),
            input_type: input.input_type.clone(),
            required: input.required,
            help_text: input.help_text.clone(),
            options: (!input.options.is_empty()).then(|| input.options.clone()),
        }
    }
}

impl Application {
    /// As the engine has it; `icon` is where the server hands the icon out.
    pub fn new(app: &model::Application, icon: Option<String>) -> Self {
        let default = app.auth_types.first().copied().unwrap_or(AuthType::Oauth2);
        let fields = |inputs: &Vec<model::InputField>| inputs.iter().map(InputField::new).collect::<Vec<_>>();
        let options: BTreeMap<_, _> = app.inputs.iter().map(|(auth_type, inputs)| (*auth_type, fields(inputs))).collect();
        let expired = |connection: &&Connection| connection.status == ConnectionStatus::Expired;
        // Clients before 9 connect the default way only: its connection decides, or all of them where it has none.
        let of_default: Vec<_> = app.connections.iter().filter(|connection| connection.auth_type == default).collect();
        let reauth_required = match of_default.is_empty() {
            true => !app.connections.is_empty() && app.connections.iter().all(|connection| expired(&connection)),
            false => of_default.iter().all(expired),
        };
        Self {
            app_id: app.slug.clone(),
            id: app.slug.clone(),
            name: app.name.clone(),
            description: app.description.clone(),
            icon: icon.unwrap_or_default(),
            slug: app.slug.clone(),
            app_type: app.slug.clone(),
            tags: app.categories.clone(),
            ecosystem: false,
            help: app.help.clone(),
            auth_type: default,
            auth_input_map: options.get(&default).cloned().unwrap_or_default(),
            auth_type_options: options,
            connected: !app.connections.is_empty(),
            reauth_required,
            connected_accounts: app.connections.iter().map(ConnectedAccount::new).collect(),
        }
    }
}

impl ConnectedAccount {
    fn new(connection: &Connection) -> Self {
        Self {
            identifier: connection.identity.as_ref().map_or_else(|| "NA".to_owned(), |identity| identity.label.clone()),
            auth_type: connection.auth_type,
            connected_at: connection.connected_at,
            status: connection.status,
            connection_id: connection.id.clone(),
        }
    }
}

/// What an import expects per way to authorise: a field's type, or an object where it may be left out. It says nothing
/// about any organisation.
pub fn auth_structure(manifest: &AppManifest) -> Json {
    let optional = || serde_json::json!({"type": "string", "required": false});
    let mut structure = serde_json::Map::new();
    if let Some(oauth) = &manifest.oauth2 {
        let mut fields = serde_json::Map::new();
        fields.insert("access_token".to_owned(), optional());
        fields.insert("refresh_token".to_owned(), optional());
        for input in &oauth.inputs {
            fields.insert(input.name.clone(), if input.required { "string".into() } else { optional() });
        }
        structure.insert("oauth2".to_owned(), fields.into());
    }
    if let Some(keys) = &manifest.keybased {
        let field = |input: &model::InputField| (input.name.clone(), if input.required { "string".into() } else { optional() });
        structure.insert("keybased".to_owned(), Json::Object(keys.inputs.iter().map(field).collect()));
    }
    structure.into()
}
