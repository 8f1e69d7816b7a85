//! Credentials that are bound to a certificate or to a key.

use std::{num::NonZeroUsize, time::Duration};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue, Request};
use tower::Layer;
use tower_warden::{
    Clock, Digest, SystemClock,
    caller::Confirmation,
    certificate::{CertificateProof, ChainStatus, PeerCertificate},
    dpop::Dpop,
    jwt::{Algorithm, Issuer, Jwt},
    layer::AuthLayer,
    replay::MemoryReplayGuard,
    testing::{SigningKey, TestIssuer},
};

use crate::{
    fixture::{bare, call, request},
    measure::{BATCH, Budget, Effort, medians, prepared, row, table},
};

const AUDIENCE: &str = "https://api.example.com";

fn layer(issuer: &TestIssuer) -> AuthLayer {
    let jwt = Jwt::new(Issuer::new(issuer.name(), AUDIENCE).unwrap(), issuer.clone());
    AuthLayer::new(jwt).proof(CertificateProof)
}

/// A cached token on a connection with a certificate, bound to it and bound to nothing.
pub(crate) fn certificates(effort: Effort) {
    let issuer = TestIssuer::new("https://auth.example.com");
    let thumbprint = Digest::of(b"a certificate");
    let certificate = PeerCertificate::from_thumbprint(thumbprint, ChainStatus::Verified);
    let token = || issuer.token("alice").audience(AUDIENCE).expires_in(Duration::from_secs(7200));
    let bound = token().confirmation(&Confirmation::certificate(thumbprint)).sign();
    // As long as the other.
    let loose = token().claim("org", thumbprint.to_base64url()).claim("x", "padded").sign();
    let layer = layer(&issuer);
    let side = |token: String| {
        let (certificate, mut service) = (certificate.clone(), layer.layer(bare()));
        let with = move || {
            let mut request: Request<()> = request(&token);
            request.extensions_mut().insert(certificate.clone());
            request
        };
        assert_eq!(call(&mut service, with()).status(), 200, "a refusal would be measured");
        prepared(with, move |request| call(&mut service, request))
    };
    assert_eq!(bound.len(), loose.len(), "their digests take equally long");
    let [loose, bound] = medians(effort.rounds, [side(loose), side(bound)]);
    table("A cached JWT on a connection with a client certificate");
    let floor = "the same, bound to nothing";
    row("AuthLayer, token bound to the certificate", bound, floor, loose, Budget::Open);
    row("the certificate check alone", bound - loose, floor, loose, Budget::Nanoseconds(100.0));
}

/// A cached token with a proof, a new one for each request.
pub(crate) fn proofs(effort: Effort) {
    let issuer = TestIssuer::new("https://auth.example.com");
    let key = SigningKey::generate(Algorithm::ES256);
    let token = issuer.token("alice").audience(AUDIENCE).expires_in(Duration::from_secs(7200));
    let token = token.confirmation(&key.confirmation()).sign();
    let most = NonZeroUsize::new(10_000_000).unwrap();
    let dpop = Dpop::new(AUDIENCE).unwrap().replay_guard(MemoryReplayGuard::new(most, most));
    let mut service = layer(&issuer).dpop(dpop).layer(bare());
    let prove = || key.proof("GET", &format!("{AUDIENCE}/"), &token, SystemClock::default().now()).sign();
    let signed: Vec<_> = (0..BATCH).map(|_| prove()).collect();
    let raw = raw(&key);
    let authorization = HeaderValue::try_from(format!("DPoP {token}")).unwrap();
    let with_proof = || {
        let mut request: Request<()> = request("");
        request.headers_mut().insert("authorization", authorization.clone());
        request.headers_mut().insert(HeaderName::from_static("dpop"), HeaderValue::try_from(prove()).unwrap());
        request
    };
    let mut next = signed.iter().cycle();
    let [raw, proved] = medians(
        effort.rounds.div_ceil(10),
        [
            prepared(move || next.next().unwrap(), |proof| assert!(raw(proof))),
            prepared(with_proof, |request| assert_eq!(call(&mut service, request).status(), 200)),
        ],
    );
    table("A cached JWT with a DPoP proof, ES256");
    let floor = "the signature alone, key parsed";
    row("AuthLayer, proof verified and remembered", proved, floor, raw, Budget::AtMost(1.15));
}

/// The signature alone.
fn raw(key: &SigningKey) -> impl Fn(&str) -> bool + use<> {
    let jwk = key.jwk();
    let bytes = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], bytes("x"), bytes("y")].concat();
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).unwrap();
    move |proof| {
        let (signed, signature) = proof.rsplit_once('.').unwrap();
        let mut bytes = [0; 64];
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes).unwrap();
        key.verify_sig(signed.as_bytes(), &bytes[..length]).is_ok()
    }
}
