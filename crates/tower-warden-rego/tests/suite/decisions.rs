//! The results of rules, and what becomes of them.

use http::Request;
use tower_warden::{
    Digest, Policy,
    api_key::NewKey,
    certificate::{ChainStatus, PeerCertificate},
};
use tower_warden_rego::{RegoErrorKind, RegoPolicy, Tool};

use crate::support::{Caller, allow, gateway, gateways};

#[tokio::test]
async fn the_policy_of_a_gateway_runs_as_written() {
    let (agent, other) =
        (Caller::agent().await, Caller::new(NewKey::new("agent-8").tenant("acme").scopes("read")).await);
    let certificate = |chain| PeerCertificate::from_thumbprint(Digest::of(b"certificate"), chain);
    for policy in gateways() {
        let call = |tool: Tool| Request::post("/mcp").extension(tool);
        let tool = || Tool::new("list-users").namespace("acme");
        agent.send(policy.clone(), call(tool())).await.assert_admitted();
        agent.send(policy.clone(), call(Tool::new("list-users").namespace("other"))).await.assert_refused("policy");
        agent.send(policy.clone(), call(Tool::new("list-users"))).await.assert_refused("policy");
        agent.send(policy.clone(), Request::post("/mcp")).await.assert_refused("policy");
        other.send(policy.clone(), call(tool())).await.assert_refused("policy");
        let delete = || call(Tool::new("delete-user").namespace("acme"));
        agent.send(policy.clone(), delete()).await.assert_refused("policy");
        let request = delete().extension(certificate(ChainStatus::Unverified));
        agent.send(policy.clone(), request).await.assert_refused("policy");
        let request = delete().extension(certificate(ChainStatus::Verified));
        agent.send(policy.clone(), request).await.assert_admitted();
    }
}

#[tokio::test]
async fn a_caller_without_a_tenant_is_not_of_a_tool_without_a_namespace() {
    let agent = Caller::new(NewKey::new("agent-7").scopes("mcp:invoke")).await;
    for policy in gateways() {
        let request = Request::post("/mcp").extension(Tool::new("list-users"));
        agent.send(policy, request).await.assert_refused("policy");
    }
}

#[tokio::test]
async fn an_undefined_result_refuses() {
    let agent = Caller::agent().await;
    let policy = allow("allow if input.agent.subject == \"somebody else\"").build().unwrap();
    agent.ask(policy.clone()).await.assert_refused("policy_undefined");
    agent.ask(policy.not()).await.assert_refused("policy_undefined");
}

#[tokio::test]
async fn an_error_refuses_and_is_explained_to_the_operator_only() {
    let agent = Caller::agent().await;
    let policy = allow("allow := to_number(input.agent.subject) > 0").build().unwrap();
    let refused = agent.ask(policy.clone()).await;
    refused.assert_refused("policy_failed");
    refused.assert_explained("to_number");
    agent.ask(policy.not()).await.assert_refused("policy_failed");
}

#[tokio::test]
async fn an_error_of_the_rule_that_denies_refuses() {
    let agent = Caller::agent().await;
    let rules = "allow := true\n\ndeny if to_number(input.agent.subject) > 0";
    agent.ask(allow(rules).deny("data.test.deny").build().unwrap()).await.assert_refused("policy_failed");
}

#[tokio::test]
async fn a_result_that_is_no_decision_refuses() {
    let agent = Caller::agent().await;
    for result in ["1", "\"true\"", "[true]", "null", "{\"allow\": \"true\"}", "{}", "{true}"] {
        let refused = agent.ask(allow(&format!("allow := {result}")).build().unwrap()).await;
        refused.assert_refused("policy_failed");
        refused.assert_explained("data.test.allow is neither a boolean nor an object");
    }
}

