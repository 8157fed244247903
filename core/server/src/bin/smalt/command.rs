//! The `smalt` command: the engine at hand in a terminal and in scripts. See `docs/command.md`. It is part of the library, so that
//! packages of other languages bring it without a second binary.

use std::{ffi::OsString, pin::Pin};

use clap::{
    Parser,
    error::{ContextKind, ContextValue},
};
use smalt::{Code, Error};

use crate::{
    args::{Cli, Command},
    commands,
    context::Context,
    demo,
    exit::ExitCode,
    output,
};

/// Runs the command with these arguments, the command's own name first, and answers the process's exit status.
pub fn run<I: IntoIterator<Item = OsString>>(arguments: I) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(wrong) => return usage(wrong, json).status(),
    };
    // Behind a pointer: the runtime has several ways to wait, each of which would hold all commands in full.
    let work: Pin<Box<dyn Future<Output = ExitCode>>> = Box::pin(perform(cli));
    smalt::runtime::runtime().block_on(work).status()
}

async fn perform(cli: Cli) -> ExitCode {
    let json = cli.global.json;
    let context = Context::new(cli.global);
    let done = match cli.command {
        // It prints for itself: what people see is its answer.
        Command::Demo => return demo::run(json).await,
        Command::Init(args) => commands::init::run(&context, &args),
        Command::Apps(args) => commands::apps::run(&context, args).await,
        Command::Account(args) => commands::account::run(&context, args).await,
        Command::Session(args) => commands::account::session(&context, args).await,
        Command::Connect(args) => commands::connect::run(&context, args).await,
        Command::Connections(args) => commands::connections::run(&context, args).await,
        Command::Disconnect(args) => commands::connections::disconnect(&context, args).await,
        Command::Receipt(args) => commands::connections::receipt(&context, args).await,
        Command::Config(args) => commands::config::run(&context, args).await,
        Command::Credential(args) => commands::credential::run(&context, args).await,
        Command::Request(args) => commands::request::run(&context, args).await,
        Command::Events(args) => commands::events::run(&context, args).await,
        Command::Keys(args) => commands::keys::run(&context, args).await,
        Command::Serve(args) => commands::serve::run(&context, args).await,
        Command::Backup(args) => match context.needs_store("backup") {
            Ok(()) => commands::backup::make(&context, args).await,
            Err(error) => Err(error),
        },
        Command::Restore(args) => match context.needs_store("restore") {
            Ok(()) => commands::backup::put_back(&context, args).await,
            Err(error) => Err(error),
        },
        Command::Migrate(args) => match context.needs_store("migrate") {
            Ok(()) => commands::backup::migrate(&context, args).await,
            Err(error) => Err(error),
        },
        Command::Sandbox(args) => commands::sandbox::run(&context, args).await,
        Command::Doctor(args) => commands::doctor::run(&context, &args).await,
    };
    match done {
        Ok(answer) => answer.print(json),
        Err(error) => output::fail(&error, json),
    }
}

/// Help and version, or a mistake in what was typed; that one has a JSON form too.
fn usage(mut wrong: clap::Error, json: bool) -> ExitCode {
    // What stands behind a name may be a secret, and standard errors end up in logs.
    let named = matches!(wrong.get(ContextKind::InvalidArg), Some(ContextValue::String(arg)) if arg.contains("=VALUE"));
    if named {
        wrong.insert(ContextKind::InvalidValue, ContextValue::String("…".to_owned()));
    }
    // Nobody reads a closed pipe.
    let _ = wrong.print();
    if !wrong.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let set =
        std::env::var("SMALT_JSON").is_ok_and(|value| !matches!(&*value.to_lowercase(), "" | "0" | "false" | "n" | "no" | "f" | "off"));
    if set || json {
        // Only the kind: the message repeats what was typed.
        output::print_json(&output::error_json(&Error::new(Code::InvalidRequest, format!("the command line is wrong: {}", wrong.kind()))));
    }
    ExitCode::from(2)
}
