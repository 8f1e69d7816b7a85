//! The reasons of this module.

use crate::reason::reasons;

reasons! {
    /// The token names an actor (`act`), and the issuer's tokens must not have one.
    ///
    /// Look at: `Issuer::deny_actors`, and which client obtained the token by token exchange (RFC 8693).
    ACTOR_DENIED = "actor_denied";
    /// The token names no actor (`act`), and the issuer's tokens must have one.
    ///
    /// Look at: `Issuer::require_actor`, and whether the client obtains its tokens by token exchange (RFC 8693).
    ACTOR_REQUIRED = "actor_required";
    /// An actor in the token (`act`) has no subject.
    ///
    /// Look at: the issuer's token exchange: every `act` object, nested ones too, needs a `sub` that is not empty.
    ACTOR_SUBJECT = "actor_subject";
    /// The token is signed with an algorithm that is not allowed for its issuer.
    ///
    /// Look at: `alg` in the token's header against `Issuer::algorithms` (RS256, PS256, ES256 and EdDSA by default).
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed";
    /// The token's header names no signature algorithm, or one that is not supported.
    ///
    /// Look at: `alg` in the token's header. `none` is always refused; many such tokens are an attack.
    ALGORITHM_UNKNOWN = "algorithm_unknown";
    /// The token was issued for another audience.
    ///
    /// Look at: `aud` of the token against the audiences of the `Issuer`, compared byte for byte (often a slash at the
    /// end), and the audience or resource that the client requests. If the API must be the sole audience, tokens with
    /// others are refused too.
    AUDIENCE_MISMATCH = "audience_mismatch";
    /// The token has no audience.
    ///
    /// Look at: the audience setting of the issuer: Keycloak needs an audience mapper, Auth0 the `audience` parameter
    /// of the client. For issuers without `aud`, such as Cognito, set `Issuer::audience_claim`.
    AUDIENCE_MISSING = "audience_missing";
    /// A required claim is missing, or has another value than required.
    ///
    /// Look at: the explanation in the log line, and `Issuer::require_claim`; for a template, the claim that its placeholder
    /// names; with `Issuer::strict`, also the claims of RFC 9068, which are not empty: `iss`, `exp`, `aud`, `sub`,
    /// `client_id`, `iat` and `jti`.
    CLAIM_REQUIRED = "claim_required";
    /// A claim has the wrong JSON type, or is empty where a value is needed.
    ///
    /// Look at: the explanation in the log line, which names the claim: times are numbers, names and ids are strings
    /// (numbers by `Issuer::accept_numeric_ids`), `aud` is a string or a list of strings, `act` is an object. Also look at
    /// the claims configured for the tenant, the tier and the roles.
    CLAIM_TYPE = "claim_type";
    /// The token's claims do not fit the type that the handler extracts.
    ///
    /// Look at: the type in the handler's `Claims<T>`: fields that some tokens lack should be `Option`; then the claims
    /// that the issuer writes.
    CLAIMS_MISMATCH = "claims_mismatch";
    /// The handler extracts claims, and the caller's credential has none.
    ///
    /// Look at: how the caller authenticated: API keys, for example, have no claims, so the route needs another
    /// extractor for them.
    CLAIMS_MISSING = "claims_missing";
    /// The token's payload is not an accepted JSON object.
    ///
    /// Look at: the system that issued the token. A payload with a member name twice or nested deeper than 32 levels is
    /// refused as well.
    CLAIMS_SYNTAX = "claims_syntax";
    /// The token is bound to something that cannot be checked (`cnf`).
    ///
    /// Look at: the members of `cnf`: `x5t#S256` and `jkt` are supported, others are refused unless
    /// `Issuer::ignore_confirmation` names them. An introspection response with the `token_type` `DPoP` needs `jkt`.
    CONFIRMATION = "confirmation";
    /// An authenticator for tokens received a credential of another kind.
    ///
    /// Look at: custom code that calls the authenticator directly; `AuthLayer` passes on only what the authenticator
    /// accepts.
    CREDENTIAL_KIND = "credential_kind";
    /// The token has no expiry (`exp`).
    ///
    /// Look at: the token settings of the issuer; a JWT without `exp` is always refused.
    EXPIRY_MISSING = "expiry_missing";
    /// The token's header requires an extension (`crit`, `b64`); none is supported.
    ///
    /// Look at: the system that issued the token; access tokens do not use these.
    HEADER_CRITICAL = "header_critical";
    /// The token's header is not an accepted JSON object.
    ///
    /// Look at: what the client sends as its token, and the system that issued it. A header with a member name twice is
    /// refused as well.
    HEADER_SYNTAX = "header_syntax";
    /// A member of the token's header has the wrong JSON type.
    ///
    /// Look at: the system that issued the token: `alg`, `kid` and `typ` are strings.
    HEADER_TYPE = "header_type";
    /// The token looks like an ID token.
    ///
    /// Look at: which token the client sends: it must be the access token. If the issuer puts `nonce`, `at_hash`, `c_hash`,
    /// `s_hash`, or an `azp` that equals `aud` into access tokens, see `Issuer::access_token_claim`.
    ID_TOKEN = "id_token";
    /// The token was issued in the future (`iat`).
    ///
    /// Look at: the clocks of the issuer and of this server, and `Issuer::skew` (60 seconds by default, 30 with `Issuer::strict`).
    ISSUED_IN_FUTURE = "issued_in_future";
    /// The token names no issuer (`iss`).
    ///
    /// Look at: the system that issued the token. For systems that write no `iss`, see `Issuer::danger_without_iss`.
    ISSUER_MISSING = "issuer_missing";
    /// The token's issuer (`iss`) is not configured.
    ///
    /// Look at: the explanation in the log line: `iss` of the token against the names of the configured issuers, compared
    /// byte for byte: often a slash at the end, or another tenant, realm or version in the URL.
    ISSUER_UNKNOWN = "issuer_unknown";
    /// The token's algorithm is not the one that its key is used with.
    ///
    /// Look at: `alg` in the token's header against `alg` of the key in the issuer's key set; for RSA keys without
    /// `alg`, `rsa_algorithm` of `RemoteKeysBuilder` (RS256 by default).
    KEY_ALGORITHM = "key_algorithm";
    /// The key that signed the token is that of another issuer in the key set.
    ///
    /// Look at: the member `issuer` of the key against `iss` of the token. Tokens of version 1 of Entra ID
    /// (`https://sts.windows.net/{tid}/`) need the keys at `common/discovery/keys`, which name no issuer. Otherwise somebody tries
    /// tokens of one tenant at another.
    KEY_ISSUER = "key_issuer";
    /// The key that signed the token was withdrawn from the issuer's key set.
    ///
    /// Look at: the issuer's key rotation: a key should stay in the set until its last token has expired. With a custom
    /// key source, look at its calls of `VerifyingKey::retire`.
    KEY_RETIRED = "key_retired";
    /// The issuer's key set is not available, or the issuer was not resolved.
    ///
    /// Look at: the warnings in the log, which name the cause at each URL, and the network from this server to the issuer's
    /// metadata and `jwks_uri`; private addresses, private certificate authorities and plain `http` are options of
    /// `HttpClient::builder`. A set without any usable key is unavailable too. `Jwt::is_ready` reports the same state to a
    /// readiness probe. For an `IssuerResolver`, look at what it queries: it has five seconds.
    KEYS_UNAVAILABLE = "keys_unavailable";
    /// The token's key id (`kid`) is longer than 256 bytes.
    ///
    /// Look at: the system that issued the token; many such tokens are an attack.
    KID_TOO_LONG = "kid_too_long";
    /// The token is valid for longer than its issuer's tokens may be.
    ///
    /// Look at: `exp` and `iat` of the token against `Issuer::max_lifetime` (28 hours by default), and the token
    /// lifetime set at the issuer.
    LIFETIME = "lifetime";
    /// The token is signed by another load balancer than those that are configured, or names none.
    ///
    /// Look at: the ARNs of `AwsAlb::new`, after the load balancer was replaced. Otherwise somebody sends tokens of a load balancer
    /// of their own: allow requests from yours only.
    LOAD_BALANCER_MISMATCH = "load_balancer_mismatch";
    /// The token is not valid yet (`nbf`).
    ///
    /// Look at: the clocks of the issuer and of this server, and `Issuer::skew` (60 seconds by default, 30 with `Issuer::strict`).
    NOT_YET_VALID = "not_yet_valid";
    /// The token's signature is wrong.
    ///
    /// Look at: whether the token comes from the configured issuer: staging and production may use the same name with
    /// other keys, and a `kid` may have been given to a new key. Otherwise the token was altered or forged.
    SIGNATURE = "signature";
    /// The token names no subject.
    ///
    /// Look at: the issuer's claims: `sub` must be present and not empty. `Issuer::subject_claims` names other claims, and
    /// `Issuer::client_as_subject` accepts tokens of clients without a subject.
    SUBJECT_MISSING = "subject_missing";
    /// The token has no tenant.
    ///
    /// Look at: the claim named by `Issuer::tenant_claim`, and whether the issuer puts it into tokens of this client
    /// and user.
    TENANT_MISSING = "tenant_missing";
    /// A segment of the token is not canonical base64url.
    ///
    /// Look at: whether the client or a proxy alters the token: padding (`=`), percent-encoding and cut-off ends are
    /// the usual causes.
    TOKEN_ENCODING = "token_encoding";
    /// The token has no id (`jti`), and the issuer's tokens must have one.
    ///
    /// Look at: `Issuer::require_jti`, and the token settings of the issuer; Entra ID, for example, writes `uti` in its
    /// place.
    TOKEN_ID_MISSING = "token_id_missing";
    /// The token does not have three segments.
    ///
    /// Look at: custom code that calls the authenticator directly: `AuthLayer` refuses such a token as
    /// `credential_not_accepted`. Encrypted tokens (JWE) have five segments and are not supported.
    TOKEN_SEGMENTS = "token_segments";
    /// The token is longer than allowed.
    ///
    /// Look at: `JwtBuilder::max_token_bytes` (16 384 by default), and the size of the issuer's tokens; long lists of
    /// groups or roles are the usual cause.
    TOKEN_TOO_LONG = "token_too_long";
    /// The token is not an access token.
    ///
    /// Look at: which token the client sends, and `typ` in its header: `at+jwt` or `JWT`, with `Issuer::strict` only
    /// `at+jwt`. For introspection, look at `token_type`, `token_use` and `typ` in the response, and at the accepted
    /// token types of `IntrospectionBuilder`.
    TOKEN_TYPE = "token_type";
    /// The token has more scopes or more roles than allowed.
    ///
    /// Look at: the scopes and roles that the issuer puts into the token, and `Issuer::max_grants` (1000 of each by
    /// default).
    TOO_MANY_GRANTS = "too_many_grants";
}
