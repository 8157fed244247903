//! The Rust driver of the conformance cases: see `README.md` beside it.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod case;
mod faults;
mod matcher;
mod plugins;
mod search;
mod served;
mod verbs;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use smalt::{Code, backend::Caller, model::Json};
use tokio::{sync::Semaphore, task::JoinSet};

use case::{Case, Step, fill};
use verbs::{Failure, perform};
use world::{Embedded, World};

/// Which implementation of the doorway runs the cases.
#[derive(Clone, Copy)]
enum Backend {
    /// The engine, in this process.
    Embedded,
    /// The remote one, to a server in a process of its own.
    Remote,
}

impl Backend {
    const ALL: [Backend; 2] = [Backend::Embedded, Backend::Remote];

    fn name(self) -> &'static str {
        match self {
            Backend::Embedded => "embedded",
            Backend::Remote => "remote",
        }
    }
}

/// How long `eventually` waits.
const EVENTUALLY: Duration = Duration::from_secs(30);
/// A case that takes longer has failed.
const LONGEST: Duration = Duration::from_secs(60);
/// Cases that run at once.
const AT_ONCE: usize = 8;

fn room() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

fn cases() -> Vec<Case> {
    let files = std::fs::read_dir(room().join("cases")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files.iter().map(|file| Case::read(file)).collect()
}

/// Every case against every backend. `CASE=<part of an id>` chooses some, `BACKEND=embedded|remote` one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_holds() {
    let standard: Arc<Json> = Arc::new(serde_json::from_str(&std::fs::read_to_string(room().join("project.json")).unwrap()).unwrap());
    let chosen = std::env::var("CASE").unwrap_or_default();
    let only = std::env::var("BACKEND").ok();
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.id.contains(&chosen)).collect();
    assert!(!cases.is_empty(), "no case is called like `{chosen}`");
    let mut report = Vec::new();
    let mut backends = 0;
    for backend in Backend::ALL.into_iter().filter(|backend| only.as_deref().is_none_or(|only| only == backend.name())) {
        let begun = Instant::now();
        let results = run_all(cases.clone(), backend, &standard).await;
        let name = backend.name();
        backends += 1;
        println!("== rust {name}");
        show(&results, !chosen.is_empty());
        let failed = results.values().filter(|result| result.is_err()).count();
        println!("rust {name}: {} passed, {failed} failed", results.len() - failed);
        if chosen.is_empty() {
            count(name, begun.elapsed(), &results);
        }
        report.extend(results.iter().filter_map(|(id, result)| Some(format!("{name} {id}: {}", result.as_ref().err()?))));
    }
    assert!(backends > 0, "there is no backend `{}`", only.unwrap_or_default());
    assert!(report.is_empty(), "{}", report.join("\n"));
}

/// What was counted, for the grid: see `README.md`.
fn count(backend: &str, took: Duration, results: &BTreeMap<String, Result<(), String>>) {
    let ids = |passed: bool| results.iter().filter(|(_, result)| result.is_ok() == passed).map(|(id, _)| id).collect::<Vec<_>>();
    let row = json!({
        "language": "rust", "backend": backend, "seconds": took.as_secs_f64(), "passed": ids(true), "failed": ids(false)
    });
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| room().join("../../target"), PathBuf::from);
    std::fs::create_dir_all(target.join("conformance")).unwrap();
    std::fs::write(target.join(format!("conformance/rust-{backend}.json")), format!("{row:#}\n")).unwrap();
}

async fn run_all(cases: Vec<Case>, backend: Backend, standard: &Arc<Json>) -> BTreeMap<String, Result<(), String>> {
    let (places, mut running) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for case in cases {
        let (places, standard) = (places.clone(), standard.clone());
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            let ended = match tokio::time::timeout(LONGEST, run(&case, backend, &standard)).await {
                Ok(ended) => ended,
                Err(_) => Err(format!("did not end within {LONGEST:?}")),
            };
            (case.id, ended)
        });
    }
    let mut results = BTreeMap::new();
    while let Some(ended) = running.join_next().await {
        let (id, ended) = ended.unwrap();
        results.insert(id, ended);
    }
    results
}

/// Not a test by itself: the process of a server, which the remote backend's cases start.
#[test]
fn plays_the_server() {
    if let Some(case) = smalt_tests::child::role() {
        served::play(&room(), &case);
    }
}

