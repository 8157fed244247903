//! What a config's row holds, sealed.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    error::{Result, bail, err},
    model::{Json, Label},
    project::AppSettings,
};

/// The version of the stored form.
const VERSION: u32 = 1;

/// Field values, workflow switches and labels of one config. What the project no longer defines is kept, so that a
/// definition which comes back finds its values. Debug shows ids only: values may be passwords.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    v: u32,
    /// Values of the application's own fields, by id; never `null`.
    #[serde(default)]
    pub fields: BTreeMap<String, Json>,
    /// State of the workflows, by id.
    #[serde(default)]
    pub workflows: BTreeMap<String, StoredWorkflow>,
    /// Labels that the caller supplied.
    #[serde(default)]
    pub labels: StoredLabels,
}

/// One workflow's state.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredWorkflow {
    /// The switch; absent while it was never set, which is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Values of its fields, by id; never `null`.
    #[serde(default)]
    pub fields: BTreeMap<String, Json>,
}

/// Labels that the caller supplied for `map` fields with a `label_object`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredLabels {
    /// For every such field.
    #[serde(default)]
    pub all: Vec<Label>,
    /// For the fields of one object.
    #[serde(default)]
    pub objects: BTreeMap<String, Vec<Label>>,
}

impl Default for Stored {
    fn default() -> Self {
        Self { v: VERSION, fields: BTreeMap::new(), workflows: BTreeMap::new(), labels: StoredLabels::default() }
    }
}

impl Stored {
    /// A new config's state: no values, and the published workflows that say `enabled = true` are on. Also the skeleton
    /// that is shown where no config exists yet.
    pub fn new(settings: &AppSettings) -> Self {
        let on = settings.workflows.iter().filter(|w| w.published && w.enabled);
        let workflows = on.map(|w| (w.id.clone(), StoredWorkflow { enabled: Some(true), ..StoredWorkflow::default() })).collect();
        Self { workflows, ..Self::default() }
    }

    /// Whether the workflow is on.
    pub fn enabled(&self, workflow: &str) -> bool {
        self.workflows.get(workflow).and_then(|w| w.enabled).unwrap_or(false)
    }

    /// The JSON text to seal; wiped from memory when it is dropped.
    ///
    /// # Errors
    /// `internal` when it cannot be written, which no value that an update accepted causes.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>> {
        serde_json::to_vec(self).map(Zeroizing::new).map_err(|_| err!(Internal, "a config's values could not be written as JSON"))
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// `store_newer` for a later form, `store_corrupt` for anything else that cannot be read.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        // serde_json's own message would quote the value.
        let corrupt = |_| err!(StoreCorrupt, "a config's stored values cannot be read");
        let Version { v } = serde_json::from_slice(bytes).map_err(corrupt)?;
        if v > VERSION {
            bail!(StoreNewer, "a config was stored in form {v}; this version reads up to {VERSION}");
        }
        serde_json::from_slice(bytes).map_err(corrupt)
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<_> = self.fields.keys().collect();
        f.debug_struct("Stored").field("fields", &fields).field("workflows", &self.workflows).finish_non_exhaustive()
    }
}

impl fmt::Debug for StoredWorkflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<_> = self.fields.keys().collect();
        f.debug_struct("StoredWorkflow").field("enabled", &self.enabled).field("fields", &fields).finish()
    }
}
