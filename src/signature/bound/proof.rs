use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Extensions;

use super::keys::PayloadKeys;
use crate::{
    Eventual,
    auth::{PresentedProof, ProofOfPossession, UnverifiedProof, VerifiedProof},
    body::{BodyCheck, BodyCheckLayer, BodyLimits, BufferedRequest},
    caller::ConfirmationMethod,
    digest::Digest,
    environment::Environment,
    error::{ConfigError, ConfigErrorKind},
    log::{self, Causes},
    outage::Outage,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    replay::{MemoryReplayGuard, Recorder, ReplayGuard, UsedProof},
    request::Head,
    scheme::Credential,
    signature::payload::{PayloadKey, PayloadScheme, REPLAY_REASONS, SignatureFields, Tolerance},
    time::{Clock, SystemClock, UnixTime},
};

/// Proves by a payload signature that the sender has the secret, or the private key, that its credential is bound to.
///
/// Add it to an [`AuthLayer`](crate::layer::AuthLayer) with [`proof`](crate::layer::AuthLayer::proof), and its
/// [`body_layer`](Self::body_layer) outside of that. Credentials that are not bound in this way are not affected. Clones share
/// the record of used signatures. See the [module docs](super).
#[derive(Clone)]
pub struct PayloadProof {
    clock: Arc<dyn Clock>,
    limits: BodyLimits,
    replays: Recorder,
    verifier: Arc<Verifier>,
}

/// The keys and rules by which a signature is verified.
#[derive(Clone)]
struct Verifier {
    keys: Arc<dyn PayloadKeys>,
    /// The state of the keys.
    outage: Outage,
    scheme: PayloadScheme,
    tolerance: Tolerance,
}

impl PayloadProof {
    /// The member of `cnf` with the thumbprint of the secret or the public key.
    pub const METHOD: ConfirmationMethod = ConfirmationMethod::custom("payload-key");

    /// A proof by signatures of this scheme, with these keys.
    ///
    /// # Errors
    ///
    /// If the scheme does not cover timestamp, method and target: somebody who relays a request could send the signed body to
    /// another route.
    pub fn new(scheme: PayloadScheme, keys: impl PayloadKeys) -> Result<Self, ConfigError> {
        if !scheme.covers_request() {
            let message = "the signature of a request covers `{timestamp}`, `{method}` and `{target}`; \
                           `danger_body_only` accepts others";
            return Err(ConfigError::new(ConfigErrorKind::PayloadSignature, message).value(scheme.name()));
        }
        Self::danger_body_only(scheme, keys)
    }

    /// A proof by signatures that need not cover the method and the target, such as those of
    /// [`PayloadScheme::timestamped`]. Somebody who relays a request, and holds it back, can send its body and API key to any
    /// other route.
    ///
    /// # Errors
    ///
    /// If the scheme covers no timestamp.
    pub fn danger_body_only(scheme: PayloadScheme, keys: impl PayloadKeys) -> Result<Self, ConfigError> {
        scheme.check()?;
        if !scheme.has_timestamp() {
            let error =
                ConfigError::new(ConfigErrorKind::PayloadSignature, "the signature of a request covers a timestamp");
            return Err(error.value(scheme.name()));
        }
        let (keys, outage) = (Arc::new(keys), Outage::of("payload keys"));
        Ok(Self {
            clock: Arc::new(SystemClock),
            limits: BodyLimits::default(),
            replays: Recorder::new(MemoryReplayGuard::default(), &REPLAY_REASONS),
            verifier: Arc::new(Verifier { keys, outage, scheme, tolerance: Tolerance::default() }),
        })
    }

    /// Uses the clock of an environment, by which the body layer decides whether a signature is recent. `AuthLayer` has a clock
    /// of its own.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }

    /// Sets the limits within which the body of a signed request is read: 1 MiB and 10 seconds by default.
    #[must_use]
    pub const fn limits(mut self, limits: BodyLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how far in the past and in the future the timestamp may be, in whole seconds: 300 and 60 by default.
    ///
    /// # Errors
    ///
    /// If `past` is more than one day, or `future` more than 10 minutes.
    pub fn tolerance(mut self, past: Duration, future: Duration) -> Result<Self, ConfigError> {
        let tolerance = self.verifier.tolerance.with(past, future)?;
        Arc::make_mut(&mut self.verifier).tolerance = tolerance;
        Ok(self)
    }

    /// Sets the guard that records used signatures: a [`MemoryReplayGuard`] by default, with its 10 requests per second of each
    /// key. Several nodes need a guard that they share.
    #[must_use]
    pub fn replay_guard(mut self, guard: impl ReplayGuard) -> Self {
        self.replays = Recorder::new(guard, &REPLAY_REASONS);
        self
    }

    /// Creates the layer that reads the body of signed requests, outside of the `AuthLayer`. The bodies of other requests, and
    /// of those whose signature is malformed or not recent, stream through untouched.
    #[must_use]
    pub fn body_layer(&self) -> BodyCheckLayer {
        BodyCheckLayer::new(ReadBody(self.clone()))
    }
}

impl ProofOfPossession for PayloadProof {
    fn method(&self) -> ConfirmationMethod {
        Self::METHOD
    }

