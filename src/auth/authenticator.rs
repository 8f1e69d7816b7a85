use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use http::HeaderName;

use super::proof::ProofOfPossession;
#[cfg(feature = "audit")]
use crate::notice::Observer;
use crate::{
    Eventual,
    caller::Identity,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
    scheme::{Credential, MAX_CREDENTIAL_BYTES, Scheme},
    time::{Moment, UnixTime},
};
#[cfg(any(feature = "api-key", feature = "jwt"))]
use crate::{
    cache::{CredentialCache, Tagged},
    digest::Digest,
};

/// A credential that is presented to an [`Authenticator`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Presented<'a> {
    /// The credential.
    pub credential: Credential<'a>,
    /// The request without its body.
    pub head: Head<'a>,
    /// The time at which the request arrived.
    pub now: UnixTime,
    /// The header fields that carry the other credential of the request, if callers
    /// [act for](crate::layer::AuthLayer::acting_for) a subject: a signature of the request covers them.
    pub other_fields: &'a [HeaderName],
    /// The same time by [`Clock::steady`](crate::Clock::steady), which caches compare as well.
    pub steady: UnixTime,
    /// Set if the verdict is from a cache, so that nothing was verified.
    #[cfg_attr(
        not(any(feature = "api-key", feature = "jwt")),
        expect(dead_code, reason = "no authenticator has a cache")
    )]
    is_cached: Option<&'a AtomicBool>,
}

impl<'a> Presented<'a> {
    /// A presented credential; for tests of an authenticator.
    #[must_use]
    pub const fn new(credential: Credential<'a>, head: Head<'a>, now: UnixTime) -> Self {
        Self { credential, head, now, other_fields: &[], steady: now, is_cached: None }
    }

    pub(super) const fn arrived(
        credential: Credential<'a>,
        other_fields: &'a [HeaderName],
        head: Head<'a>,
        moment: Moment,
        is_cached: &'a AtomicBool,
    ) -> Self {
        let Moment { now, steady, .. } = moment;
        Self { credential, head, now, other_fields, steady, is_cached: Some(is_cached) }
    }

    /// Returns what a cache has of the credential, or its digest. One that this thread has not seen is checked first, so that
    /// a refusal for its form needs no digest.
    #[cfg(any(feature = "api-key", feature = "jwt"))]
    pub(crate) fn cached<V: Tagged>(
        &self,
        cache: &CredentialCache<V>,
        check_form: impl FnOnce() -> Result<(), Reason>,
    ) -> Result<Result<V, Reason>, Digest> {
        let (text, arrival) = (self.credential.text(), self.arrival());
        let cached = match cache.recall(text, arrival) {
            Ok(value) => Ok(value),
            Err(fingerprint) => match check_form() {
                Ok(()) => {
                    let digest = Digest::of(text.as_bytes());
                    cache.find(fingerprint, &digest, arrival).ok_or(digest)?
                }
                Err(reason) => Err(reason),
            },
        };
        if let (Ok(_), Some(is_cached)) = (&cached, self.is_cached) {
            is_cached.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(cached)
    }

    /// The times that caches compare.
    #[cfg(any(feature = "api-key", feature = "jwt"))]
    pub(crate) const fn arrival(&self) -> crate::time::Arrival {
        crate::time::Arrival { now: self.now, steady: self.steady }
    }
}

/// Verifies credentials of one kind.
///
/// [`accepts`](Self::accepts) routes by form, [`authenticate`](Self::authenticate) verifies by content: of several
/// authenticators, the first that accepts a credential decides alone, so an invalid credential never falls through to the
/// next.
///
/// # Examples
///
/// ```
/// use std::{convert::Infallible, sync::Arc};
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_warden::{
///     AuthMethod, Authenticator, Eventual, Identity, Presented, Reason, Rejection, RejectionKind,
///     layer::AuthLayer,
///     scheme::{Bearer, Credential, CredentialKind, Scheme},
/// };
///
/// /// Callers that a test names: the token is the subject.
/// struct Named(&'static [&'static str]);
///
/// impl Authenticator for Named {
///     fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
///         vec![Arc::new(Bearer::default())]
///     }
///
///     fn accepts(&self, credential: &Credential<'_>) -> bool {
///         credential.kind() == CredentialKind::AccessToken
///     }
///
///     fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
///         let name = presented.credential.text();
///         Eventual::Now(if self.0.contains(&name) {
///             Ok(Arc::new(Identity::new(name, AuthMethod::Custom("named"))))
///         } else {
///             Err(Rejection::new(RejectionKind::Invalid, const { Reason::custom("name_unknown") }))
///         })
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let service = AuthLayer::new(Named(&["alice"]))
///     .layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))));
/// let call = |name: &str| {
///     let request = Request::builder().header("authorization", format!("Bearer {name}"));
///     service.clone().oneshot(request.body(()).expect("a request"))
/// };
/// assert_eq!(call("alice").await?.status(), 200);
/// assert_eq!(call("mallory").await?.status(), 401);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Authenticator: Send + Sync + 'static {
    /// The schemes under which it takes credentials.
    fn schemes(&self) -> Vec<Arc<dyn Scheme>>;

    /// The proofs of possession that its credentials always need; [`AuthLayer::proof`](crate::layer::AuthLayer::proof) adds
    /// others.
    fn proofs(&self) -> Vec<Arc<dyn ProofOfPossession>> {
        Vec::new()
    }

    /// The length of the longest credential that the layer reads for it, in bytes: 16 KiB by default. A layer with several
    /// authenticators reads the longest that one of them takes; longer ones are refused with 400.
    ///
    /// The server must accept header fields of that length as well: HTTP/2 in hyper, for example, limits all fields of a
    /// request together to 16 KiB unless it is configured otherwise.
    fn max_credential_bytes(&self) -> usize {
        MAX_CREDENTIAL_BYTES
    }

    /// Returns whether the credential has the kind and form that this authenticator verifies.
    fn accepts(&self, credential: &Credential<'_>) -> bool;

    /// Verifies the credential. What it needs of the request's head is read before it returns `Later`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](RejectionKind::Invalid) for an invalid credential, and [`Unavailable`](RejectionKind::Unavailable) if a
    /// dependency did not answer.
    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>>;

    /// Reports outages of what the authenticator depends on to the observer of the layer's environment, from now on. By
    /// default, it reports none.
    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn Observer>) {
        let _ = observer;
    }
}

impl<A: Authenticator + ?Sized> Authenticator for Arc<A> {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        (**self).schemes()
    }

