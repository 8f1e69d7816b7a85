//! The manual's chapter "Calling protected APIs". It contains no items, only documentation.
//!
//! `cargo run --example agent` runs most of this against servers of its own. The manual of the server side is
//! [`tower_warden::manual`].
//!
//! # Which credential
//!
//! | the API | the caller has | source of tokens |
//! |---|---|---|
//! | issues API keys | a key | [`ScopedKeys`](crate::scoped_keys::ScopedKeys), or a [`StaticKey`](crate::grant::StaticKey) |
//! | trusts an authorization server | a client id with a secret, a key pair or a certificate | [`ClientCredentials`](crate::grant::ClientCredentials) |
//! | has a login of its own (`POST /auth/token`) | an id and a secret | [`JsonLogin`](crate::grant::JsonLogin), within a [`RefreshGrant`](crate::grant::RefreshGrant) if it issues refresh tokens |
//! | acts for a person | the refresh token of that person's consent | [`RefreshGrant`](crate::grant::RefreshGrant) |
//! | is called on behalf of the caller of this service | that caller's token | [`TokenExchange`](crate::grant::TokenExchange) |
//! | trusts the identity of the workload | a token of Kubernetes, SPIFFE or a cloud in a file | [`TokenFile`](crate::grant::TokenFile), or [`JwtBearer`](crate::grant::JwtBearer) if it is exchanged |
//!
//! Where there is a choice, prefer a credential that is bound to its sender: a certificate
//! ([`ClientAuth::mtls`](crate::ClientAuth::mtls)), a key pair ([`ClientAuth::private_key_jwt`](crate::ClientAuth::private_key_jwt)),
//! tokens with DPoP ([`DpopKey`](crate::DpopKey)). What leaks of them is of no use to others.
//!
//! # All services of an application
//!
//! [`Credentials`](crate::credentials::Credentials) has the credentials of all services by one configuration
//! ([`CredentialsConfig`](crate::credentials::CredentialsConfig)), which names secrets and never contains them: keys in
//! development, client credentials in staging, certificates in production, and the same code. Each service has an origin of its
//! own and no secret of another one. [`layer_for`](crate::credentials::Credentials::layer_for) is the layer of a service, and
//! [`status`](crate::credentials::Credentials::status) is for readiness checks.
//!
//! # Layers
//!
//! From the outside in: [`RetryLayer`](crate::retry::RetryLayer), so that each attempt has a current token;
//! [`McpHeadersLayer`](crate::mcp_headers::McpHeadersLayer) for MCP servers; [`TokenLayer`](crate::TokenLayer); the client.
//! A time limit for one attempt belongs between retries and token, and one for the whole call outside of everything.
//!
//! The layers are the place of the credentials. A model that writes requests, and a tool that it calls, get a client with its
//! layers and never a token: so none can be in a prompt, a transcript or a checkpoint, and none can be sent to another origin
//! ([`Origin`](crate::Origin)).
//!
//! # What happens when
//!
//! | event | action |
//! |---|---|
//! | the token expires in less than 120 seconds | one request refreshes it, and waits for up to a second; all others use the old one |
//! | the refresh fails | the old token serves until it expires; then requests fail with the error, without a further attempt for a time that grows to 30 seconds |
//! | 401 `invalid_token`, or 401 without an error code | the token is dropped, and the request sent once more with a new one |
//! | 401 `use_dpop_nonce` | the request is sent once more with the nonce |
//! | 403 | returned to the caller; with [`step_up`](crate::TokenLayer::step_up), `insufficient_scope` leads to one attempt with more scopes |
//! | gRPC: `UNAUTHENTICATED`, `PERMISSION_DENIED`, `UNAVAILABLE`, `RESOURCE_EXHAUSTED` with `Retry-After` | as 401, 403, 503 and 429; the last two are sent again only with `Idempotency-Key` |
//! | 429, 503 with `Retry-After` | sent again after that time, at most a minute, if the request is idempotent or has an `Idempotency-Key` |
//! | 500, 502, 503, 504, a lost connection | sent again after a random wait that grows, if the request is idempotent or has an `Idempotency-Key` |
//! | a redirect | returned to the caller |
//! | a refresh token is refused, or expires in less than 60 seconds | a full login, if there is one |
//! | the authorization server rotates the refresh token | the new one is saved before it is used |
//! | a body cannot be copied ([`replay`](crate::replay)) | the request is sent once |
//!
//! # Many processes
//!
//! A refresh token that rotates belongs to one [`store`](crate::store): processes of one machine share a
//! [`FileTokenStore`](crate::store::FileTokenStore), and machines need a store with a lock between them, or a login each.
//! Client credentials, keys and exchanges have nothing to share: each process has a token of its own.
//!
//! # Rotation of secrets
//!
//! A [`SecretSource`](crate::secret::SecretSource) is read again at intervals, and its value before a rotation remains valid for
//! an overlap: if a server refuses the current one meanwhile, the request is sent once more with the other. Add the new secret
//! at the server first, then at the source, and remove the old one at the server when the overlap is over.
//! [`ScopedKeys`](crate::scoped_keys::ScopedKeys) and [`Credentials`](crate::credentials::Credentials) warn three days before a
//! rotation is due.
//!
//! # Checklist
//!
//! Each line is a test of the same name in `tests/suite/checklist.rs`.
//!
//! - [x] **One key per service.** A key that two services share is refused when it is loaded.
//! - [x] **Keys never logged or serialised.** Neither a log line, an error nor `Debug` has a credential.
//! - [x] **Refresh 120 s early.** And at most half the lifetime early.
//! - [x] **Fallback to login.** When a refresh token is refused or about to expire.
//! - [x] **Retry-After respected.** In seconds or as a date, up to a maximum.
//! - [x] **No retry on 403.** It is an answer, not a failure.
//! - [x] **No concurrent refresh.** However many requests wait.
//! - [x] **Credentials not serialisable.** No type that holds one implements `Serialize`.
//! - [x] **MCP headers complete.** `Accept`, `Content-Type`, `MCP-Protocol-Version` and `X-Agent-Id`.
//! - [x] **Rotation warning 3 days ahead.** By `needs_rotation()` and in the log.
