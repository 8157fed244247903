//! `smalt keys`: master keys.

use serde_json::json;
use smalt::{Result, vault::LocalKey};

use crate::{
    args::Keys,
    output::{Answer, note},
};

pub fn run(args: Keys) -> Result<Answer> {
    let Keys::Create { out } = args;
    let key = LocalKey::generate()?;
    match out {
        Some(path) => {
            key.write_file(&path)?;
            let text = format!(
                "Wrote the master key {} to {}. Keep a copy elsewhere: without it the store's secrets are lost.",
                key.id(),
                path.display()
            );
            Ok(Answer::new(json!({ "id": key.id(), "file": path }), text))
        }
        None => {
            note("This is a secret: give it to the processes as SMALT_KEY, and keep a copy elsewhere.");
            Ok(Answer::new(json!({ "id": key.id(), "key": key.text().expose() }), key.text().expose()))
        }
    }
}
