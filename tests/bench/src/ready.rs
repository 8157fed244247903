//! The ready path: the credential of a valid token, from one task, the result included.

use std::time::Instant;

use smalt::{Smalt, model::AccountUpdate};

use crate::report::{Row, median};

const CALLS: usize = 500_000;
const ROUNDS: usize = 7;

pub async fn measure() -> Row {
    let smalt = Smalt::sandbox().await.unwrap();
    smalt.upsert_account("customer-42", AccountUpdate::default()).await.unwrap();
    let account = smalt.account("customer-42");
    account.connect("sandbox-oauth").await.unwrap();
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        // The first call of a round may have to look at the store again.
        account.credential("sandbox-oauth").await.unwrap();
        let from = Instant::now();
        let mut seen = 0;
        for _ in 0..CALLS {
            let credential = account.credential("sandbox-oauth").await.unwrap();
            seen += credential.access_token.as_ref().unwrap().expose().len();
        }
        assert!(seen >= CALLS * 20, "every call answered a token");
        rates.push(CALLS as f64 / from.elapsed().as_secs_f64());
    }
    Row::floor("ready-credential", "ready credential, 1 task", median(rates), 500_000.0, "calls/s")
}
