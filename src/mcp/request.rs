use std::{
    borrow::Cow,
    slice,
    sync::{Arc, OnceLock},
};

use http::Extensions;

use super::{message::Call, operation::McpOperation, version::McpVersion};

/// Methods of most requests, whose names are not copied.
const FREQUENT: [&str; 6] = ["tools/call", "tools/list", "resources/read", "prompts/get", "tasks/get", "ping"];

/// The messages of a request: in its extensions, for the policies of the declaration, and for the layers and handlers inside of
/// the guard.
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
///
/// A policy that is required of each request sees what the request asks for:
///
/// ```
/// use tower_warden::{Head, Principal, mcp::{McpRequest, McpServer}};
///
/// let read_only = |caller: &Principal, head: &Head<'_>| {
///     let is_change = |tool: &str| tool.starts_with("delete");
///     caller.tier() != Some("trial")
///         || McpRequest::of(head.extensions).is_some_and(|request| !request.tools().any(is_change))
/// };
/// let server = McpServer::new("https://mcp.example.com/mcp")?.require(read_only);
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
// The check of the head adds an empty one, which is set when the body was read. That takes no other allocation than the messages
// in the extensions of the admitted request, where policies would not see them.
#[derive(Clone, Debug)]
pub struct McpRequest(OnceLock<Messages>);

#[derive(Clone, Debug)]
struct Messages {
    calls: Calls,
    version: McpVersion,
}

/// The messages. Most requests have one, and it concerns one object: the enums save allocations.
#[derive(Clone, Debug)]
enum Calls {
    Batch(Arc<[OwnedCall]>),
    Single(OwnedCall),
}

#[derive(Clone, Debug)]
struct OwnedCall {
    method: Cow<'static, str>,
    /// `None` if it concerns no single object.
    objects: Option<Objects>,
}

#[derive(Clone, Debug)]
enum Objects {
    Several(Arc<[Object]>),
    Single(Object),
}

#[derive(Clone, Debug)]
struct Object {
    kind: Kind,
    name: Arc<str>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Prompt,
    Resource,
    Task,
    Tool,
}

impl McpRequest {
    /// The messages of a request that a guard has admitted, or whose policies decide; `None` for other requests.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get::<Self>().filter(|request| request.0.get().is_some())
    }

    /// The place for messages that are not read yet.
    pub(super) const fn unread() -> Self {
        Self(OnceLock::new())
    }

    /// A request for one operation by a method.
    pub(super) fn for_operation(method: &str, operation: McpOperation<'_>, version: McpVersion) -> Self {
        let calls = Calls::Single(OwnedCall::new(method, &[operation]));
        Self(OnceLock::from(Messages { calls, version }))
    }

    /// Sets the messages of a request that has a place for them.
    pub(super) fn set(extensions: &Extensions, calls: &[Call<'_>], version: McpVersion) {
        let owned = |call: &Call<'_>| OwnedCall::new(call.method, call.operations());
        let calls = match calls {
            [call] => Calls::Single(owned(call)),
            calls => Calls::Batch(calls.iter().map(owned).collect()),
        };
        if let Some(request) = extensions.get::<Self>() {
            // A body is read once.
            let _ = request.0.set(Messages { calls, version });
        }
    }

    fn calls(&self) -> &[OwnedCall] {
        match self.0.get().map(|messages| &messages.calls) {
            Some(Calls::Batch(calls)) => calls,
            Some(Calls::Single(call)) => slice::from_ref(call),
            None => &[],
        }
    }

    /// The methods of the messages, in their order. Responses to requests of the server have none.
    #[must_use]
    pub fn methods(&self) -> impl ExactSizeIterator<Item = &str> {
        self.calls().iter().map(|call| &*call.method)
    }

    /// The operations that the messages ask for. That of a message which concerns no single object is its method.
    pub fn operations(&self) -> impl Iterator<Item = McpOperation<'_>> {
        self.calls().iter().flat_map(|call| {
            let objects = call.objects.as_ref().map_or(&[][..], Objects::as_slice);
            let method = objects.is_empty().then_some(McpOperation::Method(&call.method));
            method.into_iter().chain(objects.iter().map(Object::operation))
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
    pub fn version(&self) -> McpVersion {
        self.0.get().map_or(McpVersion::V2025_03_26, |messages| messages.version)
    }
}

impl OwnedCall {
    fn new(method: &str, operations: &[McpOperation<'_>]) -> Self {
        let known = FREQUENT.into_iter().find(|known| *known == method);
        let method = known.map_or_else(|| Cow::Owned(method.to_owned()), Cow::Borrowed);
        let objects = match operations {
            [operation] => Object::of(operation).map(Objects::Single),
            operations => Some(Objects::Several(operations.iter().filter_map(Object::of).collect())),
        };
        Self { method, objects }
    }
}

impl Objects {
    fn as_slice(&self) -> &[Object] {
        match self {
            Self::Several(objects) => objects,
            Self::Single(object) => slice::from_ref(object),
        }
    }
}

impl Object {
    /// The object of an operation that concerns one.
    fn of(operation: &McpOperation<'_>) -> Option<Self> {
        let kind = match operation {
            McpOperation::Method(_) => return None,
            McpOperation::Prompt(_) => Kind::Prompt,
            McpOperation::Resource(_) => Kind::Resource,
            McpOperation::Task(_) => Kind::Task,
            McpOperation::Tool(_) => Kind::Tool,
        };
        Some(Self { kind, name: operation.name().into() })
    }

    fn operation(&self) -> McpOperation<'_> {
        match self.kind {
            Kind::Prompt => McpOperation::Prompt(&self.name),
            Kind::Resource => McpOperation::Resource(&self.name),
            Kind::Task => McpOperation::Task(&self.name),
            Kind::Tool => McpOperation::Tool(&self.name),
        }
    }
}
