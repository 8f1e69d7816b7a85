//! Sinks of audit events: what is lost is counted, and nothing waits.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    io,
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
};

use axum::body::Body;
use bytes::Bytes;
use file_rotate::{ContentLimit, FileRotate, compression::Compression, suffix::AppendCount};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    audit::{
        AgentJson, AuditChannel, AuditLog, AuditSink, End, EventFormat, EventKind, FlatJson, JsonLines, Sampled, Spool,
        TracingSink,
    },
    layer::{AuditLayer, AuthLayer},
};

use crate::{
    secrets::{Log, listen},
    support::{Stack, answer},
};

/// A writer whose content the test reads, and that does as it is told.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    content: Vec<u8>,
    is_full: bool,
}

impl Disk {
    fn lines(&self) -> Vec<serde_json::Value> {
        let content = String::from_utf8(self.0.lock().unwrap().content.clone()).unwrap();
        content.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn set_full(&self, is_full: bool) {
        self.0.lock().unwrap().is_full = is_full;
    }
}

impl io::Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if state.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.content.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.0.lock().unwrap().is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

/// Sends a request to this path through an audit layer.
async fn record(log: &AuditLog, path: &str) {
    let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let service = AuditLayer::new(log.clone()).layer(service);
    drop(service.oneshot(Request::get(path).body(()).unwrap()).await);
}

fn path(line: &serde_json::Value) -> &str {
    line["path"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn lines_are_written_in_order_and_all_of_them_by_a_flush() {
    let disk = Disk::default();
    let lines = JsonLines::builder(disk.clone()).start().unwrap();
    let log = AuditLog::new(lines.clone());
    for number in 0..100 {
        record(&log, &format!("/{number}")).await;
    }
    lines.flush().await.unwrap();
    let written = disk.lines();
    assert_eq!(written.len(), 100);
    assert!(written.iter().enumerate().all(|(number, line)| path(line) == format!("/{number}")));
}

#[tokio::test]
async fn the_thread_writes_what_is_left_when_the_sink_is_dropped() {
    struct Done(Disk, Option<mpsc::Sender<()>>);
    impl io::Write for Done {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }
    impl Drop for Done {
        fn drop(&mut self) {
            drop(self.1.take());
        }
    }
    let (disk, (sender, done)) = (Disk::default(), mpsc::channel());
    let lines = JsonLines::builder(Done(disk.clone(), Some(sender))).start().unwrap();
    record(&AuditLog::new(lines), "/last").await;
    assert!(done.recv().is_err(), "the thread has ended");
    assert_eq!(disk.lines().len(), 1);
}

#[tokio::test]
async fn files_that_another_crate_rotates_have_all_lines_and_whole_ones() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let limit = ContentLimit::BytesSurpassed(2_000);
    let file = FileRotate::new(&path, AppendCount::new(100), limit, Compression::None, None);
    let lines = JsonLines::builder(file).start().unwrap();
    let log = AuditLog::new(lines.clone());
    for number in 0..100 {
        record(&log, &format!("/{number}")).await;
        lines.flush().await.unwrap();
    }
    assert!(files(directory.path()) > 2);
    let mut numbers = BTreeSet::new();
    for file in std::fs::read_dir(directory.path()).unwrap() {
        for text in std::fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(text).unwrap();
            assert!(numbers.insert(self::path(&line)[1..].parse::<usize>().unwrap()));
        }
    }
    assert!(numbers.into_iter().eq(0..100));
}

#[tokio::test]
async fn a_slow_writer_delays_no_request_and_the_lost_events_are_counted_in_the_next_line() {
    /// Waits for a permission before each write.
    struct Slow(Disk, mpsc::Receiver<()>, mpsc::Sender<()>);
    impl io::Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.2.send(());
            let _ = self.1.recv();
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let disk = Disk::default();
    let ((permit, permits), (sender, began)) = (mpsc::channel(), mpsc::channel());
    let writer = Slow(disk.clone(), permits, sender);
    let lines = JsonLines::builder(writer).capacity(NonZeroUsize::new(3).unwrap()).start().unwrap();
    let log = AuditLog::new(lines.clone());
    record(&log, "/0").await;
    began.recv().unwrap();
    // The thread writes, and none of these waits for it.
    for number in 1..=10 {
        record(&log, &format!("/{number}")).now_or_never().expect("no request waits");
    }
    // The one that is being written keeps its place.
    assert_eq!(lines.lost(), 8);
    drop(permit);
    lines.flush().await.unwrap();
    let written = disk.lines();
    let paths: Vec<_> = written.iter().map(path).collect();
    assert_eq!(paths, ["/0", "", "/1", "/2"]);
    assert_eq!((&written[1]["type"], &written[1]["count"]), (&"lost".into(), &8.into()));
}

#[tokio::test]
async fn a_disk_that_is_full_for_a_while_loses_nothing_that_fits_into_the_buffer() {
    let (log_text, _guard) = listen();
    let disk = Disk::default();
    let lines = JsonLines::builder(disk.clone()).start().unwrap();
    let log = AuditLog::new(lines.clone());
    disk.set_full(true);
    record(&log, "/0").await;
    assert!(lines.flush().await.is_err());
    disk.set_full(false);
    record(&log, "/1").await;
    lines.flush().await.unwrap();
    assert_eq!(disk.lines().iter().map(path).collect::<Vec<_>>(), ["/0", "/1"]);
    drop(log_text);
}

#[tokio::test]
async fn a_disk_that_is_full_for_long_loses_events_and_says_how_many() {
    let disk = Disk::default();
    let lines = JsonLines::builder(disk.clone()).capacity(NonZeroUsize::new(100).unwrap()).start().unwrap();
    let log = AuditLog::new(lines.clone());
    disk.set_full(true);
    for number in 0..1_000 {
        record(&log, &format!("/{number}")).await;
        if number % 100 == 0 {
            assert!(lines.flush().await.is_err());
        }
    }
    assert!(lines.flush().await.is_err());
    disk.set_full(false);
    lines.flush().await.unwrap();
    record(&log, "/last").await;
    lines.flush().await.unwrap();
    let written = disk.lines();
    let counts: Vec<_> = written.iter().filter_map(|line| line["count"].as_u64()).collect();
    let (lost, requests) = (counts.iter().sum::<u64>(), (written.len() - counts.len()) as u64);
    assert!(lost > 0 && lost == lines.lost());
    assert_eq!(requests + lost, 1_001, "each event is written or counted");
    assert_eq!(path(written.last().unwrap()), "/last");
}

#[tokio::test]
async fn what_a_disk_has_not_taken_is_written_later_without_further_events_and_frees_its_room() {
    /// Fails once, and reports what it has written.
    struct Flaky(Option<io::Error>, mpsc::Sender<Vec<u8>>);
    impl io::Write for Flaky {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.take() {
                Some(error) => Err(error),
                None => self.1.send(bytes.to_vec()).map(|()| bytes.len()).map_err(io::Error::other),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (sender, written) = mpsc::channel();
    let writer = Flaky(Some(io::ErrorKind::StorageFull.into()), sender);
    let lines = JsonLines::builder(writer).capacity(NonZeroUsize::MIN).start().unwrap();
    let log = AuditLog::new(lines.clone());
    record(&log, "/0").await;
    assert_eq!(delivered(&written, 1), ["/0"]);
    // The only place is free again.
    drop(log.reserve().wait().await.unwrap());
    record(&log, "/1").await;
    assert_eq!(delivered(&written, 1), ["/1"]);
    assert_eq!(lines.lost(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_blocking_layer_refuses_requests_while_the_disk_is_full() {
    let disk = Disk::default();
    disk.set_full(true);
    let lines = JsonLines::builder(disk.clone()).capacity(NonZeroUsize::new(3).unwrap()).start().unwrap();
    let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let layer = AuditLayer::new(AuditLog::new(lines.clone())).blocking(std::time::Duration::from_secs(1));
    let service = layer.layer(service);
    let call = async || service.clone().oneshot(Request::new(())).await.unwrap().status().as_u16();
    assert_eq!([call().await, call().await, call().await, call().await], [200, 200, 200, 503]);
    disk.set_full(false);
    lines.flush().await.unwrap();
    assert_eq!(disk.lines().iter().filter(|line| line["status"] == 200).count(), 3, "none is lost");
    assert_eq!(call().await, 200);
}

#[tokio::test]
async fn a_format_that_panics_loses_one_event() {
    struct Fragile;
    impl EventFormat for Fragile {
        fn write(&self, event: &tower_warden::audit::Event, line: &mut Vec<u8>) {
            assert!(!format!("{event:?}").contains("/panic"), "the format panics");
            FlatJson::default().write(event, line);
        }
    }
    let disk = Disk::default();
    let lines = JsonLines::builder(disk.clone()).format(Fragile).start().unwrap();
    let log = AuditLog::new(lines.clone());
    for path in ["/0", "/panic", "/1"] {
        record(&log, path).await;
    }
    lines.flush().await.unwrap();
    let written = disk.lines();
    assert_eq!(written.iter().map(path).collect::<Vec<_>>(), ["/0", "", "/1"]);
    assert_eq!((written[1]["count"].as_u64(), lines.lost()), (Some(1), 1));
}

#[tokio::test]
async fn the_number_of_lost_events_is_a_log_line_if_the_format_has_no_line_for_it() {
    /// Waits for a permission, and sends the log of the thread that writes.
    struct Slow(mpsc::Receiver<()>, mpsc::Sender<Log>);
    impl io::Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (log, listening) = listen();
            let _ = Box::leak(Box::new(listening));
            let _ = self.1.send(log);
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let ((permit, permits), (sender, began)) = (mpsc::channel(), mpsc::channel());
    let writer = Slow(permits, sender);
    let builder = JsonLines::builder(writer).format(AgentJson::default());
    let lines = builder.capacity(NonZeroUsize::MIN).start().unwrap();
    let log = AuditLog::new(lines.clone());
    record(&log, "/").await;
    let text = began.recv().unwrap();
    for _ in 0..2 {
        record(&log, "/").await;
    }
    assert_eq!(lines.lost(), 2);
    drop(permit);
    lines.flush().await.unwrap();
    let text = text.text();
    let line = text.lines().find(|line| line.contains("audit events were lost")).expect("a line");
    assert!(line.contains("count") && line.ends_with('2'), "{line}");
}

#[tokio::test]
async fn a_channel_that_is_full_or_closed_counts_what_it_loses() {
    let (sink, mut events) = AuditChannel::new(2);
    let log = AuditLog::new(sink.clone());
    for number in 0..5 {
        record(&log, &format!("/{number}")).await;
    }
    assert_eq!(sink.lost(), 3);
    assert!(matches!(events.recv().await.unwrap().kind, EventKind::Lost(3)));
    for expected in ["/0", "/1"] {
        let EventKind::Request(request) = events.recv().await.unwrap().kind else { panic!() };
        assert_eq!(request.path(), expected);
    }
    drop(events);
    record(&log, "/closed").await;
    assert_eq!(sink.lost(), 4);
}

#[tokio::test]
async fn several_sinks_get_each_event_and_a_full_one_affects_no_other() {
    let (small, _kept) = AuditChannel::new(1);
    let (large, mut events) = AuditChannel::new(10);
    let log = AuditLog::new(small.clone()).and(large);
    for _ in 0..4 {
        record(&log, "/").await;
    }
    assert_eq!(small.lost(), 3);
    assert_eq!(std::iter::from_fn(|| events.try_recv()).count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_blocking_layer_waits_for_each_of_several_sinks() {
    let ((one, mut of_one), (other, mut of_other)) = (AuditChannel::new(1), AuditChannel::new(1));
    let log = AuditLog::new(one.clone()).and(other.clone());
    let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let service = AuditLayer::new(log).blocking(std::time::Duration::from_secs(1)).layer(service);
    let call = || service.clone().oneshot(Request::new(()));
    drop(call().await);
    of_one.recv().await.unwrap();
    assert_eq!(call().await.unwrap().status(), 503, "the other one is full");
    of_other.recv().await.unwrap();
    while of_one.try_recv().is_some() {}
    assert_eq!(call().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_sample_has_one_of_so_many_admitted_requests_and_every_refusal() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let (sink, mut events) = AuditChannel::new(100);
    let log = AuditLog::new(Sampled::new(sink, NonZeroU32::new(10).unwrap()));
    let service = AuditLayer::new(log).layer(AuthLayer::new(stack.keys.clone()).layer(service_fn(answer)));
    for number in 0..40 {
        let key = if number % 2 == 0 { key.expose() } else { "wrong" };
        let request = Request::get("/").header("x-api-key", key).body(Full::default()).unwrap();
        drop(service.clone().oneshot(request).await);
    }
    let mut counts = [0, 0];
    while let Some(event) = events.try_recv() {
        let EventKind::Request(request) = event.kind else { panic!() };
        counts[usize::from(request.is_admitted())] += 1;
    }
    assert_eq!(counts, [20, 2]);
}

#[tokio::test]
async fn tracing_events_have_the_level_of_the_decision() {
    let (text, _guard) = listen();
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let service = AuditLayer::new(AuditLog::new(TracingSink::default()));
    let service = service.layer(AuthLayer::new(stack.keys.clone()).layer(service_fn(answer)));
    for key in [key.expose(), "sk_agent_x"] {
        let request = Request::get("/invoices").header("x-api-key", key).body(Full::default()).unwrap();
        drop(service.clone().oneshot(request).await);
    }
    let text = text.text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("tower_warden::audit")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("INFO") && lines[0].contains(r#""alice""#), "{}", lines[0]);
    assert!(lines[1].contains("WARN") && lines[1].contains(r#""key_length""#), "{}", lines[1]);
}

#[test]
fn ten_thousand_requests_of_which_half_are_cancelled_have_an_event_each() {
    const REQUESTS: usize = 10_000;
    let disk = Disk::default();
    let capacity = NonZeroUsize::new(REQUESTS).unwrap();
    let lines = JsonLines::builder(disk.clone()).capacity(capacity).start().unwrap();
    let log = AuditLog::new(lines.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    let service = service_fn(async |request: Request<()>| {
        let number: usize = request.uri().path()[1..].parse().unwrap();
        let body = Full::<Bytes>::from("a body");
        let panics = |_: Frame<Bytes>| -> Frame<Bytes> { panic!("the body panics") };
        match number % 10 {
            // Cancelled while it waits.
            0..5 => {
                request.extensions().get::<Arc<Notify>>().unwrap().notify_one();
                std::future::pending().await
            }
            5 => panic!("the handler panics"),
            6 => Ok(Response::new(Body::new(body.map_frame(panics)))),
            // What happens on the upgraded connection is not seen by layers.
            7 => Ok(Response::builder().status(101).body(Body::empty()).unwrap()),
            _ => Ok::<_, Infallible>(Response::new(Body::new(body))),
        }
    });
    let service = AuditLayer::new(log).layer(service);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let (service, next) = (service.clone(), Arc::clone(&next));
                tokio::spawn(async move {
                    loop {
                        let number = next.fetch_add(1, SeqCst);
                        if number >= REQUESTS {
                            return;
                        }
                        let started = Arc::new(Notify::new());
                        let request = Request::get(format!("/{number}")).extension(Arc::clone(&started));
                        let response = service.clone().oneshot(request.body(()).unwrap());
                        let task = tokio::spawn(async move {
                            let body = response.await.unwrap().into_body();
                            // The others are dropped without being read.
                            if number % 10 != 9 {
                                body.collect().await.unwrap();
                            }
                        });
                        if number % 10 < 5 {
                            started.notified().await;
                            task.abort();
                        }
                        assert_eq!(task.await.is_ok(), number % 10 > 6);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        lines.flush().await.unwrap();
    });
    let written = disk.lines();
    let mut seen: Vec<usize> = written.iter().map(|line| path(line)[1..].parse().unwrap()).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..REQUESTS), "each request has one event");
    let count = |end: End| written.iter().filter(|line| line["end"] == end.as_str()).count();
    let ends = [End::Disconnected, End::Panicked, End::Complete, End::Interrupted].map(count);
    assert_eq!(ends, [REQUESTS / 2, REQUESTS / 5, REQUESTS / 5, REQUESTS / 10]);
}

#[tokio::test]
async fn a_sink_that_panics_harms_no_request_and_no_process() {
    struct Broken;
    impl AuditSink for Broken {
        fn record(&self, _: tower_warden::audit::Event, _: tower_warden::audit::Place) {
            panic!("the sink panics");
        }
    }
    let (text, _guard) = listen();
    let (channel, mut events) = AuditChannel::new(10);
    let layer = AuditLayer::new(AuditLog::new(Broken).and(channel));
    let fine = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let response = layer.layer(fine).oneshot(Request::new(())).await.unwrap();
    assert!(response.into_body().collect().await.is_ok());
    // While a handler panics, a second panic would abort the process.
    let panics = service_fn(async |_: Request<()>| -> Result<Response<Full<Bytes>>, Infallible> {
        panic!("the handler panics")
    });
    assert!(tokio::spawn(layer.layer(panics).oneshot(Request::new(()))).await.unwrap_err().is_panic());
    assert!(text.text().contains("an audit sink panicked"));
    assert_eq!(std::iter::from_fn(|| events.try_recv()).count(), 2, "the other sink has both events");
}

#[test]
fn sinks_are_objects() {
    let (channel, _events) = AuditChannel::new(1);
    let sinks: Vec<Arc<dyn AuditSink>> = vec![Arc::new(channel), Arc::new(TracingSink::default())];
    drop(AuditLog::new(sinks[0].clone()));
}

/// The paths of the requests in delivered lines.
fn delivered(receiver: &mpsc::Receiver<Vec<u8>>, count: usize) -> Vec<String> {
    let mut paths = Vec::new();
    while paths.len() < count {
        let lines = String::from_utf8(receiver.recv().unwrap()).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        paths.extend(lines.map(|line| path(&line).to_owned()));
    }
    paths
}

/// A delivery that sends lines to a channel.
fn delivery() -> (impl FnMut(&[u8]) -> io::Result<()> + Send + 'static, mpsc::Receiver<Vec<u8>>) {
    let (sender, receiver) = mpsc::channel();
    (move |lines: &[u8]| sender.send(lines.to_vec()).map_err(io::Error::other), receiver)
}

fn files(directory: &std::path::Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

/// The number of files with lines.
fn spooled(directory: &std::path::Path) -> usize {
    let names = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).count()
}

#[tokio::test]
async fn a_spool_delivers_lines_and_deletes_them() {
    let directory = tempfile::tempdir().unwrap();
    let (deliver, receiver) = delivery();
    let spool = Spool::open(directory.path(), deliver).unwrap();
    let lines = JsonLines::builder(spool).start().unwrap();
    let log = AuditLog::new(lines.clone());
    record(&log, "/0").await;
    lines.flush().await.unwrap();
    record(&log, "/1").await;
    lines.flush().await.unwrap();
    drop((log, lines));
    assert_eq!(delivered(&receiver, 2), ["/0", "/1"]);
    // The delivery ends when all is delivered.
    assert!(receiver.recv().is_err());
    assert_eq!(files(directory.path()), 0);
}

#[tokio::test]
async fn lines_that_are_not_delivered_are_kept_for_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let (sender, attempts) = mpsc::channel();
    let fail = move |_: &[u8]| {
        let _ = sender.send(());
        Err(io::Error::other("no collector"))
    };
    let lines = JsonLines::builder(Spool::open(directory.path(), fail).unwrap()).start().unwrap();
    record(&AuditLog::new(lines), "/0").await;
    // The delivery ends after the attempt, because the spool is closed.
    while attempts.recv().is_ok() {}
    assert_eq!(spooled(directory.path()), 1);
    let (deliver, receiver) = delivery();
    let spool = Spool::open(directory.path(), deliver).unwrap();
    assert_eq!(delivered(&receiver, 1), ["/0"]);
    drop(spool);
    assert!(receiver.recv().is_err());
    assert_eq!(files(directory.path()), 0);
}

#[tokio::test]
async fn lines_that_are_written_during_a_delivery_are_delivered_without_further_events() {
    let directory = tempfile::tempdir().unwrap();
    let ((sender, receiver), (permit, permits)) = (mpsc::channel(), mpsc::channel::<()>());
    let deliver = move |lines: &[u8]| {
        sender.send(lines.to_vec()).map_err(io::Error::other)?;
        let _ = permits.recv();
        Ok(())
    };
    let lines = JsonLines::builder(Spool::open(directory.path(), deliver).unwrap()).start().unwrap();
    let log = AuditLog::new(lines.clone());
    record(&log, "/0").await;
    lines.flush().await.unwrap();
    assert_eq!(delivered(&receiver, 1), ["/0"]);
    // The delivery of the first line is still running.
    record(&log, "/1").await;
    lines.flush().await.unwrap();
    drop(permit);
    assert_eq!(delivered(&receiver, 1), ["/1"]);
}

#[tokio::test]
async fn a_delivery_that_panics_is_called_again_by_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let (sender, attempts) = mpsc::channel::<()>();
    let panics = move |_: &[u8]| {
        let _ = &sender;
        panic!("the delivery panics")
    };
    let lines = JsonLines::builder(Spool::open(directory.path(), panics).unwrap()).start().unwrap();
    record(&AuditLog::new(lines), "/0").await;
    assert!(attempts.recv().is_err(), "the thread has ended, because the spool is closed");
    assert_eq!(spooled(directory.path()), 1);
    let (deliver, receiver) = delivery();
    let _spool = Spool::open(directory.path(), deliver).unwrap();
    assert_eq!(delivered(&receiver, 1), ["/0"]);
}

#[tokio::test]
async fn what_a_killed_process_has_left_is_delivered_first_and_without_a_part_of_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let left = "{\"path\":\"/old\"}\n{\"path\":\"/older";
    std::fs::write(directory.path().join("0000000000000000000000000007-00000000000000000000.jsonl"), left).unwrap();
    std::fs::write(directory.path().join("readme.txt"), "not of the spool").unwrap();
    let (deliver, receiver) = delivery();
    let lines = JsonLines::builder(Spool::open(directory.path(), deliver).unwrap()).start().unwrap();
    record(&AuditLog::new(lines), "/new").await;
    assert_eq!(delivered(&receiver, 2), ["/old", "/new"]);
    assert!(receiver.recv().is_err());
    assert_eq!(files(directory.path()), 1);
}

#[test]
fn a_process_delivers_the_lines_of_another_one_only_after_it_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (sender, attempts) = mpsc::channel();
    let fail = move |_: &[u8]| {
        let _ = sender.send(());
        Err(io::Error::other("no collector"))
    };
    let mut old = Spool::open(directory.path(), fail).unwrap();
    io::Write::write_all(&mut old, b"{\"path\":\"/old\"}\n").unwrap();
    attempts.recv().unwrap();
    let (deliver, receiver) = delivery();
    let mut new = Spool::open(directory.path(), deliver).unwrap();
    io::Write::write_all(&mut new, b"{\"path\":\"/new\"}\n").unwrap();
    assert_eq!(delivered(&receiver, 1), ["/new"]);
    // The old process still appends to its file.
    io::Write::write_all(&mut old, b"{\"path\":\"/older\"}\n").unwrap();
    drop(old);
    while attempts.recv().is_ok() {}
    let mut taken = Vec::new();
    while taken.len() < 2 {
        io::Write::write_all(&mut new, b"{\"path\":\"/new\"}\n").unwrap();
        let paths = delivered(&receiver, 1).into_iter();
        taken.extend(paths.filter(|path| path != "/new"));
    }
    assert_eq!(taken, ["/old", "/older"]);
    drop(new);
    while receiver.recv().is_ok() {}
    assert_eq!(files(directory.path()), 0, "the files of both are deleted");
}

#[tokio::test]
async fn a_spool_that_is_full_loses_lines_and_counts_them() {
    let directory = tempfile::tempdir().unwrap();
    let deliver = |_: &[u8]| Err(io::Error::other("no collector"));
    let spool = Spool::open(directory.path(), deliver).unwrap().max_bytes(1_000);
    let lines = JsonLines::builder(spool).capacity(NonZeroUsize::new(10).unwrap()).start().unwrap();
    let log = AuditLog::new(lines.clone());
    for number in 0..1_000 {
        record(&log, &format!("/{number}")).await;
        let _ = lines.flush().await;
    }
    assert!(lines.lost() > 0);
    let kept: u64 =
        std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(kept <= 1_000);
}

#[test]
fn an_empty_spool_takes_a_buffer_that_is_larger_than_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let deliver = |_: &[u8]| Err(io::Error::other("no collector"));
    let mut spool = Spool::open(directory.path(), deliver).unwrap().max_bytes(1_000);
    let lines = [&[b'x'; 1_999][..], b"\n"].concat();
    io::Write::write_all(&mut spool, &lines).unwrap();
    assert_eq!(io::Write::write_all(&mut spool, b"y\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
}

const SPOOL: &str = "TOWER_WARDEN_TEST_SPOOL";

/// Records events into a spool that delivers nothing, and waits to be killed.
#[tokio::test]
#[ignore = "the process that another test kills"]
async fn process_with_a_spool() {
    let Some(directory) = std::env::var_os(SPOOL) else { return };
    let spool = Spool::open(directory, |_: &[u8]| Err(io::Error::other("no collector"))).unwrap();
    let lines = JsonLines::builder(spool).start().unwrap();
    let log = AuditLog::new(lines.clone());
    for number in 0..100 {
        record(&log, &format!("/{number}")).await;
    }
    lines.flush().await.unwrap();
    io::Write::write_all(&mut io::stdout(), b"written\n").unwrap();
    std::future::pending().await
}

#[test]
fn a_process_that_is_killed_leaves_its_lines_to_the_next_one() {
    use io::BufRead;
    let directory = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "audit_sinks::process_with_a_spool", "--ignored", "--nocapture"])
        .env(SPOOL, directory.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = io::BufReader::new(child.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap().ends_with("written")), "the child ended");
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    let (deliver, receiver) = delivery();
    let spool = Spool::open(directory.path(), deliver).unwrap();
    let expected: Vec<_> = (0..100).map(|number| format!("/{number}")).collect();
    assert_eq!(delivered(&receiver, 100), expected);
    drop(spool);
}
