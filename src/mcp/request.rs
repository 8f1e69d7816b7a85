use std::sync::Arc;

use http::Extensions;

use super::{operation::McpOperation, version::McpVersion};

/// The messages of an admitted request: in its extensions, for the layers and handlers inside of the guard.
///
/// # Examples
///
/// Calls of one tool cost more units of a quota than others. The limit is inside of the guard:
///
/// ```
/// use tower_warden::{
///     layer::RateLimitLayer,
///     mcp::McpRequest,
///     rate_limit::{LimitBy, LocalRateLimiter, Quota},
/// };
///
/// let quota = Quota::per_minute(100).burst(100);
/// let limit = RateLimitLayer::new("tools", LocalRateLimiter::default(), LimitBy::principal(), quota)
///     .cost(|head| match McpRequest::of(head.extensions) {
///         Some(request) if request.tools().any(|tool| tool == "render_video") => 20,
///         _ => 1,
///     });
/// ```
#[derive(Clone, Debug)]
pub struct McpRequest {
    calls: Arc<[OwnedCall]>,
    version: McpVersion,
}

#[derive(Debug)]
struct OwnedCall {
    method: Box<str>,
    operations: Vec<(Kind, Box<str>)>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Prompt,
    Resource,
    Task,
    Tool,
}

impl McpRequest {
    /// The messages of a request that a guard has admitted; `None` for other requests.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    pub(super) fn new<'a>(calls: impl Iterator<Item = (&'a str, &'a [McpOperation<'a>])>, version: McpVersion) -> Self {
        let kept = |operation: &McpOperation<'_>| {
            let kind = match operation {
                McpOperation::Method(_) => return None,
                McpOperation::Prompt(_) => Kind::Prompt,
                McpOperation::Resource(_) => Kind::Resource,
                McpOperation::Task(_) => Kind::Task,
                McpOperation::Tool(_) => Kind::Tool,
            };
            Some((kind, operation.name().into()))
        };
        let calls = calls.map(|(method, operations)| OwnedCall {
            method: method.into(),
            operations: operations.iter().filter_map(kept).collect(),
        });
        Self { calls: calls.collect(), version }
    }

    /// The methods of the messages, in their order. Responses to requests of the server have none.
    #[must_use]
    pub fn methods(&self) -> impl ExactSizeIterator<Item = &str> {
        self.calls.iter().map(|call| &*call.method)
    }

    /// The operations that the messages ask for. That of a message which concerns no single object is its method.
    pub fn operations(&self) -> impl Iterator<Item = McpOperation<'_>> {
        self.calls.iter().flat_map(|call| {
            let method = call.operations.is_empty().then_some(McpOperation::Method(&call.method));
            let objects = call.operations.iter().map(|(kind, name)| match kind {
                Kind::Prompt => McpOperation::Prompt(name),
                Kind::Resource => McpOperation::Resource(name),
                Kind::Task => McpOperation::Task(name),
                Kind::Tool => McpOperation::Tool(name),
            });
            method.into_iter().chain(objects)
        })
    }

    /// The names of the tools that are called.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.operations().filter_map(|operation| match operation {
            McpOperation::Tool(name) => Some(name),
            _ => None,
        })
    }

    /// The version of the protocol that the request states; 2025-03-26 if it states none.
    #[must_use]
    pub const fn version(&self) -> McpVersion {
        self.version
    }
}
