use tower_warden::{
    ConfigError,
    jwt::{ExpectedClaim, Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: `RemoteKeys::new("https://login.microsoftonline.com/common/discovery/v2.0/keys")`.
pub fn entra_tenants(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::template("https://login.microsoftonline.com/{tid}/v2.0", "CLIENT-ID-OF-THE-API")?
        .require_claim("tid", ExpectedClaim::one_of(["TENANT-1", "TENANT-2"]))
        .access_token_claim("azp", ExpectedClaim::present())
        .roles_claim("roles")
        .tenant_claim("tid");
    Ok(AuthLayer::new(Jwt::new(issuer, keys)))
}
