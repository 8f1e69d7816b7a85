use std::{collections::HashMap, fmt, sync::Arc};

#[cfg(feature = "audit")]
use crate::notice::Observer;
use crate::{Eventual, caller::Identity, error::Unavailable, jwt::VerifyingKey, time::UnixTime};

/// The parameters of a signature that identify its key. None of them is verified.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SignatureKeyRequest<'a> {
    /// The normalised URL of the directory in `Signature-Agent`, if the signature covers it and the policy is that of
    /// [Web Bot Auth](super::SignaturePolicy::web_bot_auth). A key counts only in its own directory.
    pub agent: Option<&'a str>,
    /// The parameter `keyid`, up to 256 bytes.
    pub key_id: &'a str,
    /// The time of the request.
    pub now: UnixTime,
}

impl<'a> SignatureKeyRequest<'a> {
    /// A request for a key; for tests of a key source.
    #[must_use]
    pub const fn new(key_id: &'a str, now: UnixTime) -> Self {
        Self { agent: None, key_id, now }
    }

    /// Sets the directory, for tests of a key source.
    #[must_use]
    pub const fn with_agent(mut self, agent: Option<&'a str>) -> Self {
        self.agent = agent;
        self
    }
}

/// A key, and the identity of its holder, with scopes and tenant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KnownKey {
    /// The holder. Its [method](Identity::method) becomes [`Signature`](crate::AuthMethod::Signature).
    ///
    /// Its [time of issue](Identity::issued_at) is that at which the holder was given the key. Without one, every
    /// [revocation](crate::revocation) of its tenant, subject or owner covers it, even one that is limited to credentials that
    /// were issued before a time.
    pub identity: Arc<Identity>,
    /// The key.
    pub key: Arc<VerifyingKey>,
}

impl KnownKey {
    /// A key of this holder.
    #[must_use]
    pub const fn new(key: Arc<VerifyingKey>, identity: Arc<Identity>) -> Self {
        Self { identity, key }
    }
}

/// Looks up keys that sign requests, such as those of agents.
///
/// [`SignatureKeyMap`] is a fixed directory; implement this trait for one that changes.
///
/// # Examples
///
/// ```
/// use std::{collections::HashMap, sync::{Arc, RwLock}};
/// use tower_warden::{
///     Eventual, Unavailable, UnixTime,
///     signature::{KnownKey, SignatureKeyRequest, SignatureKeys},
/// };
///
/// #[derive(Default)]
/// struct Agents(RwLock<HashMap<String, KnownKey>>);
///
/// impl SignatureKeys for Agents {
///     fn find(&self, request: &SignatureKeyRequest<'_>) -> Eventual<Result<Option<KnownKey>, Unavailable>> {
///         Eventual::Now(Ok(self.0.read().expect("no panic while locked").get(request.key_id).cloned()))
///     }
/// }
///
/// let unknown = SignatureKeyRequest::new("agent-7", UnixTime::from_secs(1_800_000_000));
/// assert!(matches!(Agents::default().find(&unknown), Eventual::Now(Ok(None))));
/// ```
pub trait SignatureKeys: Send + Sync + 'static {
    /// Returns the key with this id, or `None` if it is unknown.
    ///
    /// The identity is that of the holder of the key. A key must not be found under an id that its holder has not been given:
    /// the id comes from the client.
    ///
    /// # Errors
    ///
    /// If the source does not answer; the request is refused with 503.
    fn find(&self, request: &SignatureKeyRequest<'_>) -> Eventual<Result<Option<KnownKey>, Unavailable>>;

    /// Reports outages to the observer of the layer's environment, from now on. By default, it reports none.
    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn Observer>) {
        let _ = observer;
    }
}

impl<K: SignatureKeys + ?Sized> SignatureKeys for Arc<K> {
    fn find(&self, request: &SignatureKeyRequest<'_>) -> Eventual<Result<Option<KnownKey>, Unavailable>> {
        (**self).find(request)
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn Observer>) {
        (**self).observed_by(observer);
    }
}

/// A fixed directory of keys by their ids.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     AuthMethod, Identity,
///     jwt::{Algorithm, VerifyingKey},
///     scope::Scopes,
///     signature::SignatureKeyMap,
/// };
///
/// let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// let mut agent = Identity::new("agent-7", AuthMethod::Signature);
/// agent.scopes = Scopes::parse("billing:read")?;
/// let keys = SignatureKeyMap::default().with("agent-7-2026", VerifyingKey::from_jwk(jwk)?, agent);
/// assert_eq!(format!("{keys:?}"), r#"SignatureKeyMap(["agent-7-2026"])"#);
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct SignatureKeyMap(HashMap<Box<str>, KnownKey>);

impl SignatureKeyMap {
    /// Adds a key under this id, the value of `keyid`. It replaces one with the same id.
    #[must_use]
    pub fn with(mut self, key_id: impl Into<Box<str>>, key: impl Into<Arc<VerifyingKey>>, identity: Identity) -> Self {
        self.0.insert(key_id.into(), KnownKey::new(key.into(), Arc::new(identity)));
        self
    }
}

impl SignatureKeys for SignatureKeyMap {
    fn find(&self, request: &SignatureKeyRequest<'_>) -> Eventual<Result<Option<KnownKey>, Unavailable>> {
        Eventual::Now(Ok(self.0.get(request.key_id).cloned()))
    }
}

impl fmt::Debug for SignatureKeyMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids: Vec<_> = self.0.keys().collect();
        ids.sort();
        f.debug_tuple("SignatureKeyMap").field(&ids).finish()
    }
}
