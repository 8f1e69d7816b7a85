use super::{
    claims::Claims,
    fault::Fault,
    issuer::Issuer,
    jws::{Header, Segments},
    key::VerifyingKey,
    source::{KeyRequest, SignedMessage},
};
use crate::{
    caller::{AuthMethod, Identity},
    json::Object,
    reason::Reason,
    time::{Arrival, UnixTime},
};

/// A parsed token of which nothing is verified.
pub(super) struct UnverifiedToken<'a> {
    pub(super) header: Header,
    segments: Segments<'a>,
}

impl<'a> UnverifiedToken<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, Reason> {
        Self::of(Segments::split(token)?)
    }

    /// Parses a token whose segments are padded.
    #[cfg(feature = "jwks")]
    pub(super) fn parse_padded(token: &'a str) -> Result<Self, Reason> {
        Self::of(Segments::split_padded(token)?)
    }

    fn of(segments: Segments<'a>) -> Result<Self, Reason> {
        Ok(Self { header: Header::read(&segments.header)?, segments })
    }

    /// All members of the header.
    #[cfg(feature = "jwks")]
    pub(super) fn header_members(&self) -> Result<Object<'_>, Reason> {
        Object::parse(&self.segments.header).map_err(|_| Reason::HEADER_SYNTAX)
    }

    /// The request for the key that the header names.
    pub(super) fn key_request(&self, arrival: Arrival) -> KeyRequest<'_> {
        let signed = SignedMessage { message: self.segments.signed, signature: &self.segments.signature };
        KeyRequest::new(self.header.kid.as_deref(), self.header.algorithm, arrival.now)
            .with_steady(arrival.steady)
            .with_x5t(self.header.x5t.as_deref())
            .with_signed(signed)
    }

    pub(super) fn claims(&self) -> Result<Object<'_>, Reason> {
        Object::parse(&self.segments.payload).map_err(|_| Reason::CLAIMS_SYNTAX)
    }

    /// Verifies the signature with the key and its only algorithm.
    pub(super) fn check_signature(&self, key: &VerifyingKey, now: UnixTime) -> Result<(), Fault> {
        // RFC 8725 §3.1: each key is used with exactly one algorithm, whatever the token names.
        if key.algorithm() != self.header.algorithm {
            let explanation =
                format_args!("alg: the key is for {}, received {}", key.algorithm(), self.header.algorithm);
            return Err(Fault::new(Reason::KEY_ALGORITHM, explanation));
        }
        if !key.is_usable(now) {
            return Err(Reason::KEY_RETIRED.into());
        }
        let is_valid = key.verifies(self.segments.signed, &self.segments.signature);
        if is_valid { Ok(()) } else { Err(Reason::SIGNATURE.into()) }
    }

    /// Verifies the signature first, then the issuer of the key, kind, times, audience and the other claims.
    pub(super) fn verify(
        &self,
        issuer: &Issuer,
        claims: &Object<'_>,
        key: &VerifyingKey,
        now: UnixTime,
    ) -> Result<Identity, Fault> {
        self.check_signature(key, now)?;
        let claims = Claims::new(claims);
        claims.check_key_issuer(issuer, key)?;
        claims.check_profile(issuer, self.header.kind)?;
        let mut identity = claims.identity(issuer, AuthMethod::Jwt, now)?;
        identity.claims = std::str::from_utf8(&self.segments.payload).ok().map(Into::into);
        Ok(identity)
    }
}
