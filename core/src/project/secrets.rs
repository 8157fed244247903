//! Secrets that stand in files, kept in memory until their file changes.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::SecretRef;
use crate::{Result, Secret};

/// A file that changed so lately could change once more without its times showing it: it is read again each time.
const SETTLED: Duration = Duration::from_secs(2);

/// What tells that a file is another one, or holds something else: place, size, and both times, of which nobody can set the
/// second.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

#[cfg(unix)]
impl Mark {
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            file: (meta.dev(), meta.ino()),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

#[cfg(not(unix))]
impl Mark {
    /// No time here is safe from being set: nothing is kept.
    fn of(_path: &Path) -> Option<Self> {
        None
    }
}

impl Mark {
    fn is_settled(&self) -> bool {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let last = self.changed.0.max(self.modified.0);
        u64::try_from(last).is_ok_and(|last| now >= Duration::from_secs(last) + SETTLED + Duration::from_secs(1))
    }
}

/// The secrets of files by path. Each use looks at the file's times, so that a replaced file counts at once.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<HashMap<PathBuf, (Mark, Secret)>>);

impl Secrets {
    /// As [`SecretRef::resolve`].
    pub(crate) fn resolve(&self, secret: &SecretRef, base_dir: &Path) -> Result<Secret> {
        let SecretRef::File(path) = secret else { return secret.resolve(base_dir) };
        let path = base_dir.join(path);
        // Taken before the file is read: what changes meanwhile is seen at the next use.
        let mark = Mark::of(&path);
        if let Some((known, value)) = self.kept().get(&path)
            && Some(*known) == mark
        {
            return Ok(value.clone());
        }
        self.kept().remove(&path);
        let value = secret.resolve(base_dir)?;
        if let Some(mark) = mark.filter(Mark::is_settled) {
            self.kept().insert(path, (mark, value.clone()));
        }
        Ok(value)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<PathBuf, (Mark, Secret)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Code;

    /// Whatever is done to the file, the next use has what stands in it; a settled one is read once.
    #[test]
    fn a_changed_file_counts_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (path, secrets) = (folder.path().join("s"), Secrets::default());
        let reference = SecretRef::File("s".into());
        let now = || secrets.resolve(&reference, folder.path()).map(|secret| secret.expose().to_owned());
        let kept = || secrets.kept().len();
        for n in 0..200 {
            // The same length each time, and as fast as a program can write.
            std::fs::write(&path, format!("secret-{n:03}\n")).unwrap();
            assert_eq!(now().unwrap(), format!("secret-{n:03}"));
            assert_eq!(kept(), 0, "a file that may still change unseen is not kept");
        }
        let mark = Mark::of(&path).unwrap();
        let old = Mark { modified: (mark.modified.0 - 60, 0), changed: (mark.changed.0 - 60, 0), ..mark };
        assert!(old.is_settled() && !mark.is_settled());

        // As if it had been read a minute after it was written.
        secrets.kept().insert(path.clone(), (mark, "kept".into()));
        assert_eq!(now().unwrap(), "kept");
        // Another file of the same size in its place.
        let other = folder.path().join("other");
        std::fs::write(&other, "secret-xyz\n").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(now().unwrap(), "secret-xyz");

        secrets.kept().insert(path.clone(), (Mark::of(&path).unwrap(), "kept".into()));
        std::fs::remove_file(&path).unwrap();
        assert!(now().unwrap_err().is(Code::SecretMissing));
        assert_eq!(kept(), 0, "a secret whose file is gone is cleared");
    }
}
