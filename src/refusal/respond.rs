use http::{Response, StatusCode};

use super::rejection::Rejection;

/// Makes the body of a refusal, and header fields such as `Content-Type`.
///
/// Implemented by [`Problem`](super::Problem), [`EmptyBody`], [`GrpcStatus`](super::GrpcStatus), and closures
/// `Fn(&Rejection) -> Response<B>`: see the [module docs](super). A closure is written with the type of its parameter,
/// `|rejection: &Rejection| …`, or within [`respond_fn`].
///
/// # Examples
///
/// A type, with a setting of its own:
///
/// ```
/// use std::{convert::Infallible, sync::Arc};
/// use bytes::Bytes;
/// use http::{HeaderValue, Request, Response, header};
/// use http_body_util::{BodyExt, Full};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_warden::{
///     Rejection,
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
///     layer::AuthLayer,
///     refusal::Respond,
/// };
///
/// /// `{"error": "…", "docs": "…"}`, with a link to the documentation of the code.
/// #[derive(Clone)]
/// struct LinkedError {
///     docs: Arc<str>,
/// }
///
/// impl<B: From<Bytes>> Respond<B> for LinkedError {
///     fn respond(&self, rejection: &Rejection) -> Response<B> {
///         let (docs, code) = (&self.docs, rejection.code());
///         let body = format!(r#"{{"error":"{code}","docs":"{docs}/{code}"}}"#);
///         let mut response = Response::new(B::from(Bytes::from(body)));
///         response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
///         response
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let service = AuthLayer::new(keys)
///     .respond_with(LinkedError { docs: "https://docs.example.com/errors".into() })
///     .layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))));
/// let refused = service.oneshot(Request::new(())).await?;
/// assert_eq!(refused.status(), 401);
/// let body = refused.into_body().collect().await?.to_bytes();
/// assert_eq!(
///     body,
///     r#"{"error":"credential_required","docs":"https://docs.example.com/errors/credential_required"}"#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not make refusals with a body of the type `{B}`",
    label = "does not implement `Respond<{B}>`",
    note = "`Problem`, the default, needs a body that is made from bytes (`B: From<Bytes>`), such as `axum::body::Body` or \
            `http_body_util::Full<Bytes>`",
    note = "for a gRPC service, such as one of tonic, add `.respond_with(GrpcStatus::default())` to each layer",
    note = "around a layer that changes the body of responses, such as `TraceLayer` or `CompressionLayer`, add \
            `.layer(tower_warden::layer::RefusalBodyLayer)` directly inside of the layer that refuses",
    note = "`.respond_with(EmptyBody)` needs `B: Default`; a closure is `|rejection: &Rejection| -> Response<B> {{ … }}`"
)]
pub trait Respond<B>: Clone {
    /// Makes the response.
    fn respond(&self, rejection: &Rejection) -> Response<B>;

    /// The status of the response: that of the refusal by default. gRPC has 200 for every response.
    fn status(&self, rejection: &Rejection) -> StatusCode {
        rejection.status()
    }
}

/// Returns the closure, so that its parameter needs no type.
///
/// # Examples
///
/// ```
/// use axum::{body::Body, response::Response};
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
///     layer::AuthLayer,
///     refusal::respond_fn,
/// };
///
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let auth = AuthLayer::new(keys).respond_with(respond_fn(|rejection| Response::new(Body::from(rejection.code()))));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
pub const fn respond_fn<B, F: Fn(&Rejection) -> Response<B> + Clone>(respond: F) -> F {
    respond
}

/// No body, for services whose body type is not made from bytes.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct EmptyBody;

impl<B: Default> Respond<B> for EmptyBody {
    fn respond(&self, _: &Rejection) -> Response<B> {
        Response::new(B::default())
    }
}

impl<B, F: Fn(&Rejection) -> Response<B> + Clone> Respond<B> for F {
    fn respond(&self, rejection: &Rejection) -> Response<B> {
        self(rejection)
    }
}
