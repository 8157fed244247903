//! The log of one environment as it grows, read once for all who watch it.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use smalt::{
    Error, Smalt,
    backend::ListEvents,
    model::{Environment, Event, Page},
};
use tokio::sync::{Mutex, broadcast};

/// Events that somebody may lag behind before they read the log themselves.
const BEHIND: usize = 1024;
/// How long one look waits; in between the feed sees whether anybody is still there.
const LOOK: Duration = Duration::from_secs(5);
/// After a look that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// What watchers hold; without any, it ends.
pub(crate) struct Feed {
    sender: broadcast::Sender<Arc<Event>>,
}

impl Feed {
    /// What is new from here on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Event>> {
        self.sender.subscribe()
    }
}

/// The feeds that are open.
#[derive(Default)]
pub(crate) struct Feeds(Mutex<HashMap<Environment, Weak<Feed>>>);

impl Feeds {
    /// The feed of an environment, begun if it is not there.
    pub(crate) async fn of(&self, environment: Environment, smalt: &Smalt) -> Result<Arc<Feed>, Error> {
        let mut feeds = self.0.lock().await;
        if let Some(feed) = feeds.get(&environment).and_then(Weak::upgrade) {
            return Ok(feed);
        }
        // From where nothing can be missed: before anybody watches.
        let since = page(smalt, Some("now".to_owned()), None).await?.next;
        let feed = Arc::new(Feed { sender: broadcast::Sender::new(BEHIND) });
        feeds.insert(environment, Arc::downgrade(&feed));
        tokio::spawn(run(Arc::downgrade(&feed), smalt.acting_as("feed"), since));
        Ok(feed)
    }
}

pub(crate) async fn page(smalt: &Smalt, since: Option<String>, wait: Option<Duration>) -> Result<Page<Event>, Error> {
    smalt.events_page(ListEvents { since, limit: Some(500), wait }).await
}

async fn run(feed: Weak<Feed>, smalt: Smalt, mut since: Option<String>) {
    loop {
        let page = page(&smalt, since.clone(), Some(LOOK)).await;
        let Some(feed) = feed.upgrade() else { return };
        match page {
            Ok(page) => {
                since = page.next.or(since);
                for event in page.items {
                    // Nobody may be there just now.
                    let _ = feed.sender.send(Arc::new(event));
                }
            }
            Err(error) if error.is(smalt::Code::Closed) => return,
            Err(_) => {
                drop(feed);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
