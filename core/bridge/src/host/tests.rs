#![allow(clippy::unwrap_used)]
use std::sync::mpsc;

use serde_json::json;
use smalt::plugin::{KeyProvider, PresentRequest, Presenter, WorkflowRun, WorkflowRunner};

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn host() -> (Host, mpsc::Receiver<HostMessage>) {
    let (tell, told) = mpsc::channel();
    (Host::new(move |message| tell.send(message).is_ok()), told)
}

fn run() -> WorkflowRun {
    WorkflowRun {
        account_id: "customer-42".into(),
        application: "slack".into(),
        config_id: "c".into(),
        workflow: "notify".into(),
        fields: JsonMap::new(),
        workflow_fields: JsonMap::new(),
        payload: json!({"a": 1}),
    }
}

fn call(told: &mpsc::Receiver<HostMessage>) -> HostCall {
    match told.recv().unwrap() {
        HostMessage::Call(call) => *call,
        other => panic!("expected a call, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_reaches_the_call_of_its_number() {
    let (host, told) = host();
    let runner = HostRunner::new(host.clone(), LONG);
    let asked: Vec<_> = (0..3)
        .map(|_| {
            let runner = runner.clone();
            tokio::spawn(async move { runner.run(run()).await })
        })
        .collect();
    let calls: Vec<HostCall> = (0..3).map(|_| call(&told)).collect();
    for call in calls.iter().rev() {
        assert_eq!(serde_json::to_value(&call.arguments).unwrap()["payload"], json!({"a": 1}));
        assert!(host.answer(call.number, call.read(json!({"number": call.number}))));
    }
    let mut numbers: Vec<u64> = Vec::new();
    for asked in asked {
        numbers.push(asked.await.unwrap().unwrap()["number"].as_u64().unwrap());
    }
    numbers.sort_unstable();
    let mut expected: Vec<u64> = calls.iter().map(|call| call.number).collect();
    expected.sort_unstable();
    assert_eq!(numbers, expected);
    assert!(!host.answer(calls[0].number, Ok(HostAnswer::Done)), "a second answer finds nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_away_cancels_the_call() {
    let (host, told) = host();
    let runner = HostRunner::new(host.clone(), LONG);
    let asked = tokio::spawn(async move { runner.run(run()).await });
    let number = call(&told).number;
    asked.abort();
    assert!(matches!(told.recv().unwrap(), HostMessage::Cancel(cancelled) if cancelled == number));
    assert!(!host.answer(number, Ok(HostAnswer::Done)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_plugin_is_named_and_cancelled() {
    let (host, told) = host();
    let late = HostRunner::new(host, Duration::from_millis(1)).run(run()).await.unwrap_err();
    assert!(matches!(late, Fault::Smalt(error) if error.is(Code::PluginTimeout)));
    let number = call(&told).number;
    assert!(matches!(told.recv().unwrap(), HostMessage::Cancel(cancelled) if cancelled == number));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_gone_fails_its_callers() {
    let (host, told) = host();
    let runner = HostRunner::new(host.clone(), LONG);
    let asked = tokio::spawn({
        let runner = runner.clone();
        async move { runner.run(run()).await }
    });
    call(&told);
    host.close();
    assert!(matches!(asked.await.unwrap(), Err(Fault::Failed { .. })));
    drop(told);
    assert!(matches!(runner.run(run()).await, Err(Fault::Failed { .. })), "nobody takes the message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_key_provider_has_its_name() {
    let (host, told) = host();
    let keys = HostKeys::new(host.clone());
    type Answering = fn(&HostCall) -> Result<HostAnswer, Fault>;
    let faults: [(Code, Answering); 5] = [
        (Code::PluginFailed, |_| Err(Fault::failed("down"))),
        (Code::PluginPanicked, |call| Err(call.panicked("down", None))),
        (Code::PluginAnswer, |call| call.read(json!(7))),
        (Code::PluginAnswer, |_| Ok(HostAnswer::Done)),
        (Code::KeyWrong, |_| Err(Fault::Rejected("another key".into()))),
    ];
    for (code, fault) in faults {
        let asked = tokio::spawn({
            let keys = keys.clone();
            async move { keys.key_id().await }
        });
        let told = call(&told);
        assert!(host.answer(told.number, fault(&told)));
        let error = asked.await.unwrap().unwrap_err();
        let context = &error.info().context;
        assert!(error.is(code) && context["plugin"] == "key provider" && context["call"] == "key_id", "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_presenter_has_its_name() {
    let (host, told) = host();
    let presenter = HostPresenter::new(host.clone(), "window", None);
    type Answering = fn(&HostCall) -> Result<HostAnswer, Fault>;
    let faults: [(Code, Answering); 3] = [
        (Code::PluginPanicked, |call| Err(call.panicked("down", None))),
        (Code::PluginAnswer, |call| call.read(json!(7))),
        (Code::PluginAnswer, |_| Ok(HostAnswer::Done)),
    ];
    for (code, fault) in faults {
        let asked = tokio::spawn({
            let presenter = presenter.clone();
            let request = PresentRequest {
                authorize_url: "https://acme.example.com".into(),
                redirect_uri: String::new(),
                application: "Acme".into(),
                device: None,
            };
            async move { presenter.present(request).await }
        });
        let told = call(&told);
        assert_eq!((told.plugin(), told.label()), ("presenter", "presenter window"));
        assert!(host.answer(told.number, fault(&told)));
        let Err(Fault::Smalt(error)) = asked.await.unwrap() else { panic!("{code:?}") };
        let context = &error.info().context;
        assert!(error.is(code) && context["plugin"] == "presenter window" && context["call"] == "present", "{error:?}");
    }
}

#[test]
fn nonsense_is_an_error_that_repeats_no_value() {
    for (what, answer) in [
        (What::Verify, json!({"id": 1, "canary": "canary"})),
        (What::Options, json!("canary")),
        (What::KeyId, json!(null)),
        (What::Wrap, json!("canary!")),
    ] {
        let error = what.read(answer).unwrap_err();
        assert!(error.is(Code::PluginAnswer) && !error.to_string().contains("canary"), "{error}");
    }
    assert!(matches!(What::Verify.read(json!(null)).unwrap(), HostAnswer::NotMine));
    assert!(matches!(What::Wrap.read(json!("AQI=")).unwrap(), HostAnswer::Bytes(bytes) if *bytes == [1, 2]));
}
