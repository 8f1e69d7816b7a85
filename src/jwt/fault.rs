//! Refused tokens, with what the log shows of them.

use std::fmt;

use crate::{
    json::Json,
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    time::UnixTime,
    warnings::Warnings,
};

/// The reason why a token is refused, and for the log what was expected and what was received.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    /// Never a whole token: it may quote claims, shortened.
    explanation: Option<Box<str>>,
}

impl Fault {
    pub(super) fn new(reason: Reason, explanation: impl fmt::Display) -> Self {
        Self { reason, explanation: Some(explanation.to_string().into()) }
    }

    /// A claim with another value than the configured one.
    pub(super) fn mismatch(
        reason: Reason,
        claim: &str,
        expected: impl fmt::Display,
        received: Option<&Json<'_>>,
    ) -> Self {
        Self::new(reason, format_args!("{claim}: expected {expected}, received {}", Received(received)))
    }

    /// A claim with another JSON type than it has to have.
    pub(super) fn claim_type(claim: &str, expected: &str, received: &Json<'_>) -> Self {
        Self::mismatch(Reason::CLAIM_TYPE, claim, expected, Some(received))
    }

    pub(super) fn with_reason(self, reason: Reason) -> Self {
        Self { reason, ..self }
    }

    /// Refuses the request.
    pub(super) fn into_rejection(self) -> Rejection {
        let rejection = Rejection::new(RejectionKind::Invalid, self.reason);
        match self.explanation {
            Some(explanation) => rejection.with_explanation(explanation),
            None => rejection,
        }
    }

    /// Notes in the log that a claim is ignored.
    pub(super) fn note(&self) {
        let explanation = log::bounded(self.explanation.as_deref().unwrap_or_default(), MAX_EXPLANATION);
        log::debug!(explanation = %explanation, "a claim of a wrong type is treated as absent");
    }

    /// Writes the explanation to the log, where no rejection carries it there.
    #[cfg(feature = "introspection")]
    pub(crate) fn log(&self) {
        if let Some(explanation) = &self.explanation {
            let explanation = log::bounded(explanation, MAX_EXPLANATION);
            log::debug!(
                reason = %self.reason, explanation = %explanation,
                "an introspection response does not meet the issuer's rules"
            );
        }
    }

    /// Warns of a refusal that the configuration probably causes. `issuer` is the configured name.
    pub(crate) fn warn(&self, warnings: &Warnings, issuer: &str, now: UnixTime) {
        let Some(setting) = setting(self.reason) else { return };
        if warnings.is_due(self.reason, issuer, now) {
            let explanation = log::bounded(self.explanation.as_deref().unwrap_or_default(), MAX_EXPLANATION);
            log::warning!(
                reason = %self.reason, issuer = %issuer, setting = %setting, explanation = %explanation,
                "tokens are refused, perhaps because of the configuration; this is logged once an hour"
            );
        }
    }
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self { reason, explanation: None }
    }
}

/// The settings to check if a token is refused for a reason that is often a mistake in the configuration.
fn setting(reason: Reason) -> Option<&'static str> {
    const SETTINGS: [(Reason, &str); 11] = [
        (Reason::ALGORITHM_NOT_ALLOWED, "Issuer::algorithms"),
        (Reason::AUDIENCE_MISMATCH, "the audience of Issuer::new, Issuer::accept_audience"),
        (Reason::AUDIENCE_MISSING, "Issuer::audience_claim, or the audience setting of the issuer"),
        (Reason::CLAIM_TYPE, "the claims named in the rules of Issuer; Issuer::accept_numeric_ids"),
        (Reason::ID_TOKEN, "Issuer::access_token_claim"),
        (Reason::ISSUER_UNKNOWN, "the name of Issuer::new"),
        (Reason::KEY_ALGORITHM, "Issuer::algorithms, RemoteKeysBuilder::rsa_algorithm"),
        (
            Reason::KEY_ISSUER,
            "the template of Issuer::template, or the URL of its keys, whose member `issuer` is compared with `iss`",
        ),
        (Reason::LIFETIME, "Issuer::max_lifetime"),
        (Reason::LOAD_BALANCER_MISMATCH, "the load balancers of AwsAlb::new"),
        (Reason::SUBJECT_MISSING, "Issuer::subject_claims, Issuer::client_as_subject"),
    ];
    SETTINGS.iter().find(|(known, _)| *known == reason).map(|(_, setting)| *setting)
}

/// Texts in quotes, shortened, as an alternative: `"a" or "b"`.
pub(super) struct OneOf<'a, T>(pub(super) &'a [T]);

impl<T: AsRef<str>> fmt::Display for OneOf<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, text) in self.0.iter().take(MAX_ITEMS).enumerate() {
            write!(f, "{}{}", if index > 0 { " or " } else { "" }, log::quoted(text.as_ref(), MAX_QUOTED))?;
        }
        if self.0.len() > MAX_ITEMS { f.write_str(" or …") } else { Ok(()) }
    }
}

/// A claim that was received, shortened.
struct Received<'a>(Option<&'a Json<'a>>);

impl fmt::Display for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(Json::Array(items)) => {
                f.write_str("[")?;
                for (index, item) in items.iter().take(MAX_ITEMS).enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    scalar(item, f)?;
                }
                f.write_str(if items.len() > MAX_ITEMS { ", …]" } else { "]" })
            }
            Some(value) => scalar(value, f),
        }
    }
}

fn scalar(value: &Json<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Json::Array(_) => f.write_str("a list"),
        Json::Bool(value) => write!(f, "{value}"),
        Json::Null => f.write_str("null"),
        Json::Number(number) => f.write_str(&log::bounded(&number.to_string(), MAX_QUOTED)),
        Json::Object(_) => f.write_str("an object"),
        Json::String(text) => f.write_str(&log::quoted(text, MAX_QUOTED)),
    }
}

/// The longest explanation, in characters.
const MAX_EXPLANATION: usize = 400;

/// The longest quoted text, in characters.
const MAX_QUOTED: usize = 80;

/// The number of quoted items.
const MAX_ITEMS: usize = 4;
