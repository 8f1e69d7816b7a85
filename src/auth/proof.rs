//! Proofs that a sender possesses what its credential is bound to.

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue};

#[cfg(feature = "audit")]
use crate::notice::Observer;
use crate::{
    Eventual, caller::ConfirmationMethod, digest::Digest, refusal::Rejection, request::Head, scheme::Credential,
    time::UnixTime,
};

/// Proves, by one [method](ConfirmationMethod), that the sender of a request possesses a certificate or key.
///
/// [`CertificateProof`](crate::certificate::CertificateProof) and [`Dpop`](crate::dpop::Dpop) are two;
/// [`AuthLayer::proof`](crate::layer::AuthLayer::proof) takes any number. A credential that is bound by a method is refused
/// unless a proof of that method succeeds, whatever is configured.
///
/// # Examples
///
/// A proof that a gateway has made, and left in the extensions:
///
/// ```
/// use tower_warden::{
///     Digest, Head,
///     auth::{PresentedProof, ProofOfPossession},
///     caller::ConfirmationMethod,
///     scheme::Credential,
/// };
///
/// /// The thumbprint of the key that has signed the request.
/// #[derive(Clone)]
/// struct SignedBy(Digest);
///
/// #[derive(Debug)]
/// struct GatewaySignature;
///
/// impl ProofOfPossession for GatewaySignature {
///     fn method(&self) -> ConfirmationMethod {
///         ConfirmationMethod::KEY
///     }
///
///     fn read(&self, head: &Head<'_>, _: &Credential<'_>) -> PresentedProof {
///         match head.extensions.get::<SignedBy>() {
///             Some(SignedBy(thumbprint)) => PresentedProof::Verified(*thumbprint),
///             None => PresentedProof::Absent,
///         }
///     }
/// }
///
/// let mut request = http::Request::new(());
/// let token = Credential::access_token("token");
/// assert!(matches!(GatewaySignature.read(&Head::from(&request), &token), PresentedProof::Absent));
/// request.extensions_mut().insert(SignedBy(Digest::of(b"key")));
/// assert!(matches!(GatewaySignature.read(&Head::from(&request), &token), PresentedProof::Verified(_)));
/// ```
pub trait ProofOfPossession: fmt::Debug + Send + Sync + 'static {
    /// The member of `cnf` that is proved.
    fn method(&self) -> ConfirmationMethod;

    /// Returns whether a credential under the scheme with this name must be bound by this method, as under `DPoP`.
    fn is_required_under(&self, scheme: &str) -> bool {
        let _ = scheme;
        false
    }

    /// Takes from the request what the verification needs. Called before the credential is verified.
    fn read(&self, head: &Head<'_>, credential: &Credential<'_>) -> PresentedProof;

    /// Marks a proof as used, after everything else about its request was found valid.
    ///
    /// # Errors
    ///
    /// If the proof was used before, or if that is unknown.
    fn mark_used(&self, proof: &VerifiedProof, now: UnixTime) -> Eventual<Result<(), Rejection>> {
        let _ = (proof, now);
        Eventual::Now(Ok(()))
    }

    /// Reports outages of what records used proofs to the observer of the layer's environment, from now on. By default, it
    /// reports none.
    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn Observer>) {
        let _ = observer;
    }
}

impl<P: ProofOfPossession + ?Sized> ProofOfPossession for Arc<P> {
    fn method(&self) -> ConfirmationMethod {
        (**self).method()
    }

    fn is_required_under(&self, scheme: &str) -> bool {
        (**self).is_required_under(scheme)
    }

    fn read(&self, head: &Head<'_>, credential: &Credential<'_>) -> PresentedProof {
        (**self).read(head, credential)
    }

    fn mark_used(&self, proof: &VerifiedProof, now: UnixTime) -> Eventual<Result<(), Rejection>> {
        (**self).mark_used(proof, now)
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn Observer>) {
        (**self).observed_by(observer);
    }
}

/// The proof that a request presents, or the lack of one.
#[non_exhaustive]
pub enum PresentedProof {
    /// Nothing of this method.
    Absent,
    /// A proof that is verified once the credential is known to be valid, and bound by this method.
    Unverified(Box<dyn UnverifiedProof>),
    /// The thumbprint of what the sender has proved already to possess, such as the certificate of the connection.
    Verified(Digest),
}

impl fmt::Debug for PresentedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Unverified(_) => "Unverified(..)",
            Self::Verified(_) => "Verified(..)",
        })
    }
}

/// A proof that was read from a request.
///
/// # Examples
///
/// ```
/// use tower_warden::{Digest, Reason, Rejection, RejectionKind, UnixTime, auth::{UnverifiedProof, VerifiedProof}};
///
/// /// A signature of the request, and the key that was sent with it.
/// struct Signature {
///     key: Vec<u8>,
///     is_correct: bool,
/// }
///
/// impl UnverifiedProof for Signature {
///     fn verify(&self, _: UnixTime) -> Result<VerifiedProof, Rejection> {
///         if self.is_correct {
///             Ok(VerifiedProof::new(Digest::of(&self.key)))
///         } else {
///             Err(Rejection::new(RejectionKind::InvalidProof, Reason::custom("request_signature")))
///         }
///     }
/// }
///
/// let now = UnixTime::from_secs(1_800_000_000);
/// assert!(Signature { key: vec![1], is_correct: true }.verify(now).is_ok());
/// assert!(Signature { key: vec![1], is_correct: false }.verify(now).is_err());
/// ```
pub trait UnverifiedProof: Send + Sync {
    /// Verifies it.
    ///
    /// # Errors
    ///
    /// If it is missing or invalid: [`InvalidProof`](crate::RejectionKind::InvalidProof), or
    /// [`NonceRequired`](crate::RejectionKind::NonceRequired).
    fn verify(&self, now: UnixTime) -> Result<VerifiedProof, Rejection>;

    /// Verifies it for a credential that is bound to this thumbprint, by which a key is found that the request does not carry.
    /// By default, the thumbprint is not needed.
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Self::verify), and [`Unavailable`](crate::RejectionKind::Unavailable) if the key cannot be found out.
    fn verify_bound(&self, thumbprint: &Digest, now: UnixTime) -> Result<VerifiedProof, Rejection> {
        let _ = thumbprint;
        self.verify(now)
    }
}

/// A proof that was verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifiedProof {
    /// The thumbprint of what the sender possesses.
    pub thumbprint: Digest,
    /// The id of a proof that may be used once: its id among the proofs of this thumbprint, and the last second in which it
    /// is valid.
    pub single_use: Option<(Digest, UnixTime)>,
    /// Further proofs of the same request, by any of which it would be accepted again: they are marked as used with the first
    /// one.
    pub also_used: Vec<(Digest, UnixTime)>,
    /// The address of the replay guard that records the ids; `None` if none does, or if each proof of a request is for one
    /// credential.
    pub(crate) guard: Option<usize>,
    /// Header fields that the response gets, such as the nonce for the next proof.
    pub response_fields: Vec<(HeaderName, HeaderValue)>,
}

impl VerifiedProof {
    /// A proof of possession that may be used any number of times.
    #[must_use]
    pub const fn new(thumbprint: Digest) -> Self {
        Self { thumbprint, single_use: None, also_used: Vec::new(), guard: None, response_fields: Vec::new() }
    }
}
