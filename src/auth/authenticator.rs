//! Who verifies a credential.

use std::{fmt, sync::Arc};

use crate::{Eventual, caller::Identity, refusal::Rejection, request::Head, scheme::Credential, time::UnixTime};

/// What an authenticator is shown.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Presented<'a> {
    /// The one credential of the request.
    pub credential: Credential<'a>,
    /// The request.
    pub head: Head<'a>,
    /// When the request came.
    pub now: UnixTime,
}

impl<'a> Presented<'a> {
    /// Shows a credential; for tests of an authenticator.
    #[must_use]
    pub const fn new(credential: Credential<'a>, head: Head<'a>, now: UnixTime) -> Self {
        Self { credential, head, now }
    }
}

/// Verifies credentials of one kind.
///
/// [`accepts`](Self::accepts) routes by form, [`authenticate`](Self::authenticate) verifies by content: a tuple of
/// authenticators asks the first that accepts and no other, so a bad credential never falls through to the next.
pub trait Authenticator: Send + Sync + 'static {
    /// Whether the credential has the form that this authenticator verifies.
    fn accepts(&self, credential: &Credential<'_>) -> bool;

    /// Verifies the credential; what needs the request's head is read before the first `Later`.
    ///
    /// An error is [`Invalid`](crate::RejectionKind::Invalid) for a bad credential and
    /// [`Unavailable`](crate::RejectionKind::Unavailable) if a backend could not answer.
    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>>;
}

impl<A: Authenticator + ?Sized> Authenticator for Arc<A> {
    fn accepts(&self, credential: &Credential<'_>) -> bool {
        (**self).accepts(credential)
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        (**self).authenticate(presented)
    }
}

macro_rules! tuples {
    ($(($($first:ident $field:tt),* ; $last:ident $end:tt))+) => {$(
        impl<$($first: Authenticator,)* $last: Authenticator> Authenticator for ($($first,)* $last,) {
            fn accepts(&self, credential: &Credential<'_>) -> bool {
                $(self.$field.accepts(credential) ||)* self.$end.accepts(credential)
            }

            fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
                $(if self.$field.accepts(&presented.credential) {
                    return self.$field.authenticate(presented);
                })*
                self.$end.authenticate(presented)
            }
        }
    )+};
}

tuples! {
    (; A 0)
    (A 0; B 1)
    (A 0, B 1; C 2)
    (A 0, B 1, C 2; D 3)
}

impl fmt::Debug for dyn Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}
