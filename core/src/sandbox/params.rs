use crate::listen;

/// Parameters of a query or a form.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub fn parse(text: &[u8]) -> Self {
        Self(listen::pairs(text))
    }

    /// The value of a parameter that is there once and not empty (RFC 6749 section 3.1).
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(n, _)| n == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) if !value.is_empty() => Some(value),
            _ => None,
        }
    }

    /// Whether any parameter is there twice.
    pub fn doubled(&self) -> bool {
        self.0.iter().enumerate().any(|(i, (name, _))| self.0[..i].iter().any(|(n, _)| n == name))
    }
}
