//! Smalt's own routes: one per row of the operations table, with the request and answer of the doorway as JSON.

use smalt::{backend::call_json, model::Json, operations::Operation, project::ServerSettings};

use crate::{
    answer::{Answer, Trouble, json},
    call::Call,
    settings::time,
};

pub(super) async fn capabilities(call: Call) -> Result<Answer, Trouble> {
    let (_, smalt) = call.api.hosts().all().next().ok_or_else(|| Trouble::Plain(503, "SERVER_ERROR", "no engine is open".into()))?;
    let mut all = smalt.capabilities();
    all.operations.retain(|name| Operation::named(name).is_some_and(|operation| operation.embedded_only().is_none()));
    json(all)
}

pub(super) async fn document(_call: Call) -> Result<Answer, Trouble> {
    Ok(Answer::Json(super::openapi::document()))
}

pub(super) async fn operate(mut call: Call) -> Result<Answer, Trouble> {
    let name = call.param("operation");
    let Some(operation) = Operation::named(&name) else {
        return Err(Trouble::Plain(404, "RESOURCE_NOT_FOUND", format!("there is no operation `{}`", name.escape_debug())));
    };
    operation.offered_remotely()?;
    let mut request = match std::mem::take(&mut call.body) {
        Json::Null => Json::Object(serde_json::Map::new()),
        body => body,
    };
    let who = call.who()?;
    // A session may leave its account out: it has one.
    if !who.is_organisation && request.get("account").and_then(Json::as_str) == Some("") {
        request["account"] = who.account.clone().into();
    }
    let backend = call.backend()?;
    let work = |request| call_json(&**backend, &who.caller, operation, request);
    let mut answer = match waits(operation, &mut request, &call.settings.server) {
        false => work(request).await?,
        true => call.api.waits().enter(&who.waits_as(), &call.settings.server)?.or_end(work(request)).await?,
    };
    if let (Operation::HandOffConnect, Some(ticket)) = (operation, answer["ticket"].as_str())
        && let Ok(public) = call.api.public_url(&who.smalt).await
    {
        answer["page"] = format!("{public}/connect/go/{ticket}").into();
    }
    // An empty body would look like a failure to some clients. What a workflow answered stays as it is.
    Ok(Answer::Json(if answer.is_null() && operation != Operation::RunWorkflow { serde_json::json!({}) } else { answer }))
}

/// Whether the call waits for something to happen; then for a time that leaves some to answer in.
fn waits(operation: Operation, request: &mut Json, limits: &ServerSettings) -> bool {
    let name = match operation {
        Operation::WaitFlow => "timeout",
        Operation::Events => "wait",
        _ => return false,
    };
    let Some(request) = request.as_object_mut() else { return false };
    let asked = request.get(name).filter(|wait| !wait.is_null());
    // Only `events` answers at once where nothing is said.
    if operation == Operation::Events && asked.is_none() {
        return false;
    }
    if let Some(most) = time(limits.request_time).map(|time| time.as_secs_f64() * 0.8)
        && asked.is_none_or(|wait| wait.as_f64().is_some_and(|wait| wait > most))
    {
        request.insert(name.to_owned(), most.into());
    }
    true
}
