//! One file per subject.

pub mod account;
pub mod apps;
pub mod backup;
pub mod config;
pub mod connect;
pub mod connections;
pub mod credential;
pub mod doctor;
pub mod events;
pub mod init;
pub mod keys;
pub mod request;
pub mod sandbox;
pub mod serve;
