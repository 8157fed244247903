//! `smalt connect`: the browser for OAuth, or a code for another device; questions for keys.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use smalt::{
    Result, Secret,
    model::{Application, AuthType},
    plugin::{Fault, PresentRequest, Presenter},
    present::{PrintUrl, SystemBrowser},
};

use super::connections;
use crate::{
    args::Connect,
    context::Context,
    output::{Answer, BOLD, DIM, GREEN, clean, mark, note, paint, to_json},
    prompt,
};

/// How often a waiting command says that it is still there.
const STILL_HERE: Duration = Duration::from_secs(30);

pub async fn run(context: &Context, args: Connect) -> Result<Answer> {
    let mut given = entered(&args.inputs)?;
    context.warn_of_private_sandbox(&args.app)?;
    let connection = context
        .with(false, async |smalt| {
            let account = smalt.account(&args.of.account);
            let app = account.app(&args.app).await?;
            ask_for_missing(&app, args.auth_type, &mut given)?;
            let mut connect = account.connect(&args.app).inputs(given).present(Shown { browser: !args.no_browser });
            if let Some(auth_type) = args.auth_type {
                connect = connect.auth_type(auth_type);
            }
            if args.device {
                connect = connect.device();
            }
            if !args.scopes.is_empty() {
                connect = connect.scopes(args.scopes);
            }
            if let Some(id) = args.connection {
                connect = connect.connection(id);
            }
            let mut connecting = connect.into_future();
            let mut waited = Duration::ZERO;
            loop {
                tokio::select! {
                    done = &mut connecting => return done,
                    () = tokio::time::sleep(STILL_HERE) => {
                        waited += STILL_HERE;
                        note(&paint(DIM, &format!("Still waiting ({} s) …", waited.as_secs())));
                    }
                }
            }
        })
        .await?;
    let who = connection.identity.as_ref().map_or_else(String::new, |identity| format!(" as {}", clean(&identity.label)));
    let head = format!("{} Connected {}{who}.\n\n", mark(GREEN, "✓", "ok"), paint(BOLD, &connection.application));
    Ok(Answer::new(to_json(&connection), format!("{head}{}", connections::facts(&connection).text())))
}

/// What was given on the command line; `-` stands for a line of the standard input.
pub fn entered(inputs: &[(String, Secret)]) -> Result<BTreeMap<String, Secret>> {
    let read = |value: &Secret| if value.expose() == "-" { prompt::line() } else { Ok(value.clone()) };
    inputs.iter().map(|(name, value)| Ok((name.clone(), read(value)?))).collect()
}

/// Asks for the inputs that are required and were not given. Without a terminal the engine names them.
pub fn ask_for_missing(app: &Application, auth_type: Option<AuthType>, given: &mut BTreeMap<String, Secret>) -> Result<()> {
    let Some(auth_type) = auth_type.or_else(|| app.auth_types.first().copied()) else { return Ok(()) };
    let fields = app.inputs.get(&auth_type).map_or(&[][..], Vec::as_slice);
    let missing = |given: &BTreeMap<String, Secret>, name: &str| !given.contains_key(name);
    if !prompt::possible() || !fields.iter().any(|f| f.required && f.default.is_none() && missing(given, &f.name)) {
        return Ok(());
    }
    if let Some(help) = &app.help {
        note(&clean(help));
    }
    for field in fields.iter().filter(|f| f.required && f.default.is_none()) {
        if !missing(given, &field.name) {
            continue;
        }
        if let Some(help) = &field.help_text {
            note(&paint(DIM, &clean(help)));
        }
        let example = field.placeholder.as_ref().map_or_else(String::new, |example| format!(" (like {})", clean(example)));
        let question = format!("{}{example}: ", clean(&field.label));
        let value = if field.secret { prompt::ask_secretly(&question)? } else { prompt::ask(&question)? };
        given.insert(field.name.clone(), value);
    }
    Ok(())
}

/// Opens the browser, or prints the address where that is wanted or no browser is there; says what it waits for.
pub struct Shown {
    pub browser: bool,
}

#[async_trait]
impl Presenter for Shown {
    fn name(&self) -> &str {
        "command"
    }

    async fn present(&self, request: PresentRequest) -> Result<Option<String>, Fault> {
        let app = clean(&request.application);
        let print = PrintUrl::to_stderr();
        if let Some(device) = &request.device {
            note(&format!("To connect {app}, open this page on any device:\n{}", clean(&device.verification_uri)));
            note(&format!("and enter the code {}", paint(BOLD, &clean(&device.user_code))));
            note("Waiting for you to do that. Ctrl-C gives up.");
            return Ok(None);
        }
        if self.browser {
            note(&format!("Opening the browser to connect {app} …"));
            if SystemBrowser.present(request.clone()).await.is_err() {
                note("No browser could be opened.");
                print.present(request).await?;
            }
        } else {
            print.present(request).await?;
        }
        note("Waiting for you to come back from there. Ctrl-C gives up.");
        Ok(None)
    }
}
