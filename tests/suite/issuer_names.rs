//! Which issuer a token is one of, and with which keys it is verified.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tower_warden::{
    Environment, Eventual, ManualClock, Unavailable,
    jwt::{
        Algorithm, Issuer, IssuerResolver, Jwt, JwtBuilder, KeyRequest, KeySource, StaticKeys, TrustedIssuer,
        VerifyingKey,
    },
    layer::AuthLayer,
    testing::{SigningKey, TestIssuer, TokenBuilder},
};

use crate::{
    secrets::listen,
    support::{App, START, bearer, send},
    tokens::{AUDIENCE, Stack, app, keys, principal, rules, seconds},
};

fn issuer(name: &str, clock: &ManualClock) -> TestIssuer {
    TestIssuer::new(name).environment(&Environment::default().with_clock(clock.clone()))
}

fn layered(jwt: Jwt, clock: &ManualClock) -> App {
    app(&AuthLayer::new(jwt).environment(&Environment::default().with_clock(clock.clone())))
}

#[tokio::test]
async fn a_name_that_is_an_http_url_is_accepted_where_nothing_is_fetched_from_it() {
    const NAME: &str = "http://fs.example/adfs/services/trust";
    let error = Issuer::new(NAME, AUDIENCE).unwrap_err().to_string();
    assert!(error.contains("Issuer::named"), "{error}");
    let stack = Stack::of(|issuer| Jwt::new(Issuer::named(NAME, AUDIENCE).unwrap(), issuer.clone()));
    stack.sign(&stack.token().claim("iss", NAME)).await.assert_subject("alice");
    stack
        .sign(&stack.token().claim("iss", "https://fs.example/adfs/services/trust"))
        .await
        .assert_invalid("issuer_unknown");
    assert!(Issuer::named("", AUDIENCE).is_err());
}

#[tokio::test]
async fn a_template_is_compared_with_the_claim_that_its_placeholder_names() {
    let clock = ManualClock::at(START);
    let entra = issuer("https://login.test/common", &clock);
    let rules = Issuer::template("https://login.test/{tid}/v2.0", AUDIENCE).unwrap().tenant_claim("tid");
    let app = layered(Jwt::new(rules, entra.clone()), &clock);
    let token = |name: &str, tid: Value| {
        let token = entra.token("alice").audience(AUDIENCE).claim("iss", name).claim("tid", tid);
        bearer(&token.sign())
    };
    let tenant = "https://login.test/t-1/v2.0";
    send(app.clone(), token(tenant, json!("t-1"))).await.assert_subject("alice");
    for tid in [json!("t-2"), json!(""), Value::Null, json!(["t-1"]), json!(1)] {
        send(app.clone(), token(tenant, tid)).await.assert_invalid("claim_required");
    }
    for name in [
        "https://login.test//v2.0",
        "https://login.test/t-1/v2.0/",
        "https://login.test/a/b/v2.0",
        "https://login.test/../v2.0",
        "https://login.test/t-1%2f/v2.0",
        "https://evil.test/t-1/v2.0",
        "https://login.test/{tid}/v2.0",
        "https://login.test/v2.0",
    ] {
        send(app.clone(), token(name, json!("t-1"))).await.assert_invalid("issuer_unknown");
    }
    let long = format!("https://login.test/{}/v2.0", "t".repeat(129));
    send(app, token(&long, json!("t".repeat(129)))).await.assert_invalid("issuer_unknown");
}

#[tokio::test]
async fn the_issuer_of_a_template_is_the_one_that_the_token_names() {
    let caller = principal(
        |_| Issuer::template("https://{org}.test", AUDIENCE).unwrap(),
        |token| token.claim("iss", "https://acme.test").claim("org", "acme"),
    )
    .await;
    assert_eq!(caller.issuer(), Some("https://acme.test"));
}

