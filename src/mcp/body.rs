use std::{
    error::Error,
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::Request;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    guard::Guard,
    list,
    operation::McpOperation,
    owner::Owner,
    task::{Found, IdFinder, find},
};
use crate::caller::Principal;

/// The longest list that is filtered, in bytes.
const MAX_LIST: usize = 8 << 20;

pin_project! {
    /// The body of a response behind a [`McpGuardLayer`](crate::layer::McpGuardLayer): that of the server, of a refusal, or a
    /// list that was filtered.
    pub struct McpBody<B> {
        #[pin]
        source: Source<B>,
    }
}

pin_project! {
    #[project = SourceProj]
    enum Source<B> {
        Bytes { bytes: Bytes },
        Filtered {
            #[pin]
            body: B,
            list: Vec<u8>,
            filter: Option<Filter>,
        },
        Observed {
            #[pin]
            body: B,
            finder: IdFinder,
            learner: Learner,
        },
        Untouched {
            #[pin]
            body: B,
        },
    }
}

struct Filter {
    caller: Principal,
    guard: Arc<Guard>,
    request: Box<Request<()>>,
}

impl Filter {
    /// The list without what the caller of the request may not use.
    fn apply(mut self, list: &[u8]) -> Result<Vec<u8>, Unfilterable> {
        // A batch may also have created tasks.
        find(list, &mut |id| self.guard.tasks.add(Owner::of(&self.caller), id));
        let permits = |operation: McpOperation<'_>| self.guard.rules.permit(&self.caller, &mut self.request, operation);
        list::filter(list, permits).ok_or(Unfilterable)
    }
}

/// Binds what is found in a response to its caller.
struct Learner {
    caller: Principal,
    guard: Arc<Guard>,
    /// The caller, once something was found.
    owner: Option<Owner>,
}

impl Learner {
    fn learn(&mut self, found: Found<'_>) {
        let owner = *self.owner.get_or_insert_with(|| Owner::of(&self.caller));
        match found {
            Found::Event(id) => self.guard.events.add(owner, id),
            Found::Task(id) => self.guard.tasks.add(owner, id),
        }
    }
}

impl<B> McpBody<B> {
    pub(super) const fn filtered(body: B, request: Box<Request<()>>, caller: Principal, guard: Arc<Guard>) -> Self {
        let filter = Some(Filter { caller, guard, request });
        Self { source: Source::Filtered { body, list: Vec::new(), filter } }
    }

    pub(super) const fn observed(body: B, finder: IdFinder, caller: Principal, guard: Arc<Guard>) -> Self {
        Self { source: Source::Observed { body, finder, learner: Learner { caller, guard, owner: None } } }
    }

    pub(super) const fn untouched(body: B) -> Self {
        Self { source: Source::Untouched { body } }
    }
}

/// A list that cannot be filtered is not sent.
#[derive(Debug)]
struct Unfilterable;

impl fmt::Display for Unfilterable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the list of the server is not JSON, or is too long to be filtered")
    }
}

impl Error for Unfilterable {}

type BoxError = Box<dyn Error + Send + Sync>;

impl<B> Body for McpBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().source.project() {
            SourceProj::Bytes { bytes } => {
                let bytes = mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            SourceProj::Filtered { mut body, list, filter } => {
                while filter.is_some() {
                    match ready!(body.as_mut().poll_frame(cx)) {
                        Some(Ok(frame)) => {
                            let Ok(mut data) = frame.into_data() else { continue };
                            if list.len() + data.remaining() > MAX_LIST {
                                *filter = None;
                                return Poll::Ready(Some(Err(Unfilterable.into())));
                            }
                            list.extend_from_slice(&data.copy_to_bytes(data.remaining()));
                        }
                        Some(Err(error)) => {
                            *filter = None;
                            return Poll::Ready(Some(Err(error.into())));
                        }
                        None => {
                            let Some(filter) = filter.take() else { break };
                            let filtered = filter.apply(list).map(|bytes| Frame::data(bytes.into()));
                            return Poll::Ready(Some(filtered.map_err(Into::into)));
                        }
                    }
                }
                Poll::Ready(None)
            }
            SourceProj::Observed { mut body, finder, learner } => {
                let frame = ready!(poll_bytes(body.as_mut(), cx));
                let mut found = |found: Found<'_>| learner.learn(found);
                if let Some(Ok(frame)) = &frame
                    && let Some(data) = frame.data_ref()
                {
                    finder.read(data, &mut found);
                }
                // A server does not poll for the end that it knows of.
                let is_over = body.is_end_stream() || body.size_hint().exact() == Some(0);
                if is_over || !matches!(frame, Some(Ok(_))) {
                    finder.end(&mut found);
                }
                Poll::Ready(frame)
            }
            SourceProj::Untouched { body } => poll_bytes(body, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Bytes { bytes } => bytes.is_empty(),
            Source::Filtered { filter, .. } => filter.is_none(),
            Source::Observed { body, .. } | Source::Untouched { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Bytes { bytes } => SizeHint::with_exact(bytes.len() as u64),
            Source::Filtered { .. } => SizeHint::default(),
            Source::Observed { body, .. } | Source::Untouched { body } => body.size_hint(),
        }
    }
}

fn poll_bytes<B>(body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let frame = ready!(body.poll_frame(cx));
    // `Bytes` are moved, not copied.
    let into_bytes = |mut data: B::Data| data.copy_to_bytes(data.remaining());
    Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(into_bytes)).map_err(Into::into)))
}

/// The body of a refusal.
impl<B> From<Bytes> for McpBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self { source: Source::Bytes { bytes } }
    }
}

impl<B> Default for McpBody<B> {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl<B> fmt::Debug for McpBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.source {
            Source::Bytes { .. } => "McpBody::Bytes(..)",
            Source::Filtered { .. } => "McpBody::Filtered(..)",
            Source::Observed { .. } => "McpBody::Observed(..)",
            Source::Untouched { .. } => "McpBody::Untouched(..)",
        })
    }
}
