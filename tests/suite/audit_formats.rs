//! The formats of audit events.

use std::{convert::Infallible, sync::Arc};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    Environment, ManualClock, Reason,
    api_key::NewKey,
    audit::{
        AgentJson, AuditChannel, AuditLog, AuditNote, ChangeOutcome, Counted, End, Event, EventFormat, EventKind,
        EventReceiver, FlatJson, KeyAction, Notice, Observer, Ocsf,
    },
    jwt::{Issuer, Jwt},
    layer::{AuditLayer, AuthLayer, RateLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
    request::Peer,
    revocation::{MemoryRevocationList, Revocation},
    scope::Scopes,
    testing::TestIssuer,
};

use crate::support::{START, Stack, answer, bearer};

fn log() -> (AuditLog, EventReceiver) {
    let (sink, events) = AuditChannel::new(100);
    let environment = Environment::default().with_clock(ManualClock::at(START));
    (AuditLog::new(sink).environment(&environment), events)
}

fn line(format: &impl EventFormat, event: &Event) -> Value {
    let mut line = Vec::new();
    format.write(event, &mut line);
    assert!(!line.contains(&b'\n'));
    serde_json::from_slice(&line).unwrap()
}

/// The events of an admitted request, of a refused one, and of notices.
async fn events() -> Vec<Event> {
    let stack = Stack::new();
    let scopes = Scopes::parse("mcp:invoke").unwrap();
    let (_, key) = stack.mint(NewKey::new("alice").tenant("acme").scopes(scopes)).await;
    let (log, mut events) = log();
    let service = service_fn(async |request: Request<Full<Bytes>>| {
        AuditNote::of(request.extensions()).tool("delete-user").input(b"abc").field("ticket", 7);
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(log.clone()))
        .layer(AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone())))
        .service(service);
    for key in [key.expose(), "sk_agent_x"] {
        let request = Request::delete("/users/7?access_token=s3cret").header("x-api-key", key);
        let request = request.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01");
        let request = request.extension(Peer::new(([192, 0, 2, 7], 4711).into()));
        drop(service.clone().oneshot(request.body(Full::default()).unwrap()).await);
    }
    let names = || (Arc::<str>::from("the key store"), Arc::<str>::from("timed out"));
    log.observe(Notice::DependencyDown { dependency: names().0, issuer: Some(names().1), cause: names().1 });
    log.observe(Notice::DependencyUp { dependency: names().0, issuer: None });
    log.observe(Notice::IssuerKeysChanged { issuer: names().0, added: 1, removed: 2 });
    let action = KeyAction::Revoked;
    let (outcome, owner) = (ChangeOutcome::Unknown, Some("alice".into()));
    log.observe(Notice::Key { action, id: "key-1".into(), outcome, owner, tenant: None });
    log.observe(Notice::Revoked { kind: "token", outcome, issuer: None, name: "token-1".into() });
    std::iter::from_fn(|| events.try_recv()).collect()
}