#[tokio::test]
async fn an_object_names_the_rule_for_the_audit_event_and_the_reason_for_the_log() {
    let agent = Caller::agent().await;
    let admitted = agent.ask(allow(r#"allow := {"allow": true, "rule": "own tenant"}"#).build().unwrap()).await;
    admitted.assert_admitted();
    let policy = admitted.policy.unwrap();
    assert_eq!((&*policy.name, policy.rule.as_deref()), ("data.test.allow", Some("own tenant")));
    let rules = r#"allow := {"allow": false, "rule": "quiet hours", "reason": "it is late"}"#;
    let refused = agent.ask(allow(rules).build().unwrap().named("gateway")).await;
    refused.assert_refused("policy");
    refused.assert_explained("it is late");
    let policy = refused.policy.unwrap();
    assert_eq!((&*policy.name, policy.rule.as_deref()), ("gateway", Some("data.test.allow: quiet hours")));
}

#[tokio::test]
async fn the_audit_event_names_the_rule_that_denied() {
    let agent = Caller::agent().await;
    let policy = allow("allow := true\n\ndeny if input.request.method == \"DELETE\"").deny("data.test.deny");
    let policy = policy.build().unwrap();
    let name = async |request| agent.send(policy.clone(), request).await.policy.unwrap().name.into_owned();
    assert_eq!(name(Request::get("/")).await, "data.test.allow");
    assert_eq!(name(Request::delete("/")).await, "data.test.deny");
}

#[tokio::test]
async fn denials_are_a_boolean_or_a_collection_that_is_not_empty() {
    let agent = Caller::agent().await;
    let denied_by = |rule: &str| allow(&format!("allow := true\n\n{rule}")).deny("data.test.deny").build().unwrap();
    for rule in ["deny := true", "deny contains \"a\" if true", "deny := [1]", "deny := {\"a\": 1}"] {
        agent.ask(denied_by(rule)).await.assert_refused("policy");
    }
    for rule in ["deny := false", "deny contains \"a\" if false", "deny := []", "deny := {}", "deny if false"] {
        agent.ask(denied_by(rule)).await.assert_admitted();
    }
    for rule in ["deny := 0", "deny := \"\"", "deny := null"] {
        agent.ask(denied_by(rule)).await.assert_refused("policy_failed");
    }
}

#[tokio::test]
async fn data_documents_are_merged() {
    let agent = Caller::agent().await;
    let policy = || allow("allow if data.tenants[input.agent.tenant].plan == \"pro\"");
    let policy = |data: &[&str]| data.iter().fold(policy(), |policy, data| policy.data(data)).build();
    let [acme, other] = [r#"{"tenants": {"acme": {"plan": "pro"}}}"#, r#"{"tenants": {"other": {"plan": "free"}}}"#];
    agent.ask(policy(&[other, acme]).unwrap()).await.assert_admitted();
    agent.ask(policy(&[other]).unwrap()).await.assert_refused("policy_undefined");
    let conflict = policy(&[acme, r#"{"tenants": {"acme": {"plan": "free"}}}"#]);
    assert_eq!(conflict.unwrap_err().kind(), RegoErrorKind::Invalid);
    assert_eq!(policy(&["[]"]).unwrap_err().kind(), RegoErrorKind::Invalid);
    assert_eq!(policy(&["{"]).unwrap_err().kind(), RegoErrorKind::Invalid);
}

/// (172)
#[test]
fn data_does_not_replace_rules() {
    let policy = |package: &str| {
        let source = format!("package {package}\n\ndefault allow := false\n");
        RegoPolicy::builder(&format!("data.{package}.allow")).source("gateway.rego", &source)
    };
    for (package, data) in [
        ("gateway", r#"{"gateway": {"allow": true}}"#),
        ("gateway", r#"{"gateway": {"other": 1}}"#),
        ("gateway", r#"{"gateway": true}"#),
        ("gateway", r#"{"other": 1, "gateway": null}"#),
        ("mcp.gateway", r#"{"mcp": {"gateway": {"allow": true}}}"#),
        ("mcp.gateway", r#"{"mcp": []}"#),
        (r#"mcp["gate.way"]"#, r#"{"mcp": {"gate.way": {"allow": true}}}"#),
    ] {
        let error = policy(package).data(data).build().unwrap_err();
        assert_eq!(error.kind(), RegoErrorKind::Invalid, "{package}: {data}");
        assert_eq!(error.to_string(), "data: expected data outside of the packages of the policies");
    }
    let error = policy("gateway").data("[]").build().unwrap_err();
    assert!(error.to_string().starts_with("data: expected a JSON object"), "{error}");
    // A library is a package too.
    let library = policy("gateway").source("library.rego", "package roles\n\nadmins := {\"root\"}\n");
    assert!(library.data(r#"{"roles": {"admins": ["mallory"]}}"#).build().is_err());
    for data in [r#"{"mcp": {"tenants": {"allow": true}}}"#, r#"{"gateway": {"allow": true}, "mcp": {}}"#, "{}"] {
        assert!(policy("mcp.gateway").data(data).build().is_ok(), "{data}");
    }
}

/// (173)
#[tokio::test]
async fn a_builtin_function_that_panics_refuses() {
    let agent = Caller::agent().await;
    let header = http::HeaderName::from_static("x-part");
    let policy = || {
        let policy = allow(r#"allow if strings.count("a,b", input.request.headers["x-part"][0]) >= 0"#);
        policy.header(header.clone()).build().unwrap()
    };
    let ask = async |policy, part: &str| agent.send(policy, Request::get("/").header("x-part", part)).await;
    let policy_of_all = policy();
    ask(policy_of_all.clone(), ",").await.assert_admitted();
    let refused = ask(policy_of_all.clone(), "").await;
    refused.assert_refused("policy_failed");
    refused.assert_explained("panicked");
    ask(policy_of_all, ",").await.assert_admitted();
    let refused = agent.send(policy().not(), Request::get("/").header("x-part", "")).await;
    refused.assert_refused("policy_failed");
}

#[test]
fn policies_that_cannot_be_compiled_are_refused_at_start() {
    let error = allow("allow if {").build().unwrap_err();
    assert_eq!(error.kind(), RegoErrorKind::Invalid);
    assert_eq!(error.to_string(), "test.rego: expected a policy in Rego");
    let error = allow("allow { true }").build().unwrap_err();
    assert_eq!(error.kind(), RegoErrorKind::Invalid, "version 0");
    for builder in [allow("other := true"), allow("allow := true").deny("data.test.deny"), gateway()] {
        assert_eq!(builder.build().unwrap_err().kind(), RegoErrorKind::RuleMissing);
    }
    let error = RegoPolicy::builder("data.test.allow").file("/nowhere/test.rego").build().unwrap_err();
    assert_eq!(error.kind(), RegoErrorKind::Unreadable);
    assert!(error.to_string().contains("/nowhere/test.rego"), "{error}");
}

#[tokio::test]
async fn functions_that_reach_outside_do_not_exist() {
    let agent = Caller::agent().await;
    for call in [
        r#"http.send({"method": "get", "url": "http://127.0.0.1/"}).status_code == 200"#,
        "opa.runtime().env.PATH",
        r#"uuid.rfc4122("a") != """#,
        "unknown_function(input)",
    ] {
        let policy = allow(&format!("allow if {call}")).build().unwrap();
        agent.ask(policy).await.assert_refused("policy_failed");
    }
}
