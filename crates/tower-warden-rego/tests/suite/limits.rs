//! Bounds of time and of the input.

use std::time::{Duration, Instant};

use http::Request;

use crate::support::{Caller, allow};

#[tokio::test]
async fn an_evaluation_that_takes_too_long_refuses() {
    let agent = Caller::agent().await;
    let endless = "allow if {
        some a in numbers.range(1, 1000)
        some b in numbers.range(1, 1000)
        some c in numbers.range(1, 1000)
        some d in numbers.range(1, 1000)
        a + b + c + d == 0
    }";
    let policy = allow(endless).time_limit(Duration::from_millis(20)).build().unwrap();
    let begin = Instant::now();
    let refused = agent.ask(policy).await;
    refused.assert_refused("policy_failed");
    refused.assert_explained("time");
    // Hours less than without a limit.
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_rule_that_denies_is_bounded_in_time_too() {
    let agent = Caller::agent().await;
    let rules = "allow := true

    deny if {
        some a in numbers.range(1, 1000)
        some b in numbers.range(1, 1000)
        some c in numbers.range(1, 1000)
        some d in numbers.range(1, 1000)
        a + b + c + d == 0
    }";
    let policy = allow(rules).deny("data.test.deny").time_limit(Duration::from_millis(20)).build().unwrap();
    agent.ask(policy).await.assert_refused("policy_failed");
}

#[tokio::test]
async fn an_input_that_is_too_long_refuses() {
    let agent = Caller::agent().await;
    let policy = allow("allow := true").max_input_bytes(1000).build().unwrap();
    agent.ask(policy.clone()).await.assert_admitted();
    let refused = agent.send(policy, Request::get(format!("/{}", "a".repeat(1000)))).await;
    refused.assert_refused("policy_failed");
    refused.assert_explained("larger than its limit");
}

#[tokio::test]
async fn an_input_that_is_nested_too_deep_refuses() {
    let agent = Caller::agent().await;
    let nested = (0..200).fold(serde_json::Value::Null, |inner, _| serde_json::Value::Array(vec![inner]));
    let policy = allow("allow := true").input(move |input, _, _| input.insert("nested", &nested)).build().unwrap();
    agent.ask(policy).await.assert_refused("policy_failed");
}

#[tokio::test]
async fn evaluations_do_not_share_what_they_have_computed() {
    let agent = Caller::agent().await;
    let policy =
        allow("default allow := false\n\nallow if path == \"/a\"\n\npath := input.request.path").build().unwrap();
    for _ in 0..50 {
        agent.send(policy.clone(), Request::get("/a")).await.assert_admitted();
        agent.send(policy.clone(), Request::get("/b")).await.assert_refused("policy");
    }
}

#[tokio::test]
#[ignore = "prints a measurement; run it with --release --no-capture"]
async fn duration_of_an_evaluation() {
    let agent = Caller::agent().await;
    let [policy, _] = crate::support::gateways();
    let request = || Request::post("/mcp").extension(tower_warden_rego::Tool::new("list-users").namespace("acme"));
    let allow_all = |_: &tower_warden::Principal, _: &tower_warden::Head<'_>| true;
    for round in 0..3 {
        let begin = Instant::now();
        for _ in 0..2000 {
            agent.send(allow_all, request()).await.assert_admitted();
        }
        let without = begin.elapsed();
        for _ in 0..2000 {
            agent.send(policy.clone(), request()).await.assert_admitted();
        }
        println!("{round}: {:?} for each request", (begin.elapsed() - without * 2) / 2000);
    }
}
