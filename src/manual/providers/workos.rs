use tower_warden::{
    ConfigError,
    jwt::{Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: `RemoteKeys::new("https://api.workos.com/sso/jwks/CLIENT-ID")`.
pub fn workos(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::new("https://api.workos.com", "unused")?
        .danger_any_audience()
        .scopes_claim("permissions")
        .roles_claim("role")
        .tenant_claim("org_id");
    Ok(AuthLayer::new(Jwt::new(issuer, keys)))
}
