//! What a credential is bound to, and what the sender of a request has proved.
//!
//! A bound credential is of use to nobody but the holder of a certificate (RFC 8705 §3) or of a key (RFC 9449 §6). What
//! it is bound to is checked on each request, whatever else is configured, or the request is refused:
//!
//! ```
//! use tower_warden::{Digest, caller::{Confirmation, Proof}};
//!
//! let thumbprint = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
//! let bound = Confirmation::parse([("x5t#S256", Some(thumbprint))], &[])?;
//!
//! let mut proof = Proof::default();
//! assert_eq!(bound.check(&proof), Err("certificate_missing"));
//! proof.certificate = Some(Digest::of(b"another certificate"));
//! assert_eq!(bound.check(&proof), Err("certificate_mismatch"));
//! proof.certificate = Digest::from_base64url(thumbprint);
//! assert_eq!(bound.check(&proof), Ok(()));
//!
//! // What cannot be understood cannot be checked.
//! assert!(Confirmation::parse([("x5t#S256", Some(thumbprint)), ("kid", Some("7"))], &[]).is_err());
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```

use std::fmt;

use http::HeaderValue;

use crate::{
    Eventual,
    digest::Digest,
    error::{ConfigError, ConfigErrorKind},
    refusal::Rejection,
    request::Head,
    time::UnixTime,
};

/// To what a credential is bound: the `cnf` claim of RFC 7800, and the same for API keys.
///
/// It names a certificate, a key, or both, and then both must be proved. See the [module docs](self).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Confirmation {
    certificate: Option<Digest>,
    key: Option<Digest>,
}

impl Confirmation {
    /// Bound to a client certificate, by the SHA-256 of its DER: `x5t#S256` of RFC 8705 §3.1.
    #[must_use]
    pub const fn certificate(thumbprint: Digest) -> Self {
        Self { certificate: Some(thumbprint), key: None }
    }

    /// Bound to a DPoP key, by the SHA-256 thumbprint of its JWK: `jkt` of RFC 9449 §6.1.
    #[must_use]
    pub const fn key(thumbprint: Digest) -> Self {
        Self { certificate: None, key: Some(thumbprint) }
    }

    /// Reads the members of a `cnf` object; the value of one that is no string is `None`. Members that are named in
    /// `ignored` are passed over.
    ///
    /// # Errors
    ///
    /// If a member is unknown or there twice, if a thumbprint is not 43 characters of canonical base64url, or if no
    /// thumbprint is left: RFC 7800 §3.1, what cannot be processed is not confirmed.
    pub fn parse<'a>(
        members: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
        ignored: &[Box<str>],
    ) -> Result<Self, ConfigError> {
        let refused = |message| ConfigError::new(ConfigErrorKind::Confirmation, message);
        let mut confirmation = Self { certificate: None, key: None };
        for (name, value) in members {
            let thumbprint = match name {
                CERTIFICATE => &mut confirmation.certificate,
                KEY => &mut confirmation.key,
                name if ignored.iter().any(|other| **other == *name) => continue,
                _ => return Err(refused("a confirmation has a member that cannot be checked")),
            };
            let digest = value.and_then(Digest::from_base64url);
            let digest = digest.ok_or_else(|| refused("a thumbprint is 43 characters of canonical base64url"))?;
            if thumbprint.replace(digest).is_some() {
                return Err(refused("a confirmation has a member twice"));
            }
        }
        match confirmation {
            Self { certificate: None, key: None } => Err(refused("a confirmation names a certificate or a key")),
            confirmation => Ok(confirmation),
        }
    }

    /// The thumbprint of the certificate.
    #[must_use]
    pub const fn certificate_thumbprint(&self) -> Option<&Digest> {
        self.certificate.as_ref()
    }

    /// The thumbprint of the key.
    #[must_use]
    pub const fn key_thumbprint(&self) -> Option<&Digest> {
        self.key.as_ref()
    }

    /// Whether the sender has proved all that this names; compared in constant time.
    ///
    /// # Errors
    ///
    /// Why not, as the [reason](crate::Rejection::reason) of a refusal.
    pub fn check(&self, proof: &Proof) -> Result<(), &'static str> {
        match (&self.certificate, &proof.certificate) {
            (Some(_), None) => return Err("certificate_missing"),
            (Some(bound), Some(proved)) if bound != proved => return Err("certificate_mismatch"),
            (Some(_) | None, _) => {}
        }
        match (&self.key, &proof.key) {
            (Some(_), None) => Err("key_proof_missing"),
            (Some(bound), Some(proved)) if bound != proved => Err("key_mismatch"),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

/// To what a credential must be bound, where being good is not enough.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Binding {
    /// A certificate or a key, whichever.
    Any,
    /// A client certificate.
    Certificate,
    /// A DPoP key.
    Key,
}

