//! The reasons of this module.

use crate::reason::reasons;

reasons! {
    /// The introspection response does not say whether the token is active.
    ///
    /// Look at: the URL of the endpoint, and its response: `active` must be `true` or `false`, not a string.
    ACTIVE_TYPE = "active_type";
    /// The introspection endpoint refused this server's client id and secret.
    ///
    /// Look at: the client id and secret given to `Introspection`, whether they were changed at the issuer, whether
    /// that client may introspect tokens, and `client_secret_post` for endpoints that take the secret in the body.
    INTROSPECTION_CREDENTIALS = "introspection_credentials";
    /// The introspection response is not signed by the issuer for this server.
    ///
    /// Look at: the warning in the log, which names the cause. With `IntrospectionBuilder::signed_responses`, the response
    /// is a JWT of the type `token-introspection+jwt` (RFC 9701), whose `aud` is the client id of this server.
    INTROSPECTION_SIGNATURE = "introspection_signature";
    /// The introspection endpoint responded with an unexpected status.
    ///
    /// Look at: the warning in the log, which names the status, and the URL of the endpoint; redirects are not
    /// followed.
    INTROSPECTION_STATUS = "introspection_status";
    /// The introspection response is not an accepted JSON object.
    ///
    /// Look at: the URL of the endpoint, which may lead to a web page, and its settings: responses that are JWTs (RFC
    /// 9701) are accepted with `IntrospectionBuilder::signed_responses`.
    INTROSPECTION_SYNTAX = "introspection_syntax";
    /// The introspection endpoint limits this server's requests (status 429).
    ///
    /// Look at: the rate limit of the issuer, and the cache lifetimes of `IntrospectionBuilder`: longer ones need fewer
    /// requests. The endpoint's `Retry-After` in seconds is passed on, up to 60; a date is not.
    INTROSPECTION_THROTTLED = "introspection_throttled";
    /// The introspection endpoint did not respond in time.
    ///
    /// Look at: the latency of the issuer, and `timeout` (3 seconds by default) and `max_lookups` (64 at once by default)
    /// of `IntrospectionBuilder`.
    INTROSPECTION_TIMEOUT = "introspection_timeout";
    /// The introspection response is longer than 64 KiB.
    ///
    /// Look at: the claims that the issuer returns; long lists of groups or roles are the usual cause.
    INTROSPECTION_TOO_LONG = "introspection_too_long";
    /// The request to the introspection endpoint failed.
    ///
    /// Look at: the warning in the log, which names the cause: DNS, TLS, a firewall, a response that is too long. The
    /// built-in HTTP client must be allowed to reach private addresses.
    INTROSPECTION_UNAVAILABLE = "introspection_unavailable";
    /// The introspection response names another issuer (`iss`).
    ///
    /// Look at: `iss` in the response against the name of the configured `Issuer`, compared byte for byte: often a
    /// slash at the end.
    ISSUER_MISMATCH = "issuer_mismatch";
    /// The issuer reports that the token is not active.
    ///
    /// Look at: the token at its issuer: it has expired, was revoked, or belongs to another environment. The response
    /// is cached (for 10 seconds by default).
    TOKEN_INACTIVE = "token_inactive";
    /// The introspection endpoint does not support tokens of this form (`unsupported_token_type`).
    ///
    /// Look at: what the client sends as its token, and the order of the authenticators: API keys and JWTs may need to
    /// be accepted by another one first.
    TOKEN_UNSUPPORTED = "token_unsupported";
}
