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
    /// The token lacks an authorization (`authorization_details`) that the operation needs.
    ///
    /// Look at: the `authorization_details` of the token or introspection response against the `RequiredAuthorization`
    /// of the route, and whether the authorization server writes them into tokens for this resource. The refusal itself
    /// is normal: it names what the client should request.
    AUTHORIZATION_INSUFFICIENT = "authorization_insufficient";
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
    /// The request is for a tenant, and the caller has none.
    ///
    /// Look at: the rule for tenants of the issuer, or the tenant of the API key; callers that act for all tenants are declared
    /// with `OwnTenant::operators`.
    CALLER_WITHOUT_TENANT = "caller_without_tenant";
    /// A claim of the token has another value than the route accepts, or is missing.
    ///
    /// Look at: the `RequiredClaim` of the route, and that claim of the token; API keys have no claims.
    CLAIM_FORBIDDEN = "claim_forbidden";
    /// The client's address is outside the networks that the route accepts.
    ///
    /// Look at: the `AllowedNetworks` of the route, and the trusted proxies: if a proxy is not configured as trusted,
    /// the address is that of the proxy.
    CLIENT_NETWORK_FORBIDDEN = "client_network_forbidden";
    /// The caller authenticated by a method that the route does not accept.
    ///
    /// Look at: the `AllowedMethods` of the route, and the kind of credential that the client sends.
    METHOD_FORBIDDEN = "method_forbidden";
    /// A policy of the application refused the caller.
    ///
    /// Look at: the policies of this route, such as the closure given to `AuthorizeLayer::when`, and the properties of
    /// the caller that they check, such as the tenant and the roles. The audit event names a policy that has a name.
    POLICY = "policy";
    /// The evaluation of a policy failed, exceeded its limit of time or input, or its result has an unexpected type.
    ///
    /// Look at: the explanation in the log line and the warning in the log, which name the cause; for a policy language
    /// also the limits of the policy.
    POLICY_FAILED = "policy_failed";
    /// The evaluation of a policy has no result.
    ///
    /// Look at: whether the policy defines the queried rule for this input: a `default` rule makes its result explicit;
    /// and the spelling of the package and the rule.
    POLICY_UNDEFINED = "policy_undefined";
    /// The caller lacks a role that the route requires.
    ///
    /// Look at: the `RequiredRoles` of the route, the roles of the caller, and `Issuer::roles_claim`: without it,
    /// tokens have no roles.
    ROLE_MISSING = "role_missing";
    /// The directory of roles did not respond in time.
    ///
    /// Look at: `timeout` and `max_lookups` of the `CachedRoles`, and the load of what the directory queries.
    ROLES_TIMEOUT = "roles_timeout";
    /// The directory of roles does not respond.
    ///
    /// Look at: the warning in the log, which names the cause, and what the custom `RoleDirectory` queries.
    ROLES_UNAVAILABLE = "roles_unavailable";
    /// The request names another tenant than that of the caller.
    ///
    /// Look at: the place of the tenant in the `OwnTenant` of the route, and the tenant of the caller. If both are right, the
    /// client tried to reach the data of another tenant.
    TENANT_FORBIDDEN = "tenant_forbidden";
    /// The request names no tenant, or several.
    ///
    /// Look at: the place of the tenant in the `OwnTenant` of the route, and what the client sends there.
    TENANT_NOT_NAMED = "tenant_not_named";
    /// The request arrived outside the hours in which the route accepts requests.
    ///
    /// Look at: the `TimeOfDay` of the route, which is in UTC unless it has an offset, and the clock of this server.
    TIME_FORBIDDEN = "time_forbidden";
}
