use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tower_warden::{Clock, Eventual, Moment, UnixTime};

use crate::{Token, TokenError, TokenErrorKind, TokenRequest, TokenSource, unverified_expiry};

/// The grant of a service, and the result of its last request.
#[derive(Clone)]
pub(super) struct Observed {
    clock: Arc<dyn Clock>,
    grant: Arc<dyn TokenSource>,
    last: Arc<Mutex<Last>>,
}

#[derive(Default)]
struct Last {
    error: Option<TokenErrorKind>,
    token: Option<Obtained>,
}

struct Obtained {
    expiry: Option<Expiry>,
    token: Token,
}

/// The expiry of a token by both clocks: the second one is never set back.
#[derive(Clone, Copy)]
struct Expiry {
    at: UnixTime,
    steady: UnixTime,
}

impl Observed {
    pub(super) fn new(grant: impl TokenSource, clock: Arc<dyn Clock>) -> Self {
        Self { clock, grant: Arc::new(grant), last: Arc::default() }
    }

    /// Returns whether the last token is still valid, as far as is known, and when it expires.
    pub(super) fn token(&self, is_refused: impl Fn(&Token) -> bool) -> (bool, Option<UnixTime>) {
        let moment = self.clock.moment();
        let last = self.last();
        let Some(Obtained { expiry, token }) = &last.token else { return (false, None) };
        let is_ahead = expiry.is_none_or(|expiry| expiry.is_ahead(moment));
        (is_ahead && !is_refused(token), expiry.map(|expiry| expiry.at))
    }

    pub(super) fn last_error(&self) -> Option<TokenErrorKind> {
        self.last().error
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expiry {
    fn of(at: UnixTime, moment: Moment) -> Self {
        let left = at.as_secs().saturating_sub(moment.now.as_secs());
        Self { at, steady: moment.steady + Duration::from_secs(left) }
    }

    /// Returns whether it is ahead by both clocks: one that was set back does not extend the life of a token.
    fn is_ahead(self, moment: Moment) -> bool {
        moment.now < self.at && moment.steady < self.steady
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
                    let expiry = expiry.map(|at| Expiry::of(at, this.clock.moment()));
                    *last = Last { error: None, token: Some(Obtained { expiry, token: token.clone() }) };
                }
                Err(error) if is_own => last.error = Some(error.kind()),
                _ => {}
            }
            drop(last);
            result
        })
    }

    fn invalidate(&self, token: &Token) {
        self.last().token.take_if(|last| last.token == *token);
        self.grant.invalidate(token);
    }
}
