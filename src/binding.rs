//! What a credential is bound to, and what the sender of a request has proved.
//!
//! A bound credential is of use to nobody but the holder of a certificate (RFC 8705 §3) or of a key (RFC 9449 §6). What
//! it is bound to is checked on each request, whatever else is configured, or the request is refused:
//!
//! ```
//! use tower_warden::{Digest, binding::{Confirmation, Proof}};
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

use crate::{
    digest::Digest,
    error::{ConfigError, ConfigErrorKind},
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

/// What the sender of a request has proved.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Proof {
    /// To hold the key of this certificate.
    pub certificate: Option<Digest>,
    /// To hold this DPoP key.
    pub key: Option<Digest>,
}

/// RFC 8705 §3.1.
const CERTIFICATE: &str = "x5t#S256";

/// RFC 9449 §6.1.
const KEY: &str = "jkt";
