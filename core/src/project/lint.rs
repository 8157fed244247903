//! What is wrong with a project, and what to do about it.

use super::Project;
use crate::manifest::{Catalog, Finding, document::Report};

/// Everything that is wrong with a project's text, together with the applications that are known.
pub fn lint(text: &str, file_name: &str, catalog: &Catalog) -> Vec<Finding> {
    let _ = catalog;
    read(text, file_name).1
}

/// Everything that is wrong with a project that was made as a value.
pub(crate) fn lint_value(project: &Project) -> Vec<Finding> {
    let _ = project;
    Report::of_value("project").finish()
}

/// The project, unless it has an error; and the findings.
pub(crate) fn read(text: &str, file_name: &str) -> (Option<Project>, Vec<Finding>) {
    let mut report = Report::parse(text, file_name);
    if report.failed() {
        return (None, report.finish());
    }
    let project = match toml::from_str::<Project>(text) {
        Ok(project) => Some(project),
        Err(error) => {
            report.toml(&error);
            None
        }
    };
    (project, report.finish())
}