#[tokio::test]
async fn a_flat_line_has_the_members_of_the_schema() {
    let events = events().await;
    let lines: Vec<_> = events.iter().map(|event| line(&FlatJson::default(), event)).collect();
    let mut admitted = lines[0].clone();
    for changing in ["id", "key_id", "request_id", "latency_us", "duration_us"] {
        assert!(admitted.as_object_mut().unwrap().remove(changing).is_some(), "{changing}");
    }
    assert_eq!(
        admitted,
        json!({
            "v": 1, "time": "2027-01-15T08:00:00.000Z", "type": "request",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "method": "DELETE", "path": "/users/7", "peer": "192.0.2.7", "client_address": "192.0.2.7",
            "auth_method": "api_key", "subject": "alice", "tenant": "acme", "scopes": ["mcp:invoke"],
            "decision": "admitted", "status": 200, "end": "complete",
            "observations": ["credential_in_query"],
            "fields": {
                "tool": "delete-user", "ticket": "7",
                "input_sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            },
        })
    );
    assert_eq!(lines[1]["code"], "invalid_token");
    assert_eq!(lines[1]["reason"], "key_length");

    // Each member is in the schema, and each that the schema requires is present.
    let schema: Value = serde_json::from_str(FlatJson::SCHEMA).unwrap();
    for line in &lines {
        let kinds = schema["oneOf"].as_array().unwrap();
        let kind = kinds.iter().find(|kind| kind["properties"]["type"]["const"] == line["type"]).unwrap();
        for name in line.as_object().unwrap().keys() {
            let known = [&schema, kind].iter().any(|part| part["properties"].get(name).is_some());
            assert!(known, "{name} is not in the schema");
        }
        for name in [&schema, kind].iter().flat_map(|part| part["required"].as_array().unwrap()) {
            assert!(line.get(name.as_str().unwrap()).is_some(), "{name} is required");
        }
    }
}

#[tokio::test]
async fn an_ocsf_event_has_the_required_attributes_of_its_class() {
    let ocsf = Ocsf::new("billing");
    let events = events().await;
    let lines: Vec<_> = events.iter().map(|event| line(&ocsf, event)).collect();
    let classes: Vec<_> = lines.iter().map(|line| line["class_uid"].as_u64().unwrap()).collect();
    assert_eq!(classes, [6003, 3002, 6008, 0, 0, 3004, 3004]);
    for line in &lines {
        for name in ["activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"] {
            assert!(!line[name].is_null(), "{name} in {line}");
        }
        let (class, activity) = (line["class_uid"].as_u64().unwrap(), line["activity_id"].as_u64().unwrap());
        assert_eq!(line["type_uid"], class * 100 + activity);
        assert_eq!(line["category_uid"], class / 1_000);
        assert_eq!(line["metadata"]["version"], "1.8.0");
        assert!(!line["metadata"]["product"]["name"].is_null());
        let required: &[&str] = match class {
            3002 => &["user", "service"],
            3004 => &["entity"],
            6003 => &["actor", "api", "src_endpoint"],
            _ => &[],
        };
        for name in required {
            assert!(!line[*name].is_null(), "{name} in {line}");
        }
    }
    let admitted = &lines[0];
    assert_eq!((&admitted["activity_id"], &admitted["status_id"]), (&4.into(), &1.into()));
    assert_eq!(admitted["api"]["operation"], "delete-user");
    assert_eq!(admitted["actor"]["user"]["uid"], "alice");
    assert_eq!(admitted["metadata"]["tenant_uid"], "acme");
    assert_eq!(admitted["unmapped"]["field_ticket"], "7");
    let refused = &lines[1];
    assert_eq!((&refused["status_id"], &refused["status_detail"]), (&2.into(), &"key_length".into()));
}

#[tokio::test]
async fn the_owner_of_a_refused_credential_is_named_with_its_issuer_and_tenant() {
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
    let rules = Issuer::new(issuer.name(), "https://api.test").unwrap().tenant_claim("tenant");
    let revocations = Arc::new(MemoryRevocationList::default().environment(&environment));
    let auth = AuthLayer::new(Jwt::new(rules, issuer.clone())).environment(&environment);
    let (log, mut events) = log();
    let service = AuditLayer::new(log).layer(auth.revocations(Arc::clone(&revocations)).layer(service_fn(answer)));
    let token = issuer.token("alice").audience("https://api.test").claim("tenant", "acme").claim("jti", "token-1");
    let expiry = START + std::time::Duration::from_secs(600);
    revocations.revoke(Revocation::token(issuer.name(), "token-1"), expiry).unwrap();
    drop(service.oneshot(bearer(&token.sign()).body(Full::default()).unwrap()).await);
    let ocsf = line(&Ocsf::new("test"), &events.try_recv().unwrap());
    assert_eq!((&ocsf["class_uid"], &ocsf["user"]["uid"]), (&3002.into(), &"alice".into()));
    assert_eq!(ocsf["actor"]["idp"]["name"], "https://issuer.test");
    assert_eq!(ocsf["metadata"]["tenant_uid"], "acme");
    assert_eq!(ocsf["unmapped"]["refused_credential"]["auth_method"], "jwt");
}

async fn read(note: AuditNote) {
    note.tool("read");
}

#[tokio::test]
async fn an_ocsf_event_has_each_member_of_a_flat_line_as_an_attribute_or_unmapped() {
    const ATTRIBUTES: [&str; 17] = [
        "v",
        "id",
        "time",
        "type",
        "request_id",
        "method",
        "path",
        "client_address",
        "subject",
        "issuer",
        "token_id",
        "decision",
        "code",
        "reason",
        "status",
        "duration_us",
        "fields",
    ];
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
    let rules = Issuer::new(issuer.name(), "https://api.test").unwrap();
    let (log, mut events) = log();
    let quota = Quota::per_hour(1).named("hourly");
    let app = Router::new()
        .route("/accounts/{id}", get(read))
        .layer(RateLimitLayer::new("calls", LocalRateLimiter::default(), LimitBy::principal(), quota))
        .layer(AuthLayer::new(Jwt::new(rules, issuer.clone())).environment(&environment))
        .layer(AuditLayer::new(log));
    let actor = json!({ "sub": "agent", "iss": "https://agents.test", "act": { "sub": "tool" } });
    let token = issuer.token("alice").audience("https://api.test").claim("act", actor).claim("jti", "token-1");
    for expected in [200, 429] {
        let request = Request::get("/accounts/7").header("authorization", format!("Bearer {}", token.sign()));
        let request = request.extension(Peer::new(([192, 0, 2, 7], 4711).into()));
        let response = app.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), expected);
        drop(response);
        let mut event = events.try_recv().unwrap();
        let EventKind::Request(request) = &mut event.kind else { panic!("a request") };
        request.client_address = Some([198, 51, 100, 9].into());
        request.limit.as_mut().unwrap().counted = Counted::OnThisNode;
        let flat = line(&FlatJson::default(), &event);
        let ocsf = line(&Ocsf::new("test"), &event);
        for (name, value) in flat.as_object().unwrap().iter().filter(|(name, _)| !ATTRIBUTES.contains(&&***name)) {
            assert_eq!(&ocsf["unmapped"][name], value, "{name}");
        }
        assert_eq!(flat["actor_issuers"], json!(["https://agents.test", null]));
        for name in ["actors", "latency_us", "limit", "peer", "route"] {
            assert!(!flat[name].is_null(), "{name}");
        }
        assert_eq!(flat["quotas_exceeded"].is_null(), expected == 200);
    }
}

