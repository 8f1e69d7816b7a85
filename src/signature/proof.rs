use std::{fmt, sync::Arc};

use http::header::AUTHORIZATION;

use super::{
    candidate::{self, Candidate},
    input,
    policy::SignaturePolicy,
    proof_keys::{ProofKeyMap, ProofKeys},
    refusal::invalid_proof,
    scheme::{FIELDS, SignatureScheme},
};
use crate::{
    Eventual,
    auth::{AuthLayer, PresentedProof, ProofOfPossession, UnverifiedProof, VerifiedProof},
    caller::ConfirmationMethod,
    digest::Digest,
    jwt::VerifyingKey,
    log::{self, Causes},
    outage::Outage,
    reason::Reason,
    refusal::Rejection,
    replay::UsedProof,
    request::Head,
    scheme::Credential,
    time::UnixTime,
};

/// Proves by the signature of a request that its sender holds the key that its token or API key is bound to (`jkt` in
/// `cnf`).
///
/// The public keys are known to the server, as a list or by a source of [`ProofKeys`]; `jwk` in `cnf`, a key that a token carries,
/// is not read, and such a token is refused. A signature names one by `keyid`: its `kid`, or its thumbprint
/// ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)) in base64url. The credential decides which key it must be. A
/// signature covers the whole header field that carries the credential, and `authorization` if the request has that field,
/// besides what the policy requires. It needs a [`ContentDigestCheck`](super::ContentDigestCheck), as
/// [`Signatures`](super::Signatures) does.
///
/// [`AuthLayer::signature_proof`] adds it to a layer.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     jwt::{Issuer, Jwt, VerifyingKey},
///     layer::AuthLayer,
///     signature::{SignaturePolicy, SignatureProof},
///     testing::TestIssuer,
/// };
///
/// let issuer = TestIssuer::new("https://auth.example.com");
/// let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com")?, issuer);
/// let agent = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// let policy = SignaturePolicy::new("https://api.example.com")?;
/// let auth = AuthLayer::new(jwt).signature_proof(SignatureProof::new(policy, [VerifyingKey::from_jwk(agent)?])?);
///
/// let secret = VerifyingKey::hmac(tower_warden::jwt::Algorithm::HS256, &[7; 32])?;
/// let policy = SignaturePolicy::new("https://api.example.com")?;
/// assert!(SignatureProof::new(policy, [secret]).is_err(), "it has no thumbprint");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SignatureProof(Arc<Inner>);

struct Inner {
    keys: Arc<dyn ProofKeys>,
    /// The state of the keys.
    outage: Outage,
    policy: SignaturePolicy,
}

impl SignatureProof {
    /// Accepts signatures of these keys that meet the policy.
    ///
    /// # Errors
    ///
    /// If a key is a secret one, which no credential can be bound to by a thumbprint, or if two keys have the same `kid`.
    pub fn new<K: Into<Arc<VerifyingKey>>>(
        policy: SignaturePolicy,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Self, crate::ConfigError> {
        let mut known = ProofKeyMap::default();
        keys.into_iter().try_for_each(|key| known.add(key))?;
        Ok(Self::from_source(policy, known))
    }

    /// Accepts signatures that meet the policy, of keys from this source, which may change.
    #[must_use]
    pub fn from_source(policy: SignaturePolicy, keys: impl ProofKeys) -> Self {
        Self(Arc::new(Inner { keys: Arc::new(keys), outage: Outage::of("signature keys"), policy }))
    }
}

impl ProofOfPossession for SignatureProof {
    fn method(&self) -> ConfirmationMethod {
        ConfirmationMethod::KEY
    }

    fn read(&self, head: &Head<'_>, credential: &Credential<'_>) -> PresentedProof {
        if !input::is_signed(head.headers) {
            return PresentedProof::Absent;
        }
        // Otherwise the credential could be exchanged for another one that is bound to the same key.
        let fields = [credential.fields(), &[AUTHORIZATION]].concat();
        let candidates = candidate::select(&self.0.policy, head, &fields, None);
        PresentedProof::Unverified(Box::new(SignedHead { candidates, verifier: Arc::clone(&self.0) }))
    }

