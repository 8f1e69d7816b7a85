//! Policies that are combined, and the built-in ones.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    AuthMethod, Credential, Environment, Eventual, Head, Identity, Policy, Principal, Reason, Rejection, RejectionKind,
    UnixTime,
    api_key::NewKey,
    audit::{AuditChannel, AuditLog, AuditNote, EventKind},
    auth::{Authenticator, Presented},
    authorize::{
        AllowedMethods, AllowedNetworks, AllowedTenants, DecisionNote, RequiredRoles, RequiredScopes, TimeOfDay,
        Weekday, policy_fn,
    },
    caller::SenderConstraint,
    jwt::{ExpectedClaim, Issuer, Jwt, RequiredAuthorization, RequiredClaim},
    layer::{AuditLayer, AuthLayer, AuthorizeLayer, ClientAddressLayer, RateLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
    request::{Peer, TrustedProxies},
    scheme::{Bearer, Scheme},
    scope::{Scope, Scopes},
    testing::TestIssuer,
};

use crate::support::{Answer, START, Stack, answer, bearer, send};

const READ: Scope = Scope::from_static("read");
const WRITE: Scope = Scope::from_static("write");
const DOWN: Reason = Reason::custom("down");

/// Sends a request of a caller with the scope `read`, of the tenant `acme`.
pub async fn ask(policy: impl Policy) -> Answer {
    ask_as(policy, NewKey::new("alice").tenant("acme").scopes("read")).await
}

async fn ask_as(policy: impl Policy, key: NewKey) -> Answer {
    let stack = Stack::new();
    let (_, key) = stack.mint(key).await;
    ask_of(&stack, policy, bearer(key.expose())).await
}

async fn ask_of(stack: &Stack, policy: impl Policy, request: http::request::Builder) -> Answer {
    let auth = AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
    send(ServiceBuilder::new().layer(auth).layer(AuthorizeLayer::new(policy)).service_fn(answer), request).await
}

fn read() -> RequiredScopes {
    RequiredScopes::all([READ])
}

pub fn write() -> RequiredScopes {
    RequiredScopes::all([WRITE])
}

fn admit(_: &Principal, _: &Head<'_>) -> bool {
    true
}

fn refuse(_: &Principal, _: &Head<'_>) -> bool {
    false
}

fn down(_: &Principal, _: &Head<'_>) -> Result<(), Rejection> {
    Err(Rejection::new(RejectionKind::Unavailable, DOWN))
}

/// The same verdict, but later.
struct Slow<P>(P);

impl<P: Policy> Policy for Slow<P> {
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let verdict = self.0.decide(principal, head);
        Eventual::later(async move {
            tokio::task::yield_now().await;
            verdict.wait().await
        })
    }

    fn scopes(&self) -> Scopes {
        self.0.scopes()
    }
}

#[tokio::test]
async fn and_admits_what_both_policies_admit() {
    ask(admit.and(read())).await.assert_subject("alice");
    ask(Slow(admit).and(read())).await.assert_subject("alice");
    ask(read().and(Slow(admit)).and(admit)).await.assert_subject("alice");
    ask(read().and(refuse)).await.assert_reason(403, "policy");
    ask(Slow(refuse).and(read())).await.assert_reason(403, "policy");
    ask(read().and(Slow(refuse)).and(down)).await.assert_reason(403, "policy");
}

#[tokio::test]
async fn a_refusal_of_and_names_the_scopes_of_all_its_policies() {
    for policy in [read().and(write()).and(admit), Slow(read()).and(Slow(write())), admit.and(read().and(write()))] {
        let refused = ask(policy).await;
        refused.assert_reason(403, "insufficient_scope");
        assert!(refused.header("www-authenticate").unwrap().contains("scope=\"read write\""), "{refused:?}");
    }
}