// (36)
#[tokio::test]
async fn a_key_of_a_template_that_names_an_issuer_verifies_tokens_of_that_issuer_only() {
    let clock = ManualClock::at(START);
    let entra = issuer("https://login.test/common", &clock);
    let key = |issuer: Value| {
        let key = SigningKey::generate(Algorithm::ES256);
        let mut jwk = key.jwk();
        jwk["issuer"] = issuer;
        (key, jwk)
    };
    let (personal, personal_jwk) = key(json!("https://login.test/personal/v2.0"));
    let (any, any_jwk) = key(json!("https://login.test/{tenantid}/v2.0"));
    let (unnamed, unnamed_jwk) = key(Value::Null);
    let (older, older_jwk) = key(json!("https://sts.test/{tenantid}/"));
    let set = json!({ "keys": [personal_jwk, any_jwk, unnamed_jwk, older_jwk] }).to_string();
    let rules = Issuer::template("https://login.test/{tid}/v2.0", AUDIENCE).unwrap();
    let app = layered(Jwt::new(rules, StaticKeys::from_jwk_set(&set).unwrap()), &clock);
    let token = |key: &SigningKey, tid: &str| {
        let token = entra.token("alice").audience(AUDIENCE).claim("iss", format!("https://login.test/{tid}/v2.0"));
        bearer(&token.claim("tid", tid).key(key).sign())
    };
    for key in [&any, &unnamed] {
        send(app.clone(), token(key, "acme")).await.assert_subject("alice");
    }
    send(app.clone(), token(&personal, "personal")).await.assert_subject("alice");
    send(app.clone(), token(&personal, "acme")).await.assert_invalid("key_issuer");
    send(app, token(&older, "acme")).await.assert_invalid("key_issuer");
}

#[tokio::test]
async fn the_issuer_that_a_key_names_is_not_compared_with_an_exact_name() {
    let key = SigningKey::generate(Algorithm::ES256);
    let mut jwk = key.jwk();
    jwk["issuer"] = json!("https://other.test");
    let keys = StaticKeys::new([VerifyingKey::from_jwk(&jwk.to_string()).unwrap()]).unwrap();
    let stack = Stack::of(|issuer| Jwt::new(rules(issuer), keys));
    stack.sign(&stack.token().key(&key)).await.assert_subject("alice");
}

#[test]
fn a_template_has_one_placeholder_and_is_no_http_url() {
    for bad in ["https://a.test", "https://{}.test", "https://{a}.{b}.test", "http://{a}.test", "https://}a{.test", ""]
    {
        assert!(Issuer::template(bad, AUDIENCE).is_err(), "{bad}");
    }
    assert!(Issuer::template("https://a.test/{tid}", "").is_err());
}

#[test]
fn a_setting_that_would_replace_or_miss_the_name_of_an_issuer_is_an_error() {
    let template = || Issuer::template("https://{org}.test", AUDIENCE).unwrap();
    let svid = || Issuer::jwt_svid("spiffe://acme.test", AUDIENCE).unwrap();
    let exact = || Issuer::new("https://a.test", AUDIENCE).unwrap();
    assert!(template().danger_without_iss().is_err(), "the placeholder would not be compared");
    assert!(svid().danger_without_iss().is_err(), "the trust domain would not be compared");
    assert!(exact().danger_without_iss().unwrap().danger_without_iss().is_ok());
    assert!(template().template_claim("org", "{org}").is_ok());
    for issuer in [exact(), svid(), exact().danger_without_iss().unwrap()] {
        let error = issuer.template_claim("org", "{org}").unwrap_err().to_string();
        assert!(error.contains("Issuer::template"), "{error}");
    }
}

/// Access tokens and ID tokens of one issuer, for two audiences and with two sets of keys.
#[tokio::test]
async fn the_first_rule_set_that_a_token_fits_decides_alone() {
    let clock = ManualClock::at(START);
    let (pool, other_keys) = (issuer("https://pool.test", &clock), SigningKey::named(Algorithm::ES256, "id"));
    let access = rules(&pool).require_claim("token_use", "access").tenant("access");
    let id = Issuer::new(pool.name(), "app-1").unwrap().access_token_claim("token_use", "id").tenant("id");
    let jwt = Jwt::builder(access, pool.clone()).issuer(id, keys(&[&other_keys])).build().unwrap();
    let app = layered(jwt, &clock);
    let token = |kind: &str, audience: &str| pool.token("alice").audience(audience).claim("token_use", kind);
    send(app.clone(), bearer(&token("access", AUDIENCE).sign())).await.assert_subject("alice");
    send(app.clone(), bearer(&token("id", "app-1").key(&other_keys).sign())).await.assert_subject("alice");
    // The keys of the other rule set do not help.
    let swapped = token("access", AUDIENCE).key(&other_keys).sign();
    send(app.clone(), bearer(&swapped)).await.assert_invalid("key_unknown");
    let swapped = token("id", "app-1").key(&pool.key()).sign();
    send(app.clone(), bearer(&swapped)).await.assert_invalid("key_unknown");
    // One that fits none is refused by the first.
    send(app, bearer(&token("id", AUDIENCE).sign())).await.assert_invalid("claim_required");
}

