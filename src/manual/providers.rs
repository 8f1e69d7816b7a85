//! Settings for identity-aware proxies, workloads, and further platforms and directories.
//!
//! Each recipe is a function of the key source, so that a test can pass keys of its own; the comment above it names the source
//! for production. [`issuers`](super::issuers) has Keycloak, Auth0, Entra ID, Okta and Cognito, and explains what all have in
//! common. A token that is refused has its [reason](super::refusals) and what was expected in the log.
//!
//! # Cloudflare Access
//!
//! ```
#![doc = include_str!("providers/cloudflare_access.rs")]
//! ```
//!
//! - Service tokens have an empty `sub`; their `common_name` is the subject.
//! - The assertion is in a header field of its own, so `Authorization` stays free for the application. Browsers also send it
//!   as the cookie `CF_Authorization`: read one of them only.
//! - Allow requests from Cloudflare only (a tunnel, or its networks): the assertion is a bearer token.
//!
//! # Google Identity-Aware Proxy
//!
//! ```
#![doc = include_str!("providers/google_iap.rs")]
//! ```
//!
//! - App Engine: the audience is `/projects/NUMBER/apps/PROJECT-ID`.
//! - Assertions may have an `azp` that equals `aud`, as ID tokens have; IAP signs nothing else with these keys.
//! - The subject is `accounts.google.com:ID`. Health checks carry no assertion: put them outside of the layer.
//!
//! # AWS Application Load Balancer
//!
//! ```
#![doc = include_str!("providers/aws_alb.rs")]
//! ```
//!
//! - The load balancer sends `x-amzn-oidc-data` in a form of its own: padded segments, and keys as PEM by `kid`, which
//!   [`AwsAlbKeys`](crate::jwt::AwsAlbKeys) fetches. [`AwsAlb`](crate::jwt::AwsAlb) compares the load balancer
//!   (`signer`), the client id and the issuer in the header of the token: there is no `aud`.
//! - The ARN is required, because the keys of a region sign for the load balancers of all accounts. List several while
//!   one replaces another.
//! - `x-amzn-oidc-accesstoken` and `x-amzn-oidc-identity` are no credentials of this service: the first is a token for
//!   the identity provider, and the second is not signed.
//! - The claims are those of the provider's user info endpoint: they have no scopes, and roles only if the provider adds
//!   them.
//! - Allow requests from the load balancer only (security groups): the token is a bearer token. Health checks carry none:
//!   put them outside of the layer.
//!
//! # GitHub Actions
//!
//! ```
#![doc = include_str!("providers/github_actions.rs")]
//! ```
//!
//! - Everybody on GitHub can get a token of this issuer for any audience: require the owner or the repository, by its id,
//!   because names can be taken over. `require_claim("ref", "refs/heads/main")` and `job_workflow_ref` limit it further.
//! - The subject (`repo:OWNER/NAME:ref:…`) differs by event and environment, and organizations can change its form.
//!
//! # GitLab
//!
//! ```
#![doc = include_str!("providers/gitlab.rs")]
//! ```
//!
//! - Tokens of `id_tokens` in a job. Ids and flags are strings. Every project of the instance can get a token for any audience:
//!   require the namespace or the project.
//!
//! # Kubernetes
//!
//! ```
#![doc = include_str!("providers/kubernetes.rs")]
//! ```
//!
//! - Issuer: `--service-account-issuer` of the API server; for managed clusters a public URL that serves the keys.
//! - Keys in the cluster: `https://kubernetes.default.svc/openid/v1/jwks`, which needs the cluster's root certificate
//!   (`/var/run/secrets/kubernetes.io/serviceaccount/ca.crt`), the pod's own token, and a private address. Pass a
//!   [`reqwest::Client`](crate::fetch) with that root certificate and an `Authorization` header to
//!   `RemoteKeysBuilder::fetch`, or serve the public keys with `StaticKeys::from_jwk_set`.
//! - Audience: that of the projected volume (`serviceAccountToken.audience`). Tokens for the API server have other audiences.
//! - Lifetime: the API server extends default tokens to one year (`--service-account-extend-token-expiration`). If all
//!   callers use projected volumes with `expirationSeconds`, remove `max_lifetime`.
//! - The subject is `system:serviceaccount:NAMESPACE:NAME`. A deleted pod's token stays valid until it expires.
//!
//! # Firebase Authentication, Google Identity Platform
//!
//! ```
#![doc = include_str!("providers/firebase.rs")]
//! ```
//!
//! - Firebase calls them ID tokens, and they are meant for APIs. Custom claims are members of the token:
//!   `roles_claim("role")`.
//! - A disabled user's token is valid for up to an hour: revoke by subject.
//!
//! # Supabase
//!
//! ```
#![doc = include_str!("providers/supabase.rs")]
//! ```
//!
//! - Projects with asymmetric keys need the first rule set only. Tokens are distinguished by their algorithm; one of the older
//!   kind is never tried with a public key.
//! - `role` is `authenticated`, also for anonymous users: add `require_claim("is_anonymous", false)` to exclude them. The
//!   session is in `session_id`.
//!
//! # Clerk
//!
//! ```
#![doc = include_str!("providers/clerk.rs")]
//! ```
//!
//! - Session tokens have no `aud`. `azp` is the origin of the application, and some clients send none; a template with an
//!   audience is better: then remove `danger_any_audience`.
//! - The cookie needs protection against cross-site requests; leave it out for an API on another host.
//!
//! # WorkOS
//!
//! ```
#![doc = include_str!("providers/workos.rs")]
//! ```
//!
//! - The issuer is compared byte for byte: `https://api.workos.com`, with a slash in some environments, or the custom
//!   authentication domain.
//! - Tokens have no `aud` by default; each client id has keys of its own, so the keys limit the tokens to this application.
//! - A token without an organization has no `org_id`, and is refused as `tenant_missing`.
//! - An administrator who impersonates a user is the actor: [`deny_actors`](crate::jwt::Issuer::deny_actors) refuses them.
//!
//! # Zitadel
//!
//! ```
#![doc = include_str!("providers/zitadel.rs")]
//! ```
//!
//! - The application must issue JWTs as access tokens, and clients request the scope
//!   `urn:zitadel:iam:org:project:id:PROJECT-ID:aud`, and `urn:zitadel:iam:org:projects:roles` for roles.
//! - Roles are the member names of an object. The tenant needs the scope `urn:zitadel:iam:user:resourceowner`.
//!
//! # AD FS
//!
//! ```
#![doc = include_str!("providers/ad_fs.rs")]
//! ```
//!
//! - `iss` of access tokens is the identifier of the federation service, an `http` URL that is a name only (the metadata calls
//!   it `access_token_issuer`). The keys are fetched over `https`.
//! - `auth_time` is a text, which is treated as absent. Access tokens have no `sub` unless an issuance rule adds it; `upn` can be
//!   given to another person later.
//! - Tokens may name their key by `x5t` instead of `kid`:
//!   [`accept_certificate_thumbprints`](crate::jwt::RemoteKeysBuilder::accept_certificate_thumbprints).
//!
//! # Entra ID, one tenant
//!
//! ```
#![doc = include_str!("providers/entra_tenant.rs")]
//! ```
//!
//! - Tokens of version 2. Access tokens have `azp`, ID tokens do not; if an application calls its own API, `azp` equals `aud`.
//! - Tokens that are bound with `cnf` members `kid` and `xms_ksl` need
//!   [`ignore_confirmation`](crate::jwt::Issuer::ignore_confirmation) for both.
//! - Users with many groups have tokens beyond 16 KiB, up to 200 groups: see
//!   [`max_token_bytes`](crate::jwt::JwtBuilder::max_token_bytes).
//!
//! # Entra ID, several tenants
//!
//! ```
#![doc = include_str!("providers/entra_tenants.rs")]
//! ```
//!
//! - All tenants share the keys: without a list of tenants, anybody with a directory of their own is admitted.
//! - A key of the set that names one issuer, such as those of personal accounts, verifies the tokens of that issuer only
//!   (`key_issuer`). The keys at `common/discovery/keys`, for tokens of version 1, name none.
//! - If tenants are added while the process runs, leave the list out, and authorize by `Principal::tenant`.
//!
//! # Entra ID, managed identities
//!
//! ```
#![doc = include_str!("providers/entra_managed_identity.rs")]
//! ```
//!
//! - Tokens of version 1 unless the API's manifest asks for version 2: the issuer is `https://sts.windows.net/TENANT-ID/`, and the
//!   audience the application id URI.
//! - `idtyp` is an optional claim: the manifest of the API lists it under `optionalClaims.accessToken`. Without it,
//!   require a role whose `allowedMemberTypes` is `Application` alone: `require_claim("roles", ExpectedClaim::containing("ROLE"))`.
//! - They are valid for 24 hours and five minutes, which is within the default of
//!   [`max_lifetime`](crate::jwt::Issuer::max_lifetime).
//! - Every application of the tenant can get a token: require a role that was assigned to the identity.
//!
//! # Shopify
//!
//! ```
#![doc = include_str!("providers/shopify.rs")]
//! ```
//!
//! - Session tokens of embedded apps, signed with the app's client secret. The shop in `iss` and in `dest` must be the same.
//!
//! # SPIFFE
//!
//! ```
#![doc = include_str!("providers/spiffe.rs")]
//! ```
//!
//! - JWT-SVIDs name no issuer: the trust domain of `sub` selects the keys. Of a bundle, keys with `use` `jwt-svid` are used, and
//!   those for X.509-SVIDs are not.
//! - Each trust domain that is federated with is an issuer of its own, with its own bundle.
//!
//! # Laravel Passport and other issuers without `iss`
//!
//! [`danger_without_iss`](crate::jwt::Issuer::danger_without_iss) accepts tokens without `iss` and states what an attacker gains.
//! Numeric subjects need [`accept_numeric_ids`](crate::jwt::Issuer::accept_numeric_ids).
