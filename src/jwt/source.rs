use std::{fmt, sync::Arc};

use super::{
    algorithm::Algorithm,
    jwk::{self, Origin},
    key::VerifyingKey,
    key_set::{KeySelection, KeySet, MissingKid, Thumbprints, TriedKeys, Undetermined},
};
#[cfg(feature = "jwks")]
use crate::time::Arrival;
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
    /// The thumbprint of a certificate in the header, `x5t#S256` or else `x5t`. It is not verified.
    pub x5t: Option<&'a str>,
    signed: Option<SignedMessage<'a>>,
    /// The time of the request that is never set back.
    steady: UnixTime,
}

/// The message that a signature covers, and the signature.
#[derive(Clone, Copy)]
pub(super) struct SignedMessage<'a> {
    pub(super) message: &'a [u8],
    pub(super) signature: &'a [u8],
}

impl fmt::Debug for SignedMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedMessage(..)")
    }
}

impl<'a> KeyRequest<'a> {
    /// Creates a request, for tests of a key source.
    #[must_use]
    pub const fn new(kid: Option<&'a str>, algorithm: Algorithm, now: UnixTime) -> Self {
        Self { algorithm, kid, now, x5t: None, signed: None, steady: now }
    }

    /// Sets the thumbprint of the certificate, for tests of a key source.
    #[must_use]
    pub const fn with_x5t(mut self, thumbprint: Option<&'a str>) -> Self {
        self.x5t = thumbprint;
        self
    }

    /// Returns whether the token is signed with this key, for sources in which a header does not determine the key. Each call
    /// costs one verification, so a source should try few keys.
    ///
    /// A token that is signed with the returned key is verified with it in any case: other sources need not call this.
    #[must_use]
    pub fn is_signed_with(&self, key: &VerifyingKey) -> bool {
        key.algorithm() == self.algorithm
            && key.is_usable(self.now)
            && self.signed.is_some_and(|signed| key.verifies(signed.message, signed.signature))
    }
}

impl<'a> KeyRequest<'a> {
    pub(super) const fn with_signed(mut self, signed: SignedMessage<'a>) -> Self {
        self.signed = Some(signed);
        self
    }

    pub(super) const fn with_steady(mut self, steady: UnixTime) -> Self {
        self.steady = steady;
        self
    }

    /// The time of the request by both times of the clock.
    #[cfg(feature = "jwks")]
    pub(super) const fn arrival(&self) -> Arrival {
        Arrival { now: self.now, steady: self.steady }
    }
}

/// A request that does not borrow from the token, for sources that wait.
#[cfg(feature = "jwks")]
pub(super) struct OwnedKeyRequest {
    algorithm: Algorithm,
    kid: Option<String>,
    now: UnixTime,
    signed: Option<(Vec<u8>, Vec<u8>)>,
    steady: UnixTime,
    x5t: Option<String>,
}

#[cfg(feature = "jwks")]
impl OwnedKeyRequest {
    pub(super) fn borrow(&self) -> KeyRequest<'_> {
        let signed = self.signed.as_ref().map(|(message, signature)| SignedMessage { message, signature });
        let (kid, x5t) = (self.kid.as_deref(), self.x5t.as_deref());
        KeyRequest { algorithm: self.algorithm, kid, now: self.now, x5t, signed, steady: self.steady }
    }
}

