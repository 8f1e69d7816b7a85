//! Two tenants and two issuers, whose callers have the same names: no store has a common entry for them.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Method, Request, Response, request::Builder};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    Environment, Eventual, ManualClock, Principal, Unavailable,
    api_key::{ApiKeys, KeyFormat, NewKey},
    audit::{AbuseGuard, AuditChannel, AuditLog, Detection, Detector},
    authorize::{CachedRoles, RoleDirectory, RoleQuery},
    decision_point::{DecisionPoint, OpaInput},
    dpop::Dpop,
    fetch::Fetch,
    introspection::Introspection,
    jwt::{Algorithm, Issuer, Jwt},
    layer::{AuditLayer, AuthLayer, AuthorizeLayer, RateLimitLayer, RoleLayer},
    mcp::McpServer,
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
    revocation::{MemoryRevocationList, Revocation},
    scope::{Scope, Scopes},
    testing::{SigningKey, TestIssuer, TokenBuilder},
};

use crate::{
    dpop::{assert_invalid_proof, dpop_request},
    introspection_endpoint::{Endpoint, active_with},
    support::{Answer, START, Stack, bearer, request, seconds, send},
    tokens::AUDIENCE,
};

/// One caller of each: they differ in nothing but issuer and tenant.
const CALLERS: [&str; 3] =
    ["alice of acme at https://one.test", "alice of umbrella at https://one.test", "alice of acme at https://two.test"];

const TENANTS: [&str; 2] = ["acme", "umbrella"];

/// Responds with the caller.
async fn who(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from(name(request.extensions().get().unwrap()))))
}

fn name(caller: &Principal) -> String {
    let (tenant, issuer) = (caller.tenant().unwrap_or("nobody"), caller.issuer().unwrap_or("no issuer"));
    format!("{} of {tenant} at {issuer}", caller.subject())
}

/// Two issuers, whose keys and tokens have the same ids.
struct Issuers {
    environment: Environment,
    one: TestIssuer,
    two: TestIssuer,
}

impl Issuers {
    fn new() -> Self {
        let environment = Environment::default().with_clock(ManualClock::at(START));
        let issuer = |name| {
            let issuer = TestIssuer::new(name).environment(&environment);
            issuer.publish(SigningKey::named(Algorithm::ES256, "key"));
            issuer
        };
        Self { one: issuer("https://one.test"), two: issuer("https://two.test"), environment }
    }

    fn jwt(&self) -> Jwt {
        let rules = |issuer: &TestIssuer| Issuer::new(issuer.name(), AUDIENCE).unwrap().tenant_claim("tenant");
        let builder = Jwt::builder(rules(&self.one), self.one.clone());
        builder.issuer(rules(&self.two), self.two.clone()).build().unwrap()
    }

    fn auth(&self) -> AuthLayer {
        AuthLayer::new(self.jwt()).environment(&self.environment)
    }

    /// A token of each of the [callers](CALLERS).
    fn tokens(&self) -> [TokenBuilder; 3] {
        [(&self.one, "acme"), (&self.one, "umbrella"), (&self.two, "acme")].map(|(issuer, tenant)| {
            let token = issuer.token("alice").audience(AUDIENCE).client_id("agent").scope("read");
            token.claim("tenant", tenant).claim("jti", "1").claim("sid", "1").claim("group", "staff")
        })
    }

    fn signed(&self) -> [String; 3] {
        self.tokens().map(|token| token.sign())
    }
}

fn by_key(key: &str) -> Builder {
    request().header("x-api-key", key)
}

#[tokio::test]
async fn a_cached_key_is_that_of_its_tenant() {
    let stack = Stack::new();
    let environment = Environment::default().with_clock(stack.clock.clone());
    let (acme, first) = stack.mint(NewKey::new("alice").tenant("acme")).await;
    let (_, second) = stack.mint(NewKey::new("alice").tenant("umbrella")).await;
    let service = AuthLayer::new(stack.keys.clone()).environment(&environment).layer(service_fn(who));
    let call = async |key: &str| send(service.clone(), by_key(key)).await;
    for _ in 0..2 {
        assert_eq!(call(first.expose()).await.body, "alice of acme at no issuer");
        assert_eq!(call(second.expose()).await.body, "alice of umbrella at no issuer");
    }
    stack.keys.revoke(&acme.id).await.unwrap();
    call(first.expose()).await.assert_invalid("key_revoked");
    assert_eq!(call(second.expose()).await.body, "alice of umbrella at no issuer");
    assert_eq!(stack.store.finds(), 3, "the other entry was not invalidated");

    // An authenticator for each tenant, on one store: neither entries nor refusals are those of the other one.
    let [acme, umbrella] = TENANTS.map(|tenant| {
        let keys = ApiKeys::builder(Arc::clone(&stack.store), KeyFormat::new("sk_agent").unwrap());
        let keys = keys.environment(&environment).tenant(tenant).build();
        AuthLayer::new(keys).environment(&environment).layer(service_fn(who))
    });
    for _ in 0..2 {
        send(acme.clone(), by_key(second.expose())).await.assert_invalid("tenant_mismatch");
        assert_eq!(send(umbrella.clone(), by_key(second.expose())).await.body, "alice of umbrella at no issuer");
    }
}

