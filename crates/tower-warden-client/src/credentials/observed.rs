use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tower_warden::{Clock, Eventual, UnixTime};

use crate::{Token, TokenError, TokenErrorKind, TokenRequest, TokenSource, unverified_expiry};

/// The grant of a service, and the result of its last request.
#[derive(Clone)]
pub(super) struct Observed {
    grant: Arc<dyn TokenSource>,
    last: Arc<Mutex<Last>>,
}

#[derive(Default)]
struct Last {
    error: Option<TokenErrorKind>,
    token: Option<(Token, Option<UnixTime>)>,
}

impl Observed {
    pub(super) fn new(grant: impl TokenSource) -> Self {
        Self { grant: Arc::new(grant), last: Arc::default() }
    }

    /// Returns whether the last token is still valid, as far as is known, and when it expires.
    pub(super) fn token(&self, clock: &dyn Clock) -> (bool, Option<UnixTime>) {
        let now = clock.now();
        match &self.last().token {
            Some((_, expiry)) => (expiry.is_none_or(|expiry| now < expiry), *expiry),
            None => (false, None),
        }
    }

    pub(super) fn last_error(&self) -> Option<TokenErrorKind> {
        self.last().error
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenSource for Observed {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        // A token with additional scopes is another one.
        let is_own = request.scopes.is_empty();
        let this = self.clone();
        self.grant.token(request).map(move |result| {
            let mut last = this.last();
            match &result {
                Ok(token) if is_own => {
                    let expiry = token.expiry().or_else(|| unverified_expiry(token.expose()));
                    *last = Last { error: None, token: Some((token.clone(), expiry)) };
                }
                Err(error) if is_own => last.error = Some(error.kind()),
                _ => {}
            }
            drop(last);
            result
        })
    }

    fn invalidate(&self, token: &Token) {
        self.last().token.take_if(|(last, _)| last == token);
        self.grant.invalidate(token);
    }
}
