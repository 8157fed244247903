//! One program for all targets: `SMALT_FUZZ` names the one that runs.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use smalt_tests::fuzz::{TARGETS, Target};

fn target() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let wanted = std::env::var("SMALT_FUZZ").unwrap_or_default();
        TARGETS.iter().find(|(name, _)| *name == wanted).unwrap_or_else(|| panic!("SMALT_FUZZ must name a target: {:?}", TARGETS.map(|(name, _)| name)))
    })
}

fuzz_target!(|data: &[u8]| (target().1)(data));
