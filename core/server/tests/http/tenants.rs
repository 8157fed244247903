//! S-35 over HTTP: every endpoint, with another account's or another environment's id in every place where one may stand. What
//! is answered is what an id answers that nobody has, nothing of the victim shows, and nothing of it changes. The endpoints are those of the
//! OpenAPI document. Smalt's own operations are tried where the API calls them, in `tests/security/tenants`.

use serde_json::json;
use smalt::{
    Smalt,
    backend::{ExecuteWorkflow, ListExecutions, WebhookSettings},
    manifest::AppManifest,
    model::{AccountUpdate, ConfigUpdate, Json},
    project::Project,
};
use smalt_server::{Access, ApiOptions};

use crate::{
    endpoints::{document, endpoints},
    golden::steady,
    world::World,
};

/// An account with one of everything.
struct Victim {
    smalt: Smalt,
    account: String,
    canary: String,
    config: String,
    execution: String,
    webhook: String,
}

impl Victim {
    async fn new(smalt: &Smalt, account: &str, app: &str) -> Victim {
        let (canary, config) = (format!("canary-of-{account}"), format!("config-of-{account}"));
        let handle = smalt.account(account);
        let update = AccountUpdate { name: Some(canary.clone()), ..AccountUpdate::default() };
        smalt.upsert_account(account, update).await.unwrap();
        let import = json!({"account": account, "application": app, "values": {"key": smalt::sandbox::API_KEY, "workspace": "acme"}});
        handle.import(serde_json::from_value(import).unwrap()).await.unwrap();
        let update: ConfigUpdate = serde_json::from_value(json!({"fields": {"colour": canary}, "workflows": {"digest": true}})).unwrap();
        let find = json!({"account": account, "application": app, "config_id": config, "seed": serde_json::to_value(&update).unwrap()});
        handle.find_config(serde_json::from_value(find).unwrap()).await.unwrap();
        handle.put_own_credentials([("token".to_owned(), canary.as_str().into())].into()).await.unwrap();
        let settings = WebhookSettings {
            url: Some("https://hooks.example/a".into()),
            events: Some(vec![smalt::model::WebhookEvent::ConnectionCreated]),
            description: Some(canary.clone()),
            ..WebhookSettings::default()
        };
        let webhook = smalt.create_webhook(settings).await.unwrap().webhook.id;
        let run = ExecuteWorkflow {
            application: app.into(),
            config_id: Some(config.clone()),
            workflow: "digest".into(),
            wait: true,
            ..Default::default()
        };
        let execution = handle.execute_workflow(run).await.map_or_else(|_| "0123456789abcdef01234567".to_owned(), |done| done.execution.id);
        Victim { smalt: smalt.clone(), account: account.to_owned(), canary, config, execution, webhook }
    }

    /// Everything that it has.
    async fn stands(&self, app: &str) -> String {
        let account = self.smalt.account(&self.account);
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?}",
            account.get().await.unwrap(),
            account.connections(None).await.unwrap(),
            account.get_config(app, Some(&self.config)).await.unwrap(),
            account.own_credentials().await.unwrap().values["token"].expose(),
            account.executions(ListExecutions::default()).await.unwrap(),
            self.smalt.webhooks().await.unwrap(),
        )
    }
}

/// An answer without what was asked and without what is new with each. What is asked is long enough that no random id has it in it.
fn alike(text: &str, asked: &[&str]) -> String {
    let mut text = text.to_owned();
    // The longest first: an account's name stands in its config's.
    let mut asked = asked.to_vec();
    asked.sort_by_key(|id| std::cmp::Reverse(id.len()));
    for asked in asked {
        text = text.replace(asked, "(id)");
    }
    let mut body: Json = serde_json::from_str(&text).unwrap_or(Json::String(text));
    if let Some(map) = body.as_object_mut() {
        map.remove("request_id");
    }
    steady(&body.to_string())
}

/// The sandbox has no place in production, and nobody tries these keys.
const LIVE: &str = "untried";
const LIVE_MANIFEST: &str = r#"
    manifest = 1
    slug = "untried"
    name = "Untried"
    description = "Keys that nobody tries."
    [api]
    base_url = "https://api.untried.example/"
    [keybased]
    placement = { in = "header", name = "x-key", value = "{key}" }
    [[keybased.inputs]]
    name = "key"
    label = "Key"
    secret = true
    [[keybased.inputs]]
    name = "workspace"
    label = "Workspace"
"#;

