use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicI64, Ordering},
};

use crate::time::Timestamp;

/// A reading of the clock that no one can set: which boot, and how long since. Leases use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootTime {
    /// Names this boot of this machine.
    pub boot_id: String,
    /// Milliseconds since then, including sleep.
    pub millis: i64,
}

/// Time. Default: the system's clocks.
pub trait Clock: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> Timestamp;
    /// The time since boot.
    fn boot(&self) -> BootTime;
    /// Only its milliseconds: asked on every ready call.
    fn boot_millis(&self) -> i64 {
        self.boot().millis
    }
}

/// The system's clocks.
#[derive(Clone, Debug)]
pub struct SystemClock {
    boot_id: Arc<str>,
}

/// Names this boot. Read once, since no process outlives it; and a file is no thing to read for a look at the clock.
static BOOT_ID: LazyLock<Arc<str>> = LazyLock::new(|| {
    // Elsewhere than on Linux a boot is told apart by when it began, to the minute.
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| format!("boot-{}", (wall_millis() - since_boot()).div_euclid(60_000)), |id| id.trim().to_owned())
        .into()
});

impl Default for SystemClock {
    fn default() -> Self {
        Self { boot_id: BOOT_ID.clone() }
    }
}

fn wall_millis() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

fn since_boot() -> i64 {
    use rustix::time::{ClockId, clock_gettime};
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let t = clock_gettime(ClockId::Boottime);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec * 1000 + t.tv_nsec / 1_000_000
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(wall_millis())
    }

    fn boot(&self) -> BootTime {
        BootTime { boot_id: self.boot_id.to_string(), millis: since_boot() }
    }

    fn boot_millis(&self) -> i64 {
        since_boot()
    }
}

/// A clock that moves only when told to, for tests. Clones share the time.
#[derive(Clone, Debug)]
pub struct FixedClock(Arc<AtomicI64>);

impl FixedClock {
    /// Starts at this time.
    pub fn at(time: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(time.millis())))
    }

    /// Moves the time; negative moves it back.
    pub fn advance_millis(&self, by: i64) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn boot(&self) -> BootTime {
        BootTime { boot_id: "fixed".to_owned(), millis: self.0.load(Ordering::SeqCst) }
    }
}
