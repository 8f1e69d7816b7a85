//! Header fields for clients in browsers.

use http::{HeaderName, header};

/// The header fields of responses that clients in browsers read: for `Access-Control-Expose-Headers`.
///
/// # Examples
///
/// ```
/// use http::Method;
/// use tower_http::cors::CorsLayer;
/// use tower_warden::mcp::{ALLOWED_HEADERS, EXPOSED_HEADERS};
///
/// // Outside of the layer that authenticates: preflights have no credential.
/// let cors = CorsLayer::new()
///     .allow_origin(["https://app.example.com".parse()?])
///     .allow_methods([Method::GET, Method::POST, Method::DELETE])
///     .allow_headers(ALLOWED_HEADERS)
///     .expose_headers(EXPOSED_HEADERS);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const EXPOSED_HEADERS: [HeaderName; 3] =
    [header::WWW_AUTHENTICATE, HeaderName::from_static("dpop-nonce"), HeaderName::from_static("mcp-session-id")];

/// The header fields of requests that clients in browsers send: for `Access-Control-Allow-Headers`.
///
/// Add the field `Mcp-Param-…` of each tool whose schema has `x-mcp-header`:
///
/// ```
/// use http::HeaderName;
/// use tower_http::cors::CorsLayer;
/// use tower_warden::mcp::ALLOWED_HEADERS;
///
/// let region = HeaderName::from_static("mcp-param-region");
/// let cors = CorsLayer::new().allow_headers(ALLOWED_HEADERS.into_iter().chain([region]).collect::<Vec<_>>());
/// ```
pub const ALLOWED_HEADERS: [HeaderName; 11] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("dpop"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("x-agent-id"),
    HeaderName::from_static("x-tenant-id"),
];
