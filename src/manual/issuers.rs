//! Settings for Keycloak, Auth0, Entra ID, Okta and Cognito; [`providers`](super::providers) has others.
//!
//! An issuer is configured by its name (`iss`) and the audience of this API (`aud`); both are compared byte for byte.
//! `Jwt::discover` finds the rest in the issuer's metadata ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414) or
//! OpenID Connect Discovery):
//!
//! ```no_run
//! use tower_warden::{jwt::Jwt, layer::AuthLayer};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let jwt = Jwt::discover("https://auth.example.com", "https://api.example.com").await?;
//! let layer = AuthLayer::new(jwt);
//! # Ok(()) }
//! ```
//!
//! If a token is refused, its [reason](super::refusals) names the claim. The usual ones are `audience_mismatch` and
//! `issuer_unknown`, often because of a slash at the end.
//!
//! # Keycloak
//!
//! - Issuer: `https://HOST/realms/REALM`.
//! - Audience: tokens are issued for `account` unless an audience mapper adds the API.
//! - Roles: [`roles_claim("/realm_access/roles")`](crate::jwt::Issuer::roles_claim).
//! - Before version 24, or with the backwards compatible mapper, access tokens contain a `nonce`, as ID tokens do. They
//!   need [`access_token_claim("typ", "Bearer")`](crate::jwt::Issuer::access_token_claim), by which Keycloak marks
//!   access tokens.
//! - Lightweight access tokens have no `sub` unless its mapper is enabled for them; they are refused as
//!   `subject_missing`.
//!
//! # Auth0
//!
//! - Issuer: `https://TENANT.auth0.com/`, with the slash.
//! - Audience: the identifier of the API. If the client requests no audience, its token is opaque.
//! - Permissions, with RBAC: [`scopes_claim("permissions")`](crate::jwt::Issuer::scopes_claim).
//! - The RFC 9068 profile in the settings of the API permits [`strict`](crate::jwt::Issuer::strict).
//!
//! # Microsoft Entra ID
//!
//! - Tokens of version 2: set `requestedAccessTokenVersion` to 2 in the manifest of the API.
//! - Issuer: `https://login.microsoftonline.com/TENANT-ID/v2.0`. Several tenants, managed identities and
//!   tokens of an application for its own API: see [`providers`](super::providers). `common` issues no tokens.
//! - Audience: the client id of the API.
//! - Scopes of users are in `scp`, permissions of applications in `roles`:
//!   [`roles_claim("roles")`](crate::jwt::Issuer::roles_claim).
//! - Tokens have `uti` instead of `jti`; revoke them by subject or session.
//! - Tokens for Microsoft Graph cannot be verified by other services.
//!
//! # Okta
//!
//! - Use a custom authorization server. Issuer: `https://ORG.okta.com/oauth2/default`; audience: `api://default`; or as
//!   they are configured. Tokens of the organization's own server cannot be verified by other services.
//!
//! # Amazon Cognito
//!
//! - Issuer: `https://cognito-idp.REGION.amazonaws.com/POOL-ID`.
//! - Audience: access tokens have no `aud`. Configure the id of the app client as the audience, with
//!   [`audience_claim("client_id")`](crate::jwt::Issuer::audience_claim) and
//!   [`require_claim("token_use", "access")`](crate::jwt::Issuer::require_claim).
//! - Groups: [`roles_claim("cognito:groups")`](crate::jwt::Issuer::roles_claim).
//!
//! # Issuers whose tokens name no key
//!
//! - A set with one key: [`accept_missing_kid`](crate::jwt::RemoteKeysBuilder::accept_missing_kid).
//! - Several keys, of which up to four are tried: [`try_keys`](crate::jwt::RemoteKeysBuilder::try_keys).
//!
//! # Private networks and private certificate authorities
//!
//! The built-in client connects to public addresses over `https`, and trusts the certificate authorities of the system
//! (and those of the environment variable `SSL_CERT_FILE`). An issuer with a private address is an error at start, or,
//! if its name resolves to one, when it is discovered. Declare the networks and the authority:
//!
//! ```no_run
//! use tower_warden::{
//!     fetch::HttpClient,
//!     jwt::{Issuer, Jwt, RemoteKeys},
//! };
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = HttpClient::builder()
//!     .allow_networks(["10.0.0.0/8".parse()?])
//!     .root_certificates(&std::fs::read_to_string("/etc/ssl/internal-ca.pem")?)?
//!     .build()?;
//! let name = "https://keycloak.internal/realms/staff";
//! let keys = RemoteKeys::discovery(name).fetch(client).connect().await?;
//! let jwt = Jwt::new(Issuer::new(name, "https://api.internal")?, keys);
//! # Ok(()) }
//! ```
//!
//! The same client is accepted by [`Introspection`](crate::introspection::IntrospectionBuilder::fetch). If the issuer
//! has no TLS at all, such as `http://keycloak:8080` in a cluster, anyone on the way can replace its keys. The options
//! that accept this say so in their names, and apply to addresses of the declared networks only:
//!
//! - keys and metadata of issuers:
//!   [`RemoteKeysBuilder::danger_plain_http`](crate::jwt::RemoteKeysBuilder::danger_plain_http);
//! - introspection:
//!   [`IntrospectionBuilder::danger_plain_http`](crate::introspection::IntrospectionBuilder::danger_plain_http), and
//!   [`Introspection::danger_without_credentials`](crate::introspection::Introspection::danger_without_credentials) for
//!   the admin endpoint of Ory Hydra;
//! - the published metadata of this API:
//!   [`ProtectedResourceMetadata::danger_plain_http`](crate::metadata::ProtectedResourceMetadata::danger_plain_http)
//!   and [`danger_plain_http_authorization_server`][server].
//!
//! [server]: crate::metadata::ProtectedResourceMetadata::danger_plain_http_authorization_server
//!
//! # Several issuers
//!
//! [`JwtBuilder::issuer`](crate::jwt::JwtBuilder::issuer) adds one. `iss` selects the issuer and with it the keys, so a
//! key of one issuer never verifies a token of another. One issuer can have several rule sets, such as one for access
//! tokens and one for ID tokens of Cognito: the first that a token fits decides.
//!
//! [`Issuer::template`](crate::jwt::Issuer::template) is for issuers with a name per tenant and keys for all, and
//! [`IssuerResolver`](crate::jwt::IssuerResolver) for issuers that are not known when the process starts.
//!
//! # Audiences per route
//!
//! [`Jwt::for_audience`](crate::jwt::Jwt::for_audience) returns a verifier with the same keys for another audience, for
//! a layer around other routes. [`Principal::audience`](crate::Principal::audience) names the audience that was
//! accepted.
//!
//! # ID tokens
//!
//! An ID token is refused where it can be distinguished from an access token: by `nonce`, `at_hash`, `c_hash` or
//! `s_hash`, by an `azp` that is the only audience, by `typ` or `token_use`. One without any of these cannot be
//! distinguished: an API whose audience is a client id needs
//! [`access_token_claim`](crate::jwt::Issuer::access_token_claim) or [`strict`](crate::jwt::Issuer::strict).
//!
//! # Opaque tokens
//!
//! Issuers whose access tokens are opaque are queried by introspection
//! ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)): [`introspection`](crate::introspection).
