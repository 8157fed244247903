//! The ten lines of the README, offline: `cargo run -p smalt --example ten_lines`.
#![allow(clippy::print_stdout, missing_docs)] // a program, public only for the test that runs it

use smalt::{Result, Smalt};

#[tokio::main]
pub async fn main() -> Result<()> {
    // README: from here
    let smalt = Smalt::sandbox().await?; // yours: Smalt::embedded("smalt.db").project("smalt.toml").open()
    let account = smalt.account("customer-42"); // a handle, no I/O
    account.ensure().await?;
    let connection = account.connect("sandbox-oauth").await?; // the user consents; nobody else can finish the flow
    let config = account.config("sandbox-oauth").await?; // found or made: settings and workflow switches
    let credential = account.credential("sandbox-oauth").await?; // valid now, refreshed at most once by anyone
    let answer = account.request("sandbox-oauth", "GET", "items").await?; // an authenticated call
    let receipt = account.disconnect("sandbox-oauth").await?; // secrets and settings gone, the grant revoked
    println!("{:?} {} {:?} {}", connection.identity, config.version, credential.expires_at, answer.status);
    println!("{}", receipt.revocation);
    // README: to here
    Ok(())
}
