//! Lifetimes and bounds of caches, and the time until a revocation takes effect.
//!
//! # What is cached
//!
//! | what | cached for, by default | changed by | bound |
//! |---|---|---|---|
//! | API key, valid | 30 seconds | [`positive_ttl`](crate::api_key::ApiKeysBuilder::positive_ttl) | 10 000 keys |
//! | API key, unknown or refused | 5 seconds | [`negative_ttl`](crate::api_key::ApiKeysBuilder::negative_ttl) | 10 000 keys of their own |
//! | JWT, valid | 5 minutes, never past `exp` | [`positive_ttl`](crate::jwt::JwtBuilder::positive_ttl) | 10 000 tokens |
//! | JWT, refused | not cached | | |
//! | opaque token, active | 60 seconds, and queried again at `exp` | [`positive_ttl`](crate::introspection::IntrospectionBuilder::positive_ttl) | 10 000 tokens |
//! | opaque token, inactive | 10 seconds | [`negative_ttl`](crate::introspection::IntrospectionBuilder::negative_ttl) | 10 000 tokens of their own |
//! | scopes of a caller by its roles | 60 seconds | [`lifetime`](crate::authorize::CachedRolesBuilder::lifetime) of `CachedRoles` | 10 000 callers |
//! | decision of a decision point | not cached | [`cache`](crate::decision_point::DecisionPointBuilder::cache) | as set |
//! | key of an AWS load balancer | a day | | 100 keys |
//! | key set of an issuer | 10 minutes, or its `max-age` (1 minute to 24 hours) | the issuer's `Cache-Control` | 100 keys |
//! | failures | not cached | | |
//!
//! Entries are found by the SHA-256 of the credential, or within a thread by hashes of it under secret keys of the process.
//! Refused credentials have bounds of their own, so a flood of guesses does not evict valid entries. Concurrent requests with one API key or opaque token that is not cached share one look-up.
//!
//! A bound is one of memory: an entry of more than 4 KiB takes the place of several. Tokens with more than 1000 scopes or roles
//! are refused; see [`Issuer::max_grants`](crate::jwt::Issuer::max_grants).
//!
//! Entries become invalid if the clock is set back. Their age is also limited by [`Clock::steady`](crate::Clock::steady).
//!
//! The cache of an authenticator stores what it asserted, never a decision. Expiry, possession, networks and revocation are checked
//! on each hit.
//!
//! # How fast a revocation takes effect
//!
//! | what is revoked | on this node | on other nodes |
//! |---|---|---|
//! | an API key, by [`ApiKeys::revoke`](crate::api_key::ApiKeys::revoke) | on return of the call | by notification with Postgres and Redis; otherwise within `positive_ttl` |
//! | an API key, by [`update`](crate::api_key::ApiKeys::update), [`rotate`](crate::api_key::ApiKeys::rotate) or [`purge`](crate::api_key::ApiKeys::purge) | on return of the call | as for `revoke` |
//! | an API key, changed in the store by other software | within `positive_ttl`; by notification with Postgres | the same |
//! | any credential, by a [`RevocationList`](crate::revocation::RevocationList) | on the next request | as fast as the list: at once in memory of one node, within milliseconds on Redis, and within 150 if messages are lost |
//! | a signing key, removed from the issuer's set | when the set is fetched again; its cached tokens are refused then | the same |
//! | an opaque token, at its issuer | within `positive_ttl` | within `positive_ttl` |
//! | a JWT, at its issuer | not before it expires, unless a revocation list names it | the same |
//! | scopes by role, behind [`CachedRoles`](crate::authorize::CachedRoles) | within `lifetime`; at once by [`invalidate`](crate::authorize::CachedRoles::invalidate) | within `lifetime` |
//! | a policy of a remote decision point | at once; within the lifetime of its cache, if there is one | the same |
//!
//! # Streams, downloads and web sockets
//!
//! A credential is checked when a request arrives. A response that has begun, such as a stream of events or a long
//! download, goes on when the credential expires or is revoked.
//! [`AuthLayer::stream_guard`](crate::layer::AuthLayer::stream_guard) (feature `stream`) makes a layer that ends it:
//!
//! | what happens | the response ends |
//! |---|---|
//! | the credential expires, with the clock skew of its issuer | in that second |
//! | it is revoked by a list | at the next check: every 10 seconds by default, after the list knows it |
//! | it is an API key that is revoked, purged or replaced | at the next check after a request with it would be refused |
//! | the key that verified the token leaves its set | at the next check after the set was fetched |
//! | it is an opaque token that its issuer revokes | when the token expires: it is not introspected again |
//! | scopes or networks of the credential change | not |
//! | a list or a store does not answer | after one minute by default |
//!
//! The body ends with an error, so that a client does not take a part for the whole. Web sockets and other upgraded
//! connections are no response bodies: their handlers wait for a [`CredentialWatch`](crate::stream::CredentialWatch),
//! as can any loop that works for the caller. [`stream`](crate::stream) has the details and examples.
//!
//! # Look-ups in flight
//!
//! An in-flight look-up cannot undo a revocation: its result belongs to the generation in which it began, and is discarded
//! if its credential was revoked since. If a store reports that changes may have been missed, nothing that was read before is
//! used again; the result of a look-up in flight is used by the requests that had arrived before it began, and by no other.
//!
//! # Choosing a mechanism
//!
//! - **A leaked API key**: [`ApiKeys::revoke`](crate::api_key::ApiKeys::revoke), or
//!   [`rotate`](crate::api_key::ApiKeys::rotate) with a grace period if the client must keep working.
//! - **An owner or a tenant that is locked**: [`ApiKeys::revoke_all`](crate::api_key::ApiKeys::revoke_all) for its API keys.
//! - **A leaked JWT**: a [`RevocationList`](crate::revocation::RevocationList) with the token's `jti`.
//! - **A user who logs out**: the list, by [`Revocation::of`](crate::revocation::Revocation::of) the caller or by session
//!   (`sid`).
//! - **A user or tenant who is locked**: the list, by subject up to a time, which also covers the API keys of that owner in
//!   every tenant, or by [tenant](crate::revocation::Revocation::tenant).
//! - **An issuer's key that was compromised**: remove it from the key set. Its tokens are refused on the next fetch, at the
//!   latest when the set's lifetime ends.
//!
//! ```
//! use tower_warden::{
//!     layer::AuthLayer,
//!     jwt::{Issuer, Jwt},
//!     revocation::MemoryRevocationList,
//!     testing::TestIssuer,
//! };
//!
//! let issuer = TestIssuer::new("https://auth.example.com");
//! let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com")?, issuer.clone());
//!
//! // A clone shares the list: an administrator's handler revokes, the layer refuses.
//! let revocations = MemoryRevocationList::default();
//! let layer = AuthLayer::new(jwt).revocations(revocations.clone());
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
