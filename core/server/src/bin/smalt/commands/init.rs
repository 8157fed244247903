//! `smalt init`: the files that a project begins with.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use serde_json::json;
use smalt::{Code, Error, Result, project, vault::LocalKey};

use crate::{
    args::Init,
    context::{Context, KEY_FILE, PROJECT_FILE},
    output::{Answer, BOLD, paint, told},
};

/// What must never get into version control.
const IGNORED: [&str; 4] = [KEY_FILE, "*.db", "*.db-wal", "*.db-shm"];

/// Writes what is missing. Nothing that is there is changed, but for lines added to `.gitignore`.
pub fn run(context: &Context, args: &Init) -> Result<Answer> {
    let folder = context.folder();
    let project = context.global.project.clone().unwrap_or_else(|| PROJECT_FILE.into());
    let key = context.global.key_file.clone().unwrap_or_else(|| context.key_file_beside());
    let there: Vec<_> = [&project, &key].into_iter().filter(|path| path.exists()).collect();
    if let (Some(path), false) = (there.first(), args.force) {
        let reason = format!("`{}` is there already; nothing was written", path.display());
        return Err(told(Code::InvalidRequest, reason, "`smalt init --force` adds only what is missing.").with("path", path.display()));
    }
    // A new key opens no store that was made with another one.
    if !key.exists() && context.global.data.exists() {
        let store = context.global.data.display();
        let reason = format!(
            "the store `{store}` is there, but `{}` is not; a new key could not open it. Put back the key that the store was made with, or move the store away",
            key.display()
        );
        return Err(Error::new(Code::KeyMissing, reason).with("path", key.display()));
    }
    fs::create_dir_all(&folder).map_err(|e| unwritable(&folder, &e))?;
    let mut made = Vec::new();
    // First, so that no key ever lies there unignored.
    let ignore = folder.join(".gitignore");
    if ignore_lines(&ignore, &IGNORED).map_err(|e| unwritable(&ignore, &e))? {
        made.push((ignore, "keeps the key and the store out of version control"));
    }
    // A key of another name or in another folder, unless it is kept far away.
    if let (true, Some(name)) = (key.is_relative() && key != context.key_file_beside(), key.file_name().and_then(|n| n.to_str())) {
        let ignore = key.with_file_name(".gitignore");
        if ignore_lines(&ignore, &[name]).map_err(|e| unwritable(&ignore, &e))? {
            made.push((ignore, "keeps the key out of version control"));
        }
    }
    if !key.exists() {
        LocalKey::generate()?.write_file(&key)?;
        made.push((key.clone(), "the master key, readable by you only: keep a copy elsewhere; without it the store's secrets are lost"));
    }
    if !project.exists() {
        write_new(&project, project::template()).map_err(|e| unwritable(&project, &e))?;
        made.push((project.clone(), "what your product offers"));
    }
    let mut text = String::new();
    for (path, what) in &made {
        text.push_str(&format!("Wrote {}: {what}.\n", path.display()));
    }
    if made.is_empty() {
        text.push_str("Everything is there already.\n");
    }
    text.push_str(&format!("\n{}\n", paint(BOLD, "Next")));
    for (command, what) in [
        ("smalt demo", "shows a whole life, without a file of yours"),
        ("smalt doctor", "checks what was made"),
        ("smalt sandbox", "in another terminal: applications to try; put the url that it prints under [sandbox]"),
        ("smalt account create customer-1", "your first linked account"),
        ("smalt connect sandbox-oauth --account customer-1", "its first connection"),
    ] {
        text.push_str(&format!("  {command:<50}{what}\n"));
    }
    let written: Vec<_> = made.iter().map(|(path, _)| path.display().to_string()).collect();
    Ok(Answer::new(json!({ "written": written, "project": project, "key_file": key }), text))
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::new(Code::InvalidRequest, format!("`{}` cannot be written: {}", path.display(), error.kind())).with("path", path.display())
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// Adds the lines that are missing; whether there were any.
fn ignore_lines(path: &Path, lines: &[&str]) -> io::Result<bool> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    let missing: Vec<_> = lines.iter().copied().filter(|line| !text.lines().any(|there| there.trim() == *line)).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(format!("{gap}{}\n", missing.join("\n")).as_bytes())?;
    Ok(true)
}
