use std::fmt;

use super::{ApiAnswer, Json};
use crate::expose::exposes;

/// One page of a provider's list. Debug shows the number of items only.
#[derive(Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct ApiPage {
    /// The provider's answer, whatever its status.
    pub answer: ApiAnswer,
    /// The items; none when the status is not a good one.
    pub items: Vec<Json>,
    /// Pass it as `cursor` to get the next page; absent on the last one.
    pub next: Option<String>,
}

exposes! { ApiPage { answer, items, next } }

impl fmt::Debug for ApiPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiPage({}, {} items)", self.answer.status, self.items.len())
    }
}
