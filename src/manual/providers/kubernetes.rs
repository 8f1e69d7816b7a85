use std::time::Duration;

use tower_warden::{
    ConfigError,
    jwt::{Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: see below.
pub fn kubernetes(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::new("https://kubernetes.default.svc.cluster.local", "https://api.example.com")?
        .max_lifetime(Duration::from_secs(366 * 24 * 60 * 60))
        .tenant_claim("/kubernetes.io/namespace");
    Ok(AuthLayer::new(Jwt::new(issuer, keys)))
}
