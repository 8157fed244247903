#![allow(clippy::unwrap_used)]
use crate::manifest::{Finding, Severity, lint};

const HEAD: &str = r##"
manifest = 1
slug = "acme"
name = "Acme"
description = "A test."
[brand]
icon = "https://acme.example.com/icon.svg"
color = "#000000"
[brand.button.normal]
label = "Connect"
background = "#000000"
foreground = "#FFFFFF"
[brand.button.hover]
label = "Connect"
background = "#222222"
foreground = "#FFFFFF"
[api]
base_url = "https://api.acme.example.com/"
[[facts]]
about = ["oauth2", "oauth1", "api", "keybased", "brand"]
source = "https://acme.example.com/docs"
date = "2026-11-25"
"##;

const TOKEN: &str = r#"
[keybased]
placement = { in = "header", name = "Authorization", value = "Bearer {access_token}" }
[[keybased.inputs]]
name = "client_id"
label = "Client ID"
[[keybased.inputs]]
name = "client_secret"
label = "Secret"
type = "password"
secret = true
[keybased.token]
grant = "client_credentials"
client = "inputs"
url = "https://acme.example.com/token"
id = "{client_id}"
"#;

const XML: &str = r#"
[keybased]
placement = { in = "xml", path = "/request/session", value = "{access_token}" }
[[keybased.inputs]]
name = "user"
label = "User"
[[keybased.inputs]]
name = "password"
label = "Password"
type = "password"
secret = true
[keybased.token]
grant = "login"
url = "https://acme.example.com/token"
xml = '<request to="{user}"><password>{password}</password></request>'
id = "{user}"
[keybased.token.answer]
format = "xml"
access_token = "/response/session"
default_expires_in = 600
"#;

const JWT: &str = r#"
[keybased]
placement = { in = "header", name = "Authorization", value = "Bearer {access_token}" }
[[keybased.inputs]]
name = "email"
label = "E-mail"
[[keybased.inputs]]
name = "private_key"
label = "Key"
type = "textarea"
secret = true
[keybased.token]
grant = "jwt_bearer"
url = "https://acme.example.com/token"
[keybased.token.assertion]
key = "{private_key}"
claims = { iss = "{email}", scope = "{scope}" }
"#;

const OAUTH1: &str = r#"
[oauth1]
request_token_url = "https://acme.example.com/request"
authorize_url = "https://acme.example.com/authorize"
access_token_url = "https://acme.example.com/access"
[oauth1.identity]
url = "me"
id = "/id"
"#;

const DEVICE: &str = r#"
[oauth2]
authorize_url = "https://acme.example.com/authorize"
token_url = "https://acme.example.com/token"
[oauth2.identity]
url = "me"
id = "/id"
[oauth2.device]
url = "https://acme.example.com/device"
"#;

/// A provider without a page that sends the user back.
const DEVICE_ALONE: &str = r#"
[oauth2]
token_url = "https://acme.example.com/token"
[oauth2.identity]
url = "me"
id = "/id"
[oauth2.device]
url = "https://acme.example.com/device"
"#;

fn findings(body: &str) -> Vec<Finding> {
    lint(&format!("{HEAD}{body}"), "acme.toml")
}

#[test]
fn good_ones_have_no_finding() {
    for body in [TOKEN, XML, JWT, OAUTH1, DEVICE, DEVICE_ALONE] {
        let found = findings(body);
        assert!(found.is_empty(), "{body}\n{found:?}");
    }
}

