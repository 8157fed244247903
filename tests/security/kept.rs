//! What the fuzzer found worth keeping is played in every run.

use smalt_tests::fuzz::TARGETS;

#[test]
fn s81_what_the_fuzzer_kept_breaks_nothing() {
    for (name, target) in TARGETS {
        let folder = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 3, "{folder} holds hardly anything");
        for file in files {
            target(&std::fs::read(file).unwrap());
        }
    }
}