#[tokio::test]
async fn a_secret_and_a_key_set_of_one_issuer_are_told_apart_by_the_algorithm() {
    let clock = ManualClock::at(START);
    let (project, secret) = (issuer("https://project.test", &clock), SigningKey::generate(Algorithm::HS256));
    let symmetric = rules(&project).algorithms([Algorithm::HS256]).unwrap();
    let jwt = Jwt::builder(rules(&project), project.clone()).issuer(symmetric, keys(&[&secret])).build().unwrap();
    let app = layered(jwt, &clock);
    let token = || project.token("alice").audience(AUDIENCE);
    send(app.clone(), bearer(&token().sign())).await.assert_subject("alice");
    send(app.clone(), bearer(&token().key(&secret).sign())).await.assert_subject("alice");
    let fetches = project.fetches();
    let confused = token().key(&secret).header("kid", project.key().id()).sign();
    send(app.clone(), bearer(&confused)).await.assert_invalid("key_unknown");
    assert_eq!(project.fetches(), fetches, "the key set was not searched for a token of the other kind");
    send(app, bearer(&token().header("alg", "ES384").sign())).await.assert_invalid("algorithm_not_allowed");
}

#[test]
fn a_rule_set_that_is_never_used_is_an_error() {
    let issuer = TestIssuer::new("https://issuer.test");
    let with = |second: Issuer| Jwt::builder(rules(&issuer), issuer.clone()).issuer(second, issuer.clone()).build();
    assert!(with(rules(&issuer)).is_err());
    assert!(with(rules(&issuer).tenant("other")).is_err());
    assert!(with(rules(&issuer).require_claim("kind", "other")).is_err(), "the first takes all");
    assert!(with(rules(&issuer).algorithms([Algorithm::ES256]).unwrap()).is_err());
    assert!(with(rules(&issuer).algorithms([Algorithm::ES384]).unwrap()).is_ok());
    assert!(with(Issuer::new(issuer.name(), "https://second.test").unwrap()).is_ok());
    assert!(with(Issuer::new("https://other.test", AUDIENCE).unwrap()).is_ok());
    assert!(with(rules(&issuer).strict()).is_err(), "the first takes tokens of RFC 9068, too");
}

#[test]
fn a_rule_set_after_one_that_leaves_it_some_tokens_is_no_error() {
    let issuer = TestIssuer::new("https://issuer.test");
    let after =
        |first: Issuer, second: Issuer| Jwt::builder(first, issuer.clone()).issuer(second, issuer.clone()).build();
    let plain = || rules(&issuer);
    assert!(after(plain().strict(), plain()).is_ok());
    assert!(after(plain().require_jti(), plain()).is_ok());
    assert!(after(plain(), plain().require_jti()).is_err());
    assert!(after(plain().require_jti(), plain().strict()).is_err(), "strict requires `jti`");
    assert!(after(plain().refuse_other_audiences(), plain()).is_ok());
    assert!(after(plain(), plain().refuse_other_audiences()).is_err());
    assert!(after(plain(), plain().danger_accept_id_tokens()).is_ok());
    assert!(after(plain().danger_accept_id_tokens(), plain()).is_err());
    let optional = || plain().check_claim_if_present("use", "api");
    assert!(
        after(optional(), plain().require_claim("use", "api")).is_err(),
        "the first takes tokens with the claim, too"
    );
    assert!(
        after(plain().require_claim("use", "api"), optional()).is_ok(),
        "the second takes tokens without the claim"
    );
    let any = || plain().danger_any_audience();
    assert!(after(any().refuse_other_audiences(), any()).is_err(), "no audience is another one");
    let template = || Issuer::template("https://{org}.test", AUDIENCE).unwrap();
    assert!(after(template().template_claim("dest", "{org}").unwrap(), template()).is_ok());
    assert!(after(template(), template()).is_err());
}

