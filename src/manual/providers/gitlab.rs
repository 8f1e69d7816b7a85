use tower_warden::{
    ConfigError,
    jwt::{ExpectedClaim, Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: `RemoteKeys::discover("https://gitlab.com").await`.
pub fn gitlab(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::new("https://gitlab.com", "https://api.example.com")?
        .require_claim("namespace_id", "72")
        .require_claim("ref_protected", ExpectedClaim::one_of(["true"]))
        .tenant_claim("project_id");
    Ok(AuthLayer::new(Jwt::new(issuer, keys)))
}
