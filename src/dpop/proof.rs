//! The proof of one request, RFC 9449 §4.3.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method};

use super::{
    key::ProofKey,
    nonce::NonceAge,
    public_url::{self, ExpectedUrls},
    verifier::Requirements,
};
use crate::{
    auth::{UnverifiedProof, VerifiedProof},
    digest::Digest,
    json::Object,
    jwt::{Algorithm, Segments, TokenClaims as Claims},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
    time::UnixTime,
};

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Returns whether a request has a proof, or several.
pub(super) fn is_present(head: &Head<'_>) -> bool {
    head.headers.contains_key(DPOP)
}

/// RFC 9449 §8.1.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The maximum length of a proof, in bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// The maximum length of a proof's `jti`, in bytes.
const MAX_ID_LENGTH: usize = 1024;

/// The unverified proof of a request, and what it is compared with.
pub(super) struct DpopProof {
    /// The compact JWS.
    compact: Result<Box<str>, Reason>,
    method: Method,
    requirements: Arc<Requirements>,
    /// `None` for the request of a token.
    token: Option<Digest>,
    urls: ExpectedUrls,
}

impl DpopProof {
    pub(super) fn read(requirements: &Arc<Requirements>, head: &Head<'_>, token: Option<&str>) -> Self {
        Self {
            compact: find(head),
            method: head.method.clone(),
            requirements: Arc::clone(requirements),
            // RFC 9449 §4.2: over the ASCII of the token.
            token: token.map(|token| Digest::of(token.as_bytes())),
            urls: public_url::expected(&requirements.public_urls, requirements.path_rewrite.as_ref(), head),
        }
    }

    /// The cheap checks come first, the signature last.
    fn check(&self, now: UnixTime) -> Result<VerifiedProof, InvalidProof> {
        let proof = self.compact.as_deref().map_err(|reason| *reason)?;
        let segments = Segments::split(proof).map_err(|_| Reason::DPOP_SYNTAX)?;
        let header = Object::parse(&segments.header).map_err(|_| Reason::DPOP_HEADER_SYNTAX)?;
        let algorithm = self.check_header(&header)?;
        let members = Object::parse(&segments.payload).map_err(|_| Reason::DPOP_CLAIMS_SYNTAX)?;
        let claims = Claims::of_proof(&members);
        let text = |name| claims.text(name).map_err(|_| Reason::DPOP_CLAIM_TYPE)?.ok_or(Reason::DPOP_CLAIM_MISSING);

        let id = text("jti")?;
        if id.is_empty() || id.len() > MAX_ID_LENGTH {
            return Err(Reason::DPOP_JTI.into());
        }
        self.check_request(text("htm")?, text("htu")?)?;
        // Before the time: a client whose clock is wrong needs a nonce all the more.
        let fresh = self.check_nonce(claims.text("nonce").map_err(|_| Reason::DPOP_CLAIM_TYPE)?, now)?;
        let until = self.check_time(&claims, &fresh, now)?;
        if let Some(token) = self.token
            && Digest::from_base64url(text("ath")?) != Some(token)
        {
            return Err(Reason::DPOP_ATH.into());
        }

        let key = header.get("jwk").and_then(|key| key.as_object()).ok_or(Reason::DPOP_KEY)?;
        let keys = &self.requirements.keys;
        let key = ProofKey::read(key, algorithm, keys).map_err(|_| Reason::DPOP_KEY)?;
        if !key.verifies(segments.signed, &segments.signature, keys) {
            return Err(Reason::DPOP_SIGNATURE.into());
        }
        let mut verified = VerifiedProof::new(key.thumbprint);
        verified.single_use = Some((Digest::of(id.as_bytes()), until));
        verified.response_fields.extend(fresh.next.map(|nonce| (DPOP_NONCE, nonce)));
        Ok(verified)
    }

    fn check_header(&self, header: &Object<'_>) -> Result<Algorithm, Reason> {
        let text = |name: &str| header.get(name).and_then(|value| value.as_str());
        if text("typ") != Some("dpop+jwt") {
            return Err(Reason::DPOP_TYPE);
        }
        // RFC 7515 §4.1.11, RFC 7797 §7: no extension is understood.
        if header.get("crit").is_some() || header.get("b64").is_some() {
            return Err(Reason::DPOP_CRITICAL);
        }
        let algorithm = text("alg").and_then(Algorithm::from_name);
        algorithm.filter(|algorithm| self.requirements.algorithms.contains(algorithm)).ok_or(Reason::DPOP_ALGORITHM)
    }