#[test]
fn rule_sets_with_different_audiences_get_no_common_audience() {
    let issuer = TestIssuer::new("https://issuer.test");
    let id_tokens = || Issuer::new(issuer.name(), "app-1").unwrap().danger_accept_id_tokens();
    let jwt = Jwt::builder(rules(&issuer), issuer.clone()).issuer(id_tokens(), issuer.clone()).build().unwrap();
    let error = jwt.for_audience("https://reports.test").unwrap_err().to_string();
    assert!(error.contains("different audiences") && error.contains("https://issuer.test"), "{error}");
    // Of several issuers, each has the audience.
    let other = Issuer::new("https://other.test", "app-1").unwrap();
    let jwt = Jwt::builder(rules(&issuer), issuer.clone()).issuer(other, issuer.clone()).build().unwrap();
    assert!(jwt.for_audience("https://reports.test").is_ok());
    let es384 = rules(&issuer).algorithms([Algorithm::ES384]).unwrap();
    let jwt = Jwt::builder(rules(&issuer), issuer.clone()).issuer(es384, issuer.clone()).build().unwrap();
    assert!(jwt.for_audience("https://reports.test").is_ok());
}

#[test]
fn rule_sets_that_share_an_issuer_by_a_template_get_no_common_audience() {
    let issuer = TestIssuer::new("https://issuer.test");
    let rules = |name: &str, audience: &str| match name.contains('{') {
        true => Issuer::template(name, audience).unwrap(),
        false => Issuer::new(name, audience).unwrap(),
    };
    for (one, other, is_shared) in [
        ("https://acme.test", "https://{org}.test", true),
        ("https://acme.test/a", "https://{org}.test", false),
        ("https://acme-{org}.test", "https://{org}.test", true),
        ("https://{org}.eu.test", "https://{org}.test", true),
        ("https://{org}.test/v2", "https://{org}.test", false),
        ("https://login.test/{org}", "https://auth.test/{org}", false),
        // `https://login.test/a/b` has both forms, and the values have no common part.
        ("https://login.test/{org}/b", "https://login.test/a/{org}", true),
        ("https://login.test/a/{org}", "https://login.test/{org}/b", true),
        ("https://login.test/{org}/b", "https://login.test/a/c/{org}", false),
        ("https://login.test/a/b-{org}", "https://login.test/{org}/b-c", true),
    ] {
        let jwt = Jwt::builder(rules(one, "app-1"), issuer.clone()).issuer(rules(other, "app-2"), issuer.clone());
        let shared = jwt.build().unwrap().for_audience("https://reports.test");
        assert_eq!(shared.is_err(), is_shared, "{one} {other}");
        let jwt = Jwt::builder(rules(one, "app-1"), issuer.clone()).issuer(rules(other, "app-1"), issuer.clone());
        assert!(jwt.build().unwrap().for_audience("https://reports.test").is_ok(), "{one} {other}");
    }
}

#[tokio::test]
async fn tokens_without_an_issuer_are_accepted_only_by_option() {
    let stack = Stack::new();
    stack.sign(&stack.token().without("iss")).await.assert_invalid("issuer_missing");
    let without_iss = |issuer: Issuer| issuer.danger_without_iss().unwrap();
    let stack = Stack::with(without_iss);
    stack.sign(&stack.token().without("iss")).await.assert_subject("alice");
    stack.sign(&stack.token()).await.assert_invalid("issuer_unknown");
    stack.sign(&stack.token().claim("iss", "")).await.assert_invalid("issuer_unknown");
    let caller = principal(without_iss, |token| token.without("iss")).await;
    assert_eq!(caller.issuer(), Some("https://issuer.test"));
}

