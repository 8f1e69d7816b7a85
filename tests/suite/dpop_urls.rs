//! The URLs that DPoP proofs may name: raw characters, prefixes, several hosts, and the declaration of a resource.

use tower_warden::{
    Challenge, Environment,
    caller::{Confirmation, SenderConstraint},
    certificate::{CertificateProof, ChainStatus},
    dpop::{Dpop, PathRewrite},
    jwt::{Algorithm, Jwt},
    layer::{AuthLayer, AuthorizeLayer},
    metadata::ProtectedResourceMetadata,
    scope::Scopes,
    testing::SigningKey,
};

use crate::{
    dpop::{ALGS, API, Stack, assert_invalid_proof, challenges, dpop},
    support::{self, Answer, START, app, bearer, request, send},
    tokens::rules,
};

/// The answer to a request for `path` with a proof for `url`.
async fn ask(stack: &Stack, path: &str, url: &str) -> Answer {
    let proof = stack.key.proof("GET", url, &stack.token, START).sign();
    stack.send(dpop(&stack.token).uri(path).header("dpop", proof)).await
}

/// A stack whose verifier is that of these public URLs.
fn at(urls: &[&str], rewrite: Option<PathRewrite>) -> Stack {
    Stack::with(|_| {
        let first = Dpop::new(urls[0]).unwrap();
        let dpop = urls[1..].iter().try_fold(first, |dpop, url| dpop.public_url(url)).unwrap();
        match rewrite {
            Some(rewrite) => dpop.path_rewrite(rewrite).unwrap(),
            None => dpop,
        }
    })
}

#[tokio::test]
async fn a_path_that_rfc_3986_does_not_allow_is_accepted_byte_for_byte() {
    let stack = Stack::new();
    for path in ["/a|b", "/a^b", "/100%", "/%zz", "/a%2|", "/a\"b", "/{id}", "/a|/../b"] {
        ask(&stack, path, &format!("{API}{path}")).await.assert_subject("alice");
        ask(&stack, &format!("{path}?q=1"), &format!("HTTPS://API.TEST:443{path}?q=2#f")).await.assert_subject("alice");
    }
    for (path, htu) in [
        ("/a|b", "/a%7Cb"),
        ("/a%7Cb", "/a|b"),
        ("/%2%35", "/%25"),
        ("/%25", "/%2%35"),
        ("/a|/../b", "/b"),
        ("/b", "/a|/../b"),
        ("/%41|", "/A|"),
        ("/100%", "/100"),
    ] {
        assert_invalid_proof(&ask(&stack, path, &format!("{API}{htu}")).await, "dpop_htu");
    }
}

#[tokio::test]
async fn a_public_url_with_a_path_is_accepted_with_and_without_a_slash_if_a_proxy_removes_the_path() {
    for public in ["https://api.test/mcp", "https://api.test/mcp/"] {
        let stack = at(&[public], None);
        for (path, url, is_accepted) in [
            ("/", "https://api.test/mcp", true),
            ("/", "https://api.test/mcp/", true),
            ("/?q=1", "https://api.test/mcp?q=1", true),
            ("/tools", "https://api.test/mcp/tools", true),
            ("/tools", "https://api.test/mcp/tools/", false),
            ("/", "https://api.test/", false),
            ("/", "https://api.test/mcptools", false),
            ("/tools", "https://api.test/tools", false),
        ] {
            assert_eq!(ask(&stack, path, url).await.status == 200, is_accepted, "{public} {path} {url}");
        }
    }
}

#[tokio::test]
async fn a_public_url_with_a_path_is_accepted_if_no_proxy_removes_the_path() {
    let stack = at(&["https://api.test/mcp"], None);
    for (path, url, is_accepted) in [
        ("/mcp", "https://api.test/mcp", true),
        ("/mcp/", "https://api.test/mcp/", true),
        ("/mcp/tools", "https://api.test/mcp/tools", true),
        ("/mcp/tools", "https://api.test/mcp/mcp/tools", false),
        ("/mcp", "https://api.test/mcp/", false),
        // Another path, from which the prefix was removed.
        ("/mcptools", "https://api.test/mcptools", false),
        ("/mcptools", "https://api.test/mcp/mcptools", true),
        ("/mcp/../tools", "https://api.test/mcp/tools", true),
    ] {
        assert_eq!(ask(&stack, path, url).await.status == 200, is_accepted, "{path} {url}");
    }
}

