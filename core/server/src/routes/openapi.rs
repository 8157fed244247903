//! The OpenAPI document, made from the tables of routes and operations: what is served is what stands there.

use std::sync::LazyLock;

use serde_json::json;
use smalt::{
    backend,
    model::Json,
    operations::{Operation, Scope},
    wire,
};

use super::{Access, Route, routes};
use crate::{
    answer::{Answer, Trouble},
    call::Call,
};

/// What a header's value may be.
const PRINTABLE: &str = "^[!-~]([ -~]*[!-~])?$";

fn security(access: Access) -> Json {
    match access {
        Access::Public => json!([]),
        Access::Organisation | Access::Backend => json!([{"api_key": []}]),
        Access::Account | Access::Own | Access::Doorway => json!([{"api_key": []}, {"session": []}]),
        Access::Session => json!([{"session": []}]),
    }
}

/// A session may call what is about its own account.
fn of_operation(operation: Operation) -> Access {
    if operation.row().scope == Scope::Organisation { Access::Organisation } else { Access::Doorway }
}

fn parameters(route: &Route) -> Json {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Json> =
        in_path.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}})).collect();
    if matches!(route.access, Access::Account | Access::Backend) {
        all.push(json!({
            "name": "linked_account_id", "in": "header", "required": false, "schema": {"type": "string", "pattern": PRINTABLE},
            "description": "Whom the call is about, with an API key; also as a query parameter, or in the body."
        }));
    }
    all.into()
}

/// Pages for people, whose errors are pages, too.
fn is_page(path: &str) -> bool {
    matches!(path, "/connect" | "/connect/{ticket}" | "/connect/go/{ticket}")
}

/// The media type of a good answer, where that is no JSON.
fn media_type(route: &Route) -> Option<&'static str> {
    match route.path {
        "/smalt/v1/events/stream" | "/smalt/v1/flows/{flow}/stream" => Some("text/event-stream"),
        super::PASSING => Some("application/octet-stream"),
        "/smalt/v1/openapi" | super::DONE => Some("text/html"),
        path if is_page(path) => Some("text/html"),
        path if path.ends_with("/{file}") => Some("*/*"),
        path if path.ends_with("/icon") => Some("image/*"),
        _ => None,
    }
}

