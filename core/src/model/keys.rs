use super::{model, words};
use crate::time::Timestamp;

words! {
    /// How far a rotation of the data keys is.
    pub enum RotationState {
        /// Everything that is sealed is sealed anew under the new key, which all new values have already.
        Resealing = "resealing",
        /// Nothing can be sealed under the replaced keys any more; everything is looked at once more.
        Checking = "checking",
        /// The replaced keys are dropped.
        Done = "done",
    }
}

model! {
    /// A rotation of the organisation's data keys.
    pub struct KeyRotation {
        /// The new key's public id.
        pub key_id: String,
        /// The ids of the keys that it replaces.
        pub replaced: Vec<String>,
        /// How far it is.
        pub state: RotationState,
        /// How many values were sealed anew.
        pub resealed: u64,
        /// How many there were when it began. What was written since has the new key already and is not counted.
        pub total: u64,
        /// How many values do not open, and so cannot be sealed anew: they were damaged before.
        pub unreadable: u64,
        /// Some of them: table and row.
        pub unreadable_rows: Vec<String>,
        /// Replaced keys that stay, since unreadable values name them.
        pub kept: Vec<String>,
        /// When it began.
        pub started_at: Timestamp,
        /// When it last moved on.
        pub moved_at: Timestamp,
    }
}
