use tower_warden::{
    ConfigError,
    jwt::{Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: `RemoteKeys::new` with
/// `https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com`.
pub fn firebase(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::new("https://securetoken.google.com/PROJECT-ID", "PROJECT-ID")?;
    Ok(AuthLayer::new(Jwt::new(issuer, keys)))
}
