//! The native half of the Python package: it converts, and decides nothing. `python/smalt` is the other half, and the only
//! one that users see. What both of them rest on is explained in `smalt_bridge`.
//!
//! Two rules make it safe to leave Python at any time: threads of the runtime never touch a Python object (they hand numbers to a
//! [`port::Port`]), and a Python thread that is inside this module when the interpreter ends is parked (see [`exit`]).

mod de;
mod engine;
mod errors;
mod exit;
mod fork;
mod kept;
mod panics;
mod plugin;
mod port;
mod secret;
mod ser;
mod server;
mod testing;
mod upload;
mod work;

use pyo3::prelude::*;

/// The native module.
#[pymodule]
#[pyo3(name = "_smalt")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<kept::Ready>()?;
    module.add_class::<plugin::Context>()?;
    module.add_class::<plugin::HostCall>()?;
    module.add_class::<plugin::Scope>()?;
    module.add_class::<port::Port>()?;
    module.add_class::<port::Call>()?;
    module.add_class::<secret::Secret>()?;
    module.add_class::<server::Api>()?;
    module.add_class::<server::Body>()?;
    module.add_class::<server::Server>()?;
    module.add_class::<testing::FixedClock>()?;
    module.add_class::<testing::Sandbox>()?;
    module.add_class::<upload::Upload>()?;
    module.add_class::<work::Work>()?;
    module.add_function(wrap_pyfunction!(engine::open_embedded, module)?)?;
    module.add_function(wrap_pyfunction!(engine::open_remote, module)?)?;
    module.add_function(wrap_pyfunction!(engine::make_key, module)?)?;
    module.add_function(wrap_pyfunction!(exit::leave, module)?)?;
    module.add_function(wrap_pyfunction!(fork::before_fork, module)?)?;
    module.add_function(wrap_pyfunction!(fork::after_fork_in_parent, module)?)?;
    module.add_function(wrap_pyfunction!(fork::after_fork_in_child, module)?)?;
    module.add_function(wrap_pyfunction!(panics::panic_next, module)?)?;
    module.add_function(wrap_pyfunction!(plugin::load_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(server::command, module)?)?;
    module.add_function(wrap_pyfunction!(server::serve, module)?)?;
    module.add_function(wrap_pyfunction!(server::verify_webhook, module)?)?;
    module.add_function(wrap_pyfunction!(server::verify_webhook_compatible, module)?)?;
    module.add_function(wrap_pyfunction!(testing::start_sandbox, module)?)?;
    module.add_function(wrap_pyfunction!(testing::visit, module)?)?;
    module.add_function(wrap_pyfunction!(upload::begin, module)?)?;
    module.add_function(wrap_pyfunction!(work::run, module)?)?;
    Ok(())
}
