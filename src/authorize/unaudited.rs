//! Stands in for notes about decisions where the feature `audit` is off.

use std::borrow::Cow;

use http::Extensions;

/// Nothing is noted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted;

#[derive(Clone, Debug)]
pub(super) struct Recorder;

#[expect(clippy::unused_self, reason = "the methods of the recorder of audited requests")]
impl Recorder {
    pub(super) const fn of(_: &Extensions) -> Self {
        Self
    }

    pub(super) const fn is_empty(_: &Extensions) -> bool {
        true
    }

    pub(super) const fn is_on(&self) -> bool {
        false
    }

    pub(super) fn noted(_: Cow<'static, str>, _: Option<Cow<'static, str>>) -> Noted {
        Noted
    }

    pub(super) fn under(_: Cow<'static, str>, noted: Noted) -> Noted {
        noted
    }

    pub(super) const fn take(&self) -> Noted {
        Noted
    }

    pub(super) const fn set(&self, _: Noted) {}

    pub(super) const fn keep(&self, _: Noted) {}
}
