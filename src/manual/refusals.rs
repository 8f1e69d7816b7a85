//! Statuses, error codes, challenges, and the table of all reasons.
//!
//! A refusal addresses two audiences.
//!
//! **The client** gets the status, the challenges in `WWW-Authenticate`, and a body with a stable error code and a fixed
//! sentence, which quotes nothing of the request. They depend on the kind of the refusal and on what the operation requires, such
//! as scopes, and on nothing else: a client cannot distinguish an unknown credential from a revoked or an expired one. A
//! credential that only its authenticator finds malformed is invalid: a JWT with a wrong number of segments, or an API key with a
//! wrong checksum.
//!
//! | status | code | when | challenge |
//! |---|---|---|---|
//! | 400 | `invalid_request` | the value of the credential is not well-formed for its scheme, or there are two credentials | yes |
//! | 401 | `credential_required` in the body, none in the challenge | there is no credential | yes |
//! | 401 | `invalid_token` | the credential is invalid | yes |
//! | 401 | `insufficient_user_authentication` | the user must authenticate again ([RFC 9470](https://www.rfc-editor.org/rfc/rfc9470)) | yes |
//! | 401 | `invalid_dpop_proof`, `use_dpop_nonce` | the DPoP proof is invalid, or needs a nonce ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)) | yes |
//! | 401 | `invalid_proof`, `use_nonce` | another [proof](crate::auth::ProofOfPossession) is missing or invalid, such as the signature beside an API key, or needs a nonce | yes |
//! | 400, 401 | `invalid_signature` | the signature of a request or a webhook is malformed (400), missing or invalid | yes |
//! | 403 | `insufficient_scope` | the caller lacks a scope; the challenge names all that are needed | yes |
//! | 403 | `insufficient_authorization` | the token lacks an authorization ([RFC 9396](https://www.rfc-editor.org/rfc/rfc9396)); the challenge states which to request | yes |
//! | 403 | `access_denied` | a policy refuses the caller | |
//! | 404 | `not_found` | an [`OwnTenant`](crate::authorize::OwnTenant) with `not_found` refuses the caller | |
//! | 403 | `claims_not_accepted` | the claims of the token are not those that a handler takes | |
//! | 403 | `scope_not_held`, `tenant_mismatch`, `tier_not_held` | the [key routes](crate::api_key::key_routes) refuse what the caller may not give to a key | |
//! | 400, 404, 409, 413, 415, 422 | `invalid_request`, `key_not_found`, `key_active`, `key_inactive`, `conflict` | the key routes refuse a request | |
//! | 400, 408, 413 | `invalid_content`, `request_timeout`, `content_too_large` | a [body check](crate::body) refuses the request's body, or it is not complete in time, or too large | |
//! | 400, 404, 405, 415 | `header_mismatch`, `unsupported_protocol_version`, `not_found`, `method_not_allowed` | a [guard](crate::mcp) in front of an MCP server refuses a message, session or method | |
//! | 429 | `quota_exceeded` | a limit is exceeded; with `Retry-After` | |
//! | 429 | `abnormal_usage_detected` | an [`AbuseGuard`](crate::audit::AbuseGuard) refuses a caller under an alert; with `Retry-After` | |
//! | 500 | `server_error` | the server is configured wrongly, or code panicked | |
//! | 503 | `temporarily_unavailable` | a dependency does not answer; with `Retry-After` | |
//!
//! **The operator** gets the [`Reason`](crate::Reason) as well, a fixed text that contains nothing the client sent. It is
//! available in three places:
//!
//! - the audit event of the request, under an [`AuditLayer`](crate::layer::AuditLayer), and the metric `warden.requests`;
//! - [`Rejection::reason`](crate::Rejection::reason) of the [`Rejection`](crate::Rejection) in the extensions of the response,
//!   for layers further out;
//! - the log, at the level debug (`RUST_LOG=tower_warden=debug`), in the field `reason` beside the field `code`. If a
//!   dependency failed, a warning or an error in the log names the cause.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_warden::{
//!     Reason, Rejection,
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     layer::AuthLayer,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let (key, secret) = keys.mint(NewKey::new("alice")).await?;
//! let service = AuthLayer::new(keys.clone()).layer(service_fn(async |_: Request<()>| {
//!     Ok::<_, std::convert::Infallible>(Response::new(http_body_util::Full::<bytes::Bytes>::default()))
//! }));
//! let request = || Request::builder().header("x-api-key", secret.expose()).body(());
//!
//! assert_eq!(service.clone().oneshot(request()?).await?.status(), 200);
//!
//! keys.revoke(&key.id).await?;
//! let refused = service.oneshot(request()?).await?;
//! let rejection = refused.extensions().get::<Rejection>().expect("each refusal carries it");
//! assert_eq!(rejection.reason(), Reason::KEY_REVOKED);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! If a layer answers in the place of another, the replaced refusal is its
//! [`cause`](crate::Rejection::cause): behind a [`FailureLimitLayer`](crate::layer::FailureLimitLayer) that responds with 429,
//! the reason is `failures_exceeded`, and the cause is still `key_revoked`.
//!
//! # Reasons
//!
//! Each is a constant of [`Reason`](crate::Reason), such as [`Reason::KEY_REVOKED`](crate::Reason::KEY_REVOKED). The texts are
//! stable. Custom authenticators, proofs and policies make their own with [`Reason::custom`](crate::Reason::custom).
//!
//! | reason | status | meaning | look at |
//! |---|---|---|---|
//! | `abnormal_usage` | 429 | The caller is under an alert, and an `AbuseGuard` refuses its requests. | the alert in the audit log, which names the caller, what was detected and how often. |
//! | `acr_insufficient` | 401 | The user authenticated in a way (`acr`) that the route does not accept. | the `acr` values of the route's `StepUp` against the token's `acr`, compared byte for byte, and the login flows configured at the issuer. |
//! | `acr_missing` | 401 | The route requires an authentication context (`acr`), and the credential has none. | whether the issuer puts `acr` into access tokens and introspection responses; API keys never have one. |
//! | `active_type` | 401 | The introspection response does not say whether the token is active. | the URL of the endpoint, and its response: `active` must be `true` or `false`, not a string. |
//! | `actor_denied` | 401 | The token names an actor (`act`), and the issuer's tokens must not have one. | `Issuer::deny_actors`, and which client obtained the token by token exchange (RFC 8693). |
//! | `actor_required` | 401 | The token names no actor (`act`), and the issuer's tokens must have one. | `Issuer::require_actor`, and whether the client obtains its tokens by token exchange (RFC 8693). |
//! | `actor_subject` | 401 | An actor in the token (`act`) has no subject. | the issuer's token exchange: every `act` object, nested ones too, needs a `sub` that is not empty. |
//! | `algorithm_not_allowed` | 401 | The token is signed with an algorithm that is not allowed for its issuer. | `alg` in the token's header against `Issuer::algorithms` (RS256, PS256, ES256 and EdDSA by default). |
//! | `algorithm_unknown` | 401 | The token's header names no signature algorithm, or one that is not supported. | `alg` in the token's header. `none` is always refused; many such tokens are an attack. |
//! | `audience_mismatch` | 401 | The token was issued for another audience. | `aud` of the token against the audiences of the `Issuer`, compared byte for byte (often a slash at the end), and the audience or resource that the client requests. If the API must be the sole audience, tokens with others are refused too. |
//! | `audience_missing` | 401 | The token has no audience. | the audience setting of the issuer: Keycloak needs an audience mapper, Auth0 the `audience` parameter of the client. For issuers without `aud`, such as Cognito, set `Issuer::audience_claim`. |
//! | `audit_unavailable` | 503 | The audit log had no room for the event of the request, and the layer waits for room. | the sink, such as a slow disk or a collector that does not respond. |
//! | `auth_layer_missing` | 500 | A layer or an extractor needs the caller, and `AuthLayer` is missing, or inside of it. | the order of the layers and routes: `AuthLayer` must be outside of whatever needs the caller. The last `Router::layer` is the outermost one, and covers only the routes added before it; the first layer of a `ServiceBuilder` is the outermost one. |
//! | `auth_time_in_future` | 401 | The time of the user's authentication (`auth_time`) is more than five minutes in the future. | the clocks of the issuer and of this server, and whether the issuer writes seconds, not milliseconds. |
//! | `auth_time_missing` | 401 | The route requires a recent authentication, and the credential has no `auth_time`. | whether the issuer puts `auth_time` into access tokens and introspection responses; API keys never have one. |
//! | `auth_time_too_old` | 401 | The user's authentication (`auth_time`) is older than the route allows. | `max_age` of the route's `StepUp`, and whether the client passes the `max_age` of the challenge to the issuer. The refusal itself is normal: it makes the client send the user to the issuer again. |
//! | `authorization_insufficient` | 403 | The token lacks an authorization (`authorization_details`) that the operation needs. | the `authorization_details` of the token or introspection response against the `RequiredAuthorization` of the route, and whether the authorization server writes them into tokens for this resource. The refusal itself is normal: it names what the client should request. |
//! | `binding_required` | 403 | The caller's credential is bound to a certificate or key, and the caller manages a key that is not bound. | `confirmation` in the request to the key routes, and in the record of a key to be rotated or changed: a caller with a tenant whose credential is bound manages only keys that are bound too. |
//! | `body_incomplete` | 400 | The request's body broke off with an error before it was complete. | clients that disconnect while they send, and proxies, or layers outside of `BodyCheckLayer`, that limit the size or the time of bodies themselves. |
//! | `body_timeout` | 408 | The request's body did not arrive completely within the time limit. | `timeout` in the `BodyLimits` of the check (10 seconds by default) against the size of the bodies and the client's connection; many of these from one address are an attack that holds connections open. |
//! | `body_too_large` | 413 | The request's body is larger than the limit, or its `Content-Length` is. | `max_bytes` in the `BodyLimits` of the check (1 MiB by default), and what the client sends. |
//! | `caller_without_tenant` | 403, 404 | The request is for a tenant, and the caller has none. | the rule for tenants of the issuer, or the tenant of the API key; callers that act for all tenants are declared with `OwnTenant::operators`. |
//! | `certificate_directory_unavailable` | 503 | The certificate directory failed. | the warning in the log, which names the cause, and the backend of the custom `CertificateDirectory`. |
//! | `certificate_mismatch` | 401 | The credential is bound to another client certificate than the one of the request. | whether the client renewed its certificate after the token was issued (`x5t#S256` in `cnf`) or the key was minted (`confirmation` in its record); if it did not, somebody else uses the credential. |
//! | `certificate_missing` | 401 | The credential is bound to a client certificate, and the request has none. | whether the client connects with its certificate, and whether the layer has `CertificateProof`; behind a proxy, the header and the proxies configured for `ForwardedCertificateLayer`. |
//! | `certificate_not_yet_valid` | 401 | The client certificate is not valid yet. | the start of the certificate's validity, and the clock of this server. |
//! | `certificate_unknown` | 401 | The client certificate does not belong to a known caller. | the certificate's names and thumbprint against those in the `CertificateMap` or directory. A certificate whose names lead to two callers is refused as well. |
//! | `certificate_unverified` | 401 | The client certificate was not verified against a trusted authority. | the `ChainStatus` configured for the TLS listener or for the proxy's header, and whether the proxy verifies certificates: AWS ALB does not in its mode `passthrough`, nginx not with `optional_no_ca`. |
//! | `claim_forbidden` | 403 | A claim of the token has another value than the route accepts, or is missing. | the `RequiredClaim` of the route, and that claim of the token; API keys have no claims. |
//! | `claim_required` | 401 | A required claim is missing, or has another value than required. | the explanation in the log line, and `Issuer::require_claim`; for a template, the claim that its placeholder names; with `Issuer::strict`, also the claims of RFC 9068, which are not empty: `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti`. |
//! | `claim_type` | 401 | A claim has the wrong JSON type, or is empty where a value is needed. | the explanation in the log line, which names the claim: times are numbers, names and ids are strings (numbers by `Issuer::accept_numeric_ids`), `aud` is a string or a list of strings, `act` is an object. Also look at the claims configured for the tenant, the tier and the roles. |
//! | `claims_mismatch` | 403 | The token's claims do not fit the type that the handler extracts. | the type in the handler's `Claims<T>`: fields that some tokens lack should be `Option`; then the claims that the issuer writes. |
//! | `claims_missing` | 403 | The handler extracts claims, and the caller's credential has none. | how the caller authenticated: API keys, for example, have no claims, so the route needs another extractor for them. |
//! | `claims_syntax` | 401 | The token's payload is not an accepted JSON object. | the system that issued the token. A payload with a member name twice or nested deeper than 32 levels is refused as well. |
//! | `client_certificate_chain_alone` | 400 | A proxy sent `Client-Cert-Chain` without `Client-Cert`. | the proxy's settings for RFC 9440: it must send `Client-Cert`, and remove both headers from requests that it receives. |
//! | `client_certificate_malformed` | 400 | The header in which a proxy forwards the client certificate cannot be parsed. | whether the `CertificateHeader` is the one for this proxy (RFC 9440, Envoy, nginx, HAProxy, Caddy, Apache, AWS ALB). Envoy must send `Cert`, with several elements `XfccElement` must select one, and a quote that a client sent must not remain: the outermost proxy must use `SANITIZE_SET`. |
//! | `client_certificate_too_long` | 400 | The header in which a proxy forwards the client certificate is longer than 32 KiB. | whether the proxy sends the whole chain; the client's certificate is enough. |
//! | `client_certificate_unquoted_name` | 400 | The client certificate header has names that Envoy does not quote, and `XfccElement::FromEnd` is configured. | `set_current_client_cert_details`, where `uri` and `dns` must not be set: a certificate with a comma in such a name could pass for another. If the authority chooses all names, as in a service mesh, see `CertificateHeader::danger_trust_unquoted_names`. |
//! | `client_network_forbidden` | 403 | The client's address is outside the networks that the route accepts. | the `AllowedNetworks` of the route, and the trusted proxies: if a proxy is not configured as trusted, the address is that of the proxy. |
//! | `confirmation` | 401 | The token is bound to something that cannot be checked (`cnf`). | the members of `cnf`: `x5t#S256` and `jkt` are supported, others are refused unless `Issuer::ignore_confirmation` names them. An introspection response with the `token_type` `DPoP` needs `jkt`. |
//! | `credential_characters` | 400 | The credential contains a control character or a byte that is not ASCII. | how the client builds the header; a line break or a typographic character copied together with the key is the usual cause. |
//! | `credential_empty` | 401 | A credential header is present, and contains no credential. | the client's configuration; the variable that should hold its key or token is usually empty. |
//! | `credential_in_query` | 401 | The query string seems to carry a credential, and no header does; query strings are ignored. | the client, which must send the credential in a header. Replace the credential: URLs end up in access logs. |
//! | `credential_kind` | 401 | An authenticator for tokens received a credential of another kind. | custom code that calls the authenticator directly; `AuthLayer` passes on only what the authenticator accepts. |
//! | `credential_list` | 400 | The value of a credential header contains a comma, like a list of several credentials. | a proxy that joins header lines with commas, and clients that put two schemes into one `Authorization` header. |
//! | `credential_missing` | 401 | The request carries no credential. | the client; if it does send one, look for a proxy that removes the header, another name for the API key header (`X-API-Key` by default), and CORS preflights that reach the layer. |
//! | `credential_not_accepted` | 401 | No authenticator of the layer accepts a credential of this kind and form. | the authenticators of the `AuthLayer` and the form of the credential: API keys need the prefix of a `KeyFormat`, JWTs have three segments, and opaque tokens need `Introspection`. |
//! | `credential_syntax` | 400 | The credential is not well-formed for its scheme. | how the client writes the header: `Bearer` and `DPoP` take one token (RFC 6750 §2.1), `ApiKey` one key without spaces. Quotes around the token and a repeated scheme name are the usual mistakes. |
//! | `credential_too_long` | 400 | The value of the credential header is longer than 16 KiB. | the size of the issuer's tokens; long lists of groups or roles in the claims are the usual cause. |
//! | `decision_denied` | 403 | A remote decision point has decided against the request. | the decision log of the server that the `DecisionPoint` queries. |
//! | `decision_point_status` | 503 | The remote decision point responded with an unexpected status. | the warning in the log, which names the status; the URL of the server, and the credential of `DecisionPointBuilder::bearer`. Redirects are not followed. |
//! | `decision_point_syntax` | 503 | The response of the remote decision point is not an accepted JSON object, or is longer than 64 KiB. | the URL of the server, which may lead to something else. |
//! | `decision_point_timeout` | 503 | The remote decision point did not respond in time. | the latency of the server, and `timeout` (3 seconds by default) and `max_lookups` (64 at once by default) of `DecisionPointBuilder`. |
//! | `decision_point_unavailable` | 503 | The remote decision point cannot be reached. | the warning in the log, which names the cause, and the URL of the server. |
//! | `dpop_algorithm` | 401 | The proof is signed with an algorithm that is not allowed. | `alg` in the proof's header against `Dpop::algorithms` (ES256, ES384, EdDSA, PS256 and RS256 by default). |
//! | `dpop_ath` | 401 | The proof was made for another access token (`ath`). | whether the client makes a new proof after it refreshes its token, and how it computes `ath`: the SHA-256 of the token as it is sent, in base64url without padding. |
//! | `dpop_claim_missing` | 401 | The proof lacks a required claim. | the client's proofs: `jti`, `htm`, `htu`, `iat` and `ath` are required. |
//! | `dpop_claim_type` | 401 | A claim of the proof has the wrong JSON type. | the client's proofs: `iat`, `exp` and `nbf` are numbers, the other claims strings. |
//! | `dpop_claims_syntax` | 401 | The proof's payload is not an accepted JSON object. | the client's DPoP library. A payload with a member name twice is refused as well. |
//! | `dpop_critical` | 401 | The proof's header requires an extension (`crit`, `b64`); none is supported. | the client's DPoP library; proofs do not use these. |
//! | `dpop_expired` | 401 | The proof has expired by its own `exp`. | the clocks of the client and of this server, and clients that use a proof again; `exp` is optional in proofs. |
//! | `dpop_header_syntax` | 401 | The proof's header is not an accepted JSON object. | what the client sends in the `DPoP` header. A header with a member name twice is refused as well. |
//! | `dpop_htm` | 401 | The proof was made for another HTTP method (`htm`). | the client, and proxies that change the method; the comparison is case-sensitive. |
//! | `dpop_htu` | 401 | The proof was made for another URL (`htu`). | the public URLs given to `Dpop::new` and `Dpop::public_url`: scheme, host, port and path prefix; then `Dpop::path_rewrite` if a proxy changes paths, and `htu` in the client's proof. |
//! | `dpop_in_future` | 401 | The proof was made too far in the future (`iat`). | the clocks of the client and of this server, and `Dpop::window` (30 seconds ahead by default, one hour with nonces). |
//! | `dpop_jti` | 401 | The proof's id (`jti`) is empty or longer than 1024 bytes. | the client's DPoP library. |
//! | `dpop_key` | 401 | The proof's header has no usable public key (`jwk`). | the client's `jwk`: a public key of kind EC, OKP or RSA without private members, whose `alg`, if present, is that of the header, `use` is `sig`, and `key_ops` contains `verify`. |
//! | `dpop_nonce_missing` | 401 | The proof has no nonce, and one is required. | whether the client repeats the request with the nonce of the response's `DPoP-Nonce`; the first refusal of a client is normal. In browsers, CORS must expose `DPoP-Nonce` and `WWW-Authenticate`. |
//! | `dpop_nonce_stale` | 401 | The nonce of the proof is too old, or was not issued by this server. | whether it persists: one refusal is normal when the nonce changes. If it does, all nodes need the same secret (`Nonces::shared`) and the same period. |
//! | `dpop_not_yet_valid` | 401 | The proof is not valid yet by its own `nbf`. | the clocks of the client and of this server; `nbf` is optional in proofs. |
//! | `dpop_proof_characters` | 401 | The `DPoP` header contains characters that are not ASCII. | what the client sends in the `DPoP` header. |
//! | `dpop_proof_missing` | 401 | The token was sent under the scheme `DPoP`, and the request has no `DPoP` header. | the client, and proxies that remove the header; in browsers, CORS must allow it. |
//! | `dpop_proof_too_long` | 401 | The proof is longer than 8 KiB. | the client's DPoP library; a certificate chain in the proof's header is a possible cause. |
//! | `dpop_replay` | 401 | The proof was used before. | clients and proxies that repeat a request with the same proof, and requests that pass two layers with the same `Dpop`; otherwise somebody else replays the proof. |
//! | `dpop_replay_full` | 503 | The replay guard has no room for another proof. | the rate of all requests with proofs against the one declared with `MemoryReplayGuard::for_rates` (1 000 a second by default), and `Dpop::window`: a proof is kept for as long as it is valid. |
//! | `dpop_replay_key_full` | 429 | The replay guard has no room for another proof of this key. | the client's request rate against the one declared with `MemoryReplayGuard::for_rates` or `RedisReplayGuard::per_key` (10 a second by default), and `Dpop::window`. |
//! | `dpop_replay_unavailable` | 503 | The replay guard could not be queried. | the warning in the log, which names the cause; then the Redis server that holds the proofs, and the network to it. |
//! | `dpop_signature` | 401 | The proof's signature is wrong. | the client's DPoP library: the proof must be signed with the private key of its `jwk`, and ECDSA signatures are raw (RFC 7518 §3.4), not DER. |
//! | `dpop_syntax` | 401 | The proof is not a compact JWS. | what the client sends in the `DPoP` header: three segments in base64url without padding. |
//! | `dpop_too_old` | 401 | The proof was made too long ago (`iat`). | clients that use a proof again, the clocks of the client and of this server, and `Dpop::window` (300 seconds by default, one hour with nonces). |
//! | `dpop_type` | 401 | The `DPoP` header does not contain a proof: its `typ` is not `dpop+jwt`. | what the client sends in the `DPoP` header; some clients repeat the access token there. |
//! | `expired` | 401 | The credential has expired. | `exp` of the token, the end of the certificate's validity, or `expires_at` and `replaced` in the key's record; for a fresh credential, the clocks of the issuer and of this server. |
//! | `expiry_missing` | 401 | The token has no expiry (`exp`). | the token settings of the issuer; a JWT without `exp` is always refused. |
//! | `failures_exceeded` | 429 | The caller sent too many refused credentials. | who the caller is, by the `LimitBy` of the `FailureLimitLayer` (usually the address): a client with an old credential that retries, or somebody who guesses. `Rejection::cause` holds the refusal that this one replaces. |
//! | `header_critical` | 401 | The token's header requires an extension (`crit`, `b64`); none is supported. | the system that issued the token; access tokens do not use these. |
//! | `header_syntax` | 401 | The token's header is not an accepted JSON object. | what the client sends as its token, and the system that issued it. A header with a member name twice is refused as well. |
//! | `header_type` | 401 | A member of the token's header has the wrong JSON type. | the system that issued the token: `alg`, `kid` and `typ` are strings. |
//! | `id_token` | 401 | The token looks like an ID token. | which token the client sends: it must be the access token. If the issuer puts `nonce`, `at_hash`, `c_hash`, `s_hash`, or an `azp` that equals `aud` into access tokens, see `Issuer::access_token_claim`. |
//! | `insufficient_scope` | 403 | The caller lacks a scope that the operation needs. | the scopes in the response's challenge against those that the caller holds: the client's registration at the issuer, the claims that the `Issuer` reads scopes from, `scopes` in the key's record, and the `ScopeHierarchy`. An `AuthorizeLayer` with an empty list of scopes refuses every caller. |
//! | `introspection_credentials` | 503 | The introspection endpoint refused this server's client id and secret. | the client id and secret given to `Introspection`, whether they were changed at the issuer, whether that client may introspect tokens, and `client_secret_post` for endpoints that take the secret in the body. |
//! | `introspection_signature` | 503 | The introspection response is not signed by the issuer for this server. | the warning in the log, which names the cause. With `IntrospectionBuilder::signed_responses`, the response is a JWT of the type `token-introspection+jwt` (RFC 9701), whose `aud` is the client id of this server. |
//! | `introspection_status` | 503 | The introspection endpoint responded with an unexpected status. | the warning in the log, which names the status, and the URL of the endpoint; redirects are not followed. |
//! | `introspection_syntax` | 503 | The introspection response is not an accepted JSON object. | the URL of the endpoint, which may lead to a web page, and its settings: responses that are JWTs (RFC 9701) are accepted with `IntrospectionBuilder::signed_responses`. |
//! | `introspection_throttled` | 503 | The introspection endpoint limits this server's requests (status 429). | the rate limit of the issuer, and the cache lifetimes of `IntrospectionBuilder`: longer ones need fewer requests. The endpoint's `Retry-After` in seconds is passed on, up to 60; a date is not. |
//! | `introspection_timeout` | 503 | The introspection endpoint did not respond in time. | the latency of the issuer, and `timeout` (3 seconds by default) and `max_lookups` (64 at once by default) of `IntrospectionBuilder`. |
//! | `introspection_too_long` | 503 | The introspection response is longer than 64 KiB. | the claims that the issuer returns; long lists of groups or roles are the usual cause. |
//! | `introspection_unavailable` | 503 | The request to the introspection endpoint failed. | the warning in the log, which names the cause: DNS, TLS, a firewall, a response that is too long. The built-in HTTP client must be allowed to reach private addresses. |
//! | `issued_in_future` | 401 | The token was issued in the future (`iat`). | the clocks of the issuer and of this server, and `Issuer::skew` (60 seconds by default, 30 with `Issuer::strict`). |
//! | `issuer_mismatch` | 401 | The introspection response names another issuer (`iss`). | `iss` in the response against the name of the configured `Issuer`, compared byte for byte: often a slash at the end. |
//! | `issuer_missing` | 401 | The token names no issuer (`iss`). | the system that issued the token. For systems that write no `iss`, see `Issuer::danger_without_iss`. |
//! | `issuer_unknown` | 401 | The token's issuer (`iss`) is not configured. | the explanation in the log line: `iss` of the token against the names of the configured issuers, compared byte for byte: often a slash at the end, or another tenant, realm or version in the URL. |
//! | `key_algorithm` | 401 | The token's algorithm is not the one that its key is used with. | `alg` in the token's header against `alg` of the key in the issuer's key set; for RSA keys without `alg`, `rsa_algorithm` of `RemoteKeysBuilder` (RS256 by default). |
//! | `key_characters` | 401 | The API key contains a character that its format does not allow. | how the client stores the key; quotes, a line end or a second value in the same variable are the usual causes. |
//! | `key_checksum` | 401 | The checksum of the API key is wrong. | whether the key was mistyped or altered; many wrong checksums from one address are guesses. |
//! | `key_issuer` | 401 | The key that signed the token is that of another issuer in the key set. | the member `issuer` of the key against `iss` of the token. Tokens of version 1 of Entra ID (`https://sts.windows.net/{tid}/`) need the keys at `common/discovery/keys`, which name no issuer. Otherwise somebody tries tokens of one tenant at another. |
//! | `key_length` | 401 | The API key does not have the length of its format. | whether the key was cut off, or copied together with something else. |
//! | `key_mismatch` | 401 | The proof was made with another key than the one the credential is bound to. | whether the client made a new key after the token was issued (`jkt` in `cnf`); if it did not, somebody else uses the token. |
//! | `key_not_bound` | 401 | The credential was sent under the scheme `DPoP`, and is not bound to a key. | the issuer's setting for DPoP-bound tokens (`jkt` in the token's `cnf`), or `confirmation` in the key's record; a client with an unbound token must send it as `Bearer`. |
//! | `key_prefix` | 401 | The API key does not begin with the prefix of a configured format. | the formats of `ApiKeys`, and custom code that calls it directly: `AuthLayer` refuses such a key as `credential_not_accepted`. |
//! | `key_proof_missing` | 401 | The credential is bound to a key, and the request does not prove that the sender holds it. | the scheme that the client uses: a bound token needs `DPoP` and a proof, not `Bearer`; and whether the layer has `AuthLayer::dpop`. |
//! | `key_request_refused` | 400, 404, 409, 413, 415, 422, 500 | A request to the key routes is invalid, or names a key that does not exist or is not active. | the detail of the response, which names the mistake in the request. |
//! | `key_retired` | 401 | The key that signed the token was withdrawn from the issuer's key set. | the issuer's key rotation: a key should stay in the set until its last token has expired. With a custom key source, look at its calls of `VerifyingKey::retire`. |
//! | `key_revoked` | 401 | The API key was revoked. | the key's record (`revoked_at`) and who still uses it. |
//! | `key_store_timeout` | 503 | The key store did not respond in time. | the latency of the database, and `timeout` (2 seconds by default) and `max_lookups` (128 at once by default) of `ApiKeysBuilder`. |
//! | `key_store_unavailable` | 503 | The key store failed. | the log, which names the cause: usually a database that is down, a full connection pool, wrong database credentials or a missing migration. |
//! | `key_too_long` | 401 | The API key is longer than 512 bytes. | what the client sends in place of its key; usually it is a token. A `KeyFormat::opaque` with an empty prefix also takes bearer tokens. |
//! | `key_unknown` | 401 | The API key is not in the store, or the issuer's key set has no key for the token. | for API keys, whether the client uses a key of another environment, whether the record was deleted, and the peppers; for JWTs, `kid` in the token's header against the issuer's key set, and `accept_missing_kid` for tokens without `kid`. |
//! | `keys_unavailable` | 503 | The issuer's key set is not available, or the issuer was not resolved. | the warnings in the log, which name the cause at each URL, and the network from this server to the issuer's metadata and `jwks_uri`; private addresses, private certificate authorities and plain `http` are options of `HttpClient::builder`. A set without any usable key is unavailable too. `Jwt::is_ready` reports the same state to a readiness probe. For an `IssuerResolver`, look at what it queries: it has five seconds. |
//! | `kid_too_long` | 401 | The token's key id (`kid`) is longer than 256 bytes. | the system that issued the token; many such tokens are an attack. |
//! | `lifetime` | 401 | The token is valid for longer than its issuer's tokens may be. | `exp` and `iat` of the token against `Issuer::max_lifetime` (28 hours by default), and the token lifetime set at the issuer. |
//! | `load_balancer_mismatch` | 401 | The token is signed by another load balancer than those that are configured, or names none. | the ARNs of `AwsAlb::new`, after the load balancer was replaced. Otherwise somebody sends tokens of a load balancer of their own: allow requests from yours only. |
//! | `mcp_event_forbidden` | 404 | The event that `Last-Event-ID` names is unknown, or was in a stream of another caller. | whether this node was restarted, the stream was opened at another node, or more than 4096 events were sent to the caller since: clients then send their request again. Otherwise a caller has tried to read the stream of another one. |
//! | `mcp_header_mismatch` | 400 | A header field of an MCP request is missing, is present twice, or differs from the body. | `MCP-Protocol-Version`, `Mcp-Method` and `Mcp-Name` of the request, and proxies that add or remove header fields. A client that sends another name in the header than in the body tries to get past a policy. |
//! | `mcp_http_method` | 405 | The HTTP method is none that the version of MCP has. | the client. `GET` and `DELETE` exist up to version 2025-11-25, `OPTIONS` belongs to the CORS layer, which must be outside of the guard. |
//! | `mcp_message_invalid` | 400, 415 | The body of an MCP request is not a message that the guard can judge. | the client. The body must be one JSON-RPC message (a batch only in version 2025-03-26) in UTF-8, with the type `application/json` and without a content coding, without duplicate member names, nested at most 32 levels deep, with the members that its method needs, and with at most 4096 values besides the arguments. |
//! | `mcp_origin_forbidden` | 403 | The request comes from a web page of an origin that is not allowed. | the `Origin` of the request. If the page is one of yours, allow it with `McpServer::allow_origin`. |
//! | `mcp_session_forbidden` | 404 | The MCP session is unknown, or belongs to another caller. | whether this node was restarted, or the session was opened at another node: clients then open a new one. Otherwise a caller has tried to enter the session of another one. |
//! | `mcp_task_forbidden` | 403 | The MCP task is unknown, or belongs to another caller. | whether this node was restarted, or the task was created at another node. Otherwise a caller has tried to reach the task of another one. |
//! | `mcp_undeclared` | 403, 404 | The tool, prompt, resource or method is not declared. | the declaration of the `McpServer`, which names everything that may be used. `McpServer::check_tools` compares it with the tools of the server at start. |
//! | `mcp_version_unsupported` | 400 | The request states a version of MCP that the guard does not know. | `MCP-Protocol-Version` of the request. A newer version needs a newer release of this crate. |
//! | `method_forbidden` | 403 | The caller authenticated by a method that the route does not accept. | the `AllowedMethods` of the route, and the kind of credential that the client sends. |
//! | `network_forbidden` | 401 | The client's address is outside the networks that the credential is limited to. | `networks` in the key's record, and the trusted proxies: if a proxy is not configured as trusted, the address is that of the proxy. |
//! | `network_not_held` | 403 | The caller manages a key that is accepted from networks that its own credential is not accepted from. | `networks` of the caller's own key, and in the request to the key routes or the record of the key: a caller with a tenant whose key is restricted to networks manages only keys that are restricted to parts of them. |
//! | `not_sender_constrained` | 401 | A layer accepts only credentials that are bound to their sender, and this one is not bound in the required way. | the `SenderConstraint` of the layer or route, and the issuer's setting for certificate-bound or DPoP-bound tokens; for API keys, `confirmation` in the key's record. |
//! | `not_yet_valid` | 401 | The token is not valid yet (`nbf`). | the clocks of the issuer and of this server, and `Issuer::skew` (60 seconds by default, 30 with `Issuer::strict`). |
//! | `operator_not_declared` | 403 | The caller of the key routes has no tenant, and is not an operator. | whether the issuer of the token should have a rule for tenants (`Issuer::tenant_claim`). If there are no tenants, declare the operators with `KeyRoutes::operators`; by default, they are API keys without a tenant. |
//! | `panicked` | 500 | Code that decides on the request panicked. | the panic message on the server's standard error, and custom code: authenticators, stores, policies, key sources, closures. |
//! | `payload_field_repeated` | 401 | A header field of the signature occurs more than once. | the sender, and proxies that add or repeat header fields. |
//! | `payload_id_missing` | 401 | The request lacks the id that the signature covers. | whether the sender uses the configured `PayloadScheme`, and proxies that remove header fields. |
//! | `payload_id_syntax` | 401 | The request's id is empty, longer than 256 bytes, or has a character that is not allowed. | the sender: an id is visible ASCII, without the character that follows it in the signed bytes, such as the '.' of Standard Webhooks. |
//! | `payload_in_future` | 401 | The timestamp of the signature is too far in the future. | the clocks of the sender and of this server, the tolerance (60 seconds ahead by default), and the unit: a timestamp in milliseconds that is read as seconds is in the future. |
//! | `payload_key_unknown` | 401 | The key that the credential is bound to is not known. | `payload-key` in the record's confirmation, against the list of keys (`PayloadKeyMap`) or the name and the master secrets (`DerivedSecrets`). |
//! | `payload_keys_unavailable` | 503 | The keys that credentials are bound to are not available. | the warning in the log, which names the cause, and the `PayloadKeys` of the application. |
//! | `payload_not_read` | 500 | The body of the request was not read before its signature was to be verified. | the layers of the application: that of `PayloadProof::body_layer` is outside of `AuthLayer`. In axum, the last `.layer` call adds the outermost one. |
//! | `payload_replay` | 401 | The signed request was received before. | senders and proxies that repeat a request, and requests that pass two layers with one replay guard; otherwise somebody else replays it. With `ReplayId::Message`, a sender's own retry is refused as well. |
//! | `payload_replay_full` | 503 | The replay guard has no room for another signed request. | the rate of all signed requests against the one declared with `MemoryReplayGuard::for_rates` (1 000 a second by default), and the tolerance or replay window: a request is recorded for that long. |
//! | `payload_replay_key_full` | 429 | The replay guard has no room for another signed request of this sender. | the sender's rate against the one declared with `MemoryReplayGuard::for_rates` or `RedisReplayGuard::per_key`, and the tolerance or replay window. |
//! | `payload_replay_unavailable` | 503 | The replay guard could not be queried. | the warning in the log, which names the cause; then the Redis server that holds the records, and the network to it. |
//! | `payload_signature_missing` | 401 | The request has no signature. | whether the sender signs its requests, whether it uses the configured `PayloadScheme`, and proxies that remove header fields. |
//! | `payload_signature_syntax` | 401 | The field of the signature is malformed. | the sender, and the encoding of the configured `PayloadScheme`: hexadecimal digits, or base64 with padding. |
//! | `payload_signature_too_long` | 401 | The field of the signature is longer than 4096 bytes, or has more than 8 signatures. | the sender; while a secret is rotated, two signatures are usual. |
//! | `payload_signature_version` | 401 | The request has signatures of unsupported versions only. | the prefix of the signature against that of the configured `PayloadScheme`, such as `sha256=`, `v0=` or `v1`. |
//! | `payload_signature_wrong` | 401 | No signature of the request is valid with one of the keys. | the secret, and its form (`PayloadKey`); whether a proxy or a layer outside changes the body, such as one that decompresses or parses it; otherwise somebody else has sent or changed the request. |
//! | `payload_stale` | 401 | The timestamp of the signature is too far in the past. | the clocks of the sender and of this server, queues between them, the tolerance (300 seconds by default), and the unit of the timestamp; otherwise somebody else has recorded the request. |
//! | `payload_timestamp_missing` | 401 | The request lacks the timestamp that the signature covers. | whether the sender uses the configured `PayloadScheme`, and proxies that remove header fields. |
//! | `payload_timestamp_syntax` | 401 | The timestamp of the signature is not a decimal number. | the sender: a timestamp is the number of seconds or milliseconds since the Unix epoch. |
//! | `peer_unknown` | 401, 403, 500 | The client's address is unknown, and a credential with networks, a policy by networks, a rate limit or a `ForwardedCertificateLayer` needs it. | for 500, how the server is started: axum needs `into_make_service_with_connect_info::<SocketAddr>()`, tonic and servers on Unix sockets a `PeerLayer`, other servers must insert `Peer`. For 401 and 403, what the trusted proxy writes into `X-Forwarded-For` or `Forwarded`, and whether it is configured in a `ClientAddressLayer`. |
//! | `policy` | 403 | A policy of the application refused the caller. | the policies of this route, such as the closure given to `AuthorizeLayer::when`, and the properties of the caller that they check, such as the tenant and the roles. The audit event names a policy that has a name. |
//! | `policy_failed` | 403 | The evaluation of a policy failed, exceeded its limit of time or input, or its result has an unexpected type. | the explanation in the log line and the warning in the log, which name the cause; for a policy language also the limits of the policy. |
//! | `policy_undefined` | 403 | The evaluation of a policy has no result. | whether the policy defines the queried rule for this input: a `default` rule makes its result explicit; and the spelling of the package and the rule. |
//! | `proof_mismatch` | 401 | The proof of a custom method was made with another key than the one the credential is bound to. | the member of the token's `cnf`, and the custom proof that verifies it. |
//! | `proof_missing` | 401 | The credential is bound by a method that the request does not prove. | the members of the token's `cnf`, and the proofs that the `AuthLayer` was configured with: a member that no proof verifies can be ignored with `Issuer::ignore_confirmation`. |
//! | `quota_exceeded` | 429 | The caller has used up a quota. | the names in `Rejection::violated`, which the client sees as `violated-policies`; then the caller's tier, and the `QuotaSet` of the `RateLimitLayer`. |
//! | `rate_limiter_unavailable` | 503 | The rate limiter failed. | the error in the log, which names the cause; then the Redis server, and `OnOutage`: with `Refuse`, requests are refused while Redis is down. |
//! | `recheck_unavailable` | 503 | The authenticator of the credential of a response that is being sent did not check it in time. | the `Recheck` of the `Identity`, and what it queries; for API keys, the store. |
//! | `revocations_unavailable` | 503 | The revocation list could not be queried. | the warning in the log, which names the cause; then the Redis server that holds the list, and the network to it. |
//! | `revoked` | 401 | The credential is on the revocation list. | the revocations of its token id (`jti`), session (`sid`), key id, subject, client and tenant. A token without `iat` matches every revocation of its subject, client or tenant. |
//! | `revoked_while_loading` | 503 | The cached entries were invalidated several times while the credential was looked up. | what changes or revokes keys again and again, and whether the store's change notifications reconnect in a loop: each lost connection invalidates the whole cache. |
//! | `role_missing` | 403 | The caller lacks a role that the route requires. | the `RequiredRoles` of the route, the roles of the caller, and `Issuer::roles_claim`: without it, tokens have no roles. |
//! | `roles_timeout` | 503 | The directory of roles did not respond in time. | `timeout` and `max_lookups` of the `CachedRoles`, and the load of what the directory queries. |
//! | `roles_unavailable` | 503 | The directory of roles does not respond. | the warning in the log, which names the cause, and what the custom `RoleDirectory` queries. |
//! | `scope_not_held` | 403 | The caller manages a key with a scope that it does not hold itself. | the caller's scopes: through the key routes, a caller with a tenant mints and rotates only keys whose scopes its credential has. Those that a `RoleLayer` adds do not count, and those that it would add to requests with the key do. |
//! | `several_client_certificates` | 400 | The header in which a proxy forwards the client certificate is present more than once. | whether the proxy removes this header from requests that it receives before it adds its own; if it does not, clients can forge certificates. |
//! | `several_credentials` | 400 | The request carries more than one credential. | the client and the proxies in front of the server: only one of `Authorization`, the API key header and the other configured locations may be present, and only once. |
//! | `several_dpop_proofs` | 401 | The request has more than one `DPoP` header. | the client, and proxies that add or repeat headers. |
//! | `signature` | 401 | The token's signature is wrong. | whether the token comes from the configured issuer: staging and production may use the same name with other keys, and a `kid` may have been given to a new key. Otherwise the token was altered or forged. |
//! | `signature_agent` | 401 | The signature covers no member of `Signature-Agent` with the URL of a directory. | the field, a dictionary whose member is a string with an `https` URL without parameters, and the component `"signature-agent";key="…"`. |
//! | `signature_algorithm` | 401 | The key of the signature has an algorithm that is not allowed, or `alg` names another one. | the algorithm of the key in the key source against `SignaturePolicy::algorithms`, and the parameter `alg`, which clients may leave out. |
//! | `signature_component` | 401 | The signature covers a component twice, or one that is unknown or not supported, such as a trailer field. | the components in `Signature-Input`; names of fields are in lower case. |
//! | `signature_component_absent` | 401 | The request does not have a component that the signature covers. | proxies that remove header fields; a covered field that holds other characters than ASCII needs `bs`, and one with `sf` a type, see `SignaturePolicy::structured_field`. |
//! | `signature_content_changed` | 400, 401 | The content of the request is not the one that `Content-Digest` describes, or has trailer fields. | layers and proxies that change the body, such as by decompression, and how the client computes the digest: over the bytes that are sent. |
//! | `signature_content_not_covered` | 401 | The request has content, and its signature covers no `content-digest` by SHA-256 or SHA-512. | the client, which has to send `Content-Digest` (RFC 9530) and to cover it. |
//! | `signature_content_unchecked` | 500 | The layer that compares content with its digest is missing. | the stack: a `BodyCheckLayer` with a `ContentDigestCheck` belongs outside of the `AuthLayer`. |
//! | `signature_created_missing` | 401 | The signature has no parameter `created`. | the client; without a time, a signature can be replayed later. |
//! | `signature_expired` | 401 | The signature has expired by its own `expires`. | the clocks of the client and of this server, and clients that send a request again with the same signature. |
//! | `signature_expires_missing` | 401 | The signature has no parameter `expires`, and one is required. | the client; agents of Web Bot Auth send it. |
//! | `signature_in_future` | 401 | The signature was made too far in the future (`created`), or has no `created` and expires too late. | the clocks of the client and of this server, and `SignaturePolicy::skew` (60 seconds by default); without `created`, `expires` against `SignaturePolicy::max_age`. |
//! | `signature_key_expired` | 401 | The directory of the agent states that the key has expired (`exp`). | the directory of the agent, which has to sign with another key; the clock of this server, and `SignaturePolicy::skew`. |
//! | `signature_key_missing` | 401 | The signature has no parameter `keyid`. | the client; the key is looked up by its id. |
//! | `signature_key_not_yet_valid` | 401 | The directory of the agent states that the key is not valid yet (`nbf`). | the directory of the agent, which has to publish a key before it signs with it; the clock of this server, and `SignaturePolicy::skew`. |
//! | `signature_key_unknown` | 401 | The key of the signature is unknown, or has left its set. | `keyid` against the ids in the key source; after a rotation, whether the source has the new key. |
//! | `signature_keys_unavailable` | 503 | The key of the signature could not be looked up. | the warning in the log, which names the cause; then the source of keys, and the network to it. |
//! | `signature_labels` | 400 | `Signature-Input` and `Signature` do not have the same labels, or one of the two is absent. | the client, and proxies that remove or merge one of the two header fields. |
//! | `signature_nonce_missing` | 401 | The signature has no parameter `nonce`, and one is required. | the client, and `SignaturePolicy::require_nonce`. |
//! | `signature_not_covered` | 401 | The signature does not cover a required component. | the components in `Signature-Input` against `Accept-Signature` in the response, which names those that are required: of `authorization`, the field of the subject's credential, and with content `content-type` and `content-encoding`, those that the request has. A proxy that adds one of them to signed requests causes this as well. |
//! | `signature_parameter` | 401 | A parameter of the signature has the wrong type or is too long, or `expires` is before `created`. | the client: `created` and `expires` are integers; `alg`, `keyid`, `nonce` and `tag` are strings of up to 256 bytes. |
//! | `signature_replay` | 401 | The signature was used before. | clients and proxies that repeat a request with the same signature, and clients that send equal requests in one second without a `nonce`; otherwise somebody else replays the request. |
//! | `signature_replay_full` | 503 | The replay guard has no room for another signature. | the rate of all signed requests against the guard of `SignaturePolicy::replay_guard` (400 000 signatures by default), and `SignaturePolicy::max_age`: a signature is kept for as long as it is valid. |
//! | `signature_replay_key_full` | 429 | The replay guard has no room for another signature of this key. | the client's request rate against the guard of `SignaturePolicy::replay_guard` (20 000 signatures of a key by default, 10 a second by `RedisReplayGuard::per_key`), and `SignaturePolicy::max_age`. |
//! | `signature_replay_unavailable` | 503 | The replay guard could not be queried. | the warning in the log, which names the cause; then the server that holds the used signatures, and the network to it. |
//! | `signature_syntax` | 400 | `Signature-Input` or `Signature` is not a dictionary of the required form. | what the client sends in the two header fields. A label that occurs twice is refused as well. |
//! | `signature_tag` | 401 | No signature of the request has the expected `tag`. | the `tag` that clients use against `SignaturePolicy::tag`; without one there, signatures with a tag are made for something else. |
//! | `signature_too_long` | 400 | `Signature-Input` or `Signature` is longer than 16 KiB, a signature covers more than 32 components, more than three signatures meet the policy or would without the content, or what they cover is longer than 128 KiB. | what the client sends. Fields that are covered with `sf` or `key` count four times, and the query once more if a parameter of it is covered. |
//! | `signature_too_old` | 401 | The signature was made too long ago (`created`). | clients that send a request again with the same signature, the clocks of the client and of this server, and `SignaturePolicy::max_age` (300 seconds by default). |
//! | `signature_wrong` | 401 | The signature does not verify with the key. | what a proxy changes between the client and this server: path, query, and the covered fields; the origin given to `SignaturePolicy::new` and `SignaturePolicy::removed_prefix`; then the client's signature base. |
//! | `stream_guard_mismatch` | 500 | The caller was admitted by another `AuthLayer`, or by other settings, than those of the `StreamGuardLayer`. | the order of the calls: `AuthLayer::stream_guard` comes after `revocations` and `environment`, and the layer that it makes is placed inside of that same `AuthLayer`. |
//! | `stream_guard_missing` | 500 | A handler needs a `CredentialWatch`, and `StreamGuardLayer` is missing around it. | the layers of the route: `AuthLayer::stream_guard` makes the layer, which is inside of the `AuthLayer`. |
//! | `subject_credential_missing` | 401 | The layer requires a credential of the subject that the caller acts for, and the request has none. | the client, which must send both credentials, each in its own location: see the layer's `AuthLayer::acting_for`. |
//! | `subject_missing` | 401 | The token names no subject. | the issuer's claims: `sub` must be present and not empty. `Issuer::subject_claims` names other claims, and `Issuer::client_as_subject` accepts tokens of clients without a subject. |
//! | `tenant_forbidden` | 403, 404 | The request names another tenant than that of the caller. | the place of the tenant in the `OwnTenant` of the route, and the tenant of the caller. If both are right, the client tried to reach the data of another tenant. |
//! | `tenant_mismatch` | 401, 403 | The credential belongs to another tenant than the one that is required. | `tenant` in the key's record or the tenant claim of the token, against the tenant that `ApiKeysBuilder` was configured with, the tenant in a request to the key routes, the `AllowedTenants` of the route, or the tenant of the subject that the caller acts for. |
//! | `tenant_missing` | 401 | The token has no tenant. | the claim named by `Issuer::tenant_claim`, and whether the issuer puts it into tokens of this client and user. |
//! | `tenant_not_named` | 403, 404 | The request names no tenant, or several. | the place of the tenant in the `OwnTenant` of the route, and what the client sends there. |
//! | `tier_not_held` | 403 | The caller manages a key with a tier that is not its own. | `tier` in the request to the key routes, or in the record of a key to be rotated or changed: a caller with a tenant manages only keys of its own tier. |
//! | `time_forbidden` | 403 | The request arrived outside the hours in which the route accepts requests. | the `TimeOfDay` of the route, which is in UTC unless it has an offset, and the clock of this server. |
//! | `token_encoding` | 401 | A segment of the token is not canonical base64url. | whether the client or a proxy alters the token: padding (`=`), percent-encoding and cut-off ends are the usual causes. |
//! | `token_id_missing` | 401 | The token has no id (`jti`), and the issuer's tokens must have one. | `Issuer::require_jti`, and the token settings of the issuer; Entra ID, for example, writes `uti` in its place. |
//! | `token_inactive` | 401 | The issuer reports that the token is not active. | the token at its issuer: it has expired, was revoked, or belongs to another environment. The response is cached (for 10 seconds by default). |
//! | `token_segments` | 401 | The token does not have three segments. | custom code that calls the authenticator directly: `AuthLayer` refuses such a token as `credential_not_accepted`. Encrypted tokens (JWE) have five segments and are not supported. |
//! | `token_too_long` | 401 | The token is longer than allowed. | `JwtBuilder::max_token_bytes` (16 384 by default), and the size of the issuer's tokens; long lists of groups or roles are the usual cause. |
//! | `token_type` | 401 | The token is not an access token. | which token the client sends, and `typ` in its header: `at+jwt` or `JWT`, with `Issuer::strict` only `at+jwt`. For introspection, look at `token_type`, `token_use` and `typ` in the response, and at the accepted token types of `IntrospectionBuilder`. |
//! | `token_unsupported` | 401 | The introspection endpoint does not support tokens of this form (`unsupported_token_type`). | what the client sends as its token, and the order of the authenticators: API keys and JWTs may need to be accepted by another one first. |
//! | `too_many_grants` | 401 | The token has more scopes or more roles than allowed. | the scopes and roles that the issuer puts into the token, and `Issuer::max_grants` (1000 of each by default). |
//! | `too_many_in_flight` | 429 | The caller has too many requests in progress at once. | the maximum of the `ConcurrencyLayer`, slow handlers, and clients that read responses slowly: a request is in progress until its response body has ended. |
//! | `undecided` | 500 | A handler responded although no layer had decided who the caller is. | the route, which was added outside of the layer that authenticates. |
//! | `unsupported_scheme` | 401 | The `Authorization` header has a scheme that the layer does not support. | the scheme that the client sends; `Basic` comes from browsers and from URLs with a password, and `DPoP` needs `AuthLayer::dpop`. |
//! | `webhook_json` | 400 | The body of a verified webhook is not JSON, or does not fit the type that the handler extracts. | the explanation, which names the place in the body, and the version of the sender's events. |
//! | `webhook_layer_missing` | 500 | There is no `WebhookLayer` around the handler that extracts a webhook. | the layers of the route. In axum, a layer covers the routes that were added before it. |
