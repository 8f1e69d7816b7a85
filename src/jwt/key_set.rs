//! A set of keys, and which of them a token is verified with.

use std::sync::Arc;

#[cfg(feature = "jwks")]
use super::{
    algorithm::Algorithm,
    jwk::{self, Origin},
};
use super::{key::VerifyingKey, source::KeyRequest};

/// Keys, no two of which have the same `kid` and algorithm, unless they have no `kid` and are tried.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet {
    pub(super) keys: Vec<Arc<VerifyingKey>>,
    pub(super) selection: KeySelection,
}

/// The rules by which the key of a token is determined.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeySelection {
    pub(super) missing_kid: MissingKid,
    #[cfg(feature = "jwks")]
    pub(super) names: Names,
    pub(super) thumbprints: Thumbprints,
    pub(super) undetermined: Undetermined,
}

/// The treatment of tokens without `kid` if the keys have one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum MissingKid {
    Accept,
    #[default]
    Refuse,
}

/// The names of keys in a set that was fetched.
#[cfg(feature = "jwks")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Names {
    /// Their `kid`.
    #[default]
    Kid,
    /// Their thumbprint (RFC 7638), whatever their `kid` is.
    #[cfg(feature = "signature")]
    Thumbprint,
}

#[cfg(feature = "jwks")]
impl Names {
    /// The origin of keys with such names.
    const fn origin(self) -> Origin {
        match self {
            Self::Kid => Origin::Remote,
            #[cfg(feature = "signature")]
            Self::Thumbprint => Origin::Directory,
        }
    }

    /// The media types of sets of keys with such names.
    pub(super) const fn media_types(self) -> &'static str {
        match self {
            Self::Kid => "application/json, application/jwk-set+json",
            #[cfg(feature = "signature")]
            Self::Thumbprint => {
                "application/http-message-signatures-directory+json, application/jwk-set+json, application/json"
            }
        }
    }
}

/// The treatment of tokens that name their key by its certificate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Thumbprints {
    Accept,
    #[default]
    Ignore,
}

/// The treatment of tokens for which several keys are possible.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Undetermined {
    #[default]
    Refuse,
    Try,
}

/// The maximum number of keys that are tried for one token.
const MAX_TRIED: usize = 4;

impl KeySelection {
    /// The text by which a token refers to its key.
    #[cfg(feature = "jwks")]
    pub(super) fn name<'a>(self, request: &KeyRequest<'a>) -> Option<&'a str> {
        request.kid.or_else(|| request.x5t.filter(|_| self.thumbprints == Thumbprints::Accept))
    }

    /// Returns whether a key that a token refers to is for its algorithm. A thumbprint names one key, whatever its algorithm.
    #[cfg_attr(
        not(all(feature = "jwks", feature = "signature")),
        expect(clippy::unused_self, reason = "only key sets for signatures are named by thumbprints")
    )]
    fn fits(self, key: &VerifyingKey, request: &KeyRequest<'_>) -> bool {
        #[cfg(all(feature = "jwks", feature = "signature"))]
        if self.names == Names::Thumbprint {
            return true;
        }
        key.algorithm() == request.algorithm
    }

    /// Gives a key its name.
    #[cfg(feature = "jwks")]
    fn named(self, key: VerifyingKey) -> VerifyingKey {
        match self.names {
            Names::Kid => key,
            #[cfg(feature = "signature")]
            Names::Thumbprint => match key.thumbprint().map(crate::digest::Digest::to_base64url) {
                Some(thumbprint) => key.with_kid(thumbprint),
                None => key,
            },
        }
    }
}

