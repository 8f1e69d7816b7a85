use std::time::Duration;

use super::Claims;
use crate::{
    jwt::{
        fault::Fault,
        issuer::{Expiry, Issuer},
    },
    reason::Reason,
    time::UnixTime,
};

/// The times of a token.
pub(super) struct Times {
    pub(super) expires_at: Option<UnixTime>,
    pub(super) issued_at: Option<UnixTime>,
    not_before: Option<UnixTime>,
}

impl Times {
    pub(super) fn read(claims: &Claims<'_>, rules: &Issuer) -> Result<Self, Fault> {
        let expires_at = claims.time("exp")?;
        let expires_at = match rules.expiry {
            #[cfg(feature = "introspection")]
            Expiry::OptionalOrZero => expires_at.filter(|expires_at| *expires_at != UnixTime::default()),
            _ => expires_at,
        };
        Ok(Self { expires_at, issued_at: claims.time("iat")?, not_before: claims.time("nbf")? })
    }

    /// RFC 7519 §4.1.4 to §4.1.6. A token that expired `skew` ago is refused; a token that becomes valid in `skew` is
    /// accepted.
    pub(super) fn check(&self, rules: &Issuer, now: UnixTime) -> Result<(), Fault> {
        let expires_at = match self.expires_at {
            Some(expires_at) => expires_at,
            None if matches!(rules.expiry, Expiry::Required) => return Err(Reason::EXPIRY_MISSING.into()),
            None => now + Duration::from_secs(1),
        };
        let refused = |reason, claim: &str, time: UnixTime| {
            Err(Fault::new(reason, format_args!("{claim}: {time}, with the local clock at {now}")))
        };
        if expires_at + rules.tolerance() <= now {
            return refused(Reason::EXPIRED, "exp", expires_at);
        }
        if let Some(not_before) = self.not_before.filter(|not_before| now + rules.tolerance() < *not_before) {
            return refused(Reason::NOT_YET_VALID, "nbf", not_before);
        }
        if let Some(issued_at) = self.issued_at.filter(|issued_at| now + rules.tolerance() < *issued_at) {
            return refused(Reason::ISSUED_IN_FUTURE, "iat", issued_at);
        }
        let since = self.issued_at.unwrap_or(now);
        if since + rules.max_lifetime < expires_at {
            let lifetime = expires_at.as_secs() - since.as_secs();
            let allowed = rules.max_lifetime.as_secs();
            let explanation = format_args!("lifetime: expected up to {allowed} seconds, received {lifetime}");
            return Err(Fault::new(Reason::LIFETIME, explanation));
        }
        Ok(())
    }
}