/// Which manifest, what is replaced, by what, and the key that must be named.
#[test]
fn each_mistake_is_named() {
    for (body, old, new, key) in [
        (DEVICE_ALONE, "[oauth2.device]\nurl = \"https://acme.example.com/device\"\n", "", "oauth2"),
        (TOKEN, "Bearer {access_token}", "Bearer {client_secret}", "keybased.placement"),
        (TOKEN, "name = \"client_secret\"", "name = \"secret\"", "keybased.token.client"),
        (TOKEN, "client = \"inputs\"", "client = \"none\"", "keybased.token.client"),
        (TOKEN, "client = \"inputs\"", "client = \"inputs\"\nclient_auth = \"tls_client_auth\"", "keybased.token.client"),
        (TOKEN, "client = \"inputs\"", "client = \"project\"", "keybased.inputs[0].name"),
        (TOKEN, "id = \"{client_id}\"", "id = \"{client_secret}\"", "keybased.token.id"),
        (TOKEN, "id = \"{client_id}\"", "params = { grant_type = \"x\" }", "keybased.token.params.grant_type"),
        (TOKEN, "id = \"{client_id}\"", "answer = { access_token = \"token\" }", "keybased.token.answer.access_token"),
        (TOKEN, "id = \"{client_id}\"", "client_auth = \"basic\"\nclient_assertion = { lifetime = 60 }", "keybased.token.client_auth"),
        (
            TOKEN,
            "id = \"{client_id}\"",
            "client_auth = \"private_key_jwt\"\nclient_assertion = { algorithm = \"HS256\" }",
            "keybased.token.client_auth",
        ),
        (TOKEN, "id = \"{client_id}\"", "copy_from_token = { client_id = \"/id\" }", "keybased.token.copy_from_token.client_id"),
        (TOKEN, "grant = \"client_credentials\"", "grant = \"jwt_bearer\"", "keybased.token"),
        (XML, "grant = \"login\"", "grant = \"client_credentials\"", "keybased.token.xml"),
        (XML, "id = \"{user}\"", "params = { user = \"{user}\" }", "keybased.token.params"),
        (XML, "id = \"{user}\"", "body = \"json\"", "keybased.token.body"),
        (XML, "id = \"{user}\"", "method = \"GET\"", "keybased.token.method"),
        (XML, "</password>", "</pass>", "keybased.token.xml"),
        (XML, "<password>{password}</password>", "<{password}/>", "keybased.token.xml"),
        (XML, "<password>{password}</password>", "<![CDATA[{password}]]>", "keybased.token.xml"),
        (XML, "{password}", "{passwort}", "keybased.token.xml"),
        (XML, "/request/session", "session", "keybased.placement.path"),
        (XML, "value = \"{access_token}\"", "value = \"{user}\"", "keybased.placement"),
        (XML, "format = \"xml\"", "format = \"json\"", "keybased.token.answer.format"),
        (JWT, "key = \"{private_key}\"", "", "keybased.token.assertion.key"),
        (JWT, "iss = \"{email}\"", "iss = \"{mail}\"", "keybased.token.assertion.claims.iss"),
        (JWT, "iss = \"{email}\"", "jti = \"{email}\"", "keybased.token.assertion.claims.jti"),
        (JWT, "key = \"{private_key}\"", "key = \"{private_key}\"\nlifetime = 7200", "keybased.token.assertion.lifetime"),
        (JWT, "key = \"{private_key}\"", "key = \"{private_key}\"\nheader = { alg = \"none\" }", "keybased.token.assertion.header.alg"),
        (OAUTH1, "https://acme.example.com/request", "http://acme.example.com/request", "oauth1.request_token_url"),
        (
            OAUTH1,
            "[oauth1.identity]",
            "authorize_params = { oauth_token = \"x\" }\n[oauth1.identity]",
            "oauth1.authorize_params.oauth_token",
        ),
        (OAUTH1, "id = \"/id\"", "id = \"id\"", "oauth1.identity.id"),
        (DEVICE, "https://acme.example.com/device", "device", "oauth2.device.url"),
        (DEVICE, "[oauth2.device]", "[oauth2.device]\nparams = { client_id = \"x\" }", "oauth2.device.params.client_id"),
        (DEVICE, "https://acme.example.com/device", "https://acme.example.com/{shop}", "oauth2.device.url"),
    ] {
        assert!(body.contains(old), "{old}");
        let found = findings(&body.replace(old, new));
        let named = found.iter().any(|finding| finding.severity == Severity::Error && finding.key == key);
        assert!(named, "{new}: {key} should be named, not {found:?}");
    }
    let both = findings(&format!("{OAUTH1}{DEVICE}"));
    assert!(both.iter().any(|finding| finding.key == "oauth1" && finding.severity == Severity::Error), "{both:?}");
}
