//! Signatures as proofs that the sender holds the key of its token.

use std::sync::{Arc, Mutex};

use http::{Request, Response, request::Builder};
use http_body_util::Full;
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_warden::{
    AuthMethod, Environment, Identity, ManualClock, Unavailable,
    caller::SenderConstraint,
    jwt::{Algorithm, Jwt, VerifyingKey},
    layer::{AuthLayer, AuthorizeLayer, BodyCheckLayer},
    scheme::{Bearer, Location},
    signature::{
        ContentDigestCheck, ProofKeyMap, ProofKeys, SignatureKeyMap, SignaturePolicy, SignatureProof, Signatures,
    },
    testing::{SigningKey, TestIssuer},
};

use crate::{
    signed::{App, Labelled, ORIGIN, agents, auth, covered, pair, parameters, send, signed, signed_by_all, wrapped},
    support::START,
    tokens::{AUDIENCE, rules},
};

#[derive(Clone, Copy)]
enum Credentials {
    Tokens,
    TokensAndSignatures,
}

struct Bound {
    app: App,
    key: SigningKey,
    other: SigningKey,
    token: String,
    /// Another token of the same key.
    admin: String,
    loose: String,
}

impl Bound {
    fn new() -> Self {
        Self::with(|auth| auth)
    }

    fn with(change: impl FnOnce(AuthLayer) -> AuthLayer) -> Self {
        Self::of(Credentials::Tokens, change)
    }

    fn of(credentials: Credentials, change: impl FnOnce(AuthLayer) -> AuthLayer) -> Self {
        let clock = ManualClock::at(START);
        let environment = Environment::default().with_clock(clock);
        let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
        let (key, other) = (SigningKey::named(Algorithm::EdDSA, "k1"), SigningKey::named(Algorithm::ES256, "k2"));
        let policy = SignaturePolicy::new(ORIGIN).unwrap();
        let proof = SignatureProof::new(policy, [key.verifying_key(), other.verifying_key()]).unwrap();
        let jwt = Jwt::new(rules(&issuer), issuer.clone());
        let agent = Identity::new("agent", AuthMethod::Signature);
        let agents = SignatureKeyMap::default().with("agent", other.verifying_key(), agent);
        let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents);
        let layer = match credentials {
            Credentials::Tokens => AuthLayer::new(jwt),
            Credentials::TokensAndSignatures => AuthLayer::new((jwt, signatures)),
        };
        let app = wrapped(change(layer.environment(&environment)).signature_proof(proof));
        let token = issuer.token("alice").audience(AUDIENCE).confirmation(&key.confirmation()).sign();
        let admin = issuer.token("admin").audience(AUDIENCE).confirmation(&key.confirmation()).sign();
        let loose = issuer.token("bob").audience(AUDIENCE).sign();
        Self { app, key, other, token, admin, loose }
    }

    fn signed(&self, key: &SigningKey, key_id: &str) -> Builder {
        let value = format!("Bearer {}", self.token);
        let components = [&covered("GET", "/")[..], &[pair("authorization", &value)]].concat();
        signed(bearer(&self.token), key, &components, &parameters(START.as_secs(), key_id))
    }
}

