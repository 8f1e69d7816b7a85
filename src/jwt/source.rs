use std::sync::Arc;

use super::{
    algorithm::Algorithm,
    jwk::{self, Origin},
    key::VerifyingKey,
};
use crate::{
    Eventual,
    error::{ConfigError, ConfigErrorKind, Unavailable},
    time::UnixTime,
};

/// The header members of a token that identify the key it was signed with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KeyRequest<'a> {
    /// The `alg` of the header.
    pub algorithm: Algorithm,
    /// The `kid` of the header, up to 256 bytes. It is not verified: the client may send anything.
    pub kid: Option<&'a str>,
    /// The time of the request.
    pub now: UnixTime,
}

impl<'a> KeyRequest<'a> {
    /// Creates a request, for tests of a key source.
    #[must_use]
    pub const fn new(kid: Option<&'a str>, algorithm: Algorithm, now: UnixTime) -> Self {
        Self { algorithm, kid, now }
    }
}

/// A source of the keys of one issuer.
///
/// [`StaticKeys`] and `RemoteKeys` implement it.
///
/// # Examples
///
/// Keys that an operator can withdraw while the process runs:
///
/// ```
/// use std::{collections::HashMap, sync::{Arc, RwLock}};
/// use tower_warden::{
///     Eventual, Unavailable, UnixTime,
///     jwt::{Algorithm, KeyRequest, KeySource, VerifyingKey},
/// };
///
/// #[derive(Default)]
/// struct ManagedKeys(RwLock<HashMap<String, Arc<VerifyingKey>>>);
///
/// impl ManagedKeys {
///     fn insert(&self, kid: &str, key: VerifyingKey) {
///         self.0.write().expect("no panic while locked").insert(kid.to_owned(), Arc::new(key));
///     }
///
///     fn withdraw(&self, kid: &str) {
///         if let Some(key) = self.0.write().expect("no panic while locked").remove(kid) {
///             // Otherwise tokens that are cached would stay valid.
///             key.retire();
///         }
///     }
/// }
///
/// impl KeySource for ManagedKeys {
///     fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
///         let keys = self.0.read().expect("no panic while locked");
///         Eventual::Now(Ok(request.kid.and_then(|kid| keys.get(kid)).cloned()))
///     }
/// }
///
/// let keys = ManagedKeys::default();
/// keys.insert("2026-11", VerifyingKey::hmac(Algorithm::HS256, b"a secret of thirty-two bytes ...")?);
/// let request = KeyRequest::new(Some("2026-11"), Algorithm::HS256, UnixTime::from_secs(1_800_000_000));
/// assert!(matches!(keys.find(&request), Eventual::Now(Ok(Some(_)))));
/// keys.withdraw("2026-11");
/// assert!(matches!(keys.find(&request), Eventual::Now(Ok(None))));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
pub trait KeySource: Send + Sync + 'static {
    /// The key that a token was signed with; `None` if there is no such key.
    ///
    /// The returned key is used with its own algorithm, whatever the token names.
    ///
    /// # Errors
    ///
    /// If the keys are not available; the request is refused with 503.
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>>;

    /// Returns whether keys are available, for a readiness probe.
    fn is_ready(&self) -> bool {
        true
    }
}

impl<S: KeySource + ?Sized> KeySource for Arc<S> {
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        (**self).find(request)
    }

    fn is_ready(&self) -> bool {
        (**self).is_ready()
    }
}

/// Keys that do not change while the process runs.
///
/// A key with a `kid` is used for tokens with the same `kid`. A key without one is used for tokens without `kid`, and if no
/// key has a `kid`, for all tokens. Among several such keys, the one for the token's algorithm is used.
///
/// # Examples
///
/// ```
/// use tower_warden::jwt::{Algorithm, StaticKeys, VerifyingKey};
///
/// let secret = VerifyingKey::hmac(Algorithm::HS256, b"a secret of thirty-two bytes ...")?;
/// let keys = StaticKeys::new([secret])?;
///
/// assert!(StaticKeys::new([]).is_err());
/// assert!(StaticKeys::from_jwk_set(r#"{"keys":[{"kty":"oct","k":"c2hvcnQ","alg":"HS256"}]}"#).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StaticKeys(Arc<KeySet>);

