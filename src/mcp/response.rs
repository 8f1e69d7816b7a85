//! The service that observes the responses of an MCP server.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    body::McpBody, guard::Guard, header::LAST_EVENT_ID, list::is_list, request::McpRequest, task::IdFinder, upgrade,
};
use crate::caller::{self, Principal};

/// The header fields that describe the bytes of a body.
const OF_CONTENT: [HeaderName; 5] = [
    header::CONTENT_LENGTH,
    header::ETAG,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// A request whose response is observed.
struct Observed {
    caller: Principal,
    guard: Arc<Guard>,
    has_sessions: bool,
    may_have_task: bool,
    /// The request without its body, for which a list is filtered.
    list_for: Option<Box<Request<()>>>,
}

impl Observed {
    /// Notes an admitted request; `None` if its response does not concern the guard.
    fn of<B>(guard: &Arc<Guard>, request: &mut Request<B>) -> Option<Self> {
        let (has_sessions, has_list, may_have_task) = match McpRequest::of(request.extensions()) {
            Some(messages) => {
                let has_list = guard.filters_lists && messages.methods().any(is_list);
                let may_have_task = messages.methods().any(|method| method == "tools/call");
                (!messages.version().is_stateless(), has_list, may_have_task)
            }
            // A stream that goes on where another one of the caller broke off repeats its messages.
            None => (true, false, request.headers().contains_key(LAST_EVENT_ID)),
        };
        if !has_sessions && !has_list && !may_have_task {
            return None;
        }
        let caller = caller::of(request.extensions()).ok()?.clone();
        // A response that is encoded could not be read.
        request.headers_mut().remove(header::ACCEPT_ENCODING);
        let copied = || {
            let mut copy = Request::new(());
            *copy.method_mut() = request.method().clone();
            *copy.uri_mut() = request.uri().clone();
            *copy.headers_mut() = request.headers().clone();
            *copy.extensions_mut() = request.extensions().clone();
            Box::new(copy)
        };
        let list_for = has_list.then(copied);
        Some(Self { caller, guard: Arc::clone(guard), has_sessions, may_have_task, list_for })
    }
}

/// Observes the responses of the inner service: tasks that it creates, events of streams, and lists.
///
/// It is not a [`Gate`](crate::gate::Gate), because it changes the type of the response's body. See
/// [`McpGuardLayer`](crate::layer::McpGuardLayer).
pub struct McpResponses<S> {
    inner: S,
    guard: Arc<Guard>,
}

impl<S> McpResponses<S> {
    pub(super) const fn new(inner: S, guard: Arc<Guard>) -> Self {
        Self { inner, guard }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for McpResponses<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<McpBody<ResBody>>;
    type Error = S::Error;
    type Future = McpResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        upgrade::ignore(request.headers_mut());
        let observed = Observed::of(&self.guard, &mut request);
        McpResponseFuture { future: self.inner.call(request), observed }
    }
}

impl<S: Clone> Clone for McpResponses<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), guard: Arc::clone(&self.guard) }
    }
}

impl<S: fmt::Debug> fmt::Debug for McpResponses<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpResponses").field("inner", &self.inner).finish_non_exhaustive()
    }
}

pin_project! {
    /// The response future of [`McpResponses`].
    pub struct McpResponseFuture<F> {
        #[pin]
        future: F,
        observed: Option<Observed>,
    }
}

impl<F, B, E> Future for McpResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<McpBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        let (mut parts, body) = response.into_parts();
        let content = Content::of(&parts.headers);
        let body = match (this.observed.take(), content) {
            (Some(Observed { caller, guard, list_for: Some(list_for), .. }), Some(Content::Json)) => {
                // They are of the list that the server has sent.
                for field in OF_CONTENT {
                    parts.headers.remove(field);
                }
                // It is of this caller only.
                parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
                parts.headers.append(header::VARY, HeaderValue::from_static("Authorization"));
                McpBody::filtered(body, list_for, caller, guard)
            }
            (Some(Observed { caller, guard, has_sessions, may_have_task, .. }), Some(content))
                if may_have_task || (has_sessions && content == Content::Events) =>
            {
                McpBody::observed(body, IdFinder::new(content, may_have_task), caller, guard)
            }
            _ => McpBody::untouched(body),
        };
        Poll::Ready(Ok(Response::from_parts(parts, body)))
    }
}

impl<F> fmt::Debug for McpResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpResponseFuture").finish_non_exhaustive()
    }
}

/// The form of a response's body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Content {
    Events,
    Json,
}

impl Content {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let kind = text.split(';').next().unwrap_or_default().trim_ascii();
        if kind.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            kind.eq_ignore_ascii_case("text/event-stream").then_some(Self::Events)
        }
    }
}
