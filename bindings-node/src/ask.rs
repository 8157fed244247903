//! Operations of an engine, by its number: as for credentials ([`crate::ready`]), a function with numbers costs JavaScript a tenth of what a
//! method of an object of ours does.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::{Arc, Weak},
};

use napi::Unknown;
use napi_derive::napi;
use smalt::{
    Code, Error,
    backend::{AnyRequest, Caller},
    operations::Operation,
    plugin::Scope,
};
use smalt_bridge::contained;

use crate::{
    panics,
    read::Reader,
    room::{End, Shared, lock},
};

/// Who is asked, and on whose authority.
pub struct Asker {
    pub engine: smalt_bridge::Engine,
    pub caller: Caller,
    pub shared: Arc<Shared>,
}

impl Asker {
    pub fn scope(&self, within: f64) -> Scope {
        lock(&self.shared.calls).scope(within)
    }
}

thread_local! {
    /// Those of a JavaScript environment, which is a thread. It keeps none of them.
    static TABLE: RefCell<HashMap<u32, Weak<Asker>>> = RefCell::default();
    static LAST: Cell<u32> = const { Cell::new(0) };
}

/// A place in the table; free again when dropped.
pub struct Place(u32);

impl Place {
    pub fn of(asker: &Arc<Asker>) -> Self {
        TABLE.with_borrow_mut(|table| {
            let mut number = LAST.get().wrapping_add(1);
            while table.contains_key(&number) {
                number = number.wrapping_add(1);
            }
            LAST.set(number);
            table.insert(number, Arc::downgrade(asker));
            Self(number)
        })
    }

    pub fn number(&self) -> u32 {
        self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // There is no table any more when the environment ends.
        let _ = TABLE.try_with(|table| table.borrow_mut().remove(&self.0));
    }
}

/// An operation by its name, of the engine of this number; `within` is the number of the plugin's call from inside which it is made, else 0.
/// What is wrong with the request comes as the call's end, which is certain then: answers whether there is something to wait for.
#[napi(catch_unwind)]
pub fn call(engine: u32, id: u32, name: String, request: Unknown<'_>, within: f64) -> napi::Result<bool> {
    panics::here();
    let asker = TABLE.with_borrow(|table| table.get(&engine).and_then(Weak::upgrade));
    let asker = asker.ok_or_else(|| napi::Error::from_reason("there is no engine of this number"))?;
    let begun = contained(|| {
        let operation = Operation::named(&name).ok_or_else(|| Error::new(Code::Unsupported, "there is no such operation"))?;
        asker.engine.smalt()?;
        let request = AnyRequest::read(operation, Reader::new(request))?;
        let call = asker.engine.call(asker.caller.clone(), request, asker.scope(within));
        asker.shared.run(id, async move { call.await.map(End::Answer) });
        Ok(())
    });
    let Err(error) = begun else { return Ok(true) };
    asker.shared.refuse(id, error);
    Ok(false)
}
