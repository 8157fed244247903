/// How the command ends. The standard library's type keeps its number to itself, and hosts of other languages need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(u8);

impl ExitCode {
    /// Well.
    pub const SUCCESS: ExitCode = ExitCode(0);
    /// Not well, and no code says why.
    pub const FAILURE: ExitCode = ExitCode(1);

    /// The process's exit status.
    pub fn status(self) -> u8 {
        self.0
    }
}

impl From<u8> for ExitCode {
    fn from(status: u8) -> Self {
        Self(status)
    }
}
