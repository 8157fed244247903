//! What leaves the command: aligned text for people, one JSON value for programs, and errors with their exit codes.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

use anstyle::{AnsiColor, Style};
use serde_json::json;
use smalt::{Code, Error, Kind, Retry, model::Json};

use crate::exit::ExitCode;

/// Headings and names.
pub const BOLD: Style = Style::new().bold();
/// What matters less.
pub const DIM: Style = Style::new().dimmed();
/// Good.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// Look at it.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Bad.
pub const RED: Style = AnsiColor::Red.on_default();

/// What a command answers.
pub struct Answer {
    json: Json,
    text: String,
    failed: bool,
}

impl Answer {
    /// The same thing for programs and for people.
    pub fn new(json: impl Into<Json>, text: impl Into<String>) -> Self {
        Self { json: json.into(), text: text.into(), failed: false }
    }

    /// A check that may have failed.
    #[must_use]
    pub fn failed(mut self, failed: bool) -> Self {
        self.failed = failed;
        self
    }

    /// Prints it.
    pub fn print(self, as_json: bool) -> ExitCode {
        if as_json {
            print_json(&self.json)
        } else {
            print(&self.text)
        }
        ExitCode::from(u8::from(self.failed))
    }
}

/// The JSON form of a model type.
pub fn to_json<T: serde::Serialize>(value: &T) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}

/// One JSON value on the standard output.
pub fn print_json(value: &Json) {
    put(io::stdout(), harmless(&if io::stdout().is_terminal() { format!("{value:#}") } else { value.to_string() }).as_bytes());
}

/// One JSON value on a line of its own.
pub fn print_json_line(value: &Json) {
    put(io::stdout(), harmless(&value.to_string()).as_bytes());
}

/// JSON text for a terminal: what JSON need not escape but a terminal would obey is escaped as well.
fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if c != '\n' && obeyed(c) {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text.push('\n');
    text
}

/// Whether a terminal would do something else than show it: control and direction characters.
fn obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text on the standard output; colours are taken out where nobody sees them.
pub fn print(text: &str) {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    put(anstream::stdout(), format!("{text}{end}").as_bytes());
}

/// Bytes on the standard output as they are.
pub fn print_raw(bytes: &[u8]) {
    put(io::stdout(), bytes);
}

/// A line on the standard error output: progress, hints, warnings.
pub fn note(line: &str) {
    put(anstream::stderr(), format!("{line}\n").as_bytes());
}

/// A warning on the standard error output.
pub fn warn(line: &str) {
    note(&format!("{} {line}", paint(YELLOW, "warning:")));
}

fn put(mut to: impl Write, bytes: &[u8]) {
    // A reader that went away (`| head`) wants no more, and there is nobody left to tell.
    let _ = to.write_all(bytes).and_then(|()| to.flush());
}

/// Text in a style.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Whether people look at the standard output and want it pretty (NO_COLOR is honoured).
fn pretty() -> bool {
    io::stdout().is_terminal() && anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// A tick for people, a word for everyone else.
pub fn mark(style: Style, sign: &str, word: &str) -> String {
    if pretty() { paint(style, sign) } else { format!("{word:<4}") }
}

/// Foreign text, made harmless for a terminal: control and direction characters are spelt out.
pub fn clean(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if obeyed(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}

/// Rows of aligned columns.
pub struct Table {
    rows: Vec<Vec<(String, Style)>>,
}

impl Table {
    /// With headings.
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|h| ((*h).to_owned(), DIM)).collect()] }
    }

    /// Names and values, without headings.
    pub fn facts() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (impl AsRef<str>, Style)>) {
        self.rows.push(cells.into_iter().map(|(text, style)| (clean(text.as_ref()), style)).collect());
    }

    /// Adds a name and its value.
    pub fn fact(&mut self, name: &str, value: impl AsRef<str>) {
        self.row([(name, DIM), (value.as_ref(), Style::new())]);
    }

    /// Adds a name and its value, if there is one.
    pub fn maybe(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value.filter(|v| !v.as_ref().is_empty()) {
            self.fact(name, value);
        }
    }

    /// The whole text.
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|c| self.rows.iter().filter_map(|row| row.get(c)).map(|(text, _)| text.chars().count()).max().unwrap_or_default())
            .collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (at, (text, style)) in row.iter().enumerate() {
                // Nothing is padded behind the last cell that says something.
                let last = row[at + 1..].iter().all(|(rest, _)| rest.is_empty());
                let pad = if last { 0 } else { widths[at] - text.chars().count() + 2 };
                let _ = write!(line, "{style}{text}{style:#}{:pad$}", "");
                if last {
                    break;
                }
            }
            out.push_str(&line);
            out.push('\n');
        }
        out
    }
}

