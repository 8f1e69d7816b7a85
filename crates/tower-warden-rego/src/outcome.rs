//! The results of rules.

use regorus::Value;

/// The result of the rule that allows.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Decided, by a rule that the policy names, and with a text for the log.
    Decided {
        is_allowed: bool,
        rule: Option<String>,
        explanation: Option<String>,
    },
    /// A result of another type.
    Unexpected,
    Undefined,
}

impl Outcome {
    /// A boolean, or an object with the boolean `allow`.
    pub(crate) fn of(result: &Value) -> Self {
        match result {
            Value::Bool(is_allowed) => Self::Decided { is_allowed: *is_allowed, rule: None, explanation: None },
            Value::Object(members) => {
                let text = |name: &str| match members.get(&Value::from(name)) {
                    Some(Value::String(text)) => Some(text.to_string()),
                    _ => None,
                };
                match members.get(&Value::from("allow")) {
                    Some(Value::Bool(is_allowed)) => {
                        Self::Decided { is_allowed: *is_allowed, rule: text("rule"), explanation: text("reason") }
                    }
                    _ => Self::Unexpected,
                }
            }
            Value::Undefined => Self::Undefined,
            _ => Self::Unexpected,
        }
    }
}

/// The result of the rule that denies.
#[derive(Debug, PartialEq)]
pub(crate) enum Denial {
    Denied,
    NotDenied,
    /// A result of another type.
    Unexpected,
}

impl Denial {
    /// A boolean, or a set, array or object of denials, which is empty if there are none. Undefined is no denial.
    pub(crate) fn of(result: &Value) -> Self {
        let denied = |is_denied| if is_denied { Self::Denied } else { Self::NotDenied };
        match result {
            Value::Array(items) => denied(!items.is_empty()),
            Value::Bool(is_denied) => denied(*is_denied),
            Value::Object(members) => denied(!members.is_empty()),
            Value::Set(items) => denied(!items.is_empty()),
            Value::Undefined => Self::NotDenied,
            _ => Self::Unexpected,
        }
    }
}
