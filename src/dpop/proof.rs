//! One request's proof, RFC 9449 §4.3.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};

use super::{key::ProofKey, nonce::Age, target::normalised, verifier::Rules};
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

/// RFC 9449 §8.1.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The longest proof, in bytes.
const LONGEST: usize = 8 * 1024;

/// The longest id of a proof, in bytes.
const LONGEST_ID: usize = 1024;

/// What is demanded of the proof of one request, and the proof, if there is one.
pub(super) struct Demand {
    method: Method,
    proof: Result<Box<str>, Reason>,
    rules: Arc<Rules>,
    /// As it is to be after [normalising](normalised).
    target: Option<String>,
    token: Digest,
}

impl Demand {
    pub(super) fn read(rules: &Arc<Rules>, head: &Head<'_>, token: &str) -> Self {
        Self {
            method: head.method.clone(),
            proof: find(head),
            rules: Arc::clone(rules),
            target: rules.base.target(head),
            // RFC 9449 §4.2: over the ASCII of the token.
            token: Digest::of(token.as_bytes()),
        }
    }

    /// Cheap checks first, the signature last.
    fn check(&self, now: UnixTime) -> Result<VerifiedProof, Refusal> {
        let proof = self.proof.as_deref().map_err(|reason| *reason)?;
        let segments = Segments::split(proof).map_err(|_| Reason::DPOP_SYNTAX)?;
        let header = Object::parse(&segments.header).map_err(|_| Reason::DPOP_HEADER_SYNTAX)?;
        let algorithm = self.check_header(&header)?;
        let members = Object::parse(&segments.payload).map_err(|_| Reason::DPOP_CLAIMS_SYNTAX)?;
        let claims = Claims::new(&members);
        let text = |name| claims.text(name).map_err(|_| Reason::DPOP_CLAIM_TYPE)?.ok_or(Reason::DPOP_CLAIM_MISSING);

        let id = text("jti")?;
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(Reason::DPOP_JTI.into());
        }
        self.check_request(text("htm")?, text("htu")?)?;
        let until = self.check_time(&claims, now)?;
        if Digest::from_base64url(text("ath")?) != Some(self.token) {
            return Err(Reason::DPOP_ATH.into());
        }
        let nonce = self.check_nonce(claims.text("nonce").map_err(|_| Reason::DPOP_CLAIM_TYPE)?, now)?;

        let key = header.get("jwk").and_then(|key| key.as_object()).ok_or(Reason::DPOP_KEY)?;
        let known = &self.rules.known;
        let key = ProofKey::read(key, algorithm, known).map_err(|_| Reason::DPOP_KEY)?;
        if !key.verifies(segments.signed, &segments.signature, known) {
            return Err(Reason::DPOP_SIGNATURE.into());
        }
        let mut verified = VerifiedProof::new(key.thumbprint);
        verified.single_use = Some((Digest::of(id.as_bytes()), until));
        verified.response_fields.extend(nonce.map(|nonce| (DPOP_NONCE, nonce)));
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
        algorithm.filter(|algorithm| self.rules.algorithms.contains(algorithm)).ok_or(Reason::DPOP_ALGORITHM)
    }

    fn check_request(&self, method: &str, target: &str) -> Result<(), Reason> {
        if method != self.method.as_str() {
            return Err(Reason::DPOP_HTM);
        }
        let demanded = self.target.as_deref().ok_or(Reason::DPOP_HTU)?;
        if target == demanded || normalised(target).as_deref() == Some(demanded) {
            Ok(())
        } else {
            Err(Reason::DPOP_HTU)
        }
    }

    /// Until when the proof would be good.
    fn check_time(&self, claims: &Claims<'_>, now: UnixTime) -> Result<UnixTime, Reason> {
        let window = self.rules.window();
        let time = |name| claims.time(name).map_err(|_| Reason::DPOP_CLAIM_TYPE);
        let issued = time("iat")?.ok_or(Reason::DPOP_CLAIM_MISSING)?;
        let until = issued + window.past;
        if until < now {
            return Err(Reason::DPOP_TOO_OLD);
        }
        if now + window.future < issued {
            return Err(Reason::DPOP_IN_FUTURE);
        }
        if time("exp")?.is_some_and(|end| end <= now) {
            return Err(Reason::DPOP_EXPIRED);
        }
        if time("nbf")?.is_some_and(|begin| now + window.future < begin) {
            return Err(Reason::DPOP_NOT_YET_VALID);
        }
        Ok(until)
    }

    /// The nonce for the next proof, if it is not the one of this.
    fn check_nonce(&self, nonce: Option<&str>, now: UnixTime) -> Result<Option<HeaderValue>, Refusal> {
        let Some(nonces) = &self.rules.nonces else { return Ok(None) };
        let required = |reason| Refusal { reason, nonce: Some(nonces.current(now)) };
        match nonces.age(nonce.ok_or_else(|| required(Reason::DPOP_NONCE_MISSING))?, now) {
            Some(Age::Current) => Ok(None),
            Some(Age::Previous) => Ok(Some(nonces.current(now))),
            None => Err(required(Reason::DPOP_NONCE_STALE)),
        }
    }
}

impl UnverifiedProof for Demand {
    fn verify(&self, now: UnixTime) -> Result<VerifiedProof, Rejection> {
        self.check(now).map_err(|refusal| match refusal.nonce {
            Some(nonce) => nonce_required(refusal.reason, nonce),
            None => invalid_proof(refusal.reason),
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

/// Why a proof is refused, and the nonce that it lacks.
struct Refusal {
    reason: Reason,
    nonce: Option<HeaderValue>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, nonce: None }
    }
}

/// The one proof of a request.
fn find(head: &Head<'_>) -> Result<Box<str>, Reason> {
    let mut lines = head.headers.get_all(DPOP).iter();
    let line = lines.next().ok_or(Reason::DPOP_PROOF_MISSING)?;
    if lines.next().is_some() {
        return Err(Reason::SEVERAL_DPOP_PROOFS);
    }
    if line.len() > LONGEST {
        return Err(Reason::DPOP_PROOF_TOO_LONG);
    }
    line.to_str().map(Into::into).map_err(|_| Reason::DPOP_PROOF_CHARACTERS)
}
