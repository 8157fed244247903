//! `smalt request`: an authenticated call.

use std::io::{self, IsTerminal};

use serde_json::json;
use smalt::{
    Code, Error, Result,
    backend::{ApiRequest, json_body},
    model::Json,
};

use crate::{
    args,
    context::Context,
    output::{Answer, DIM, clean, note, paint, print_raw},
    prompt,
};

pub async fn run(context: &Context, args: args::Request) -> Result<Answer> {
    let (app, account) = (args.app.clone(), args.of.account.clone());
    let body = match args.json_body.as_deref() {
        None => None,
        Some("-") => Some(parsed(&prompt::everything()?)?),
        Some(text) => Some(parsed(text.as_bytes())?),
    };
    let request = ApiRequest {
        application: args.app,
        connection: args.connection,
        method: args.method.to_ascii_uppercase(),
        path: args.path,
        query: args.query.into_iter().map(Into::into).collect(),
        headers: args.headers.into_iter().map(Into::into).collect(),
        body: body.as_ref().map(json_body),
        ..ApiRequest::default()
    };
    let answer = match context.with(false, async |smalt| smalt.account(&args.of.account).send(request).await).await {
        Ok(answer) => answer,
        Err(error) => {
            context.warn_of_private_sandbox(&app)?;
            return Err(error);
        }
    };
    let failed = answer.status >= 400;
    if answer.status == 401 {
        context.warn_of_private_sandbox(&app)?;
        let (app, account) = (clean(&app), clean(&account));
        note(&format!("The application does not take the credential any more: `smalt connect {app} --account {account}` replaces it."));
    }
    let body = answer.json().unwrap_or_else(|| String::from_utf8_lossy(&answer.body).into_owned().into());
    let headers: serde_json::Map<String, Json> =
        answer.headers.iter().map(|header| (header.name.clone(), header.value.as_str().into())).collect();
    let json = json!({ "status": answer.status, "headers": headers, "body": body });
    if context.global.json {
        return Ok(Answer::new(json, "").failed(failed));
    }
    note(&paint(DIM, &format!("status {}", answer.status)));
    if !io::stdout().is_terminal() {
        // Somebody wants the bytes as they are.
        print_raw(&answer.body);
        return Ok(Answer::new(json, "").failed(failed));
    }
    let text = match answer.json() {
        Some(value) => format!("{value:#}"),
        None => String::from_utf8_lossy(&answer.body).lines().map(clean).collect::<Vec<_>>().join("\n"),
    };
    Ok(Answer::new(json, text).failed(failed))
}

fn parsed(bytes: &[u8]) -> Result<Json> {
    serde_json::from_slice(bytes)
        .map_err(|e| Error::new(Code::InvalidRequest, format!("`--json-body` is no JSON (line {}, column {})", e.line(), e.column())))
}
