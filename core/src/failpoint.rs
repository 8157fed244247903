//! Named crash points, compiled in only with the feature `failpoints`: `SMALT_FAILPOINT=name` aborts the process at the
//! first pass, `name:n` at the n-th, either with `=kill` behind it has it killed (SIGKILL) there, `name=pause:ms` sleeps there. The
//! reliability tests kill processes with it.

/// Marks a place where a crash would be worst.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        crate::failpoint::hit($name);
    };
}
pub(crate) use failpoint;

/// Aborts or pauses if the environment says so.
#[cfg(feature = "failpoints")]
pub(crate) fn hit(name: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static PASSES: AtomicU32 = AtomicU32::new(0);
    let Ok(wanted) = std::env::var("SMALT_FAILPOINT") else { return };
    if let Some((_, ms)) = wanted.split_once("=pause:").filter(|(n, _)| *n == name) {
        std::thread::sleep(std::time::Duration::from_millis(ms.parse().unwrap_or(0)));
        return;
    }
    let (wanted, is_killed) = wanted.strip_suffix("=kill").map_or((wanted.as_str(), false), |wanted| (wanted, true));
    let (wanted, pass) = wanted.split_once(':').map_or((wanted, 1), |(n, pass)| (n, pass.parse().unwrap_or(1)));
    if wanted == name && PASSES.fetch_add(1, Ordering::SeqCst) + 1 == pass {
        if is_killed {
            let _ = std::process::Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
            // The signal is on its way, and nothing is to be done before it.
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        std::process::abort();
    }
}
