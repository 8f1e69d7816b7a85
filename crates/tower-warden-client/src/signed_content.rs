//! Requests whose content is read and signed before they are sent.

use std::{
    error::Error,
    future::{Future, poll_fn},
    mem,
    pin::Pin,
};

use bytes::Bytes;
use http::{Request, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use tower_service::Service;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

pub(crate) type Sent<R> = Pin<Box<dyn Future<Output = Result<R, BoxError>> + Send>>;

/// Reads the content of a request, which has no trailers, and sends it as `sign` has signed it.
pub(crate) fn send_signed<S, B>(
    service: &mut S,
    request: Request<B>,
    max_bytes: usize,
    sign: impl FnOnce(&mut Parts, &Bytes) -> Result<(), BoxError> + Send + 'static,
) -> Sent<S::Response>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + From<Bytes> + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    // What the ready instance has reserved is given back while the body is read.
    let mut next = service.clone();
    drop(mem::replace(service, next.clone()));
    Box::pin(async move {
        let (mut parts, body) = request.into_parts();
        let content = Limited::new(body, max_bytes).collect().await?;
        if content.trailers().is_some() {
            return Err("a signed request has no trailers: the signature does not cover them".into());
        }
        let content = content.to_bytes();
        poll_fn(|context| next.poll_ready(context)).await.map_err(Into::into)?;
        // Not earlier: the wait would make the signature old.
        sign(&mut parts, &content)?;
        next.call(Request::from_parts(parts, B::from(content))).await.map_err(Into::into)
    })
}

/// The size of the largest body by default, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
