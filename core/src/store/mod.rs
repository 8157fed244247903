//! Where everything is kept: the rows, and the SQLite store.

pub mod rows;
mod sqlite;

pub(crate) use sqlite::SEALED;
pub use sqlite::{
    BackupInfo, Forking, PendingStep, SchemaInfo, SqliteStore, StoreOptions, backup, prepare_fork, restore, schema_info, verify_backup,
};