#[tokio::test]
async fn a_cached_token_is_that_of_its_issuer_and_tenant() {
    let issuers = Issuers::new();
    let (service, tokens) = (issuers.auth().layer(service_fn(who)), issuers.signed());
    let call = async |token: &str| send(service.clone(), bearer(token)).await;
    for _ in 0..2 {
        for (token, caller) in tokens.iter().zip(CALLERS) {
            assert_eq!(call(token).await.body, caller);
        }
    }
    assert_eq!((issuers.one.fetches(), issuers.two.fetches()), (2, 1));
    // The key with the same id.
    let [forged, ..] = issuers.tokens().map(|token| token.key(&issuers.two.key()).sign());
    assert_eq!(call(&forged).await.status, 401);
    issuers.one.withdraw(&issuers.one.key());
    for (token, status) in tokens.iter().zip([401, 401, 200]) {
        assert_eq!(call(token).await.status, status);
    }
    assert_eq!(issuers.two.fetches(), 1, "the entry of the other issuer was not invalidated");
}

#[tokio::test]
async fn a_cached_introspection_is_that_of_its_issuer_and_tenant() {
    let issuers = Issuers::new();
    let [one, two] = [&issuers.one, &issuers.two].map(|issuer| {
        let endpoint = Arc::new(Endpoint::default());
        let rules = Issuer::new(issuer.name(), AUDIENCE).unwrap().tenant_claim("tenant");
        let introspection = Introspection::builder(rules, &format!("{}/introspect", issuer.name()), "api", "secret");
        let introspection = introspection.fetch(Arc::clone(&endpoint)).build().unwrap();
        for tenant in TENANTS {
            endpoint.say(tenant, &active_with(json!({"iss": issuer.name(), "aud": AUDIENCE, "tenant": tenant})));
        }
        (AuthLayer::new(introspection).environment(&issuers.environment).layer(service_fn(who)), endpoint)
    });
    // The texts of the tokens are the same.
    for _ in 0..2 {
        assert_eq!(send(one.0.clone(), bearer("acme")).await.body, CALLERS[0]);
        assert_eq!(send(one.0.clone(), bearer("umbrella")).await.body, CALLERS[1]);
        assert_eq!(send(two.0.clone(), bearer("acme")).await.body, CALLERS[2]);
    }
    one.1.say("other", &active_with(json!({"iss": issuers.one.name(), "aud": AUDIENCE, "tenant": "acme"})));
    for _ in 0..2 {
        send(two.0.clone(), bearer("other")).await.assert_invalid("token_inactive");
        assert_eq!(send(one.0.clone(), bearer("other")).await.body, CALLERS[0]);
    }
    assert_eq!((one.1.count(), two.1.count()), (3, 2));
}

/// The number of queries, of which only the first one is granted.
#[derive(Clone, Default)]
struct OnlyTheFirst(Arc<AtomicUsize>);

