use http::{HeaderMap, HeaderName, StatusCode, header};

/// Returns the status of a response, which for a refusal over gRPC is that of its `grpc-status`.
///
/// A refusal before any message is a
/// ["Trailers-Only" response](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) of the status 200, whose head
/// has the code. Other codes, and those in the trailers after messages, are results of the service.
pub(crate) fn status_of(status: StatusCode, headers: &HeaderMap) -> StatusCode {
    if status != StatusCode::OK {
        return status;
    }
    match headers.get(GRPC_STATUS).map_or(&b""[..], |code| code.as_bytes()) {
        b"7" => StatusCode::FORBIDDEN,
        // Also the code of a message that is too large, which stays so.
        b"8" if headers.contains_key(header::RETRY_AFTER) => StatusCode::TOO_MANY_REQUESTS,
        b"14" => StatusCode::SERVICE_UNAVAILABLE,
        b"16" => StatusCode::UNAUTHORIZED,
        _ => status,
    }
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