#[tokio::test]
async fn or_admits_what_one_of_the_policies_admits() {
    ask(write().or(read())).await.assert_subject("alice");
    ask(Slow(write()).or(Slow(read()))).await.assert_subject("alice");
    ask(refuse.or(write()).or(admit)).await.assert_subject("alice");
    ask(refuse.or(refuse)).await.assert_reason(403, "policy");
}

#[tokio::test]
async fn a_refusal_of_or_names_the_scopes_of_all_alternatives() {
    let other = || RequiredScopes::all([Scope::from_static("other")]);
    for policy in [refuse.or(write()).or(other()), Slow(other()).or(Slow(refuse)).or(write())] {
        let refused = ask(policy).await;
        refused.assert_reason(403, "insufficient_scope");
        assert!(refused.header("www-authenticate").unwrap().contains("scope=\"other write\""), "{refused:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_or_names_a_binding_that_would_help() {
    let refused = ask(refuse.or(SenderConstraint::Certificate)).await;
    refused.assert_reason(401, "not_sender_constrained");
    assert!(refused.header("www-authenticate").is_some());
}

#[tokio::test]
async fn or_is_503_if_one_refuses_and_another_does_not_respond() {
    ask(refuse.or(down)).await.assert_unavailable("down");
    ask(down.or(write())).await.assert_unavailable("down");
    ask(Slow(down).or(Slow(refuse))).await.assert_unavailable("down");
    ask(write().or(Slow(down)).or(refuse)).await.assert_unavailable("down");
}

#[tokio::test]
async fn or_admits_although_another_policy_does_not_respond() {
    ask(down.or(read())).await.assert_subject("alice");
    ask(Slow(down).or(read())).await.assert_subject("alice");
    ask(read().or(down)).await.assert_subject("alice");
}

#[tokio::test]
async fn not_is_the_opposite() {
    ask(refuse.not()).await.assert_subject("alice");
    ask(write().not()).await.assert_subject("alice");
    ask(SenderConstraint::Certificate.not()).await.assert_subject("alice");
    ask(admit.not().not()).await.assert_subject("alice");
    let refused = ask(Slow(read()).not()).await;
    refused.assert_reason(403, "policy");
    assert_eq!(refused.header("www-authenticate"), None);
}

#[tokio::test]
async fn not_never_admits_what_could_not_be_decided() {
    ask(down.not()).await.assert_unavailable("down");
    ask(Slow(down).not().not()).await.assert_unavailable("down");
    ask(refuse.or(down).not()).await.assert_unavailable("down");
    ask(down.and(refuse).not()).await.assert_unavailable("down");
    for reason in [Reason::POLICY_UNDEFINED, Reason::POLICY_FAILED] {
        let undecided = move |_: &Principal, _: &Head<'_>| Err(Rejection::new(RejectionKind::Forbidden, reason));
        ask(undecided.not()).await.assert_reason(403, reason.as_str());
        ask(write().or(undecided).not()).await.assert_reason(403, reason.as_str());
    }
    let broken = |_: &Principal, _: &Head<'_>| Err(Rejection::new(RejectionKind::Internal, DOWN));
    ask(broken.not()).await.assert_reason(500, "down");
}

#[tokio::test]
async fn a_network_that_is_not_known_is_in_no_list_and_in_no_opposite_of_a_list() {
    let networks = || AllowedNetworks::new(["192.0.2.0/24".parse().unwrap()]);
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let from = |address: [u8; 4]| bearer(key.expose()).extension(Peer::new((address, 4711).into()));
    ask_of(&stack, networks(), from([192, 0, 2, 7])).await.assert_subject("alice");
    ask_of(&stack, networks(), from([198, 51, 100, 7])).await.assert_reason(403, "client_network_forbidden");
    ask_of(&stack, networks().not(), from([198, 51, 100, 7])).await.assert_subject("alice");
    ask_of(&stack, networks(), bearer(key.expose())).await.assert_reason(500, "peer_unknown");
    ask_of(&stack, networks().not(), bearer(key.expose())).await.assert_reason(500, "peer_unknown");

    // The proxy forwards something that is not an address.
    let proxies = TrustedProxies::new(["198.51.100.0/24".parse().unwrap()]);
    let auth = AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
    for policy in [AuthorizeLayer::new(networks()), AuthorizeLayer::new(networks().not())] {
        let service = ServiceBuilder::new()
            .layer(ClientAddressLayer::new(proxies.clone()))
            .layer(auth.clone())
            .layer(policy)
            .service_fn(answer);
        let request = from([198, 51, 100, 7]).header("x-forwarded-for", "unknown");
        send(service, request).await.assert_reason(403, "peer_unknown");
    }
}

#[tokio::test]
async fn methods_and_tenants_are_lists() {
    ask(AllowedMethods::new([AuthMethod::Jwt, AuthMethod::ApiKey])).await.assert_subject("alice");
    ask(AllowedMethods::new([AuthMethod::Jwt])).await.assert_reason(403, "method_forbidden");
    ask(AllowedMethods::new([])).await.assert_reason(403, "method_forbidden");
    ask(AllowedTenants::new(["umbrella", "acme"])).await.assert_subject("alice");
    ask(AllowedTenants::new(["umbrella"])).await.assert_reason(403, "tenant_mismatch");
    ask_as(AllowedTenants::new(["acme"]), NewKey::new("alice")).await.assert_reason(403, "tenant_mismatch");
    ask(AllowedTenants::new([] as [&str; 0])).await.assert_reason(403, "tenant_mismatch");
}

#[tokio::test]
async fn hours_are_those_of_the_clock_of_the_layer() {
    // START is Friday, 2027-01-15, 08:00 UTC.
    assert_eq!(START, UnixTime::from_secs(1_800_000_000));
    let hours = |start, end| TimeOfDay::between(start, end).unwrap();
    ask(hours("08:00", "08:01")).await.assert_subject("alice");
    ask(hours("22:00", "08:01")).await.assert_subject("alice");
    ask(hours("00:00", "24:00")).await.assert_subject("alice");
    for policy in [hours("08:01", "18:00"), hours("07:00", "08:00"), hours("18:00", "08:00")] {
        ask(policy).await.assert_reason(403, "time_forbidden");
    }
    ask(hours("10:00", "11:00").offset("+02:00").unwrap()).await.assert_subject("alice");
    ask(hours("02:30", "02:31").offset("-05:30").unwrap()).await.assert_subject("alice");
    ask(hours("10:00", "11:00")).await.assert_reason(403, "time_forbidden");
    ask(hours("08:00", "09:00").on(Weekday::MONDAY_TO_FRIDAY)).await.assert_subject("alice");
    ask(hours("08:00", "09:00").on([Weekday::Friday])).await.assert_subject("alice");
    ask(hours("08:00", "09:00").on([Weekday::Thursday, Weekday::Saturday])).await.assert_reason(403, "time_forbidden");
    // The hours that began on Thursday evening.
    ask(hours("22:00", "09:00").on([Weekday::Thursday])).await.assert_subject("alice");
    ask(hours("22:00", "09:00").on([Weekday::Friday])).await.assert_reason(403, "time_forbidden");
    ask(hours("22:00", "21:00").offset("-10:00").unwrap().on([Weekday::Thursday])).await.assert_subject("alice");
}

#[test]
fn hours_that_are_no_hours_are_refused() {
    for (start, end) in [
        ("8:00", "18:00"),
        ("08:00", "08:00"),
        ("24:00", "08:00"),
        ("08:60", "18:00"),
        ("08:00", "24:01"),
        ("08-00", "18:00"),
        ("", ""),
        ("+8:00", "18:00"),
    ] {
        assert!(TimeOfDay::between(start, end).is_err(), "{start} {end}");
    }
    for offset in ["02:00", "+2:00", "+24:00", "Z", "", "é"] {
        assert!(TimeOfDay::between("08:00", "18:00").unwrap().offset(offset).is_err(), "{offset}");
    }
}

#[tokio::test]
async fn an_async_closure_is_a_policy() {
    let tenant = |tenant: &'static str| {
        policy_fn(move |caller, _| {
            let own = caller.tenant().map(str::to_owned);
            async move {
                tokio::task::yield_now().await;
                own.as_deref() == Some(tenant)
            }
        })
    };
    ask(tenant("acme").and(read())).await.assert_subject("alice");
    ask(tenant("umbrella").and(read())).await.assert_reason(403, "policy");
    let refusing = policy_fn(|_, _| async { Err(Rejection::insufficient_scope([WRITE].into_iter().collect())) });
    ask(refusing).await.assert_reason(403, "insufficient_scope");
}

/// The name of the policy and the rule in the audit event of a request, and its status.
async fn audited(policy: impl Policy) -> (u16, Option<(String, Option<String>)>) {
    let stack = Stack::new();
    let (_, key) = stack.mint(NewKey::new("alice").tenant("acme").scopes("read")).await;
    let (sink, mut events) = AuditChannel::new(2);
    let auth = AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(AuditLog::new(sink)))
        .layer(auth)
        .layer(AuthorizeLayer::new(policy))
        .service_fn(answer);
    let response = service.oneshot(bearer(key.expose()).body(Full::default()).unwrap()).await.unwrap();
    let status = Answer::read(response).await.status.as_u16();
    let event = events.try_recv().expect("an event for each request");
    let EventKind::Request(request) = event.kind else { panic!("a request") };
    (status, request.policy.map(|policy| (policy.name.into_owned(), policy.rule.map(Into::into))))
}

