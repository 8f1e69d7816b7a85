use tower_warden::{
    ConfigError,
    jwt::{Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: `RemoteKeys::new("https://login.microsoftonline.com/TENANT-ID/discovery/v2.0/keys")`.
pub fn entra_managed_identity(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::new("https://sts.windows.net/TENANT-ID/", "api://CLIENT-ID-OF-THE-API")?
        .require_claim("idtyp", "app")
        .roles_claim("roles")
        .tenant_claim("tid");
    Ok(AuthLayer::new(Jwt::new(issuer, keys)))
}
