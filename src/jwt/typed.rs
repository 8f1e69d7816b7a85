//! Verification of JWTs that are not access tokens, by their type.

use super::{Issuer, KeyRequest, KeySource, MAX_KID_BYTES, algorithm::Algorithm, jws::Segments, source::SignedMessage};
use crate::{
    error::Unavailable,
    json::{Json, Object},
    time::UnixTime,
};

/// A JWT that is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TypedError {
    #[error("{0}")]
    Invalid(&'static str),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Verifies a JWT of exactly this `typ` (RFC 8725 §3.11) with the issuer's algorithms and these keys, and returns its payload.
pub(crate) async fn verify_typed(
    token: &str,
    kind: &str,
    issuer: &Issuer,
    keys: &dyn KeySource,
    now: UnixTime,
) -> Result<Vec<u8>, TypedError> {
    let invalid = TypedError::Invalid;
    let segments = Segments::split(token).map_err(|_| invalid("it is not a JWT of three segments in base64url"))?;
    let header = Object::parse(&segments.header).map_err(|_| invalid("its header is not a JSON object"))?;
    if header.get("crit").is_some() || header.get("b64").is_some() {
        return Err(invalid("its header requires an extension"));
    }
    let text = |name| header.get(name).and_then(Json::as_str);
    let typ = text("typ").unwrap_or_default();
    let typ = typ.split_once('/').map_or(
        typ,
        |(start, rest)| {
            if start.eq_ignore_ascii_case("application") { rest } else { typ }
        },
    );
    if !typ.eq_ignore_ascii_case(kind) {
        return Err(invalid("its `typ` is another one"));
    }
    let algorithm = text("alg").and_then(Algorithm::from_name).filter(|name| issuer.algorithms.contains(name));
    let algorithm = algorithm.ok_or_else(|| invalid("its algorithm is not one of the issuer's"))?;
    let kid = text("kid").filter(|kid| kid.len() <= MAX_KID_BYTES);
    if header.get("kid").is_some() && kid.is_none() {
        return Err(invalid("its `kid` is not a text of up to 256 bytes"));
    }
    let signed = SignedMessage { message: segments.signed, signature: &segments.signature };
    let request = KeyRequest::new(kid, algorithm, now).with_signed(signed);
    let key = keys.find(&request).wait().await?.ok_or_else(|| invalid("its key is unknown"))?;
    if request.is_signed_with(&key) { Ok(segments.payload) } else { Err(invalid("its signature is wrong")) }
}
