//! What is wrong with a manifest, and what to do about it.

use super::{AppManifest, Finding, document::Report};

/// Everything that is wrong with a manifest's text. `file_name` stands in the findings; its stem must be the slug.
pub fn lint(text: &str, file_name: &str) -> Vec<Finding> {
    read(text, file_name).1
}

/// Everything that is wrong with a manifest that was made as a value.
pub fn lint_value(manifest: &AppManifest) -> Vec<Finding> {
    let file = manifest.slug.clone();
    let report = Report::of_value(&file);
    report.finish()
}

/// The manifest, unless it has an error; and the findings.
pub(crate) fn read(text: &str, file_name: &str) -> (Option<AppManifest>, Vec<Finding>) {
    let mut report = Report::parse(text, file_name);
    if report.failed() {
        return (None, report.finish());
    }
    let manifest = match toml::from_str::<AppManifest>(text) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            report.toml(&error);
            None
        }
    };
    let failed = report.failed();
    (manifest.filter(|_| !failed), report.finish())
}
