//! Where everything is kept: the rows, and the SQLite store.

pub mod rows;
mod sqlite;

pub use sqlite::{BackupInfo, PendingStep, SchemaInfo, SqliteStore, StoreOptions, backup, restore, schema_info, verify_backup};
