use std::{collections::HashMap, io, sync::Arc};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use rmcp::{
    model::ClientJsonRpcMessage,
    transport::streamable_http_client::{
        HttpStatusError, SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    },
};
use sse_stream::{Sse, SseStream};
use tower::{Service, ServiceExt};
use tower_warden_interop::BoxError;

/// Any service as the HTTP client of rmcp, so that its requests pass through the layers of that service.
#[derive(Clone)]
pub(crate) struct ServiceClient<S>(S);

type Events = BoxStream<'static, Result<Sse, SseError>>;
type Failure = StreamableHttpError<io::Error>;
type Headers = HashMap<HeaderName, HeaderValue>;

impl<S, R> ServiceClient<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = BoxError> + Clone + Send + Sync + 'static,
    S::Future: Send,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    pub(crate) const fn new(service: S) -> Self {
        Self(service)
    }

    async fn send(
        &self,
        method: Method,
        uri: &str,
        session: Option<Arc<str>>,
        headers: Headers,
        body: Bytes,
    ) -> Result<Response<R>, Failure> {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(session) = session {
            request = request.header(SESSION, &*session);
        }
        let mut request = request.body(Full::new(body)).map_err(failed)?;
        request.headers_mut().extend(headers);
        self.0.clone().oneshot(request).await.map_err(failed)
    }
}

impl<S, R> StreamableHttpClient for ServiceClient<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = BoxError> + Clone + Send + Sync + 'static,
    S::Future: Send,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Error = io::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _token: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let body = serde_json::to_vec(&message)?;
        let response = self.send(Method::POST, &uri, session, headers, body.into()).await?;
        let status = response.status();
        if status == StatusCode::ACCEPTED {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let field = |headers: &HeaderMap, name| {
            headers.get::<HeaderName>(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let kind = field(response.headers(), header::CONTENT_TYPE);
        let session = Some(field(response.headers(), SESSION)).filter(|session| !session.is_empty());
        if status.is_success() && kind.starts_with("text/event-stream") {
            return Ok(StreamableHttpPostResponse::Sse(events(response), session));
        }
        let is_json = kind.starts_with("application/json");
        let body = response.into_body().collect().await.map_err(|error| failed(error.into()))?.to_bytes();
        match serde_json::from_slice(&body) {
            Ok(message) if is_json => Ok(StreamableHttpPostResponse::Json(message, session)),
            Err(error) if is_json && status.is_success() => Err(error.into()),
            _ => Err(HttpStatusError::new(status.as_u16(), None).into()),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        _token: Option<String>,
        headers: Headers,
    ) -> Result<(), Failure> {
        self.send(Method::DELETE, &uri, Some(session), headers, Bytes::new()).await.map(drop)
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        _token: Option<String>,
        mut headers: Headers,
    ) -> Result<Events, Failure> {
        if let Some(id) = last_event.and_then(|id| HeaderValue::from_str(&id).ok()) {
            headers.insert(LAST_EVENT, id);
        }
        let response = self.send(Method::GET, &uri, session, headers, Bytes::new()).await?;
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => Err(StreamableHttpError::ServerDoesNotSupportSse),
            status if status.is_success() => Ok(events(response)),
            status => Err(HttpStatusError::new(status.as_u16(), None).into()),
        }
    }
}

fn events<R>(response: Response<R>) -> Events
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let bytes =
        response.into_body().into_data_stream().map(|chunk| chunk.map_err(|error| io::Error::other(error.into())));
    SseStream::from_bytes_stream(bytes).boxed()
}

fn failed(error: impl Into<BoxError>) -> Failure {
    StreamableHttpError::Client(io::Error::other(error))
}

const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