impl KeySet {
    /// Keeps the keys whose `kid` and algorithm are unique, and returns those that were dropped. A key that occurs twice is kept
    /// once. Of two different ones, neither is used: which one a client means is not known.
    pub(super) fn new(keys: Vec<Arc<VerifyingKey>>, selection: KeySelection) -> (Self, Vec<Arc<VerifyingKey>>) {
        let mut distinct: Vec<Arc<VerifyingKey>> = Vec::with_capacity(keys.len());
        for key in keys {
            if !distinct.iter().any(|known| known.is_same(&key)) {
                distinct.push(key);
            }
        }
        let is_ambiguous = |key: &Arc<VerifyingKey>| {
            let others = distinct.iter().filter(|other| !Arc::ptr_eq(key, other));
            let others = others.filter(|other| (other.kid(), other.algorithm()) == (key.kid(), key.algorithm()));
            let most = if key.kid().is_none() && selection.undetermined == Undetermined::Try { MAX_TRIED } else { 1 };
            others.count() >= most
        };
        let (ambiguous, keys) = distinct.iter().cloned().partition(is_ambiguous);
        (Self { keys, selection }, ambiguous)
    }

    /// Parses a set that was fetched from a server. Keys that cannot be used are left out and logged.
    #[cfg(feature = "jwks")]
    pub(super) fn fetched(
        text: &[u8],
        rsa: Algorithm,
        selection: KeySelection,
        server: &str,
    ) -> Result<Self, &'static str> {
        let mut keys = Vec::new();
        for key in jwk::read_set(text, selection.names.origin(), rsa)? {
            match key {
                Ok(key) => keys.push(Arc::new(selection.named(key))),
                Err(unused) => unused.log(server),
            }
        }
        let (set, ambiguous) = Self::new(keys, selection);
        for key in ambiguous {
            let reason = "another key of the set has the same kid and alg";
            jwk::UnusedKey::new(key.kid().unwrap_or_default(), reason).log(server);
        }
        Ok(set)
    }

    /// The key for a token: the one that it names, the one without a name, or, if that is allowed, the only one or those of
    /// which one may have signed it.
    pub(super) fn candidates(&self, request: &KeyRequest<'_>) -> Candidates {
        let reference = self.reference(request);
        let fits = |key: &&Arc<VerifyingKey>| reference.names(key) && self.selection.fits(key, request);
        let mut fitting = self.keys.iter().filter(fits);
        match (reference, fitting.next(), fitting.next()) {
            // A thumbprint that different keys have determines none of them.
            (Reference::Certificate(_), Some(first), Some(second))
                if std::iter::once(second).chain(fitting).any(|other| !other.has_material_of(first)) =>
            {
                Candidates::Determined(None)
            }
            (Reference::Unnamed, Some(first), Some(_)) => {
                Candidates::Tried(self.keys.iter().filter(fits).cloned().collect(), Some(Arc::clone(first)))
            }
            (Reference::Unnamed, None, _)
                if request.kid.is_none() && self.keys.iter().all(|key| key.kid().is_some()) =>
            {
                self.only(request)
            }
            (_, first, _) => Candidates::Determined(first.cloned()),
        }
    }

    /// A key that a token refers to, and that is for another algorithm: if the set has no other one, the token is refused for its
    /// algorithm.
    pub(super) fn misfit(&self, request: &KeyRequest<'_>) -> Option<Arc<VerifyingKey>> {
        let reference = self.reference(request);
        let is_misfit = |key: &&Arc<VerifyingKey>| reference.names(key) && !self.selection.fits(key, request);
        self.keys.iter().find(is_misfit).cloned()
    }

    fn reference<'a>(&self, request: &KeyRequest<'a>) -> Reference<'a> {
        let by_thumbprint = self.selection.thumbprints == Thumbprints::Accept;
        match (request.kid, request.x5t) {
            // If keys have a `kid`, an unknown one is a reason to fetch newer keys, not to try others.
            (Some(kid), _) if self.keys.iter().any(|key| key.kid().is_some()) => Reference::Kid(kid),
            (None, Some(thumbprint)) if by_thumbprint && self.keys.iter().any(|key| key.has_certificates()) => {
                Reference::Certificate(thumbprint)
            }
            _ => Reference::Unnamed,
        }
    }

    /// The key for the algorithm of a token that names none, if there is only one, or if a few are tried.
    fn only(&self, request: &KeyRequest<'_>) -> Candidates {
        let fitting: Vec<_> = self.keys.iter().filter(|key| key.algorithm() == request.algorithm).collect();
        match (&*fitting, self.selection.missing_kid, self.selection.undetermined) {
            ([only], MissingKid::Accept, _) => Candidates::Determined(Some(Arc::clone(only))),
            (few, _, Undetermined::Try) if !few.is_empty() && few.len() <= MAX_TRIED => {
                Candidates::Tried(fitting.into_iter().cloned().collect(), None)
            }
            _ => Candidates::Determined(None),
        }
    }
}