    fn check_request(&self, method: &str, url: &str) -> Result<(), Reason> {
        if method != self.method.as_str() {
            return Err(Reason::DPOP_HTM);
        }
        if public_url::is_expected(url, &self.urls) { Ok(()) } else { Err(Reason::DPOP_HTU) }
    }

    /// Returns the last second in which the proof is valid.
    ///
    /// RFC 9449 §11.1: with a nonce, its time is that of the proof. The times that the client wrote may then differ by as much
    /// as the window allows, because its clock is wrong.
    fn check_time(&self, claims: &Claims<'_>, fresh: &Freshness, now: UnixTime) -> Result<UnixTime, Reason> {
        let window = self.requirements.window();
        let tolerance = if fresh.until.is_some() { window.past } else { Duration::ZERO };
        let time = |name| claims.time(name).map_err(|_| Reason::DPOP_CLAIM_TYPE);
        let issued = time("iat")?.ok_or(Reason::DPOP_CLAIM_MISSING)?;
        let until = issued + window.past;
        if until < now {
            return Err(Reason::DPOP_TOO_OLD);
        }
        if now + window.future < issued {
            return Err(Reason::DPOP_IN_FUTURE);
        }
        if time("exp")?.is_some_and(|end| end + tolerance <= now) {
            return Err(Reason::DPOP_EXPIRED);
        }
        if time("nbf")?.is_some_and(|begin| now + window.future < begin) {
            return Err(Reason::DPOP_NOT_YET_VALID);
        }
        Ok(fresh.until.map_or(until, |end| end.min(until)))
    }

    fn check_nonce(&self, nonce: Option<&str>, now: UnixTime) -> Result<Freshness, InvalidProof> {
        let Some(nonces) = &self.requirements.nonces else { return Ok(Freshness::default()) };
        let required = |reason| InvalidProof { reason, nonce: Some(nonces.current(now)) };
        let age = nonces.age(nonce.ok_or_else(|| required(Reason::DPOP_NONCE_MISSING))?, now);
        let age = age.ok_or_else(|| required(Reason::DPOP_NONCE_STALE))?;
        let next = (age == NonceAge::Previous).then(|| nonces.current(now));
        Ok(Freshness { until: Some(nonces.valid_until(age, now)), next })
    }
}

/// The result of the check of a nonce; empty if none is required.
#[derive(Default)]
struct Freshness {
    /// The last second in which the nonce is accepted.
    until: Option<UnixTime>,
    /// The nonce for the client's next proof, if it differs from the nonce of this one.
    next: Option<HeaderValue>,
}

impl UnverifiedProof for DpopProof {
    fn verify(&self, now: UnixTime) -> Result<VerifiedProof, Rejection> {
        self.check(now).map_err(|invalid| match invalid.nonce {
            Some(nonce) => nonce_required(invalid.reason, nonce),
            None => invalid_proof(invalid.reason),
        })
    }
}

/// 401 `invalid_dpop_proof`, RFC 9449 §7.1.
pub(super) fn invalid_proof(reason: Reason) -> Rejection {
    let detail = "A proof that the sender holds the token's key is missing or invalid.";
    Rejection::new(RejectionKind::InvalidProof, reason).with_code("invalid_dpop_proof", detail)
}

/// 401 `use_dpop_nonce`, RFC 9449 §9.
fn nonce_required(reason: Reason, nonce: HeaderValue) -> Rejection {
    let rejection = Rejection::new(RejectionKind::NonceRequired, reason);
    rejection
        .with_code("use_dpop_nonce", "The proof needs the nonce of this response.")
        .response_field(DPOP_NONCE, nonce)
}

/// The reason why a proof is refused, and the nonce that it should have.
struct InvalidProof {
    reason: Reason,
    nonce: Option<HeaderValue>,
}

impl From<Reason> for InvalidProof {
    fn from(reason: Reason) -> Self {
        Self { reason, nonce: None }
    }
}

/// Finds the only proof of a request.
fn find(head: &Head<'_>) -> Result<Box<str>, Reason> {
    let mut lines = head.headers.get_all(DPOP).iter();
    let line = lines.next().ok_or(Reason::DPOP_PROOF_MISSING)?;
    if lines.next().is_some() {
        return Err(Reason::SEVERAL_DPOP_PROOFS);
    }
    if line.len() > MAX_LENGTH {
        return Err(Reason::DPOP_PROOF_TOO_LONG);
    }
    line.to_str().map(Into::into).map_err(|_| Reason::DPOP_PROOF_CHARACTERS)
}
