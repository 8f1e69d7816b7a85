use tower_warden::{
    ConfigError,
    jwt::{Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: `RemoteKeys::discover("https://INSTANCE.zitadel.cloud").await`.
pub fn zitadel(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::new("https://INSTANCE.zitadel.cloud", "PROJECT-ID")?
        .roles_claim("urn:zitadel:iam:org:project:roles")
        .tenant_claim("urn:zitadel:iam:user:resourceowner:id");
    Ok(AuthLayer::new(Jwt::new(issuer, keys)))
}
