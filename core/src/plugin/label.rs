//! How errors name plugins: `plugin` of their context, in every language.

/// The key provider.
pub const KEY_PROVIDER: &str = "key provider";
/// The workflow runner.
pub const WORKFLOW_RUNNER: &str = "workflow runner";
/// A session's provider, where it has no name of its own.
pub const SESSION_PROVIDER: &str = "session provider";

/// The connector of the application with this slug: `connector slack`.
pub fn connector(slug: &str) -> String {
    format!("connector {slug}")
}

/// The presenter of this name: `presenter system-browser`.
pub fn presenter(name: &str) -> String {
    format!("presenter {name}")
}