fn noted(name: &str) -> Option<(String, Option<String>)> {
    Some((name.to_owned(), None))
}

#[tokio::test]
async fn the_audit_event_names_the_policy_that_decided() {
    assert_eq!(audited(read().named("readers")).await, (200, noted("readers")));
    assert_eq!(audited(Slow(read()).named("readers")).await, (200, noted("readers")));
    assert_eq!(audited(write().named("writers")).await, (403, noted("writers")));
    assert_eq!(audited(read().named("readers").and(write().named("writers"))).await, (403, noted("writers")));
    assert_eq!(audited(read().named("readers").and(refuse)).await, (403, None), "the one that refused has no name");
    assert_eq!(audited(read().named("readers").and(admit)).await, (200, noted("readers")));
    assert_eq!(audited(read()).await, (200, None));
}

#[tokio::test]
async fn the_audit_event_of_a_refusal_does_not_name_a_policy_that_had_admitted_the_request() {
    let stack = Stack::new();
    let (_, key) = stack.mint(NewKey::new("alice").scopes("read")).await;
    let (sink, mut events) = AuditChannel::new(10);
    let auth = AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
    let handler = |name: &'static str| {
        move |request: Request<Full<Bytes>>| async move {
            if name == "own" {
                AuditNote::of(request.extensions()).policy("own", None);
            }
            let response = Response::new(Full::<Bytes>::default());
            let refused = Rejection::new(RejectionKind::Forbidden, Reason::custom("by_the_handler"));
            Ok::<_, Infallible>(if name == "admits" { response } else { refused.apply_to(response) })
        }
    };
    for (name, reasons, policies) in [
        ("admits", [None, Some("quota_exceeded")], [Some("office"), None]),
        ("refuses", [Some("by_the_handler"), Some("quota_exceeded")], [None, None]),
        ("own", [Some("by_the_handler"), Some("quota_exceeded")], [Some("own"), None]),
    ] {
        let service = ServiceBuilder::new()
            .layer(AuditLayer::new(AuditLog::new(sink.clone())))
            .layer(auth.clone())
            .layer(AuthorizeLayer::new(Slow(read()).named("office")))
            .layer(AuthorizeLayer::new(read()))
            .layer(RateLimitLayer::new("calls", LocalRateLimiter::default(), LimitBy::global(), Quota::per_day(1)))
            .service_fn(handler(name));
        for (reason, policy) in reasons.into_iter().zip(policies) {
            let request = bearer(key.expose()).body(Full::default()).unwrap();
            drop(service.clone().oneshot(request).await);
            let EventKind::Request(event) = events.try_recv().unwrap().kind else { panic!("a request") };
            assert_eq!(event.decision.reason().map(Reason::as_str), reason, "{name}");
            assert_eq!(event.policy.as_ref().map(|policy| &*policy.name), policy, "{name}");
        }
    }
}

