//! The data is whole, and the program tells all of it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::Value;
use smalt_faults::LEAST;

/// Ids are unique, and each case looks at what was sent, and limits what meets its fault: to less than twenty times what it must take, where that is long.
#[test]
fn the_faults_are_whole() {
    let cases = smalt_faults::cases().unwrap();
    assert!(cases.len() >= 80, "{} cases", cases.len());
    let mut ids = BTreeSet::new();
    for case in &cases {
        assert!(case.steps.iter().any(|step| step["do"] == "stats" && step["expect"].is_object()), "{} looks at nothing", case.id);
        assert!(case.title.len() > 10, "{}", case.id);
        assert!(case.meets().contains(&true), "{} limits nothing", case.id);
        let (within, timeout) = (case.within(), case.client.timeout.unwrap());
        assert!(within >= LEAST && within <= timeout + LEAST, "{}: {within} s", case.id);
        assert!(case.takes == 0.0 || (1.0..=timeout).contains(&case.takes), "{} takes {} s", case.id, case.takes);
        assert!(case.takes == 0.0 || within < 20.0 * case.takes, "{}: {within} s", case.id);
        assert!(ids.insert(&case.id), "{} stands there twice", case.id);
    }
}

#[test]
fn the_program_tells_where_each_case_is_and_ends_with_its_input() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_smalt-faults"));
    program.env("CASE", "door-").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = program.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Vec<Value> = serde_json::from_str(&line).unwrap();
    let wanted = smalt_faults::cases().unwrap().into_iter().filter(|case| case.id.starts_with("door-"));
    assert_eq!(
        told.iter().map(|place| place["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>(),
        wanted.clone().map(|case| case.id).collect::<Vec<_>>()
    );
    for (place, case) in told.iter().zip(wanted) {
        for name in ["url", "origin", "key", "title"] {
            assert!(place[name].is_string(), "{place}");
        }
        let within: Vec<_> = place["steps"].as_array().unwrap().iter().map(|step| step["within"].as_f64()).collect();
        let wanted: Vec<_> = case.meets().into_iter().map(|met| met.then(|| case.within())).collect();
        assert_eq!(within, wanted, "{}", case.id);
        assert!(within.contains(&Some(case.within())), "{place}");
        assert!(place["limit"].as_f64().unwrap() > place["client"]["timeout"].as_f64().unwrap(), "{place}");
    }
    drop(running.stdin.take());
    assert!(running.wait().unwrap().success());
}
