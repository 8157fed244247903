//! Where everything is kept: the rows, and the SQLite store.

pub mod rows;
