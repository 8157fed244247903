//! How much one handle has under way at once: a place for each call that is sent, and a queue in the order of coming for those that wait for one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Result, bail};

/// Calls under way at once. Over HTTP/1.1 each has a connection of its own.
pub const MOST_CALLS: usize = 128;
/// Waits (`flow.wait`, `events`) and streams under way at once, beside those: they last, and are not to hold up the others. As many as a server
/// takes of one client, and some.
pub const MOST_WAITS: usize = 16_384;
/// Calls, or waits, that wait for a place.
pub const MOST_WAITING: usize = 16_384;

/// Places of one sort.
pub(super) struct Places {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place. It is free again when this is dropped.
pub(super) struct Place(#[allow(dead_code, reason = "it is held")] OwnedSemaphorePermit);

/// One who waits, until it has a place or goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(most)), waiting: AtomicUsize::new(0) }
    }

    /// A place, in the order of coming, within this time. Nothing is sent before.
    ///
    /// # Errors
    /// `overloaded` when too many wait, or none became free in time.
    pub(super) async fn take(&self, within: Duration) -> Result<Place> {
        // Those who wait are served first: what becomes free is theirs.
        if let Ok(place) = self.free.clone().try_acquire_owned() {
            return Ok(Place(place));
        }
        // Behind a pointer: who has a place at once does not carry the room of waiting.
        Box::pin(self.queue(within)).await
    }

    async fn queue(&self, within: Duration) -> Result<Place> {
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            bail!(Overloaded, "{MOST_WAITING} calls of this handle wait already");
        }
        let place = tokio::time::timeout(within, self.free.clone().acquire_owned()).await;
        drop(waiting);
        match place {
            Ok(Ok(place)) => Ok(Place(place)),
            _ => bail!(Overloaded, "this handle had so many calls under way that this one's time ended before it was sent"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Code;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn places_go_in_the_order_of_coming_and_those_who_leave_free_theirs() {
        let places = Places::new(1);
        let held = places.take(LONG).await.unwrap();
        let (mut first, mut second) = (Box::pin(places.take(LONG)), Box::pin(places.take(LONG)));
        let third = Box::pin(places.take(LONG));
        // Polled once each, in this order.
        tokio::select! { biased; _ = &mut first => unreachable!(), _ = &mut second => unreachable!(), () = std::future::ready(()) => {} }
        drop(held);
        // Who comes now is behind those who wait.
        let mut late = Box::pin(places.take(LONG));
        tokio::select! { biased; _ = &mut late => unreachable!(), place = &mut first => drop(place.unwrap()) }
        drop(second);
        drop(third);
        late.await.unwrap();
        assert_eq!(places.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_queue_has_an_end_and_a_wait_its_time() {
        let places = Places::new(1);
        let _held = places.take(LONG).await.unwrap();
        assert!(places.take(Duration::from_millis(1)).await.err().unwrap().is(Code::Overloaded));
        places.waiting.store(MOST_WAITING, Ordering::Relaxed);
        assert!(places.take(LONG).await.err().unwrap().is(Code::Overloaded));
        assert_eq!(places.waiting.load(Ordering::Relaxed), MOST_WAITING, "who is refused is not counted");
    }
}
