//! Where everything that ends comes out, on its way to the one thread of the host that takes it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use smalt::{Result, plugin::Fault};
use smalt_bridge::{Bell, Cancel, Host, HostAnswer, HostCall, Waited};

use crate::{
    error::{Failed, quiet, raised, to_json},
    table::Table,
};

static PORTS: Table<Arc<Port>> = Table::new();

/// How many bytes one batch has at most, beside its last message.
const BATCH: usize = 4 << 20;

/// What the host is told.
#[derive(uniffi::Enum)]
pub enum Message {
    /// The call of this number has ended well.
    Answer {
        /// The call.
        number: u64,
        /// What it answers: JSON; a credential is packed.
        json: Vec<u8>,
    },
    /// The call of this number has failed.
    Failure {
        /// The call.
        number: u64,
        /// The error.
        json: Vec<u8>,
    },
    /// Call this plugin, and answer by this number, exactly once.
    Ask {
        /// Whose plugins are meant: what `open` was given.
        home: u64,
        /// Answer with it.
        number: u64,
        /// Which plugin, which method, its arguments.
        json: Vec<u8>,
    },
    /// Nobody waits for this number any more: end it, and answer what you like.
    Forget {
        /// The call into the plugin.
        number: u64,
    },
}

impl Message {
    fn size(&self) -> usize {
        match self {
            Message::Answer { json, .. } | Message::Failure { json, .. } | Message::Ask { json, .. } => json.len() + 16,
            Message::Forget { .. } => 16,
        }
    }
}

/// A call into host code that was not answered yet.
#[derive(Clone)]
pub struct Asked {
    pub home: u64,
    pub call: HostCall,
}

/// One host's.
pub struct Port {
    queue: smalt_bridge::Port<Message>,
    bell: Bell,
    spare: Mutex<VecDeque<Message>>,
    calls: Mutex<HashMap<u64, Cancel>>,
    asked: Mutex<HashMap<u64, Asked>>,
    hosts: Mutex<HashMap<u64, Host>>,
    open: AtomicBool,
    /// How many calls have ended, taken or not.
    ended: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Port {
    fn new() -> Self {
        let bell = Bell::new();
        let ringer = bell.clone();
        Self {
            queue: smalt_bridge::Port::new(move || ringer.ring()),
            bell,
            spare: Mutex::default(),
            calls: Mutex::default(),
            asked: Mutex::default(),
            hosts: Mutex::default(),
            open: AtomicBool::new(true),
            ended: AtomicU64::new(0),
        }
    }

    pub fn of(number: u64) -> Result<Arc<Port>> {
        PORTS.get(number)
    }

    /// False when the host takes nothing more.
    pub fn put(&self, message: Message) -> bool {
        self.queue.put(message).is_ok()
    }

    /// A call is begun: the token by which the host ends it.
    pub fn began(&self, number: u64) -> Cancel {
        let cancel = Cancel::new();
        lock(&self.calls).insert(number, cancel.clone());
        cancel
    }

    /// A call has ended.
    pub fn ended(&self, number: u64, answer: Result<Vec<u8>>) {
        lock(&self.calls).remove(&number);
        self.put(match answer {
            Ok(json) => Message::Answer { number, json },
            Err(error) => Message::Failure { number, json: to_json(&error) },
        });
        self.ended.fetch_add(1, Ordering::SeqCst);
    }

    pub fn ask(&self, asked: Asked) {
        lock(&self.asked).insert(asked.call.number, asked);
    }

    /// The call into a plugin that is under way, while it was not answered.
    pub fn asked(&self, number: u64) -> Option<Asked> {
        lock(&self.asked).get(&number).cloned()
    }

    /// It is under way no more.
    pub fn done(&self, number: u64) -> Option<Asked> {
        lock(&self.asked).remove(&number)
    }

    /// The plugins of an engine that is being opened.
    pub fn register(&self, home: u64, host: Host) {
        lock(&self.hosts).insert(home, host);
    }

    /// They are called no more.
    pub fn unregister(&self, home: u64) {
        drop(lock(&self.hosts).remove(&home));
    }

    /// Takes a plugin's answer to whoever waits; false when nobody does.
    pub fn answer(&self, home: u64, number: u64, answer: Result<HostAnswer, Fault>) -> bool {
        let host = lock(&self.hosts).get(&home).cloned();
        host.is_some_and(|host| host.answer(number, answer))
    }

    fn batch(&self) -> Vec<Message> {
        let mut spare = lock(&self.spare);
        spare.extend(self.queue.take());
        let (mut batch, mut size) = (Vec::new(), 0);
        while size < BATCH
            && let Some(message) = spare.pop_front()
        {
            size += message.size();
            batch.push(message);
        }
        batch
    }

    fn take(&self, wait: Duration) -> Vec<Message> {
        let until = Instant::now() + wait;
        loop {
            let batch = self.batch();
            if !batch.is_empty() || !self.open.load(Ordering::SeqCst) {
                return batch;
            }
            let left = until.saturating_duration_since(Instant::now());
            if self.bell.wait(left) == Waited::Late {
                return self.batch();
            }
        }
    }

    fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
        drop(self.queue.close());
        self.bell.ring();
        let calls = std::mem::take(&mut *lock(&self.calls));
        calls.into_values().for_each(|call| call.cancel());
        lock(&self.asked).clear();
        // Whoever waits for a plugin ends with a fault.
        let hosts = std::mem::take(&mut *lock(&self.hosts));
        hosts.into_values().for_each(|host| host.close());
    }
}

/// Opens a port: one per host, not one per engine.
#[uniffi::export]
pub fn port_open() -> u64 {
    quiet(|| PORTS.put(Arc::new(Port::new())))
}

/// Takes what has come, or waits for it so many milliseconds. One thread at a time; empty when nothing came, and at once when the port
/// is closed.
///
/// # Errors
/// `closed` when there is no such port.
#[uniffi::export]
pub fn port_take(port: u64, wait: u64) -> Result<Vec<Message>, Failed> {
    raised(|| Ok(Port::of(port)?.take(Duration::from_millis(wait))))
}

/// How many calls have ended in it, whether they were taken or not: for tests, which hold up the thread that takes.
///
/// # Errors
/// `closed` when there is no such port.
#[uniffi::export]
pub fn port_ended(port: u64) -> Result<u64, Failed> {
    raised(|| Ok(Port::of(port)?.ended.load(Ordering::SeqCst)))
}

/// Ends everything that is under way, and the port.
#[uniffi::export]
pub fn port_close(port: u64) {
    quiet(|| {
        if let Some(port) = PORTS.take(port) {
            port.close();
        }
    });
}

/// Cancels a call: its waiter ends at once with `cancelled`. Nothing when it has ended.
///
/// # Errors
/// `closed` when there is no such port.
#[uniffi::export]
pub fn call_cancel(port: u64, number: u64) -> Result<(), Failed> {
    raised(|| {
        let port = Port::of(port)?;
        let call = lock(&port.calls).remove(&number);
        if let Some(call) = call {
            call.cancel();
        }
        Ok(())
    })
}
