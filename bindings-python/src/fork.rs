//! `os.fork`: see [`prepare_fork`]. The same thread runs the hooks before and after.

use std::cell::RefCell;

use pyo3::prelude::*;
use smalt::store::{Forking, prepare_fork};

use crate::exit::Inside;
use crate::panics::here;

thread_local! {
    static FORKING: RefCell<Option<Forking>> = const { RefCell::new(None) };
}

/// Before the fork. Other Python threads go on while the stores finish what is under way.
#[pyfunction]
pub fn before_fork(py: Python<'_>) {
    here();
    let inside = Inside::enter(py);
    let (_inside, ()) = inside.away(py, || {
        let forking = prepare_fork();
        FORKING.with_borrow_mut(|held| *held = Some(forking));
    });
}

/// After it, in the parent.
#[pyfunction]
pub fn after_fork_in_parent() {
    here();
    drop(FORKING.take());
}

/// After it, in the child.
#[pyfunction]
pub fn after_fork_in_child() {
    here();
    smalt_bridge::Process::forked();
    drop(FORKING.take());
    crate::exit::forked();
}
