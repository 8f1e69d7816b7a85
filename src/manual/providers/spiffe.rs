use tower_warden::{
    ConfigError,
    jwt::{Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: those of the trust domain's bundle, such as `RemoteKeys::new("https://spire.example.org/keys")`.
pub fn spiffe(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::jwt_svid("spiffe://example.org", "spiffe://example.org/api")?;
    Ok(AuthLayer::new(Jwt::new(issuer, keys)))
}
