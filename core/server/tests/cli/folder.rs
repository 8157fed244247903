//! A folder to run the command in, and what it said.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// The key that every sandbox knows; no output may ever repeat it.
pub const CANARY: &str = "sandbox-key-good";

/// What a command said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// The one JSON value on the standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {} {}", self.out, self.err))
    }

    /// Fails the test unless it went well.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{} {}", self.out, self.err);
        self
    }

    /// Both outputs.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// A folder of its own, without anything of the caller's environment.
pub struct Folder {
    dir: TempDir,
    pub variables: Vec<(String, String)>,
}

impl Folder {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// With project file and key.
    pub fn initialised() -> Self {
        let folder = Self::new();
        folder.run(&["init"]).ok();
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smalt"));
        command.args(args).current_dir(self.dir.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, "")
    }

    /// With this on the standard input.
    pub fn run_with(&self, args: &[&str], input: &str) -> Said {
        let mut child =
            self.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
        // A command that reads nothing closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Begins a command that goes on by itself.
    pub fn begin(&self, args: &[&str]) -> Running {
        let mut child = self.command(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (BufReader::new(child.stdout.take().unwrap()), BufReader::new(child.stderr.take().unwrap()));
        Running { child, out, err }
    }

    /// A standing sandbox on a free port; the project names it.
    pub fn sandbox(&self) -> Standing {
        let mut child = self.command(&["sandbox", "--listen", "127.0.0.1:0", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let url = said["url"].as_str().unwrap().to_owned();
        let project = self.read("smalt.toml").replace("[sandbox]\n", &format!("[sandbox]\nurl = \"{url}\"\n"));
        self.write("smalt.toml", &project);
        Standing { child, url }
    }
}

/// A command that goes on; it ends with this value.
pub struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    err: BufReader<ChildStderr>,
}

impl Running {
    /// The next line of the standard output.
    pub fn out_line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    /// The next line of the standard error output that begins so.
    pub fn line_with(&mut self, start: &str) -> String {
        let mut lines = self.err.by_ref().lines().map(Result::unwrap);
        lines.find(|line| line.starts_with(start)).expect("the command says it")
    }

    /// The process' id.
    #[cfg(unix)]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The signal that service managers send.
    #[cfg(unix)]
    pub fn terminate(&self) {
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub fn end(&mut self) -> Said {
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.err.read_to_string(&mut err).unwrap();
        Said { code: self.child.wait().unwrap().code().unwrap_or(-1), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `smalt sandbox`; it ends with this value.
pub struct Standing {
    child: Child,
    pub url: String,
}

impl Drop for Standing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
