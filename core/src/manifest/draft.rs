//! A first manifest, from what a provider publishes about itself (OpenID Connect Discovery 1.0, RFC 8414) or from answers.
//!
//! A draft is text with comments, meant to be read and finished by a person: `lint` says what it still lacks.

use std::fmt::Write as _;

use url::Url;

use crate::{
    error::{Result, bail, err},
    model::Json,
    plugin::{HttpRequest, HttpTransport},
};

/// Where providers publish what they offer: OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3.
const WELL_KNOWN: [&str; 2] = ["openid-configuration", "oauth-authorization-server"];

/// What is known of an application before its manifest is written.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The stable name.
    pub slug: String,
    /// The name for people.
    pub name: String,
    /// One sentence about it.
    pub description: String,
    /// The provider's page for developers.
    pub docs_url: Option<String>,
    /// What relative paths of its API start from.
    pub base_url: Option<String>,
    /// OAuth 2.0, if it offers that.
    pub oauth2: Option<OauthDraft>,
    /// Keys, if it takes those.
    pub keybased: Option<KeyDraft>,
    /// The page that says all this; default `docs_url`.
    pub source: Option<String>,
}

/// What is known of an OAuth 2.0 provider.
#[derive(Clone, Debug, Default)]
pub struct OauthDraft {
    /// The page where the user consents.
    pub authorize_url: String,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: String,
    /// Where tokens are revoked (RFC 7009).
    pub revoke_url: Option<String>,
    /// The issuer, where the provider states it in the callback (RFC 9207).
    pub issuer: Option<String>,
    /// The request that tells who the user is.
    pub identity_url: Option<String>,
    /// JSON pointers of the identity's id and label.
    pub identity: Option<(String, String)>,
    /// What to ask for.
    pub scopes: Vec<String>,
    /// `basic`, `body` or `none`, where it is not `basic`.
    pub client_auth: Option<String>,
    /// Whether the provider says that it knows PKCE; absent: it does not say.
    pub pkce: Option<bool>,
}

/// What is known of an application that takes keys.
#[derive(Clone, Debug, Default)]
pub struct KeyDraft {
    /// The header that carries the key, e.g. `Authorization`.
    pub header: String,
    /// Its value, with `{key}` where the key goes.
    pub value: String,
    /// A path below the API's base URL that answers only to a good key.
    pub verify_path: Option<String>,
}

/// Reads what a provider publishes about itself. `url` is its issuer, or the document's own address.
///
/// # Errors
/// `invalid_request` when the address is none or nothing of the sort is there; those of the transport.
pub async fn discover(transport: &dyn HttpTransport, url: &str) -> Result<(Json, String)> {
    let base = Url::parse(url).map_err(|_| err!(InvalidRequest, "`{}` is not a URL", url.escape_debug()))?;
    let candidates: Vec<Url> = match base.path().contains("/.well-known/") {
        true => vec![base],
        false => WELL_KNOWN.iter().flat_map(|name| places(&base, name)).collect(),
    };
    let mut last = 0;
    for candidate in &candidates {
        let mut request = HttpRequest::new("GET", candidate.clone());
        request.set_header("accept", "application/json")?;
        let answer = transport.send(request).await?;
        last = answer.status;
        if let Some(document) = answer.json().filter(|document| answer.status == 200 && document.is_object()) {
            return Ok((document, candidate.to_string()));
        }
    }
    let tried = candidates.iter().map(Url::as_str).collect::<Vec<_>>().join(", ");
    bail!(InvalidRequest, "no discovery document was found (status {last}); tried {tried}");
}

/// OpenID Connect puts the name behind the issuer's path, RFC 8414 before it; without a path they are the same.
fn places(issuer: &Url, name: &str) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let mut places: Vec<Url> = Vec::new();
    for path in [format!("{path}/.well-known/{name}"), format!("/.well-known/{name}{path}")] {
        let mut url = issuer.clone();
        url.set_path(&path);
        url.set_query(None);
        if !places.contains(&url) {
            places.push(url);
        }
    }
    places
}

