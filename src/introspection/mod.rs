//! Opaque access tokens: their issuer is asked about them, RFC 7662.
//!
//! 1. A token goes to the [endpoint](Introspection::new) in a form, with this server's client id and secret in the header
//!    or [in the body](IntrospectionBuilder::client_secret_post). That it is active counts if `active` is `true`, and
//!    nothing else.
//! 2. What is said of an active token is checked here as the claims of a JWT are, by the same [`Issuer`](crate::jwt::Issuer):
//!    `exp`, `nbf`, `iat`, `aud`, `cnf`, and `iss` where it is there. An audience is required unless
//!    [`danger_any_audience`](crate::jwt::Issuer::danger_any_audience) was said; `exp` is not, but a token that tells when it
//!    was issued may not be older than [`max_lifetime`](crate::jwt::Issuer::max_lifetime).
//! 3. Answers are remembered, active ones for 60 seconds and never past `exp`, others for 10, in bounds of their own.
//!    Requests with one cold token share one look-up.
//! 4. An endpoint that does not answer, or not as it should, is 503 and never remembered: also where it refuses our own id
//!    and secret, which is an error in the log.
//! 5. Refresh tokens and ID tokens are refused where the answer tells that it is about one. Some servers do not tell; the
//!    audience is what keeps those out.
//!
//! Every token is accepted that comes under the schemes `Bearer` and `DPoP`, whatever its form, and is sent as it is.
//! Behind [`Jwt`](crate::jwt::Jwt), as in `AuthLayer::new((jwt, introspection))`, what has the form of a JWT never comes
//! here: a bad one is refused, and not asked about. Put it last, or say
//! [`opaque_only`](IntrospectionBuilder::opaque_only); before `ApiKeys` it would send API keys to the issuer.
//!
//! Answers that are themselves JWTs (RFC 9701), and clients that authenticate by `private_key_jwt`, are not supported; one
//! that authenticates by a certificate (RFC 8705 §2) is a [`Fetch`](crate::fetch::Fetch) of yours, which sends the secret
//! along.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use tower_warden::{
//!     Authenticator, Credential, Eventual, Head, Presented, Reason, Unavailable, UnixTime,
//!     fetch::Fetch, introspection::Introspection, jwt::Issuer,
//! };
//!
//! /// In place of a server: the default is an HTTP client.
//! struct Server;
//!
//! impl Fetch for Server {
//!     fn fetch(&self, asked: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
//!         let answer = match &**asked.body() {
//!             b"token=good&token_type_hint=access_token" => {
//!                 r#"{"active":true,"sub":"alice","aud":"https://api.example.com","scope":"billing:read"}"#
//!             }
//!             b"token=other&token_type_hint=access_token" => {
//!                 r#"{"active":true,"sub":"alice","aud":"https://other.example.com"}"#
//!             }
//!             _ => r#"{"active":false}"#,
//!         };
//!         Eventual::Now(Ok(Response::new(answer.into())))
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let issuer = Issuer::new("https://auth.example.com", "https://api.example.com")?;
//! let endpoint = "https://auth.example.com/introspect";
//! let introspection = Introspection::builder(issuer, endpoint, "api", "a secret").fetch(Server).build()?;
//!
//! // What `AuthLayer` does with each request:
//! let request = Request::new(());
//! let verify = |token: &str| {
//!     let presented = Presented::new(Credential::access_token(token), Head::from(&request), UnixTime::default());
//!     introspection.authenticate(&presented).wait()
//! };
//! let alice = verify("good").await.unwrap();
//! assert_eq!((&*alice.subject, &*alice.scopes.to_string()), ("alice", "billing:read"));
//! assert_eq!(verify("revoked").await.unwrap_err().reason(), Reason::TOKEN_INACTIVE);
//! assert_eq!(verify("other").await.unwrap_err().reason(), Reason::AUDIENCE_MISMATCH);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use self::{builder::IntrospectionBuilder, verify::Introspection};

mod answer;
mod builder;
mod endpoint;
mod reason;
mod verify;
