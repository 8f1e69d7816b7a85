//! Verifies responses that are JWTs, RFC 9701.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    cache::{Failure, Outcome},
    json::{Json, Object},
    jwt::{self, Issuer, KeySource, TokenClaims, TypedError},
    log::Causes,
    reason::Reason,
    time::UnixTime,
};

/// RFC 9701 §4 and §5.
pub(super) const MEDIA_TYPE: &str = "application/token-introspection+jwt";
const TYPE: &str = "token-introspection+jwt";

/// The age beyond which a response is not used, with the tolerated clock skew: an older one may have been replayed.
const MAX_AGE: Duration = Duration::from_secs(300);

/// The requirements on signed responses.
pub(super) struct SignedResponses {
    /// The value of `aud` that denotes this server: its client id.
    pub(super) audience: Box<str>,
    pub(super) keys: Arc<dyn KeySource>,
}

impl SignedResponses {
    /// The members of a response that is signed by the issuer for this server, and was received now.
    pub(super) async fn open<V>(&self, body: &[u8], issuer: &Issuer, now: UnixTime) -> Result<Bytes, Outcome<V>> {
        let token = std::str::from_utf8(body).unwrap_or_default().trim_ascii();
        let verified = jwt::verify_typed(token, TYPE, issuer, &*self.keys, now).await;
        verified.and_then(|payload| self.members(&payload, issuer, now).map_err(TypedError::Invalid)).map_err(|error| {
            let reason = match error {
                TypedError::Invalid(_) => Reason::INTROSPECTION_SIGNATURE,
                TypedError::Unavailable(_) => Reason::KEYS_UNAVAILABLE,
            };
            Outcome::Down(Failure::new(reason, format_args!("the signed response is not used: {}", Causes(&error))))
        })
    }

    /// RFC 9701 §5: `iss`, `aud` and `iat` are required, and `token_introspection` is the response.
    fn members(&self, payload: &[u8], issuer: &Issuer, now: UnixTime) -> Result<Bytes, &'static str> {
        #[derive(Deserialize)]
        struct Response<'a> {
            #[serde(borrow)]
            token_introspection: &'a RawValue,
        }
        let claims =
            Object::parse(payload).map_err(|_| "its payload is not a JSON object without duplicate members")?;
        if claims.get("iss").and_then(Json::as_str) != Some(issuer.name()) {
            return Err("its `iss` is not the issuer");
        }
        let is_ours = |value: &Json<'_>| value.as_str() == Some(&*self.audience);
        if !claims
            .get("aud")
            .is_some_and(|aud| is_ours(aud) || aud.as_array().is_some_and(|all| all.iter().any(is_ours)))
        {
            return Err("its `aud` is not the client id of this server");
        }
        let issued_at = TokenClaims::new(&claims).time("iat").ok().flatten().ok_or("its `iat` is not a time")?;
        // In whole seconds, the response may be one second younger than the request.
        let ahead = issuer.tolerance().max(Duration::from_secs(1));
        if issued_at > now + ahead || now > issued_at + MAX_AGE + issuer.tolerance() {
            return Err("its `iat` is in the future, or too long ago");
        }
        let response: Response<'_> =
            serde_json::from_slice(payload).map_err(|_| "it has no member `token_introspection`")?;
        Ok(Bytes::copy_from_slice(response.token_introspection.get().as_bytes()))
    }
}