impl OauthDraft {
    /// What a discovery document says.
    ///
    /// # Errors
    /// `invalid_request` when it states no authorize or token URL.
    pub fn from_discovery(document: &Json) -> Result<Self> {
        let text = |key: &str| document.get(key).and_then(Json::as_str).map(str::to_owned);
        let list = |key: &str| -> Option<Vec<&str>> { Some(document.get(key)?.as_array()?.iter().filter_map(Json::as_str).collect()) };
        let (Some(authorize_url), Some(token_url)) = (text("authorization_endpoint"), text("token_endpoint")) else {
            bail!(InvalidRequest, "the discovery document states no `authorization_endpoint` or no `token_endpoint`");
        };
        let scopes = list("scopes_supported").unwrap_or_default();
        let wanted = ["openid", "email", "offline_access"];
        let claims = list("claims_supported").unwrap_or_default();
        let label = ["email", "preferred_username", "name"].into_iter().find(|claim| claims.contains(claim)).unwrap_or("email");
        // RFC 8414 section 2: `client_secret_basic` where nothing is said.
        let client_auth = match list("token_endpoint_auth_methods_supported") {
            None => None,
            Some(methods) if methods.contains(&"client_secret_basic") => None,
            Some(methods) if methods.contains(&"client_secret_post") => Some("body"),
            Some(methods) if methods.contains(&"none") => Some("none"),
            Some(_) => None,
        };
        Ok(Self {
            authorize_url,
            token_url,
            revoke_url: text("revocation_endpoint"),
            issuer: text("issuer").filter(|_| document.get("authorization_response_iss_parameter_supported") == Some(&Json::Bool(true))),
            identity_url: text("userinfo_endpoint"),
            identity: text("userinfo_endpoint").map(|_| ("/sub".to_owned(), format!("/{label}"))),
            scopes: wanted.into_iter().filter(|scope| scopes.contains(scope)).map(str::to_owned).collect(),
            client_auth: client_auth.map(str::to_owned),
            pkce: list("code_challenge_methods_supported").map(|methods| methods.contains(&"S256")),
        })
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}

impl Draft {
    /// The manifest's text. `date` is the day on which the facts were read, `YYYY-MM-DD`.
    pub fn to_toml(&self, date: &str) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out, date);
        out
    }

    fn write(&self, out: &mut String, date: &str) -> std::fmt::Result {
        writeln!(out, "#:schema https://raw.githubusercontent.com/smalt-dev/smalt/main/docs/schema/manifest-1.json")?;
        writeln!(out, "manifest = 1")?;
        writeln!(out, "slug = {}", quoted(&self.slug))?;
        writeln!(out, "name = {}", quoted(&self.name))?;
        writeln!(out, "description = {}", quoted(&self.description))?;
        writeln!(out, "# Words to sort by: \"communication\", \"accounting\", \"crm\", …\ncategories = []")?;
        if let Some(docs) = &self.docs_url {
            writeln!(out, "\n[links]\ndocs = {}", quoted(docs))?;
        }
        writeln!(out, "\n# `icon` and `color` where the owner's licence lets you ship them, with a fact about each.\n[brand]")?;
        for state in ["normal", "hover"] {
            writeln!(out, "\n[brand.button.{state}]\nlabel = {}", quoted(&format!("Connect {}", self.name)))?;
        }
        writeln!(out, "\n[api]")?;
        match &self.base_url {
            Some(url) => writeln!(out, "base_url = {}", quoted(&with_slash(url)))?,
            None => writeln!(out, "# Relative paths of `request` start here.\n# base_url = \"https://api.example.com/v1/\"")?,
        }
        let mut about = Vec::new();
        if self.base_url.is_some() {
            about.push("api.base_url".to_owned());
        }
        if let Some(oauth2) = &self.oauth2 {
            about.extend(oauth2.known().map(str::to_owned));
            oauth2.write(out)?;
        }
        if let Some(keybased) = &self.keybased {
            about.push("keybased".to_owned());
            keybased.write(out)?;
        }
        if let Some(source) = self.source.as_ref().or(self.docs_url.as_ref()) {
            writeln!(out, "\n[[facts]]\nabout = {}\nsource = {}\ndate = {}", list(&about), quoted(source), quoted(date))?;
        }
        Ok(())
    }
}

impl OauthDraft {
    /// The keys that the source speaks of; what it leaves open, lint asks about.
    fn known(&self) -> impl Iterator<Item = &'static str> {
        let known = [
            ("oauth2.authorize_url", true),
            ("oauth2.token_url", true),
            ("oauth2.issuer", self.issuer.is_some()),
            ("oauth2.client_auth", self.client_auth.is_some()),
            ("oauth2.pkce", self.pkce.is_some()),
            ("oauth2.scopes", !self.scopes.is_empty()),
            ("oauth2.revoke", self.revoke_url.is_some()),
            ("oauth2.identity", self.identity_url.is_some()),
        ];
        known.into_iter().filter(|(_, said)| *said).map(|(key, _)| key)
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n[oauth2]\nauthorize_url = {}\ntoken_url = {}", quoted(&self.authorize_url), quoted(&self.token_url))?;
        if let Some(issuer) = &self.issuer {
            writeln!(out, "issuer = {}", quoted(issuer))?;
        }
        if let Some(client_auth) = &self.client_auth {
            writeln!(out, "client_auth = {}", quoted(client_auth))?;
        }
        match self.pkce {
            Some(true) => {}
            Some(false) => writeln!(out, "# The provider names only other methods than S256: try it; `pkce = \"off\"` needs a fact.")?,
            None => {
                writeln!(out, "# The provider does not say whether it knows PKCE; unknown parameters are ignored (RFC 6749 section 3.1).")?
            }
        }
        writeln!(out, "\n[oauth2.scopes]\ndefault = {}", list(&self.scopes))?;
        writeln!(
            out,
            "\n[oauth2.refresh]\n# `rotates` is the careful choice; `stays` where the refresh token never changes, `never` where there is none.\n\
             rotation = \"rotates\""
        )?;
        match &self.revoke_url {
            Some(url) => writeln!(out, "\n[oauth2.revoke]\nurl = {}", quoted(url))?,
            None => writeln!(out, "\n# No revocation endpoint is known. Add `[oauth2.revoke]`, or a fact that there is none.")?,
        }
        match (&self.identity_url, &self.identity) {
            (Some(url), Some((id, label))) => {
                writeln!(out, "\n[oauth2.identity]\nurl = {}\nid = {}\nlabel = {}", quoted(url), quoted(id), quoted(label))
            }
            _ => writeln!(
                out,
                "\n# Who the user is at the provider: connections get a label, and duplicates are noticed.\n# [oauth2.identity]\n\
                 # url = \"me\"\n# id = \"/id\"\n# label = \"/email\""
            ),
        }
    }
}

