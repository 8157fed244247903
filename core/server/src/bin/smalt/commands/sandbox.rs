//! `smalt sandbox`: a standing sandbox, for everything that outlives one command.

use serde_json::json;
use smalt::{
    Code, Error, Result,
    model::Environment,
    sandbox::{API_KEY, CLIENT_ID, Sandbox, SandboxOptions},
};

use crate::{
    args,
    context::Context,
    output::{Answer, BOLD, DIM, paint, print, print_json},
};

pub async fn run(context: &Context, args: args::Sandbox) -> Result<Answer> {
    if context.global.environment == Environment::Production {
        return Err(Error::code_only(Code::SandboxRefused));
    }
    let sandbox = Sandbox::start(SandboxOptions { listen: args.listen, ..SandboxOptions::default() }).await?;
    let url = sandbox.origin();
    if context.global.json {
        print_json(&json!({ "url": url, "client_id": CLIENT_ID, "api_key": API_KEY }));
    } else {
        print(&format!(
            "The sandbox runs at {}. {}\n\nThe table [sandbox] of smalt.toml must say:\n\n  [sandbox]\n  enabled = true\n  url = \"{url}\"\n",
            paint(BOLD, &url),
            paint(DIM, "Ctrl-C ends it; it keeps everything in memory."),
        ));
    }
    std::future::pending::<()>().await;
    // Kept to the end: dropping it would end it.
    drop(sandbox);
    Ok(Answer::new(json!({}), ""))
}
