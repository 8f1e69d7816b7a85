use std::{borrow::Cow, fmt};

use super::method::AuthMethod;
use crate::{
    digest::Digest,
    error::{ConfigError, ConfigErrorKind},
    reason::Reason,
};

/// The largest number of members of a confirmation that are not ignored.
const MAX_MEMBERS: usize = 8;

/// The longest name of such a member, in bytes.
const MAX_NAME: usize = 64;

/// The binding of a credential to its sender: the `cnf` claim of [RFC 7800](https://www.rfc-editor.org/rfc/rfc7800), also
/// for API keys.
///
/// It has one thumbprint for each of one or more [methods](ConfirmationMethod); each of them must be proved. See the
/// [module docs](super).
#[derive(Clone, Debug, Eq)]
pub struct Confirmation(Box<[Possession]>);

/// The members of an object have no order, and each method occurs once.
impl PartialEq for Confirmation {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|possession| other.0.contains(possession))
    }
}

/// A member of `cnf`, by which a credential is bound to its sender.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConfirmationMethod(Cow<'static, str>);

/// A method, and the thumbprint that a credential is bound to or that a sender has proved to possess.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a pair")]
pub struct Possession {
    /// The method.
    pub method: ConfirmationMethod,
    /// The SHA-256 thumbprint of the certificate or key.
    pub thumbprint: Digest,
}

impl ConfirmationMethod {
    /// A client certificate, by the SHA-256 of its DER: `x5t#S256` of
    /// [RFC 8705 §3.1](https://www.rfc-editor.org/rfc/rfc8705#section-3.1).
    pub const CERTIFICATE: Self = Self(Cow::Borrowed("x5t#S256"));

    /// A key, by the SHA-256 thumbprint of its JWK: `jkt` of
    /// [RFC 9449 §6.1](https://www.rfc-editor.org/rfc/rfc9449#section-6.1).
    pub const KEY: Self = Self(Cow::Borrowed("jkt"));

    /// A method of a custom [proof](crate::auth::ProofOfPossession).
    #[must_use]
    pub const fn custom(member: &'static str) -> Self {
        Self(Cow::Borrowed(member))
    }

    /// The member of `cnf`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn missing(&self) -> Reason {
        match &*self.0 {
            "x5t#S256" => Reason::CERTIFICATE_MISSING,
            "jkt" => Reason::KEY_PROOF_MISSING,
            _ => Reason::PROOF_MISSING,
        }
    }

    fn mismatch(&self) -> Reason {
        match &*self.0 {
            "x5t#S256" => Reason::CERTIFICATE_MISMATCH,
            "jkt" => Reason::KEY_MISMATCH,
            _ => Reason::PROOF_MISMATCH,
        }
    }
}

impl fmt::Display for ConfirmationMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Confirmation {
    /// Bound by this method to this thumbprint.
    #[must_use]
    pub fn new(method: ConfirmationMethod, thumbprint: Digest) -> Self {
        Self(Box::new([Possession { method, thumbprint }]))
    }

    /// Bound to a client certificate, by the SHA-256 of its DER.
    #[must_use]
    pub fn certificate(thumbprint: Digest) -> Self {
        Self::new(ConfirmationMethod::CERTIFICATE, thumbprint)
    }

    /// Bound to a key, by the SHA-256 thumbprint of its JWK.
    #[must_use]
    pub fn key(thumbprint: Digest) -> Self {
        Self::new(ConfirmationMethod::KEY, thumbprint)
    }

