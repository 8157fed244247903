//! Configs: what the user of one linked account has set for one application. Pure logic over the project's definitions
//! and a stored value; no I/O.
//!
//! The engine's part is to read and write the row, and to resolve dynamic options. An update goes like this:
//!
//! ```text
//! let mut applied = config::apply(settings, &stored, &update)?;
//! let mut resolved = Resolved::new(Access::Live);
//! loop {
//!     config::settle(settings, &mut applied, &resolved);  // clears children whose choice is gone
//!     let wanted = config::wanted_options(settings, &applied.stored, Scope::All, &resolved);
//!     if wanted.is_empty() { break }
//!     for want in wanted { let answer = resolve(&want).await; resolved.insert(want, answer); }
//! }
//! // write applied.stored if applied.changed, tell the runner about applied.switched
//! let mut config = config::render(ids, settings, &applied.stored, &resolved);
//! config.field_errors.append(&mut applied.errors);
//! ```
//!
//! Nothing is written before the loop has ended; it ends because a list of choices is asked for once per value of its
//! parent, and `settle` only ever clears. With [`Access::Skip`], or to save calls, ask for [`Scope::Fields`] of
//! [`Applied::recheck`] instead of [`Scope::All`]; without a connection nothing is wanted. Labels that come along with a
//! config that exists are an update of labels alone.

mod check;
mod labels;
mod limits;
mod lookup;
mod options;
mod path;
mod render;
pub mod rules;
mod run;
mod stored;
mod update;
mod validate;

pub use check::{Finding, check};
pub use limits::{CONFIG_BYTES, DEPTH, KEYS, VALUE_BYTES};
pub use lookup::{effective, field_def, workflow_def};
pub use options::{Access, Resolved, Scope, Wanted, filter_options, wanted_options};
pub use path::FieldPath;
pub use render::{Ids, render, render_field};
pub use run::values;
pub use stored::{Stored, StoredLabels, StoredWorkflow};
pub use update::{Applied, apply, create, expect_version, set_field, settle};

#[cfg(test)]
mod tests;
