//! Tokens of AWS Application Load Balancers.

pub use self::{authenticator::AwsAlb, builder::AwsAlbKeysBuilder, keys::AwsAlbKeys};

mod arn;
mod authenticator;
mod budget;
mod builder;
mod keys;
mod scheme;
