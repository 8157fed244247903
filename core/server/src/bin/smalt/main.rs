//! The `smalt` command.

mod demo;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["demo"] => demo::run(false).await,
        ["demo", "--json"] => demo::run(true).await,
        _ => {
            eprintln!("usage: smalt demo [--json]");
            ExitCode::from(2)
        }
    }
}