    /// Reads the members of a `cnf` object; the value of a member that is not a string is `None`. Members whose names are
    /// in `ignored` are ignored, except `x5t#S256` and `jkt`.
    ///
    /// A member of an unknown method is read like any other: a credential that has one is refused unless a
    /// [proof](crate::auth::ProofOfPossession) of that method is configured.
    ///
    /// # Errors
    ///
    /// If there are more than 8 members, if a name is longer than 64 bytes, if a member occurs twice, if a thumbprint is not
    /// 43 characters of canonical base64url, or if there is none ([RFC 7800 §3.1](https://www.rfc-editor.org/rfc/rfc7800#section-3.1): what cannot be processed is not confirmed).
    pub fn parse<'a>(
        members: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
        ignored: &[Box<str>],
    ) -> Result<Self, ConfigError> {
        let refused = |message| ConfigError::new(ConfigErrorKind::Confirmation, message);
        let mut possessions: Vec<Possession> = Vec::new();
        for (name, value) in members {
            let method = ConfirmationMethod::of(name);
            // The methods of this crate are always checked.
            let can_be_ignored = ![ConfirmationMethod::CERTIFICATE, ConfirmationMethod::KEY].contains(&method);
            if can_be_ignored && ignored.iter().any(|other| **other == *name) {
                continue;
            }
            let thumbprint = value.and_then(Digest::from_base64url);
            let thumbprint = thumbprint
                .ok_or_else(|| refused("a thumbprint is 43 characters of canonical base64url").value(name))?;
            // Each comparison below is cheap because there are few, and a record that is cached stays small.
            if possessions.len() == MAX_MEMBERS || name.len() > MAX_NAME {
                return Err(refused("a confirmation has at most 8 members, with names of at most 64 bytes"));
            }
            if possessions.iter().any(|known| known.method.as_str() == name) {
                return Err(refused("each member of a confirmation occurs once").value(name));
            }
            possessions.push(Possession { method, thumbprint });
        }
        if possessions.is_empty() {
            return Err(refused("a confirmation has a thumbprint of a certificate or key"));
        }
        Ok(Self(possessions.into()))
    }

    /// Returns the things that the sender has to prove possession of.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Possession> {
        self.0.iter()
    }

    /// The thumbprint of this method.
    #[must_use]
    pub fn thumbprint(&self, method: &ConfirmationMethod) -> Option<&Digest> {
        self.0.iter().find(|possession| possession.method == *method).map(|possession| &possession.thumbprint)
    }

    /// The thumbprint of the certificate.
    #[must_use]
    pub fn certificate_thumbprint(&self) -> Option<&Digest> {
        self.thumbprint(&ConfirmationMethod::CERTIFICATE)
    }

    /// The thumbprint of the key.
    #[must_use]
    pub fn key_thumbprint(&self) -> Option<&Digest> {
        self.thumbprint(&ConfirmationMethod::KEY)
    }

    /// Checks that the sender has proved each possession; thumbprints are compared in constant time.
    ///
    /// # Errors
    ///
    /// The reason of the first possession that was not proved.
    pub fn check(&self, proved: &[Possession]) -> Result<(), Reason> {
        for Possession { method, thumbprint } in &self.0 {
            let mut proofs = proved.iter().filter(|proof| proof.method == *method).peekable();
            if proofs.peek().is_none() {
                return Err(method.missing());
            }
            // Of several proofs of one method, all must be right.
            if !proofs.all(|proof| proof.thumbprint == *thumbprint) {
                return Err(method.mismatch());
            }
        }
        Ok(())
    }
}

impl ConfirmationMethod {
    fn of(name: &str) -> Self {
        let known = [Self::CERTIFICATE, Self::KEY].into_iter().find(|method| method.as_str() == name);
        known.unwrap_or_else(|| Self(Cow::Owned(name.to_owned())))
    }
}

/// The way in which a credential must be bound to its sender.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SenderConstraint {
    /// Bound by any method. A [signature of the request](AuthMethod::Signature) is enough: its sender holds the key.
    Any,
    /// Bound to a client certificate.
    Certificate,
    /// Bound to a key. A [signature of the request](AuthMethod::Signature) is enough.
    Key,
    /// Bound by a custom method: this member of `cnf`.
    Method(&'static str),
}

impl SenderConstraint {
    /// The method; `None` for any.
    pub(crate) const fn method(self) -> Option<ConfirmationMethod> {
        match self {
            Self::Any => None,
            Self::Certificate => Some(ConfirmationMethod::CERTIFICATE),
            Self::Key => Some(ConfirmationMethod::KEY),
            Self::Method(member) => Some(ConfirmationMethod::custom(member)),
        }
    }

    /// Refuses a credential that is not bound so. Whether the sender proves it is checked at admission.
    pub(crate) fn check(self, method: AuthMethod, confirmation: Option<&Confirmation>) -> Result<(), Reason> {
        let is_signed = method == AuthMethod::Signature && matches!(self, Self::Any | Self::Key);
        let is_bound =
            confirmation.is_some_and(|bound| self.method().is_none_or(|method| bound.thumbprint(&method).is_some()));
        if is_signed || is_bound { Ok(()) } else { Err(Reason::NOT_SENDER_CONSTRAINED) }
    }
}

/// As the object of a `cnf`.
#[cfg(feature = "serde")]
impl serde::Serialize for Confirmation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|bound| (bound.method.as_str(), bound.thumbprint.to_base64url())))
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
                    if members.len() > MAX_MEMBERS {
                        break;
                    }
                }
                let members = members.iter().map(|(name, value)| (&**name, Some(&**value)));
                Confirmation::parse(members, &[]).map_err(serde::de::Error::custom)
            }
        }

        deserializer.deserialize_map(Members)
    }
}
