//! Compares a TOML document with a JSON Schema, so that every wrong key is named at once.
