//! Tokens that are bound to a key or a certificate.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;
use tower_warden::{
    Digest, Environment, ManualClock,
    caller::Confirmation,
    certificate::{ChainStatus, PeerCertificate},
    dpop::{Dpop, Nonces},
    jwt::Algorithm,
    revocation::MemoryRevocationList,
    testing::{SigningKey, TokenBuilder},
};
use tower_warden_issuer::{
    GrantType, MemoryRefreshStore, RefreshTokenRequest, RefreshTokens, SigningKeys, TokenBinding,
};

use crate::support::{CLIENT_CREDENTIALS, ISSUER, NOW, ORDERS, Reply, Setup, claims, form_request};

/// A proof for the token endpoint. Each has another id.
pub(crate) fn proof(key: &SigningKey, id: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut jwk = key.jwk();
    jwk.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "kid" | "alg" | "use"));
    let header = json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": jwk });
    let mut claims = json!({ "htm": "POST", "htu": format!("{ISSUER}/oauth/token"), "iat": NOW.as_secs(), "jti": id });
    change(&mut claims);
    TokenBuilder::sign_text(&header.to_string(), &claims.to_string(), key)
}

fn request(form: &str, proof: &str) -> Request<Full<Bytes>> {
    let mut request = form_request(&format!("client_id=post&client_secret=s3cret&{form}"));
    request.headers_mut().insert("dpop", proof.parse().unwrap());
    request
}

async fn send(setup: &Setup, proof: &str) -> Reply {
    setup.send(request(CLIENT_CREDENTIALS, proof)).await
}

pub(crate) fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256)
}

/// Changes the client `post`.
fn require(setup: &Setup, binding: TokenBinding) {
    let client = (*setup.clients.remove("post").unwrap()).clone();
    setup.clients.insert(client.require_binding(binding));
}

#[tokio::test]
async fn a_token_is_bound_to_the_key_of_the_proof() {
    let (setup, key) = (Setup::new(), key());
    let reply = send(&setup, &proof(&key, "1", |_| {})).await;
    assert_eq!(reply.body["token_type"], "DPoP");
    let identity = setup.verify(reply.token(), ORDERS).await.unwrap();
    assert_eq!(identity.confirmation.as_ref(), Some(&key.confirmation()));
}

#[tokio::test]
async fn a_request_without_a_proof_yields_a_bearer_token() {
    let reply = Setup::new().post(CLIENT_CREDENTIALS).await;
    assert_eq!(reply.body["token_type"], "Bearer");
    assert!(claims(reply.token()).get("cnf").is_none());
}

#[tokio::test]
async fn an_invalid_proof_is_refused_and_never_treated_as_absent() {
    let key = key();
    let now = NOW.as_secs();
    let proofs = [
        String::from("not a proof"),
        proof(&key, "1", |claims| claims["htm"] = "GET".into()),
        proof(&key, "2", |claims| claims["htu"] = format!("{ISSUER}/oauth/revoke").into()),
        proof(&key, "3", |claims| claims["htu"] = "https://other.example.com/oauth/token".into()),
        proof(&key, "4", |claims| claims["iat"] = (now - 301).into()),
        proof(&key, "5", |claims| claims["iat"] = (now + 31).into()),
        proof(&key, "", |_| {}),
    ];
    for proof in proofs {
        send(&Setup::new(), &proof).await.assert_error(400, "invalid_dpop_proof");
    }
}

