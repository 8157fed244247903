//! Configs: found or made, changed, rendered with their choices, and handed to the host's runner.

use std::sync::Arc;

use super::{About, Inner, accounts::check_id, apps::App, connections, request::connector_name, require_account, sealed};
use crate::{
    Code, Timestamp,
    backend::{ConfigField, FindConfig, GetApp, GetConfig, GetCredential, GetRuleColumns, RunWorkflow, SetConfigField, UpdateConfig},
    config::{self, Access, Applied, FieldPath, Resolved, Scope, Stored, Wanted},
    error::{Result, bail, err},
    ids,
    model::{Config, ConfigUpdate, ConnectionStatus, Credential, EventType, Field, FieldOption, Json, RuleColumns},
    plugin::{RuleRequest, Tx, WorkflowRun},
    store::rows::ConfigRow,
};

/// How often an update is tried again when others change the same config meanwhile.
const RETRIES: u32 = 20;
/// The most choices that a plugin may answer.
const MOST_OPTIONS: usize = 10_000;

/// Which config is meant.
#[derive(Clone)]
struct Key {
    account: String,
    application: String,
    config_id: String,
}

impl Key {
    fn new(account: String, application: String, config_id: Option<String>) -> Result<Self> {
        let config_id = config_id.filter(|id| !id.is_empty()).unwrap_or_else(|| account.clone());
        check_id("config_id", &config_id)?;
        Ok(Self { account, application, config_id })
    }

    fn find(&self, tx: &mut dyn Tx, about: &About) -> Result<Option<ConfigRow>> {
        require_account(tx, &about.tenant, &self.account)?;
        tx.config(&about.tenant, &self.account, &self.application, &self.config_id)
    }

    fn missing(&self) -> crate::Error {
        err!(ConfigNotFound, "Config with config id {} not found", self.config_id)
    }
}

impl Inner {
    fn stored(&self, row: &ConfigRow) -> Result<Stored> {
        sealed::open_config(&self.vault, &self.tenant, row)
    }

    pub(super) async fn find_config(self: &Arc<Self>, actor: String, request: FindConfig) -> Result<Config> {
        let app = self.app(&request.application).await?;
        let key = Key::new(request.account, request.application, request.config_id)?;
        let about = self.about(actor, &key.account, Some(&key.application));
        let found = {
            let (key, about) = (key.clone(), about.clone());
            self.read(move |tx| key.find(tx, &about)).await?
        };
        let labels = request.labels.filter(|labels| !no_labels(labels));
        if let Some(row) = found {
            let Some(labels) = labels else { return self.rendered(&app, row, Vec::new(), request.without_options).await };
            let update = ConfigUpdate { labels: Some(labels), ..ConfigUpdate::default() };
            return self.change(&app, about, key, update, request.without_options).await;
        }
        let mut seed = request.seed.unwrap_or_default();
        seed.labels = labels.or(seed.labels);
        let made = config::create(app.settings(), Some(&seed))?;
        let (vault, errors) = (self.vault.clone(), made.errors.clone());
        let row = self
            .write(move |tx| {
                // Somebody else may have made it meanwhile.
                if let Some(row) = key.find(tx, &about)? {
                    return Ok(row);
                }
                let now = about.now.millis();
                let mut row = ConfigRow {
                    id: ids::new_id(about.now)?,
                    account_id: key.account,
                    application: key.application,
                    config_id: key.config_id,
                    version: 1,
                    sealed: Vec::new(),
                    created_at: now,
                    updated_at: now,
                };
                sealed::seal_config(&vault, &about.tenant, &mut row, &made.stored)?;
                tx.put_config(&about.tenant, &row)?;
                about.event(tx, EventType::ConfigCreated, &serde_json::json!({"config": row.config_id}))?;
                log_switches(tx, &about, &row, &made)?;
                Ok(row)
            })
            .await?;
        self.rendered(&app, row, errors, request.without_options).await
    }

    pub(super) async fn get_config(self: &Arc<Self>, request: GetConfig) -> Result<Config> {
        let app = self.app(&request.application).await?;
        let key = Key::new(request.account, request.application, request.config_id)?;
        let row = match self.config_row(&key).await {
            Err(error) if request.or_empty && error.is(Code::ConfigNotFound) => self.unwritten(&app, key)?,
            found => found?,
        };
        self.rendered(&app, row, Vec::new(), request.without_options).await
    }

