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

/// What a token says of the key that it was signed with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KeyRequest<'a> {
    /// The `alg` of its header.
    pub algorithm: Algorithm,
    /// The `kid` of its header: the client's own word, of at most 256 bytes.
    pub id: Option<&'a str>,
    /// When the request came.
    pub now: UnixTime,
}

impl<'a> KeyRequest<'a> {
    /// Asks for a key; for tests of a source.
    #[must_use]
    pub const fn new(id: Option<&'a str>, algorithm: Algorithm, now: UnixTime) -> Self {
        Self { algorithm, id, now }
    }
}

/// Where the keys of one issuer come from.
pub trait KeySource: Send + Sync + 'static {
    /// The key that a token was signed with, if there is one.
    ///
    /// The key that comes back is used with its own algorithm, whatever the token says.
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>>;

    /// Whether there are keys: for a readiness probe.
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
/// A key with a name serves tokens whose `kid` is that name. A key without one serves tokens without `kid`, and where no
/// key has a name, tokens with any. Of several that do, the one for the token's algorithm is used.
///
/// ```
/// use tower_warden::jwt::{Algorithm, StaticKeys, VerifyingKey};
///
/// let secret = VerifyingKey::hmac(Algorithm::HS256, b"a secret of thirty-two bytes ...")?;
/// let keys = StaticKeys::new([secret])?;
///
/// assert!(StaticKeys::new([]).is_err());
/// assert!(StaticKeys::jwk_set(r#"{"keys":[{"kty":"oct","k":"c2hvcnQ","alg":"HS256"}]}"#).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StaticKeys(Arc<KeySet>);

impl StaticKeys {
    /// These keys.
    ///
    /// # Errors
    ///
    /// If there is none, or two for the same tokens.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, ConfigError> {
        let keys = keys.into_iter().map(Arc::new).collect();
        let (set, twice) = KeySet::new(keys);
        let refused = |why| Err(ConfigError::new(ConfigErrorKind::VerifyingKey, why));
        match (set.keys.is_empty(), twice) {
            (_, 1..) => refused("two keys with one name and algorithm"),
            (true, _) => refused("no key"),
            (false, 0) => Ok(Self(Arc::new(set))),
        }
    }

    /// The keys of a JWK set, RFC 7517 §5; secrets of kind `oct` may be among them.
    ///
    /// # Errors
    ///
    /// If it is none, or one of its keys cannot be used: see [`VerifyingKey::from_jwk`].
    pub fn jwk_set(json: &str) -> Result<Self, ConfigError> {
        let refused = |why| ConfigError::new(ConfigErrorKind::VerifyingKey, why);
        let keys = jwk::read_set(json.as_bytes(), Origin::Local, Algorithm::RS256).map_err(refused)?;
        Self::new(keys.into_iter().collect::<Result<Vec<_>, _>>().map_err(refused)?)
    }

    /// Lets a token without `kid` be verified by a key with a name, if there is exactly one for its algorithm.
    #[must_use]
    pub fn accept_missing_kid(mut self) -> Self {
        Arc::make_mut(&mut self.0).missing_id = MissingId::Accept;
        self
    }
}

impl KeySource for StaticKeys {
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        Eventual::Now(Ok(self.0.find(request.id, request.algorithm).cloned()))
    }
}

/// Keys, no two for the same tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet {
    pub(super) keys: Vec<Arc<VerifyingKey>>,
    pub(super) missing_id: MissingId,
}

/// What becomes of a token without `kid` where keys have names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum MissingId {
    Accept,
    #[default]
    Refuse,
}

impl KeySet {
    /// The keys, without those of which there are two with the same name and algorithm: never does one of them win. Tells
    /// how many those were.
    pub(super) fn new(mut keys: Vec<Arc<VerifyingKey>>) -> (Self, usize) {
        let count = keys.len();
        let names: Vec<_> = keys.iter().map(Arc::clone).collect();
        let is_twin = |one: &VerifyingKey, other: &VerifyingKey| {
            (one.name(), one.algorithm()) == (other.name(), other.algorithm())
        };
        keys.retain(|key| names.iter().filter(|other| is_twin(key, other)).count() == 1);
        let dropped = count - keys.len();
        (Self { keys, missing_id: MissingId::default() }, dropped)
    }

    /// From a set as it was fetched: what cannot be used is left out, with a line in the log.
    #[cfg(feature = "jwks")]
    pub(super) fn fetched(text: &[u8], rsa: Algorithm) -> Result<Self, &'static str> {
        let mut keys = Vec::new();
        for key in jwk::read_set(text, Origin::Remote, rsa)? {
            match key {
                Ok(key) => keys.push(Arc::new(key)),
                Err(reason) => crate::log::warning!(reason = %reason, "a key of a JWK set is not used"),
            }
        }
        let (set, twice) = Self::new(keys);
        if twice > 0 {
            crate::log::warning!(keys = %twice, "keys of a JWK set with the same kid and alg are not used");
        }
        Ok(set)
    }

    /// The one key for a token: by name, without one, or, if that was allowed, the only one.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Arc<VerifyingKey>> {
        let named = |name: Option<&str>| {
            let mut found = self.keys.iter().filter(move |key| key.name() == name);
            let first = found.next()?;
            // Of several algorithms under one name, the token's; of a single one, that one, to refuse the token by.
            Some(std::iter::once(first).chain(found).find(|key| key.algorithm() == algorithm).unwrap_or(first))
        };
        match id {
            // Where keys have names, one that is not known is a reason to ask for newer keys, not to try others.
            Some(_) if self.keys.iter().any(|key| key.name().is_some()) => named(id),
            Some(_) => named(None),
            None => named(None).or_else(|| self.only(algorithm)),
        }
    }

    fn only(&self, algorithm: Algorithm) -> Option<&Arc<VerifyingKey>> {
        if matches!(self.missing_id, MissingId::Refuse) {
            return None;
        }
        let mut fitting = self.keys.iter().filter(|key| key.algorithm() == algorithm);
        fitting.next().filter(|_| fitting.next().is_none())
    }
}
