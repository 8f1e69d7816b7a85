//! Verification of JWT access tokens, according to [RFC 7515](https://www.rfc-editor.org/rfc/rfc7515),
//! [RFC 7519](https://www.rfc-editor.org/rfc/rfc7519), [RFC 8725](https://www.rfc-editor.org/rfc/rfc8725) and
//! [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068).
//!
//! An [`Issuer`] declares whose tokens are accepted and what they must claim, a [`KeySource`] provides the issuer's keys, and
//! [`Jwt`] verifies in this order:
//!
//! 1. **Syntax.** Three segments of canonical base64url, JSON without duplicate members, at most 16 KiB. A token with `crit`
//!    is refused; `jku`, `jwk`, `x5u` and `x5c` are ignored.
//! 2. **Issuer.** `iss` selects one of the configured issuers, and with it the keys: the same `kid` at two issuers refers to
//!    two keys.
//! 3. **Algorithm.** Each key has exactly one algorithm, and the header must name it. `none` is not supported, and no secret
//!    key is accepted from a URL.
//! 4. **Signature**, with a key that was parsed when it was loaded.
//! 5. **Kind.** `typ` is `at+jwt`, `JWT` or absent. Security event tokens are refused, and ID tokens where they can be
//!    distinguished: see [the manual](crate::manual::issuers#id-tokens). [`Issuer::strict`] requires RFC 9068.
//! 6. **Time.** `exp` is required; `nbf` and `iat` are checked if present. The tolerated clock skew is 60 seconds, 30 with
//!    [`Issuer::strict`], and the maximum lifetime 28 hours.
//! 7. **Audience**, then all other claims. A claim of the wrong type refuses the token, with two exceptions: `acr` and
//!    `auth_time` of another type are absent, which the log notes, and scope claims of another type grant nothing. A claim that
//!    is `null` is absent, except `cnf` and `act`, without which a token would grant more.
//!
//! Keys are [static](StaticKeys), or with the feature `jwks` fetched from a URL and refreshed, by `RemoteKeys` and
//! `Jwt::discover`. [The manual](crate::manual::issuers) lists the settings for Keycloak, Auth0, Entra ID, Okta and Cognito, and
//! [those of others](crate::manual::providers).
//!
//! On every request, whether its token was cached or not, the layer then checks the expiry, the
//! [confirmation](crate::caller::Confirmation) and the [revocations](crate::revocation).
//!
//! # Examples
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_warden::{
//!     Principal,
//!     jwt::{Issuer, Jwt},
//!     layer::AuthLayer,
//!     testing::TestIssuer,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! // In production: `Jwt::discover("https://auth.example.com", "https://api.example.com").await?`.
//! let issuer = TestIssuer::new("https://auth.example.com");
//! let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com")?, issuer.clone());
//!
//! let service = AuthLayer::new(jwt).layer(service_fn(async |request: Request<()>| {
//!     let caller = request.extensions().get::<Principal>().expect("the layer admits no other requests");
//!     let text = format!("{} for {}", caller.actor().map_or("nobody", |actor| &*actor.subject), caller.subject());
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(text)))
//! }));
//! let call = |token: String| {
//!     let request = Request::builder().header("authorization", format!("Bearer {token}"));
//!     service.clone().oneshot(request.body(()).expect("a request"))
//! };
//!
//! let token = issuer.token("alice").audience("https://api.example.com").actor("agent-7");
//! assert_eq!(call(token.sign()).await?.status(), 200);
//!
//! let refused = call(token.without("exp").sign()).await?;
//! assert_eq!(refused.status(), 401);
//! assert!(refused.headers()["www-authenticate"].to_str()?.contains("invalid_token"));
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Caching
//!
//! A verified token is cached for five minutes, never past `exp`, so a client that calls a hundred times costs one signature
//! verification. The entry holds the key that verified the token, and the key records whether it is still in its set: once
//! this node has fetched a set without the key, its tokens are refused. Refused tokens are not cached; place a rate limit by peer
//! in front of the layer where anyone can send tokens.
//!
//! # Claims and the principal
//!
//! | of the principal | claim |
//! |---|---|
//! | `subject` | `sub`; see [`Issuer::subject_claims`] and [`Issuer::client_as_subject`] |
//! | `audience` | the accepted one of `aud` |
//! | `client_id` | `client_id`, `azp`, `appid` or `cid`: the first that is present |
//! | `scopes` | the union of `scope`, `scp` and `scopes`, each a string of scopes or a list of strings that are one scope each |
//! | `actor`, `actors` | `act`, [RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1): the outermost is the current actor |
//! | `token_id`, `session_id`, `acr`, `auth_time` | `jti`, `sid`, `acr`, `auth_time` |
//! | `tenant`, `roles`, `tier` | the configured claims, see [`Issuer::tenant_claim`] and the following setters |
//! | `confirmation` | `cnf`; a token with a confirmation that is not understood is refused |
//! | `claims` | all claims, for the extractor `Claims` |

#[cfg(feature = "jwks")]
pub use self::alb::{AwsAlb, AwsAlbKeys, AwsAlbKeysBuilder};
#[cfg(feature = "axum")]
pub use self::extract::Claims;
#[cfg(feature = "jwks")]
pub use self::remote::{RemoteKeys, RemoteKeysBuilder};
pub use self::{
    algorithm::Algorithm,
    authenticator::Jwt,
    builder::JwtBuilder,
    expected_claim::ExpectedClaim,
    issuer::{Issuer, TrustedIssuer},
    key::VerifyingKey,
    required_authorization::RequiredAuthorization,
    required_claim::RequiredClaim,
    resolver::IssuerResolver,
    source::{KeyRequest, KeySource, StaticKeys},
};

#[cfg(any(feature = "dpop", feature = "introspection"))]
pub(crate) use self::claims::Claims as TokenClaims;
#[cfg(feature = "introspection")]
pub(crate) use self::{
    fault::Fault,
    jws::is_compact,
    typed::{TypedError, verify_typed},
};
#[cfg(feature = "dpop")]
pub(crate) use self::{jwk::read_public, jws::Segments};

#[cfg(feature = "jwks")]
mod alb;
mod algorithm;
mod audience;
mod authenticator;
mod builder;
mod claims;
mod crypto;
mod expected_claim;
#[cfg(feature = "axum")]
mod extract;
mod fault;
mod issuer;
mod jwk;
mod jws;
mod key;
mod key_material;
mod key_set;
mod reason;
#[cfg(feature = "jwks")]
mod remote;
mod required_authorization;
mod required_claim;
mod resolver;
mod select;
mod source;
#[cfg(feature = "introspection")]
mod typed;
mod unverified;
#[cfg(test)]
mod vectors;
mod verify;

/// The maximum length of a `kid` in bytes.
const MAX_KID_BYTES: usize = 256;
