use schemars::SchemaGenerator;
use serde_json::json;
use smalt::{Code, model::Json};

use crate::{ConnectOptions, EmbeddedOptions, What};

/// What a language package is made from, beside [`smalt::backend::schema`]: the table of errors, the options of an embedded
/// engine and of `connect`, and the answers of host code.
pub fn schema() -> Json {
    let mut generator = SchemaGenerator::default();
    let errors: Vec<Json> = Code::ALL
        .iter()
        .map(|code| {
            let row = code.row();
            json!({
                "code": row.code, "kind": row.kind, "retry": row.retry, "http_status": row.http_status, "meaning": row.meaning,
                "next": row.next,
            })
        })
        .collect();
    let mut host = serde_json::Map::new();
    for what in What::ALL {
        host.insert(what.name().to_owned(), json!({"answer": what.answer_schema(&mut generator)}));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What language packages of Smalt are made from, version 1",
        "errors": errors,
        "embedded": generator.subschema_for::<EmbeddedOptions>(),
        "connect": generator.subschema_for::<ConnectOptions>(),
        "host": host,
        "$defs": generator.take_definitions(true),
    })
}

#[cfg(test)]
mod tests {
    /// `SMALT_WRITE=1` rewrites it.
    #[test]
    fn the_checked_in_schema_is_the_generated_one() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/bridge-1.json");
        let text = format!("{:#}\n", super::schema());
        if std::env::var_os("SMALT_WRITE").is_some() {
            std::fs::write(&path, &text).expect("the schema can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{} is out of date: run the tests once with SMALT_WRITE=1", path.display());
    }
}
