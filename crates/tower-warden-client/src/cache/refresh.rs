use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tower_warden::scope::Scopes;

use super::{settings::Settings, slots::Registration};
use crate::{Attempt, Token, TokenError, TokenErrorKind, TokenRequest, TokenSource};

/// Obtains a token in up to three attempts, and stores the result in the slot before its registration ends. A refresh
/// that the server has interrupted by `Retry-After` is continued by the next one, so that the last attempt is reached;
/// after that one, the next begins with the first.
pub(super) async fn refresh(
    registration: Registration,
    settings: Settings,
    source: Arc<dyn TokenSource>,
    scopes: Scopes,
) -> Result<Token, TokenError> {
    let mut delay = FIRST_DELAY;
    let mut attempt = 1 + registration.slot.state().interrupted() % ATTEMPTS;
    loop {
        let moment = settings.moment();
        let place = if attempt == ATTEMPTS { Attempt::Last } else { Attempt::Early };
        let request = TokenRequest::new(moment.now).with_attempt(place).with_scopes(&scopes);
        let late = || TokenError::new(TokenErrorKind::Unavailable, "the token was not obtained in time");
        // A source that panics is held off like one that fails.
        let panicked = |_| Err(TokenError::new(TokenErrorKind::Response, "the source of the token panicked"));
        let obtained = AssertUnwindSafe(async { source.token(&request).wait().await }).catch_unwind();
        let result = tokio::time::timeout(settings.timeout, obtained).await;
        match result.map_or_else(|_| Err(late()), |obtained| obtained.unwrap_or_else(panicked)) {
            Ok(token) => {
                registration.slot.state().store(&token, moment, &settings);
                return Ok(token);
            }
            Err(error) if attempt == ATTEMPTS || !is_repeated(&error) => {
                tracing::warn!(%error, attempt, "a token cannot be obtained");
                registration.slot.state().fail(&error, attempt, settings.moment());
                return Err(error);
            }
            Err(_) => tokio::time::sleep(jittered(delay, settings.jitter_fraction)).await,
        }
        attempt += 1;
        delay *= 2;
    }
}

/// A server that asks for a delay is not asked again within this refresh.
fn is_repeated(error: &TokenError) -> bool {
    error.kind() == TokenErrorKind::Unavailable && error.retry_after().is_none()
}

/// Between half the delay and the whole of it.
fn jittered(delay: Duration, jitter_fraction: u32) -> Duration {
    delay / 2 + (delay / 2).mul_f64(f64::from(jitter_fraction) / f64::from(u32::MAX))
}

const ATTEMPTS: u32 = 3;

const FIRST_DELAY: Duration = Duration::from_millis(500);
