//! Opaque access tokens, verified by introspection at their issuer, [RFC 7662](https://www.rfc-editor.org/rfc/rfc7662).
//!
//! 1. **Request.** The token is sent to the [endpoint](Introspection::new) in a form, with the client id and secret of this
//!    server in the `Authorization` header or [in the body](IntrospectionBuilder::client_secret_post). A token is active only
//!    if `active` is the boolean `true`.
//! 2. **Checks.** The response is checked like the claims of a JWT, by the same [`Issuer`](crate::jwt::Issuer): `exp`, `nbf`,
//!    `iat`, `aud`, `cnf`, and `iss` if present. An audience is required unless
//!    [`danger_any_audience`](crate::jwt::Issuer::danger_any_audience) is set. `exp` is optional, but a token with `iat` may
//!    not be older than [`max_lifetime`](crate::jwt::Issuer::max_lifetime).
//! 3. **Cache.** Active tokens are cached for 60 seconds, refused ones for 10 seconds, in caches with separate bounds. At
//!    `exp`, the issuer is queried again; a response that still reports the token as active is cached for up to the tolerated
//!    clock skew past `exp`. Concurrent requests with the same token share one look-up.
//! 4. **Outages.** If the endpoint does not respond, or responds in an unexpected way, requests are refused with 503, and
//!    nothing is cached. The same applies if it refuses the client id and secret of this server, which is logged as an error.
//! 5. **Kind.** Refresh tokens and ID tokens are refused if the response distinguishes them. Some servers do not; then only the
//!    audience does.
//!
//! All tokens under the schemes `Bearer` and `DPoP` are accepted, whatever their form, and are sent unchanged. In
//! `AuthLayer::new((jwt, introspection))`, [`Jwt`](crate::jwt::Jwt) handles all tokens in the form of a JWT: an invalid one is
//! refused, not introspected. Place introspection last, or use [`opaque_only`](IntrospectionBuilder::opaque_only): before
//! `ApiKeys`, it would send API keys to the issuer.
//!
//! Responses that are JWTs ([RFC 9701](https://www.rfc-editor.org/rfc/rfc9701)) are requested and verified if the issuer's keys
//! are [given](IntrospectionBuilder::signed_responses). Encrypted ones, and clients that authenticate with `private_key_jwt`,
//! are not supported. A client that authenticates with a certificate
//! ([RFC 8705 §2](https://www.rfc-editor.org/rfc/rfc8705#section-2)) needs a custom
//! [`Fetch`](crate::fetch::Fetch); the client secret is sent as well.
//!
//! # Examples
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use tower_warden::{
//!     Authenticator, Credential, Eventual, Head, Presented, Reason, Unavailable, UnixTime,
//!     fetch::Fetch, introspection::Introspection, jwt::Issuer,
//! };
//!
//! /// Replaces the HTTP client, which is the default.
//! struct Server;
//!
//! impl Fetch for Server {
//!     fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
//!         let body = match &**request.body() {
//!             b"token=valid&token_type_hint=access_token" => {
//!                 r#"{"active":true,"sub":"alice","aud":"https://api.example.com","scope":"billing:read"}"#
//!             }
//!             b"token=other&token_type_hint=access_token" => {
//!                 r#"{"active":true,"sub":"alice","aud":"https://other.example.com"}"#
//!             }
//!             _ => r#"{"active":false}"#,
//!         };
//!         Eventual::Now(Ok(Response::new(body.into())))
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let issuer = Issuer::new("https://auth.example.com", "https://api.example.com")?;
//! let endpoint = "https://auth.example.com/introspect";
//! let introspection = Introspection::builder(issuer, endpoint, "api", "a secret").fetch(Server).build()?;
//!
//! // `AuthLayer` does the same with each request.
//! let request = Request::new(());
//! let verify = |token: &str| {
//!     let presented = Presented::new(Credential::access_token(token), Head::from(&request), UnixTime::default());
//!     introspection.authenticate(&presented).wait()
//! };
//! let alice = verify("valid").await.unwrap();
//! assert_eq!((&*alice.subject, &*alice.scopes.to_string()), ("alice", "billing:read"));
//! assert_eq!(verify("revoked").await.unwrap_err().reason(), Reason::TOKEN_INACTIVE);
//! assert_eq!(verify("other").await.unwrap_err().reason(), Reason::AUDIENCE_MISMATCH);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use self::{builder::IntrospectionBuilder, verify::Introspection};

mod builder;
mod endpoint;
mod reason;
mod response;
mod signed;
mod verify;