impl OnlyTheFirst {
    fn is_first(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) == 0
    }

    fn queries(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl RoleDirectory for OnlyTheFirst {
    fn scopes(&self, _: &RoleQuery<'_>) -> Eventual<Result<Scopes, Unavailable>> {
        Eventual::Now(Ok(Scopes::parse(if self.is_first() { "write" } else { "" }).unwrap()))
    }
}

impl Fetch for OnlyTheFirst {
    fn fetch(&self, _: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        Eventual::Now(Ok(Response::new(json!({"result": self.is_first()}).to_string().into())))
    }
}

#[tokio::test]
async fn the_cached_scopes_of_roles_are_those_of_an_issuer_and_tenant() {
    let (issuers, directory) = (Issuers::new(), OnlyTheFirst::default());
    let roles = CachedRoles::builder(directory.clone()).environment(&issuers.environment).build();
    let service = ServiceBuilder::new()
        .layer(issuers.auth())
        .layer(RoleLayer::cached(&roles))
        .layer(AuthorizeLayer::all_of([Scope::from_static("write")]))
        .service_fn(who);
    let tokens = issuers.signed();
    let statuses = async || {
        let mut statuses = Vec::new();
        for token in &tokens {
            statuses.push(send(service.clone(), bearer(token)).await.status.as_u16());
        }
        statuses
    };
    assert_eq!((statuses().await, statuses().await), (vec![200, 403, 403], vec![200, 403, 403]));
    assert_eq!(directory.queries(), 3);
    roles.invalidate(Some(issuers.two.name()), "alice");
    statuses().await;
    assert_eq!(directory.queries(), 4, "the entries of the other issuer were not invalidated");
}

/// (197)
#[tokio::test]
async fn a_cached_decision_is_that_of_an_issuer_and_tenant() {
    let (issuers, server) = (Issuers::new(), OnlyTheFirst::default());
    // What is sent does not distinguish them.
    let policy = DecisionPoint::opa("https://pdp.test", "gateway/allow", |caller, _| {
        OpaInput::default().insert("subject", caller.subject())
    });
    let policy = policy.fetch(server.clone()).cache(100, seconds(60)).environment(&issuers.environment);
    let policy = AuthorizeLayer::new(policy.build().unwrap());
    let service = ServiceBuilder::new().layer(issuers.auth()).layer(policy).service_fn(who);
    for _ in 0..2 {
        for (token, status) in issuers.signed().iter().zip([200, 403, 403]) {
            assert_eq!(send(service.clone(), bearer(token)).await.status, status);
        }
    }
    assert_eq!(server.queries(), 3);
}

#[tokio::test]
async fn a_limit_of_callers_is_one_of_an_issuer_and_tenant() {
    let issuers = Issuers::new();
    for by in [LimitBy::principal(), LimitBy::tenant(), LimitBy::client(), LimitBy::claim("group")] {
        let text = format!("{by:?}");
        let limit = RateLimitLayer::new("calls", LocalRateLimiter::default(), by, Quota::per_day(1));
        let service = ServiceBuilder::new().layer(issuers.auth()).layer(limit).service_fn(who);
        for token in issuers.signed() {
            assert_eq!(send(service.clone(), bearer(&token)).await.status, 200, "{text}");
            assert_eq!(send(service.clone(), bearer(&token)).await.status, 429, "{text}");
        }
    }
}

/// (196) A tenant chooses the owners and the metadata of its keys.
#[tokio::test]
async fn a_limit_of_keys_is_one_of_a_tenant() {
    let stack = Stack::new();
    let environment = Environment::default().with_clock(stack.clock.clone());
    for by in [LimitBy::principal(), LimitBy::tenant(), LimitBy::key(), LimitBy::metadata("project")] {
        let text = format!("{by:?}");
        let limit = RateLimitLayer::new("calls", LocalRateLimiter::default(), by, Quota::per_day(1));
        let auth = AuthLayer::new(stack.keys.clone()).environment(&environment);
        let service = ServiceBuilder::new().layer(auth).layer(limit).service_fn(who);
        for tenant in TENANTS {
            let (_, key) = stack.mint(NewKey::new("alice").tenant(tenant).metadata("project", "web")).await;
            assert_eq!(send(service.clone(), by_key(key.expose())).await.status, 200, "{text}");
            assert_eq!(send(service.clone(), by_key(key.expose())).await.status, 429, "{text}");
        }
    }
}

#[tokio::test]
async fn a_revocation_is_one_of_an_issuer_or_tenant() {
    let issuers = Issuers::new();
    let one = issuers.one.name();
    for (revocation, statuses) in [
        (Revocation::token(one, "1"), [401, 401, 200]),
        (Revocation::session(one, "1"), [401, 401, 200]),
        (Revocation::subject(one, "alice", START), [401, 401, 200]),
        (Revocation::client(one, "agent", START), [401, 401, 200]),
        // A tenant is one of the service, whichever issuer its credentials are of.
        (Revocation::tenant("acme", START), [401, 200, 401]),
        (Revocation::key("1"), [200, 200, 200]),
        (Revocation::owner("alice", START), [200, 200, 200]),
    ] {
        let list = MemoryRevocationList::default().environment(&issuers.environment);
        let service = issuers.auth().revocations(list.clone()).layer(service_fn(who));
        list.revoke(revocation.clone(), START + seconds(3_600)).unwrap();
        for (token, status) in issuers.signed().iter().zip(statuses) {
            assert_eq!(send(service.clone(), bearer(token)).await.status, status, "{revocation:?}");
        }
    }
}

#[tokio::test]
async fn a_used_proof_is_one_of_a_caller_of_an_issuer_and_tenant() {
    let issuers = Issuers::new();
    let service = issuers.auth().dpop(Dpop::new(AUDIENCE).unwrap()).layer(service_fn(who));
    let tokens = issuers.tokens().map(|token| {
        let key = SigningKey::generate(Algorithm::ES256);
        (token.confirmation(&key.confirmation()).sign(), key)
    });
    // Each client numbers its proofs.
    for ((token, key), caller) in tokens.iter().zip(CALLERS) {
        let proof = key.proof("GET", &format!("{AUDIENCE}/"), token, START).claim("jti", "1").sign();
        assert_eq!(send(service.clone(), dpop_request(token, &proof)).await.body, caller);
        for (other, _) in &tokens {
            let reason = if other == token { "dpop_replay" } else { "dpop_ath" };
            assert_invalid_proof(&send(service.clone(), dpop_request(other, &proof)).await, reason);
        }
    }
}

#[tokio::test]
async fn a_session_is_one_of_an_issuer_and_tenant() {
    let issuers = Issuers::new();
    let server = McpServer::new(&format!("{AUDIENCE}/mcp")).unwrap().environment(&issuers.environment);
    let server = server.require(Scope::from_static("read")).tool("echo", ());
    let protected = server.protect_with(issuers.auth()).layer(service_fn(async |request: Request<_>| {
        let body = BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
        let mut response = Response::new(Full::new(Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#)));
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        if body.windows(10).any(|window| window == b"initialize") {
            response.headers_mut().insert("mcp-session-id", "s-1".parse().unwrap());
        }
        Ok::<_, Infallible>(response)
    }));
    let call = async |token: &str, method: Method, message: &str| {
        let mut request = bearer(token).uri("/mcp").method(method).header("content-type", "application/json");
        request = request.header("mcp-protocol-version", "2025-11-25");
        if message != INITIALIZE {
            request = request.header("mcp-session-id", "s-1");
        }
        let request = request.body(Full::<Bytes>::from(message.to_owned())).unwrap();
        Answer::read(protected.clone().oneshot(request).await.unwrap()).await
    };
    let tokens = issuers.signed();
    let is_open = async || {
        let mut open = Vec::new();
        for token in &tokens {
            open.push(call(token, Method::POST, PING).await.reason != Some("mcp_session_forbidden"));
        }
        open
    };
    assert_eq!(call(&tokens[0], Method::POST, INITIALIZE).await.status, 200);
    assert_eq!(is_open().await, [true, false, false]);
    call(&tokens[1], Method::DELETE, "").await.assert_reason(404, "mcp_session_forbidden");
    assert_eq!(call(&tokens[2], Method::POST, INITIALIZE).await.status, 200);
    assert_eq!(is_open().await, [true, false, true]);
    assert_eq!(call(&tokens[2], Method::DELETE, "").await.status, 200);
    assert_eq!(is_open().await, [true, false, false]);
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[tokio::test]
async fn an_alert_is_one_about_a_caller_of_an_issuer_and_tenant() {
    let issuers = Issuers::new();
    let detector = Detector::new(AuditChannel::new(100).0);
    let guard = AbuseGuard::new(&detector).environment(&issuers.environment);
    let guard = guard.detections([Detection::RefusedScopes]).unwrap();
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(AuditLog::new(detector.clone()).environment(&issuers.environment)))
        .layer(issuers.auth())
        .layer(AuthorizeLayer::new(guard))
        .layer(AuthorizeLayer::all_of([Scope::from_static("write")]))
        .service_fn(who);
    let tokens = issuers.signed();
    let call = async |token: &str| {
        let request = bearer(token).body(Full::default()).unwrap();
        Answer::read(service.clone().oneshot(request).await.unwrap()).await
    };
    for _ in 0..9 {
        for token in &tokens {
            call(token).await.assert_reason(403, "insufficient_scope");
        }
    }
    assert_eq!(detector.alerts(), []);
    call(&tokens[0]).await.assert_reason(403, "insufficient_scope");
    call(&tokens[0]).await.assert_reason(429, "abnormal_usage");
    for token in &tokens[1..] {
        call(token).await.assert_reason(403, "insufficient_scope");
    }
}