impl KeyDraft {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n[keybased]\nplacement = {{ in = \"header\", name = {}, value = {} }}", quoted(&self.header), quoted(&self.value))?;
        writeln!(out, "\n[[keybased.inputs]]\nname = \"key\"\nlabel = \"API key\"\ntype = \"password\"\nsecret = true")?;
        match &self.verify_path {
            Some(path) => {
                writeln!(out, "\n# Add `id` and `label` (JSON pointers) where the answer says whose key it is.\n[keybased.verify]")?;
                writeln!(out, "url = {}", quoted(path))
            }
            None => {
                writeln!(out, "\n# Without `[keybased.verify]` a wrong key is saved like a right one.\n# [keybased.verify]\n# url = \"me\"")
            }
        }
    }
}

fn with_slash(url: &str) -> String {
    format!("{}/", url.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::{
        http::ScriptedTransport,
        manifest::{AppManifest, ClientAuth, lint},
    };

    fn document() -> Json {
        json!({
            "issuer": "https://id.acme.example.com",
            "authorization_endpoint": "https://id.acme.example.com/authorize",
            "token_endpoint": "https://id.acme.example.com/token",
            "revocation_endpoint": "https://id.acme.example.com/revoke",
            "userinfo_endpoint": "https://id.acme.example.com/me",
            "scopes_supported": ["openid", "profile", "offline_access"],
            "claims_supported": ["sub", "name"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    fn acme(oauth2: Option<OauthDraft>, keybased: Option<KeyDraft>) -> Draft {
        Draft {
            slug: "acme".into(),
            name: "Acme \"Rockets\"".into(),
            description: "Supplies.".into(),
            docs_url: Some("https://acme.example.com/docs".into()),
            base_url: Some("https://api.acme.example.com/v1".into()),
            oauth2,
            keybased,
            source: None,
        }
    }

    #[test]
    fn a_discovery_document_becomes_a_manifest() {
        let text = acme(Some(OauthDraft::from_discovery(&document()).unwrap()), None).to_toml("2026-11-22");
        let manifest = AppManifest::parse(&text, "acme.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
        let oauth2 = manifest.oauth2.unwrap();
        assert_eq!(oauth2.issuer.as_deref(), Some("https://id.acme.example.com"));
        assert_eq!(oauth2.client_auth, ClientAuth::Body);
        assert_eq!(oauth2.scopes.default, ["openid", "offline_access"]);
        assert_eq!(oauth2.revoke.unwrap().url, "https://id.acme.example.com/revoke");
        assert_eq!(oauth2.identity.unwrap().label.as_deref(), Some("/name"));
        assert_eq!(lint(&text, "acme.toml").iter().filter(|f| f.is_error()).count(), 0);
    }

    #[test]
    fn answers_become_a_manifest() {
        let key = KeyDraft { header: "X-Acme-Key".into(), value: "{key}".into(), verify_path: Some("me".into()) };
        let text = acme(None, Some(key)).to_toml("2026-11-22");
        let manifest = AppManifest::parse(&text, "acme.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(manifest.name, "Acme \"Rockets\"");
        assert_eq!(manifest.keybased.unwrap().verify.unwrap().url, "me");
        assert!(OauthDraft::from_discovery(&json!({"token_endpoint": "https://x.example.com"})).is_err());
    }

    #[tokio::test]
    async fn the_document_is_looked_for_where_the_standards_put_it() {
        let transport = ScriptedTransport::answering(|request| {
            let found = request.url.as_str() == "https://id.example.com/.well-known/oauth-authorization-server/tenant";
            Ok(ScriptedTransport::json(if found { 200 } else { 404 }, &document()))
        });
        let (found, place) = discover(&transport, "https://id.example.com/tenant/").await.unwrap();
        assert_eq!((found, transport.requests().len()), (document(), 4));
        assert_eq!(place, "https://id.example.com/.well-known/oauth-authorization-server/tenant");
        let error = discover(&transport, "https://id.example.com").await.unwrap_err();
        assert!(error.reason().contains("https://id.example.com/.well-known/openid-configuration"), "{error}");
    }
}