/// The reference of a token to its key.
#[derive(Clone, Copy)]
enum Reference<'a> {
    /// The thumbprint of a certificate.
    Certificate(&'a str),
    Kid(&'a str),
    /// A key without `kid`.
    Unnamed,
}

impl Reference<'_> {
    fn names(self, key: &VerifyingKey) -> bool {
        match self {
            Self::Certificate(thumbprint) => key.has_certificate(thumbprint),
            Self::Kid(kid) => key.kid() == Some(kid),
            Self::Unnamed => key.kid().is_none(),
        }
    }
}

/// The keys that may have signed a token. They do not borrow from the set, so that no lock is held while signatures are
/// verified.
pub(super) enum Candidates {
    Determined(Option<Arc<VerifyingKey>>),
    /// Keys to try, and the one to return if none of them has signed the token.
    Tried(Vec<Arc<VerifyingKey>>, Option<Arc<VerifyingKey>>),
}

impl Candidates {
    /// The key for the token; this verifies its signature with each key that is tried, unless it was tried before.
    pub(super) fn choose(self, request: &KeyRequest<'_>, tried: &mut TriedKeys) -> Option<Arc<VerifyingKey>> {
        match self {
            Self::Determined(key) => key,
            Self::Tried(keys, otherwise) => {
                keys.into_iter().find(|key| tried.add(key) && request.is_signed_with(key)).or(otherwise)
            }
        }
    }
}

/// The keys that were tried for one token, which has not been signed with any of them.
#[derive(Default)]
pub(super) struct TriedKeys(Vec<Arc<VerifyingKey>>);

impl TriedKeys {
    /// Adds a key, and returns whether it is a new one.
    fn add(&mut self, key: &Arc<VerifyingKey>) -> bool {
        let is_new = !self.contains(key);
        if is_new {
            self.0.push(Arc::clone(key));
        }
        is_new
    }

    pub(super) fn contains(&self, key: &Arc<VerifyingKey>) -> bool {
        self.0.iter().any(|tried| Arc::ptr_eq(tried, key))
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

    use super::*;
    use crate::{
        jwt::{Algorithm, source::SignedMessage},
        time::UnixTime,
    };

    /// The example of RFC 7515 §A.3.
    const MESSAGE: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                           cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const SIGNATURE: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const OWN: [&str; 2] =
        ["f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"];
    /// The key of RFC 7517 §A.1.
    const OTHER: [&str; 2] =
        ["MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"];

    #[test]
    fn a_key_is_tried_once_for_a_token() {
        let key = |[x, y]: [&str; 2]| {
            let jwk = format!(r#"{{"kty":"EC","crv":"P-256","alg":"ES256","x":"{x}","y":"{y}"}}"#);
            Arc::new(VerifyingKey::from_jwk(&jwk).expect("a key"))
        };
        let (own, other) = (key(OWN), key(OTHER));
        let signature = BASE64_URL_SAFE_NO_PAD.decode(SIGNATURE).expect("base64url");
        let signed = SignedMessage { message: MESSAGE.as_bytes(), signature: &signature };
        let request = KeyRequest::new(None, Algorithm::ES256, UnixTime::from_secs(0)).with_signed(signed);
        let candidates = |keys: &[&Arc<VerifyingKey>]| Candidates::Tried(keys.iter().copied().cloned().collect(), None);
        let mut tried = TriedKeys::default();
        assert!(candidates(&[&other]).choose(&request, &mut tried).is_none());
        assert!(tried.contains(&other) && !tried.contains(&own));
        let chosen = candidates(&[&other, &own]).choose(&request, &mut tried);
        assert!(chosen.is_some_and(|key| Arc::ptr_eq(&key, &own)));
        assert!(candidates(&[&own]).choose(&request, &mut tried).is_none(), "tried a second time");
    }
}
