//! The service's applications and connections in Smalt's words.

use std::collections::BTreeMap;

use crate::{
    Timestamp,
    model::{AppStatus, Application, AuthType, Brand, Connection, ConnectionHealth, ConnectionStatus, Identity, InputField},
    wire,
};

/// Connections have ids at some servers only. Where there is one per way to authorise, its name does as well.
fn connection_id(slug: &str, account: &wire::ConnectedAccount) -> String {
    match account.connection_id.as_str() {
        "" => format!("{slug}:{}", account.auth_type),
        id => id.to_owned(),
    }
}

fn slug_of(app: &wire::Application) -> &str {
    if app.slug.is_empty() { &app.app_type } else { &app.slug }
}

/// The connections of an application, the one of its default way first.
pub(super) fn connections(account: &str, app: &wire::Application) -> Vec<Connection> {
    let slug = slug_of(app);
    let connection = |connected: &wire::ConnectedAccount| {
        let active = connected.status == ConnectionStatus::Active;
        let known = !connected.identifier.is_empty() && connected.identifier != "NA";
        Connection {
            id: connection_id(slug, connected),
            account_id: account.to_owned(),
            application: slug.to_owned(),
            auth_type: connected.auth_type,
            status: connected.status,
            health: if active { ConnectionHealth::Healthy } else { ConnectionHealth::Expired },
            is_default: false,
            identity: known.then(|| Identity { id: connected.identifier.clone(), label: connected.identifier.clone() }),
            scopes: Vec::new(),
            properties: BTreeMap::new(),
            created_at: connected.connected_at,
            connected_at: connected.connected_at,
            expires_at: None,
            last_error: None,
        }
    };
    let mut all: Vec<Connection> = app.connected_accounts.iter().map(connection).collect();
    if all.is_empty() && app.connected {
        // A server from before that list says of the default way only that there is a connection, not since when.
        let status = if app.reauth_required { ConnectionStatus::Expired } else { ConnectionStatus::Active };
        let (identifier, connected_at, connection_id) = (String::new(), Timestamp::default(), String::new());
        all.push(connection(&wire::ConnectedAccount { identifier, auth_type: app.auth_type, connected_at, status, connection_id }));
    }
    all.sort_by_key(|connection| connection.auth_type != app.auth_type);
    if let Some(first) = all.first_mut() {
        first.is_default = true;
    }
    all
}

fn input(body: wire::InputField) -> InputField {
    InputField {
        secret: body.input_type == "password",
        label: if body.label.is_empty() { body.name.clone() } else { body.label },
        name: body.name,
        input_type: if body.input_type.is_empty() { "text".to_owned() } else { body.input_type },
        required: body.required,
        hidden: false,
        placeholder: Some(body.placeholder).filter(|text| !text.is_empty()),
        help_text: body.help_text,
        pattern: None,
        prefix: None,
        suffix: None,
        default: None,
        options: body.options.unwrap_or_default(),
    }
}

/// An application as it stands for an account.
pub(super) fn application(account: &str, app: wire::Application) -> Application {
    let connections = connections(account, &app);
    let status = match connections.first().map(|connection| connection.status) {
        Some(ConnectionStatus::Active) => AppStatus::Connected,
        Some(ConnectionStatus::Expired) => AppStatus::ReauthRequired,
        None => AppStatus::NotConnected,
    };
    let mut options = app.auth_type_options;
    if options.is_empty() {
        options.insert(app.auth_type, app.auth_input_map);
    }
    let mut auth_types: Vec<AuthType> = options.keys().copied().collect();
    auth_types.sort_by_key(|auth_type| *auth_type != app.auth_type);
    Application {
        slug: if app.slug.is_empty() { app.app_type } else { app.slug },
        name: app.name,
        description: app.description,
        categories: app.tags,
        auth_types,
        grants: BTreeMap::new(),
        inputs: options.into_iter().map(|(auth_type, fields)| (auth_type, fields.into_iter().map(input).collect())).collect(),
        brand: Brand { icon: Some(app.icon).filter(|icon| !icon.is_empty()), ..Brand::default() },
        status,
        connections,
        help: app.help,
    }
}
