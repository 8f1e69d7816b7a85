//! The times between which signatures are accepted by default, of messages and of payloads alike.

use std::time::Duration;

/// The age of a signature. RFC 9421 has none; RFC 9449 §11.1 and the libraries of Stripe, Slack and Standard Webhooks have five
/// minutes or less.
pub(super) const PAST: Duration = Duration::from_secs(300);

/// The time by which the clock of the signer may be ahead. No specification has one; it is the clock skew of tokens.
pub(super) const FUTURE: Duration = Duration::from_secs(60);
