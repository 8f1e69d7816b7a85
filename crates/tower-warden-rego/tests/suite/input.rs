//! The document that policies read.

use std::sync::Arc;

use axum::{Router, body::Body, routing::get};
use http::{HeaderName, HeaderValue, Request};
use tower::ServiceExt;
use tower_warden::{
    AuthMethod, Credential, Digest, Eventual, Identity, Rejection,
    api_key::NewKey,
    auth::{Authenticator, Presented},
    caller::Confirmation,
    certificate::{CertificateProof, ChainStatus, PeerCertificate},
    jwt::{Issuer, Jwt},
    layer::{AuthLayer, AuthorizeLayer},
    request::Peer,
    scheme::{Bearer, Scheme},
    testing::TestIssuer,
};
use tower_warden_rego::RegoErrorKind;

use crate::support::{Caller, allow};

/// A policy that admits if the member of the input is this JSON.
fn is(member: &str, json: &str) -> tower_warden_rego::RegoPolicyBuilder {
    allow(&format!("default allow := false\n\nallow if {member} == {json}"))
}

#[tokio::test]
async fn the_input_has_the_caller_of_an_api_key() {
    let key = NewKey::new("agent-7").tenant("acme").scopes("a b").tier("pro").metadata("team", "x");
    let agent = Caller::new(key).await;
    for (member, json) in [
        ("input.agent.subject", r#""agent-7""#),
        ("input.agent.tenant", r#""acme""#),
        ("input.agent.method", r#""api_key""#),
        ("input.agent.scopes", r#"["a", "b"]"#),
        ("input.agent.roles", "[]"),
        ("input.agent.actors", "[]"),
        ("input.agent.bound_by", "[]"),
        ("input.agent.tier", r#""pro""#),
        ("input.agent.metadata", r#"{"team": "x"}"#),
        ("input.principal", "input.agent"),
        ("input.request.time", "1800000000"),
        ("input.request.cert_verified", "false"),
        ("input.request.headers", "{}"),
    ] {
        agent.ask(is(member, json).build().unwrap()).await.assert_admitted();
    }
    for absent in ["issuer", "client_id", "claims", "acr", "auth_time", "token_id", "session_id", "acting_for"] {
        let policy = allow(&format!("allow if not input.agent.{absent}")).build().unwrap();
        agent.ask(policy).await.assert_admitted();
    }
}

#[tokio::test]
async fn the_input_has_the_claims_and_the_actors_of_a_token() {
    let issuer = TestIssuer::new("https://auth.example.com");
    let rules = Issuer::new(issuer.name(), "https://api.example.com").unwrap().roles_claim("roles");
    let token = issuer
        .token("alice")
        .audience("https://api.example.com")
        .actor("agent-7")
        .scope("mcp:invoke")
        .claim("roles", ["admin"])
        .claim("org", "acme");
    let policy = allow(
        r#"allow if {
            input.principal.issuer == "https://auth.example.com"
            input.principal.method == "jwt"
            input.principal.roles == ["admin"]
            input.principal.actors == [{"subject": "agent-7"}]
            input.principal.claims.org == "acme"
            input.principal.audience == "https://api.example.com"
        }"#,
    );
    let app: Router = Router::new()
        .route("/", get(async || "hello"))
        .layer(AuthorizeLayer::new(policy.build().unwrap()))
        .layer(AuthLayer::new(Jwt::new(rules, issuer.clone())));
    let request = Request::get("/").header("authorization", format!("Bearer {}", token.sign()));
    assert_eq!(app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_input_has_the_head_of_the_request() {
    let agent = Caller::agent().await;
    let request = || {
        let request = Request::put("/users/a%2Fb//?key=secret").header("x-approval-id", "7").header("x-other", "8");
        request.extension(Peer::new(([192, 0, 2, 7], 4711).into()))
    };
    for (member, json) in [
        ("input.request.method", r#""PUT""#),
        ("input.request.path", r#""/users/a%2Fb//""#),
        ("input.request.segments", r#"["users", "a%2Fb", "", ""]"#),
        ("input.request.client_address", r#""192.0.2.7""#),
        ("input.request.headers", r#"{"x-approval-id": ["7"]}"#),
    ] {
        let policy = is(member, json).header(HeaderName::from_static("x-approval-id")).build().unwrap();
        agent.send(policy, request()).await.assert_admitted();
    }
}

#[tokio::test]
async fn the_input_has_the_template_of_the_route() {
    let agent = Caller::agent().await;
    let issuer = TestIssuer::new("https://auth.example.com");
    let rules = Issuer::new(issuer.name(), "https://api.example.com").unwrap();
    let app: Router = Router::new()
        .route("/users/{id}", get(async || "hello"))
        .route_layer(AuthorizeLayer::new(is("input.request.route", r#""/users/{id}""#).build().unwrap()))
        .layer(AuthLayer::new(Jwt::new(rules, issuer.clone())));
    let token = issuer.token("alice").audience("https://api.example.com").sign();
    let request = Request::get("/users/7").header("authorization", format!("Bearer {token}"));
    assert_eq!(app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status(), 200);
    agent.ask(allow("allow if not input.request.route").build().unwrap()).await.assert_admitted();
}

#[tokio::test]
async fn the_input_has_the_certificate_of_the_client() {
    let thumbprint = Digest::of(b"certificate");
    let agent = Caller::agent().await;
    let json = format!(r#"{{"thumbprint": "{}"}}"#, thumbprint.to_base64url());
    for chain in [ChainStatus::Verified, ChainStatus::Unverified] {
        let certificate = PeerCertificate::from_thumbprint(thumbprint, chain);
        let request = Request::get("/").extension(certificate);
        agent.send(is("input.request.certificate", &json).build().unwrap(), request).await.assert_admitted();
    }
}

#[tokio::test]
async fn the_input_has_what_the_credential_is_bound_by() {
    let issuer = TestIssuer::new("https://auth.example.com");
    let rules = Issuer::new(issuer.name(), "https://api.example.com").unwrap();
    let thumbprint = Digest::of(b"certificate");
    let token =
        issuer.token("alice").audience("https://api.example.com").confirmation(&Confirmation::certificate(thumbprint));
    let policy = is("input.agent.bound_by", r#"["x5t#S256"]"#).build().unwrap();
    let app: Router = Router::new()
        .route("/", get(async || "hello"))
        .layer(AuthorizeLayer::new(policy))
        .layer(AuthLayer::new(Jwt::new(rules, issuer.clone())).proof(CertificateProof));
    let request = Request::get("/")
        .header("authorization", format!("Bearer {}", token.sign()))
        .extension(PeerCertificate::from_thumbprint(thumbprint, ChainStatus::Unverified));
    assert_eq!(app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn credentials_are_never_in_the_input() {
    for name in [
        "authorization",
        "client-cert",
        "client-cert-chain",
        "cookie",
        "dpop",
        "proxy-authorization",
        "sec-websocket-protocol",
        "ssl-client-cert",
        "x-amzn-oidc-accesstoken",
        "x-amzn-oidc-data",
        "x-api-key",
        "x-forwarded-client-cert",
    ] {
        let refused = allow("allow := true").header(HeaderName::from_static(name)).build().unwrap_err();
        assert_eq!(refused.kind(), RegoErrorKind::Invalid, "{name}");
    }
    // A field that a layer has marked.
    let agent = Caller::agent().await;
    let mut value = HeaderValue::from_static("secret");
    value.set_sensitive(true);
    let policy = is("input.request.headers", "{}").header(HeaderName::from_static("x-session")).build().unwrap();
    agent.send(policy, Request::get("/").header("x-session", value)).await.assert_admitted();
}

/// (174)
#[tokio::test]
async fn a_header_field_that_is_not_ascii_refuses() {
    let agent = Caller::agent().await;
    let rules = "allow := true\n\ndeny if \"blocked\" in input.request.headers[\"x-flags\"]";
    let policy = allow(rules).deny("data.test.deny").header(HeaderName::from_static("x-flags")).build().unwrap();
    agent.send(policy.clone(), Request::get("/").header("x-flags", "other")).await.assert_admitted();
    agent.send(policy.clone(), Request::get("/").header("x-flags", "blocked")).await.assert_refused("policy");
    let request =
        Request::get("/").header("x-flags", "other").header("x-flags", HeaderValue::from_bytes(b"\xe4").unwrap());
    agent.send(policy, request).await.assert_refused("policy_failed");
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

/// (171)
#[tokio::test]
async fn claims_that_are_no_object_refuse() {
    for (claims, status) in [(r#"{"suspended": false}"#, 200), (r#"{"suspended": true"#, 403), ("[]", 403), ("", 403)] {
        let policy = allow("allow if not input.agent.claims.suspended").build().unwrap();
        let app: Router = Router::new()
            .route("/", get(async || "hello"))
            .layer(AuthorizeLayer::new(policy))
            .layer(AuthLayer::new(Claiming(claims)));
        let request = Request::get("/").header("authorization", "Bearer token");
        let status_of = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status();
        assert_eq!(status_of, status, "{claims}");
    }
}

#[tokio::test]
async fn the_path_is_the_one_before_axum_removed_a_prefix() {
    let issuer = TestIssuer::new("https://auth.example.com");
    let rules = Issuer::new(issuer.name(), "https://api.example.com").unwrap();
    let inner: Router = Router::new()
        .route("/users", get(async || "hello"))
        .layer(AuthorizeLayer::new(is("input.request.segments", r#"["api", "users"]"#).build().unwrap()));
    let app: Router = Router::new().nest("/api", inner).layer(AuthLayer::new(Jwt::new(rules, issuer.clone())));
    let token = issuer.token("alice").audience("https://api.example.com").sign();
    let request = Request::get("/api/users").header("authorization", format!("Bearer {token}"));
    assert_eq!(app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn closures_add_members() {
    let agent = Caller::agent().await;
    let policy = || is("input.account", r#"{"id": "7", "of": "agent-7", "path": "/a"}"#);
    let policy = policy().input(|input, caller, head| {
        let account =
            std::collections::BTreeMap::from([("id", "7"), ("of", caller.subject()), ("path", head.uri.path())]);
        input.insert("account", account);
    });
    agent.send(policy.build().unwrap(), Request::get("/a")).await.assert_admitted();
}

#[tokio::test]
async fn closures_do_not_replace_what_the_crate_says_about_a_request() {
    let agent = Caller::agent().await;
    for name in ["agent", "principal", "request", "tool"] {
        let policy = allow("allow := true").input(move |input, _, _| input.insert(name, "forged")).build().unwrap();
        let refused = agent.ask(policy).await;
        refused.assert_refused("policy_failed");
        refused.assert_explained("uses itself");
    }
    let unusable = std::collections::BTreeMap::from([((1, 2), 3)]);
    let policy = allow("allow := true").input(move |input, _, _| input.insert("map", &unusable)).build().unwrap();
    agent.ask(policy).await.assert_refused("policy_failed");
}

#[tokio::test]
async fn the_time_is_that_of_the_layer() {
    let agent = Caller::agent().await;
    let policy = is("time.weekday(input.request.time * 1000000000)", r#""Friday""#).build().unwrap();
    agent.ask(policy).await.assert_admitted();
}
