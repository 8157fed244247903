//! Configs and fields by the service's routes.

use serde_json::json;

use super::{Known, by_key, cannot, segment};
use crate::{
    backend::*,
    error::{Result, bail},
    model::*,
    operations::Operation,
    plugin::{Clock, SystemClock},
    remote::{
        link::{self, Call},
        retry::Effect,
    },
    wire,
};

/// The service does not say when.
fn config(account: String, body: wire::Config) -> Config {
    let now = SystemClock::default().now();
    Config {
        application: body.slug,
        account_id: account,
        config_id: body.config_id,
        version: body.version,
        fields: body.fields.into_iter().map(Field::from).collect(),
        workflows: body.workflows.into_iter().map(Workflow::from).collect(),
        field_errors: body.field_errors.into_iter().map(FieldError::from).collect(),
        created_at: now,
        updated_at: now,
    }
}

#[derive(serde::Deserialize)]
struct Id {
    config_id: String,
}

#[derive(serde::Deserialize)]
struct Rule {
    rule_column: RuleColumns,
}

impl Known {
    fn family(caller: &Caller) -> &'static str {
        if by_key(caller) { "public" } else { "f-sdk" }
    }

    fn config_path(caller: &Caller, application: &str, config_id: Option<&str>) -> Result<String> {
        let path = format!("/api/v2/{}/slug/{}/config", Self::family(caller), segment("application", application)?);
        Ok(match config_id {
            Some(id) => format!("{path}/{}", segment("config's id", id)?),
            None => path,
        })
    }

    async fn config_of(&self, caller: &Caller, account: String, call: Call) -> Result<Config> {
        Ok(config(account, self.ask(caller, call).await?))
    }

    pub(super) async fn find_config(&self, caller: &Caller, request: FindConfig) -> Result<Config> {
        let path = format!("/api/v2/{}/config", Self::family(caller));
        let mut call = self.about(caller, &request.account, Operation::Config, "POST", path)?;
        let update = ConfigUpdate { labels: request.labels, ..request.seed.unwrap_or_default() };
        call.body = Some(link::json(&wire::config_body(&request.application, request.config_id.as_deref(), update))?);
        options(&mut call, request.without_options);
        self.config_of(caller, request.account, call).await
    }

    pub(super) async fn read_config(&self, caller: &Caller, request: GetConfig) -> Result<Config> {
        let mut call = match request.or_empty {
            false => {
                let path = Self::config_path(caller, &request.application, request.config_id.as_deref())?;
                self.about(caller, &request.account, Operation::GetConfig, "GET", path)?
            }
            // Answers what a new config would hold, and makes none.
            true => {
                let path = "/api/v2/public/config/field".to_owned();
                let mut call = self.about(caller, &request.account, Operation::GetConfig, "POST", path)?;
                call.headers.push(("slug", request.application.clone()));
                call.query.extend(request.config_id.clone().map(|id| ("config_id", id)));
                call.body = Some(link::json(&json!({}))?);
                call
            }
        };
        options(&mut call, request.without_options);
        self.config_of(caller, request.account, call).await
    }

    pub(super) async fn change_config(&self, caller: &Caller, request: UpdateConfig) -> Result<Config> {
        if request.update.version.is_some() {
            return Err(cannot("it knows no versions: leave `version` out, or use a Smalt server"));
        }
        let path = format!("/api/v2/{}/config", Self::family(caller));
        let mut call = self.about(caller, &request.account, Operation::UpdateConfig, "PUT", path)?;
        call.effect = Effect::of_update(&request);
        options(&mut call, request.without_options);
        call.body = Some(link::json(&wire::config_body(&request.application, request.config_id.as_deref(), request.update))?);
        self.config_of(caller, request.account, call).await
    }

    pub(super) async fn remove_config(&self, caller: &Caller, request: GetConfig) -> Result<()> {
        let path = Self::config_path(caller, &request.application, request.config_id.as_deref())?;
        let call = self.about(caller, &request.account, Operation::DeleteConfig, "DELETE", path)?;
        self.ask::<serde::de::IgnoredAny>(caller, call).await.map(drop)
    }

    pub(super) async fn config_ids(&self, caller: &Caller, request: GetApp) -> Result<Vec<String>> {
        let path = format!("/api/v2/public/slug/{}/configs", segment("application", &request.application)?);
        let ids: Vec<Id> = self.ask(caller, self.about(caller, &request.account, Operation::ListConfigs, "GET", path)?).await?;
        Ok(ids.into_iter().map(|id| id.config_id).collect())
    }

    /// The application stands in a header here, the scope of the field in the query.
    #[allow(clippy::too_many_arguments)]
    fn field_call(
        &self,
        caller: &Caller,
        operation: Operation,
        method: &'static str,
        room: &str,
        (account, application, field): (&str, &str, &str),
        workflow: Option<String>,
        config_id: Option<String>,
    ) -> Result<Call> {
        if application.is_empty() {
            bail!(InvalidRequest, "the application is empty");
        }
        let path = format!("/api/v2/public/config/{room}/{}", segment("field's id", field)?);
        let mut call = self.about(caller, account, operation, method, path)?;
        call.headers.push(("slug", application.to_owned()));
        call.query.extend(workflow.map(|workflow| ("workflow_id", workflow)));
        call.query.extend(config_id.map(|id| ("config_id", id)));
        Ok(call)
    }

    pub(super) async fn read_field(&self, caller: &Caller, request: ConfigField) -> Result<Field> {
        if request.search.is_some() {
            return Err(cannot("choices cannot be searched there: leave `search` out"));
        }
        let names = (&*request.account, &*request.application, &*request.field);
        let mut call = self.field_call(caller, Operation::ConfigField, "POST", "field", names, request.workflow, request.config_id)?;
        let body = request.parent_value.map_or_else(|| json!({}), |value| json!({"value": value}));
        call.body = Some(link::json(&body)?);
        self.ask::<wire::Field>(caller, call).await.map(Field::from)
    }

    pub(super) async fn write_field(&self, caller: &Caller, request: SetConfigField) -> Result<Field> {
        let method = if request.value.is_some() { "PUT" } else { "DELETE" };
        let names = (&*request.account, &*request.application, &*request.field);
        let mut call = self.field_call(caller, Operation::SetConfigField, method, "field", names, request.workflow, request.config_id)?;
        if let Some(value) = request.value {
            call.body = Some(link::json(&json!({"value": value}))?);
        }
        self.ask::<wire::Field>(caller, call).await.map(Field::from)
    }

    pub(super) async fn rule(&self, caller: &Caller, request: GetRuleColumns) -> Result<RuleColumns> {
        let names = (&*request.account, &*request.application, &*request.field);
        let mut call = self.field_call(caller, Operation::RuleColumns, "POST", "rule-engine", names, request.workflow, None)?;
        call.body = Some(link::json(&json!({"rule_column": {"lhs": request.lhs}}))?);
        Ok(self.ask::<Rule>(caller, call).await?.rule_column)
    }
}

fn options(call: &mut Call, without: bool) {
    if without {
        call.headers.push(("disable_field_options", "true".to_owned()));
    }
}
