//! Where everything is kept: the rows, and the SQLite store.

pub mod rows;
mod sqlite;

pub use sqlite::{SqliteStore, StoreOptions};