#[cfg(feature = "jwks")]
impl From<&KeyRequest<'_>> for OwnedKeyRequest {
    fn from(request: &KeyRequest<'_>) -> Self {
        let signed = request.signed.map(|signed| (signed.message.to_vec(), signed.signature.to_vec()));
        let (kid, x5t) = (request.kid.map(Into::into), request.x5t.map(Into::into));
        Self { algorithm: request.algorithm, kid, now: request.now, signed, steady: request.steady, x5t }
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
/// key has a `kid`, for all tokens. Among several such keys, the one for the token's algorithm is used. Options accept tokens
/// that name their key in another way, or not at all.
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
    /// Creates a source of these keys. A key that occurs twice is used once.
    ///
    /// # Errors
    ///
    /// If there are no keys, or two different ones with the same `kid` and algorithm. Several keys without `kid` are accepted
    /// by [`trying_keys`](Self::trying_keys).
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, ConfigError> {
        Self::with_selection(keys, KeySelection::default())
    }

    /// Creates a source of these keys, which tries up to four of them for a token whose header does not determine the key: a
    /// token without `kid`, or any token if no key has a `kid`.
    ///
    /// A token then costs up to five verifications: one with each key that is tried, and one with the key that is used.
    ///
    /// # Errors
    ///
    /// If there are no keys, two different ones with the same `kid` and algorithm, or more than four without `kid` for one
    /// algorithm.
    pub fn trying_keys(keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, ConfigError> {
        let selection = KeySelection { undetermined: Undetermined::Try, ..KeySelection::default() };
        Self::with_selection(keys, selection)
    }

    fn with_selection(
        keys: impl IntoIterator<Item = VerifyingKey>,
        selection: KeySelection,
    ) -> Result<Self, ConfigError> {
        let keys = keys.into_iter().map(Arc::new).collect();
        let (set, ambiguous) = KeySet::new(keys, selection);
        let refused = |message| ConfigError::new(ConfigErrorKind::VerifyingKey, message);
        match (ambiguous.first().map(|key| key.kid()), set.keys.is_empty()) {
            (Some(Some(kid)), _) => Err(refused("different keys have different `kid`s or algorithms").value(kid)),
            (Some(None), _) => Err(refused(
                "of several keys without `kid` each has another algorithm; `StaticKeys::trying_keys` accepts up to four",
            )),
            (None, true) => Err(refused("a set needs at least one key")),
            (None, false) => Ok(Self(Arc::new(set))),
        }
    }

    /// Parses a JWK set ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)): public keys, or secret
    /// keys of type `oct`, but not both, because sets of public keys are published.
    ///
    /// Keys that cannot be used, such as those for encryption and those of unknown types, are left out with a warning in the
    /// log, as they are from a set that is fetched.
    ///
    /// # Errors
    ///
    /// If it is not a JWK set, mixes public and secret keys, contains no key that can be used (see
    /// [`VerifyingKey::from_jwk`]), or contains different keys with the same `kid`.
    pub fn from_jwk_set(json: &str) -> Result<Self, ConfigError> {
        let refused = |message| ConfigError::new(ConfigErrorKind::VerifyingKey, message);
        let read = jwk::read_set(json.as_bytes(), Origin::Local, Algorithm::RS256).map_err(refused)?;
        let (mut keys, mut unused_keys) = (Vec::<VerifyingKey>::new(), Vec::new());
        for key in read {
            match key {
                Ok(key) => keys.push(key),
                Err(unused) => {
                    unused.log("the configuration");
                    unused_keys.push(unused);
                }
            }
        }
        if let Some(unused) = unused_keys.iter().find(|unused| keys.iter().any(|key| key.kid() == Some(&*unused.kid))) {
            return Err(refused("different keys have different `kid`s or algorithms").value(&unused.kid));
        }
        if let (true, Some(unused)) = (keys.is_empty(), unused_keys.first()) {
            return Err(refused(unused.reason).value(format_args!("a key with the kid {:?}", unused.kid)));
        }
        let secrets = keys.iter().filter(|key| key.algorithm().is_symmetric()).count();
        if secrets > 0 && secrets < keys.len() {
            return Err(refused("a JWK set contains public keys or secret keys, not both"));
        }
        Self::new(keys)
    }

    /// Verifies tokens without `kid` with the key whose certificate their header names, by `x5t#S256` or `x5t`
    /// ([RFC 7515 §4.1.8](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.8)), as AD FS and some versions of Entra ID do.
    ///
    /// The thumbprints of a key are those of its JWK, and those of
    /// [`with_certificate_thumbprint`](VerifyingKey::with_certificate_thumbprint). A thumbprint only selects one of the keys, and
    /// none if several for the token's algorithm have it.
    #[must_use]
    pub fn accept_certificate_thumbprints(mut self) -> Self {
        Arc::make_mut(&mut self.0).selection.thumbprints = Thumbprints::Accept;
        self
    }

    /// Verifies tokens without `kid` with a key that has one, if it is the only key for the token's algorithm.
    #[must_use]
    pub fn accept_missing_kid(mut self) -> Self {
        Arc::make_mut(&mut self.0).selection.missing_kid = MissingKid::Accept;
        self
    }
}

impl KeySource for StaticKeys {
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        let chosen = self.0.candidates(request).choose(request, &mut TriedKeys::default());
        Eventual::Now(Ok(chosen.or_else(|| self.0.misfit(request))))
    }
}