#[tokio::test]
async fn the_audit_event_names_the_alternative_that_admitted() {
    let (readers, writers) = (|| Slow(read()).named("readers"), || write().named("writers"));
    assert_eq!(audited(writers().or(readers())).await, (200, noted("readers")));
    assert_eq!(audited(writers().or(Slow(admit))).await, (200, None));
    assert_eq!(audited(refuse.named("nobody").or(writers())).await, (403, noted("writers")));
    assert_eq!(audited(down.named("remote").or(writers())).await, (503, noted("remote")));
}

#[tokio::test]
async fn the_name_of_a_combination_is_that_of_the_policy_and_the_part_is_the_rule() {
    let policy = || write().named("writers").or(read().named("readers")).named("billing");
    let expected = Some(("billing".to_owned(), Some("readers".to_owned())));
    assert_eq!(audited(policy()).await, (200, expected));
    let expected = Some(("outer".to_owned(), Some("billing: readers".to_owned())));
    assert_eq!(audited(Slow(policy()).named("outer")).await, (200, expected));
}

#[tokio::test]
async fn a_policy_notes_the_rule_that_decided_also_later() {
    struct Rules;

    impl Policy for Rules {
        fn decide(&self, _: &Principal, head: &Head<'_>) -> Eventual<Result<(), Rejection>> {
            let note = DecisionNote::of(head);
            Eventual::later(async move {
                tokio::task::yield_now().await;
                note.record("rules", Some("rule 7".into()));
                Ok(())
            })
        }
    }

    let expected = || Some(("rules".to_owned(), Some("rule 7".to_owned())));
    assert_eq!(audited(Rules).await, (200, expected()));
    assert_eq!(audited(Rules.and(read().named("readers"))).await, (200, noted("readers")));
    assert_eq!(audited(read().named("readers").and(Rules)).await, (200, expected()));
}