#[tokio::test]
async fn a_declared_rewrite_of_the_path_is_the_only_one() {
    let public = "https://api.test/mcp";
    let removed = at(&[public], Some(PathRewrite::PrefixRemoved));
    ask(&removed, "/mcp/tools", "https://api.test/mcp/mcp/tools").await.assert_subject("alice");
    assert_invalid_proof(&ask(&removed, "/mcp/tools", "https://api.test/mcp/tools").await, "dpop_htu");

    let unchanged = at(&[public], Some(PathRewrite::Unchanged));
    ask(&unchanged, "/tools", "https://api.test/tools").await.assert_subject("alice");
    assert_invalid_proof(&ask(&unchanged, "/tools", "https://api.test/mcp/tools").await, "dpop_htu");
}

#[tokio::test]
async fn a_prefix_that_a_proxy_adds_is_not_part_of_the_url() {
    let added = || Some(PathRewrite::PrefixAdded("/internal/".into()));
    let stack = at(&["https://api.test"], added());
    for (path, url, is_accepted) in [
        ("/internal/orders", "https://api.test/orders", true),
        ("/internal", "https://api.test/", true),
        ("/internal/orders", "https://api.test/internal/orders", false),
        ("/internalorders", "https://api.test/orders", false),
        // The proxy sends no such path.
        ("/orders", "https://api.test/orders", false),
    ] {
        assert_eq!(ask(&stack, path, url).await.status == 200, is_accepted, "{path} {url}");
    }
    let below = at(&["https://api.test/v1"], added());
    ask(&below, "/internal/orders", "https://api.test/v1/orders").await.assert_subject("alice");
    for prefix in ["", "/", "internal", "/in ternal", "/a/../b", "/%zz"] {
        let rewrite = PathRewrite::PrefixAdded(prefix.into());
        assert!(Dpop::new(API).unwrap().path_rewrite(rewrite).is_err(), "{prefix}");
    }
}

#[tokio::test]
async fn each_of_several_public_urls_is_accepted_and_no_mixture_of_them() {
    let stack = at(&["https://api.test", "https://other.test/api", "http://localhost:3000"], None);
    for (path, url, is_accepted) in [
        ("/a", "https://api.test/a", true),
        ("/a", "https://other.test/api/a", true),
        ("/a", "http://localhost:3000/a", true),
        ("/a", "https://other.test/a", false),
        ("/a", "https://api.test/api/a", false),
        ("/a", "http://api.test/a", false),
        ("/a", "https://evil.test/a", false),
    ] {
        assert_eq!(ask(&stack, path, url).await.status == 200, is_accepted, "{path} {url}");
    }
    // A proof is used once at all of them together.
    let proof = stack.key.proof("GET", "https://other.test/api", &stack.token, START).sign();
    stack.prove(&proof).await.assert_subject("alice");
    stack.refuses(&proof, "dpop_replay").await;
    for url in ["http://other.test", "https://other.test?a", "other.test"] {
        assert!(Dpop::new(API).unwrap().public_url(url).is_err(), "{url}");
    }
}

const RESOURCE: &str = "https://api.test/mcp";
const METADATA: &str = "resource_metadata=\"https://api.test/.well-known/oauth-protected-resource/mcp\"";

fn declared() -> ProtectedResourceMetadata {
    ProtectedResourceMetadata::new(RESOURCE).unwrap().scopes(Scopes::parse("files:read").unwrap()).unwrap()
}