fn bearer(token: &str) -> Builder {
    Request::get("/").header("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn bound_token_is_admitted_with_a_signature_of_its_key_once() {
    let bound = Bound::new();
    send(&bound.app, bound.signed(&bound.key, "k1"), "").await.assert_subject("alice:");
    send(&bound.app, bound.signed(&bound.key, "k1"), "").await.assert_reason(401, "signature_replay");
    let thumbprint = bound.key.verifying_key().thumbprint().unwrap().to_base64url();
    send(&bound.app, bound.signed(&bound.key, &thumbprint), "").await.assert_subject("alice:");
}

#[tokio::test]
async fn bound_token_without_a_signature_is_refused_and_asks_for_one() {
    let bound = Bound::new();
    let answer = send(&bound.app, bearer(&bound.token), "").await;
    answer.assert_reason(401, "key_proof_missing");
    let accepted = r#"proof1=("@method" "@target-uri" "authorization" "content-digest" "content-type");created"#;
    assert_eq!(answer.header("accept-signature"), Some(accepted));
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer "));
}

// (231)
#[tokio::test]
async fn bound_token_with_a_signature_of_another_key_is_refused() {
    let bound = Bound::new();
    send(&bound.app, bound.signed(&bound.other, "k2"), "").await.assert_reason(401, "key_mismatch");
    send(&bound.app, bound.signed(&bound.other, "k1"), "").await.assert_reason(401, "signature_wrong");
    send(&bound.app, bound.signed(&bound.other, "k3"), "").await.assert_reason(401, "signature_key_unknown");
}

// (231)
#[tokio::test]
async fn signature_that_does_not_cover_the_token_is_no_proof() {
    let bound = Bound::new();
    let request = signed(bearer(&bound.token), &bound.key, &covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    send(&bound.app, request, "").await.assert_reason(401, "signature_not_covered");
}

#[tokio::test]
async fn malformed_signature_next_to_a_bound_token_is_refused() {
    let bound = Bound::new();
    let request = bearer(&bound.token).header("signature", "(").header("signature-input", "(");
    send(&bound.app, request, "").await.assert_reason(400, "signature_syntax");
}

#[tokio::test]
async fn token_that_is_not_bound_needs_no_signature() {
    let bound = Bound::new();
    send(&bound.app, bearer(&bound.loose), "").await.assert_subject("bob:");
}

impl Bound {
    /// A request with the bound token, and a signature of each of these keys, by their ids.
    fn signed_by(&self, keys: &[(&str, &SigningKey, &str)]) -> Builder {
        let value = format!("Bearer {}", self.token);
        let components = [&covered("GET", "/")[..], &[pair("authorization", &value)]].concat();
        let parameters: Vec<String> = keys.iter().map(|(.., id)| parameters(START.as_secs(), id)).collect();
        let signatures = keys.iter().zip(&parameters);
        let signatures: Vec<_> =
            signatures.map(|((label, key, _), parameters)| Labelled(label, key, &components, parameters)).collect();
        signed_by_all(bearer(&self.token), &signatures)
    }
}

// (225, 231)
#[tokio::test]
async fn valid_signature_of_another_key_before_that_of_the_bound_key_makes_no_difference() {
    let bound = Bound::new();
    let request = bound.signed_by(&[("gw", &bound.other, "k2"), ("me", &bound.key, "k1")]);
    send(&bound.app, request, "").await.assert_subject("alice:");
    let request = bound.signed_by(&[("me", &bound.key, "k1"), ("gw", &bound.other, "k2")]);
    send(&bound.app, request, "").await.assert_reason(401, "signature_replay");
}

// (216, 231)
#[tokio::test]
async fn request_with_two_signatures_of_the_bound_key_is_accepted_once() {
    let bound = Bound::new();
    let thumbprint = bound.key.verifying_key().thumbprint().unwrap().to_base64url();
    let (one, other) = (("a", &bound.key, "k1"), ("b", &bound.key, &*thumbprint));
    send(&bound.app, bound.signed_by(&[one, other]), "").await.assert_subject("alice:");
    send(&bound.app, bound.signed_by(&[other]), "").await.assert_reason(401, "signature_replay");
}

/// Tokens in a field of their own, and in a cookie.
fn in_field() -> Bound {
    Bound::with(|auth| auth.scheme(Bearer::from(Location::header("x-user-token"))))
}

fn in_cookie() -> Bound {
    Bound::with(|auth| auth.scheme(Bearer::from(Location::cookie("token"))))
}

/// A request with this field, and a signature that covers also the given components.
fn covering(bound: &Bound, field: (&str, &str), more: &[(String, String)]) -> Builder {
    let components = [&covered("GET", "/")[..], more].concat();
    let request = Request::get("/").header(field.0, field.1);
    signed(request, &bound.key, &components, &parameters(START.as_secs(), "k1"))
}

// (231)
#[tokio::test]
async fn signature_that_does_not_cover_the_field_of_the_token_is_no_proof() {
    let bound = in_field();
    let field = ("x-user-token", &*bound.token);
    let answer = send(&bound.app, covering(&bound, field, &[]), "").await;
    answer.assert_reason(401, "signature_not_covered");
    let accepted = r#"proof1=("@method" "@target-uri" "x-user-token" "content-digest" "content-type");created"#;
    assert_eq!(answer.header("accept-signature"), Some(accepted));
    let covered = [pair("x-user-token", &bound.token)];
    send(&bound.app, covering(&bound, field, &covered), "").await.assert_subject("alice:");
}

// (231)
#[tokio::test]
async fn signature_that_does_not_cover_the_cookie_of_the_token_is_no_proof() {
    let bound = in_cookie();
    let value = format!("a=b; token={}", bound.token);
    let field = ("cookie", &*value);
    send(&bound.app, covering(&bound, field, &[]), "").await.assert_reason(401, "signature_not_covered");
    send(&bound.app, covering(&bound, field, &[pair("cookie", &value)]), "").await.assert_subject("alice:");
}

// (231)
#[tokio::test]
async fn token_that_was_exchanged_for_another_one_of_the_same_key_is_refused() {
    let bound = in_field();
    let request = covering(&bound, ("x-user-token", &bound.admin), &[pair("x-user-token", &bound.token)]);
    send(&bound.app, request, "").await.assert_reason(401, "signature_wrong");
}

/// Tokens with proofs, and signatures without a token, of a layer.
fn with_signatures(change: impl FnOnce(AuthLayer) -> AuthLayer) -> Bound {
    Bound::of(Credentials::TokensAndSignatures, change)
}

// (236)
#[tokio::test]
async fn signature_alone_is_a_credential_also_where_signatures_prove_tokens() {
    let bound = with_signatures(|auth| auth);
    let alone = |id| signed(Request::get("/"), &bound.other, &covered("GET", "/"), &parameters(START.as_secs(), id));
    send(&bound.app, alone("agent"), "").await.assert_subject("agent:");
    send(&bound.app, alone("k2"), "").await.assert_reason(401, "signature_key_unknown");
}

// (236)
#[tokio::test]
async fn signature_beside_a_token_is_its_proof_also_where_signatures_are_credentials() {
    let bound = with_signatures(|auth| auth);
    send(&bound.app, bound.signed(&bound.key, "k1"), "").await.assert_subject("alice:");
    send(&bound.app, bound.signed(&bound.other, "agent"), "").await.assert_reason(401, "signature_key_unknown");
    send(&bound.app, bearer(&bound.token), "").await.assert_reason(401, "key_proof_missing");
}

#[tokio::test]
async fn signature_alone_meets_the_constraint_that_the_sender_holds_a_key() {
    for (constraint, is_met) in
        [(SenderConstraint::Any, true), (SenderConstraint::Key, true), (SenderConstraint::Certificate, false)]
    {
        let bound = with_signatures(|auth| auth.sender_constrained(constraint));
        let parameters = parameters(START.as_secs(), "agent");
        let alone = || signed(Request::get("/"), &bound.other, &covered("GET", "/"), &parameters);
        let answers =
            [send(&bound.app, alone(), "").await, send(&on_route(&bound.other, constraint), alone(), "").await];
        for answer in answers {
            match is_met {
                true => answer.assert_subject("agent:"),
                false => answer.assert_reason(401, "not_sender_constrained"),
            }
        }
        send(&bound.app, bearer(&bound.loose), "").await.assert_reason(401, "not_sender_constrained");
    }
}

/// A server with a route that requires a bound credential.
fn on_route(key: &SigningKey, constraint: SenderConstraint) -> App {
    let agents =
        SignatureKeyMap::default().with("agent", key.verifying_key(), Identity::new("agent", AuthMethod::Signature));
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents);
    let layers = ServiceBuilder::new()
        .layer(BodyCheckLayer::new(ContentDigestCheck::default()))
        .layer(auth(signatures, &ManualClock::at(START)))
        .layer(AuthorizeLayer::sender_constrained(constraint));
    BoxCloneSyncService::new(layers.service_fn(async |_| Ok(Response::new(Full::from("agent:")))))
}

#[tokio::test]
async fn refusal_of_a_token_that_cannot_be_bound_asks_for_a_signature_only() {
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
    let key = SigningKey::named(Algorithm::EdDSA, "k1");
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents(&key));
    let layer = AuthLayer::new((Jwt::new(rules(&issuer), issuer.clone()), signatures)).environment(&environment);
    let app = wrapped(layer.sender_constrained(SenderConstraint::Key));
    let answer = send(&app, bearer(&issuer.token("bob").audience(AUDIENCE).sign()), "").await;
    answer.assert_reason(401, "not_sender_constrained");
    let lines = answer.headers.iter().filter(|(name, _)| name == "www-authenticate");
    assert!(lines.map(|(_, line)| line.split_once(' ').unwrap().0).eq(["Signature"]), "{answer:?}");
}

