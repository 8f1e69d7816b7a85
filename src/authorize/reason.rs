//! Reasons of refusals by policies.

use crate::reason::reasons;

reasons! {
    /// The user authenticated in a way (`acr`) that the route does not accept.
    ///
    /// Look at: the `acr` values of the route's `StepUp` against the token's `acr`, compared byte for byte, and the
    /// login flows configured at the issuer.
    ACR_INSUFFICIENT = "acr_insufficient";
    /// The route requires an authentication context (`acr`), and the credential has none.
    ///
    /// Look at: whether the issuer puts `acr` into access tokens and introspection responses; API keys never have one.
    ACR_MISSING = "acr_missing";
    /// The time of the user's authentication (`auth_time`) is more than five minutes in the future.
    ///
    /// Look at: the clocks of the issuer and of this server, and whether the issuer writes seconds, not milliseconds.
    AUTH_TIME_IN_FUTURE = "auth_time_in_future";
    /// The route requires a recent authentication, and the credential has no `auth_time`.
    ///
    /// Look at: whether the issuer puts `auth_time` into access tokens and introspection responses; API keys never have
    /// one.
    AUTH_TIME_MISSING = "auth_time_missing";
    /// The user's authentication (`auth_time`) is older than the route allows.
    ///
    /// Look at: `max_age` of the route's `StepUp`, and whether the client passes the `max_age` of the challenge to the
    /// issuer. The refusal itself is normal: it makes the client send the user to the issuer again.
    AUTH_TIME_TOO_OLD = "auth_time_too_old";
    /// A policy of the application refused the caller.
    ///
    /// Look at: the closure given to `AuthorizeLayer::when` on this route, and the properties of the caller that it
    /// checks, such as the tenant and the roles.
    POLICY = "policy";
}
