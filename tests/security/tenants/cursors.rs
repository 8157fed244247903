//! S-36: cursors and searches stay inside their tenant and their list.

use serde_json::json;
use smalt::{Code, model::Json, operations::Operation};

use super::{Tenant, Tenants};

const LISTS: [(Operation, &str); 3] = [(Operation::ListAccounts, "cursor"), (Operation::Audit, "cursor"), (Operation::Events, "since")];

/// Six accounts a tenant, each with its tenant's name in it.
async fn filled() -> Tenants {
    let world = Tenants::new().await;
    for tenant in &world.all {
        for n in 0..6 {
            let request = json!({"id": format!("{}-{n}", tenant.name()), "update": {"name": format!("of {} 100% _x", tenant.name())}});
            tenant.done(Operation::UpsertAccount, request).await;
        }
        // Each leaves a row in the audit.
        for n in 3..6 {
            tenant.done(Operation::DeleteAccount, json!({"account": format!("{}-{n}", tenant.name())})).await;
        }
    }
    world
}

async fn page(tenant: &Tenant, (list, field): (Operation, &str), cursor: Option<&Json>) -> smalt::Result<Json> {
    let mut request = json!({"limit": 1});
    if let Some(cursor) = cursor {
        request[field] = cursor.clone();
    }
    tenant.call(&Tenant::organisation(), list, request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn s36_cursors_are_of_one_tenant_and_one_list() {
    let world = filled().await;
    let mut cursors = Vec::new();
    for tenant in &world.all {
        for list in LISTS {
            cursors.push((tenant.name(), list, page(tenant, list, None).await.unwrap()["next"].clone()));
        }
    }
    let mut refused = 0;
    for tenant in &world.all {
        for list in LISTS {
            for (owner, of, cursor) in &cursors {
                let answer = page(tenant, list, Some(cursor)).await;
                if *owner == tenant.name() && of.0 == list.0 {
                    assert_eq!(answer.unwrap()["items"].as_array().unwrap().len(), 1);
                } else {
                    assert_eq!(answer.unwrap_err().code(), Code::InvalidCursor, "{owner} {of:?} at {} {list:?}", tenant.name());
                    refused += 1;
                }
            }
        }
    }
    // Every bit, cut, padded, and made up.
    for (owner, list, cursor) in &cursors {
        let tenant = world.all.iter().find(|tenant| tenant.name() == *owner).unwrap();
        let good = cursor.as_str().unwrap();
        let mut forged: Vec<String> = Vec::new();
        for at in 0..good.len() {
            for bit in 0..7 {
                let mut bytes = good.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                forged.push(String::from_utf8(bytes).unwrap());
            }
            forged.push(good[..at].to_owned());
        }
        forged.extend([
            format!("{good}="),
            format!(" {good}"),
            format!("{good}A"),
            good.repeat(2),
            "A".repeat(100_000),
            "ä".to_owned(),
            "\0".to_owned(),
        ]);
        forged.extend(["' OR 1=1 --", "0", "-1", "null", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"].map(str::to_owned));
        for cursor in forged {
            let answer = page(tenant, *list, Some(&json!(cursor))).await;
            assert_eq!(answer.expect_err(&cursor).code(), Code::InvalidCursor, "{cursor:?}");
            refused += 1;
        }
    }
    assert!(refused >= 1000, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s36_pages_and_searches_show_the_tenants_own_rows_only() {
    let world = filled().await;
    let mut seen = 0;
    for tenant in &world.all {
        for list in LISTS {
            let (mut cursor, mut pages) = (None, 0);
            loop {
                let answer = page(tenant, list, cursor.as_ref()).await.unwrap();
                for other in world.all.iter().filter(|other| other.name() != tenant.name()) {
                    assert!(!answer["items"].to_string().contains(&format!("{}-", other.name())), "{answer}");
                }
                seen += answer["items"].as_array().unwrap().len();
                pages += 1;
                if answer["next"].is_null() || answer["items"].as_array().unwrap().is_empty() {
                    break;
                }
                cursor = Some(answer["next"].clone());
            }
            assert!(pages >= 3, "{list:?}");
        }
        let everything = ["", "%", "_", "acme", "globex", "%%", "\\", "' OR '1'='1", "') OR 1=1 --", "100%", "_x", "%acme%", "*", "?"];
        for search in everything {
            let answer = tenant.done(Operation::ListAccounts, json!({"search": search})).await;
            let items = answer["items"].as_array().unwrap();
            for item in items {
                assert!(item["id"].as_str().unwrap().starts_with(&format!("{}-", tenant.name())), "{search:?}: {item}");
            }
            let expected = match search {
                "" | "100%" | "_x" | "_" | "%" => 3,
                name if name == tenant.org => 3,
                _ => 0,
            };
            assert_eq!(items.len(), expected, "{search:?} at {}", tenant.name());
        }
    }
    assert!(seen > 50, "{seen}");
}