/// A line per subject, which is how ids begin; each case where some were chosen, and each that failed.
fn show(results: &BTreeMap<String, Result<(), String>>, each: bool) {
    let mut subjects: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (id, result) in results {
        let (passed, all) = subjects.entry(id.split('-').next().unwrap_or(id)).or_default();
        *passed += usize::from(result.is_ok());
        *all += 1;
        match result {
            Err(why) => println!("FAILED  {id}: {why}"),
            Ok(()) if each => println!("ok      {id}"),
            Ok(()) => {}
        }
    }
    for (subject, (passed, all)) in subjects.iter().filter(|_| !each) {
        println!("{}  {subject:<12} {passed:>3} of {all:>3}", if passed == all { "ok    " } else { "FAILED" });
    }
}

async fn run(case: &Case, backend: Backend, standard: &Json) -> Result<(), String> {
    let world = Arc::new(match backend {
        Backend::Embedded => World::Embedded(Embedded::open(case, standard).await?),
        Backend::Remote => World::Served(served::Served::start(case).await?),
    });
    let ended = steps(&world, &case.steps).await;
    world.close().await;
    ended
}

async fn steps(world: &Arc<World>, steps: &[Step]) -> Result<(), String> {
    let mut saved = world.given();
    for (number, step) in (1..).zip(steps) {
        take(world, step, &mut saved).await.map_err(|why| format!("step {number} ({}): {why}", step.verb))?;
    }
    Ok(())
}

/// A step with its saved values filled in.
fn ready(step: &Step, saved: &BTreeMap<String, Json>) -> Result<Step, String> {
    let mut step = step.clone();
    let put = |value: &mut Json| fill(value, saved).map(|filled| *value = filled);
    step.args.values_mut().chain(&mut step.authority).chain(&mut step.expect).try_for_each(put)?;
    if let Some(error) = &mut step.error {
        error.context.iter_mut().try_for_each(put)?;
        for text in &mut error.without {
            *text = fill(&Json::String(text.clone()), saved)?.as_str().unwrap_or_default().to_owned();
        }
    }
    Ok(step)
}

async fn take(world: &Arc<World>, step: &Step, saved: &mut BTreeMap<String, Json>) -> Result<(), String> {
    let step = ready(step, saved)?;
    let until = Instant::now() + EVENTUALLY;
    let answers = loop {
        let answers = match step.within.map(Duration::from_secs_f64) {
            None => act(world, &step).await,
            Some(within) => tokio::time::timeout(within, act(world, &step)).await.map_err(|_| format!("did not end within {within:?}"))?,
        };
        let checked = match &step.outcomes {
            Some(outcomes) => check_outcomes(outcomes, &answers),
            None => answers.iter().try_for_each(|answer| check(&step, answer)),
        };
        match checked {
            Ok(()) => break answers,
            Err(_) if step.eventually && Instant::now() < until => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(why) => return Err(why),
        }
    };
    let last = answers.into_iter().next_back().and_then(Result::ok);
    for (name, pointer) in &step.save {
        let part = last.as_ref().and_then(|answer| answer.pointer(pointer));
        saved.insert(name.clone(), part.ok_or_else(|| format!("the answer has no `{pointer}` to save"))?.clone());
    }
    Ok(())
}

fn caller(step: &Step) -> Result<Option<Caller>, String> {
    match &step.authority {
        None => Ok(Some(verbs::organisation())),
        Some(Json::String(who)) if who == "organisation" => Ok(Some(verbs::organisation())),
        Some(Json::String(who)) if who == "session" => Ok(None),
        Some(other) => match other["token"].as_str() {
            Some(token) => Ok(Some(Caller::Session(token.into()))),
            None => Err(format!("there is no authority `{other}`")),
        },
    }
}

/// The answers, in the order in which they came.
async fn act(world: &Arc<World>, step: &Step) -> Vec<Result<Json, Failure>> {
    let once = || {
        let (world, step) = (world.clone(), step.clone());
        async move { perform(&world, &step.verb, caller(&step)?, step.args).await }
    };
    let mut answers = Vec::new();
    if let Some(count) = step.parallel {
        let mut running: JoinSet<_> = (0..count).map(|_| once()).collect();
        while let Some(answer) = running.join_next().await {
            answers.push(answer.unwrap());
        }
        return answers;
    }
    for _ in 0..step.repeat.unwrap_or(1) {
        answers.push(once().await);
    }
    answers
}

