//! Notes about decisions in the trail of an audited request.

use std::borrow::Cow;

use http::Extensions;

use crate::trail::{AuditedPolicy, Trail};

pub(super) type Noted = Option<AuditedPolicy>;

#[derive(Clone, Debug)]
pub(super) struct Recorder(Option<Trail>);

impl Recorder {
    pub(super) fn of(extensions: &Extensions) -> Self {
        Self(extensions.get().cloned())
    }

    pub(super) fn is_empty(extensions: &Extensions) -> bool {
        extensions.get::<Trail>().is_none_or(|trail| !trail.has_policy())
    }

    pub(super) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(super) const fn noted(name: Cow<'static, str>, rule: Option<Cow<'static, str>>) -> Noted {
        Some(AuditedPolicy { name, rule })
    }

    /// The note of a named policy that consists of others.
    pub(super) fn under(name: Cow<'static, str>, noted: Noted) -> Noted {
        let rule = noted.map(|inner| match inner.rule {
            None => inner.name,
            Some(rule) => format!("{}: {rule}", inner.name).into(),
        });
        Self::noted(name, rule)
    }

    pub(super) fn take(&self) -> Noted {
        self.0.as_ref()?.take_policy()
    }

    pub(super) fn set(&self, noted: Noted) {
        if let Some(trail) = &self.0 {
            trail.set_policy(noted);
        }
    }

    pub(super) fn keep(&self, noted: Noted) {
        if noted.is_some() {
            self.set(noted);
        }
    }
}
