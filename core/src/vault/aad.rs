use crate::model::Tenant;

/// What a ciphertext is bound to: the row's whole identity. Bytes that were sealed for one place open nowhere else (S-44).
///
/// Every part is written with its kind and length, so no two different lists of parts give the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aad {
    bytes: Vec<u8>,
    table: String,
    row: String,
}

/// Appends one part: its kind, its length, itself.
pub(super) fn push(bytes: &mut Vec<u8>, kind: u8, part: &[u8]) {
    bytes.push(kind);
    bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
    bytes.extend_from_slice(part);
}

impl Aad {
    /// A row of this tenant in this table.
    pub fn new(tenant: &Tenant, table: &str) -> Self {
        let mut bytes = Vec::with_capacity(192);
        push(&mut bytes, b'o', tenant.org.as_bytes());
        push(&mut bytes, b'e', tenant.environment.as_str().as_bytes());
        push(&mut bytes, b't', table.as_bytes());
        Self { bytes, table: table.to_owned(), row: String::new() }
    }

    /// A part of the row's key, or the name of the field. The order counts.
    #[must_use]
    pub fn part(mut self, part: &str) -> Self {
        push(&mut self.bytes, b'p', part.as_bytes());
        if !self.row.is_empty() {
            self.row.push('/');
        }
        self.row.push_str(part);
        self
    }

    /// The version of the sealed value, so that an older one of the same field does not open.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        push(&mut self.bytes, b'v', &version.to_be_bytes());
        self
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Table and row, for errors.
    pub(super) fn place(&self) -> (&str, &str) {
        (&self.table, &self.row)
    }
}
