//! Reasons of refusals in front of MCP servers.

use crate::reason::reasons;

reasons! {
    /// The event that `Last-Event-ID` names is unknown, or was in a stream of another caller.
    ///
    /// Look at: whether this node was restarted, the stream was opened at another node, or more than 4096 events were sent to
    /// the caller since: clients then send their request again. Otherwise a caller has tried to read the stream of another one.
    MCP_EVENT_FORBIDDEN = "mcp_event_forbidden";
    /// A header field of an MCP request is missing, is present twice, or differs from the body.
    ///
    /// Look at: `MCP-Protocol-Version`, `Mcp-Method` and `Mcp-Name` of the request, and proxies that add or remove header
    /// fields. A client that sends another name in the header than in the body tries to get past a policy.
    MCP_HEADER_MISMATCH = "mcp_header_mismatch";
    /// The HTTP method is none that the version of MCP has.
    ///
    /// Look at: the client. `GET` and `DELETE` exist up to version 2025-11-25, `OPTIONS` belongs to the CORS layer, which
    /// must be outside of the guard.
    MCP_HTTP_METHOD = "mcp_http_method";
    /// The body of an MCP request is not a message that the guard can judge.
    ///
    /// Look at: the client. The body must be one JSON-RPC message (a batch only in version 2025-03-26) in UTF-8, with the type
    /// `application/json` and without a content coding, without duplicate member names, nested at most 32 levels deep, with the
    /// members that its method needs, and with at most 4096 values besides the arguments.
    MCP_MESSAGE_INVALID = "mcp_message_invalid";
    /// The request comes from a web page of an origin that is not allowed.
    ///
    /// Look at: the `Origin` of the request. If the page is one of yours, allow it with `McpServer::allow_origin`.
    MCP_ORIGIN_FORBIDDEN = "mcp_origin_forbidden";
    /// The MCP session is unknown, or belongs to another caller.
    ///
    /// Look at: whether this node was restarted, or the session was opened at another node: clients then open a new one.
    /// Otherwise a caller has tried to enter the session of another one.
    MCP_SESSION_FORBIDDEN = "mcp_session_forbidden";
    /// The MCP task is unknown, or belongs to another caller.
    ///
    /// Look at: whether this node was restarted, or the task was created at another node. Otherwise a caller has tried to
    /// reach the task of another one.
    MCP_TASK_FORBIDDEN = "mcp_task_forbidden";
    /// The tool, prompt, resource or method is not declared.
    ///
    /// Look at: the declaration of the `McpServer`, which names everything that may be used. `McpServer::check_tools`
    /// compares it with the tools of the server at start.
    MCP_UNDECLARED = "mcp_undeclared";
    /// The request states a version of MCP that the guard does not know.
    ///
    /// Look at: `MCP-Protocol-Version` of the request. A newer version needs a newer release of this crate.
    MCP_VERSION_UNSUPPORTED = "mcp_version_unsupported";
}
