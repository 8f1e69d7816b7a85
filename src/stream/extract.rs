use axum_core::extract::FromRequestParts;
use http::request::Parts;

use super::watch::CredentialWatch;
use crate::{
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
};

/// Extracts the watch of the request's credential; 500 if the [layer](crate::layer::StreamGuardLayer) is missing around
/// the route.
impl<S: Sync> FromRequestParts<S> for CredentialWatch {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            log::error!("StreamGuardLayer is missing around a route that needs it; responding with 500");
            Rejection::new(RejectionKind::Internal, Reason::STREAM_GUARD_MISSING).of_request(&parts.extensions)
        })
    }
}