#[tokio::test]
async fn one_declaration_gives_resource_metadata_url_algorithms_and_challenge() {
    let metadata = declared().dpop_signing_algorithms(["ES256", "Ed25519", "EdDSA"]).unwrap();
    let verifier = Dpop::for_resource(metadata.dpop_bound_access_tokens_required()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&verifier.metadata().unwrap().to_json()).unwrap();
    assert_eq!(document["resource"], RESOURCE);
    assert_eq!(document["dpop_signing_alg_values_supported"], serde_json::json!(["ES256", "EdDSA", "Ed25519"]));

    let stack = Stack::with(|_| verifier.clone());
    ask(&stack, "/mcp", RESOURCE).await.assert_subject("alice");
    let missing = stack.send(request().uri("/mcp")).await;
    let line = format!("DPoP {METADATA}, scope=\"files:read\", algs=\"ES256 EdDSA Ed25519\"");
    assert_eq!((missing.status.as_u16(), challenges(&missing)), (401, vec![&*line]));
    let loose = stack.send(bearer(&stack.loose())).await;
    assert_eq!((loose.status.as_u16(), loose.reason), (401, Some("not_sender_constrained")));

    let of_another_algorithm = Stack::of(SigningKey::generate(Algorithm::RS256), |_| verifier, |layer| layer);
    assert_invalid_algorithm(&ask(&of_another_algorithm, "/mcp", RESOURCE).await);
    let unsupported = declared().dpop_signing_algorithms(["ES256K"]).unwrap();
    assert!(Dpop::for_resource(unsupported).is_err());
}

fn assert_invalid_algorithm(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.reason), (401, Some("dpop_algorithm")));
}

#[tokio::test]
async fn metadata_without_algorithms_names_those_of_the_verifier() {
    let verifier = Dpop::for_resource(declared()).unwrap();
    let algorithms = |verifier: &Dpop| {
        let document: serde_json::Value = serde_json::from_str(&verifier.metadata().unwrap().to_json()).unwrap();
        document["dpop_signing_alg_values_supported"].clone()
    };
    assert_eq!(algorithms(&verifier), serde_json::json!(["ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256"]));
    let verifier = verifier.algorithms([Algorithm::ES384]).unwrap();
    assert_eq!(algorithms(&verifier), serde_json::json!(["ES384"]));
    assert!(Dpop::new(API).unwrap().metadata().is_none());
    // Tokens without a key are accepted, and Bearer is offered.
    let stack = Stack::with(|_| verifier);
    stack.send(bearer(&stack.loose())).await.assert_subject("alice");
    let missing = stack.send(request()).await;
    let line = format!("Bearer realm=\"{RESOURCE}\", {METADATA}, scope=\"files:read\"");
    assert_eq!(challenges(&missing), [&*line, "DPoP algs=\"ES384\""]);
}

#[tokio::test]
async fn a_resource_with_a_query_has_proofs_without_it() {
    let metadata = ProtectedResourceMetadata::new("https://api.test/mcp?tenant=a").unwrap();
    let stack = Stack::with(|_| Dpop::for_resource(metadata).unwrap());
    ask(&stack, "/mcp?tenant=a", "https://api.test/mcp?tenant=a").await.assert_subject("alice");
}

