//! Strict parsing of compact JWS, RFC 7515 §7.1. Nothing that is parsed here is verified.

use base64::{
    Engine as _,
    engine::general_purpose::{GeneralPurpose, URL_SAFE_NO_PAD},
};

use super::{MAX_KID_BYTES, algorithm::Algorithm};
use crate::{
    json::{Json, Object},
    reason::Reason,
};

/// The decoded segments of a token.
pub(crate) struct Segments<'a> {
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// The bytes that the signature covers: header and payload as sent.
    pub(crate) signed: &'a [u8],
}

/// Returns whether a text has the form of a compact JWS: exactly three segments.
pub(crate) fn is_compact(token: &str) -> bool {
    // Sums of one byte each, in chunks that cannot overflow it: the compiler vectorizes this.
    let dots = |part: &[u8]| u32::from(part.iter().map(|byte| u8::from(*byte == b'.')).sum::<u8>());
    token.as_bytes().chunks(128).map(dots).sum::<u32>() == 2
}

impl<'a> Segments<'a> {
    /// Padding, white space and trailing bits are refused: RFC 7515 §2, RFC 4648 §3.5.
    pub(crate) fn split(token: &'a str) -> Result<Self, Reason> {
        Self::split_by(token, &URL_SAFE_NO_PAD)
    }

    /// The segments of a token that is padded although RFC 7515 §2 forbids it. Each needs its padding, so that a token has one
    /// form.
    #[cfg(feature = "jwks")]
    pub(super) fn split_padded(token: &'a str) -> Result<Self, Reason> {
        Self::split_by(token, &base64::engine::general_purpose::URL_SAFE)
    }

    fn split_by(token: &'a str, encoding: &GeneralPurpose) -> Result<Self, Reason> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Reason::TOKEN_SEGMENTS)?;
        let (header, payload) = signed.split_once('.').ok_or(Reason::TOKEN_SEGMENTS)?;
        if payload.contains('.') {
            return Err(Reason::TOKEN_SEGMENTS);
        }
        let decode = |text: &str| encoding.decode(text).map_err(|_| Reason::TOKEN_ENCODING);
        Ok(Self {
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
            signed: signed.as_bytes(),
        })
    }
}

/// The members of a header that are used; `jku`, `jwk`, `x5u` and `x5c` are ignored (RFC 8725 §3.10). `x5t` only selects one of
/// the issuer's keys.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<Box<str>>,
    pub(super) kind: Kind,
    /// It names keys of its own.
    pub(super) names_keys: bool,
    /// `x5t#S256`, or else `x5t`.
    pub(super) x5t: Option<Box<str>>,
}

/// The kind of a token according to its `typ` (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// `at+jwt`, RFC 9068 §2.1.
    AccessToken,
    /// `client-authentication+jwt`, draft-ietf-oauth-rfc7523bis §4.
    ClientAssertion,
    /// `oauth-id-jag+jwt`, draft-ietf-oauth-identity-assertion-authz-grant.
    IdentityAssertion,
    /// `JOSE`, of JWT-SVIDs.
    Jose,
    /// `JWT`, or no `typ`.
    Unspecified,
}

impl Header {
    pub(super) fn read(header: &[u8]) -> Result<Self, Reason> {
        let members = Object::parse(header).map_err(|_| Reason::HEADER_SYNTAX)?;
        // RFC 7515 §4.1.11: critical extensions, none of which is supported. RFC 7797 §7: a JWT must not use `b64`.
        if members.get("crit").is_some() || members.get("b64").is_some() {
            return Err(Reason::HEADER_CRITICAL);
        }
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(Reason::HEADER_TYPE),
        };
        let algorithm = text("alg")?.and_then(Algorithm::from_name).ok_or(Reason::ALGORITHM_UNKNOWN)?;
        let kid = text("kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(Reason::KID_TOO_LONG);
        }
        // Without the option, they are ignored, so a malformed one is as good as none.
        let thumbprint = |name| members.get(name).and_then(Json::as_str).filter(|text| text.len() <= MAX_KID_BYTES);
        let x5t = thumbprint("x5t#S256").or_else(|| thumbprint("x5t")).map(Into::into);
        let (kind, names_keys) = (Kind::read(text("typ")?)?, names_keys(&members));
        Ok(Self { algorithm, kid: kid.map(Into::into), kind, names_keys, x5t })
    }
}

/// Returns whether the header of a token names keys of its own, which are ignored.
#[cfg(feature = "audit")]
pub(super) fn has_keys(token: &str) -> bool {
    let Ok(segments) = Segments::split(token) else { return false };
    Object::parse(&segments.header).is_ok_and(|members| names_keys(&members))
}

fn names_keys(header: &Object<'_>) -> bool {
    ["jku", "jwk", "x5u", "x5c"].iter().any(|name| header.get(name).is_some())
}

impl Kind {
    /// The kind for a media type, compared in any case; the prefix `application/` may be omitted (RFC 7515 §4.1.9).
    fn read(name: Option<&str>) -> Result<Self, Reason> {
        const APPLICATION: &str = "application/";
        let Some(name) = name else { return Ok(Self::Unspecified) };
        let short = match name.get(..APPLICATION.len()) {
            Some(start) if start.eq_ignore_ascii_case(APPLICATION) => &name[APPLICATION.len()..],
            _ => name,
        };
        if short.eq_ignore_ascii_case("at+jwt") {
            Ok(Self::AccessToken)
        } else if short.eq_ignore_ascii_case("client-authentication+jwt") {
            Ok(Self::ClientAssertion)
        } else if short.eq_ignore_ascii_case("oauth-id-jag+jwt") {
            Ok(Self::IdentityAssertion)
        } else if short.eq_ignore_ascii_case("JWT") {
            Ok(Self::Unspecified)
        } else if short.eq_ignore_ascii_case("JOSE") {
            Ok(Self::Jose)
        } else {
            Err(Reason::TOKEN_TYPE)
        }
    }
}