const NOBODY: [&str; 4] = ["only-nobody", "config-of-nobody", "0123456789abcdef01234567", "76543210fedcba9876543210"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s35_no_endpoint_crosses_accounts_or_environments() {
    let settings = |project: &mut Project| {
        let settings = project.apps["sandbox-key"].clone();
        project.apps.insert(LIVE.into(), settings);
    };
    let manifest = AppManifest::parse(LIVE_MANIFEST, "untried.toml").unwrap();
    let world = World::made(ApiOptions::default(), settings, |builder| builder.manifest(manifest.clone())).await;
    let production = world.production.clone();
    let people = [
        (Victim::new(&world.test, "account-ada", "sandbox-key").await, "sandbox-key"),
        (Victim::new(&world.test, "account-bob", "sandbox-key").await, "sandbox-key"),
        (Victim::new(&production, "account-cleo", LIVE).await, LIVE),
        (Victim::new(&production, "account-dan", LIVE).await, LIVE),
    ];
    let rows = endpoints(&document(&world).await);
    let mut calls = 0;
    let mut deviations = Vec::new();
    for round in 0..if std::env::var_os("SMALT_FULL").is_some() { 2 } else { 1 } {
        for (at, (attacker, app)) in people.iter().enumerate() {
            let is_live = at >= 2;
            let key = if is_live { &world.production_key } else { &world.key };
            let token = attacker.smalt.account(&attacker.account).session().await.unwrap();
            let bearer = format!("Bearer {}", token.token().expose());
            for (victim_at, (victim, victims_app)) in people.iter().enumerate().filter(|(victim_at, _)| *victim_at != at) {
                let same = (victim_at >= 2) == is_live;
                if round == 0 && !same && victim_at % 2 != at % 2 {
                    continue;
                }
                for (method, path, access) in rows
                    .iter()
                    .filter(|row| row.access != Access::Public && !row.path.starts_with("/smalt/v1/"))
                    .map(|row| (&row.method, &row.path, &row.access))
                {
                    let who = match access {
                        Access::Session => vec![("authorization", &*bearer)],
                        Access::Organisation | Access::Backend => vec![("x-api-key", &**key)],
                        _ => vec![("authorization", &*bearer), ("x-api-key", &**key)],
                    };
                    for (header, value) in who {
                        let is_session = header == "authorization";
                        for place in ["header", "query", "body", "path"] {
                            // The organisation's own accounts are no foreign ones to its key; webhooks are the environment's.
                            let ids_of_account = place != "path" || path.contains("/linked-account/{id}");
                            if !is_session && same && (ids_of_account || path.contains("{id}") && path.contains("webhook")) {
                                continue;
                            }
                            // Where a route is about no account, one that is named beside it means nothing.
                            if *access == Access::Organisation
                                && place != "path"
                                && (*method == "DELETE" || path.contains('{') || place != "body")
                            {
                                continue;
                            }
                            if place == "path" && !path.contains("{id}") && !path.contains("{config}") {
                                continue;
                            }
                            let before = victim.stands(victims_app).await;
                            let mut said = Vec::new();
                            for (account, config, execution, webhook) in [
                                (&*victim.account, &*victim.config, &*victim.execution, &*victim.webhook),
                                (NOBODY[0], NOBODY[1], NOBODY[2], NOBODY[3]),
                            ] {
                                let foreign = place == "path";
                                let id: &str = match *path {
                                    path if path.contains("webhook") => {
                                        if foreign {
                                            webhook
                                        } else {
                                            &attacker.webhook
                                        }
                                    }
                                    path if path.contains("execution") => {
                                        if foreign {
                                            execution
                                        } else {
                                            &attacker.execution
                                        }
                                    }
                                    path if path.contains("workflow") => "digest",
                                    _ => {
                                        if foreign {
                                            account
                                        } else {
                                            &attacker.account
                                        }
                                    }
                                };
                                let mut target = path
                                    .replace("{id}", id)
                                    .replace("{slug}", app)
                                    .replace("{config}", if foreign { config } else { &attacker.config })
                                    .replace("{workflow}", "digest")
                                    .replace("{field}", if path.contains("rule-engine") { "filter" } else { "colour" })
                                    .replace("{key}", "token");
                                let named = if place == "path" { &*attacker.account } else { account };
                                let mut headers = vec![(header, value), ("slug", *app)];
                                let mut body = json!({"slug": app, "config_id": attacker.config, "value": "changed", "enabled": false, "name": "changed"});
                                match place {
                                    "header" => headers.push(("linked_account_id", named)),
                                    "query" => target += &format!("?linked_account_id={named}"),
                                    "body" => {
                                        body["linked_account_id"] = named.into();
                                        body["account_id"] = named.into();
                                    }
                                    _ if !is_session => headers.push(("linked_account_id", named)),
                                    _ => {}
                                }
                                // What would change the attacker's own things, or all of the organisation's, is not sent.
                                let is_harmless = *method == "GET" || place != "body" || !is_session;
                                if !is_harmless {
                                    continue;
                                }
                                calls += 1;
                                let answer = world.call(method, &target, &headers, body).await;
                                said.push((
                                    answer.status,
                                    alike(&answer.text, &[account, config, execution, webhook]),
                                    answer.text,
                                    target,
                                ));
                            }
                            // What a key made under these ids, as it may, would be known from then on.
                            if !is_session && *path == "/api/v2/public/linked-account" && *method != "GET" {
                                let _ = attacker.smalt.delete_account(NOBODY[0]).await;
                                if !same {
                                    let _ = attacker.smalt.delete_account(&*victim.account).await;
                                }
                            }
                            let [foreign, unknown] = &said[..] else { continue };
                            let what = format!("{method} {path} [{place}, {header}] by {} of {}", attacker.account, victim.account);
                            let asks_for_other = is_session && matches!(place, "header" | "query");
                            if asks_for_other && *access != Access::Session && foreign.0 != 403 && !path.contains("/linked-account/{id}") {
                                deviations.push(format!("{what}: {} and not 403: {}", foreign.0, foreign.2));
                            }
                            // The organisation's list of its own accounts, in which the name that stands beside it means nothing.
                            let is_list = !is_session && *method == "GET" && *path == "/api/v2/public/linked-account";
                            if !is_list && (foreign.0, &foreign.1) != (unknown.0, &unknown.1) {
                                deviations
                                    .push(format!("{what}: foreign {} {}, unknown {} {}", foreign.0, foreign.1, unknown.0, unknown.1));
                            }
                            if foreign.2.contains(&victim.canary) {
                                deviations.push(format!("{what} shows {}", foreign.2));
                            }
                            if victim.stands(victims_app).await != before {
                                deviations.push(format!("{what} changes the victim"));
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(deviations.is_empty(), "{} deviations:\n{}", deviations.len(), deviations.join("\n"));
    assert!(calls >= 1000, "{calls} calls");
}
