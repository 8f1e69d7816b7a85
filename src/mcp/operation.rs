use std::fmt;

use super::uri::without_query;

/// An operation that a client asks an MCP server for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum McpOperation<'a> {
    /// A request or notification that concerns no single object, such as `tools/list`: the method.
    Method(&'a str),
    /// The use of a prompt: its name.
    Prompt(&'a str),
    /// The use of a resource: its URI, or a template of URIs.
    Resource(&'a str),
    /// An operation on a task: its id.
    Task(&'a str),
    /// The call of a tool: its name.
    Tool(&'a str),
}

impl<'a> McpOperation<'a> {
    /// The kind as a word: `method`, `prompt`, `resource`, `task` or `tool`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Method(_) => "method",
            Self::Prompt(_) => "prompt",
            Self::Resource(_) => "resource",
            Self::Task(_) => "task",
            Self::Tool(_) => "tool",
        }
    }

    /// The name for logs and audit events.
    pub(super) fn shown_name(&self) -> &'a str {
        match self {
            Self::Resource(uri) => without_query(uri),
            _ => self.name(),
        }
    }

    /// The name, URI, id or method.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        match self {
            Self::Method(name) | Self::Prompt(name) | Self::Resource(name) | Self::Task(name) | Self::Tool(name) => {
                name
            }
        }
    }
}

/// The kind and the name. A URI is without its query, which may be secret.
impl fmt::Display for McpOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.shown_name())
    }
}