    fn proofs(&self) -> Vec<Arc<dyn ProofOfPossession>> {
        (**self).proofs()
    }

    fn max_credential_bytes(&self) -> usize {
        (**self).max_credential_bytes()
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        (**self).accepts(credential)
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        (**self).authenticate(presented)
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn Observer>) {
        (**self).observed_by(observer);
    }
}

/// Any number of authenticators, of different types as `Vec<Arc<dyn Authenticator>>`.
impl<A: Authenticator> Authenticator for Vec<A> {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        self.iter().flat_map(Authenticator::schemes).collect()
    }

    fn proofs(&self) -> Vec<Arc<dyn ProofOfPossession>> {
        self.iter().flat_map(Authenticator::proofs).collect()
    }

    fn max_credential_bytes(&self) -> usize {
        self.iter().map(Authenticator::max_credential_bytes).max().unwrap_or(MAX_CREDENTIAL_BYTES)
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        self.iter().any(|authenticator| authenticator.accepts(credential))
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        match self.iter().find(|authenticator| authenticator.accepts(&presented.credential)) {
            Some(authenticator) => authenticator.authenticate(presented),
            None => Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, Reason::CREDENTIAL_NOT_ACCEPTED))),
        }
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn Observer>) {
        self.iter().for_each(|authenticator| authenticator.observed_by(observer));
    }
}

macro_rules! tuples {
    ($(($($first:ident $field:tt),* ; $last:ident $end:tt))+) => {$(
        impl<$($first: Authenticator,)* $last: Authenticator> Authenticator for ($($first,)* $last,) {
            fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
                [$(self.$field.schemes(),)* self.$end.schemes()].concat()
            }

            fn proofs(&self) -> Vec<Arc<dyn ProofOfPossession>> {
                [$(self.$field.proofs(),)* self.$end.proofs()].concat()
            }

            fn max_credential_bytes(&self) -> usize {
                self.$end.max_credential_bytes()$(.max(self.$field.max_credential_bytes()))*
            }

            fn accepts(&self, credential: &Credential<'_>) -> bool {
                $(self.$field.accepts(credential) ||)* self.$end.accepts(credential)
            }

            fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
                $(if self.$field.accepts(&presented.credential) {
                    return self.$field.authenticate(presented);
                })*
                self.$end.authenticate(presented)
            }

            #[cfg(feature = "audit")]
            fn observed_by(&self, observer: &Arc<dyn Observer>) {
                $(self.$field.observed_by(observer);)*
                self.$end.observed_by(observer);
            }
        }
    )+};
}

// A `Vec` takes more.
tuples! {
    (; A 0)
    (A 0; B 1)
    (A 0, B 1; C 2)
    (A 0, B 1, C 2; D 3)
    (A 0, B 1, C 2, D 3; E 4)
    (A 0, B 1, C 2, D 3, E 4; F 5)
}

impl fmt::Debug for dyn Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}