#[tokio::test]
async fn an_agent_line_has_the_members_of_gateways() {
    let events = events().await;
    let mut line = line(&AgentJson::default(), &events[0]);
    assert!(line.as_object_mut().unwrap().remove("agent_id").is_some());
    assert_eq!(
        line,
        json!({
            "timestamp": "2027-01-15T08:00:00.000Z", "auth_method": "api_key", "user_id": "alice", "tenant": "acme",
            "tool": "delete-user", "result": "200", "policy_decision": "allow",
            "input": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        })
    );
    let refused = self::line(&AgentJson::default(), &events[1]);
    assert_eq!(refused["policy_decision"], "deny:key_length");
    assert_eq!((&refused["tool"], &refused["result"]), (&"DELETE /users/7".into(), &"401".into()));
    let mut notice = Vec::new();
    AgentJson::default().write(&events[2], &mut notice);
    assert!(notice.is_empty(), "only requests");
}

// (285)
#[tokio::test]
async fn all_values_of_a_repeated_field_are_in_the_line() {
    let (log, mut events) = log();
    let service = service_fn(async |request: Request<Full<Bytes>>| {
        let note = AuditNote::of(request.extensions());
        note.tool("echo").input(b"abc").tool("delete-user").input(b"").field("ticket", 7);
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    drop(AuditLayer::new(log).layer(service).oneshot(Request::new(Full::default())).await);
    let event = events.try_recv().unwrap();
    let digests = [b"abc" as &[u8], b""].map(|input| tower_warden::Digest::of(input).to_hex());
    let repeated = json!({ "input_sha256": digests, "tool": ["echo", "delete-user"] });

    let flat = line(&FlatJson::default(), &event);
    assert_eq!((&flat["fields"]["tool"], &flat["repeated_fields"]), (&"echo".into(), &repeated));
    let ocsf = line(&Ocsf::new("test"), &event);
    assert_eq!((&ocsf["api"]["operation"], &ocsf["unmapped"]["repeated_fields"]), (&"echo".into(), &repeated));
    let agent = line(&AgentJson::default(), &event);
    assert_eq!(
        (&agent["tool"], &agent["tools"], &agent["inputs"]),
        (&"echo".into(), &repeated["tool"], &json!(digests))
    );
}

/// With the packages `jsonschema` and `py-ocsf-models` of Python; `scripts/test` installs them.
#[tokio::test]
async fn lines_are_valid_for_validators_of_others() {
    let python = |arguments: &[&std::ffi::OsStr]| std::process::Command::new("python3").args(arguments).output();
    let has_packages = python(&["-c".as_ref(), "import jsonschema, py_ocsf_models".as_ref()]);
    if !has_packages.is_ok_and(|output| output.status.success()) {
        eprintln!("NOT RUN: the packages jsonschema and py-ocsf-models of Python are missing");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, format: &dyn EventFormat, events: &[Event]| {
        let mut lines = Vec::new();
        for event in events {
            format.write(event, &mut lines);
            lines.push(b'\n');
        }
        let path = folder.path().join(name);
        std::fs::write(&path, lines).unwrap();
        path
    };
    let mut events = events().await;
    let mut batch = events[0].clone();
    let EventKind::Request(request) = &mut batch.kind else { panic!("a request") };
    request.fields.push(("tool".into(), "echo".into()));
    (request.end, request.end_reason) = (End::CredentialEnded, Some(Reason::EXPIRED));
    events.push(batch);
    let flat = write("flat.jsonl", &FlatJson::default(), &events);
    let ocsf = write("ocsf.jsonl", &Ocsf::new("billing"), &events);
    let schema = folder.path().join("schema.json");
    std::fs::write(&schema, FlatJson::SCHEMA).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/audit/validate.py");
    let output = python(&[script.as_ref(), schema.as_ref(), flat.as_ref(), ocsf.as_ref()]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_line_has_no_character_that_ends_it_or_changes_its_direction() {
    let (log, mut events) = log();
    let service = service_fn(async |request: Request<Full<Bytes>>| {
        AuditNote::of(request.extensions()).field("first", "1").field("first", "2");
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = AuditLayer::new(log).layer(service);
    let path = "/a\u{85}b\u{9b}c\u{2028}d\u{202e}e\u{fc}";
    let uri = http::Uri::try_from(path).unwrap();
    drop(service.oneshot(Request::get(uri).body(Full::default()).unwrap()).await);
    let event = events.try_recv().unwrap();
    let formats: [&dyn EventFormat; 3] = [&FlatJson::default(), &Ocsf::new("test"), &AgentJson::default()];
    for format in formats {
        let mut line = Vec::new();
        format.write(&event, &mut line);
        let line = String::from_utf8(line).unwrap();
        assert!(!line.contains(['\u{85}', '\u{9b}', '\u{2028}', '\u{202e}']), "{line}");
        assert!(line.contains("/a\\u0085b\\u009bc\\u2028d\\u202ee\u{fc}"), "{line}");
    }
    let flat = line(&FlatJson::default(), &event);
    assert_eq!((&flat["path"], &flat["fields"]["first"]), (&path.into(), &"1".into()));
}
