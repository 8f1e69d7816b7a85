//! Scopes that follow from roles.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use http::Request;
use tokio::sync::Semaphore;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    Environment, Eventual, ManualClock, Unavailable,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    auth::CredentialSource,
    authorize::{CachedRoles, RoleDirectory, RoleMap, RoleQuery},
    axum::Scoped,
    jwt::{Issuer, Jwt},
    layer::{AuthLayer, AuthorizeLayer, RoleLayer},
    scheme::{ApiKeyHeader, Bearer, Location},
    scope::{Scope, ScopeHierarchy, Scopes, scopes},
    testing::{TestIssuer, TokenBuilder},
};

use crate::support::{Answer, START, answer, bearer, request, send};

scopes! {
    /// Write.
    Write = "write";
}

const AUDIENCE: &str = "https://api.example.com";

/// Two issuers whose tokens name roles.
struct Setup {
    clock: ManualClock,
    issuer: TestIssuer,
    other: TestIssuer,
}

impl Setup {
    fn new() -> Self {
        let clock = ManualClock::at(START);
        let environment = Environment::default().with_clock(clock.clone());
        let issuer = |name| TestIssuer::new(name).environment(&environment);
        Self { issuer: issuer("https://issuer.test"), other: issuer("https://other.test"), clock }
    }

    fn environment(&self) -> Environment {
        Environment::default().with_clock(self.clock.clone())
    }

    fn auth(&self) -> AuthLayer {
        let jwt = |issuer: &TestIssuer| {
            let rules = Issuer::new(issuer.name(), AUDIENCE).unwrap();
            rules.roles_claim("roles").tenant_claim("tenant")
        };
        let jwt = Jwt::builder(jwt(&self.issuer), self.issuer.clone())
            .issuer(jwt(&self.other), self.other.clone())
            .build()
            .unwrap();
        AuthLayer::new(jwt).environment(&self.environment())
    }

    fn token(issuer: &TestIssuer, subject: &str, roles: &[&str]) -> TokenBuilder {
        let roles: Vec<_> = roles.iter().map(|role| (*role).to_owned()).collect();
        issuer.token(subject).audience(AUDIENCE).claim("roles", roles).claim("tenant", "acme")
    }

    /// Sends a token of alice's with these roles to a route that requires `write`.
    async fn ask(&self, roles: &RoleLayer, held: &[&str]) -> Answer {
        self.ask_as(roles, &Self::token(&self.issuer, "alice", held)).await
    }

    async fn ask_as(&self, roles: &RoleLayer, token: &TokenBuilder) -> Answer {
        let service = ServiceBuilder::new()
            .layer(self.auth())
            .layer(roles.clone())
            .layer(AuthorizeLayer::scoped::<Write>())
            .service_fn(answer);
        send(service, bearer(&token.sign())).await
    }
}

fn map() -> RoleMap {
    RoleMap::new([("reader", "read"), ("editor", "read write")]).unwrap()
}

#[tokio::test]
async fn a_role_has_the_scopes_of_the_map() {
    let (setup, roles) = (Setup::new(), RoleLayer::new(map()));
    setup.ask(&roles, &["editor"]).await.assert_subject("alice");
    setup.ask(&roles, &["reader", "editor"]).await.assert_subject("alice");
    for held in [&["reader"][..], &["Editor"], &["editor "], &["*"], &[]] {
        setup.ask(&roles, held).await.assert_reason(403, "insufficient_scope");
    }
    // Beside the scopes of the token.
    let token = Setup::token(&setup.issuer, "alice", &[]).scope("write");
    setup.ask_as(&roles, &token).await.assert_subject("alice");
}

#[tokio::test]
async fn without_the_layer_roles_grant_nothing() {
    let setup = Setup::new();
    let service = ServiceBuilder::new()
        .layer(setup.auth())
        .layer(AuthorizeLayer::scoped::<Write>())
        .layer(RoleLayer::new(map()))
        .service_fn(answer);
    let token = Setup::token(&setup.issuer, "alice", &["editor"]);
    send(service, bearer(&token.sign())).await.assert_reason(403, "insufficient_scope");
}

