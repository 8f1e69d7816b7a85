//! The tools that a request calls.

use http::Extensions;

/// The tool that a request calls, in its extensions: a layer that reads tool calls inserts it, and policies see it as
/// `input.tool`.
///
/// Behind an `McpGuardLayer`, and in the declaration of its `McpServer`, the tool is known without one (feature `mcp`).
///
/// # Examples
///
/// ```
/// use http::Request;
/// use tower_warden_rego::Tool;
///
/// let mut request = Request::new(());
/// request.extensions_mut().insert(Tool::new("delete-user").namespace("acme"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tool {
    pub(crate) name: Box<str>,
    pub(crate) namespace: Option<Box<str>>,
}

impl Tool {
    /// A tool with this name.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self { name: name.into(), namespace: None }
    }

    /// Sets the namespace of the tool, such as the tenant whose tool it is.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<Box<str>>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The tools for which a policy decides about a request: each must be admitted. `None` is what calls no tool.
    pub(crate) fn all_of(extensions: &Extensions) -> Vec<Option<Self>> {
        match extensions.get::<Self>() {
            Some(tool) => vec![Some(tool.clone())],
            None => of_messages(extensions),
        }
    }
}

/// Those of the messages of an MCP request, which may be a batch.
#[cfg(feature = "mcp")]
fn of_messages(extensions: &Extensions) -> Vec<Option<Tool>> {
    use tower_warden::mcp::{McpOperation, McpRequest};

    let Some(request) = McpRequest::of(extensions) else { return vec![None] };
    let mut tools = Vec::new();
    for operation in request.operations() {
        let tool = match operation {
            McpOperation::Tool(name) => Some(Tool::new(name)),
            _ => None,
        };
        if !tools.contains(&tool) {
            tools.push(tool);
        }
    }
    if tools.is_empty() { vec![None] } else { tools }
}

#[cfg(not(feature = "mcp"))]
fn of_messages(_: &Extensions) -> Vec<Option<Tool>> {
    vec![None]
}
