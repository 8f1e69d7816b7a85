use tower_warden::{
    ConfigError,
    jwt::{Issuer, Jwt, KeySource},
    layer::AuthLayer,
    scheme::{Bearer, Location},
};

/// Keys: `RemoteKeys::new("https://TEAM.cloudflareaccess.com/cdn-cgi/access/certs")`.
pub fn cloudflare_access(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::new("https://TEAM.cloudflareaccess.com", "AUD-TAG-OF-THE-APPLICATION")?
        .require_claim("type", "app")
        .subject_claims(["sub", "common_name"]);
    let header = Bearer::from(Location::header("cf-access-jwt-assertion"));
    Ok(AuthLayer::new(Jwt::new(issuer, keys)).scheme(header))
}
