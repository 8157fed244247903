//! `smalt config`: what a linked account has set for an application.

use std::collections::BTreeMap;

use anstyle::Style;
use smalt::{
    Result,
    backend::{FindConfig, UpdateConfig},
    model::{Config, ConfigUpdate, Field, FieldType, Json, WorkflowUpdate},
};

use crate::{
    args,
    context::Context,
    output::{Answer, BOLD, DIM, GREEN, Table, YELLOW, clean, to_json},
};

pub async fn run(context: &Context, args: args::Config) -> Result<Answer> {
    let changes = !(args.set.is_empty()
        && args.unset.is_empty()
        && args.enable.is_empty()
        && args.disable.is_empty()
        && args.workflow_set.is_empty());
    let config = context
        .with(false, async |smalt| {
            let account = smalt.account(&args.of.account);
            // Before a change only the types count, so no choice is asked for at the application.
            let find =
                FindConfig { application: args.app.clone(), config_id: args.id.clone(), without_options: changes, ..FindConfig::default() };
            let found = account.find_config(find).await?;
            if !changes {
                return Ok(found);
            }
            let change = UpdateConfig {
                application: args.app.clone(),
                config_id: args.id.clone(),
                update: update(&args, &found),
                ..UpdateConfig::default()
            };
            account.change_config(change).await
        })
        .await?;
    // The engine takes what it knows and reports the rest; whoever typed a name wants to know that it was not taken.
    let ignored = changes && config.field_errors.iter().any(|error| error.code == "unknown_field");
    Ok(Answer::new(to_json(&config), describe(&config)).failed(ignored))
}

fn update(args: &args::Config, config: &Config) -> ConfigUpdate {
    let mut fields: BTreeMap<String, Json> = args.unset.iter().map(|id| (id.clone(), Json::Null)).collect();
    fields.extend(args.set.iter().map(|(id, text)| (id.clone(), value(text, config.fields.iter().find(|f| &f.id == id)))));
    let mut workflows: BTreeMap<String, (Option<bool>, BTreeMap<String, Json>)> = BTreeMap::new();
    for (ids, on) in [(&args.enable, true), (&args.disable, false)] {
        for id in ids {
            workflows.entry(id.clone()).or_default().0 = Some(on);
        }
    }
    for (workflow, id, text) in &args.workflow_set {
        let known = config.workflows.iter().find(|w| &w.id == workflow).and_then(|w| w.fields.iter().find(|f| &f.id == id));
        workflows.entry(workflow.clone()).or_default().1.insert(id.clone(), value(text, known));
    }
    let workflows = workflows.into_iter().map(|(id, (enabled, fields))| (id, WorkflowUpdate::Change { enabled, fields })).collect();
    ConfigUpdate { fields, workflows, ..ConfigUpdate::default() }
}

/// What was typed, as the field's type takes it: `12` is text in a text field and a number elsewhere.
fn value(text: &str, field: Option<&Field>) -> Json {
    use FieldType::{Date, Email, Password, Text, Textarea, Url};
    let verbatim = field.is_some_and(|f| !f.multiple && matches!(f.field_type, Text | Textarea | Url | Email | Password | Date));
    if verbatim { text.into() } else { serde_json::from_str(text).unwrap_or_else(|_| text.into()) }
}

/// A value for people; passwords are not shown.
fn shown(field: &Field) -> (String, Style) {
    match (&field.value, &field.default_value) {
        (Some(_), _) if field.field_type == FieldType::Password => ("(set)".to_owned(), DIM),
        (Some(Json::String(text)), _) => (text.clone(), Style::new()),
        (Some(value), _) => (value.to_string(), Style::new()),
        (None, Some(_)) if field.field_type == FieldType::Password => ("(default)".to_owned(), DIM),
        (None, Some(default)) => (format!("{default} (default)"), DIM),
        (None, None) => ("-".to_owned(), DIM),
    }
}

fn rows(table: &mut Table, prefix: &str, fields: &[Field]) {
    for field in fields.iter().filter(|f| !f.hidden) {
        let (value, style) = shown(field);
        let choices = field.options.as_ref().map_or_else(String::new, |options| format!("{} choices", options.len()));
        table.row([
            (format!("{prefix}{}", field.id), BOLD),
            (field.name.clone(), Style::new()),
            (field.field_type.as_str().to_owned(), DIM),
            (value, style),
            (choices, DIM),
        ]);
    }
}

fn describe(config: &Config) -> String {
    let mut text = format!(
        "{} of {}, config {}, version {}\n\n",
        clean(&config.application),
        clean(&config.account_id),
        clean(&config.config_id),
        config.version
    );
    let mut fields = Table::new(&["field", "name", "type", "value", ""]);
    rows(&mut fields, "", &config.fields);
    for workflow in &config.workflows {
        rows(&mut fields, &format!("{}.", workflow.id), &workflow.fields);
    }
    let none = config.fields.is_empty() && config.workflows.iter().all(|workflow| workflow.fields.is_empty());
    text.push_str(&if none { "No settings.\n".to_owned() } else { fields.text() });
    if !config.workflows.is_empty() {
        let mut table = Table::new(&["workflow", "name", "switch"]);
        for workflow in &config.workflows {
            let (word, style) = if workflow.enabled { ("on", GREEN) } else { ("off", DIM) };
            table.row([(&*workflow.id, BOLD), (&workflow.name, Style::new()), (word, style)]);
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    if !config.field_errors.is_empty() {
        let mut table = Table::new(&["to look at", "", ""]);
        for error in &config.field_errors {
            table.row([(&*error.path, BOLD), (&error.code, YELLOW), (&error.message, Style::new())]);
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    text
}
