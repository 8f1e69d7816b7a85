//! The reasons of this module.

use crate::reason::reasons;

reasons! {
    /// The caller's credential is bound to a certificate or key, and the caller manages a key that is not bound.
    ///
    /// Look at: `confirmation` in the request to the key routes, and in the record of a key to be rotated or changed: a
    /// caller with a tenant whose credential is bound manages only keys that are bound too.
    BINDING_REQUIRED = "binding_required";
    /// The API key contains a character that its format does not allow.
    ///
    /// Look at: how the client stores the key; quotes, a line end or a second value in the same variable are the usual
    /// causes.
    KEY_CHARACTERS = "key_characters";
    /// The checksum of the API key is wrong.
    ///
    /// Look at: whether the key was mistyped or altered; many wrong checksums from one address are guesses.
    KEY_CHECKSUM = "key_checksum";
    /// The API key does not have the length of its format.
    ///
    /// Look at: whether the key was cut off, or copied together with something else.
    KEY_LENGTH = "key_length";
    /// The API key does not begin with the prefix of a configured format.
    ///
    /// Look at: the formats of `ApiKeys`, and custom code that calls it directly: `AuthLayer` refuses such a key as
    /// `credential_not_accepted`.
    KEY_PREFIX = "key_prefix";
    /// A request to the key routes is invalid, or names a key that does not exist or is not active.
    ///
    /// Look at: the detail of the response, which names the mistake in the request.
    KEY_REQUEST_REFUSED = "key_request_refused";
    /// The API key was revoked.
    ///
    /// Look at: the key's record (`revoked_at`) and who still uses it.
    KEY_REVOKED = "key_revoked";
    /// The key store did not respond in time.
    ///
    /// Look at: the latency of the database, and `timeout` (2 seconds by default) and `max_lookups` (128 at once by
    /// default) of `ApiKeysBuilder`.
    KEY_STORE_TIMEOUT = "key_store_timeout";
    /// The key store failed.
    ///
    /// Look at: the log, which names the cause: usually a database that is down, a full connection pool, wrong database
    /// credentials or a missing migration.
    KEY_STORE_UNAVAILABLE = "key_store_unavailable";
    /// The API key is longer than 512 bytes.
    ///
    /// Look at: what the client sends in place of its key; usually it is a token. A `KeyFormat::opaque` with an empty
    /// prefix also takes bearer tokens.
    KEY_TOO_LONG = "key_too_long";
    /// The caller manages a key that is accepted from networks that its own credential is not accepted from.
    ///
    /// Look at: `networks` of the caller's own key, and in the request to the key routes or the record of the key: a caller
    /// with a tenant whose key is restricted to networks manages only keys that are restricted to parts of them.
    NETWORK_NOT_HELD = "network_not_held";
    /// The caller of the key routes has no tenant, and is not an operator.
    ///
    /// Look at: whether the issuer of the token should have a rule for tenants (`Issuer::tenant_claim`). If there are no
    /// tenants, declare the operators with `KeyRoutes::operators`; by default, they are API keys without a tenant.
    OPERATOR_NOT_DECLARED = "operator_not_declared";
    /// The caller manages a key with a scope that it does not hold itself.
    ///
    /// Look at: the caller's scopes: through the key routes, a caller with a tenant mints and rotates only keys whose
    /// scopes its credential has. Those that a `RoleLayer` adds do not count, and those that it would add to requests
    /// with the key do.
    SCOPE_NOT_HELD = "scope_not_held";
    /// The caller manages a key with a tier that is not its own.
    ///
    /// Look at: `tier` in the request to the key routes, or in the record of a key to be rotated or changed: a caller with a
    /// tenant manages only keys of its own tier.
    TIER_NOT_HELD = "tier_not_held";
}
