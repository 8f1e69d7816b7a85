use tower_warden::{
    ConfigError,
    jwt::{Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: `RemoteKeys::discover("https://token.actions.githubusercontent.com").await`.
pub fn github_actions(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::new("https://token.actions.githubusercontent.com", "https://api.example.com")?
        .require_claim("repository_owner_id", "1234567")
        .tenant_claim("repository");
    Ok(AuthLayer::new(Jwt::new(issuer, keys)))
}
