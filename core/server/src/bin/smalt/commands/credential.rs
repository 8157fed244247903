//! `smalt credential`: what a call needs, shown only on request.

use serde_json::json;
use smalt::{Result, Secret, backend::GetCredential, model::Json};

use crate::{
    args,
    context::Context,
    output::{Answer, Table, note},
};

pub async fn run(context: &Context, args: args::Credential) -> Result<Answer> {
    let request = GetCredential { application: args.app, connection: args.connection, ..GetCredential::default() };
    let credential = context.with(false, async |smalt| smalt.account(&args.of.account).credential_of(request).await).await?;
    let secret = |secret: &Secret| if args.show { secret.expose().to_owned() } else { "(hidden; --show prints it)".to_owned() };
    let mut facts = Table::facts();
    facts.fact("application", &credential.application);
    facts.fact("connection", &credential.connection_id);
    facts.fact("authorised by", credential.auth_type.as_str());
    facts.maybe("access token", credential.access_token.as_ref().map(secret));
    facts.maybe("token type", credential.token_type.as_deref());
    facts.maybe("ends", credential.expires_at.map(|at| at.to_string()));
    facts.maybe("scopes", Some(credential.scopes.join(" ")));
    // Inputs that are no secrets stand among the properties, too.
    for (name, value) in credential.values.iter().filter(|(name, _)| !credential.properties.contains_key(*name)) {
        facts.fact(name, secret(value));
    }
    for (name, value) in &credential.properties {
        facts.fact(name, value);
    }
    if args.show && !context.global.json {
        note("This is a secret: whoever has it acts as the user at the application.");
    }
    let values: serde_json::Map<String, Json> =
        credential.values.iter().map(|(name, value)| (name.clone(), value.expose().into())).collect();
    let json = json!({
        "connection_id": credential.connection_id,
        "application": credential.application,
        "auth_type": credential.auth_type,
        "access_token": credential.access_token.as_ref().map(Secret::expose),
        "token_type": credential.token_type,
        "expires_at": credential.expires_at,
        "scopes": credential.scopes,
        "values": values,
        "properties": credential.properties,
    });
    Ok(Answer::new(json, facts.text()))
}
