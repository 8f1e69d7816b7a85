use std::{borrow::Cow, fmt::Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::{kind::RejectionKind, rejection::Rejection, respond::Respond};

/// The status of a refusal for gRPC clients: HTTP 200 without a body, with `grpc-status`, `grpc-message` and details.
///
/// It is the "Trailers-Only" response of
/// [gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). Set it on each layer around a gRPC
/// service. The challenge and `Retry-After` are in the metadata of the status.
///
/// | refusal | code |
/// |---|---|
/// | no credential, an invalid or malformed one, a proof or a step-up is missing | 16 `UNAUTHENTICATED` |
/// | [`Forbidden`](RejectionKind::Forbidden) | 7 `PERMISSION_DENIED` |
/// | [`Throttled`](RejectionKind::Throttled), [`BodyTooLarge`](RejectionKind::BodyTooLarge) | 8 `RESOURCE_EXHAUSTED` |
/// | [`Unavailable`](RejectionKind::Unavailable) | 14 `UNAVAILABLE` |
/// | [`BodyInvalid`](RejectionKind::BodyInvalid), [`Request`](RejectionKind::Request) | 3 `INVALID_ARGUMENT` |
/// | [`BodyTimeout`](RejectionKind::BodyTimeout) | 4 `DEADLINE_EXCEEDED` |
/// | [`Internal`](RejectionKind::Internal) | 13 `INTERNAL` |
///
/// The details in `grpc-status-details-bin` are messages of
/// [google.rpc](https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto): `ErrorInfo` with the
/// [code](Rejection::code) in upper case as `reason`, and the missing scopes as metadata `scope`; `RetryInfo` if there is a
/// `Retry-After`; `QuotaFailure` with the names of the quotas that are used up.
///
/// # Examples
///
/// ```
/// use http::Request;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
///     layer::AuthLayer,
///     refusal::GrpcStatus,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let service = AuthLayer::new(keys)
///     .respond_with(GrpcStatus::default().domain("billing.example.com"))
///     .layer(service_fn(async |_: Request<()>| {
///         Ok::<_, std::convert::Infallible>(http::Response::new(tonic::body::Body::empty()))
///     }));
///
/// let refused = service.oneshot(Request::new(())).await?;
/// assert_eq!(refused.status(), 200);
/// assert_eq!(refused.headers()["grpc-status"], "16");
/// assert_eq!(refused.headers()["grpc-message"], "A credential is required.");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GrpcStatus {
    domain: Cow<'static, str>,
}

impl GrpcStatus {
    /// Sets the `domain` of `ErrorInfo`, usually the name of the service: `tower-warden` by default.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<Cow<'static, str>>) -> Self {
        self.domain = domain.into();
        self
    }

    /// The message `google.rpc.Status`.
    fn details(&self, rejection: &Rejection) -> Message {
        let mut info = Message::default();
        info.text(1, &rejection.code().to_ascii_uppercase()).text(2, &self.domain);
        if let Some(needed) = rejection.needed() {
            info.message(3, Message::default().text(1, "scope").text(2, &needed.to_string()));
        }
        let mut status = Message::default();
        status.number(1, code(rejection.kind())).text(2, rejection.detail()).any("ErrorInfo", &info);
        if let Some(wait) = rejection.wait() {
            let mut delay = Message::default();
            delay.number(1, wait.as_secs()).number(2, wait.subsec_nanos().into());
            status.any("RetryInfo", Message::default().message(1, &delay));
        }
        if !rejection.violated().is_empty() {
            let mut failure = Message::default();
            for name in rejection.violated() {
                failure.message(1, Message::default().text(1, name).text(2, rejection.detail()));
            }
            status.any("QuotaFailure", &failure);
        }
        status
    }
}

impl Default for GrpcStatus {
    fn default() -> Self {
        Self { domain: Cow::Borrowed("tower-warden") }
    }
}

impl<B: Default> Respond<B> for GrpcStatus {
    fn respond(&self, rejection: &Rejection) -> Response<B> {
        let mut response = Response::new(B::default());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, const { HeaderValue::from_static("application/grpc") });
        headers.insert(STATUS, code(rejection.kind()).into());
        let details = BASE64_STANDARD_NO_PAD.encode(&self.details(rejection).0);
        for (name, value) in [(MESSAGE, percent_encoded(rejection.detail())), (DETAILS, details)] {
            headers.insert(name, HeaderValue::try_from(value).expect("percent-encoding and base64 are ASCII"));
        }
        response
    }

    fn status(&self, _: &Rejection) -> StatusCode {
        StatusCode::OK
    }
}

/// The code of [gRPC](https://github.com/grpc/grpc/blob/master/doc/statuscodes.md).
const fn code(kind: RejectionKind) -> u64 {
    match kind {
        RejectionKind::BodyInvalid | RejectionKind::Request => 3,
        RejectionKind::BodyTimeout => 4,
        RejectionKind::Forbidden => 7,
        RejectionKind::BodyTooLarge | RejectionKind::Throttled => 8,
        RejectionKind::Internal => 13,
        RejectionKind::Unavailable => 14,
        RejectionKind::Invalid
        | RejectionKind::InvalidProof
        | RejectionKind::Malformed
        | RejectionKind::Missing
        | RejectionKind::NonceRequired
        | RejectionKind::StepUp => 16,
    }
}

/// gRPC over HTTP/2, "Status-Message".
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a `String` does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A message in the [encoding](https://protobuf.dev/programming-guides/encoding/) of Protocol Buffers.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, field: u8, number: u64) -> &mut Self {
        // The default value is not written.
        if number != 0 {
            self.0.push(field << 3);
            self.varint(number);
        }
        self
    }

    fn text(&mut self, field: u8, text: &str) -> &mut Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(&mut self, field: u8, message: &Self) -> &mut Self {
        self.bytes(field, &message.0)
    }

    /// A detail: `google.protobuf.Any`.
    fn any(&mut self, name: &str, detail: &Self) -> &mut Self {
        let mut any = Self::default();
        any.text(1, &format!("type.googleapis.com/google.rpc.{name}")).message(2, detail);
        self.message(3, &any)
    }

    fn bytes(&mut self, field: u8, bytes: &[u8]) -> &mut Self {
        self.0.push(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }
}

const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
