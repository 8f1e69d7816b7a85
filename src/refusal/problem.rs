use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::{kind::RejectionKind, rejection::Rejection, respond::Respond};

/// `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), with a stable member `code`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct Problem;

impl<B: From<Bytes>> Respond<B> for Problem {
    fn respond(&self, rejection: &Rejection) -> Response<B> {
        let body = match rejection.kind() {
            RejectionKind::Throttled => quota_json(rejection),
            _ => problem_json(rejection.status(), rejection.code(), rejection.detail()),
        };
        let mut response = Response::new(B::from(body));
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        response
    }
}

/// RFC 9457 §6.1.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The members of a problem, RFC 9457 §3.1; what JSON would escape in `code` and `detail` is replaced.
fn problem_json(status: StatusCode, code: &str, detail: &str) -> Bytes {
    let title = status.canonical_reason().unwrap_or_default();
    let (status, code, detail) = (status.as_u16(), plain(code), plain(detail));
    let body =
        format!(r#"{{"type":"about:blank","title":"{title}","status":{status},"code":"{code}","detail":"{detail}"}}"#);
    Bytes::from(body)
}

/// The problem type of draft-ietf-httpapi-ratelimit-headers §7.
fn quota_json(rejection: &Rejection) -> Bytes {
    let status = rejection.status().as_u16();
    let (code, detail) = (plain(rejection.code()), plain(rejection.detail()));
    let names: Vec<_> = rejection.violated().iter().map(|name| format!("\"{}\"", plain(name))).collect();
    let body = format!(
        r#"{{"type":"{QUOTA_EXCEEDED}","title":"A quota is used up","status":{status},"code":"{code}","detail":"{detail}","violated-policies":[{}]}}"#,
        names.join(",")
    );
    Bytes::from(body)
}

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// Without what JSON would escape.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() || matches!(c, '"' | '\\'), "'")
}
