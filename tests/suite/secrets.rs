//! (143): no secret in any log line, `Debug` text or error.

use std::{
    cell::RefCell,
    io,
    sync::{Arc, Mutex, Once},
};

use axum::{Router, body::Body, http::Request, routing::get};
use tower::ServiceExt;
use tower_warden::{
    Credential, Digest, Head, Presented, Principal, UnixTime,
    api_key::{KeyId, Pepper},
    layer::AuthLayer,
};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Mode, Stack, request, unknown_key};

#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

thread_local! {
    static LISTENING: RefCell<Vec<Log>> = const { RefCell::new(Vec::new()) };
}

/// The subscriber of the whole process, which writes to the log of the thread that listens.
///
/// A subscriber for one thread would not do: whether a line is of interest is kept for each place in the code, and two
/// threads that reach it for the first time while one of them begins to listen can leave behind that it is not.
struct OfThread<S>(S);

impl<S: Subscriber> Subscriber for OfThread<S> {
    fn register_callsite(&self, _metadata: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        LISTENING.with_borrow(|logs| !logs.is_empty()) && self.0.enabled(metadata)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.0.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.0.record_follows_from(span, follows);
    }

    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }

    fn enter(&self, span: &Id) {
        self.0.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.0.exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.0.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        self.0.try_close(span)
    }
}

/// The log that this thread writes to.
struct LogOfThread;

impl MakeWriter<'_> for LogOfThread {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        LISTENING.with_borrow(|logs| logs.last().cloned().unwrap_or_default())
    }
}

/// Ends a log when it is dropped.
#[must_use]
pub struct Listening;

impl Drop for Listening {
    fn drop(&mut self) {
        LISTENING.with_borrow_mut(Vec::pop);
    }
}

/// Collects everything that is logged on this thread, down to `TRACE`.
pub fn listen() -> (Log, Listening) {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(LogOfThread);
        tracing::subscriber::set_global_default(OfThread(subscriber.finish())).expect("the only subscriber");
    });
    let log = Log::default();
    LISTENING.with_borrow_mut(|logs| logs.push(log.clone()));
    (log, Listening)
}

#[tokio::test]
async fn a_key_is_in_no_log_line_response_or_debug_text() {
    let (log, _guard) = listen();
    let stack = Stack::new();
    let (record, key) = stack.alice().await;
    let (other, refused) = (unknown_key(), format!("{}x", key.expose()));
    let mut seen = String::new();
    for mode in [Mode::Answer, Mode::Fail, Mode::Panic] {
        stack.store.set(mode);
        for key in [key.expose(), other.expose(), &refused] {
            for request in [
                request().header("x-api-key", key),
                request().header("authorization", format!("Bearer {key}")),
                request().header("authorization", format!("ApiKey {key}, {key}")),
                request().header("authorization", key),
                Request::builder().uri(format!("/?api_key={key}")),
            ] {
                seen += &format!("{:?}", stack.send(request).await);
            }
        }
    }
    stack.store.set(Mode::Answer);
    stack.keys.revoke(&record.id).await.unwrap();
    seen += &format!("{:?}", stack.bearer(key.expose()).await);
    seen += &format!("{:?} {:?} {record:?} {key:?}", stack.keys, AuthLayer::new(stack.keys.clone()));
    seen += &log.text();

    assert!(log.text().contains("request refused") && log.text().contains("key_revoked"), "the log was collected");
    for secret in [key.expose(), other.expose()] {
        let random = &secret["sk_agent_".len()..];
        for part in [secret, random, &random[..20], &random[20..]] {
            assert!(!seen.contains(part));
        }
        assert!(!seen.contains(&Digest::of(secret.as_bytes()).to_hex()));
    }
}

#[test]
fn values_that_hold_a_secret_print_none_of_it() {
    assert_eq!(format!("{:?}", Credential::access_token("top-secret")), "AccessToken(..)");
    assert_eq!(format!("{:?}", Credential::api_key("top-secret")), "ApiKey(..)");
    let request = Request::builder().uri("/path?api_key=top-secret").header("authorization", "Bearer top-secret");
    let request = request.header("x-api-key", "top-secret").body(()).unwrap();
    let head = Head::from(&request);
    let presented = Presented::new(Credential::access_token("top-secret"), head, UnixTime::default());
    let seen = format!("{presented:?}");
    assert!(seen.contains("authorization") && seen.contains("/path") && !seen.contains("top-secret"), "{seen}");
    let pepper = Pepper::new("2026", b"top-secret-top-secret-top-secret").unwrap();
    assert_eq!(format!("{pepper:?}"), "Pepper { id: \"2026\", .. }");
    assert_eq!(format!("{:?}", unknown_key()), "KeySecret(..)");
    assert_eq!(format!("{:?}", Digest::of(b"top-secret")), "Digest(..)");
}

#[tokio::test]
async fn a_missing_layer_is_named_in_the_log() {
    let (log, _guard) = listen();
    let app: Router = Router::new().route("/", get(async |caller: Principal| caller.subject().to_owned()));
    let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
    assert_eq!(response.status(), 500);
    assert!(log.text().contains("ERROR") && log.text().contains("AuthLayer is missing"), "{}", log.text());
}

#[tokio::test]
async fn an_outage_is_logged_with_its_cause() {
    let (log, _guard) = listen();
    let stack = Stack::new();
    stack.store.set(Mode::Fail);
    stack.bearer(unknown_key().expose()).await.assert_unavailable("key_store_unavailable");
    assert!(log.text().contains("WARN") && log.text().contains("the test store is unavailable"), "{}", log.text());
}

#[test]
fn a_text_that_is_no_id_of_a_key_may_be_the_key_and_is_not_quoted() {
    let key = format!("acme_production_{}", "k".repeat(49));
    let error = KeyId::parse(&key).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("kkkk"), "{error:?}");
}