    fn read(&self, head: &Head<'_>, _: &Credential<'_>) -> PresentedProof {
        let verifier = Arc::clone(&self.verifier);
        match SignatureFields::read(&verifier.scheme, head) {
            Err(Reason::PAYLOAD_SIGNATURE_MISSING) => PresentedProof::Absent,
            fields => {
                let body = head.extensions.get::<SignedBody>().map(|SignedBody(body)| body.clone());
                PresentedProof::Unverified(Box::new(PresentedSignature { body, fields, verifier }))
            }
        }
    }

    fn mark_used(&self, proof: &VerifiedProof, now: UnixTime) -> Eventual<Result<(), Rejection>> {
        let Some((id, until)) = proof.single_use else { return Eventual::Now(Ok(())) };
        let (_, window) = self.verifier.tolerance.validity(Some(now), now);
        let used = UsedProof::new(proof.thumbprint, id, until, now).with_window(window);
        self.replays.record(&used, refused)
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.replays.observed_by(observer);
        self.verifier.outage.observed_by(observer);
    }
}

impl fmt::Debug for PayloadProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadProof")
            .field("limits", &self.limits)
            .field("scheme", &self.verifier.scheme.name())
            .field("tolerance", &self.verifier.tolerance)
            .finish_non_exhaustive()
    }
}

/// The body of a signed request, which its layer has read.
#[derive(Clone)]
struct SignedBody(Bytes);

/// Reads the bodies of requests whose signature may be valid.
struct ReadBody(PayloadProof);

impl BodyCheck for ReadBody {
    fn limits(&self, head: &Head<'_>) -> Option<BodyLimits> {
        let Self(PayloadProof { clock, limits, verifier, .. }) = self;
        // The body of any other request is not needed: its signature is refused if its credential is bound.
        let fields = SignatureFields::read(&verifier.scheme, head).ok()?;
        verifier.tolerance.is_near(fields.timestamp, clock.now()).then_some(*limits)
    }

    fn check(&self, request: &BufferedRequest<'_>) -> Eventual<Result<Extensions, Rejection>> {
        let mut extensions = Extensions::new();
        extensions.insert(SignedBody(request.body.clone()));
        Eventual::Now(Ok(extensions))
    }
}

/// A signature, and what it covers.
struct PresentedSignature {
    body: Option<Bytes>,
    fields: Result<SignatureFields, Reason>,
    verifier: Arc<Verifier>,
}

impl UnverifiedProof for PresentedSignature {
    /// The request does not say which key has signed it.
    fn verify(&self, _: UnixTime) -> Result<VerifiedProof, Rejection> {
        Err(refused(Reason::PAYLOAD_KEY_UNKNOWN))
    }

    fn verify_bound(&self, thumbprint: &Digest, now: UnixTime) -> Result<VerifiedProof, Rejection> {
        let tolerance = &self.verifier.tolerance;
        let fields = self.fields.as_ref().map_err(|reason| refused(*reason))?;
        tolerance.check(fields.timestamp, now).map_err(refused)?;
        let Some(body) = &self.body else {
            log::error!(
                "the layer of PayloadProof::body_layer is missing outside of AuthLayer, or has another clock; \
                 responding with 500"
            );
            return Err(Rejection::new(RejectionKind::Internal, Reason::PAYLOAD_NOT_READ));
        };
        let keys = self.verifier.find(thumbprint)?;
        if keys.is_empty() {
            return Err(refused(Reason::PAYLOAD_KEY_UNKNOWN));
        }
        fields.verify(&keys, body).ok_or_else(|| refused(Reason::PAYLOAD_SIGNATURE_WRONG))?;
        let (until, _) = tolerance.validity(fields.timestamp, now);
        // By no key: a master secret that is rotated makes nothing new.
        let single_use = Some((fields.id(body), until));
        Ok(VerifiedProof { single_use, ..VerifiedProof::new(*thumbprint) })
    }
}

impl Verifier {
    /// The keys that a credential is bound to.
    fn find(&self, thumbprint: &Digest) -> Result<Vec<PayloadKey>, Rejection> {
        match self.keys.find(thumbprint) {
            Ok(keys) => {
                self.outage.end();
                Ok(keys)
            }
            Err(error) => {
                self.outage.begin(Causes(&error), || {
                    log::warning!(
                        error = %Causes(&error),
                        "the keys of bound credentials are not available; requests are refused with 503 until they are"
                    );
                });
                Err(Rejection::new(RejectionKind::Unavailable, Reason::PAYLOAD_KEYS_UNAVAILABLE))
            }
        }
    }
}

fn refused(reason: Reason) -> Rejection {
    Rejection::new(RejectionKind::InvalidProof, reason)
}
