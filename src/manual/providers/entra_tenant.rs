use tower_warden::{
    ConfigError,
    jwt::{ExpectedClaim, Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: `RemoteKeys::discover("https://login.microsoftonline.com/TENANT-ID/v2.0").await`.
pub fn entra_tenant(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::new("https://login.microsoftonline.com/TENANT-ID/v2.0", "CLIENT-ID-OF-THE-API")?
        .access_token_claim("azp", ExpectedClaim::present())
        .roles_claim("roles")
        .tenant_claim("tid");
    Ok(AuthLayer::new(Jwt::new(issuer, keys)))
}
