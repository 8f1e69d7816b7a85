//! Revocations.

use std::time::Duration;

use super::{
    error::{RevocationError, RevocationErrorKind},
    name::{NameKind, RevocationName},
};
use crate::{caller::Principal, environment::Environment, time::UnixTime};

/// The credentials that a revocation covers.
///
/// Issuers, subjects and ids are compared byte for byte. Those of tokens belong to one issuer: two issuers can use the
/// same ids. A list refuses a revocation that needs an issuer and has none, and one of an empty name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revocation {
    name: RevocationName<'static>,
    issued_until: UnixTime,
}

impl Revocation {
    /// The time for which a list stores a revocation longer than requested: ten minutes.
    ///
    /// Half of it is for [`Identity::skew`](crate::Identity::skew), the tolerance for the clocks of issuers. The other half is for requests that
    /// arrive before a credential expires and are decided later.
    pub const GRACE: Duration = Duration::from_secs(600);

    /// The time for which a token or session is revoked if it is not known when it expires: 400 days.
    ///
    /// A token that an issuer's rules allow to live [longer](crate::jwt::Issuer::max_lifetime) needs a known end.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(400 * 24 * 60 * 60);

    /// The credential of this caller, without those that it was exchanged for or from.
    ///
    /// It is named by the id of its key or token, otherwise by its session, otherwise as one of the [tokens of its
    /// subject](Self::subject_tokens) that were issued up to the same second. `None` if it has no issuer either, as a client
    /// certificate alone.
    ///
    /// # Examples
    ///
    /// A handler that logs the caller out:
    ///
    /// ```
    /// use tower_warden::{
    ///     Principal,
    ///     revocation::{MemoryRevocationList, Revocation, RevocationError},
    /// };
    ///
    /// fn log_out(caller: &Principal, list: &MemoryRevocationList) -> Result<(), RevocationError> {
    ///     match Revocation::of(caller) {
    ///         Some(revocation) => list.revoke(revocation, caller.expires_at()),
    ///         None => Ok(()),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn of(caller: &Principal) -> Option<Self> {
        let named = |id: &&str| !id.is_empty();
        if let Some(id) = caller.key_id().filter(named) {
            return Some(Self::new(RevocationName::owned(NameKind::of_key(caller.method()), "", id), ANY_TIME));
        }
        let issuer = caller.issuer().filter(named)?;
        Some(match (caller.token_id().filter(named), caller.session_id().filter(named)) {
            (Some(id), _) => Self::token(issuer, id),
            (None, Some(id)) => Self::session(issuer, id),
            (None, None) => {
                let issued_at = caller.issued_at().unwrap_or_else(|| caller.admitted_at());
                Self::subject_tokens(issuer, caller.subject(), issued_at)
            }
        })
    }

    /// All credentials that were issued to a client, up to and including the second `issued_until`. See
    /// [`subject`](Self::subject).
    #[must_use]
    pub fn client(issuer: impl Into<String>, client_id: impl Into<String>, issued_until: UnixTime) -> Self {
        Self::new(RevocationName::owned(NameKind::Client, issuer, client_id), issued_until)
    }

    /// The API key with this id.
    ///
    /// [`ApiKeys::revoke`](crate::api_key::ApiKeys::revoke) revokes a key permanently. This revocation makes nodes refuse a
    /// key independently of the key store, for example while that is unavailable.
    #[must_use]
    pub fn key(id: impl Into<String>) -> Self {
        Self::new(RevocationName::owned(NameKind::Key, "", id), ANY_TIME)
    }

    /// All API keys of an owner that were issued up to and including the second `issued_until`, in every tenant, and the keys
    /// by which this owner signs requests.
    ///
    /// To revoke the keys permanently, use [`ApiKeys`](crate::api_key::ApiKeys): this revocation ends at some time.
    #[must_use]
    pub fn owner(owner: impl Into<String>, issued_until: UnixTime) -> Self {
        Self::new(RevocationName::owned(NameKind::Owner, "", owner), issued_until)
    }

    /// All tokens of this session: the claim `sid`.
    #[must_use]
    pub fn session(issuer: impl Into<String>, session_id: impl Into<String>) -> Self {
        Self::new(RevocationName::owned(NameKind::Session, issuer, session_id), ANY_TIME)
    }

    /// The key with this id that [signs requests](crate::AuthMethod::Signature): the `keyid` of its signatures, unless its
    /// holder's [identity](crate::Identity::key_id) has another one.
    ///
    /// An API key with the same id is not revoked.
    #[must_use]
    pub fn signature_key(id: impl Into<String>) -> Self {
        Self::new(RevocationName::owned(NameKind::SignatureKey, "", id), ANY_TIME)
    }

    /// All credentials of a subject that were issued up to and including the second `issued_until`: its tokens of this
    /// issuer, and keys whose [owner](Self::owner) has this name, in every tenant.
    ///
    /// Keys have no issuer. To revoke the keys alone, use [`owner`](Self::owner); to revoke the tokens alone,
    /// [`subject_tokens`](Self::subject_tokens).
    ///
    /// The whole second is included, because times in seconds do not order events within it. The time is that of the
    /// issuer's clock: if it may be ahead of the local clock, add the difference. A token without an issue time is
    /// covered by every revocation of its subject.
    #[must_use]
    pub fn subject(issuer: impl Into<String>, subject: impl Into<String>, issued_until: UnixTime) -> Self {
        Self::new(RevocationName::owned(NameKind::Subject, issuer, subject), issued_until)
    }

    /// All tokens of a subject of this issuer that were issued up to and including the second `issued_until`, and no API keys.
    /// See [`subject`](Self::subject).
    #[must_use]
    pub fn subject_tokens(issuer: impl Into<String>, subject: impl Into<String>, issued_until: UnixTime) -> Self {
        Self::new(RevocationName::owned(NameKind::SubjectTokens, issuer, subject), issued_until)
    }

    /// All credentials of a tenant that were issued up to and including the second `issued_until`, of every issuer, and
    /// API keys.
    #[must_use]
    pub fn tenant(tenant: impl Into<String>, issued_until: UnixTime) -> Self {
        Self::new(RevocationName::owned(NameKind::Tenant, "", tenant), issued_until)
    }

    /// The token with this id: the claim `jti`,
    /// [RFC 7519 §4.1.7](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.7).
    #[must_use]
    pub fn token(issuer: impl Into<String>, token_id: impl Into<String>) -> Self {
        Self::new(RevocationName::owned(NameKind::Token, issuer, token_id), ANY_TIME)
    }

    /// All credentials with this name that were issued up to and including the second `issued_until`: a revocation read
    /// from a store.
    #[must_use]
    pub const fn new(name: RevocationName<'static>, issued_until: UnixTime) -> Self {
        Self { name, issued_until }
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &RevocationName<'static> {
        &self.name
    }

    /// All names to store, of which one is enough to cover a credential: the [name](Self::name), and for a subject also
    /// that of its API keys.
    pub fn names(&self) -> impl Iterator<Item = RevocationName<'_>> {
        [Some(self.name.borrowed()), self.name.as_owner()].into_iter().flatten()
    }

    /// Checks that a list can store the revocation.
    ///
    /// # Errors
    ///
    /// If the name is longer than [`RevocationName::MAX_LEN`], if it needs an issuer and has none, or if it is empty: it would
    /// match no credential.
    pub fn ensure_storable(&self) -> Result<(), RevocationError> {
        if self.name.len() > RevocationName::MAX_LEN {
            Err(RevocationError::new(RevocationErrorKind::TooLong))
        } else if self.name.kind().has_issuer() && self.name.issuer().is_empty() {
            Err(RevocationError::new(RevocationErrorKind::NoIssuer))
        } else if self.name.id().is_empty() {
            Err(RevocationError::new(RevocationErrorKind::NoName))
        } else {
            Ok(())
        }
    }

    /// Reports the revocation to the receiver of notices of an environment, if that has one: for a
    /// [`RevocationList`](super::RevocationList), after it has stored the revocation or failed to.
    ///
    /// One that may have been stored, because the store is [unavailable](RevocationErrorKind::Unavailable), is reported as
    /// such. One that was not stored is not reported. Without the feature `audit`, this does nothing.
    pub fn report_to(&self, environment: &Environment, outcome: &Result<(), RevocationError>) {
        #[cfg(feature = "audit")]
        if let Some(observer) = environment.observer() {
            let outcome = match outcome.as_ref().map_err(|error| error.kind()) {
                Ok(()) => crate::notice::ChangeOutcome::Done,
                Err(RevocationErrorKind::Unavailable) => crate::notice::ChangeOutcome::Unknown,
                Err(_) => return,
            };
            observer.observe(self.name.notice(outcome));
        }
        #[cfg(not(feature = "audit"))]
        let _ = (environment, outcome);
    }

    /// The end of the revocation, if it is not known when the last of the named credentials expires.
    ///
    /// Tokens and sessions are revoked for [`DEFAULT_LIFETIME`](Self::DEFAULT_LIFETIME). Names that may cover keys are
    /// revoked without an end, because a key may never expire.
    #[must_use]
    pub fn default_end(&self, now: UnixTime) -> UnixTime {
        match self.name.kind() {
            NameKind::Client | NameKind::Session | NameKind::SubjectTokens | NameKind::Token => {
                now + Self::DEFAULT_LIFETIME
            }
            NameKind::Key | NameKind::Owner | NameKind::SignatureKey | NameKind::Subject | NameKind::Tenant => ANY_TIME,
        }
    }

    /// The last second of issue that is covered; the maximum [`UnixTime`] if all are.
    #[must_use]
    pub const fn issued_until(&self) -> UnixTime {
        self.issued_until
    }

    pub(super) fn into_parts(self) -> (RevocationName<'static>, UnixTime) {
        (self.name, self.issued_until)
    }
}

const ANY_TIME: UnixTime = UnixTime::from_secs(u64::MAX);
