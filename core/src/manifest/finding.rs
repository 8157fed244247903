use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file is not taken into force.
    Error,
    /// It works, but somebody should look at it.
    Warning,
}

/// One thing that is wrong with a manifest or a project file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 where the finding has no place, e.g. for a manifest given as a value.
    pub line: usize,
    /// The column in characters, from 1; 0 as above.
    pub column: usize,
    /// The key, e.g. `oauth2.token_url`; empty for the whole file.
    pub key: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}

impl Finding {
    /// Whether the file cannot be taken into force.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        f.write_str(": ")?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{} — cure: {}", self.message, self.cure)
    }
}
