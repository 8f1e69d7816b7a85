//! Servers with API keys: what each decides about the same cases, and the time of a request.

#[cfg(feature = "sqlite")]
pub mod database;
pub mod records;

use std::{hint::black_box, time::Instant};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, header},
    routing::get,
};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use crate::{BATCH, Lines, Side, Stage, Want, medians, requests, send};

/// Callers whose keys are used in turn.
pub const CALLERS: usize = 64;

/// Keys in a store.
pub const STORED: usize = 10_000;

/// Keys that are not stored: more than a measurement uses, so that each is used once.
pub const UNKNOWN: usize = 8_192;

/// A server that protects `GET /` with API keys.
pub struct Subject {
    pub router: Router,
    /// Valid keys, one for each of the [`CALLERS`].
    pub valid: Vec<String>,
    /// A key that has expired.
    pub expired: String,
    /// A key that was revoked before its first use.
    pub revoked: String,
    /// Keys of the right form that are not stored.
    pub unknown: Vec<String>,
    /// Revokes the key of the last caller as the server itself does.
    pub revoke_last: Change,
    /// Makes the store fail; `None` if it is in memory.
    pub break_store: Option<Change>,
}

/// A change of the state of a server.
pub type Change = Box<dyn FnOnce(&Runtime)>;

/// The handler behind the keys, and on the bare route.
pub async fn handler() -> &'static str {
    "ok"
}

/// Prints what a server decides, and what it costs in this number of rounds.
pub fn run(lines: &Lines, rounds: usize, make: impl Fn(&Runtime) -> Subject) {
    let (stage, runtime) = (Stage::from_args(), Builder::new_current_thread().enable_all().build().expect("a runtime"));
    if stage.has_verdicts() {
        verdicts(lines, make(&runtime), &runtime);
    }
    if stage.has_times() {
        times(lines, rounds, &make(&runtime), &runtime);
    }
}

/// The order matters: the last cases change what the server has stored.
fn verdicts(lines: &Lines, subject: Subject, runtime: &Runtime) {
    let (first, second, last) = (&subject.valid[0], &subject.valid[1], &subject.valid[CALLERS - 1]);
    // The same form, with the secret of another key.
    let mixed = format!("{}{}", &first[..first.len() / 2], &second[first.len() / 2..]);
    let huge = format!("{first}{}", "a".repeat(65_536));
    let not_text = HeaderValue::from_bytes(b"Bearer \xff\xfe\xfd").expect("a header value");
    let lower_case = HeaderValue::try_from(format!("bearer {first}")).expect("a header value");
    let judge = |case: &str, want, values: &[HeaderValue]| {
        let found = runtime.block_on(send(&subject.router, with(values)));
        lines.verdict("keys", case, want, found);
    };
    for (case, want, values) in [
        ("valid", Want::Admitted, vec![bearer(first)]),
        ("valid, again", Want::Admitted, vec![bearer(first)]),
        ("valid, `bearer` in lower case", Want::Admitted, vec![lower_case]),
        ("none", Want::Refused, vec![]),
        ("unknown", Want::Refused, vec![bearer(&subject.unknown[0])]),
        ("unknown, again", Want::Refused, vec![bearer(&subject.unknown[0])]),
        ("id of one key, secret of another", Want::Refused, vec![bearer(&mixed)]),
        ("expired", Want::Refused, vec![bearer(&subject.expired)]),
        ("revoked", Want::Refused, vec![bearer(&subject.revoked)]),
        ("not a key", Want::Refused, vec![bearer("abc")]),
        ("empty", Want::Refused, vec![HeaderValue::from_static("Bearer ")]),
        ("bytes that are not text", Want::Refused, vec![not_text]),
        ("64 KiB", Want::Refused, vec![bearer(&huge)]),
        ("scheme `Basic`", Want::Refused, vec![HeaderValue::from_static("Basic YWxpY2U6c2VjcmV0")]),
        ("two valid keys", Want::Refused, vec![bearer(first), bearer(second)]),
        ("a valid key, then an unknown one", Want::Refused, vec![bearer(first), bearer(&subject.unknown[0])]),
        ("valid, before it is revoked", Want::Admitted, vec![bearer(last)]),
    ] {
        judge(case, want, &values);
    }
    (subject.revoke_last)(runtime);
    judge("the same, just revoked", Want::Refused, &[bearer(last)]);
    if let Some(break_store) = subject.break_store {
        break_store(runtime);
        judge("not cached, the store fails", Want::Failed, &[bearer(&subject.valid[2])]);
    }
}

fn times(lines: &Lines, rounds: usize, subject: &Subject, runtime: &Runtime) {
    let bare = Router::new().route("/", get(handler));
    let (mut valid, mut with_bare) = (subject.valid.iter().cycle(), subject.valid.iter().cycle());
    let mut next = move || with(&[bearer(valid.next().expect("there are callers"))]);
    let mut next_bare = move || with(&[bearer(with_bare.next().expect("there are callers"))]);
    // Each key is used once before it is measured.
    for _ in 0..CALLERS / BATCH {
        requests(runtime, &mut next, subject.router.clone())();
    }
    let [admitted, refused, floor] = medians(
        rounds,
        [
            requests(runtime, next, subject.router.clone()),
            refusals(runtime, &subject.unknown, subject.router.clone()),
            requests(runtime, &mut next_bare, bare),
        ],
    );
    lines.time("a valid API key", admitted, "the bare route", floor);
    lines.time("an unknown API key", refused, "the bare route", floor);
}

/// Requests with one unknown key after the other.
fn refusals<'a>(runtime: &'a Runtime, unknown: &'a [String], router: Router) -> Side<'a> {
    let mut keys = unknown.iter().cycle();
    Box::new(move || {
        let inputs: Vec<_> = keys.by_ref().take(BATCH).map(|key| with(&[bearer(key)])).collect();
        runtime.block_on(async {
            let start = Instant::now();
            for request in inputs {
                let response = black_box(router.clone().oneshot(request).await).unwrap_or_else(|error| match error {});
                assert!(response.status().is_client_error(), "an admission would be measured");
            }
            start.elapsed().as_nanos() as f64 / BATCH as f64
        })
    })
}

fn bearer(key: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {key}")).expect("a header value")
}

fn with(values: &[HeaderValue]) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    for value in values {
        request.headers_mut().append(header::AUTHORIZATION, value.clone());
    }
    request
}