const AUDIENCE: &str = "https://api.example.com";

/// Sends a token of alice's with these claims.
pub async fn ask_with(policy: impl Policy, claims: serde_json::Value) -> Answer {
    let issuer = TestIssuer::new("https://auth.example.com");
    let rules = Issuer::new(issuer.name(), AUDIENCE).unwrap().roles_claim("roles");
    let token = claims
        .as_object()
        .unwrap()
        .iter()
        .fold(issuer.token("alice").audience(AUDIENCE), |token, claim| token.claim(claim.0, claim.1.clone()));
    let layers = (AuthLayer::new(Jwt::new(rules, issuer.clone())), AuthorizeLayer::new(policy));
    send(layers.layer(service_fn(answer)), bearer(&token.sign())).await
}

#[tokio::test]
async fn roles_are_required_all_or_any() {
    let claims = serde_json::json!({ "roles": ["support", "audit"] });
    ask_with(RequiredRoles::all(["audit", "support"]), claims.clone()).await.assert_subject("alice");
    ask_with(RequiredRoles::any(["admin", "support"]), claims.clone()).await.assert_subject("alice");
    for policy in [
        RequiredRoles::all(["audit", "admin"]),
        RequiredRoles::any(["admin", "Support"]),
        RequiredRoles::all([] as [&str; 0]),
        RequiredRoles::any([] as [&str; 0]),
    ] {
        ask_with(policy, claims.clone()).await.assert_reason(403, "role_missing");
    }
    ask(RequiredRoles::any(["support"])).await.assert_reason(403, "role_missing");
}

