//! The OpenAPI document, made from the tables of routes and operations: what is served is what stands there.

use serde_json::json;
use smalt::{backend, model::Json, operations::Operation, wire};

use super::{Access, Route, routes};

fn security(access: Access) -> Json {
    match access {
        Access::Public => json!([]),
        Access::Organisation | Access::Backend => json!([{"api_key": []}]),
        Access::Account | Access::Own | Access::Doorway => json!([{"api_key": []}, {"session": []}]),
        Access::Session => json!([{"session": []}]),
    }
}

fn parameters(route: &Route) -> Json {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Json> =
        in_path.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})).collect();
    if matches!(route.access, Access::Account | Access::Backend) {
        all.push(json!({
            "name": "linked_account_id", "in": "header", "required": false, "schema": {"type": "string"},
            "description": "Whom the call is about, with an API key; also as a query parameter, or in the body."
        }));
    }
    all.into()
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
        if matches!(route.method, "POST" | "PUT" | "PATCH") {
            item["requestBody"] = json!({"required": false, "content": {"application/json": {"schema": {"type": "object"}}}});
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
                "security": security(Access::Doorway),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_route_and_operation_stands_in_it_and_every_reference_leads_somewhere() {
        let document = document();
        for route in routes().iter().filter(|route| route.path != "/smalt/v1/{operation}") {
            assert!(document["paths"][route.path][route.method.to_lowercase()].is_object(), "{} {}", route.method, route.path);
        }
        for operation in Operation::ALL {
            assert!(document["paths"][format!("/smalt/v1/{}", operation.row().name)]["post"].is_object());
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
