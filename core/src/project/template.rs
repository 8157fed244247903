/// The commented `smalt.toml` that `smalt init` writes. It works as it is: both sandbox applications are offered.
pub fn template() -> &'static str {
    include_str!("template.toml")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{
        manifest::Catalog,
        project::{Project, lint},
    };

    #[test]
    fn the_template_is_a_project_without_a_finding() {
        let findings = lint(super::template(), "smalt.toml", &Catalog::builtin());
        assert!(findings.is_empty(), "{findings:?}");
        let project = Project::parse(super::template(), "smalt.toml").unwrap();
        assert!(project.sandbox.enabled);
        assert_eq!(project.apps.keys().collect::<Vec<_>>(), ["sandbox-key", "sandbox-oauth"]);
    }

    #[test]
    fn the_examples_in_comments_are_right_too() {
        let text: String = super::template()
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix("#: ").or(line.strip_prefix("#:")).unwrap_or(line)))
            .filter(|line| !line.starts_with("schema"))
            .collect();
        let findings = lint(&text, "smalt.toml", &Catalog::builtin());
        assert!(findings.is_empty(), "{findings:?}");
        assert!(Project::parse(&text, "smalt.toml").unwrap().apps.contains_key("slack"));
    }
}