#[tokio::test]
async fn a_jwt_svid_is_one_of_its_trust_domain() {
    let stack = Stack::of(|issuer| Jwt::new(Issuer::jwt_svid("spiffe://acme.test", AUDIENCE).unwrap(), issuer.clone()));
    let svid = |subject: &str| {
        let token = stack.issuer.token(subject).without("iss").without("jti").claim("aud", json!([AUDIENCE]));
        token.header("typ", "JOSE")
    };
    let id = "spiffe://acme.test/ns/prod/sa/api";
    stack.sign(&svid(id)).await.assert_subject(id);
    stack.sign(&svid(id).without_header("typ")).await.assert_subject(id);
    stack.sign(&svid(id).claim("iss", "https://spire.test")).await.assert_subject(id);
    for other in
        ["spiffe://acme.test", "spiffe://acme.test.evil.test/a", "spiffe://evil.test/a", "acme.test/a", "alice"]
    {
        stack.sign(&svid(other)).await.assert_invalid("issuer_missing");
    }
    // (37) SPIFFE ID §2.2: policies that compare the path, or a part of it, have one form to compare.
    for path in
        ["/", "//api", "/ns/", "/ns//api", "/.", "/ns/../api", "/ns/./api", "/%61pi", "/a b", "/api?a", "/api#a", "/é"]
    {
        stack.sign(&svid(&format!("spiffe://acme.test{path}"))).await.assert_invalid("issuer_missing");
    }
    let dotted = "spiffe://acme.test/.well-known/a..b/Api_1";
    stack.sign(&svid(dotted)).await.assert_subject(dotted);
    stack.sign(&svid(id).audience("https://other.test")).await.assert_invalid("audience_mismatch");
    stack.sign(&svid(id).without("exp")).await.assert_invalid("expiry_missing");
    stack.sign(&svid(id).header("typ", "JWT")).await.assert_subject(id);
    stack.sign(&svid(id).header("typ", "at+jwt")).await.assert_invalid("token_type");
    // The type is that of JWT-SVIDs only.
    let stack = Stack::new();
    stack.sign(&stack.token().header("typ", "JOSE")).await.assert_invalid("token_type");
    for bad in ["acme.test", "spiffe://", "spiffe://Acme.test", "spiffe://acme.test/a", "https://acme.test", ""] {
        assert!(Issuer::jwt_svid(bad, AUDIENCE).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_verifier_for_another_audience_shares_the_keys() {
    let clock = ManualClock::at(START);
    let issuer = issuer("https://issuer.test", &clock);
    let billing = Jwt::new(rules(&issuer), issuer.clone());
    let reports = layered(billing.for_audience("https://reports.test").unwrap(), &clock);
    let billing_app = layered(billing.clone(), &clock);
    let token = |audience: &str| bearer(&issuer.token("alice").audience(audience).sign());
    send(billing_app.clone(), token(AUDIENCE)).await.assert_subject("alice");
    send(reports.clone(), token("https://reports.test")).await.assert_subject("alice");
    send(billing_app, token("https://reports.test")).await.assert_invalid("audience_mismatch");
    send(reports, token(AUDIENCE)).await.assert_invalid("audience_mismatch");
    assert!(billing.for_audience("").is_err());
}

/// Tenants whose issuers are looked up.
struct Tenants {
    known: Mutex<Vec<TestIssuer>>,
    calls: AtomicUsize,
    mode: Mutex<Mode>,
}

#[derive(Clone, Copy)]
enum Mode {
    Answer,
    Fail,
    Hang,
    Template,
    TrustDomain,
    Wrong,
}

impl IssuerResolver for Tenants {
    fn resolve(&self, name: &str) -> Eventual<Result<Option<TrustedIssuer>, Unavailable>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let known = self.known.lock().unwrap();
        let found = |issuer: &TestIssuer| TrustedIssuer::new(rules(issuer).tenant(issuer.name()), issuer.clone());
        match *self.mode.lock().unwrap() {
            Mode::Answer => Eventual::Now(Ok(known.iter().find(|issuer| issuer.name() == name).map(found))),
            Mode::Fail => Eventual::Now(Err(Unavailable::new("the tenants"))),
            Mode::Hang => Eventual::later(std::future::pending()),
            Mode::Template => {
                let template = Issuer::template("https://{org}.test", AUDIENCE).unwrap();
                Eventual::Now(Ok(known.first().map(|issuer| TrustedIssuer::new(template, issuer.clone()))))
            }
            Mode::TrustDomain => {
                let domain = Issuer::jwt_svid("spiffe://acme.test", AUDIENCE).unwrap();
                Eventual::Now(Ok(known.first().map(|issuer| TrustedIssuer::new(domain, issuer.clone()))))
            }
            Mode::Wrong => Eventual::Now(Ok(known.first().map(found))),
        }
    }
}

struct Resolving {
    clock: ManualClock,
    tenants: Arc<Tenants>,
    jwt: Jwt,
    app: App,
    own: TestIssuer,
}

impl Resolving {
    fn new() -> Self {
        let clock = ManualClock::at(START);
        let own = issuer("https://own.test", &clock);
        let known = Mutex::new(vec![issuer("https://acme.test", &clock), issuer("https://globex.test", &clock)]);
        let tenants = Arc::new(Tenants { known, calls: AtomicUsize::new(0), mode: Mutex::new(Mode::Answer) });
        let builder: JwtBuilder = Jwt::builder(rules(&own), own.clone()).resolver(Arc::clone(&tenants));
        let jwt = builder.build().unwrap();
        let app = layered(jwt.clone(), &clock);
        Self { clock, tenants, jwt, app, own }
    }

    fn tenant(&self, index: usize) -> TestIssuer {
        self.tenants.known.lock().unwrap()[index].clone()
    }

    fn calls(&self) -> usize {
        self.tenants.calls.load(Ordering::SeqCst)
    }

    fn set(&self, mode: Mode) {
        *self.tenants.mode.lock().unwrap() = mode;
    }

    async fn send(&self, token: &TokenBuilder) -> crate::support::Answer {
        send(self.app.clone(), bearer(&token.sign())).await
    }
}

fn token(issuer: &TestIssuer) -> TokenBuilder {
    issuer.token("alice").audience(AUDIENCE)
}

#[tokio::test]
async fn an_issuer_is_resolved_once_and_its_keys_are_its_own() {
    let stack = Resolving::new();
    let (acme, globex) = (stack.tenant(0), stack.tenant(1));
    stack.send(&token(&stack.own)).await.assert_subject("alice");
    assert_eq!(stack.calls(), 0, "a configured issuer is not resolved");
    for _ in 0..3 {
        stack.send(&token(&acme)).await.assert_subject("alice");
        stack.send(&token(&globex)).await.assert_subject("alice");
    }
    assert_eq!(stack.calls(), 2);
    let forged = token(&acme).key(&globex.key());
    stack.send(&forged).await.assert_invalid("key_unknown");
    stack.clock.advance(seconds(600));
    stack.send(&token(&acme)).await.assert_subject("alice");
    assert_eq!(stack.calls(), 3);
}

#[tokio::test]
async fn an_unknown_issuer_is_refused_and_cached_for_a_minute() {
    let stack = Resolving::new();
    let evil = issuer("https://evil.test", &stack.clock);
    for _ in 0..3 {
        stack.send(&token(&evil)).await.assert_invalid("issuer_unknown");
    }
    assert_eq!(stack.calls(), 1);
    stack.tenants.known.lock().unwrap().push(evil.clone());
    stack.send(&token(&evil)).await.assert_invalid("issuer_unknown");
    stack.jwt.forget_issuer(evil.name());
    stack.send(&token(&evil)).await.assert_subject("alice");
}

#[tokio::test]
async fn an_issuer_that_is_forgotten_is_resolved_again_for_cached_tokens_too() {
    let stack = Resolving::new();
    let acme = stack.tenant(0);
    let cached = token(&acme);
    stack.send(&cached).await.assert_subject("alice");
    stack.tenants.known.lock().unwrap().remove(0);
    stack.send(&cached).await.assert_subject("alice");
    stack.jwt.forget_issuer(acme.name());
    stack.send(&cached).await.assert_invalid("issuer_unknown");
}

#[tokio::test]
async fn a_resolver_that_fails_is_an_outage_and_nothing_is_cached() {
    let stack = Resolving::new();
    stack.set(Mode::Fail);
    stack.send(&token(&stack.tenant(0))).await.assert_unavailable("keys_unavailable");
    stack.send(&token(&stack.own)).await.assert_subject("alice");
    stack.set(Mode::Answer);
    stack.send(&token(&stack.tenant(0))).await.assert_subject("alice");
}

#[tokio::test]
async fn a_resolver_that_returns_another_issuer_admits_nobody() {
    let stack = Resolving::new();
    stack.set(Mode::Wrong);
    stack.send(&token(&stack.tenant(1))).await.assert_invalid("issuer_unknown");
    let forged = token(&stack.tenant(0)).claim("iss", "https://evil.test");
    stack.send(&forged).await.assert_invalid("issuer_unknown");
}

#[tokio::test]
async fn a_resolver_that_returns_a_template_or_a_trust_domain_admits_nobody() {
    let (log, _guard) = listen();
    for mode in [Mode::Template, Mode::TrustDomain] {
        let stack = Resolving::new();
        stack.set(mode);
        let acme = stack.tenant(0);
        let accepted_by_its_rules = token(&acme).claim("org", "acme").claim("sub", "spiffe://acme.test/api");
        stack.send(&accepted_by_its_rules).await.assert_invalid("issuer_unknown");
        stack.set(Mode::Answer);
        stack.jwt.forget_issuer(acme.name());
        stack.send(&token(&acme)).await.assert_subject("alice");
    }
    assert!(log.text().contains("the resolver returned"), "{}", log.text());
}

#[tokio::test]
async fn an_issuer_that_is_forgotten_is_forgotten_for_all_audiences() {
    const REPORTS: &str = "https://reports.test";
    for forgets_by_first in [true, false] {
        let stack = Resolving::new();
        let other = stack.jwt.for_audience(REPORTS).unwrap();
        let reports = layered(other.clone(), &stack.clock);
        let acme = stack.tenant(0);
        let (first, second) = (token(&acme), acme.token("alice").audience(REPORTS).sign());
        stack.send(&first).await.assert_subject("alice");
        send(reports.clone(), bearer(&second)).await.assert_subject("alice");
        stack.tenants.known.lock().unwrap().remove(0);
        let forgetting = if forgets_by_first { &stack.jwt } else { &other };
        forgetting.forget_issuer(acme.name());
        stack.send(&first).await.assert_invalid("issuer_unknown");
        send(reports, bearer(&second)).await.assert_invalid("issuer_unknown");
    }
}

/// Counts the tokens that are verified, and not found in the cache.
struct Counting(TestIssuer, Arc<AtomicUsize>);

impl KeySource for Counting {
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.find(request)
    }
}

#[tokio::test]
async fn a_template_is_forgotten_with_all_its_issuers_and_one_of_them_alone() {
    const TEMPLATE: &str = "https://{org}.test";
    let (clock, verified) = (ManualClock::at(START), Arc::new(AtomicUsize::new(0)));
    let keys = issuer("https://keys.test", &clock);
    let jwt = Jwt::new(Issuer::template(TEMPLATE, AUDIENCE).unwrap(), Counting(keys.clone(), Arc::clone(&verified)));
    let app = layered(jwt.clone(), &clock);
    let token = |org: &str| token(&keys).claim("iss", format!("https://{org}.test")).claim("org", org).sign();
    let tokens = [token("acme"), token("globex")];
    for (forgotten, expected) in [(None, 2), (Some("https://acme.test"), 1), (Some(TEMPLATE), 2)] {
        forgotten.into_iter().for_each(|name| jwt.forget_issuer(name));
        verified.store(0, Ordering::SeqCst);
        for token in tokens.iter().chain(&tokens) {
            send(app.clone(), bearer(token)).await.assert_subject("alice");
        }
        assert_eq!(verified.load(Ordering::SeqCst), expected, "{forgotten:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_is_an_outage_that_is_logged_once() {
    let (log, _guard) = listen();
    let stack = Resolving::new();
    stack.set(Mode::Hang);
    for index in 0..2 {
        stack.send(&token(&stack.tenant(index))).await.assert_unavailable("keys_unavailable");
    }
    assert_eq!(log.text().matches("issuer resolver").count(), 1, "{}", log.text());
    stack.set(Mode::Answer);
    stack.send(&token(&stack.tenant(0))).await.assert_subject("alice");
    assert!(log.text().contains("responds again"), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn look_ups_of_issuers_are_bounded() {
    use futures_util::FutureExt;
    let stack = Resolving::new();
    stack.set(Mode::Hang);
    let mut waiting = Vec::new();
    for index in 0..64 {
        let forged = token(&stack.own).claim("iss", format!("https://{index}.test")).sign();
        let mut answer = Box::pin(send(stack.app.clone(), bearer(&forged)));
        assert!(answer.as_mut().now_or_never().is_none());
        waiting.push(answer);
    }
    let one_more = token(&stack.own).claim("iss", "https://64.test");
    stack.send(&one_more).await.assert_unavailable("keys_unavailable");
    stack.send(&token(&stack.own)).await.assert_subject("alice");
    drop(waiting);
    stack.set(Mode::Answer);
    stack.send(&token(&stack.tenant(0))).await.assert_subject("alice");
}