    fn mark_used(&self, proof: &VerifiedProof, now: UnixTime) -> Eventual<Result<(), Rejection>> {
        let Some(replay) = &self.0.policy.replay else { return Eventual::Now(Ok(())) };
        let window = self.0.policy.longest_validity();
        let used = proof.single_use.iter().chain(&proof.also_used);
        let used = used.map(|(id, until)| UsedProof::new(proof.thumbprint, *id, *until, now).with_window(window));
        replay.record_all(&used.collect::<Vec<_>>())
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.0.outage.observed_by(observer);
        if let Some(replay) = &self.0.policy.replay {
            replay.0.observed_by(observer);
        }
    }
}

impl fmt::Debug for SignatureProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureProof").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}

/// The signatures of a request, which are verified once its credential is known to be valid.
struct SignedHead {
    candidates: Result<Vec<Candidate>, Reason>,
    verifier: Arc<Inner>,
}

impl SignedHead {
    /// Verifies all signatures of the key with this thumbprint, or of that of the first valid one: by each of them the request,
    /// or a part of it, would be accepted again. Those of other keys make no difference.
    fn verify_all(&self, bound: Option<&Digest>, now: UnixTime) -> Result<VerifiedProof, Reason> {
        let candidates = self.candidates.as_ref().map_err(|reason| *reason)?;
        let (mut proof, mut refused): (Option<VerifiedProof>, Option<Reason>) = (None, None);
        // One that does not meet the policy proves nothing, and is only used up.
        let (met, unmet): (Vec<_>, Vec<_>) = candidates.iter().partition(|candidate| candidate.shortfall.is_none());
        for candidate in met.into_iter().chain(unmet) {
            if proof.is_none() && candidate.shortfall.is_some() {
                break;
            }
            let bound = proof.as_ref().map(|proof| proof.thumbprint).or_else(|| bound.copied());
            match self.verifier.verify(candidate, bound.as_ref(), now) {
                Ok((thumbprint, used)) => match &mut proof {
                    Some(proof) => proof.also_used.push((used.id, used.until)),
                    None => {
                        let guard = self.verifier.policy.replay.as_ref().map(|replay| replay.0.address());
                        let single_use = Some((used.id, used.until));
                        proof = Some(VerifiedProof { guard, single_use, ..VerifiedProof::new(thumbprint) });
                    }
                },
                // It would be accepted later, or may be.
                Err(
                    reason @ (Reason::SIGNATURE_IN_FUTURE
                    | Reason::SIGNATURE_KEY_NOT_YET_VALID
                    | Reason::SIGNATURE_KEYS_UNAVAILABLE),
                ) => return Err(reason),
                Err(reason) if matches!(refused, None | Some(Reason::KEY_MISMATCH)) => refused = Some(reason),
                Err(_) => {}
            }
        }
        proof.ok_or_else(|| refused.unwrap_or(Reason::SIGNATURE_KEY_UNKNOWN))
    }
}

impl UnverifiedProof for SignedHead {
    fn verify(&self, now: UnixTime) -> Result<VerifiedProof, Rejection> {
        self.verify_all(None, now).map_err(invalid_proof)
    }

    fn verify_bound(&self, thumbprint: &Digest, now: UnixTime) -> Result<VerifiedProof, Rejection> {
        self.verify_all(Some(thumbprint), now).map_err(invalid_proof)
    }
}

impl Inner {
    fn verify(
        &self,
        candidate: &Candidate,
        bound: Option<&Digest>,
        now: UnixTime,
    ) -> Result<(Digest, UsedProof), Reason> {
        let key = self.find(&candidate.key_id)?;
        let thumbprint = *key.thumbprint().ok_or(Reason::SIGNATURE_KEY_UNKNOWN)?;
        if bound.is_some_and(|bound| *bound != thumbprint) {
            return Err(Reason::KEY_MISMATCH);
        }
        candidate.check_time(&self.policy, now)?;
        candidate.verify(&self.policy, &key, now)?;
        Ok((thumbprint, candidate.used(&self.policy, &key, now)))
    }

    fn find(&self, key_id: &str) -> Result<Arc<VerifyingKey>, Reason> {
        match self.keys.find(key_id) {
            Ok(key) => {
                self.outage.end();
                key.ok_or(Reason::SIGNATURE_KEY_UNKNOWN)
            }
            Err(error) => {
                self.outage.begin(Causes(&error), || {
                    log::warning!(
                        error = %Causes(&error),
                        "the keys of bound credentials are not available; requests are refused with 503 until they are"
                    );
                });
                Err(Reason::SIGNATURE_KEYS_UNAVAILABLE)
            }
        }
    }
}

impl<R> AuthLayer<R> {
    /// Verifies signatures of requests as proofs that the sender holds the key that its credential is bound to: see
    /// [`SignatureProof`]. Refusals state in `Accept-Signature` what is required, one line for each field in which the layer
    /// takes credentials by now: add schemes first.
    ///
    /// If the layer has [`Signatures`](super::Signatures) as well, the signature of a request without another credential is its
    /// credential. Next to another one, it is the proof, which counts only if that one is bound.
    #[must_use]
    pub fn signature_proof(self, proof: SignatureProof) -> Self {
        self.caller(|caller| {
            let caller = caller.proof_in(&FIELDS);
            let fields = caller.credential_fields();
            let accepted = |(index, field)| proof.0.policy.accept_signature(&format!("proof{index}"), field);
            let lines = match fields.len() {
                0 => vec![accepted((1, None))],
                _ => (1..).zip(fields.iter().map(Some)).map(accepted).collect(),
            };
            caller.scheme(SignatureScheme::of_proof(lines)).proof(proof)
        })
    }
}