// (236)
#[tokio::test]
async fn bad_signature_alone_is_refused_by_an_optional_layer_with_a_proof() {
    let bound = with_signatures(AuthLayer::optional);
    let request = signed(Request::get("/"), &bound.key, &covered("GET", "/"), &parameters(START.as_secs(), "agent"));
    send(&bound.app, request, "").await.assert_reason(401, "signature_wrong");
    send(&bound.app, Request::get("/").header("signature", "("), "").await.assert_reason(400, "signature_syntax");
}

#[tokio::test]
async fn accepted_signatures_of_both_roles_are_named() {
    let bound = with_signatures(|auth| auth);
    let answer = send(&bound.app, Request::get("/"), "").await;
    let lines: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "accept-signature").collect();
    let labels: Vec<_> = lines.iter().filter_map(|(_, value)| value.split_once('=')).map(|(label, _)| label).collect();
    assert_eq!(labels, ["proof1", "sig1"]);
}

/// Keys that are registered while the server runs; `None` while they are not available.
#[derive(Clone, Default)]
struct Registered(Arc<Mutex<Option<ProofKeyMap>>>);

impl ProofKeys for Registered {
    fn find(&self, key_id: &str) -> Result<Option<Arc<VerifyingKey>>, Unavailable> {
        self.0.lock().unwrap().as_ref().ok_or(Unavailable::new("registered keys"))?.find(key_id)
    }
}

