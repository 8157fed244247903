use std::sync::atomic::{AtomicUsize, Ordering};

/// So many credentials are kept as a host's objects, at most; then all of them are made anew.
pub const KEPT: usize = 4096;
const FEW: usize = 64;

/// When a host looks through what it keeps for what core has let go of: whenever there is twice as much as the last time, so that
/// keeping something costs the same however much there is, and half of it at most is of no use.
#[derive(Debug)]
pub struct Sweep(AtomicUsize);

impl Default for Sweep {
    fn default() -> Self {
        Self(AtomicUsize::new(FEW))
    }
}

impl Sweep {
    /// Whether it is time, with so many kept.
    pub fn is_due(&self, kept: usize) -> bool {
        kept >= self.0.load(Ordering::Relaxed)
    }

    /// It was done, and so many were left. True where these are too many: drop them all.
    pub fn done(&self, left: usize) -> bool {
        let full = left >= KEPT;
        let left = if full { 0 } else { left };
        self.0.store((left * 2).clamp(FEW, KEPT), Ordering::Relaxed);
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_seldom_and_what_is_kept_has_an_end() {
        let (sweep, mut kept, mut looked_at, mut most) = (Sweep::default(), 0, 0, 0);
        for _ in 0..100_000 {
            if sweep.is_due(kept) {
                looked_at += kept;
                if sweep.done(kept) {
                    kept = 0;
                }
            }
            kept += 1;
            most = most.max(kept);
        }
        assert!(looked_at <= 300_000 && most == KEPT, "{looked_at}, {most}");
    }
}