#[tokio::test]
async fn a_proof_that_another_key_has_signed_is_refused() {
    let (key, other) = (key(), key());
    let (signed, foreign) = (proof(&key, "1", |_| {}), proof(&other, "1", |_| {}));
    let forged = format!("{}.{}", signed.rsplit_once('.').unwrap().0, foreign.rsplit_once('.').unwrap().1);
    send(&Setup::new(), &forged).await.assert_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn two_proofs_are_refused() {
    let key = key();
    let mut request = request(CLIENT_CREDENTIALS, &proof(&key, "1", |_| {}));
    request.headers_mut().append("dpop", proof(&key, "2", |_| {}).parse().unwrap());
    Setup::new().send(request).await.assert_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn a_proof_is_accepted_once() {
    let setup = Setup::new();
    let proof = proof(&key(), "1", |_| {});
    send(&setup, &proof).await.token();
    send(&setup, &proof).await.assert_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn a_proof_without_the_required_nonce_is_refused_with_one() {
    let dpop = Dpop::new(ISSUER).unwrap().nonces(Nonces::random().unwrap());
    let (setup, key) = (Setup::with(|builder| builder.dpop(dpop)), key());
    let reply = send(&setup, &proof(&key, "1", |_| {})).await;
    reply.assert_error(400, "use_dpop_nonce");
    let nonce = reply.headers["dpop-nonce"].to_str().unwrap();
    send(&setup, &proof(&key, "2", |claims| claims["nonce"] = nonce.into())).await.token();
}

#[tokio::test]
async fn a_client_that_needs_a_key_gets_no_bearer_token() {
    let setup = Setup::new();
    require(&setup, TokenBinding::Key);
    setup.post(CLIENT_CREDENTIALS).await.assert_error(400, "invalid_dpop_proof");
    send(&setup, &proof(&key(), "1", |_| {})).await.token();
}

fn with_mutual_tls() -> Setup {
    Setup::with(tower_warden_issuer::TokenIssuerBuilder::mutual_tls)
}

/// A certificate with times, the name `CN=BC`, and an email address.
pub(crate) fn certificate() -> PeerCertificate {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let encoded = include_str!("../../../../tests/vectors/rfc9440/leaf.der.base64").trim();
    PeerCertificate::from_der(&BASE64_STANDARD.decode(encoded).unwrap(), ChainStatus::Unverified).unwrap()
}

async fn send_certificate(setup: &Setup, certificate: PeerCertificate) -> Reply {
    let mut request = form_request(&format!("client_id=post&client_secret=s3cret&{CLIENT_CREDENTIALS}"));
    request.extensions_mut().insert(certificate);
    setup.send(request).await
}

#[tokio::test]
async fn a_token_is_bound_to_the_certificate_of_the_connection() {
    let setup = with_mutual_tls();
    require(&setup, TokenBinding::Certificate);
    setup.clock.set(certificate().not_before().unwrap());
    let reply = send_certificate(&setup, certificate()).await;
    assert_eq!(reply.body["token_type"], "Bearer", "RFC 8705 §3");
    let identity = setup.verify(reply.token(), ORDERS).await.unwrap();
    assert_eq!(identity.confirmation, Some(Confirmation::certificate(*certificate().thumbprint())));
}

#[tokio::test]
async fn a_client_that_needs_a_certificate_gets_no_token_without_one() {
    let setup = with_mutual_tls();
    require(&setup, TokenBinding::Certificate);
    setup.post(CLIENT_CREDENTIALS).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn without_mutual_tls_no_token_is_bound_to_a_certificate() {
    let setup = Setup::new();
    require(&setup, TokenBinding::Certificate);
    setup.clock.set(certificate().not_before().unwrap());
    send_certificate(&setup, certificate()).await.assert_error(400, "invalid_request");
    assert!(!setup.issuer.metadata().contains("tls_client"));
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let setup = with_mutual_tls();
    require(&setup, TokenBinding::Certificate);
    let second = std::time::Duration::from_secs(1);
    for time in [certificate().not_after().unwrap() + second, certificate().not_before().unwrap() - second] {
        setup.clock.set(time);
        send_certificate(&setup, certificate()).await.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_token_of_a_certificate_and_a_key_is_bound_to_both() {
    let (setup, key) = (with_mutual_tls(), key());
    require(&setup, TokenBinding::Certificate);
    let thumbprint = Digest::of(b"certificate");
    let mut request = request(CLIENT_CREDENTIALS, &proof(&key, "1", |_| {}));
    request.extensions_mut().insert(PeerCertificate::from_thumbprint(thumbprint, ChainStatus::Verified));
    let reply = setup.send(request).await;
    let claims = claims(reply.token());
    assert_eq!(claims["cnf"]["x5t#S256"], thumbprint.to_base64url());
    assert_eq!(claims["cnf"]["jkt"], key.confirmation().key_thumbprint().unwrap().to_base64url());
}

/// An issuer with refresh tokens, and one that is bound to the key.
async fn bound(key: &SigningKey) -> (Setup, String) {
    let clock = ManualClock::at(NOW);
    let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
    let refresh = RefreshTokens::new(MemoryRefreshStore::default(), list);
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
    let setup = Setup::with_clock(clock, keys, |builder| builder.refresh_tokens(refresh));
    let client = (*setup.clients.remove("post").unwrap()).clone();
    setup.clients.insert(client.grants([GrantType::RefreshToken]));
    let request = RefreshTokenRequest::new("post", "alice").bound_to(key.confirmation());
    let token = setup.issuer.issue_refresh_token(&request).await.unwrap();
    let form = format!("grant_type=refresh_token&refresh_token={}", token.expose());
    (setup, form)
}

#[tokio::test]
async fn a_bound_refresh_token_needs_the_proof_of_its_key() {
    let (key, other) = (key(), key());
    let (setup, form) = bound(&key).await;
    setup.post(&form).await.assert_error(400, "invalid_grant");
    setup.send(request(&form, &proof(&other, "1", |_| {}))).await.assert_error(400, "invalid_grant");
    let reply = setup.send(request(&form, &proof(&key, "2", |_| {}))).await;
    assert_eq!(claims(reply.token())["cnf"]["jkt"], key.confirmation().key_thumbprint().unwrap().to_base64url());
}

#[tokio::test]
async fn a_bound_refresh_token_has_no_grace_period() {
    let key = key();
    let (setup, form) = bound(&key).await;
    let reply = setup.send(request(&form, &proof(&key, "1", |_| {}))).await;
    setup.send(request(&form, &proof(&key, "2", |_| {}))).await.assert_error(400, "invalid_grant");
    let next = format!("grant_type=refresh_token&refresh_token={}", reply.body["refresh_token"].as_str().unwrap());
    let refused = setup.send(request(&next, &proof(&key, "3", |_| {}))).await;
    refused.assert_error(400, "invalid_grant");
}
