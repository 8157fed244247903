//! Whether the server lives, and whether it can work.

use crate::{
    answer::{Answer, Trouble, json},
    call::Call,
};

/// The process answers; nothing else is looked at.
pub(super) async fn alive(_call: Call) -> Result<Answer, Trouble> {
    json(serde_json::json!({"status": "ok"}))
}

/// The store takes writes and the keys work, and the server is not about to end.
pub(super) async fn ready(call: Call) -> Result<Answer, Trouble> {
    call.api.ready().await?;
    json(serde_json::json!({"status": "ready"}))
}
