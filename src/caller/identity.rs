use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use super::{
    confirmation::Confirmation,
    method::{Actor, AuthMethod},
    recheck::Recheck,
    single_use::SingleUse,
};
use crate::{request::Network, scope::Scopes, time::UnixTime};

/// The assertion of an authenticator about a caller, before the checks of the layer.
///
/// Only [`AuthLayer`](crate::layer::AuthLayer) makes it a [`Principal`](super::Principal), after it has checked expiry,
/// possession, networks and revocation. It does so on each request, whether the identity comes from a cache or not.
#[derive(Clone)]
#[non_exhaustive]
pub struct Identity {
    /// The authentication context class: how the subject authenticated to the issuer
    /// ([RFC 9470 §6](https://www.rfc-editor.org/rfc/rfc9470#section-6)).
    pub acr: Option<Box<str>>,
    /// The actor, if it is not the subject itself, then the actors before it
    /// ([RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1)).
    pub actors: Vec<Actor>,
    /// The audience for which the token was accepted
    /// ([RFC 7519 §4.1.3](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3)).
    pub audience: Option<Box<str>>,
    /// The time at which the subject authenticated to the issuer
    /// ([RFC 9470 §6](https://www.rfc-editor.org/rfc/rfc9470#section-6)).
    pub auth_time: Option<UnixTime>,
    /// The claims of the token, as JSON: an object.
    pub claims: Option<Box<str>>,
    /// The OAuth client that the token was issued to
    /// ([RFC 8693 §4.3](https://www.rfc-editor.org/rfc/rfc8693#section-4.3)).
    pub client_id: Option<Box<str>>,
    /// The certificate or key that it is bound to; `None` for a bearer credential.
    pub confirmation: Option<Confirmation>,
    /// The second from which on it is refused.
    pub expires_at: Option<UnixTime>,
    /// The time at which it was issued.
    pub issued_at: Option<UnixTime>,
    /// The issuer of the token ([RFC 7519 §4.1.1](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.1)).
    pub issuer: Option<Box<str>>,
    /// The id of the API key, or for the method [`Signature`](AuthMethod::Signature) of the key that has signed the request.
    pub key_id: Option<Box<str>>,
    /// Values that the issuer attached to the credential.
    pub metadata: BTreeMap<Box<str>, Box<str>>,
    /// The method by which the caller authenticated.
    pub method: AuthMethod,
    /// The networks it may be used from; empty for any.
    pub networks: Vec<Network>,
    /// The roles of the subject
    /// ([RFC 9068 §2.2.3.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3.1)).
    pub roles: Vec<Box<str>>,
    /// The granted scopes.
    pub scopes: Scopes,
    /// The session in which the token was issued: the claim `sid`.
    pub session_id: Option<Box<str>>,
    /// The allowed clock skew of the issuer, in whole seconds: it is refused that much later than `expires_at`.
    pub skew: Duration,
    /// The subject that the caller acts for.
    pub subject: Box<str>,
    /// The tenant of the subject.
    pub tenant: Option<Box<str>>,
    /// The tier, by which rate limits are chosen.
    pub tier: Option<Box<str>>,
    /// The id of the token: the claim `jti`
    /// ([RFC 7519 §4.1.7](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.7)).
    pub token_id: Option<Box<str>>,
    /// Called for each admitted request.
    pub on_admission: Option<Arc<dyn OnAdmission>>,
    /// Checks the credential again while a long response is sent; `None` if it is valid until it expires.
    pub recheck: Option<Arc<dyn Recheck>>,
    /// Marks a credential that may be used once; `None` for one that may be used again.
    pub single_use: Option<Arc<dyn SingleUse>>,
}

/// Called for each admitted request, for example to record when a credential was last used.
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use tower_warden::{AuthMethod, Identity, UnixTime, caller::OnAdmission};
///
/// /// The last use of a credential, in seconds since 1970.
/// #[derive(Default)]
/// struct LastUse(AtomicU64);
///
/// impl OnAdmission for LastUse {
///     fn admitted(&self, now: UnixTime) {
///         self.0.fetch_max(now.as_secs(), Ordering::Relaxed);
///     }
/// }
///
/// let mut identity = Identity::new("alice", AuthMethod::Custom("session"));
/// identity.on_admission = Some(Arc::new(LastUse::default()));
/// ```
pub trait OnAdmission: Send + Sync {
    /// Called when a request was admitted; it must not block.
    fn admitted(&self, now: UnixTime);
}

impl Identity {
    /// An identity that never expires, may be used from any network, and has no scope.
    #[must_use]
    pub fn new(subject: impl Into<Box<str>>, method: AuthMethod) -> Self {
        Self {
            acr: None,
            actors: Vec::new(),
            audience: None,
            auth_time: None,
            claims: None,
            client_id: None,
            confirmation: None,
            expires_at: None,
            issued_at: None,
            issuer: None,
            key_id: None,
            metadata: BTreeMap::new(),
            method,
            networks: Vec::new(),
            roles: Vec::new(),
            scopes: Scopes::default(),
            session_id: None,
            skew: Duration::ZERO,
            subject: subject.into(),
            tenant: None,
            tier: None,
            token_id: None,
            on_admission: None,
            recheck: None,
            single_use: None,
        }
    }

    /// The approximate size in memory, in bytes, with what allocations cost; by it, caches are bounded.
    #[cfg(any(feature = "api-key", feature = "jwt"))]
    pub(crate) fn size_in_memory(&self) -> usize {
        const ALLOCATION: usize = 16;
        let text = |text: &str| size_of::<Box<str>>() + ALLOCATION + text.len();
        let optional = |value: &Option<Box<str>>| value.as_deref().map_or(0, |value| ALLOCATION + value.len());
        let own =
            [&self.acr, &self.claims, &self.client_id, &self.issuer, &self.key_id, &self.session_id, &self.tenant];
        let lists = self.scopes.iter().map(|scope| size_of_val(scope) + ALLOCATION + scope.as_str().len());
        let lists = lists.chain(self.roles.iter().map(|role| text(role)));
        let lists = lists.chain(self.metadata.iter().map(|(name, value)| text(name) + text(value)));
        let lists = lists.chain(self.networks.iter().map(size_of_val));
        let actors = self.actors.iter().map(|actor| {
            size_of_val(actor) + ALLOCATION + actor.subject.len() + actor.issuer.as_deref().map_or(0, str::len)
        });
        size_of_val(self)
            + text(&self.subject)
            + own.into_iter().chain([&self.tier, &self.token_id]).map(optional).sum::<usize>()
            + lists.chain(actors).sum::<usize>()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the claims: they may hold anything.
        f.debug_struct("Identity")
            .field("acr", &self.acr)
            .field("actors", &self.actors)
            .field("audience", &self.audience)
            .field("auth_time", &self.auth_time)
            .field("client_id", &self.client_id)
            .field("confirmation", &self.confirmation)
            .field("expires_at", &self.expires_at)
            .field("issued_at", &self.issued_at)
            .field("issuer", &self.issuer)
            .field("key_id", &self.key_id)
            .field("metadata", &self.metadata)
            .field("method", &self.method)
            .field("networks", &self.networks)
            .field("roles", &self.roles)
            .field("scopes", &self.scopes)
            .field("session_id", &self.session_id)
            .field("subject", &self.subject)
            .field("tenant", &self.tenant)
            .field("tier", &self.tier)
            .field("token_id", &self.token_id)
            .finish_non_exhaustive()
    }
}
