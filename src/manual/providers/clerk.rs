use tower_warden::{
    ConfigError,
    jwt::{ExpectedClaim, Issuer, Jwt, KeySource},
    layer::AuthLayer,
    scheme::{Bearer, Location},
};

/// Keys: `RemoteKeys::new("https://clerk.example.com/.well-known/jwks.json")`.
pub fn clerk(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::new("https://clerk.example.com", "unused")?
        .danger_any_audience()
        .check_claim_if_present("azp", ExpectedClaim::one_of(["https://app.example.com", "https://admin.example.com"]));
    let bearer = Bearer::default().or(Location::cookie("__session"));
    Ok(AuthLayer::new(Jwt::new(issuer, keys)).scheme(bearer))
}
