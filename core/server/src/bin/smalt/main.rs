//! The `smalt` command; everything of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(smalt_server::command::run(std::env::args_os()))
}
