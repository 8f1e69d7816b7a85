use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use http::StatusCode;

use super::refusal::Refusal;
use crate::Token;

/// The token that an API has refused last, until it accepts one.
///
/// The flag is set while there is one, so that a response costs one read. Two responses at the same time may leave
/// either state: each was the last one.
#[derive(Default)]
pub(super) struct LastRefused {
    is_set: AtomicBool,
    token: Mutex<Option<Token>>,
}

impl LastRefused {
    /// Notes the response to a request with this token. Only a success shows that it was accepted: other statuses may
    /// be those of a proxy.
    pub(super) fn note(&self, token: &Token, status: StatusCode, refusal: Option<&Refusal>) {
        if matches!(refusal, Some(Refusal::Token)) {
            self.set(Some(token.clone()));
        } else if status.is_success() && self.is_set.load(Ordering::Relaxed) {
            self.set(None);
        }
    }

    pub(super) fn is(&self, token: &Token) -> bool {
        self.token().as_ref() == Some(token)
    }

    fn set(&self, refused: Option<Token>) {
        let mut token = self.token();
        self.is_set.store(refused.is_some(), Ordering::Relaxed);
        *token = refused;
    }

    fn token(&self) -> MutexGuard<'_, Option<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
