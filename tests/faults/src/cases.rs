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
    /// Seconds that a call can't but last, by its fault and the client's times; absent where that is less than one.
    #[serde(default)]
    pub takes: f64,
    /// As in a conformance case.
    pub steps: Vec<Value>,
}

/// What every call may take, in seconds, however little it has to do: the machine may be slow, and busy with the other cases.
pub const LEAST: f64 = 15.0;

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
    /// How long one call may take that meets what goes wrong, in seconds: five times what it must, at least [`LEAST`], and never more than that beyond
    /// the time that the client gives a call. Who takes longer has not kept to its time-outs.
    pub fn within(&self) -> f64 {
        (5.0 * self.takes).max(LEAST).min(self.timeout() + LEAST)
    }

    /// Of each step, whether it is a call that meets what goes wrong: the first one after an order, and every one where no order is given since the door
    /// itself is what goes wrong.
    pub fn meets(&self) -> Vec<bool> {
        let ordered = self.steps.iter().any(|step| step["do"] == "sandbox");
        let mut next = !ordered;
        let met = self.steps.iter().map(|step| match step["do"].as_str() {
            Some("sandbox") => {
                next = true;
                false
            }
            // They are not the client's.
            Some("stats" | "visit") => false,
            _ => std::mem::replace(&mut next, !ordered),
        });
        met.collect()
    }

    /// How long the whole case may take, with room for a busy machine, in seconds: for a call that never ends and has no limit of its own.
    pub fn limit(&self) -> f64 {
        self.meets().into_iter().map(|met| if met { self.within() } else { self.timeout() }).sum::<f64>() + 30.0
    }

    fn timeout(&self) -> f64 {
        self.client.timeout.unwrap_or(60.0)
    }
}
