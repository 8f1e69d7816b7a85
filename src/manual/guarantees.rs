//! The guarantees of every configuration, and where each is enforced.
//!
//! They hold for every configuration that the public API accepts, for built-in and for custom schemes, proofs,
//! authenticators and stores.
//!
//! 1. **An invalid credential is never treated as an absent one.** A layer with
//!    [`optional`](crate::layer::AuthLayer::optional) admits a request without a credential as anonymous, and refuses a
//!    request with an invalid one. Enforced in [`auth`](crate::auth), which locates credentials before it decides anything.
//! 2. **At most one credential.** Two credentials in one request are refused with 400, even if one of them is valid. They
//!    are counted across all [schemes](crate::scheme) of the layer before one of them is read. The only exception is a
//!    second credential from a source that [`acting_for`](crate::layer::AuthLayer::acting_for) declares.
//! 3. **All invalid credentials get the same response.** Unknown, revoked, expired, or used from a forbidden network: the
//!    client cannot tell which. The [reason](crate::Rejection::reason) is available inside the process only.
//! 4. **Outages fail closed.** If a store, an issuer or a revocation list does not answer, the response is 503 with
//!    `Retry-After`: never 401, and never an admitted request. Failures are not cached. The log has one line when an
//!    outage begins, with its cause, and one when it ends. A revocation list, a replay guard, a rate limiter, a source of keys
//!    or a directory that hangs, also one of the application, does not answer after ten seconds.
//! 5. **Expiry, possession, networks and revocation are checked on every request**, also if the credential was found in a
//!    cache. Each check returns a private proof value, and the function that creates a [`Principal`](crate::Principal)
//!    consumes one of each: a code path without one of the checks does not compile. A response that has begun goes on,
//!    unless [`AuthLayer::stream_guard`](crate::layer::AuthLayer::stream_guard) ends it.
//! 6. **A bound credential needs its proof.** A credential that names a certificate or a key
//!    ([`Confirmation`](crate::caller::Confirmation)) is refused unless the request proves possession of it. If no
//!    [`ProofOfPossession`](crate::auth::ProofOfPossession) of the layer can check the method, the credential is refused. The
//!    only exceptions are members of `cnf` that the configuration of an issuer ignores by name; `x5t#S256` and `jkt` cannot be
//!    ignored.
//! 7. **A revocation applies at once on the node that revokes.** A revoked API key is refused from the return of the call,
//!    even if a look-up of it is in flight. A token is refused as soon as this node has fetched a key set without the key that
//!    verified it. [`caching_and_revocation`](super::caching_and_revocation) lists the delays on other nodes.
//! 8. **Secrets stay secret.** No log line, audit event, metric, `Debug` output, error or response contains a credential.
//!    Exceptions are responses whose purpose is a new credential: those of the key routes, and of the endpoints of
//!    `tower-warden-issuer`. The header fields of credentials are marked as sensitive before the request reaches an inner service.
//! 9. **No header field of a proxy is trusted unless the proxy is configured as trusted**, except by
//!    [`LimitBy::forwarded`](crate::rate_limit::LimitBy::forwarded), which counts hops.
//! 10. **The order of evaluation is fixed**: syntax, duplicates, signature, time, issuer and audience, possession, networks,
//!     revocation, replay, rate, scope. An expired token that also lacks a scope is refused with 401, not with 403.
//! 11. **Weaker configurations are visible.** An option that weakens a check for all credentials has a name that begins with
//!     `danger_`. Options that relax a rule for a case that the configuration names, such as the networks of a key or a
//!     member of `cnf` that an issuer uses for something else, state the consequence in their documentation.
//!
//! # Non-goals
//!
//! The crate protects a resource server. It issues no tokens itself (`tower-warden-issuer` does), and manages no users, sessions
//! or passwords. It does not protect against cross-site request forgery. It does not terminate TLS; a reverse proxy or the crate
//! `tower-warden-tls` does.
