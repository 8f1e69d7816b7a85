//! Assertions and proofs that are used once.

use http::Request;
use http_body_util::Full;
use tower_warden::{
    Eventual, Unavailable,
    dpop::{Dpop, Nonces},
    replay::{ReplayGuard, ReplayVerdict, UsedProof},
};
use tower_warden_issuer::TokenBinding;

use crate::{
    assertions::{self, valid},
    binding::{key, proof},
    support::{CLIENT_CREDENTIALS, ISSUER, Setup, form_request},
};

/// A guard with one verdict, or none.
pub(crate) struct Guard(pub(crate) Option<ReplayVerdict>);

impl ReplayGuard for Guard {
    fn record(&self, _: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        Eventual::Now(self.0.ok_or(Unavailable::new("the guard")))
    }
}

const REFUSALS: [(Option<ReplayVerdict>, u16); 3] =
    [(None, 503), (Some(ReplayVerdict::Full), 503), (Some(ReplayVerdict::KeyFull), 429)];

fn with_proof(setup: &Setup, proof: &str) -> Request<Full<bytes::Bytes>> {
    let assertion = assertions::sign(&setup.key, "JWT", &valid());
    let mut request = form_request(&format!("{CLIENT_CREDENTIALS}&{}", assertions::parameters(&assertion)));
    request.headers_mut().insert("dpop", proof.parse().unwrap());
    request
}

#[tokio::test]
async fn nothing_is_issued_while_assertions_cannot_be_recorded() {
    for (verdict, status) in REFUSALS {
        let setup = Setup::with(|builder| builder.replay_guard(Guard(verdict)));
        let reply = assertions::send(&setup, &assertions::sign(&setup.key, "JWT", &valid())).await;
        reply.assert_error(status, "temporarily_unavailable");
        assert!(reply.headers.contains_key("retry-after"));
    }
}

#[tokio::test]
async fn nothing_is_issued_while_proofs_cannot_be_recorded() {
    for (verdict, status) in REFUSALS {
        let dpop = Dpop::new(ISSUER).unwrap().replay_guard(Guard(verdict));
        let setup = Setup::with(|builder| builder.dpop(dpop));
        let reply = setup.send(with_proof(&setup, &proof(&key(), "1", |_| {}))).await;
        reply.assert_error(status, "temporarily_unavailable");
        assert!(reply.headers.contains_key("retry-after"));
    }
}

#[tokio::test]
async fn a_request_for_a_nonce_does_not_use_up_the_assertion() {
    let dpop = Dpop::new(ISSUER).unwrap().nonces(Nonces::random().unwrap());
    let (setup, key) = (Setup::with(|builder| builder.dpop(dpop)), key());
    let reply = setup.send(with_proof(&setup, &proof(&key, "1", |_| {}))).await;
    reply.assert_error(400, "use_dpop_nonce");
    let nonce = reply.headers["dpop-nonce"].to_str().unwrap();
    let with_nonce = |id| proof(&key, id, |claims| claims["nonce"] = nonce.into());
    setup.send(with_proof(&setup, &with_nonce("2"))).await.token();
    setup.send(with_proof(&setup, &with_nonce("3"))).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_replayed_assertion_does_not_use_up_the_proof() {
    let (setup, key) = (Setup::new(), key());
    let proof = proof(&key, "1", |_| {});
    assertions::send(&setup, &assertions::sign(&setup.key, "JWT", &valid())).await.token();
    setup.send(with_proof(&setup, &proof)).await.assert_error(401, "invalid_client");
    let mut request = form_request(&format!("client_id=post&client_secret=s3cret&{CLIENT_CREDENTIALS}"));
    request.headers_mut().insert("dpop", proof.parse().unwrap());
    setup.send(request).await.token();
}

#[tokio::test]
async fn a_missing_proof_does_not_use_up_the_assertion() {
    let setup = Setup::new();
    let signer = (*setup.clients.remove("signer").unwrap()).clone();
    setup.clients.insert(signer.require_binding(TokenBinding::Key));
    let assertion = assertions::sign(&setup.key, "JWT", &valid());
    assertions::send(&setup, &assertion).await.assert_error(400, "invalid_dpop_proof");
    setup.send(with_proof(&setup, &proof(&key(), "1", |_| {}))).await.token();
}
