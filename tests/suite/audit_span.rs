//! The span of a request.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt};
use tower_warden::{
    audit::{AuditChannel, AuditLog, End, EventKind},
    layer::{AuditLayer, AuthLayer, RateLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::{Answer, Stack};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn log_lines_of_a_handler_are_in_the_span_of_its_request_which_ends_with_the_decision() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let (sink, _events) = AuditChannel::new(10);
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(AuditLog::new(sink)).span())
        .layer(AuthLayer::new(stack.keys.clone()))
        .layer(RateLimitLayer::new("calls", LocalRateLimiter::default(), LimitBy::principal(), Quota::per_hour(9)))
        .service_fn(async |_: Request<Full<Bytes>>| {
            tracing::info!("in the handler");
            tokio::task::yield_now().await;
            tracing::info!("in the handler");
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
        });
    for key in [key.expose(), "sk_agent_guess"] {
        let request = Request::get("/invoices?secret=1").header("x-api-key", key).body(Full::default()).unwrap();
        Answer::read(service.clone().oneshot(request).await.unwrap()).await;
    }
    tracing::info!("after the request");

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let found = |text: &str, part: &str| text.lines().filter(|line| line.contains(part)).map(str::to_owned).collect();
    let in_handler: Vec<String> = found(&text, "in the handler");
    assert_eq!(in_handler.len(), 2);
    for line in in_handler {
        assert!(line.contains("request{request_id=") && line.contains(r#"path="/invoices""#), "{line}");
    }
    let closed: Vec<String> = found(&text, "close");
    let [admitted, refused] = &closed[..] else { panic!("{text}") };
    for part in [
        r#"subject="alice""#,
        r#"tenant="acme""#,
        "scopes=billing:read",
        r#"limit="calls""#,
        r#"decision="admitted""#,
        "status=200",
        r#"end="complete""#,
    ] {
        assert!(admitted.contains(part), "{part} in {admitted}");
    }
    for part in [r#"decision="refused""#, r#"reason="key_length""#, "status=401"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    let after: Vec<String> = found(&text, "after the request");
    assert!(!after[0].contains("request{"), "{}", after[0]);
    assert!(!text.contains("secret") && !text.contains(key.expose()), "{text}");
}

/// A subscriber that panics when the fields of a span are added.
struct Panics;

impl Subscriber for Panics {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {
        std::panic::resume_unwind(Box::new("the subscriber panics"));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_subscriber_that_panics_at_the_end_of_a_span_loses_no_event_and_does_not_end_the_process() {
    let _guard = tracing::subscriber::set_default(Panics);
    let (sink, mut events) = AuditChannel::new(10);
    let service = ServiceBuilder::new().layer(AuditLayer::new(AuditLog::new(sink)).span()).service_fn(
        |request: Request<Full<Bytes>>| async move {
            if request.uri().path() == "/panic" {
                std::panic::resume_unwind(Box::new("the handler panics"));
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
        },
    );
    for (path, end) in [("/", End::Complete), ("/panic", End::Panicked)] {
        let request = Request::get(path).body(Full::default()).unwrap();
        let service = service.clone();
        let answered = tokio::spawn(async move {
            Answer::read(service.oneshot(request).await.unwrap()).await;
        });
        assert_eq!(answered.await.is_err(), end == End::Panicked, "{path}");
        let EventKind::Request(event) = events.try_recv().expect("an event").kind else { panic!("a request") };
        assert_eq!((event.path(), event.end), (path, end));
    }
}