#[tokio::test]
async fn extractors_and_handlers_see_the_scopes_of_roles() {
    let setup = Setup::new();
    let held = async |caller: Scoped<Write>| caller.scopes().iter().map(Scope::as_str).collect::<Vec<_>>().join(" ");
    let layers = ServiceBuilder::new().layer(setup.auth()).layer(RoleLayer::new(map()));
    let app: Router = Router::new().route("/", get(held)).layer(layers);
    let call = async |roles: &[&str]| {
        let token = Setup::token(&setup.issuer, "alice", roles).scope("own").sign();
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        Answer::read(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
    };
    assert_eq!(call(&["editor"]).await.body, "own read write");
    call(&["reader"]).await.assert_reason(403, "insufficient_scope");
}

#[tokio::test]
async fn scopes_of_roles_imply_others_by_the_hierarchy() {
    let setup = Setup::new();
    let rules = [(Scope::from_static("admin"), Scopes::parse("read write").unwrap())];
    let service = ServiceBuilder::new()
        .layer(setup.auth().scope_hierarchy(ScopeHierarchy::new(rules).unwrap()))
        .layer(RoleLayer::new(RoleMap::new([("owner", "admin")]).unwrap()))
        .layer(AuthorizeLayer::scoped::<Write>())
        .service_fn(answer);
    let token = Setup::token(&setup.issuer, "alice", &["owner"]);
    send(service, bearer(&token.sign())).await.assert_subject("alice");
}

#[tokio::test]
async fn a_map_of_one_issuer_grants_nothing_to_callers_of_another() {
    let (setup, roles) = (Setup::new(), RoleLayer::new(map().of_issuer("https://issuer.test")));
    setup.ask(&roles, &["editor"]).await.assert_subject("alice");
    let token = Setup::token(&setup.other, "alice", &["editor"]);
    setup.ask_as(&roles, &token).await.assert_reason(403, "insufficient_scope");
}

/// A directory by subject that counts queries and does as it is told.
#[derive(Clone, Default)]
struct Directory(Arc<State>);

#[derive(Default)]
struct State {
    queries: AtomicUsize,
    scopes: Mutex<Scopes>,
    is_down: AtomicBool,
    panics: AtomicBool,
    /// Where queries wait after they have read the scopes.
    held: Mutex<Option<Arc<Semaphore>>>,
}

impl Directory {
    fn with(scopes: &str) -> Self {
        let this = Self::default();
        this.set(scopes);
        this
    }

    fn set(&self, scopes: &str) {
        *self.0.scopes.lock().unwrap() = Scopes::parse(scopes).unwrap();
    }

    fn hold(&self) -> Arc<Semaphore> {
        let semaphore = Arc::new(Semaphore::new(0));
        *self.0.held.lock().unwrap() = Some(Arc::clone(&semaphore));
        semaphore
    }

    fn queries(&self) -> usize {
        self.0.queries.load(Ordering::Relaxed)
    }
}

impl RoleDirectory for Directory {
    fn scopes(&self, query: &RoleQuery<'_>) -> Eventual<Result<Scopes, Unavailable>> {
        self.0.queries.fetch_add(1, Ordering::Relaxed);
        assert!(!self.0.panics.load(Ordering::Relaxed), "told to");
        let is_known = query.subject == "alice" && query.issuer == Some("https://issuer.test");
        let scopes = if is_known { self.0.scopes.lock().unwrap().clone() } else { Scopes::default() };
        let (held, is_down) = (self.0.held.lock().unwrap().clone(), self.0.is_down.load(Ordering::Relaxed));
        Eventual::later(async move {
            if let Some(held) = held {
                held.acquire().await.unwrap().forget();
            }
            if is_down { Err(Unavailable::new("the test")) } else { Ok(scopes) }
        })
    }
}

#[tokio::test]
async fn a_directory_is_queried_by_issuer_and_subject() {
    let (setup, roles) = (Setup::new(), RoleLayer::new(Directory::with("write")));
    setup.ask(&roles, &[]).await.assert_subject("alice");
    for token in [Setup::token(&setup.issuer, "bob", &[]), Setup::token(&setup.other, "alice", &[])] {
        setup.ask_as(&roles, &token).await.assert_reason(403, "insufficient_scope");
    }
}

#[tokio::test]
async fn a_directory_that_does_not_respond_is_503_and_never_a_refusal_for_scopes() {
    let (setup, directory) = (Setup::new(), Directory::with("write"));
    let cached = CachedRoles::builder(directory.clone()).environment(&setup.environment()).build();
    for roles in [RoleLayer::new(directory.clone()), RoleLayer::cached(&cached)] {
        directory.0.is_down.store(true, Ordering::Relaxed);
        setup.ask(&roles, &[]).await.assert_unavailable("roles_unavailable");
        directory.0.is_down.store(false, Ordering::Relaxed);
        setup.ask(&roles, &[]).await.assert_subject("alice");
    }
}

#[tokio::test]
async fn a_directory_that_panics_is_500_and_the_next_query_is_another_one() {
    let (setup, directory) = (Setup::new(), Directory::with("write"));
    let cached = CachedRoles::builder(directory.clone()).environment(&setup.environment()).build();
    for roles in [RoleLayer::new(directory.clone()), RoleLayer::cached(&cached)] {
        directory.0.panics.store(true, Ordering::Relaxed);
        setup.ask(&roles, &[]).await.assert_reason(500, "panicked");
        directory.0.panics.store(false, Ordering::Relaxed);
        setup.ask(&roles, &[]).await.assert_subject("alice");
    }
}

fn cached(setup: &Setup, directory: &Directory) -> (CachedRoles, RoleLayer) {
    let cached = CachedRoles::builder(directory.clone()).environment(&setup.environment()).build();
    let layer = RoleLayer::cached(&cached);
    (cached, layer)
}

#[tokio::test]
async fn a_caller_is_cached_for_the_lifetime() {
    let (setup, directory) = (Setup::new(), Directory::with("write"));
    let (_, roles) = cached(&setup, &directory);
    for _ in 0..3 {
        setup.ask(&roles, &["reader"]).await.assert_subject("alice");
    }
    assert_eq!(directory.queries(), 1);
    directory.set("read");
    setup.clock.advance(Duration::from_secs(59));
    setup.ask(&roles, &["reader"]).await.assert_subject("alice");
    setup.clock.advance(Duration::from_secs(1));
    setup.ask(&roles, &["reader"]).await.assert_reason(403, "insufficient_scope");
    assert_eq!(directory.queries(), 2);
}

#[tokio::test]
async fn callers_that_differ_in_anything_share_no_entry() {
    let (setup, directory) = (Setup::new(), Directory::with("write"));
    let (_, roles) = cached(&setup, &directory);
    let token = |roles: &[&str]| Setup::token(&setup.issuer, "alice", roles);
    let tokens = [
        token(&[]),
        token(&["a", "b"]),
        token(&["ab"]),
        token(&["a"]),
        token(&[""]),
        token(&[]).claim("tenant", "other"),
        Setup::token(&setup.issuer, "alic", &["e"]),
        Setup::token(&setup.other, "alice", &[]),
    ];
    for _ in 0..2 {
        for token in &tokens {
            setup.ask_as(&roles, token).await;
        }
    }
    assert_eq!(directory.queries(), tokens.len());
}

#[tokio::test]
async fn an_invalidated_caller_is_looked_up_again() {
    let (setup, directory) = (Setup::new(), Directory::with("write"));
    let (cached, roles) = cached(&setup, &directory);
    setup.ask(&roles, &[]).await.assert_subject("alice");
    directory.set("read");
    cached.invalidate(Some("https://issuer.test"), "bob");
    cached.invalidate(Some("https://other.test"), "alice");
    cached.invalidate(None, "alice");
    setup.ask(&roles, &[]).await.assert_subject("alice");
    cached.invalidate(Some("https://issuer.test"), "alice");
    setup.ask(&roles, &[]).await.assert_reason(403, "insufficient_scope");
    directory.set("write");
    cached.invalidate_all();
    setup.ask(&roles, &[]).await.assert_subject("alice");
}

/// Waits until the directory was queried.
async fn until_queried(directory: &Directory, times: usize) {
    while directory.queries() < times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn scopes_that_were_read_before_an_invalidation_are_not_used_after_it() {
    let (setup, directory) = (Setup::new(), Directory::with("write"));
    let (cached, roles) = cached(&setup, &directory);
    let gate = directory.hold();
    let (refused, ()) = tokio::join!(setup.ask(&roles, &[]), async {
        until_queried(&directory, 1).await;
        directory.set("read");
        cached.invalidate(Some("https://issuer.test"), "alice");
        gate.add_permits(10);
    });
    refused.assert_reason(403, "insufficient_scope");
    assert_eq!(directory.queries(), 2);
}

#[tokio::test]
async fn several_requests_of_a_caller_cause_one_query() {
    let (setup, directory) = (Setup::new(), Directory::with("write"));
    let (_, roles) = cached(&setup, &directory);
    let gate = directory.hold();
    let ask = || setup.ask(&roles, &[]);
    let (first, second, third, ()) = tokio::join!(ask(), ask(), ask(), async {
        until_queried(&directory, 1).await;
        tokio::task::yield_now().await;
        gate.add_permits(1);
    });
    for answer in [first, second, third] {
        answer.assert_subject("alice");
    }
    assert_eq!(directory.queries(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_query_that_takes_too_long_is_503() {
    let (setup, directory) = (Setup::new(), Directory::with("write"));
    let (_, roles) = cached(&setup, &directory);
    let gate = directory.hold();
    setup.ask(&roles, &[]).await.assert_unavailable("roles_timeout");
    gate.add_permits(10);
    setup.ask(&roles, &[]).await.assert_subject("alice");
}

#[tokio::test]
async fn a_caller_and_the_subject_that_it_acts_for_both_have_their_roles() {
    let setup = Setup::new();
    let format = KeyFormat::new("sk_agent").unwrap();
    let keys = ApiKeys::builder(MemoryKeyStore::default(), format).environment(&setup.environment()).build();
    let (_, agent) = keys.mint(NewKey::new("agent-7").scopes("write")).await.unwrap();
    let (_, weak) = keys.mint(NewKey::new("agent-8").scopes("read")).await.unwrap();
    let rules = Issuer::new(setup.issuer.name(), AUDIENCE).unwrap().roles_claim("roles");
    let user = CredentialSource::new(Jwt::new(rules, setup.issuer.clone()));
    let auth = AuthLayer::new(keys)
        .without_scheme("Bearer")
        .scheme(ApiKeyHeader::from(Location::header("x-api-key")))
        .environment(&setup.environment())
        .acting_for(user.scheme(Bearer::default()))
        .unwrap();
    let service = ServiceBuilder::new()
        .layer(auth)
        .layer(RoleLayer::new(map()))
        .layer(AuthorizeLayer::scoped::<Write>())
        .service_fn(answer);
    let call = async |key: &str, roles: &[&str]| {
        let token = Setup::token(&setup.issuer, "alice", roles).sign();
        send(service.clone(), bearer(&token).header("x-api-key", key)).await
    };
    call(agent.expose(), &["editor"]).await.assert_subject("agent-7");
    call(agent.expose(), &["reader"]).await.assert_reason(403, "insufficient_scope");
    call(weak.expose(), &["editor"]).await.assert_reason(403, "insufficient_scope");
}

#[tokio::test]
async fn a_request_without_a_credential_passes_an_optional_layer() {
    let setup = Setup::new();
    let layers = ServiceBuilder::new().layer(setup.auth().optional()).layer(RoleLayer::new(map()));
    let service = layers.clone().service_fn(answer);
    send(service, request()).await.assert_subject("nobody");
    let service = layers.layer(AuthorizeLayer::when(|_, _| true)).service_fn(answer);
    send(service, request()).await.assert_reason(401, "credential_missing");
}

#[tokio::test]
async fn without_an_auth_layer_every_request_is_500() {
    let service = RoleLayer::new(map()).layer(service_fn(answer));
    send(service, request()).await.assert_reason(500, "auth_layer_missing");
}

#[test]
fn a_map_parses_its_scopes() {
    assert!(RoleMap::new([("reader", "re\"ad")]).is_err());
}
