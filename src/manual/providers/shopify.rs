use tower_warden::{
    ConfigError,
    jwt::{Algorithm, Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: `StaticKeys::new([VerifyingKey::hmac(Algorithm::HS256, client_secret)?])`.
pub fn shopify(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::template("https://{shop}.myshopify.com/admin", "CLIENT-ID-OF-THE-APP")?
        .template_claim("dest", "https://{shop}.myshopify.com")?
        .algorithms([Algorithm::HS256])?
        .tenant_claim("dest");
    Ok(AuthLayer::new(Jwt::new(issuer, keys)))
}
