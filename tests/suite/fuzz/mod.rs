//! Fuzz targets: functions of arbitrary bytes, which fail if a promise of the crate is broken.
//!
//! `fuzzing.rs` runs them over the inputs in `tests/seeds` and a few mutations of these. The crate in `fuzz/` compiles the same
//! functions for libFuzzer, which is guided by coverage: `scripts/fuzz` runs it.
//!
//! An input is text wherever possible, in which `{token}` and the like stand for valid credentials of this run. So a seed is
//! readable and contains no secret, and a mutation can move a valid credential to another place.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, request::Builder};
use http_body_util::Full;
use tokio::runtime::Runtime;
use tower::ServiceExt;

use crate::support::{Answer, App};

mod api_key;
mod certificate;
mod forwarded;
mod introspection;
mod key_set;
mod limit;
pub mod mcp;
mod names;
mod proof;
mod request;
mod signature;
mod token;
mod token_bytes;
mod webhook;

/// The name of a target and of its folder of seeds, and a function of arbitrary bytes. It returns whether something was
/// accepted: a target that refuses everything tests nothing.
pub type Target = (&'static str, fn(&[u8]) -> bool);

pub const TARGETS: [Target; 14] = [
    ("api_key", api_key::run),
    ("certificate", certificate::run),
    ("forwarded", forwarded::run),
    ("introspection", introspection::run),
    ("key_set", key_set::run),
    ("limit", limit::run),
    ("mcp", mcp::run),
    ("names", names::run),
    ("proof", proof::run),
    ("request", request::run),
    ("signature", signature::run),
    ("token", token::run),
    ("token_bytes", token_bytes::run),
    ("webhook", webhook::run),
];

/// Runs one target; for the binaries of libFuzzer.
#[allow(dead_code, reason = "the tests run all targets")]
pub fn run(name: &str, input: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    target(input);
}

/// A runtime whose clock stands still unless everything waits.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Runs a future on the runtime of this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: Runtime = runtime();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

async fn send(app: &App, request: Builder) -> Answer {
    let response = app.clone().oneshot(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
    let answer = Answer::read(response).await;
    check(&answer);
    answer
}

/// What holds for each response.
#[track_caller]
fn check(answer: &Answer) {
    let status = answer.status.as_u16();
    assert!(matches!(status, 200 | 400 | 401 | 403 | 503), "{answer:?}");
    assert_eq!(status == 401, answer.header("www-authenticate").is_some() && status != 400, "{answer:?}");
    assert_eq!(status == 503, answer.header("retry-after").is_some(), "{answer:?}");
    assert_eq!(status == 200, answer.reason.is_none(), "{answer:?}");
}

/// Checks that nothing of an input is in the response: refusals with the same status and code are equal.
#[track_caller]
fn check_uniform(layer: &'static str, answer: &Answer) {
    static SEEN: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);
    if answer.status == 200 {
        return;
    }
    let kind = format!("{layer} {} {}", answer.status, answer.json()["code"]);
    let seen = format!("{:?}", answer.seen());
    let mut known = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let first = known.get_or_insert_default().entry(kind).or_insert_with(|| seen.clone());
    assert_eq!(*first, seen);
}

/// The text with the names in braces replaced.
fn fill(text: &str, names: &[(&str, &str)]) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// The first line, and the rest.
fn split_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// A request with the header fields of a text, one in each line, as a server passes them on.
fn with_fields(mut request: Request<()>, lines: &str) -> Request<()> {
    for line in lines.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value.trim_matches([' ', '\t']).as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            request.headers_mut().append(name, value);
        }
    }
    request
}

/// The same request as a builder.
fn builder(request: Request<()>) -> Builder {
    let (parts, ()) = request.into_parts();
    let mut builder = Request::builder().method(parts.method).uri(parts.uri);
    *builder.headers_mut().unwrap() = parts.headers;
    *builder.extensions_mut().unwrap() = parts.extensions;
    builder
}
