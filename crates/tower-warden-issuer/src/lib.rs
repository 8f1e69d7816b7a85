//! A small, strict authorization server for machine clients, within the process of an application: the issuer side of
//! [`tower-warden`](tower_warden).
//!
//! It is for teams that have agents and services but no identity provider, and for tests and examples. It has no user
//! accounts and no pages: for people, use an OpenID provider.
//!
//! ```text
//!  POST /oauth/token ─▶ IssuerService, or issuer_routes for axum
//!                           │ 1 form          one of each parameter, in the body, within 64 KiB
//!                           │ 2 client        ClientStore: one method of authentication, equal work for unknown clients
//!                           │ 3 grant         scopes and resource: requested and allowed
//!                           │ 4 claims        ClaimsSource: the application adds tenant, roles, tier, or refuses
//!                           ▼ 5 sign          SigningKeys
//!                      an access token (RFC 9068), or an error (RFC 6749 §5.2)
//!
//!  POST /oauth/revoke, /oauth/introspect        for authenticated clients (RFC 7009, RFC 7662)
//!  GET /oauth/jwks                              the keys: next, current, old
//!  GET /.well-known/oauth-authorization-server  what is implemented (RFC 8414)
//!  GET /oauth/authorize                         400: there is no sign-in, but clients require its URL in the metadata
//! ```
//!
//! # Examples
//!
//! An issuer, and an API that trusts it:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, header::CONTENT_TYPE};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_warden::{
//!     jwt::{Algorithm, Issuer, Jwt},
//!     layer::AuthLayer,
//! };
//! use tower_warden_issuer::{
//!     Client, ClientAuthentication, ClientSecrets, IssuerService, MemoryClientStore, SigningKeys, TokenIssuer,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let (clients, keys) = (MemoryClientStore::default(), SigningKeys::generate(Algorithm::ES256)?);
//! let issuer = TokenIssuer::builder("https://auth.example.com", clients.clone(), keys)?.build()?;
//!
//! let (secret, digest) = issuer.generate_secret()?;
//! let post = ClientAuthentication::SecretPost(ClientSecrets::new(digest));
//! let client = Client::new("agent-7", "https://orders.example.com")?.scopes("orders:read")?;
//! clients.insert(client.authentication(post));
//!
//! let tokens: IssuerService<Full<Bytes>> = issuer.service();
//! let request = |secret: &str| {
//!     let form = format!("grant_type=client_credentials&client_id=agent-7&client_secret={secret}");
//!     let request = Request::post("/oauth/token").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
//!     tokens.clone().oneshot(request.body(Full::<Bytes>::from(form)).expect("a request"))
//! };
//! assert_eq!(request("guess").await?.status(), 401);
//! let response = request(secret.expose()).await?.into_body().collect().await?.to_bytes();
//! let response: serde_json::Value = serde_json::from_slice(&response)?;
//! let token = response["access_token"].as_str().expect("a token");
//!
//! // The API, in the same process. Elsewhere: `Jwt::discover("https://auth.example.com", …)`.
//! let jwt = Jwt::new(Issuer::new(issuer.name(), "https://orders.example.com")?.strict(), issuer.keys());
//! let api = AuthLayer::new(jwt)
//!     .layer(service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))));
//! let call = Request::builder().header("authorization", format!("Bearer {token}")).body(())?;
//! assert_eq!(api.oneshot(call).await?.status(), 200);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Client authentication
//!
//! Each client declares its methods, and each request uses exactly one of them.
//!
//! | method | what is verified |
//! |---|---|
//! | `client_secret_basic`, `client_secret_post` | the digest of a random secret; old secrets for a [grace period](ClientSecrets::rotated) |
//! | `private_key_jwt` | an assertion whose only audience is the issuer, never the token endpoint; its `jti` once |
//! | `tls_client_auth` | a name in the certificate of the connection, of a trusted authority ([with mutual TLS](TokenIssuerBuilder::mutual_tls)) |
//! | `self_signed_tls_client_auth` | the thumbprint of the certificate of the connection |
//!
//! A wrong credential and an unknown client get the same response, after the same work. An assertion is used up by a
//! request whose client, grant and DPoP proof are valid, also if the grant itself is refused: not by one that lacks a
//! nonce for its proof.
//!
//! With the settings of [`KeyOwners`], the owner of an API key is a client as well, whose secret is the key: an agent exchanges
//! its key for a short-lived JWT by the grant of client credentials, with any OAuth client and without a registration. The
//! scopes of the key are those that the owner may request.
//!
//! # Scopes and resources
//!
//! The scopes of a token are those that the request names and the client may have; without `scope`, all that the client may
//! have. If none remain, the response is `invalid_scope`. A token is for one `resource` of the client's set; without one, for
//! the first.
//!
//! # Refresh tokens
//!
//! The application issues the first one, by [`TokenIssuer::issue_refresh_token`], when it has authenticated the subject. Each
//! is used once and yields the next. If one is used again, its whole family is revoked, and its access tokens with it: see
//! [`RefreshTokens`]. The closure that adds claims is called at each refresh, so a suspended account stops there. Client
//! credentials yield no refresh tokens ([RFC 6749 §4.4.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.4.3)).
//!
//! # JSON for agents
//!
//! APIs for agents often have a login in JSON, which the `JsonLogin` of `tower-warden-client` calls. With
//! [`agent_api`](TokenIssuerBuilder::agent_api), there are two more endpoints; they are off by default. Clients declare
//! [`AgentSecret`](ClientAuthentication::AgentSecret); owners of API keys use their key as the secret.
//!
//! | endpoint | body | response |
//! |---|---|---|
//! | `POST /auth/token` | `{"agent_id", "agent_secret"}`, optionally `scope` and `resource` | that of the token endpoint; with a refresh token if the client may use refresh tokens and one can be stored |
//! | `POST /auth/refresh` | `{"refresh_token"}`, optionally `scope` | the same |
//!
//! Other members, members that occur twice and other types of values are refused. A refresh needs no secret: the token
//! is used once, and is bound to the key of its DPoP proof if the login had one. Refresh tokens of other clients are
//! refused there, and those about another subject than the agent itself.
//!
//! # Token exchange
//!
//! With the settings of a [`TokenExchange`], a client exchanges an access token for one of another resource or with
//! fewer scopes ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)): an API that calls another one for its caller, or
//! an agent that narrows its own token before it passes it on. A token of a user stays for the resource that was
//! granted to its client. `act` names the client that acts for the subject, and those before it. Scopes never grow, the
//! new token never outlives the old one, and a token that was not meant for the client is refused.
//!
//! # Assertions of other issuers
//!
//! With the settings of [`JwtBearer`], a client exchanges a short-lived JWT of a trusted issuer for an access token about its
//! subject ([RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)): the identity of a workload, or of an employee
//! who has logged in at an identity provider (ID-JAG). Each is accepted once, and its subjects are [mapped](Subjects).
//!
//! | the client presents | use |
//! |---|---|
//! | a token that was sent to it, or one of its own, to call the next API | token exchange |
//! | a JWT that another issuer has made for this issuer | the grant of assertions |
//!
//! # Bound tokens
//!
//! A token is bound to the key of a DPoP proof that its request has ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)), and
//! for clients that [declare it](Client::require_binding) to the certificate of the connection
//! ([RFC 8705](https://www.rfc-editor.org/rfc/rfc8705)), if the issuer has [mutual TLS](TokenIssuerBuilder::mutual_tls). An invalid proof is never treated as an absent one.
//!
//! # Revocation and introspection
//!
//! A client may revoke its own tokens ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)), if the issuer has a list of
//! revocations. It may introspect its own tokens ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)), and those for a resource
//! that it [serves](Client::serve); all others are reported as not active.
//!
//! # Development
//!
//! Interactive clients, such as those of MCP servers, need authorization codes. [`AutoConsent`] grants them without asking
//! anyone, for development on one machine: it is refused for an issuer whose host is not loopback, and so are requests from
//! elsewhere. [Public clients](Client::public) exist at such an issuer only. For people, use an OpenID provider.
//!
//! | endpoint | what it does | option |
//! |---|---|---|
//! | `GET /oauth/authorize` | issues a code ([RFC 6749 §4.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1)), with PKCE and `iss` in the response ([RFC 9207](https://www.rfc-editor.org/rfc/rfc9207)) | [`auto_consent`](TokenIssuerBuilder::auto_consent) |
//! | `POST /oauth/register` | registers a client ([RFC 7591](https://www.rfc-editor.org/rfc/rfc7591)) | [`registration`](AutoConsent::registration) |
//!
//! With the feature `client-documents`, `AutoConsent::client_documents` accepts clients whose id is the URL of a document with
//! their metadata. The metadata of the issuer states what is enabled.
//!
//! # Limits and audit
//!
//! Refusals are in the extensions of responses, as those of the layers of `tower-warden`. The token endpoint is public: put a
//! [`RateLimitLayer`](https://docs.rs/tower-warden/latest/tower_warden/layer/struct.RateLimitLayer.html) and a
//! [`FailureLimitLayer`](https://docs.rs/tower-warden/latest/tower_warden/layer/struct.FailureLimitLayer.html) by peer in front,
//! and an [`AuditLayer`](https://docs.rs/tower-warden/latest/tower_warden/layer/struct.AuditLayer.html) around them. With the
//! feature `audit`, which is on by default, the event of a request has the fields `client_id`, `grant_type`, `sub`, `aud` and
//! `jti`: the tokens themselves are never in it. The example `issuer` has these layers.
//!
//! # Features
//!
//! | feature | contents | default |
//! |---|---|---|
//! | `audit` | fields of the audit events of `AuditLayer` about requests for tokens | yes |
//! | `axum` | `issuer_routes` | yes |
//! | `client-documents` | `ClientDocuments`: clients that are described by a document at their URL, for development | |
//!
//! # Deployment caveats
//!
//! [`MemoryClientStore`], [`MemoryRefreshStore`], generated keys and the default guard of assertions are local to the process.
//! Several nodes need a shared [`ClientStore`], [`RefreshStore`] and [`SigningKeyStore`], which `tower-warden-sql` has for SQLite
//! and Postgres, and a shared [`ReplayGuard`](tower_warden::replay::ReplayGuard) and [`Revoker`]. Their clocks differ by less
//! than a minute.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
pub use self::axum::issuer_routes;
#[cfg(feature = "client-documents")]
pub use self::endpoint::ClientDocuments;
pub use self::{
    claims::{ClaimsError, ClaimsRequest, ClaimsSource, ExtraClaims},
    client::{
        Client, ClientAuthentication, ClientKeys, ClientRecord, ClientSecrets, ClientStore, GrantType,
        MemoryClientStore, TokenBinding,
    },
    endpoint::{AutoConsent, ClientProfile, ConsentRequest, IssuerService, ResponseFuture},
    exchange::TokenExchange,
    issuer::{TokenIssuer, TokenIssuerBuilder},
    jwt_bearer::JwtBearer,
    key_owners::KeyOwners,
    refresh::{
        FamilyStatus, IssueError, MemoryRefreshStore, RefreshFamily, RefreshSecret, RefreshStore, RefreshTokenRequest,
        RefreshTokens, Revoker, Rotation, RotationOutcome,
    },
    signing::{
        EncryptedKeys, EncryptionKey, EncryptionKeys, SigningKey, SigningKeyStore, SigningKeys, SigningKeysError,
        StoredKeys,
    },
    subjects::Subjects,
};

mod access_token;
#[cfg(feature = "axum")]
mod axum;
mod claims;
mod client;
mod endpoint;
mod exchange;
mod issuer;
mod jwt_bearer;
mod key_owners;
mod refresh;
mod signing;
mod subjects;
