//! Child processes: this test binary again, running one named role. They can be killed, paused and crashed at failpoints.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

/// The variable that names the role; a test that plays it looks there.
pub const ROLE: &str = "SMALT_TEST_ROLE";

/// Longer than any child works at one line: one that is silent for so long hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A child that plays a role. It is killed when this is dropped.
pub struct Role {
    child: Child,
    input: Option<ChildStdin>,
    output: mpsc::Receiver<String>,
}

impl Role {
    /// Runs the test `role_test` of this binary as a child, with `role` and more environment. The test must look at
    /// [`role`] first and return at once when it is absent.
    pub fn start(role_test: &str, role: &str, environment: &[(&str, &str)]) -> Role {
        Self::start_by(&[], role_test, role, environment)
    }

    /// The same by a program that prepares the process and then becomes it; the binary and its arguments are appended to `by`.
    pub fn start_by(by: &[&str], role_test: &str, role: &str, environment: &[(&str, &str)]) -> Role {
        let binary = std::env::current_exe().unwrap();
        let mut command = match by {
            [] => Command::new(binary),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(binary);
                command
            }
        };
        command.args([role_test, "--exact", "--nocapture", "--test-threads=1", "--quiet"]).env(ROLE, role);
        command.envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (input, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let (said, output) = mpsc::channel();
        // Ends with the child's output.
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some((_, line)) = line.split_once('@')
                    && said.send(line.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        Role { child, input, output }
    }

    /// The next line that begins with `@`, without it; the runner's own lines are passed over. `None` at the end.
    pub fn line(&mut self) -> Option<String> {
        match self.output.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the child hangs"),
        }
    }

    /// Sends a line.
    pub fn say(&mut self, line: &str) {
        let _ = writeln!(self.input.as_mut().unwrap(), "{line}").and_then(|()| self.input.as_mut().unwrap().flush());
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name (`STOP`, `CONT`, `KILL`, `TERM`).
    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap().success());
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the end; the number of the signal that it died of, if it did.
    #[cfg(unix)]
    pub fn died_of(mut self) -> Option<i32> {
        drop(self.input.take());
        std::os::unix::process::ExitStatusExt::signal(&self.child.wait().unwrap())
    }

    /// Waits for the end by itself; true when it was a success.
    pub fn end(mut self) -> bool {
        drop(self.input.take());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The role that this process was started for, if it is a child.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Says a line to the parent.
pub fn report(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "@{line}").and_then(|()| out.flush());
}