/// The schemes that a layer with this constraint offers; with a challenge that has all parameters.
async fn offered(constraint: Option<SenderConstraint>, layer: impl FnOnce(AuthLayer) -> AuthLayer) -> Vec<String> {
    let challenge = Challenge::new("api").unwrap();
    let challenge = challenge.resource_metadata("https://api.test/.well-known/oauth-protected-resource/mcp").unwrap();
    let challenge = challenge.scope(Scopes::parse("files:read").unwrap());
    let stack = Stack::of(
        SigningKey::generate(Algorithm::ES256),
        |dpop| dpop,
        |auth| match constraint {
            Some(constraint) => layer(auth.sender_constrained(constraint).challenge(challenge)),
            None => layer(auth.challenge(challenge)),
        },
    );
    let missing = stack.send(request()).await;
    challenges(&missing).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn only_schemes_whose_credentials_can_be_bound_as_required_are_offered() {
    let parameters = format!("{METADATA}, scope=\"files:read\"");
    let (bearer, complete) = (format!("Bearer realm=\"api\", {parameters}"), format!("DPoP {parameters}, {ALGS}"));
    let short = format!("DPoP {ALGS}");
    let certificate = |layer: AuthLayer| layer.proof(CertificateProof);
    assert_eq!(offered(None, |layer| layer).await, [&*bearer, &short]);
    assert_eq!(offered(Some(SenderConstraint::Key), |layer| layer).await, [&*complete]);
    assert_eq!(offered(Some(SenderConstraint::Key), certificate).await, [&*complete]);
    assert_eq!(offered(Some(SenderConstraint::Any), |layer| layer).await, [&*complete]);
    assert_eq!(offered(Some(SenderConstraint::Any), certificate).await, [&*bearer, &short]);
    assert_eq!(offered(Some(SenderConstraint::Certificate), certificate).await, [&*bearer]);
    // No credential can be valid, because a proof is missing in the configuration. A 401 has a challenge all the same.
    assert_eq!(offered(Some(SenderConstraint::Certificate), |layer| layer).await, [&*bearer, &short]);
}

#[tokio::test]
async fn a_route_that_requires_a_key_offers_dpop_alone() {
    let stack = Stack::new();
    let environment = Environment::default().with_clock(stack.clock.clone());
    let auth = AuthLayer::new(Jwt::new(rules(&stack.issuer), stack.issuer.clone()))
        .environment(&environment)
        .challenge(declared().challenge())
        .dpop(Dpop::new(API).unwrap());
    let route = AuthorizeLayer::sender_constrained(SenderConstraint::Key);
    let service = tower::ServiceBuilder::new().layer(auth.clone()).layer(route).service_fn(support::answer);
    let refused = send(service, bearer(&stack.loose())).await;
    assert_eq!((refused.status.as_u16(), refused.reason), (401, Some("not_sender_constrained")));
    let error = "error=\"invalid_token\", error_description=\"The credential is invalid, expired or revoked.\"";
    assert_eq!(challenges(&refused), [format!("DPoP {METADATA}, scope=\"files:read\", {error}, {ALGS}")]);
    // Elsewhere, the layer offers both.
    assert_eq!(challenges(&send(app(&auth), request()).await).len(), 2);
}

/// An issuer's tokens for a client with a certificate and a key, under a layer that requires both.
struct Both {
    app: support::App,
    holder: crate::pki::Holder,
    stack: Stack,
}

impl Both {
    fn under(layer: impl FnOnce(AuthLayer) -> AuthLayer) -> Self {
        let stack = Stack::new();
        let jwt = Jwt::new(rules(&stack.issuer), stack.issuer.clone());
        let auth = AuthLayer::new(jwt).environment(&Environment::default().with_clock(stack.clock.clone()));
        let holder = crate::pki::Authority::new("clients").client("alice");
        Self { app: app(&layer(auth.proof(CertificateProof))), holder, stack }
    }

    fn token(&self, confirmation: &Confirmation) -> String {
        self.stack.issuer.token("alice").audience(crate::tokens::AUDIENCE).confirmation(confirmation).sign()
    }

    /// Sends a token under DPoP, with a proof and the certificate.
    async fn prove(&self, confirmation: &Confirmation) -> Answer {
        let token = self.token(confirmation);
        let proof = self.stack.key.proof("GET", RESOURCE, &token, START).sign();
        let request = dpop(&token).uri("/mcp").header("dpop", proof);
        send(self.app.clone(), request.extension(self.holder.peer(ChainStatus::Unverified))).await
    }

    async fn assert_both_are_required(&self) {
        let key = self.stack.key.confirmation();
        let certificate = Confirmation::certificate(self.holder.thumbprint());
        let members = [("x5t#S256", certificate.certificate_thumbprint()), ("jkt", key.key_thumbprint())];
        let members = members.map(|(name, thumbprint)| (name, thumbprint.unwrap().to_base64url()));
        let both = Confirmation::parse(members.iter().map(|(name, value)| (*name, Some(&**value))), &[]).unwrap();
        self.prove(&both).await.assert_subject("alice");
        self.prove(&key).await.assert_reason(401, "not_sender_constrained");
        let request = bearer(&self.token(&certificate)).extension(self.holder.peer(ChainStatus::Unverified));
        let refused = send(self.app.clone(), request).await;
        refused.assert_reason(401, "not_sender_constrained");
        let offered = challenges(&refused);
        assert!(matches!(offered[..], [line] if line.starts_with("DPoP ")), "{offered:?}");
    }
}

fn requiring_dpop() -> Dpop {
    let dpop = Dpop::for_resource(declared().dpop_bound_access_tokens_required()).unwrap();
    dpop.path_rewrite(PathRewrite::Unchanged).unwrap()
}

#[tokio::test]
async fn certificate_is_required_before_and_after_required_dpop_is_added() {
    let certificate = |layer: AuthLayer| layer.sender_constrained(SenderConstraint::Certificate);
    Both::under(|layer| certificate(layer).dpop(requiring_dpop())).assert_both_are_required().await;
    Both::under(|layer| certificate(layer.dpop(requiring_dpop()))).assert_both_are_required().await;
}

#[tokio::test]
async fn all_of_several_sender_constraints_apply() {
    let [certificate, key] = [SenderConstraint::Certificate, SenderConstraint::Key];
    for [first, second] in [[certificate, key], [key, certificate]] {
        let dpop = Dpop::new(API).unwrap();
        let layer = |layer: AuthLayer| layer.dpop(dpop).sender_constrained(first).sender_constrained(second);
        Both::under(layer).assert_both_are_required().await;
    }
}

#[tokio::test]
async fn verifier_that_replaces_one_that_requires_a_key_requires_none() {
    let replaced = Both::under(|layer| layer.dpop(requiring_dpop()).dpop(Dpop::new(API).unwrap()));
    send(replaced.app.clone(), bearer(&replaced.stack.loose())).await.assert_subject("alice");
}

#[tokio::test]
async fn constraint_that_no_scheme_can_meet_is_one_warning_that_names_the_setting() {
    const WARNING: &str = "AuthLayer::dpop add proofs";
    let (log, _guard) = crate::secrets::listen();
    let count = || log.text().matches(WARNING).count();
    let stack = Stack::new();
    let auth = AuthLayer::new(Jwt::new(rules(&stack.issuer), stack.issuer.clone()))
        .environment(&Environment::default().with_clock(stack.clock.clone()));
    app(&auth);
    app(&auth.clone().dpop(Dpop::new(API).unwrap()).sender_constrained(SenderConstraint::Key));
    assert_eq!(count(), 0);

    // When the layer is used, and not before: a proof may be added later.
    let unsatisfiable = auth.clone().sender_constrained(SenderConstraint::Key);
    assert_eq!(count(), 0);
    app(&unsatisfiable);
    app(&unsatisfiable.clone().optional());
    assert_eq!(count(), 1);

    // A route is known with its first request.
    let route = AuthorizeLayer::sender_constrained(SenderConstraint::Certificate);
    let service = tower::ServiceBuilder::new().layer(auth).layer(route).service_fn(support::answer);
    for _ in 0..2 {
        send(service.clone(), bearer(&stack.loose())).await.assert_reason(401, "not_sender_constrained");
    }
    assert_eq!(count(), 2);
}

#[tokio::test]
async fn public_url_with_a_path_is_a_warning_until_the_rewrite_is_declared() {
    let (log, _guard) = crate::secrets::listen();
    let count = || log.text().matches("Dpop::path_rewrite").count();
    for (url, rewrite, warnings) in [
        (API, None, 0),
        ("https://api.test/", None, 0),
        (RESOURCE, Some(PathRewrite::Unchanged), 0),
        (RESOURCE, Some(PathRewrite::PrefixRemoved), 0),
        (RESOURCE, None, 1),
    ] {
        at(&[url], rewrite);
        assert_eq!(count(), warnings, "{url}");
    }
    at(&[API, RESOURCE], None);
    assert_eq!(count(), 2);
}