fn responses() -> Json {
    json!({
        "200": {"description": "Done.", "content": {"application/json": {"schema": true}}},
        "default": {"description": "Not done.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}}
    })
}

/// `#/$defs/X` becomes `#/components/schemas/X`.
fn moved(value: &mut Json) {
    match value {
        Json::Object(map) => {
            for (name, value) in map.iter_mut() {
                match value {
                    Json::String(text) if name == "$ref" => *text = text.replace("#/$defs/", "#/components/schemas/"),
                    other => moved(other),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(moved),
        _ => {}
    }
}

/// The whole document (OpenAPI 3.1).
pub(super) fn document() -> Json {
    let mut operations = backend::schema();
    moved(&mut operations);
    let mut paths = serde_json::Map::new();
    let mut add = |path: String, method: &str, item: Json| {
        let at = paths.entry(path).or_insert_with(|| json!({}));
        at[method.to_lowercase()] = item;
    };
    for route in routes().iter().filter(|route| route.path != "/smalt/v1/{operation}") {
        let mut item = json!({
            "summary": route.about, "security": security(route.access), "parameters": parameters(route), "responses": responses()
        });
        if let Some(media_type) = media_type(route) {
            // Events are read one by one, each a thing of its own.
            let schema = if media_type == "text/event-stream" { json!({}) } else { json!({"type": "string"}) };
            item["responses"]["200"]["content"] = json!({media_type: {"schema": schema}});
        }
        if route.path == super::CALLBACK {
            let about = "Whatever came of it: goes on to `/connect/done`, with `outcome` or `error`, or back to the caller's page. Other methods are refused.";
            item["responses"] = json!({"303": {"description": about}, "default": item["responses"]["default"].take()});
        } else if is_page(route.path) {
            item["responses"]["303"] = json!({"description": "Goes on at the provider."});
            item["responses"]["default"]["content"]["text/html"] = json!({"schema": {"type": "string"}});
        }
        if media_type(route) == Some("text/event-stream") {
            let about = "The last `id` that came; the stream goes on behind it. Of the log also the query parameter `since`.";
            let parameter = json!({
                "name": "last-event-id", "in": "header", "required": false, "schema": {"type": "string", "pattern": PRINTABLE}, "description": about
            });
            item["parameters"].as_array_mut().into_iter().for_each(|all| all.push(parameter.clone()));
        }
        if route.path == super::PASSING {
            let about = "The JSON of the operation `request`, as base64url. The answer's header `smalt-answer` has status and headers in the same way.";
            item["parameters"] = json!([{
                "name": super::passing::HEAD, "in": "header", "required": true, "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
                "description": about
            }]);
            let bytes = json!({"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}});
            item["requestBody"] = json!({"required": false, "content": bytes});
        } else if matches!(route.method, "POST" | "PUT" | "PATCH") {
            let kind = if route.path == super::CALLBACK { "application/x-www-form-urlencoded" } else { "application/json" };
            item["requestBody"] = json!({"required": false, "content": {kind: {"schema": {"type": "object"}}}});
        }
        add(route.path.to_owned(), route.method, item);
    }
    for operation in Operation::ALL.iter().filter(|operation| operation.embedded_only().is_none()) {
        let row = operation.row();
        let form = &operations["operations"][row.name];
        let mut responses = responses();
        responses["200"]["content"]["application/json"]["schema"] = form["answer"].clone();
        add(
            format!("/smalt/v1/{}", row.name),
            "post",
            json!({
                "operationId": row.name,
                "summary": row.about,
                "tags": ["operations"],
                "security": security(of_operation(*operation)),
                "requestBody": {"required": true, "content": {"application/json": {"schema": form["request"]}}},
                "responses": responses,
            }),
        );
    }
    let mut failure = schemars::schema_for!(wire::Failure).to_value();
    moved(&mut failure);
    let mut schemas = operations["$defs"].take();
    if let (Some(own), Some(schemas)) = (failure["$defs"].as_object_mut().map(std::mem::take), schemas.as_object_mut()) {
        schemas.extend(own);
    }
    if let Some(map) = failure.as_object_mut() {
        map.remove("$defs");
        map.remove("$schema");
    }
    schemas["Failure"] = failure;
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Smalt", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "securitySchemes": {
                "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "session": {"type": "http", "scheme": "bearer"}
            },
            "schemas": schemas
        }
    })
}

/// The document for people: one page, without scripts and without anything from elsewhere.
static PAGE: LazyLock<String> = LazyLock::new(|| render(&document()));

pub(super) async fn page(_call: Call) -> Result<Answer, Trouble> {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = vec![("content-security-policy", policy.to_owned()), ("referrer-policy", "no-referrer".to_owned())];
    Ok(Answer::Raw { content_type: "text/html; charset=utf-8", headers, body: PAGE.as_str().into() })
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f5;padding:.75rem;overflow:auto}\
details{border-top:1px solid #ddd;padding:.4rem 0}summary{cursor:pointer}summary b{display:inline-block;min-width:4.5rem}\
.dim{color:#555}@media(prefers-color-scheme:dark){body{color:#eee;background:#161618}pre{background:#26262a}details{border-color:#3a3a3f}\
.dim{color:#aaa}a{color:#9cf}}";

/// A schema as text; what it refers to is a link.
fn shown(schema: &Json) -> String {
    let text = super::pages::escaped(&format!("{schema:#}"));
    let mut html = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("#/components/schemas/") {
        let end = after.find("&quot;").unwrap_or(after.len());
        let name = &after[..end];
        html.push_str(before);
        html.push_str(&format!("<a href=\"#{name}\">{name}</a>"));
        rest = &after[end..];
    }
    html.push_str(rest);
    html
}

fn render(document: &Json) -> String {
    use std::fmt::Write;
    let text = |value: &Json| super::pages::escaped(value.as_str().unwrap_or_default());
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{0} {1}: the HTTP API</title><style>{STYLE}</style><main><h1>{0} {1}: the HTTP API</h1>\
         <p>The same as <a href=\"openapi.json\">openapi.json</a>, for people. A key is an API key in <code>x-api-key</code>, \
         a session a token in <code>authorization: Bearer</code>.</p>",
        text(&document["info"]["title"]),
        text(&document["info"]["version"]),
    );
    let families = [("/api/", "Compatible with the hosted service"), ("/smalt/", "Smalt's own"), ("/", "Pages and health")];
    for (at, (prefix, title)) in families.iter().enumerate() {
        let _ = write!(html, "<h2>{title}</h2>");
        for (path, methods) in document["paths"].as_object().into_iter().flatten() {
            let is_earlier = families[..at].iter().any(|(prefix, _)| path.starts_with(prefix));
            if !path.starts_with(prefix) || is_earlier {
                continue;
            }
            for (method, item) in methods.as_object().into_iter().flatten() {
                let schemes = item["security"].as_array().into_iter().flatten().filter_map(|one| one.as_object()?.keys().next());
                let words: Vec<&str> = schemes.map(|scheme| if scheme == "api_key" { "key" } else { "session" }).collect();
                let who = if words.is_empty() { "anyone".to_owned() } else { words.join(" or ") };
                let _ = write!(
                    html,
                    "<details><summary><b>{}</b> <code>{}</code> <span class=\"dim\">{} ({who})</span></summary>",
                    method.to_uppercase(),
                    super::pages::escaped(path),
                    text(&item["summary"]),
                );
                for parameter in item["parameters"].as_array().into_iter().flatten() {
                    let (name, place, about) = (text(&parameter["name"]), text(&parameter["in"]), text(&parameter["description"]));
                    let _ = write!(html, "<p><code>{name}</code> <span class=\"dim\">{place}</span> {about}</p>");
                }
                for (what, content) in [("Request", &item["requestBody"]["content"]), ("Answer", &item["responses"]["200"]["content"])] {
                    for (media_type, content) in content.as_object().into_iter().flatten() {
                        let media_type = super::pages::escaped(media_type);
                        let _ = write!(html, "<p>{what}, <code>{media_type}</code></p><pre>{}</pre>", shown(&content["schema"]));
                    }
                }
                html.push_str("</details>");
            }
        }
    }
    html.push_str("<h2>Forms</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let name = super::pages::escaped(name);
        let _ = write!(html, "<details id=\"{name}\"><summary><code>{name}</code></summary><pre>{}</pre></details>", shown(schema));
    }
    html.push_str("</main></html>");
    html
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `SMALT_WRITE=1` writes it anew.
    #[test]
    fn the_checked_in_document_is_the_one_that_is_served() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/openapi-1.json");
        let text = format!("{:#}\n", document());
        if std::env::var_os("SMALT_WRITE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{} is out of date: run the tests once with SMALT_WRITE=1", path.display());
    }

    #[test]
    fn the_page_shows_every_route_and_its_links_lead_somewhere() {
        let html = render(&document());
        for (path, _) in document()["paths"].as_object().unwrap() {
            assert!(html.contains(&format!("<code>{path}</code>")), "{path}");
        }
        let mut links = 0;
        for link in html.split("href=\"#").skip(1) {
            let name = link.split('"').next().unwrap();
            assert!(html.contains(&format!("id=\"{name}\"")), "{name}");
            links += 1;
        }
        assert!(links > 50 && !html.contains("<script"), "{links}");
    }

    #[test]
    fn every_route_and_operation_stands_in_it_and_every_reference_leads_somewhere() {
        let document = document();
        for route in routes().iter().filter(|route| route.path != "/smalt/v1/{operation}") {
            assert!(document["paths"][route.path][route.method.to_lowercase()].is_object(), "{} {}", route.method, route.path);
        }
        for operation in Operation::ALL {
            let stands = document["paths"][format!("/smalt/v1/{}", operation.row().name)]["post"].is_object();
            assert_eq!(stands, operation.embedded_only().is_none(), "{operation:?}");
        }
        fn check(value: &Json, document: &Json) {
            match value {
                Json::Object(map) => map.iter().for_each(|(name, value)| match value {
                    Json::String(reference) if name == "$ref" => {
                        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
                    }
                    other => check(other, document),
                }),
                Json::Array(items) => items.iter().for_each(|item| check(item, document)),
                _ => {}
            }
        }
        check(&document, &document);
    }
}
