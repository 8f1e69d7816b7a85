//! A server, a clock and a log that tests of secrets and retries hold.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, Once},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::Instant;
use tower::Service;
use tower_warden::{Environment, ManualClock, UnixTime};
use tower_warden_client::retry::{RetryEnd, RetrySummary};
use tracing::subscriber::DefaultGuard;

/// Sun, 15 Nov 2026 00:00:00 GMT.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_794_700_800);

pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// An environment, and the clock that it has.
pub(crate) fn environment() -> (Environment, ManualClock) {
    let clock = ManualClock::at(NOW);
    (Environment::default().with_clock(clock.clone()), clock)
}

/// The log lines of this thread, of all levels.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn listen() -> (Self, DefaultGuard) {
        // Callsites cache for all threads whether any is interested, so that one without a subscriber would silence them.
        static ALL: Once = Once::new();
        ALL.call_once(|| {
            let nowhere = tracing_subscriber::fmt().with_writer(io::sink).finish();
            tracing::subscriber::set_global_default(nowhere).expect("the only one");
        });
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.text().matches(line).count()
    }
}

/// The result of one attempt.
pub(crate) type Attempt = Result<Response<()>, io::Error>;

/// A server that gives these results in turn, and succeeds afterwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    results: VecDeque<Attempt>,
    received: Vec<(Instant, HeaderMap)>,
}

impl Server {
    pub(crate) fn new(results: impl IntoIterator<Item = Attempt>) -> Self {
        let results = results.into_iter().collect();
        Self(Arc::new(Mutex::new(State { results, received: Vec::new() })))
    }

    /// A server that responds with these statuses in turn.
    pub(crate) fn of(statuses: impl IntoIterator<Item = u16>) -> Self {
        Self::new(statuses.into_iter().map(|status| Ok(response(status, &[]))))
    }

    /// The number of requests that were received.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().received.len()
    }

    pub(crate) fn headers(&self, index: usize) -> HeaderMap {
        self.0.lock().unwrap().received[index].1.clone()
    }

    /// The times between the requests, in whole seconds.
    pub(crate) fn pauses(&self) -> Vec<u64> {
        let state = self.0.lock().unwrap();
        state.received.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs()).collect()
    }
}

impl<B> Service<Request<B>> for Server {
    type Response = Response<()>;
    type Error = io::Error;
    type Future = std::future::Ready<Attempt>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut state = self.0.lock().unwrap();
        state.received.push((Instant::now(), request.headers().clone()));
        std::future::ready(state.results.pop_front().unwrap_or_else(|| Ok(Response::new(()))))
    }
}

pub(crate) fn response(status: u16, headers: &[(&'static str, &str)]) -> Response<()> {
    let builder = Response::builder().status(status);
    headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
}

pub(crate) fn get() -> Request<Full<Bytes>> {
    Request::get("https://api.example/invoices").body(Full::default()).unwrap()
}

pub(crate) fn post() -> Request<Full<Bytes>> {
    Request::post("https://api.example/invoices").body(Full::from("{}")).unwrap()
}

pub(crate) fn summary(response: &Response<()>) -> &RetrySummary {
    response.extensions().get().unwrap()
}

/// Asserts the outcome of a request.
pub(crate) fn assert_outcome(response: &Response<()>, status: StatusCode, attempts: usize, end: RetryEnd) {
    let summary = summary(response);
    assert_eq!((response.status(), summary.attempts(), summary.end()), (status, attempts, end));
}
