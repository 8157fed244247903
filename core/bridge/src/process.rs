use smalt::{Code, Error, Result};

/// The process that something was made in. Threads do not survive a fork, so what needs them stays behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(u32);

impl Process {
    /// This one.
    pub fn here() -> Self {
        Self(std::process::id())
    }

    /// Whether this is still that process.
    pub fn is_here(self) -> bool {
        std::process::id() == self.0
    }

    /// # Errors
    /// `closed` in a forked child.
    pub fn check(self) -> Result<()> {
        if self.is_here() {
            return Ok(());
        }
        Err(Error::new(Code::Closed, "the engine was opened before this process was forked; each process opens its own"))
    }
}
