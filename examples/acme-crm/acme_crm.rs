//! Acme CRM, a small product: its customers connect an application, choose what runs, and get their contacts from it.
#![allow(clippy::print_stdout, missing_docs)] // a program, public only for the test that runs it

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use smalt::{
    Result, Smalt,
    backend::{Disconnect, FindConfig},
    model::{ConfigUpdate, Json, Label, Labels, WorkflowUpdate},
    present::ScriptedConsent,
    vault::LocalKey,
};

pub struct AcmeCrm {
    smalt: Smalt,
}

impl AcmeCrm {
    /// What the page of integrations lists.
    pub async fn integrations(&self, customer: &str) -> Result<Vec<String>> {
        let account = self.smalt.account(customer);
        account.ensure().await?;
        Ok(account.apps().await?.iter().map(|app| format!("{}: {}", app.slug, app.status)).collect())
    }

    /// Returns once the user has consented: as whom.
    pub async fn connect(&self, customer: &str, application: &str) -> Result<String> {
        let connection = self.smalt.account(customer).connect(application).await?;
        Ok(connection.identity.map(|identity| identity.label).unwrap_or_default())
    }

    /// The user picks a channel out of those that the application has, maps a contact's data, and switches the digest on.
    pub async fn configure(&self, customer: &str, application: &str, hour: impl Into<Json>) -> Result<String> {
        let account = self.smalt.account(customer);
        let labels = ["Name", "Mail"].map(|name| Label { name: None, value: name.into(), multiple: false }).to_vec();
        let labels = Some(Labels::ByObject(BTreeMap::from([("Contact".to_owned(), labels)])));
        let config = account.find_config(FindConfig { application: application.to_owned(), labels, ..FindConfig::default() }).await?;
        let channels = config.fields.iter().find(|field| field.id == "channel").and_then(|field| field.options.as_ref());
        let channel = channels.and_then(|channels| channels.first()).map(|channel| channel.value.clone());
        let digest = WorkflowUpdate::Change { enabled: Some(true), fields: BTreeMap::from([("hour".to_owned(), hour.into())]) };
        let update = ConfigUpdate {
            version: Some(config.version),
            fields: BTreeMap::from([
                ("channel".to_owned(), channel.unwrap_or_default()),
                ("contact".to_owned(), json!({"Name": "full_name", "Mail": "email"})),
            ]),
            workflows: BTreeMap::from([("digest".to_owned(), digest)]),
            ..ConfigUpdate::default()
        };
        Ok(match account.update_config(application, update).await {
            Ok(saved) => format!("version {}, digest {}", saved.version, if saved.workflows[0].enabled { "on" } else { "off" }),
            Err(error) => {
                let places: Vec<&str> = error.info().context.keys().map(String::as_str).collect();
                format!("{} at {}", error.code().as_str(), places.join(", "))
            }
        })
    }

    /// With a token that is valid now; renewed, if need be, once for all who ask.
    pub async fn contacts(&self, customer: &str, application: &str) -> Result<usize> {
        let answer = self.smalt.account(customer).request(application, "GET", "items").await?;
        Ok(answer.json().and_then(|body| body["items"].as_array().map(Vec::len)).unwrap_or_default())
    }

    /// The grant is revoked at the provider, and everything that was set is deleted.
    pub async fn leave(&self, customer: &str, application: &str) -> Result<String> {
        let options = Disconnect { application: application.to_owned(), wait: Some(Duration::from_secs(10)), ..Disconnect::default() };
        let receipt = self.smalt.account(customer).disconnect_with(options).await?;
        Ok(format!("{}, {} settings deleted", receipt.revocation, receipt.deleted_configs.len()))
    }
}

/// Writes what the customer sees, line by line.
pub async fn run(project: &str, mut say: impl FnMut(String)) -> Result<()> {
    // A test's engine; a product opens `Smalt::embedded("acme.db").project(project).open()`.
    let engine = Smalt::in_memory().keys(LocalKey::generate()?).presenter(ScriptedConsent::allow("ada"));
    let crm = AcmeCrm { smalt: engine.project(project).open().await? };
    crm.integrations("customer-42").await?.into_iter().for_each(&mut say);
    say(format!("connected as {}", crm.connect("customer-42", "sandbox-oauth").await?));
    say(format!("a wrong hour: {}", crm.configure("customer-42", "sandbox-oauth", "at nine").await?));
    say(format!("settings: {}", crm.configure("customer-42", "sandbox-oauth", 9).await?));
    say(format!("contacts: {}", crm.contacts("customer-42", "sandbox-oauth").await?));
    say(format!("disconnected: {}", crm.leave("customer-42", "sandbox-oauth").await?));
    crm.integrations("customer-42").await?.into_iter().for_each(&mut say);
    crm.smalt.close().await;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<()> {
    run(&std::env::args().nth(1).expect("the project file"), |line| println!("{line}")).await
}