    /// A config as it would be made, of version 0.
    fn unwritten(&self, app: &App, key: Key) -> Result<ConfigRow> {
        let now = self.now();
        let mut row = ConfigRow {
            id: ids::new_id(now)?,
            account_id: key.account,
            application: key.application,
            config_id: key.config_id,
            version: 0,
            sealed: Vec::new(),
            created_at: now.millis(),
            updated_at: now.millis(),
        };
        sealed::seal_config(&self.vault, &self.tenant, &mut row, &Stored::new(app.settings()))?;
        Ok(row)
    }

    async fn config_row(&self, key: &Key) -> Result<ConfigRow> {
        let (key, about) = (key.clone(), self.about(String::new(), &key.account, None));
        self.read(move |tx| key.find(tx, &about)?.ok_or_else(|| key.missing())).await
    }

    pub(super) async fn update_config(self: &Arc<Self>, actor: String, request: UpdateConfig) -> Result<Config> {
        let app = self.app(&request.application).await?;
        let key = Key::new(request.account, request.application, request.config_id)?;
        let about = self.about(actor, &key.account, Some(&key.application));
        self.change(&app, about, key, request.update, request.without_options).await
    }

    async fn change(self: &Arc<Self>, app: &App, about: About, key: Key, update: ConfigUpdate, without_options: bool) -> Result<Config> {
        let (row, applied) = self.apply(app, &about, &key, &update).await?;
        self.rendered(app, row, applied.errors, without_options).await
    }

    /// Applies an update to the config as it stands; begins again when somebody else was faster, unless the update says
    /// which version it saw.
    async fn apply(self: &Arc<Self>, app: &App, about: &About, key: &Key, update: &ConfigUpdate) -> Result<(ConfigRow, Applied)> {
        for _ in 0..RETRIES {
            let row = self.config_row(key).await?;
            config::expect_version(update, row.version.unsigned_abs())?;
            let mut applied = config::apply(app.settings(), &self.stored(&row)?, update)?;
            if !applied.recheck.is_empty() {
                self.settle(app, &key.account, &mut applied).await?;
            }
            if !applied.changed {
                return Ok((row, applied));
            }
            let (about, key, vault, seen, new) = (about.clone(), key.clone(), self.vault.clone(), row.version, applied.clone());
            let written = self
                .write(move |tx| {
                    let Some(mut row) = key.find(tx, &about)? else { return Err(key.missing()) };
                    if row.version != seen {
                        return Ok(None);
                    }
                    row.version += 1;
                    row.updated_at = about.now.millis();
                    sealed::seal_config(&vault, &about.tenant, &mut row, &new.stored)?;
                    tx.put_config(&about.tenant, &row)?;
                    about.event(tx, EventType::ConfigUpdated, &serde_json::json!({"config": row.config_id, "version": row.version}))?;
                    log_switches(tx, &about, &row, &new)?;
                    Ok(Some(row))
                })
                .await?;
            if let Some(row) = written {
                return Ok((row, applied));
            }
        }
        bail!(ConfigConflict, "others change the config all the time")
    }

    /// A child keeps its value only while it is among the choices for its parent's new one.
    async fn settle(self: &Arc<Self>, app: &App, account: &str, applied: &mut Applied) -> Result<()> {
        let mut resolved = Resolved::new(self.access(app, account).await?);
        loop {
            let wanted = config::wanted_options(app.settings(), &applied.stored, Scope::Fields(&applied.recheck), &resolved);
            if wanted.is_empty() {
                break;
            }
            self.resolve(app, account, wanted, None, &mut resolved).await;
            config::settle(app.settings(), applied, &resolved);
        }
        config::settle(app.settings(), applied, &resolved);
        Ok(())
    }

    pub(super) async fn delete_config(&self, actor: String, request: GetConfig) -> Result<()> {
        let key = Key::new(request.account, request.application, request.config_id)?;
        let about = self.about(actor, &key.account, Some(&key.application));
        self.write(move |tx| {
            require_account(tx, &about.tenant, &key.account)?;
            if !tx.delete_config(&about.tenant, &key.account, &key.application, &key.config_id)? {
                return Err(key.missing());
            }
            about.event(tx, EventType::ConfigDeleted, &serde_json::json!({"config": key.config_id}))
        })
        .await
    }