impl Binding {
    /// Refuses a credential that is not bound so; what it is bound to is checked elsewhere.
    pub(crate) fn check(self, confirmation: Option<&Confirmation>) -> Result<(), &'static str> {
        let is_bound = confirmation.is_some_and(|confirmation| match self {
            Self::Any => true,
            Self::Certificate => confirmation.certificate.is_some(),
            Self::Key => confirmation.key.is_some(),
        });
        if is_bound { Ok(()) } else { Err("not_sender_constrained") }
    }
}

/// What the sender of a request has proved.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Proof {
    /// To hold the key of this certificate.
    pub certificate: Option<Digest>,
    /// To hold this DPoP key.
    pub key: Option<Digest>,
}

/// Verifies that the sender of a request holds a key, RFC 9449 §4.3.
pub(crate) trait KeyProver: fmt::Debug + Send + Sync {
    /// The algorithms that a challenge names, separated by spaces.
    fn algorithms(&self) -> &str;

    /// Takes from a request what is looked at once its token is known to be good.
    fn demand(&self, head: &Head<'_>, token: &str) -> Box<dyn KeyDemand>;

    /// Makes a proof count once, after everything else about its request was found good.
    fn spend(&self, proof: &KeyProof, now: UnixTime) -> Eventual<Result<(), Rejection>>;
}

/// What a request says of a key.
pub(crate) trait KeyDemand: Send + Sync {
    /// Verifies the proof.
    fn verify(&self, now: UnixTime) -> Result<KeyProof, Rejection>;
}

/// A proof that was verified.
#[cfg_attr(not(feature = "dpop"), expect(dead_code, reason = "nobody verifies proofs"))]
#[derive(Clone, Debug)]
pub(crate) struct KeyProof {
    /// The thumbprint of the key.
    pub(crate) key: Digest,
    /// The proof's own id, of all proofs with this key.
    pub(crate) id: Digest,
    /// Until which second, that one included, it would be good.
    pub(crate) until: UnixTime,
    /// What the client is told to put into the next one.
    pub(crate) nonce: Option<HeaderValue>,
}

/// RFC 8705 §3.1.
const CERTIFICATE: &str = "x5t#S256";

/// RFC 9449 §6.1.
const KEY: &str = "jkt";

/// As the object of a `cnf`.
#[cfg(feature = "serde")]
impl serde::Serialize for Confirmation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = [(CERTIFICATE, &self.certificate), (KEY, &self.key)];
        serializer
            .collect_map(members.into_iter().filter_map(|(name, digest)| Some((name, digest.as_ref()?.to_base64url()))))
    }
}

/// As strict as [`parse`](Confirmation::parse).
#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Confirmation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> serde::de::Visitor<'de> for Members {
            type Value = Confirmation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with thumbprints")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Confirmation, A::Error> {
                let mut members: Vec<(String, String)> = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                let members = members.iter().map(|(name, value)| (&**name, Some(&**value)));
                Confirmation::parse(members, &[]).map_err(serde::de::Error::custom)
            }
        }

        deserializer.deserialize_map(Members)
    }
}