// (230, 231)
#[tokio::test]
async fn key_that_is_registered_while_the_server_runs_proves_its_tokens() {
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
    let registered = Registered::default();
    let proof = SignatureProof::from_source(SignaturePolicy::new(ORIGIN).unwrap(), registered.clone());
    let layer = AuthLayer::new(Jwt::new(rules(&issuer), issuer.clone())).environment(&environment);
    let app = wrapped(layer.signature_proof(proof));
    let [key, other] = ["k1", "k2"].map(|id| SigningKey::named(Algorithm::EdDSA, id));
    let value = format!("Bearer {}", issuer.token("alice").audience(AUDIENCE).confirmation(&key.confirmation()).sign());
    let components = [&covered("GET", "/")[..], &[pair("authorization", &value)]].concat();
    let request = || {
        let request = Request::get("/").header("authorization", &value);
        signed(request, &key, &components, &parameters(START.as_secs(), "k1"))
    };
    send(&app, request(), "").await.assert_reason(503, "signature_keys_unavailable");
    let register = |key: VerifyingKey| registered.0.lock().unwrap().get_or_insert_default().add(key).unwrap();
    let remove = |id: &str| registered.0.lock().unwrap().as_mut().and_then(|keys| keys.remove(id));
    register(VerifyingKey::from_jwk(&other.jwk().to_string()).unwrap());
    send(&app, request(), "").await.assert_reason(401, "signature_key_unknown");
    // A key of another holder under this id is of no use.
    register(VerifyingKey::from_jwk(&other.jwk().to_string()).unwrap().with_kid("k1"));
    send(&app, request(), "").await.assert_reason(401, "key_mismatch");
    assert!(remove("k1").is_some() && remove("k2").is_none(), "it is removed under all its ids");
    register(VerifyingKey::from_jwk(&key.jwk().to_string()).unwrap());
    send(&app, request(), "").await.assert_subject("alice:");
}

