use schemars::SchemaGenerator;
use serde_json::json;
use smalt::{Code, backend::Capabilities, model::Json};

use crate::{ConnectOptions, EmbeddedOptions, RemoteOptions, SessionOptions, What, hidden::HIDDEN};

/// What a language package is made from, beside [`smalt::backend::schema`]: the table of errors, the options of an embedded
/// engine, of a server's handle, of a session and of `connect`, what a backend says of itself, and the answers of host code.
pub fn schema() -> Json {
    let mut generator = SchemaGenerator::default();
    let errors: Vec<Json> = Code::ALL
        .iter()
        .map(|code| {
            let row = code.row();
            json!({
                "code": row.code, "kind": row.kind, "retry": row.retry, "http_status": row.http_status, "meaning": row.meaning,
                "next": row.next, "presenters": Code::PRESENTERS.contains(code),
            })
        })
        .collect();
    let mut host = serde_json::Map::new();
    for what in What::ALL {
        host.insert(what.name().to_owned(), json!({"answer": what.answer_schema(&mut generator)}));
    }
    let hidden: serde_json::Map<String, Json> = HIDDEN.iter().map(|(name, fields)| ((*name).to_owned(), json!(fields))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What language packages of Smalt are made from, version 1",
        "errors": errors,
        "embedded": generator.subschema_for::<EmbeddedOptions>(),
        "remote": generator.subschema_for::<RemoteOptions>(),
        "session": generator.subschema_for::<SessionOptions>(),
        "connect": generator.subschema_for::<ConnectOptions>(),
        "capabilities": generator.subschema_for::<Capabilities>(),
        "host": host,
        "hidden": hidden,
        "$defs": generator.take_definitions(true),
    })
}

#[cfg(test)]
mod tests {
    /// `SMALT_WRITE=1` rewrites them.
    #[test]
    fn the_checked_in_schemas_are_the_generated_ones() {
        for (name, schema) in [("bridge-1.json", super::schema()), ("operations-1.json", smalt::backend::schema())] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema").join(name);
            let text = format!("{schema:#}\n");
            if std::env::var_os("SMALT_WRITE").is_some() {
                std::fs::write(&path, &text).expect("the schema can be written");
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(found == text, "{} is out of date: run the tests once with SMALT_WRITE=1", path.display());
        }
    }
}