    pub(super) async fn list_configs(&self, request: GetApp) -> Result<Vec<String>> {
        self.app(&request.application).await?;
        let tenant = self.tenant.clone();
        let rows = self
            .read(move |tx| {
                require_account(tx, &tenant, &request.account)?;
                tx.configs(&tenant, &request.account, &request.application)
            })
            .await?;
        Ok(rows.into_iter().map(|row| row.config_id).collect())
    }

    pub(super) async fn config_field(self: &Arc<Self>, request: ConfigField) -> Result<Field> {
        let app = self.app(&request.application).await?;
        let path = FieldPath::new(request.workflow.as_deref(), &request.field);
        let key = Key::new(request.account, request.application, request.config_id)?;
        let stored = self.stored_or_new(&app, &key).await?;
        let scope = Scope::One { path: &path, parent_value: request.parent_value.as_ref() };
        let mut resolved = Resolved::new(self.access(&app, &key.account).await?);
        let wanted = config::wanted_options(app.settings(), &stored, scope, &resolved);
        self.resolve(&app, &key.account, wanted, request.search.as_deref(), &mut resolved).await;
        config::render_field(app.settings(), &stored, &path, &resolved).map(|(field, _)| field)
    }

    /// Definitions can be shown before anything is stored.
    async fn stored_or_new(&self, app: &App, key: &Key) -> Result<Stored> {
        match self.config_row(key).await {
            Ok(row) => self.stored(&row),
            Err(error) if error.is(Code::ConfigNotFound) => Ok(Stored::new(app.settings())),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn set_config_field(self: &Arc<Self>, actor: String, request: SetConfigField) -> Result<Field> {
        let app = self.app(&request.application).await?;
        let path = FieldPath::new(request.workflow.as_deref(), &request.field);
        config::field_def(app.settings(), &path)?;
        let key = Key::new(request.account, request.application, request.config_id)?;
        let about = self.about(actor, &key.account, Some(&key.application));
        let update = config::set_field(&path, request.value.unwrap_or(Json::Null));
        let (_, applied) = self.apply(&app, &about, &key, &update).await?;
        let skip = Resolved::new(Access::Skip);
        config::render_field(app.settings(), &applied.stored, &path, &skip).map(|(field, _)| field)
    }

    pub(super) async fn rule_columns(self: &Arc<Self>, request: GetRuleColumns) -> Result<RuleColumns> {
        let app = self.app(&request.application).await?;
        let path = FieldPath::new(request.workflow.as_deref(), &request.field);
        let definition = config::field_def(app.settings(), &path)?;
        // Refuses other fields before anybody is asked.
        let declared = config::rules::columns(definition, &request.lhs, None)?;
        let (tenant, account) = (self.tenant.clone(), request.account.clone());
        self.read(move |tx| require_account(tx, &tenant, &account)).await?;
        let Some(connector) = self.connectors.get(app.slug()).cloned() else { return Ok(declared) };
        let credential = self.credential_for(&request.account, &app).await.ok();
        let ctx = self.context(&app, &request.account, credential.clone());
        let asked = RuleRequest { field: request.field, workflow: request.workflow, lhs: request.lhs.clone() };
        let scrubbed = credential.as_deref();
        let asking = async move { connector.rule_columns(ctx, asked).await };
        let dynamic = self.call_connector(&app, &request.account, scrubbed, "rule_columns", asking).await?;
        config::rules::columns(definition, &request.lhs, dynamic)
    }

    /// What a workflow that is on is run with, where the application is connected.
    pub(super) async fn workflow_run(self: &Arc<Self>, request: RunWorkflow) -> Result<WorkflowRun> {
        let app = self.app(&request.application).await?;
        let key = Key::new(request.account, request.application, request.config_id)?;
        let stored = self.stored(&self.config_row(&key).await?)?;
        let (fields, workflow_fields) = config::values(app.settings(), &stored, &request.workflow)?;
        match self.access(&app, &key.account).await? {
            Access::Live => {}
            Access::ReauthRequired => bail!(ReauthRequired, "the connection with `{}` is no longer good", key.application),
            _ => return Err(connections::not_connected(&key.account, &key.application)),
        }
        Ok(WorkflowRun {
            account_id: key.account,
            application: key.application,
            config_id: key.config_id,
            workflow: request.workflow,
            fields,
            workflow_fields,
            payload: request.payload,
        })
    }

    /// The config as callers see it, with its choices.
    async fn rendered(
        self: &Arc<Self>,
        app: &App,
        row: ConfigRow,
        mut errors: Vec<crate::model::FieldError>,
        without_options: bool,
    ) -> Result<Config> {
        let stored = self.stored(&row)?;
        let mut resolved = Resolved::new(Access::Skip);
        if !without_options {
            resolved = Resolved::new(self.access(app, &row.account_id).await?);
            loop {
                let wanted = config::wanted_options(app.settings(), &stored, Scope::All, &resolved);
                if wanted.is_empty() {
                    break;
                }
                self.resolve(app, &row.account_id, wanted, None, &mut resolved).await;
            }
        }
        let ids = config::Ids {
            application: row.application,
            account_id: row.account_id,
            config_id: row.config_id,
            version: row.version.unsigned_abs(),
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        };
        let mut config = config::render(ids, app.settings(), &stored, &resolved);
        config.field_errors.append(&mut errors);
        Ok(config)
    }

    /// Whether the application can be asked for choices.
    async fn access(&self, app: &App, account: &str) -> Result<Access> {
        let (tenant, account, slug) = (self.tenant.clone(), account.to_owned(), app.slug().to_owned());
        let rows = self.read(move |tx| tx.connections(&tenant, &account, Some(&slug))).await?;
        Ok(match rows.first() {
            None => Access::NotConnected,
            Some(row) if row.status == ConnectionStatus::Active.as_str() => Access::Live,
            Some(_) => Access::ReauthRequired,
        })
    }

    async fn credential_for(self: &Arc<Self>, account: &str, app: &App) -> Result<Arc<Credential>> {
        let selector = GetCredential { account: account.to_owned(), application: app.slug().to_owned(), connection: None };
        let (_, row) = self.usable(&selector).await?;
        self.open_credential(&row).map(Arc::new)
    }

    /// Asks the connector for every list that is wanted; trouble is kept beside the field and fails nothing.
    async fn resolve(self: &Arc<Self>, app: &App, account: &str, wanted: Vec<Wanted>, search: Option<&str>, resolved: &mut Resolved) {
        let credential = self.credential_for(account, app).await;
        for want in wanted {
            let answer = match &credential {
                Ok(credential) => self.ask_options(app, account, credential.clone(), &want, search).await,
                Err(error) => Err(error.clone()),
            };
            resolved.insert(want, answer);
        }
    }

    async fn ask_options(
        self: &Arc<Self>,
        app: &App,
        account: &str,
        credential: Arc<Credential>,
        want: &Wanted,
        search: Option<&str>,
    ) -> Result<Vec<FieldOption>> {
        let Some(connector) = self.connectors.get(app.slug()).cloned() else {
            bail!(Unsupported, "no connector is registered for `{}`, which could answer `{}`", app.slug(), want.source)
        };
        let ctx = self.context(app, account, Some(credential.clone()));
        let name = connector_name(app);
        let request = want.request(search);
        let asking = async move { connector.options(ctx, request).await };
        let answer = self.call_connector(app, account, Some(&credential), "options", asking).await?;
        let Some(options) = answer else { bail!(PluginAnswer, "`{name}` does not know the options `{}`", want.source) };
        if options.len() > MOST_OPTIONS {
            bail!(PluginAnswer, "`{name}` answered more than {MOST_OPTIONS} options");
        }
        Ok(match search {
            Some(search) => config::filter_options(options, search),
            None => options,
        })
    }
}

fn log_switches(tx: &mut dyn Tx, about: &About, row: &ConfigRow, applied: &Applied) -> Result<()> {
    for (workflow, on) in &applied.switched {
        let event = if *on { EventType::WorkflowEnabled } else { EventType::WorkflowDisabled };
        about.event(tx, event, &serde_json::json!({"config": row.config_id, "workflow": workflow}))?;
    }
    Ok(())
}

/// SDKs send an empty list on every call; it means "keep".
fn no_labels(labels: &crate::model::Labels) -> bool {
    match labels {
        crate::model::Labels::All(labels) => labels.is_empty(),
        crate::model::Labels::ByObject(objects) => objects.is_empty(),
    }
}