#[test]
fn key_cannot_be_registered_under_an_id_of_another_one() {
    let [key, other] = ["k1", "k1"].map(|id| SigningKey::named(Algorithm::EdDSA, id));
    let parsed = |key: &SigningKey| VerifyingKey::from_jwk(&key.jwk().to_string()).unwrap();
    let [thumbprint, future] = [&key, &other].map(|key| parsed(key).thumbprint().unwrap().to_base64url());
    let mut keys = ProofKeyMap::default();
    keys.add(parsed(&key)).unwrap();
    keys.add(parsed(&key)).expect("it is the same key");
    assert!(keys.add(parsed(&other)).is_err());
    assert!(keys.add(parsed(&other).with_kid(&*thumbprint)).is_err());
    let found =
        |keys: &ProofKeyMap, id: &str| keys.find(id).unwrap().map(|key| key.thumbprint().unwrap().to_base64url());
    assert_eq!(found(&keys, "k1").as_deref(), Some(&*thumbprint));
    assert_eq!(found(&keys, &future), None, "nothing of it is added");

    // The holder of a thumbprint can register it, whatever others have chosen as their ids.
    keys.add(parsed(&key).with_kid(&*future)).unwrap();
    keys.add(parsed(&other).with_kid("k2")).unwrap();
    assert_eq!(found(&keys, &future), Some(future));
}

// (216, 231)
#[tokio::test]
async fn signature_of_the_bound_key_that_does_not_cover_the_credential_is_used_up_with_the_one_that_does() {
    for field in ["authorization", "x-user-token"] {
        let environment = Environment::default().with_clock(ManualClock::at(START));
        let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
        let (key, forger) = (SigningKey::named(Algorithm::EdDSA, "k1"), SigningKey::generate(Algorithm::EdDSA));
        let agent =
            SignatureKeyMap::default().with("k1", key.verifying_key(), Identity::new("agent", AuthMethod::Signature));
        // Clones share what was used.
        let policy = SignaturePolicy::new(ORIGIN).unwrap();
        let proof = SignatureProof::new(policy.clone(), [key.verifying_key()]).unwrap();
        let sources = (Jwt::new(rules(&issuer), issuer.clone()), Signatures::new(policy, agent));
        let layer = AuthLayer::new(sources).environment(&environment);
        let layer = match field {
            "authorization" => layer,
            _ => layer.scheme(Bearer::from(Location::header("x-user-token"))),
        };
        let app = wrapped(layer.signature_proof(proof));
        let token = issuer.token("alice").audience(AUDIENCE).confirmation(&key.confirmation()).sign();
        let value = if field == "authorization" { format!("Bearer {token}") } else { token };

        let (less, parameters) = (covered("GET", "/"), parameters(START.as_secs(), "k1"));
        let whole = [&less[..], &[pair(field, &value)]].concat();
        let request = |key_of_whole: &SigningKey| {
            let signatures =
                [Labelled("a", &key, &less, &parameters), Labelled("b", key_of_whole, &whole, &parameters)];
            signed_by_all(Request::get("/").header(field, &value), &signatures)
        };
        let stripped = || signed(Request::get("/"), &key, &less, &parameters);
        // It is no proof, and alone it uses nothing up.
        send(&app, request(&forger), "").await.assert_reason(401, "signature_wrong");
        send(&app, request(&key), "").await.assert_subject("alice:");
        send(&app, stripped(), "").await.assert_reason(401, "signature_replay");
    }
}
