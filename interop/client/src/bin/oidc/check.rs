//! Checks, and what they have in common.

use std::fmt::Debug;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use tower_warden::{Clock, SystemClock, scope::Scopes};
use tower_warden_client::{Token, TokenError, TokenRequest, TokenSource};
use tower_warden_interop::BoxError;

/// The outcome of a check.
pub(crate) type Outcome = Result<(), BoxError>;

/// Runs checks, and counts those that pass.
#[derive(Debug, Default)]
pub(crate) struct Checks(usize);

impl Checks {
    pub(crate) async fn run(&mut self, name: &str, check: impl Future<Output = Outcome>) {
        match check.await {
            Ok(()) => {
                self.0 += 1;
                println!("ok {name}");
            }
            Err(error) => println!("NOT OK {name}: {}", chain(&*error)),
        }
    }

    pub(crate) const fn passed(&self) -> usize {
        self.0
    }
}

/// Fails if a value is not the expected one.
#[expect(clippy::needless_pass_by_value, reason = "the values are results of calls and literals")]
pub(crate) fn same<T: Debug + PartialEq>(what: &str, actual: T, expected: T) -> Outcome {
    if actual == expected { Ok(()) } else { Err(format!("{what}: {actual:?} instead of {expected:?}").into()) }
}

/// Obtains a token without a cache.
pub(crate) async fn obtain(source: &impl TokenSource) -> Result<Token, TokenError> {
    source.token(&TokenRequest::new(SystemClock::default().now())).wait().await
}

/// The claims of a token, which is not verified here: the API does.
pub(crate) fn claims(token: &Token) -> Result<Value, BoxError> {
    let payload = token.expose().split('.').nth(1).ok_or("the token is not a JWT")?;
    Ok(serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload)?)?)
}

pub(crate) fn scopes(text: &str) -> Result<Scopes, BoxError> {
    Ok(Scopes::parse(text)?)
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
