use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Extensions, HeaderMap};

use super::limits::BodyLimits;
use crate::{eventual::Eventual, refusal::Rejection, request::Head};

/// Inspects the bodies of requests before they reach the inner service.
///
/// Closures `Fn(&BufferedRequest<'_>) -> Result<(), Rejection>` are checks too: they inspect every request within the
/// [default limits](BodyLimits::default).
///
/// # Examples
///
/// A check that parses the body of each `POST` once, and leaves the result for the handler:
///
/// ```
/// use bytes::Bytes;
/// use http::{Extensions, Method, Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     Eventual, Head, Reason, Rejection, RejectionKind,
///     body::{BodyCheck, BodyLimits, BufferedRequest, InspectedBody},
///     layer::BodyCheckLayer,
/// };
///
/// #[derive(Clone)]
/// struct Amount(u64);
///
/// struct ParseAmount(BodyLimits);
///
/// impl BodyCheck for ParseAmount {
///     fn limits(&self, head: &Head<'_>) -> Option<BodyLimits> {
///         (head.method == Method::POST).then_some(self.0)
///     }
///
///     fn check(&self, request: &BufferedRequest<'_>) -> Eventual<Result<Extensions, Rejection>> {
///         let amount = std::str::from_utf8(request.body).ok().and_then(|text| text.parse().ok());
///         Eventual::Now(match amount {
///             Some(amount) => {
///                 let mut extensions = Extensions::new();
///                 extensions.insert(Amount(amount));
///                 Ok(extensions)
///             }
///             None => Err(Rejection::new(RejectionKind::BodyInvalid, Reason::custom("amount_syntax"))),
///         })
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let check = ParseAmount(BodyLimits::new(20, std::time::Duration::from_secs(1))?);
/// let service = ServiceBuilder::new().layer(BodyCheckLayer::new(check)).service_fn(
///     async |request: Request<InspectedBody<Full<Bytes>>>| {
///         let Amount(amount) = request.extensions().get().expect("the check leaves it");
///         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(format!("charged {amount}"))))
///     },
/// );
///
/// let valid = Request::post("/").body(Full::from("1299"))?;
/// assert_eq!(service.clone().oneshot(valid).await?.status(), 200);
///
/// let invalid = Request::post("/").body(Full::from("much"))?;
/// assert_eq!(service.oneshot(invalid).await?.status(), 400);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait BodyCheck: Send + Sync + 'static {
    /// Refuses a request before anything of its body is read, such as one whose header fields are malformed. It is called for
    /// each request; by default, none is refused.
    ///
    /// # Errors
    ///
    /// The refusal, as that of [`check`](Self::check).
    fn check_head(&self, head: &Head<'_>) -> Result<(), Rejection> {
        let _ = head;
        Ok(())
    }

    /// Returns the limits within which the body is read, or `None` if this request is not to be inspected.
    ///
    /// The body of a request that is not inspected streams through untouched, without a limit, and
    /// [`check`](Self::check) is not called. A check that protects something must not return `None` for a property that
    /// the client chooses freely, such as `Content-Type`, unless the inner service refuses such a request.
    fn limits(&self, head: &Head<'_>) -> Option<BodyLimits> {
        let _ = head;
        Some(BodyLimits::default())
    }

    /// Inspects a request whose body was read, and returns values to add to the request's extensions.
    ///
    /// A refusal is usually [`BodyInvalid`](crate::RejectionKind::BodyInvalid), or
    /// [`Forbidden`](crate::RejectionKind::Forbidden) where the body names an operation that the
    /// [`Principal`](crate::Principal) in the extensions may not perform. It gets the challenges of the
    /// [`AuthLayer`](crate::layer::AuthLayer) outside.
    fn check(&self, request: &BufferedRequest<'_>) -> Eventual<Result<Extensions, Rejection>>;
}

impl<F> BodyCheck for F
where
    F: Fn(&BufferedRequest<'_>) -> Result<(), Rejection> + Send + Sync + 'static,
{
    fn check(&self, request: &BufferedRequest<'_>) -> Eventual<Result<Extensions, Rejection>> {
        Eventual::Now(self(request).map(|()| Extensions::new()))
    }
}

impl<C: BodyCheck + ?Sized> BodyCheck for Arc<C> {
    fn check_head(&self, head: &Head<'_>) -> Result<(), Rejection> {
        (**self).check_head(head)
    }

    fn limits(&self, head: &Head<'_>) -> Option<BodyLimits> {
        (**self).limits(head)
    }

    fn check(&self, request: &BufferedRequest<'_>) -> Eventual<Result<Extensions, Rejection>> {
        (**self).check(request)
    }
}

/// A request whose body was read completely.
///
/// Its [`Debug`](fmt::Debug) shows the size of the body, not its bytes.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct BufferedRequest<'a> {
    /// The body. Cloning it does not copy the bytes.
    pub body: &'a Bytes,
    /// The request without its body.
    pub head: Head<'a>,
    /// The trailer fields, if the body has any.
    pub trailers: Option<&'a HeaderMap>,
}

impl fmt::Debug for BufferedRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferedRequest")
            .field("head", &self.head)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
