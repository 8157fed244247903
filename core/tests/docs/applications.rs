//! The page of applications, from their manifests.

use std::fmt::Write;

use smalt::manifest::{
    AppManifest, Catalog, ClientAuth, KeyGrant, Oauth2, Pkce, Placement, Revoke, RevokeToken, Rotation, SANDBOX_SLUGS, StateIn, TokenBody,
    TokenClient,
};

const HEAD: &str = "# Applications

<!-- Generated from core/apps; `SMALT_WRITE=1 cargo test -p smalt --test docs` writes it. -->

What is in the box. An application of your own, or another version of one of these, is [a file](adding-an-application.md).

*Refresh*: what a renewal does to the refresh token; with *none* the access token lives until it is revoked or the user
connects again. *Disconnect*: what is ended at the provider, see [the receipt](operations.md). Each one is played against
its provider's documented requests and answers in every test run (`core/apps/replays`). For each of them a manifest that is wrong in one place is
shown to fail, but for what no single play of requests shows: whether refresh tokens rotate and for how long an old one is good, whether users share a grant, rates,
forms of what people enter, and scopes that are only suggested. These rest on the facts alone.

| slug | application | with | PKCE | refresh | disconnect |
|---|---|---|---|---|---|
";

/// The whole page.
pub fn page() -> String {
    let applications: Vec<_> = Catalog::builtin().all().into_iter().filter(|m| !SANDBOX_SLUGS.contains(&m.slug.as_str())).collect();
    let mut page = HEAD.to_owned();
    for manifest in &applications {
        let oauth = manifest.oauth2.as_ref();
        let _ = writeln!(
            page,
            "| [`{}`](#{}) | {} | {} | {} | {} | {} |",
            manifest.slug,
            manifest.slug,
            manifest.name,
            ways(manifest),
            oauth.map_or("", |o| match o.pkce {
                Pkce::S256 => "yes",
                Pkce::Plain => "plain",
                Pkce::Off => "no",
            }),
            oauth.map_or("", |o| refresh(o.refresh.rotation)),
            oauth.map_or_else(|| without_oauth2(manifest), |o| o.revoke.as_ref().map_or("nothing is offered".to_owned(), revocation)),
        );
    }
    for manifest in &applications {
        section(&mut page, manifest);
    }
    page
}

fn ways(manifest: &AppManifest) -> String {
    let token = manifest.keybased.as_ref().and_then(|keys| keys.token.as_ref()).map(|token| token.grant);
    let ways = [
        ("OAuth 2.0", manifest.oauth2.is_some()),
        ("device code", manifest.oauth2.as_ref().is_some_and(|oauth| oauth.device.is_some())),
        ("OAuth 1.0a", manifest.oauth1.is_some()),
        ("client credentials", token == Some(KeyGrant::ClientCredentials)),
        ("JWT bearer", token == Some(KeyGrant::JwtBearer)),
        ("login", token == Some(KeyGrant::Login)),
        ("keys", manifest.keybased.is_some() && token.is_none()),
    ];
    ways.iter().filter(|(_, offered)| *offered).map(|(way, _)| *way).collect::<Vec<_>>().join(", ")
}

/// What a disconnect ends where there is no OAuth 2.0.
fn without_oauth2(manifest: &AppManifest) -> String {
    let signed = manifest.oauth1.as_ref().map(|oauth| oauth.revoke.is_some());
    let token = manifest.keybased.as_ref().and_then(|keys| keys.token.as_ref()).map(|token| token.revoke.is_some());
    match signed.or(token) {
        Some(true) => "access token".to_owned(),
        Some(false) => "nothing is offered".to_owned(),
        None => String::new(),
    }
}

fn refresh(rotation: Rotation) -> &'static str {
    match rotation {
        Rotation::Rotates => "rotates",
        Rotation::Stays => "stays",
        Rotation::Never => "none",
    }
}

fn revocation(revoke: &Revoke) -> String {
    let token = match revoke.token {
        RevokeToken::Refresh => "refresh token",
        RevokeToken::Access => "access token",
        RevokeToken::Both => "both tokens",
    };
    let shared = if revoke.shared_grant { "; ends the user's other connections too" } else { "" };
    format!("{token}{shared}")
}

fn codes<'a>(items: impl IntoIterator<Item = &'a String>) -> String {
    items.into_iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}

