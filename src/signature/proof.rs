use std::{collections::HashMap, fmt, sync::Arc};

use super::{
    candidate::{self, Candidate},
    input,
    policy::{SignaturePolicy, TokenRule},
    refusal::invalid_proof,
    scheme::SignatureScheme,
};
use crate::{
    Eventual,
    auth::{AuthLayer, PresentedProof, ProofOfPossession, UnverifiedProof, VerifiedProof},
    caller::ConfirmationMethod,
    jwt::VerifyingKey,
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
/// The public keys are known to the server; a signature names one by `keyid`: its `kid`, or its thumbprint
/// ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)) in base64url. The credential decides which key it must be. A
/// signature covers `authorization` if the request has that field, besides what the policy requires. It needs a
/// [`ContentDigestCheck`](super::ContentDigestCheck), as [`Signatures`](super::Signatures) does.
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
    /// The keys by `kid`, and by thumbprint.
    keys: HashMap<Box<str>, Arc<VerifyingKey>>,
    policy: SignaturePolicy,
}

impl SignatureProof {
    /// Accepts signatures of these keys that meet the policy.
    ///
    /// # Errors
    ///
    /// If a key is a secret one, which no credential can be bound to by a thumbprint.
    pub fn new<K: Into<Arc<VerifyingKey>>>(
        policy: SignaturePolicy,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Self, crate::ConfigError> {
        let mut known = HashMap::new();
        for key in keys {
            let key: Arc<VerifyingKey> = key.into();
            let Some(thumbprint) = key.thumbprint() else {
                return Err(super::policy::refused("a key that proves possession is a public key"));
            };
            let thumbprint = thumbprint.to_base64url().into_boxed_str();
            if let Some(kid) = key.kid() {
                known.insert(kid.into(), Arc::clone(&key));
            }
            known.insert(thumbprint, key);
        }
        let policy = SignaturePolicy { token: TokenRule::Covered, ..policy };
        Ok(Self(Arc::new(Inner { keys: known, policy })))
    }
}

impl ProofOfPossession for SignatureProof {
    fn method(&self) -> ConfirmationMethod {
        ConfirmationMethod::KEY
    }

    fn read(&self, head: &Head<'_>, _: &Credential<'_>) -> PresentedProof {
        if !input::is_signed(head.headers) {
            return PresentedProof::Absent;
        }
        let candidates = candidate::select(&self.0.policy, head);
        PresentedProof::Unverified(Box::new(SignedHead { candidates, verifier: Arc::clone(&self.0) }))
    }

    fn mark_used(&self, proof: &VerifiedProof, now: UnixTime) -> Eventual<Result<(), Rejection>> {
        let (Some((id, until)), Some(replay)) = (proof.single_use, &self.0.policy.replay) else {
            return Eventual::Now(Ok(()));
        };
        let used = UsedProof::new(proof.thumbprint, id, until, now);
        replay.record(&used.with_window(self.0.policy.longest_validity()))
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        if let Some(replay) = &self.0.policy.replay {
            replay.outage.observed_by(observer);
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
    fn first_valid(&self, now: UnixTime) -> Result<VerifiedProof, Reason> {
        let candidates = self.candidates.as_ref().map_err(|reason| *reason)?;
        let mut refused = None;
        for candidate in candidates {
            match self.verifier.verify(candidate, now) {
                Ok(proof) => return Ok(proof),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        Err(refused.unwrap_or(Reason::SIGNATURE_KEY_UNKNOWN))
    }
}

impl UnverifiedProof for SignedHead {
    fn verify(&self, now: UnixTime) -> Result<VerifiedProof, Rejection> {
        self.first_valid(now).map_err(invalid_proof)
    }
}

impl Inner {
    fn verify(&self, candidate: &Candidate, now: UnixTime) -> Result<VerifiedProof, Reason> {
        candidate.check_time(&self.policy, now)?;
        let key = self.keys.get(&candidate.key_id).ok_or(Reason::SIGNATURE_KEY_UNKNOWN)?;
        candidate.verify(&self.policy, key, now)?;
        let thumbprint = key.thumbprint().ok_or(Reason::SIGNATURE_KEY_UNKNOWN)?;
        let mut proof = VerifiedProof::new(*thumbprint);
        let used = candidate.used(&self.policy, key, now);
        proof.single_use = Some((used.id, used.until));
        Ok(proof)
    }
}

impl<R> AuthLayer<R> {
    /// Verifies signatures of requests as proofs that the sender holds the key that its credential is bound to: see
    /// [`SignatureProof`]. Refusals state in `Accept-Signature` what is required.
    ///
    /// It is for layers whose credential is something else: with [`Signatures`](super::Signatures) in the same layer, requests
    /// that carry only a signature are refused.
    #[must_use]
    pub fn signature_proof(self, proof: SignatureProof) -> Self {
        let scheme = SignatureScheme::of_proof(proof.0.policy.accept_signature());
        self.caller(|caller| caller.scheme(scheme).proof(proof))
    }
}
