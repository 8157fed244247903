//! The data: what goes wrong, what is called, and what must come of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Problem, door::Door};

/// The file, for the tests of whoever has no folder.
const FILE: &str = include_str!("../cases.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    client: Client,
    cases: Vec<Case>,
}

/// The times of the client, in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// A call in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// One try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_timeout: Option<f64>,
    /// To connect and shake hands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<f64>,
}

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// What holds, as a sentence.
    pub title: String,
    /// How the client gets in.
    #[serde(default)]
    pub(crate) door: Door,
    /// A server that nobody else uses, on a file, so that it can be started again.
    #[serde(default)]
    pub(crate) own_server: bool,
    /// Times that differ from those of the file.
    #[serde(default)]
    pub client: Client,
    /// As in a conformance case.
    pub steps: Vec<Value>,
}

/// All cases, with the client's times filled in.
///
/// # Errors
/// What the file says wrongly.
pub fn cases() -> Result<Vec<Case>, Problem> {
    let File { client, mut cases } = serde_json::from_str(FILE)?;
    for case in &mut cases {
        case.client.timeout = case.client.timeout.or(client.timeout);
        case.client.attempt_timeout = case.client.attempt_timeout.or(client.attempt_timeout);
        case.client.connect_timeout = case.client.connect_timeout.or(client.connect_timeout);
    }
    Ok(cases)
}

impl Case {
    /// How long all its calls may take together, with room for a busy machine, in seconds. Who takes longer has not kept to its time-outs.
    pub fn limit(&self) -> f64 {
        let calls: u64 = self.steps.iter().map(|step| step["repeat"].as_u64().unwrap_or(1)).sum();
        #[allow(clippy::cast_precision_loss)] // a handful
        let calls = calls as f64;
        calls * self.client.timeout.unwrap_or(60.0) + 30.0
    }
}
