//! S-38: caches, shared flights and locks are of one tenant's one account.

use serde_json::json;
use smalt::operations::Operation;

use super::{SHARED, Tenant, Tenants};

/// Four tenants and two accounts in each, all with the same names, at once: whoever asks gets what is its own, whether it
/// is answered from memory, from the store, or by a refresh that others wait for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s38_racing_reads_of_the_same_ids_never_cross() {
    const ACCOUNTS: [&str; 2] = [SHARED, "second"];
    const ROUNDS: usize = 250;
    let world = std::sync::Arc::new(Tenants::new().await);
    let canary = |tenant: &Tenant, account: &str| format!("canary-{}-{account}-end", tenant.name());
    for tenant in &world.all {
        for account in ACCOUNTS {
            let canary = canary(tenant, account);
            tenant.done(Operation::UpsertAccount, json!({"id": account, "update": {"name": canary}})).await;
            // Without an access token: the first readers all wait for one refresh.
            let import = json!({"account": account, "application": "crm", "values": {"refresh_token": canary}});
            tenant.done(Operation::ImportConnection, import).await;
            let seed = json!({"account": account, "application": "crm", "config_id": "same", "seed": {"fields": {"note": canary}}});
            tenant.done(Operation::Config, seed).await;
        }
    }
    let mut tasks = Vec::new();
    for at in 0..world.all.len() {
        for account in ACCOUNTS {
            for reads in 0..2 {
                let world = world.clone();
                let own = canary(&world.all[at], account);
                tasks.push(tokio::spawn(async move {
                    let tenant = &world.all[at];
                    let handle = tenant.smalt.account(account);
                    for round in 0..ROUNDS {
                        let credential = handle.credential("crm").await.unwrap();
                        assert_eq!(credential.access_token.as_ref().unwrap().expose(), format!("new-{own}"));
                        let said = match (round + reads) % 3 {
                            0 => String::from_utf8(handle.request("crm", "GET", "me").await.unwrap().body).unwrap(),
                            1 => json!(handle.get_config("crm", Some("same")).await.unwrap()).to_string(),
                            _ => json!(handle.get().await.unwrap()).to_string(),
                        };
                        assert!(said.contains(&own), "{said}");
                        if let Some(ready) = handle.try_credential("crm") {
                            assert_eq!(ready.unwrap().access_token.as_ref().unwrap().expose(), format!("new-{own}"));
                        }
                    }
                    ROUNDS * 3
                }));
            }
        }
    }
    let mut reads = 0;
    for task in tasks {
        reads += task.await.unwrap();
    }
    assert!(reads >= 10_000, "{reads}");
    let refreshes = world.transport.requests().iter().filter(|request| request.url.path() == "/token").count();
    assert_eq!(refreshes, world.all.len() * ACCOUNTS.len(), "one refresh for each connection, whoever else waited");
}
