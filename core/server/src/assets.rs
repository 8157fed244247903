//! The web files that are built into the server: the hosted page, and the browser client.

use std::sync::LazyLock;

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha384};
use smalt::model::Json;

/// One file.
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($folder:literal $name:literal $content_type:expr;)*) => {
        &[$(File { name: $name, content_type: $content_type, bytes: include_bytes!(concat!("../../portal/", $folder, "/", $name)) },)*]
    };
}

/// What the hosted page loads.
const PAGE: &[File] = files! {
    "page" "portal.css" "text/css; charset=utf-8";
    "page" "portal.mjs" SCRIPT;
    "page" "dom.mjs" SCRIPT;
    "page" "fields.mjs" SCRIPT;
    "page" "rules.mjs" SCRIPT;
    "page" "theme.mjs" SCRIPT;
    "client" "smalt.mjs" SCRIPT;
};

/// The browser client, as products load it.
const CLIENT: &[File] = files! {
    "client" "smalt.mjs" SCRIPT;
    "client" "smalt.js" SCRIPT;
    "client" "smalt.d.ts" "text/plain; charset=utf-8";
};

/// The version under which the client is served; the one in its `package.json`.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The page's files stand below this name, so that a new build's are never mixed with what a browser kept of an old one.
pub(crate) fn build() -> &'static str {
    static BUILD: LazyLock<String> = LazyLock::new(|| {
        let mut hash = Sha384::new();
        for file in PAGE {
            hash.update(file.name);
            hash.update(file.bytes);
        }
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    });
    &BUILD
}

pub(crate) fn of_page(name: &str) -> Option<&'static File> {
    PAGE.iter().find(|file| file.name == name)
}

pub(crate) fn of_client(name: &str) -> Option<&'static File> {
    CLIENT.iter().find(|file| file.name == name)
}

/// What stands in `integrity` of the element that loads it (Subresource Integrity).
fn integrity(file: &File) -> String {
    format!("sha384-{}", Base64::encode_string(&Sha384::digest(file.bytes)))
}

/// The client's files with their hashes.
pub(crate) fn client_index() -> Json {
    let files: serde_json::Map<String, Json> = CLIENT
        .iter()
        .map(|file| (file.name.to_owned(), serde_json::json!({"integrity": integrity(file), "bytes": file.bytes.len()})))
        .collect();
    serde_json::json!({"version": VERSION, "files": files})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_client_is_packed_under_the_servers_version() {
        let package: Json = serde_json::from_str(include_str!("../../portal/client/package.json")).unwrap();
        assert_eq!(package["version"], VERSION);
        let listed: Vec<_> = package["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        for file in CLIENT {
            assert!(listed.contains(&file.name), "{} is not packed", file.name);
        }
    }

    /// The script file is the module without its `export`s, inside of a function.
    #[test]
    fn the_script_file_is_the_module() {
        let module = std::str::from_utf8(of_client("smalt.mjs").unwrap().bytes).unwrap();
        let mut script = String::from("(function (globalThis) {\n'use strict';\n");
        let mut exported = Vec::new();
        for line in module.lines() {
            if let Some(rest) = line.strip_prefix("export ") {
                let words = rest.strip_prefix("async ").unwrap_or(rest);
                let name = words.split(|c: char| !c.is_alphanumeric()).nth(1).unwrap();
                exported.push(name);
                script.push_str(rest);
            } else {
                script.push_str(line);
            }
            script.push('\n');
        }
        script.push_str(&format!("globalThis.Smalt = {{ {} }};\n}})(globalThis);\n", exported.join(", ")));
        let path = format!("{}/../portal/client/smalt.js", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("SMALT_WRITE").is_some() {
            std::fs::write(&path, &script).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), script, "run it again with SMALT_WRITE=1");
    }

    /// The release binary has a budget.
    #[test]
    fn web_files_are_small() {
        let all: usize = PAGE.iter().chain(CLIENT).map(|file| file.bytes.len()).sum();
        assert!(all < 256 * 1024, "{all} bytes");
    }
}