fn section(page: &mut String, manifest: &AppManifest) {
    // Headings are the slugs: the links above lead to them.
    let _ = write!(page, "\n## {}\n\n{}: {}", manifest.slug, manifest.name, manifest.description);
    let links: Vec<String> = manifest.links.iter().map(|(name, url)| format!("[{name}]({url})")).collect();
    let _ = writeln!(page, "{}\n", if links.is_empty() { String::new() } else { format!(" {}.", links.join(", ")) });
    for (name, variable) in &manifest.variables {
        let default = variable.default.as_ref().map_or("to be set".to_owned(), |default| format!("default `{default}`"));
        let _ = writeln!(page, "- Variable `{name}` ({default}): {}", variable.description);
    }
    if let Some(base) = &manifest.extends {
        let _ = writeln!(page, "- Extends [`{base}`](#{base})");
    }
    if let Some(oauth) = &manifest.oauth2 {
        of_oauth(page, oauth);
    }
    if let Some(keys) = &manifest.keybased {
        let _ = writeln!(page, "- Entered: {}", codes(keys.inputs.iter().map(|input| &input.name)));
        if keys.placement.all().iter().any(|placement| matches!(placement, Placement::Oauth1 { .. })) {
            let _ = writeln!(page, "- Every request is signed (OAuth 1.0a)");
        }
        if let Some(token) = &keys.token {
            let how = if token.client_auth == ClientAuth::PrivateKeyJwt { ", by its private key" } else { "" };
            let client = match token.client() {
                TokenClient::Project => format!("the project's{how}"),
                TokenClient::Inputs => format!("the customer's own{how}"),
                TokenClient::None => "none".to_owned(),
            };
            let _ = writeln!(page, "- The values become a token, which is asked for anew when it ends; client: {client}");
        }
    }
    if manifest.brand.icon.is_none() {
        let _ = writeln!(page, "- No icon is shipped: supply it as `apps.{}.brand.icon`", manifest.slug);
    }
    if manifest.brand.button.mandated {
        let _ = writeln!(page, "- The button's artwork is the provider's: supply it as `apps.{}.brand.button.normal.image`", manifest.slug);
    }
    for fact in &manifest.facts {
        let note = fact.note.as_ref().map_or(String::new(), |note| format!(" {note}"));
        let _ = writeln!(page, "- {}:{note} [{}]({}), {}", codes(&fact.about), host(&fact.source), fact.source, fact.date);
    }
}

fn of_oauth(page: &mut String, oauth: &Oauth2) {
    let scopes = &oauth.scopes;
    if !scopes.default.is_empty() {
        let _ = writeln!(page, "- Scopes by default: {}", codes(&scopes.default));
    }
    if !scopes.suggested.is_empty() {
        let _ = writeln!(page, "- Scopes on demand: {}", codes(&scopes.suggested));
    }
    for (scope, reason) in &scopes.reasons {
        let _ = writeln!(page, "- `{scope}` {reason}");
    }
    if !scopes.required.is_empty() {
        let _ = writeln!(page, "- Scopes always asked for: {}", codes(&scopes.required));
    }
    if !oauth.inputs.is_empty() {
        let _ = writeln!(page, "- Asked of the user first: {}", codes(oauth.inputs.iter().map(|input| &input.name)));
    }
    if oauth.registration.is_some() {
        let _ = writeln!(page, "- Needs no client of yours: one is registered by protocol, at each host by itself");
    }
    let kept: Vec<&String> = oauth.copied_names().collect();
    if !kept.is_empty() {
        let _ = writeln!(page, "- Kept with the connection: {}", codes(kept));
    }
    let separator = scopes.separator.as_deref().filter(|separator| *separator != " ").map(|s| format!("scopes are joined with `{s}`"));
    let param = scopes.param.as_ref().map(|param| format!("scopes go as `{param}`"));
    let json = match (oauth.token_method.as_deref(), oauth.token_body) {
        (Some("GET"), _) => Some("the token request is a GET".to_owned()),
        (_, TokenBody::Json) => Some("the token request is JSON".to_owned()),
        (_, TokenBody::Query) => Some("the token request's parameters stand in its URL".to_owned()),
        (_, TokenBody::Form) => None,
    };
    let swap = oauth.steps.iter().any(|step| step.token).then(|| "the first token is swapped for another one".to_owned());
    let signed = oauth.callback.hmac.as_ref().map(|param| format!("the callback is signed in `{param}`"));
    let state = (oauth.callback.state != StateIn::Param).then(|| "the state stands in the redirect URI".to_owned());
    let success = oauth.answer.success.as_ref().map(|s| format!("an answer counts only where `{}` is `{}`", s.pointer, s.equals));
    let lifetime = oauth.answer.default_expires_in.map(|s| format!("a token without a stated end lives {s} s"));
    let odd: Vec<String> = [separator, param, json, success, lifetime, swap, signed, state].into_iter().flatten().collect();
    if !odd.is_empty() {
        let _ = writeln!(page, "- Its own ways: {}", odd.join("; "));
    }
}

fn host(url: &str) -> &str {
    url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(url)
}
