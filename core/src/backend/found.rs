/// Tells for one credential that was in memory whether it is still the one to use, without looking it up: see
/// [`Backend::find_credential`](super::Backend::find_credential). It keeps neither the engine nor the credential.
pub struct Found(Box<dyn Fn() -> bool + Send + Sync>);

impl Found {
    /// `counts` answers at once, and counts a read where it answers true.
    pub fn new(counts: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Box::new(counts))
    }

    /// Whether the credential is still the one to use. That is a read of it, counted in the audit. When it is false the
    /// credential must be asked for anew. Code that runs inside a plugin's call must not ask this, but the operation.
    pub fn counts(&self) -> bool {
        (self.0)()
    }
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Found")
    }
}