fn check(step: &Step, answer: &Result<Json, Failure>) -> Result<(), String> {
    match (answer, &step.error) {
        (Err(Failure::Case(mistake)), _) => Err(format!("a mistake in the case: {mistake}")),
        (Ok(answer), None) => step.expect.as_ref().map_or(Ok(()), |wanted| matcher::matches(wanted, answer)),
        (Ok(answer), Some(wanted)) => Err(format!("expected the error `{}`, got {answer}", wanted.code)),
        (Err(Failure::Smalt(error)), None) => Err(format!("expected an answer, got the error {error:?}")),
        (Err(Failure::Smalt(error)), Some(wanted)) => {
            if error.code().as_str() != wanted.code {
                return Err(format!("expected the error `{}`, got {error:?}", wanted.code));
            }
            let info = error.info();
            if let Some(context) = &wanted.context {
                matcher::matches(context, &json!(info.context)).map_err(|why| format!("the error's context: {why}"))?;
            }
            if let Some(seconds) = &wanted.retry_after {
                matcher::matches(seconds, &json!(info.retry_after.map(|wait| wait.as_secs())))
                    .map_err(|why| format!("the error's `retry_after`: {why}"))?;
            }
            let shown = format!("{error} {error:?} {:?}", info.trace);
            match wanted.without.iter().find(|text| shown.contains(&**text)) {
                Some(text) => Err(format!("`{text}` stands in the error {error:?}")),
                None => Ok(()),
            }
        }
    }
}

fn check_outcomes(wanted: &BTreeMap<String, usize>, answers: &[Result<Json, Failure>]) -> Result<(), String> {
    let mut got: BTreeMap<String, usize> = BTreeMap::new();
    for answer in answers {
        let outcome = match answer {
            Ok(_) => "ok",
            Err(Failure::Smalt(error)) => error.code().as_str(),
            Err(Failure::Case(mistake)) => return Err(format!("a mistake in the case: {mistake}")),
        };
        *got.entry(outcome.to_owned()).or_default() += 1;
    }
    if got == *wanted { Ok(()) } else { Err(format!("expected the outcomes {wanted:?}, got {got:?}")) }
}

/// Every error code is the answer of a case, here or among those of bad networks, which the same drivers run.
#[test]
fn every_error_code_is_answered_by_a_case() {
    let mut reached = BTreeSet::new();
    let cases = cases();
    assert!(cases.len() >= 140, "{} cases", cases.len());
    let networks = smalt_faults::cases().unwrap().into_iter().flat_map(|case| case.steps);
    let networks: Vec<Step> = networks.map(|step| serde_json::from_value(step).unwrap()).collect();
    for step in cases.iter().flat_map(|case| &case.steps).chain(&networks) {
        reached.extend(step.error.iter().map(|error| error.code.clone()));
        reached.extend(step.outcomes.iter().flat_map(|outcomes| outcomes.keys().cloned()));
    }
    let missing: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).filter(|code| !reached.contains(*code)).collect();
    assert_eq!(missing, [""; 0], "no case reaches them");
}

/// What a case expects of an operation stands among the operation's own errors, or is one that any may end with.
#[test]
fn every_error_of_a_case_is_one_of_its_operation() {
    let operations = &smalt::backend::schema()["operations"];
    for case in cases() {
        for step in &case.steps {
            let (Some(error), Some(own)) = (&step.error, operations[&step.verb]["errors"].as_array()) else { continue };
            let code = error.code.as_str();
            let is_known = own.iter().any(|own| own == code) || Code::parse(code).unwrap().is_general();
            assert!(is_known, "{}: `{}` does not name `{code}` among its errors", case.id, step.verb);
        }
    }
}

/// The rules that follow from how real servers differ name cases that are there; each rule has one.
#[test]
fn every_rule_names_its_cases() {
    let page = std::fs::read_to_string(room().join("README.md")).unwrap();
    let rules: Vec<&str> =
        page.split_once("| rule | cases |").unwrap().1.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rules.len(), 10);
    let cases = cases();
    for rule in rules {
        let named: Vec<&str> = rule.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{rule}");
        for name in named {
            let fits = |id: &str| match name.split_once('*') {
                Some((start, end)) => id.starts_with(start) && id.ends_with(end),
                None => id == name,
            };
            assert!(cases.iter().any(|case| fits(&case.id)), "no case is named {name}");
        }
    }
}
