//! One request's proof, RFC 9449 §4.3.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};

use super::{key::ProofKey, nonce::Age, target::normalised, verifier::Rules};
use crate::{
    caller::{KeyDemand, KeyProof},
    digest::Digest,
    json::Object,
    jwt::{Algorithm, Segments, TokenClaims as Claims},
    refusal::{Rejection, RejectionKind},
    request::Head,
    time::UnixTime,
};

const DPOP: HeaderName = HeaderName::from_static("dpop");

const CLAIM_TYPE: &str = "dpop_claim_type";

/// The longest proof, in bytes.
const LONGEST: usize = 8 * 1024;

/// The longest id of a proof, in bytes.
const LONGEST_ID: usize = 1024;

/// What is demanded of the proof of one request, and the proof, if there is one.
pub(super) struct Demand {
    method: Method,
    proof: Result<Box<str>, &'static str>,
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
    fn check(&self, now: UnixTime) -> Result<KeyProof, Refusal> {
        let proof = self.proof.as_deref().map_err(|reason| *reason)?;
        let segments = Segments::split(proof).map_err(|_| "dpop_syntax")?;
        let header = Object::parse(&segments.header).map_err(|_| "dpop_header_syntax")?;
        let algorithm = self.check_header(&header)?;
        let members = Object::parse(&segments.payload).map_err(|_| "dpop_claims_syntax")?;
        let claims = Claims::new(&members);
        let text = |name| claims.text(name).map_err(|_| CLAIM_TYPE)?.ok_or("dpop_claim_missing");

        let id = text("jti")?;
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err("dpop_jti".into());
        }
        self.check_request(text("htm")?, text("htu")?)?;
        let until = self.check_time(&claims, now)?;
        if Digest::from_base64url(text("ath")?) != Some(self.token) {
            return Err("dpop_ath".into());
        }
        let nonce = self.check_nonce(claims.text("nonce").map_err(|_| CLAIM_TYPE)?, now)?;

        let key = header.get("jwk").and_then(|key| key.as_object()).ok_or("dpop_key")?;
        let known = &self.rules.known;
        let key = ProofKey::read(key, algorithm, known).map_err(|_| "dpop_key")?;
        if !key.verifies(segments.signed, &segments.signature, known) {
            return Err("dpop_signature".into());
        }
        Ok(KeyProof { key: key.thumbprint, id: Digest::of(id.as_bytes()), until, nonce })
    }

    fn check_header(&self, header: &Object<'_>) -> Result<Algorithm, &'static str> {
        let text = |name: &str| header.get(name).and_then(|value| value.as_str());
        if text("typ") != Some("dpop+jwt") {
            return Err("dpop_type");
        }
        // RFC 7515 §4.1.11, RFC 7797 §7: no extension is understood.
        if header.get("crit").is_some() || header.get("b64").is_some() {
            return Err("dpop_critical");
        }
        let algorithm = text("alg").and_then(Algorithm::from_name);
        algorithm.filter(|algorithm| self.rules.algorithms.contains(algorithm)).ok_or("dpop_algorithm")
    }

    fn check_request(&self, method: &str, target: &str) -> Result<(), &'static str> {
        if method != self.method.as_str() {
            return Err("dpop_htm");
        }
        let demanded = self.target.as_deref().ok_or("dpop_htu")?;
        if target == demanded || normalised(target).as_deref() == Some(demanded) { Ok(()) } else { Err("dpop_htu") }
    }

    /// Until when the proof would be good.
    fn check_time(&self, claims: &Claims<'_>, now: UnixTime) -> Result<UnixTime, &'static str> {
        let window = self.rules.window();
        let time = |name| claims.time(name).map_err(|_| CLAIM_TYPE);
        let issued = time("iat")?.ok_or("dpop_claim_missing")?;
        let until = issued + window.past;
        if until < now {
            return Err("dpop_too_old");
        }
        if now + window.future < issued {
            return Err("dpop_in_future");
        }
        if time("exp")?.is_some_and(|end| end <= now) {
            return Err("dpop_expired");
        }
        if time("nbf")?.is_some_and(|begin| now + window.future < begin) {
            return Err("dpop_not_yet_valid");
        }
        Ok(until)
    }

    /// The nonce for the next proof, if it is not the one of this.
    fn check_nonce(&self, nonce: Option<&str>, now: UnixTime) -> Result<Option<HeaderValue>, Refusal> {
        let Some(nonces) = &self.rules.nonces else { return Ok(None) };
        let required = |reason| Refusal { reason, nonce: Some(nonces.current(now)) };
        match nonces.age(nonce.ok_or_else(|| required("dpop_nonce_missing"))?, now) {
            Some(Age::Current) => Ok(None),
            Some(Age::Previous) => Ok(Some(nonces.current(now))),
            None => Err(required("dpop_nonce_stale")),
        }
    }
}

impl KeyDemand for Demand {
    fn verify(&self, now: UnixTime) -> Result<KeyProof, Rejection> {
        self.check(now).map_err(|refusal| match refusal.nonce {
            Some(nonce) => Rejection::new(RejectionKind::NonceRequired, refusal.reason).nonce(nonce),
            None => Rejection::new(RejectionKind::InvalidProof, refusal.reason),
        })
    }
}

/// Why a proof is refused, and the nonce that it lacks.
struct Refusal {
    reason: &'static str,
    nonce: Option<HeaderValue>,
}

impl From<&'static str> for Refusal {
    fn from(reason: &'static str) -> Self {
        Self { reason, nonce: None }
    }
}

/// The one proof of a request.
fn find(head: &Head<'_>) -> Result<Box<str>, &'static str> {
    let mut lines = head.headers.get_all(DPOP).iter();
    let line = lines.next().ok_or("dpop_proof_missing")?;
    if lines.next().is_some() {
        return Err("several_dpop_proofs");
    }
    if line.len() > LONGEST {
        return Err("dpop_proof_too_long");
    }
    line.to_str().map(Into::into).map_err(|_| "dpop_proof_characters")
}
