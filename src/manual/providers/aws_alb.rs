use tower_warden::{
    ConfigError,
    jwt::{AwsAlb, Issuer, KeySource},
    layer::AuthLayer,
};

/// Keys: `AwsAlbKeys::new("eu-west-1")`.
pub fn aws_alb(keys: impl KeySource) -> Result<AuthLayer, ConfigError> {
    let load_balancer = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/50dc6c495c0c9188";
    let issuer = Issuer::new("https://idp.example.com", "CLIENT-ID")?;
    Ok(AuthLayer::new(AwsAlb::new([load_balancer], issuer, keys)?))
}
