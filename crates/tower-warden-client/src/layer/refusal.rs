use http::{HeaderMap, StatusCode};
use tower_warden::scope::Scopes;

use crate::{Token, TokenKind, challenge::ReceivedChallenge};

/// The reason for which a server refuses a request, as far as the client can act on it.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The proof lacks a nonce, which the response contains.
    Nonce,
    /// The token is not valid, or not valid any more.
    Token,
    /// The token lacks these scopes.
    Scopes(Scopes),
}

impl Refusal {
    /// Reads the challenges of a response; `None` if it is not a refusal, or one that no other token would change.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, token: &Token) -> Option<Self> {
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return None;
        }
        let challenges = ReceivedChallenge::all(headers);
        let ours = || challenges.iter().filter(|challenge| challenge.is("Bearer") || challenge.is("DPoP"));
        let is_error = |code| ours().any(|challenge| challenge.error() == Some(code));
        if status == StatusCode::FORBIDDEN {
            let lacking = ours().find(|challenge| challenge.error() == Some("insufficient_scope"))?;
            return lacking.scopes().map(Self::Scopes);
        }
        // RFC 9449 §9: the nonce is that of the field DPoP-Nonce.
        if is_error("use_dpop_nonce") && token.kind() == TokenKind::Dpop {
            return Some(Self::Nonce);
        }
        // RFC 6750 §3.1. Servers that do not follow it respond with 401 and without a code.
        let is_token = is_error("invalid_token") || ours().all(|challenge| challenge.error().is_none());
        is_token.then_some(Self::Token)
    }
}
