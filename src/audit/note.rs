use std::{borrow::Cow, fmt};

use http::Extensions;

use crate::{
    digest::Digest,
    log,
    trail::{AuditedPolicy, RequestId, Trail},
};

/// The most fields of a request, and the longest value in characters.
const MAX_FIELDS: usize = 32;
const MAX_VALUE: usize = 1_000;
/// The longest name, in bytes.
const MAX_NAME: usize = 200;

/// A name, cut off if it is too long.
fn bounded(name: Cow<'static, str>) -> Cow<'static, str> {
    if name.len() <= MAX_NAME { name } else { log::bounded(&name, MAX_NAME).into() }
}

/// Adds to the audit event of a request, from a handler or a layer.
///
/// It is an extractor of axum; elsewhere, use [`of`](Self::of). Without an [`AuditLayer`](crate::layer::AuditLayer) around
/// the handler, notes are dropped.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Bytes, extract::Path, routing::post};
/// use tower_warden::audit::AuditNote;
///
/// async fn run(note: AuditNote, Path(tool): Path<String>, input: Bytes) {
///     note.tool(tool).input(&input);
/// }
///
/// let app: Router = Router::new().route("/tools/{tool}", post(run));
/// ```
#[derive(Clone)]
pub struct AuditNote(Option<Trail>);

impl AuditNote {
    /// The notes about a request.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        Self(extensions.get::<Trail>().cloned())
    }

    /// Adds a field: up to 32 of them, and the first 1000 characters of each value. Do not record secrets.
    pub fn field(&self, name: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> &Self {
        if let Some(trail) = &self.0 {
            let value = log::bounded(&value.to_string(), MAX_VALUE).into();
            let mut notes = trail.notes();
            if notes.fields.len() < MAX_FIELDS {
                notes.fields.push((bounded(name.into()), value));
            }
        }
        self
    }

    /// Adds the tool that was called, as the field `tool`.
    pub fn tool(&self, name: impl fmt::Display) -> &Self {
        self.field("tool", name)
    }

    /// Adds the id of the object that was used or changed, as the field `object`.
    pub fn object(&self, id: impl fmt::Display) -> &Self {
        self.field("object", id)
    }

    /// Adds the SHA-256 of the input, in hexadecimal digits, as the field `input_sha256`. The input itself is not recorded.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it notes")]
    pub fn input(&self, input: &[u8]) -> &Self {
        self.field("input_sha256", Digest::of(input).to_hex())
    }

    /// Notes that a layer has decided who the caller is, or that it may be anybody: for custom layers that authenticate. See
    /// [`AuditLayer::deny_undecided`](crate::layer::AuditLayer::deny_undecided).
    #[expect(clippy::must_use_candidate, reason = "it is called for what it notes")]
    pub fn decided(&self) -> &Self {
        if let Some(trail) = &self.0 {
            let mut notes = trail.notes();
            notes.is_decided = true;
            notes.refusal = None;
        }
        self
    }

    /// Sets the policy that decided about the request, and the rule within it.
    pub fn policy(&self, name: impl Into<Cow<'static, str>>, rule: Option<Cow<'static, str>>) -> &Self {
        if let Some(trail) = &self.0 {
            let rule = rule.map(bounded);
            trail.set_policy(Some(AuditedPolicy { name: bounded(name.into()), rule }));
        }
        self
    }

    /// The id of the request; `None` without an [`AuditLayer`](crate::layer::AuditLayer).
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        self.0.as_ref().map(|trail| &trail.received().request_id)
    }
}

impl fmt::Debug for AuditNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditNote").field("request_id", &self.request_id()).finish_non_exhaustive()
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum_core::extract::FromRequestParts<S> for AuditNote {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.extensions))
    }
}
