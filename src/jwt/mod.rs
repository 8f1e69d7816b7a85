//! JWT access tokens: verified as RFC 7515, RFC 7519, RFC 8725 and RFC 9068 demand.
//!
//! [`Issuer`] says whose tokens are accepted and what they must claim, a [`KeySource`] has the issuer's keys, and [`Jwt`]
//! verifies:
//!
//! 1. **Syntax.** Three segments of canonical base64url, JSON in which no member stands twice, at most 16 KiB. A `crit`
//!    of any kind is refused; `jku`, `jwk`, `x5u` and `x5c` are not looked at.
//! 2. **Issuer.** `iss` chooses among the issuers that were named, and with the issuer its keys: the same `kid` in two of
//!    them is two keys.
//! 3. **Algorithm.** It is a property of the key, each key has one, and the header must agree. There is no `none`, and no
//!    secret ever comes from a URL.
//! 4. **Signature**, by a key that was parsed when it was loaded.
//! 5. **Kind.** `typ` is `at+jwt`, `JWT` or absent; what looks like an ID token or a security event is refused.
//!    [`Issuer::strict`] is RFC 9068.
//! 6. **Time.** `exp` is demanded, `nbf` and `iat` count if they are there, with 60 seconds of skew; nothing lives for
//!    longer than 24 hours.
//! 7. **Audience**, then all other claims. One of the wrong type refuses the token: it is never taken for absent.
//!
//! Keys are [at hand](StaticKeys), or with the feature `jwks` fetched from a URL and kept fresh, by `RemoteKeys` and
//! `Jwt::discover`.
//!
//! The layer then looks, on each request, at the expiry, at what the token is [bound](crate::binding) to, and at what was
//! [revoked](crate::revocation), whether the token was remembered or not.
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
//!     let caller = request.extensions().get::<Principal>().expect("the layer lets no other request through");
//!     let who = format!("{} for {}", caller.actor().map_or("nobody", |actor| &*actor.subject), caller.subject());
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(who)))
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
//! # What is remembered
//!
//! A token that was verified is remembered for five minutes, by its SHA-256, so that an agent which calls a hundred times
//! pays for one signature. The entry holds the key that verified it, and the key knows whether it is in its set still: a
//! key that leaves takes its tokens along at once. Tokens that were refused are not remembered; put a limit by peer in
//! front of the layer where strangers may try.
//!
//! # Which claims become what
//!
//! | of the principal | from |
//! |---|---|
//! | `subject` | `sub`, or else the client |
//! | `client_id` | `client_id`, `azp`, `appid` or `cid`: the first that is there |
//! | `scopes` | the union of `scope`, `scp` and `scopes`, each a text or a list of texts |
//! | `actor`, `actors` | `act`, RFC 8693 §4.1: the outermost one counts |
//! | `token_id`, `session_id`, `acr`, `auth_time` | `jti`, `sid`, `acr`, `auth_time` |
//! | `tenant`, `roles`, `tier` | the claims that the issuer was told: [`Issuer::tenant_claim`] and so on |
//! | `confirmation` | `cnf`; a token is bound to what it names, or refused |
//! | `claims` | all of it, for [`Claims`](crate::jwt::Claims) |
//!
//! # What the common issuers need
//!
//! - **Keycloak**: the issuer is `https://HOST/realms/REALM`. Its tokens are for `account` unless an audience mapper adds
//!   your API: add one. Roles stand in `/realm_access/roles`. Before version 24, or with the backwards compatible mapper,
//!   access tokens have a `nonce`, and need [`danger_accept_id_tokens`](Issuer::danger_accept_id_tokens) with
//!   [`require_claim("typ", "Bearer")`](Issuer::require_claim), which is Keycloak's own mark of an access token.
//! - **Auth0**: the issuer ends with a slash, `https://TENANT.auth0.com/`. The audience is the identifier of the API; a
//!   token is opaque if the client asked for none. The RFC 9068 profile of the API's settings allows
//!   [`strict`](Issuer::strict). With RBAC, permissions stand in `permissions`:
//!   [`scopes_claim`](Issuer::scopes_claim).
//! - **Entra ID**: let the API's manifest ask for tokens of version 2. The issuer is
//!   `https://login.microsoftonline.com/TENANT-ID/v2.0`, and the audience the API's client id. Scopes of users stand in
//!   `scp`, rights of applications in `roles`: [`roles_claim("roles")`](Issuer::roles_claim). Name each tenant as an issuer
//!   of its own, with [`tenant`](Issuer::tenant) or `tenant_claim("tid")`; there are no tokens of `common`. Tokens have
//!   `uti` instead of `jti`, so revoke them by subject or session. Tokens for Microsoft Graph cannot be verified by others.
//! - **Okta**: use a custom authorization server; the issuer is `https://ORG.okta.com/oauth2/default` and the audience
//!   `api://default`, or as they were set. Tokens of the org's own server are for Okta alone.
//! - **Cognito**: the issuer is `https://cognito-idp.REGION.amazonaws.com/POOL-ID`. Access tokens have no `aud`: name the
//!   app client as the audience, with [`audience_claim("client_id")`](Issuer::audience_claim) and
//!   `require_claim("token_use", "access")`. Groups stand in `cognito:groups`: `roles_claim("cognito:groups")`.

#[cfg(feature = "axum")]
pub use self::extract::Claims;
#[cfg(feature = "jwks")]
pub use self::remote::{RemoteKeys, RemoteKeysBuilder};
pub use self::{
    algorithm::Algorithm,
    builder::JwtBuilder,
    issuer::Issuer,
    key::VerifyingKey,
    source::{KeyRequest, KeySource, StaticKeys},
    verify::Jwt,
};

#[cfg(any(feature = "dpop", feature = "introspection"))]
pub(crate) use self::claims::Claims as TokenClaims;
#[cfg(feature = "introspection")]
pub(crate) use self::jws::is_compact;
#[cfg(feature = "dpop")]
pub(crate) use self::{jwk::read_public, jws::Segments};

mod algorithm;
mod builder;
mod claims;
mod crypto;
#[cfg(feature = "axum")]
mod extract;
mod issuer;
mod jwk;
mod jws;
mod key;
mod material;
mod reason;
#[cfg(feature = "jwks")]
mod remote;
mod source;
#[cfg(test)]
mod vectors;
mod verify;

/// How long the name of a key may be, in bytes.
const LONGEST_KEY_ID: usize = 256;
