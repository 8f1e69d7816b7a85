use tower_warden::{
    ConfigError,
    jwt::{Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: `RemoteKeys::new("https://fs.example.com/adfs/discovery/keys")`.
pub fn ad_fs(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::named("http://fs.example.com/adfs/services/trust", "microsoft:identityserver:API-ID")?
        .subject_claims(["sub", "upn"]);
    Ok(AuthLayer::new(Jwt::new(issuer, keys)))
}
