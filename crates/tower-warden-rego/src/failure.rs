//! Failures of evaluations.

use std::{borrow::Cow, fmt};

use regorus::LimitError;

/// A failure that prevents a decision. Its text is the explanation of the refusal, and may quote what the caller sent.
#[derive(Debug)]
pub(crate) struct Failure {
    text: Cow<'static, str>,
    /// A text that quotes nothing that the caller sent, if that is not the one above.
    summary: Option<String>,
}

impl Failure {
    /// A failure that the engine reports, and the limit that was exceeded.
    pub(crate) fn of_evaluation(error: &impl fmt::Display, limit: Option<&LimitError>) -> Self {
        let text = error.to_string();
        // The message that follows the position may quote a value of the input.
        let position = text.lines().find_map(|line| line.strip_prefix("--> "));
        let summary = match (limit, position) {
            (Some(limit), _) => limit.to_string(),
            (None, Some(position)) => format!("the evaluation failed at {}", bounded(position)),
            (None, None) => "the evaluation failed".to_owned(),
        };
        Self { text: text.into(), summary: Some(summary) }
    }

    /// A text for logs that are not about one refusal.
    pub(crate) fn summary(&self) -> &str {
        self.summary.as_deref().unwrap_or(&self.text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<&'static str> for Failure {
    fn from(text: &'static str) -> Self {
        Self { text: text.into(), summary: None }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self { text: text.into(), summary: None }
    }
}

/// Up to 200 characters, in which control characters are escaped.
fn bounded(text: &str) -> String {
    const LENGTH: usize = 200;
    let end = text.char_indices().nth(LENGTH).map_or(text.len(), |(end, _)| end);
    text[..end].escape_debug().to_string()
}
