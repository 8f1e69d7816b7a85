//! Protecting an MCP server, from the first tool to step-up.
//!
//! `cargo run --example mcp` runs all of this with a server of the crate rmcp. The reference is the module
//! [`mcp`](crate::mcp).
//!
//! # 1. Declare the server
//!
//! [`McpServer::new`](crate::mcp::McpServer::new) takes the URL that clients call. It is the resource identifier, and so the
//! audience of tokens and the URL of DPoP proofs. Add the authorization server that issues them, the scope that every request
//! needs, and each tool, prompt and resource with its policy: a [`Scope`](crate::scope::Scope), several
//! ([`RequiredScopes`](crate::authorize::RequiredScopes)), or any [`Policy`](crate::Policy).
//!
//! What is not declared is refused. [`check_tools`](crate::mcp::McpServer::check_tools) compares the declaration with the tools
//! of the server at start, so that a new tool without a policy stops the program, and not a client.
//!
//! # 2. Publish the metadata
//!
//! Serve [`metadata`](crate::mcp::McpServer::metadata) outside of authentication, in axum with
//! [`metadata_routes`](crate::metadata::metadata_routes). A client without a token gets a 401 that points there, finds the
//! authorization server, obtains a token for the scope of the challenge, and calls again.
//!
//! | client | what it needs |
//! |---|---|
//! | `@modelcontextprotocol/sdk` 1, `@modelcontextprotocol/client` 2, `mcp` for Python | nothing else |
//! | a client that looks for the metadata at the root of the host only | [`also_at_root`](crate::metadata::ProtectedResourceMetadata::also_at_root) |
//! | a client in a browser | a CORS layer with [`ALLOWED_HEADERS`](crate::mcp::ALLOWED_HEADERS) and [`EXPOSED_HEADERS`](crate::mcp::EXPOSED_HEADERS), and [`allow_origin`](crate::mcp::McpServer::allow_origin) |
//! | an agent with an API key | `Authorization: Bearer` with the key, if [`ApiKeys`](crate::api_key::ApiKeys) is one of the authenticators |
//!
//! # 3. Mount the layers
//!
//! [`protect`](crate::mcp::McpServer::protect) combines authentication, which has more settings with
//! [`protect_with`](crate::mcp::McpServer::protect_with), the end of streams whose credential expires or is
//! revoked, and the guard. The server is inside, without an adapter. A limit on requests by tool is inside of the guard and
//! reads [`McpRequest`](crate::mcp::McpRequest), as policies of the declaration can; an
//! [`AuditLayer`](crate::audit::AuditLayer) is outside of everything, and its events have the method, the tool and a digest of
//! the arguments.
//!
//! # 4. Use the caller in tools
//!
//! In a tool of rmcp, `Extension(parts): Extension<http::request::Parts>` is the request.
//! [`Principal::of`](crate::Principal::of) returns the caller, and [`Scoped::of`](crate::axum::Scoped::of) a caller with a
//! scope. A server lists the tools that [`McpServer::permits`](crate::mcp::McpServer::permits); for servers that respond with JSON,
//! [`filter_lists`](crate::mcp::McpServer::filter_lists) does it.
//!
//! # 5. Step up
//!
//! A call without a scope is refused with 403 before any stream begins, and the challenge names all scopes of the operation.
//! The official clients then obtain a token with them and call again. Let the authorization server accept more scopes than
//! those of the client's registration: clients register with the scopes of the first challenge.
//!
//! For destructive tools, require a credential that is bound to its sender
//! ([`SenderConstraint`](crate::caller::SenderConstraint)), or a recent authentication ([`StepUp`](crate::StepUp)).
//!
//! # Versions
//!
//! | | up to 2025-11-25 | 2026-07-28 |
//! |---|---|---|
//! | sessions | bound to the caller that opened them | none |
//! | `GET`, `DELETE` | of the session's caller | 405 |
//! | `Last-Event-ID` | an event that was sent to the caller, otherwise 404 | 405 |
//! | batches | 2025-03-26 only, of up to 10 messages, admitted as a whole | 400 |
//! | `Mcp-Method`, `Mcp-Name` | compared if present | required, and compared |
//! | an undeclared method | 403 | 404, `-32601` |
//! | `subscriptions/listen` | 403 | open; each object that it names is one that is used |
//! | tasks | bound to the caller that created them | the same |
//! | a task that is unknown to the caller | 403, `-32602` | the same, or `-32021` if the client does not declare tasks |
//!
//! # Not covered
//!
//! The transport of version 2024-11-05, with two URLs, has no guard: put it behind `AuthLayer` only. Servers of that version behind
//! the transport of later ones have it.
//!
//! `Mcp-Param-*` fields depend on the schema of a tool, which the server knows: rmcp compares them. Tasks that a server creates
//! outside of a response to `tools/call` are unknown to the guard, and so are those in events whose lines end with a carriage
//! return alone. Policies decide about the head of a request and the name of
//! its object; a rule about arguments is the tool's own.
