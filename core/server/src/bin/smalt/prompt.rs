//! Asking on a terminal, and reading what a pipe brings.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use smalt::{Code, Error, Result, Secret};

use crate::output::told;

/// The most that is read of one line or of the whole input, in bytes.
const MOST: u64 = 16 * 1024 * 1024;

/// Whether somebody sits there who can answer.
pub fn possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn unreadable(error: &io::Error) -> Error {
    Error::new(Code::InvalidRequest, format!("the standard input cannot be read: {}", error.kind()))
}

/// One line of the standard input, without its end.
pub fn line() -> Result<Secret> {
    let mut text = String::new();
    let read = io::stdin().lock().take(MOST).read_line(&mut text).map_err(|e| unreadable(&e))?;
    if read == 0 {
        let reason = "the standard input ended where a value was expected";
        return Err(told(Code::InvalidRequest, reason, "Give it a line for each value, or run the command on a terminal."));
    }
    let text = Secret::new(text);
    Ok(Secret::new(text.expose().trim_end_matches(['\n', '\r'])))
}

/// Asks, and takes what stands in the parentheses for an empty answer. Reads a pipe as well as a terminal.
pub fn ask_or(question: &str, default: &str) -> Result<String> {
    let shown = if default.is_empty() { String::new() } else { format!(" ({default})") };
    let answer = ask(&format!("{question}{shown}: "))?;
    let answer = answer.expose().trim();
    Ok(if answer.is_empty() { default } else { answer }.to_owned())
}

/// Everything on the standard input.
pub fn everything() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(MOST).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
    Ok(bytes)
}

/// Asks for a value; it is shown while it is typed.
pub fn ask(question: &str) -> Result<Secret> {
    show(question);
    if !io::stdin().is_terminal() {
        // Nobody's typing ends the line.
        show("\n");
    }
    line()
}

/// Asks for a value that is not shown while it is typed.
pub fn ask_secretly(question: &str) -> Result<Secret> {
    show(question);
    let answer = hidden();
    show("\n");
    answer
}

fn show(text: &str) {
    let mut to = io::stderr();
    // A closed terminal shows itself when the answer is read.
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

#[cfg(unix)]
fn hidden() -> Result<Secret> {
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    /// Puts the terminal back as it was, also when reading fails.
    struct Restore(Termios);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
        }
    }

    let refused =
        |e: rustix::io::Errno| Error::new(Code::Unsupported, format!("the terminal cannot hide what is typed: {e}; use `--input name=-`"));
    let before = tcgetattr(io::stdin()).map_err(refused)?;
    let mut quiet = before.clone();
    // Without ISIG: Ctrl-C would end the command and leave the terminal silent. It comes as a character instead.
    quiet.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    let _restore = Restore(before);
    tcsetattr(io::stdin(), OptionalActions::Flush, &quiet).map_err(refused)?;
    let mut typed = Vec::with_capacity(4096);
    for byte in io::stdin().lock().bytes() {
        match byte.map_err(|e| unreadable(&e))? {
            b'\r' | b'\n' => break,
            0x03 | 0x04 => return Err(Error::new(Code::Cancelled, "nothing was entered")),
            0x08 | 0x7f => {
                // A whole character, not a byte of it.
                while typed.pop().is_some_and(|byte: u8| byte & 0xc0 == 0x80) {}
            }
            0x15 => typed.clear(),
            byte => typed.push(byte),
        }
    }
    String::from_utf8(typed).map(Secret::new).map_err(|_| Error::new(Code::InvalidRequest, "what was typed is no text"))
}

#[cfg(not(unix))]
fn hidden() -> Result<Secret> {
    show("(what you type is shown here; `--input name=-` reads it from a pipe) ");
    line()
}
