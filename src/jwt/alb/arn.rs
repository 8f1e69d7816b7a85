//! The names of load balancers.

use crate::error::{ConfigError, ConfigErrorKind};

/// Checks that there is at least one load balancer, and that each is the whole ARN of an Application Load Balancer.
pub(super) fn check_load_balancers(arns: &[Box<str>]) -> Result<(), ConfigError> {
    let error = ConfigError::new(
        ConfigErrorKind::Issuer,
        "a load balancer is named by its whole ARN: \
         arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/NAME/ID",
    );
    match arns.iter().find(|arn| !is_load_balancer(arn)) {
        Some(wrong) => Err(error.value(wrong)),
        None if arns.is_empty() => Err(error),
        None => Ok(()),
    }
}

fn is_load_balancer(arn: &str) -> bool {
    let parts: Vec<_> = arn.split(':').collect();
    let ["arn", partition, "elasticloadbalancing", region, account, resource] = *parts else { return false };
    let resource: Vec<_> = resource.split('/').collect();
    let ["loadbalancer", "app", name, id] = *resource else { return false };
    let is_code = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (partition == "aws" || partition.starts_with("aws-") && partition.bytes().all(is_code))
        && consists_of(region, 32, is_code)
        && account.len() == 12
        && consists_of(account, 12, |byte| byte.is_ascii_digit())
        && consists_of(name, 32, |byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && consists_of(id, 32, |byte| byte.is_ascii_hexdigit())
}

/// Returns whether a text has at least one byte and no more than `most`, all of which are allowed.
fn consists_of(text: &str, most: usize, is_allowed: impl Fn(u8) -> bool) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(is_allowed)
}
