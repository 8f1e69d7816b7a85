//! The rules for a token, selected by its claims before its signature is verified.

use std::sync::Arc;

use super::{
    claims::Claims,
    fault::{Fault, OneOf},
    issuer::{TrustedIssuer, is_similar},
    unverified::UnverifiedToken,
};
use crate::{json::Object, log, reason::Reason, time::UnixTime, warnings::Warnings};

/// The issuers that a verifier was configured with.
pub(super) struct Issuers {
    pub(super) trusted: Vec<Arc<TrustedIssuer>>,
    pub(super) warnings: Warnings,
}

impl Issuers {
    /// The rules and keys for a token; `None` if its issuer is not one of these.
    ///
    /// The issuer determines the keys (RFC 8725 §3.8). If it has several rule sets, the first that the token fits decides
    /// alone: the token is never tried with the keys of another one.
    pub(super) fn select(
        &self,
        token: &UnverifiedToken<'_>,
        claims: &Object<'_>,
        now: UnixTime,
    ) -> Result<Option<&Arc<TrustedIssuer>>, Fault> {
        let is_named = |trusted: &&Arc<TrustedIssuer>| trusted.issuer.name.of_token(claims).is_some();
        let mut candidates = self.trusted.iter().filter(is_named).peekable();
        let Some(first) = candidates.peek().copied() else { return Ok(None) };
        let mut allowed = candidates.filter(|trusted| check_algorithm(trusted, token).is_ok());
        let Some(selected) = allowed.next() else {
            let Err(fault) = check_algorithm(first, token) else { return Ok(Some(first)) };
            fault.warn(&self.warnings, first.issuer.name(), now);
            return Err(fault);
        };
        let mut others = allowed.peekable();
        let fits = |trusted: &Arc<TrustedIssuer>| Claims::new(claims).fits(&trusted.issuer, token.header.kind);
        if others.peek().is_none() || fits(selected) {
            return Ok(Some(selected));
        }
        Ok(Some(others.find(|trusted| fits(trusted)).unwrap_or(selected)))
    }

    /// The refusal of a token whose issuer is not configured.
    pub(super) fn unknown(&self, name: &str, now: UnixTime) -> Fault {
        let names: Vec<_> = self.trusted.iter().map(|trusted| trusted.issuer.name()).collect();
        let expected = OneOf(&names);
        let explanation = format!("iss: expected {expected}, received {}", log::quoted(name, MAX_NAME));
        let fault = Fault::new(Reason::ISSUER_UNKNOWN, explanation);
        // Not for any name: clients send what they like.
        if let Some(similar) = names.iter().find(|known| is_similar(known, name)) {
            fault.warn(&self.warnings, similar, now);
        }
        fault
    }
}

/// Checks that the algorithm which the header names is allowed.
pub(super) fn check_algorithm(trusted: &TrustedIssuer, token: &UnverifiedToken<'_>) -> Result<(), Fault> {
    let (allowed, named) = (&trusted.issuer.algorithms, token.header.algorithm);
    if allowed.contains(&named) {
        return Ok(());
    }
    let allowed: Vec<_> = allowed.iter().map(|algorithm| algorithm.as_str()).collect();
    let explanation = format_args!("alg: expected {}, received {named}", allowed.join(" or "));
    Err(Fault::new(Reason::ALGORITHM_NOT_ALLOWED, explanation))
}

/// The longest quoted name, in characters.
const MAX_NAME: usize = 120;