/// A caller whose claims are this text.
struct Claiming(&'static str);

impl Authenticator for Claiming {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(Bearer::default())]
    }

    fn accepts(&self, _: &Credential<'_>) -> bool {
        true
    }

    fn authenticate(&self, _: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let mut identity = Identity::new("alice", AuthMethod::Custom("test"));
        identity.claims = Some(self.0.into());
        Eventual::Now(Ok(Arc::new(identity)))
    }
}

async fn ask_claiming(claims: &'static str, policy: impl Policy) -> Answer {
    send((AuthLayer::new(Claiming(claims)), AuthorizeLayer::new(policy)).layer(service_fn(answer)), bearer("token"))
        .await
}

/// (171)
#[tokio::test]
async fn claims_that_cannot_be_parsed_are_not_a_decision() {
    let suspended = || RequiredClaim::new("suspended", true);
    let details = || RequiredAuthorization::new("suspended");
    ask_claiming(r#"{"suspended": false}"#, suspended().not()).await.assert_subject("alice");
    ask_claiming(r#"{"authorization_details": []}"#, details().not()).await.assert_subject("alice");
    for claims in [r#"{"suspended": true, "suspended": false}"#, r#"{"suspended": true"#, "[]", ""] {
        ask_claiming(claims, suspended()).await.assert_reason(403, "policy_failed");
        ask_claiming(claims, suspended().not()).await.assert_reason(403, "policy_failed");
        ask_claiming(claims, details()).await.assert_reason(403, "policy_failed");
        ask_claiming(claims, details().not()).await.assert_reason(403, "policy_failed");
    }
}

#[tokio::test]
async fn an_item_of_a_list_is_required_by_its_index() {
    let claims = || serde_json::json!({ "groups": ["banned", { "id": 7 }], "org": { "0": "seven" } });
    let banned = || RequiredClaim::new("/groups/0", "banned");
    ask_with(banned(), claims()).await.assert_subject("alice");
    ask_with(banned().not(), claims()).await.assert_reason(403, "policy");
    ask_with(RequiredClaim::new("/groups/1/id", 7), claims()).await.assert_subject("alice");
    ask_with(RequiredClaim::new("/org/0", "seven"), claims()).await.assert_subject("alice");
    for place in ["/groups/00", "/groups/+0", "/groups/2", "/groups/-", "/groups/", "/groups/18446744073709551616"] {
        ask_with(RequiredClaim::new(place, "banned"), claims()).await.assert_reason(403, "claim_forbidden");
    }
}

#[tokio::test]
async fn claims_are_required_by_name_or_pointer() {
    let claims =
        serde_json::json!({ "org": { "id": "7", "a/b": 1 }, "amr": ["pwd", "mfa"], "verified": true, "none": null });
    let cases: Vec<(&str, ExpectedClaim)> = vec![
        ("/org/id", "7".into()),
        ("/org/a~1b", 1.into()),
        ("/org/id", ExpectedClaim::one_of(["6", "7"])),
        ("amr", ExpectedClaim::containing("mfa")),
        ("verified", true.into()),
        ("org", ExpectedClaim::present()),
    ];
    for (place, expected) in cases {
        ask_with(RequiredClaim::new(place, expected), claims.clone()).await.assert_subject("alice");
    }
    let cases: Vec<(&str, ExpectedClaim)> = vec![
        ("/org/id", 7.into()),
        ("/org/id", "8".into()),
        ("/org/other", ExpectedClaim::present()),
        ("org.id", "7".into()),
        ("amr", "mfa".into()),
        ("amr", ExpectedClaim::containing("hwk")),
        ("verified", "true".into()),
        ("none", ExpectedClaim::present()),
    ];
    for (place, expected) in cases {
        ask_with(RequiredClaim::new(place, expected), claims.clone()).await.assert_reason(403, "claim_forbidden");
    }
    ask(RequiredClaim::new("sub", "alice")).await.assert_reason(403, "claim_forbidden");
}
