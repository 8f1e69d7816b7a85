//! Callers: what an authenticator asserts about one, and the principal that was admitted.
//!
//! An [`Identity`] is asserted; a [`Principal`] was admitted. Handlers, policies and limits see principals only.
//!
//! # Examples
//!
//! A credential may be bound to its sender: to a client certificate
//! ([RFC 8705 §3](https://www.rfc-editor.org/rfc/rfc8705#section-3)) or to a key
//! ([RFC 9449 §6](https://www.rfc-editor.org/rfc/rfc9449#section-6)). It is checked on each request, or the request is
//! refused:
//!
//! ```
//! use tower_warden::{Digest, Reason, caller::{Confirmation, ConfirmationMethod, Possession}};
//!
//! let thumbprint = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
//! let bound = Confirmation::parse([("x5t#S256", Some(thumbprint))], &[])?;
//!
//! assert_eq!(bound.check(&[]), Err(Reason::CERTIFICATE_MISSING));
//! let proved = |thumbprint| Possession { method: ConfirmationMethod::CERTIFICATE, thumbprint };
//! assert_eq!(bound.check(&[proved(Digest::of(b"another certificate"))]), Err(Reason::CERTIFICATE_MISMATCH));
//! let thumbprint = Digest::from_base64url(thumbprint).expect("43 characters of base64url");
//! assert_eq!(bound.check(&[proved(thumbprint)]), Ok(()));
//!
//! // A thumbprint that cannot be read cannot be checked.
//! assert!(Confirmation::parse([("x5t#S256", Some("A4DtL2J")), ("kid", Some("7"))], &[]).is_err());
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```

pub(crate) use self::{
    admission::{Admission, NetworkAllowed, NotExpired, NotRevoked, Possessed, ProofsUsedOnce},
    extension::{Anonymous, of},
    terms::{ChallengeTerms, Terms},
};
pub use self::{
    confirmation::{Confirmation, ConfirmationMethod, Possession, SenderConstraint},
    identity::{Identity, OnAdmission},
    method::{Actor, AuthMethod},
    principal::Principal,
    recheck::Recheck,
    single_use::{RecordedProof, SingleUse},
    terms::DelegatedScopes,
};

mod admission;
mod attributes;
mod confirmation;
mod extension;
mod identity;
mod method;
mod principal;
mod reason;
mod recheck;
mod single_use;
mod terms;
