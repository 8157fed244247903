//! Smalt's own routes: one per row of the operations table, with the request and answer of the doorway as JSON.

use smalt::{backend::call_json, model::Json, operations::Operation};

use crate::{
    answer::{Answer, Trouble, json},
    call::Call,
};

pub(super) async fn capabilities(call: Call) -> Result<Answer, Trouble> {
    let (_, smalt) = call.api.hosts().all().next().ok_or_else(|| Trouble::Plain(503, "SERVER_ERROR", "no engine is open".into()))?;
    json(smalt.capabilities())
}

pub(super) async fn document(_call: Call) -> Result<Answer, Trouble> {
    Ok(Answer::Json(super::openapi::document()))
}

pub(super) async fn operate(call: Call) -> Result<Answer, Trouble> {
    let name = call.param("operation");
    let Some(operation) = Operation::named(&name) else {
        return Err(Trouble::Plain(404, "RESOURCE_NOT_FOUND", format!("there is no operation `{}`", name.escape_debug())));
    };
    let request = if call.body.is_null() { Json::Object(serde_json::Map::new()) } else { call.body.clone() };
    let answer = call_json(&**call.backend()?, &call.who()?.caller, operation, request).await?;
    // An empty body would look like a failure to some clients.
    Ok(Answer::Json(if answer.is_null() { serde_json::json!({}) } else { answer }))
}