impl StaticKeys {
    /// Creates a source of these keys.
    ///
    /// # Errors
    ///
    /// If there are no keys, or two with the same `kid` and algorithm.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, ConfigError> {
        let keys = keys.into_iter().map(Arc::new).collect();
        let (set, dropped) = KeySet::new(keys);
        let refused = |message| Err(ConfigError::new(ConfigErrorKind::VerifyingKey, message));
        match (set.keys.is_empty(), dropped) {
            (_, 1..) => refused("each key of a set has another `kid` or another algorithm"),
            (true, _) => refused("a set needs at least one key"),
            (false, 0) => Ok(Self(Arc::new(set))),
        }
    }

    /// Parses a JWK set ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)): public keys, or secret
    /// keys of type `oct`, but not both, because sets of public keys are published.
    ///
    /// # Errors
    ///
    /// If it is not a JWK set, mixes public and secret keys, or contains a key that cannot be used: see
    /// [`VerifyingKey::from_jwk`].
    pub fn from_jwk_set(json: &str) -> Result<Self, ConfigError> {
        let refused = |message| ConfigError::new(ConfigErrorKind::VerifyingKey, message);
        let keys = jwk::read_set(json.as_bytes(), Origin::Local, Algorithm::RS256).map_err(refused)?;
        let keys = keys.into_iter().collect::<Result<Vec<_>, _>>().map_err(refused)?;
        let secrets = keys.iter().filter(|key| key.algorithm().is_symmetric()).count();
        if secrets > 0 && secrets < keys.len() {
            return Err(refused("a JWK set contains public keys or secret keys, not both"));
        }
        Self::new(keys)
    }

    /// Verifies tokens without `kid` with a key that has one, if it is the only key for the token's algorithm.
    #[must_use]
    pub fn accept_missing_kid(mut self) -> Self {
        Arc::make_mut(&mut self.0).missing_kid = MissingKid::Accept;
        self
    }
}

impl KeySource for StaticKeys {
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        Eventual::Now(Ok(self.0.find(request.kid, request.algorithm).cloned()))
    }
}

/// Keys, no two of which have the same `kid` and algorithm.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet {
    pub(super) keys: Vec<Arc<VerifyingKey>>,
    pub(super) missing_kid: MissingKid,
}

/// The treatment of tokens without `kid` if the keys have one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum MissingKid {
    Accept,
    #[default]
    Refuse,
}

impl KeySet {
    /// Keeps the keys whose `kid` and algorithm are unique, and returns how many were dropped. Of two equal ones, neither is
    /// used: which one a client means is not known.
    pub(super) fn new(mut keys: Vec<Arc<VerifyingKey>>) -> (Self, usize) {
        let count = keys.len();
        let all: Vec<_> = keys.iter().map(Arc::clone).collect();
        let is_equal =
            |one: &VerifyingKey, other: &VerifyingKey| (one.kid(), one.algorithm()) == (other.kid(), other.algorithm());
        keys.retain(|key| all.iter().filter(|other| is_equal(key, other)).count() == 1);
        let dropped = count - keys.len();
        (Self { keys, missing_kid: MissingKid::default() }, dropped)
    }

    /// Parses a set that was fetched. Keys that cannot be used are left out and logged.
    #[cfg(feature = "jwks")]
    pub(super) fn fetched(text: &[u8], rsa: Algorithm) -> Result<Self, &'static str> {
        let mut keys = Vec::new();
        for key in jwk::read_set(text, Origin::Remote, rsa)? {
            match key {
                Ok(key) => keys.push(Arc::new(key)),
                Err(reason) => crate::log::warning!(reason = %reason, "a key of a JWK set is not used"),
            }
        }
        let (set, dropped) = Self::new(keys);
        if dropped > 0 {
            crate::log::warning!(keys = %dropped, "keys of a JWK set with the same kid and alg are not used");
        }
        Ok(set)
    }

    /// The key for a token: the one with its `kid`, the one without, or, if that is allowed, the only one.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Arc<VerifyingKey>> {
        let with_kid = |kid: Option<&str>| {
            let mut found = self.keys.iter().filter(move |key| key.kid() == kid);
            let first = found.next()?;
            // The key for the token's algorithm; otherwise any, so that the token is refused for its algorithm.
            Some(std::iter::once(first).chain(found).find(|key| key.algorithm() == algorithm).unwrap_or(first))
        };
        match kid {
            // If keys have a `kid`, an unknown one is a reason to fetch newer keys, not to try others.
            Some(_) if self.keys.iter().any(|key| key.kid().is_some()) => with_kid(kid),
            Some(_) => with_kid(None),
            None => with_kid(None).or_else(|| self.only(algorithm)),
        }
    }

    fn only(&self, algorithm: Algorithm) -> Option<&Arc<VerifyingKey>> {
        if matches!(self.missing_kid, MissingKid::Refuse) {
            return None;
        }
        let mut fitting = self.keys.iter().filter(|key| key.algorithm() == algorithm);
        fitting.next().filter(|_| fitting.next().is_none())
    }
}
