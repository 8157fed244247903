//! The project in force, as routes read it.

use std::{ops::Deref, sync::Arc};

use smalt::{
    Smalt,
    project::{LoadedProject, Project},
};

/// A project that is not copied where it is in memory: it may be large, and almost every call looks into it.
pub(crate) enum InForce {
    Here(Arc<LoadedProject>),
    Asked(Box<Project>),
}

impl Deref for InForce {
    type Target = Project;

    fn deref(&self) -> &Project {
        match self {
            InForce::Here(loaded) => &loaded.project,
            InForce::Asked(project) => project,
        }
    }
}

/// The project that an engine works by. A changed file is noticed where the settings are read, once a second.
///
/// # Errors
/// Those of the operation `project`, where it has to be asked for.
pub(crate) async fn in_force(smalt: &Smalt) -> smalt::Result<InForce> {
    match smalt.try_project() {
        Some(loaded) => Ok(InForce::Here(loaded)),
        None => smalt.project().await.map(|project| InForce::Asked(Box::new(project))),
    }
}
