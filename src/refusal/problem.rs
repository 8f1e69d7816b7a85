use bytes::Bytes;
use http::{HeaderValue, Response, header};

use super::{
    kind::RejectionKind,
    rejection::{ABNORMAL_USAGE, Rejection},
    respond::Respond,
};

/// `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), with a stable member `code`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct Problem;

impl<B: From<Bytes>> Respond<B> for Problem {
    fn respond(&self, rejection: &Rejection) -> Response<B> {
        let body = match rejection.kind() {
            RejectionKind::Throttled if rejection.code() == ABNORMAL_USAGE => {
                problem_json(ABNORMAL_USAGE_DETECTED, ABNORMAL_USAGE_TITLE, rejection)
            }
            RejectionKind::Throttled => quota_json(rejection),
            _ => {
                let title = rejection.status().canonical_reason().unwrap_or_default();
                problem_json("about:blank", title, rejection)
            }
        };
        let mut response = Response::new(B::from(body));
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        response
    }
}

/// RFC 9457 §6.1.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The members of a problem, RFC 9457 §3.1; what JSON would escape in `code` and `detail` is replaced.
fn problem_json(kind: &str, title: &str, rejection: &Rejection) -> Bytes {
    let status = rejection.status().as_u16();
    let (code, detail) = (plain(rejection.code()), plain(rejection.detail()));
    let body =
        format!(r#"{{"type":"{kind}","title":"{title}","status":{status},"code":"{code}","detail":"{detail}"}}"#);
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

const ABNORMAL_USAGE_DETECTED: &str = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected";
const ABNORMAL_USAGE_TITLE: &str = "An abnormal pattern of requests was detected";
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// Without what JSON would escape.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() || matches!(c, '"' | '\\'), "'")
}