/// The command's exit code for an error.
pub fn exit_code(error: &Error) -> u8 {
    match error.kind() {
        Kind::Flow | Kind::Reauth => 4,
        _ if error.retry() == Retry::AfterReauth => 4,
        Kind::Invalid | Kind::Unauthenticated | Kind::Forbidden | Kind::NotFound | Kind::Conflict => 3,
        Kind::Provider | Kind::Timeout => 5,
        Kind::Configuration => 6,
        Kind::Unavailable => 7,
        Kind::Plugin => 8,
        Kind::Unsupported => 9,
        Kind::Cancelled => 130,
        _ => 70,
    }
}

/// The JSON form of an error.
pub fn error_json(error: &Error) -> Json {
    let info = error.info();
    let (what, next) = halves(error);
    let mut record = json!({
        "code": info.code.as_str(),
        "kind": error.kind(),
        "reason": format!("{what} {next}").trim_end(),
        "retry": info.retry,
        "context": info.context,
    });
    if let Some(wait) = info.retry_after {
        record["retry_after"] = json!(wait.as_secs_f64());
    }
    json!({ "error": record })
}

/// An error of the command's own: what happened, and what to type next.
pub fn told(code: Code, what: impl std::fmt::Display, next: &str) -> Error {
    Error::received(code, format!("{what}. {next}"))
}

/// What happened, and what to do next.
fn halves(error: &Error) -> (&str, &str) {
    let (reason, next) = (error.reason(), error.code().row().next);
    match reason.strip_suffix(next) {
        Some(what) => (what.trim_end(), in_shell(error.code()).unwrap_or(next)),
        // In other words than the table's: the last sentence.
        None => reason.rfind(". ").map_or((reason, ""), |end| (&reason[..=end], reason[end + 2..].trim())),
    }
}

/// What to do next in a shell, where the table's words are those of the library.
fn in_shell(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::InvalidInputs => "Correct what `fields` names, each as `--input NAME=VALUE`; `smalt apps show APP` lists them.",
        Code::InvalidToken => "`smalt session ID` prints a new one.",
        Code::LinkedAccountNotFound => "`smalt account upsert ID` makes it; `smalt account list` shows those that are there.",
        Code::FieldNotFound => "`smalt config APP --account ID` shows the fields that there are.",
        Code::StateReplayed => {
            "`smalt connections list --account ID` shows what the first one brought; `smalt connect APP --account ID` begins anew."
        }
        _ => return None,
    })
}

/// Prints an error: for people always, for programs too when they asked for it.
pub fn fail(error: &Error, as_json: bool) -> ExitCode {
    let (what, next) = halves(error);
    note(&format!("{} {} {}", paint(RED, "error:"), clean(what), paint(DIM, &format!("({})", error.code().as_str()))));
    if !next.is_empty() {
        note(&format!("       {}", clean(next)));
    }
    for (name, value) in error.info().context.iter().filter(|(name, _)| matches!(name.as_str(), "fields" | "path")) {
        note(&format!("       {}", paint(DIM, &format!("{name}: {}", clean(value)))));
    }
    if as_json {
        print_json(&error_json(error));
    }
    ExitCode::from(exit_code(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::EXIT_CODES;

    #[test]
    fn every_error_has_a_documented_exit_code_and_both_halves() {
        for code in smalt::Code::ALL {
            let error = Error::code_only(*code);
            let exit = exit_code(&error);
            assert!(EXIT_CODES.lines().any(|line| line.trim_start().starts_with(&format!("{exit} "))), "{exit}");
            let (what, next) = halves(&error);
            assert!(!what.is_empty() && !next.is_empty(), "{}", code.as_str());
            assert!(!next.contains('('), "{} is told in the library's words: {next}", code.as_str());
        }
        let own = told(Code::InvalidRequest, "`a.b` is there already; nothing was written", "`--force` replaces it.");
        assert_eq!(halves(&own), ("`a.b` is there already; nothing was written.", "`--force` replaces it."));
        assert_eq!(error_json(&own)["error"]["reason"], own.reason());
    }

    #[test]
    fn columns_are_aligned_and_foreign_text_is_harmless() {
        let mut table = Table::new(&["a", "b"]);
        table.row([("long\u{1b}[31m", Style::new()), ("x\u{202e}y\n", Style::new())]);
        table.row([("s", Style::new()), ("", Style::new())]);
        let plain = anstream::adapter::strip_str(&table.text()).to_string();
        assert_eq!(harmless("[\"\u{9b}\u{202e}\"]"), "[\"\\u009b\\u202e\"]\n");
        assert_eq!(plain, "a               b\nlong\\u{1b}[31m  x\\u{202e}y\\n\ns\n");
    }
}
