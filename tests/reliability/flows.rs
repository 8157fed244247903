//! Flows that nobody comes back to.

use smalt::engine::Timings;
use smalt_tests::size;

use crate::stage::{SANDBOX, Stage, connect_sandbox, consent, sandbox, timings};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// So many copies of the one flow that is there, each with a state of its own.
fn abandon(stage: &Stage, count: usize) {
    let sql = stage.sql();
    let columns: Vec<String> = {
        let mut rows = sql.prepare("SELECT name FROM pragma_table_info('flows')").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let copied: Vec<String> = columns
        .iter()
        .map(|name| match name.as_str() {
            "id" => "printf('%024x', n.i)".to_owned(),
            "state_hash" => "'abandoned-' || n.i".to_owned(),
            _ => format!("flows.{name}"),
        })
        .collect();
    let query = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
         INSERT INTO flows ({}) SELECT {} FROM flows, n",
        columns.join(", "),
        copied.join(", ")
    );
    assert_eq!(sql.execute(&query, [i64::try_from(count).unwrap()]).unwrap(), count);
}

/// Waits for a count to fall to zero; as long as it falls, it may take its time.
async fn gone(stage: &Stage, query: &str) {
    let mut left = stage.count(query);
    while left > 0 {
        let before = left;
        crate::stage::until(query, async || {
            left = stage.count(query);
            left < before
        })
        .await;
    }
}

/// Many pending flows stand in nobody's way; when their time is over their secrets go at once, and a day later the rows.
#[tokio::test(flavor = "multi_thread")]
async fn r52_abandoned_flows_are_reaped() {
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    let count = size(5_000, 100_000);
    let (_, _, _) = consent(&smalt, "customer-0", None).await;
    abandon(&stage, count);
    let pending = "SELECT count(*) FROM flows WHERE status = 'pending'";
    assert_eq!(stage.count(pending), i64::try_from(count).unwrap() + 1);

    // A start among them is one row, and its state is found by an index: see the store's own test of its queries.
    connect_sandbox(&smalt, "customer-1").await;
    let (fresh, callback, cookie) = consent(&smalt, "customer-2", None).await;
    assert_eq!(stage.count("SELECT count(*) FROM flows WHERE length(sealed) = 0"), 1, "the flow that ended holds no secret");

    // Their time is over. An engine that opens reaps all of them at once, while others go on.
    stage.clock.shift(11 * MINUTE);
    let reaper = stage.open().await;
    for n in 3..13 {
        connect_sandbox(&smalt, &format!("customer-{n}")).await;
    }
    gone(&stage, pending).await;
    let expired = "SELECT count(*) FROM flows WHERE status = 'expired' AND length(sealed) = 0 AND claim_hash IS NULL";
    assert_eq!(stage.count(expired), i64::try_from(count).unwrap() + 2);
    let late = smalt.account("customer-2").finish_connect(callback, cookie).await.unwrap_err();
    assert!([smalt::Code::FlowExpired, smalt::Code::StateReplayed].contains(&late.code()), "{late}");
    let flow = smalt.account("customer-2").flow(&fresh).status().await.unwrap();
    assert_eq!(flow.status, smalt::model::FlowStatus::Expired);

    // A day later nothing of them is left; what they led to is.
    stage.clock.shift(DAY + MINUTE);
    let cleaner = stage.open_with(Timings { flow_retention: std::time::Duration::from_secs(86_400), ..timings() }).await;
    gone(&stage, "SELECT count(*) FROM flows").await;
    assert_eq!(stage.count("SELECT count(*) FROM connections"), 11);
    assert!(smalt.account("customer-1").credential(SANDBOX).await.is_ok());
    for engine in [smalt, reaper, cleaner] {
        engine.close().await;
    }
}
