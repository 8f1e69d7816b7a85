use tower_warden::{
    ConfigError,
    jwt::{Algorithm, Issuer, Jwt, KeySource},
    layer::AuthLayer,
};

/// Keys: `RemoteKeys::new("https://PROJECT.supabase.co/auth/v1/.well-known/jwks.json")`, and while tokens of the older secret
/// are valid: `StaticKeys::new([VerifyingKey::hmac(Algorithm::HS256, secret)?])`.
pub fn supabase(keys: impl KeySource, secret: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let issuer = Issuer::new("https://PROJECT.supabase.co/auth/v1", "authenticated")?.roles_claim("role");
    let older = issuer.clone().algorithms([Algorithm::HS256])?;
    Ok(AuthLayer::new(Jwt::builder(issuer, keys).issuer(older, secret).build()?))
}
