//! Where a field stands in a config.

use std::{fmt, str::FromStr};

/// A field of the application, or of one workflow. Its text form is `fields.<id>` or `workflows.<id>.fields.<id>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath {
    /// The workflow; absent for a field of the application itself.
    pub workflow: Option<String>,
    /// The field's id.
    pub field: String,
}

impl FieldPath {
    /// A field of the application itself.
    pub fn app(field: impl Into<String>) -> Self {
        Self { workflow: None, field: field.into() }
    }

    /// A field of a workflow.
    pub fn workflow(workflow: impl Into<String>, field: impl Into<String>) -> Self {
        Self { workflow: Some(workflow.into()), field: field.into() }
    }

    /// A field of the workflow if one is given, else of the application.
    pub fn new(workflow: Option<&str>, field: &str) -> Self {
        Self { workflow: workflow.map(str::to_owned), field: field.to_owned() }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.workflow {
            None => write!(f, "fields.{}", self.field),
            Some(workflow) => write!(f, "workflows.{workflow}.fields.{}", self.field),
        }
    }
}

impl FromStr for FieldPath {
    type Err = &'static str;

    /// Reads what `Display` writes. A workflow's id ends at the first `.fields.`; `check` refuses ids that hold it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "a path like `fields.<id>` or `workflows.<id>.fields.<id>` is expected";
        let path = if let Some(field) = text.strip_prefix("fields.") {
            Self::app(field)
        } else {
            let (workflow, field) = text.strip_prefix("workflows.").and_then(|rest| rest.split_once(".fields.")).ok_or(EXPECTED)?;
            Self::workflow(workflow, field)
        };
        let empty = path.field.is_empty() || path.workflow.as_deref() == Some("");
        if empty { Err(EXPECTED) } else { Ok(path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_what_they_write() {
        for path in
            [FieldPath::app("channel"), FieldPath::app("a.b"), FieldPath::workflow("digest", "hour"), FieldPath::workflow("a.b", "c.d")]
        {
            assert_eq!(path.to_string().parse(), Ok(path));
        }
        for bad in ["", "fields.", "workflows.x", "workflows.x.fields.", "workflows..fields.x", "channel"] {
            assert!(bad.parse::<FieldPath>().is_err(), "{bad}");
        }
    }
}
