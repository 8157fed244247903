use std::sync::atomic::{AtomicUsize, Ordering};

/// So many credentials are kept as a host's objects, at most. Where more than half as many are in use, all of them are made anew then.
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

    /// It was done, and so many were left. True where these are too many: drop them all. That is more than half of [`KEPT`], since looking
    /// again at [`KEPT`] would come after fewer new ones than were looked through: with one less than [`KEPT`] in use, after each.
    pub fn done(&self, left: usize) -> bool {
        let full = left > KEPT / 2;
        let left = if full { 0 } else { left };
        self.0.store((left * 2).clamp(FEW, KEPT), Ordering::Relaxed);
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps so many new ones, of which the last `in_use` are of use, each time. How many were looked at, kept at most, and dropped while
    /// they were in use.
    fn keep(new: usize, in_use: usize) -> (usize, usize, usize) {
        let (sweep, mut kept, mut looked_at, mut most, mut lost) = (Sweep::default(), 0, 0, 0, 0);
        for _ in 0..new {
            if sweep.is_due(kept) {
                looked_at += kept;
                kept = kept.min(in_use);
                if sweep.done(kept) {
                    lost += kept;
                    kept = 0;
                }
            }
            kept += 1;
            most = most.max(kept);
        }
        (looked_at, most, lost)
    }

    #[test]
    fn it_is_done_seldom_and_what_is_kept_has_an_end() {
        let (looked_at, most, _) = keep(100_000, usize::MAX);
        assert!(looked_at <= 300_000 && most == KEPT, "{looked_at}, {most}");
    }

    /// However many are in use, keeping one more costs the same, and nothing that is of use is dropped before half of the room is taken.
    #[test]
    fn it_costs_the_same_however_much_is_in_use() {
        for in_use in [0, 1, FEW - 1, FEW, FEW + 1, 1000, KEPT / 2 - 1, KEPT / 2, KEPT / 2 + 1, 3000, KEPT - 1, KEPT, KEPT + 1] {
            let (looked_at, most, lost) = keep(100_000, in_use);
            assert!(looked_at <= 300_000 && most <= KEPT, "{in_use} in use: {looked_at} looked at, {most} kept");
            assert_eq!(lost > 0, in_use > KEPT / 2, "{in_use} in use: {lost} made anew");
        }
    }
}
