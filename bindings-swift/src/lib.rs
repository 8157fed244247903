//! The native half of the Swift and Kotlin packages: it converts, and decides nothing. What it rests on is explained in
//! `smalt_bridge`; what users see is `swift/` and `kotlin/`.
//!
//! Both languages pay for every crossing (with JNA tens of microseconds), so this surface has no objects, no callbacks and no
//! asynchronous functions: numbers and bytes go in, and everything that ends comes out of a [`port`] in batches, which one thread of the
//! host takes. A call is one function with one JSON text; its end, calls into host code and their cancellation are messages. The
//! words of that JSON are those of core's schemas, from which the packages' types are made. The one answer that is asked for all the time, a
//! credential, is no JSON: [`packed`], and from memory [`ready`].
//!
//! Whoever wants another way across (JNI, for instance) has these functions to carry and nothing else.

#[cfg(feature = "bench")]
mod bench;
mod call;
mod error;
mod host;
mod open;
mod packed;
mod port;
mod ready;
mod table;
mod testing;
#[cfg(test)]
mod tests;
mod tools;
mod upload;

uniffi::setup_scaffolding!();
