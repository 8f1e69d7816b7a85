use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use http::StatusCode;
use tower_warden::Digest;

use super::refusal::Refusal;
use crate::Token;

/// The token that an API has refused last, until it accepts one: its digest, so that a token that was given up is wiped.
///
/// The flag is set while there is one, so that a response costs one read. Two responses at the same time may leave
/// either state: each was the last one.
#[derive(Default)]
pub(super) struct LastRefused {
    is_set: AtomicBool,
    refused: Mutex<Option<Digest>>,
}

impl LastRefused {
    /// Notes the response to a request with this token. Only a success shows that it was accepted: other statuses may
    /// be those of a proxy.
    pub(super) fn note(&self, token: &Token, status: StatusCode, refusal: Option<&Refusal>) {
        if matches!(refusal, Some(Refusal::Token)) {
            self.set(Some(digest(token)));
        } else if status.is_success() && self.is_set.load(Ordering::Relaxed) {
            self.set(None);
        }
    }

    pub(super) fn is(&self, token: &Token) -> bool {
        Some(digest(token)) == *self.refused()
    }

    fn set(&self, digest: Option<Digest>) {
        let mut refused = self.refused();
        self.is_set.store(digest.is_some(), Ordering::Relaxed);
        *refused = digest;
    }

    fn refused(&self) -> MutexGuard<'_, Option<Digest>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(token: &Token) -> Digest {
    Digest::of(token.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refused_token_is_recognized_by_its_digest_and_not_kept() {
        let last = LastRefused::default();
        let refused = Token::bearer("refused").expect("a token");
        last.note(&refused, StatusCode::UNAUTHORIZED, Some(&Refusal::Token));
        assert!(last.is(&Token::bearer("refused").expect("a token")));
        assert!(!last.is(&Token::bearer("another").expect("a token")));
        assert!(refused.is_unshared(), "no reference to it is kept");
        last.note(&refused, StatusCode::OK, None);
        assert!(!last.is(&refused));
    }
}
