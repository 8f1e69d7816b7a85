use tower_warden::{
    ConfigError,
    jwt::{Algorithm, ExpectedClaim, Issuer, Jwt, KeySource},
    layer::AuthLayer,
    scheme::{Bearer, Location},
};

/// Keys: `RemoteKeys::new("https://www.gstatic.com/iap/verify/public_key-jwk")`.
pub fn google_iap(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::new("https://cloud.google.com/iap", "/projects/NUMBER/global/backendServices/ID")?
        .algorithms([Algorithm::ES256])?
        .access_token_claim("email", ExpectedClaim::present());
    let header = Bearer::from(Location::header("x-goog-iap-jwt-assertion"));
    Ok(AuthLayer::new(Jwt::new(issuer, keys)).scheme(header))
}
