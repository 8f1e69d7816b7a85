use std::{
    collections::VecDeque,
    fmt, io,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    event::{Event, EventKind},
    format::{EventFormat, FlatJson},
    queue::Room,
    sink::{AuditSink, Place},
};
use crate::{
    Eventual, Unavailable, log,
    outage::Outage,
    time::{Clock, SystemClock, Timestamp},
};

/// A sink that writes lines, from a thread of its own.
///
/// Requests do not wait for the writer. If it is slow, events wait in a queue; if that is full, or the writer fails and its
/// buffer is full, events are lost and counted. The next line that is written states how many; if the format has no line for that,
/// a log line does.
///
/// For files that are rotated, give it the appender of a crate such as `file-rotate` or `tracing-appender`: each line is written at
/// once with the rest of the buffer, so a limit that is checked between two writes, such as `ContentLimit::BytesSurpassed` of
/// `file-rotate`, splits no line.
///
/// # Examples
///
/// ```no_run
/// use std::fs::OpenOptions;
/// use tower_warden::audit::{AuditLog, JsonLines};
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let file = OpenOptions::new().append(true).create(true).open("audit.jsonl")?;
/// let lines = JsonLines::builder(file).start()?;
/// let log = AuditLog::new(lines.clone());
/// // … serve, and after the server has shut down gracefully:
/// lines.flush().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct JsonLines {
    room: Room,
    sender: mpsc::Sender<Message>,
}

#[expect(clippy::large_enum_variant, reason = "almost all messages are events")]
enum Message {
    Event(Event, OwnedSemaphorePermit),
    Flush(oneshot::Sender<io::Result<()>>),
}

/// The settings of a [`JsonLines`].
#[must_use]
pub struct JsonLinesBuilder {
    capacity: NonZeroUsize,
    format: Arc<dyn EventFormat>,
    writer: Box<dyn io::Write + Send>,
}

impl JsonLines {
    /// Writes to a file, or to anything else.
    pub fn builder(writer: impl io::Write + Send + 'static) -> JsonLinesBuilder {
        const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");
        JsonLinesBuilder { capacity: CAPACITY, format: Arc::new(FlatJson), writer: Box::new(writer) }
    }

    /// Returns when all events that were recorded before are written. To be called when the server has shut down.
    ///
    /// # Errors
    ///
    /// If the writer failed.
    pub async fn flush(&self) -> io::Result<()> {
        let stopped = || io::Error::other("the thread that writes has stopped");
        let (sender, receiver) = oneshot::channel();
        self.sender.send(Message::Flush(sender)).map_err(|_| stopped())?;
        receiver.await.map_err(|_| stopped())?
    }

    /// The number of events that were lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.room.lost().in_all()
    }
}

impl AuditSink for JsonLines {
    fn record(&self, event: Event, place: Place) {
        let Some(room) = self.room.enter(place) else { return };
        if self.sender.send(Message::Event(event, room)).is_err() {
            self.room.lost().add(1);
        }
    }

    fn reserve(&self) -> Eventual<Result<Place, Unavailable>> {
        self.room.reserve("the audit writer")
    }
}

impl JsonLinesBuilder {
    /// Sets the number of events that wait for the writer, at most: 10 000 by default.
    pub const fn capacity(mut self, capacity: NonZeroUsize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets the format: [`FlatJson`] by default.
    pub fn format(mut self, format: impl EventFormat) -> Self {
        self.format = Arc::new(format);
        self
    }

    /// Starts the thread that writes. It ends when all clones of the sink are dropped.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn start(self) -> io::Result<JsonLines> {
        let (sender, receiver) = mpsc::channel();
        let room = Room::new("lines", self.capacity);
        let writer = Writer {
            backlog: VecDeque::new(),
            buffered: Vec::new(),
            format: self.format,
            line: Vec::with_capacity(1_024),
            logged_lost: None,
            outage: Outage::of("audit writer"),
            room: room.clone(),
            writer: io::BufWriter::with_capacity(BUFFER, self.writer),
        };
        thread::Builder::new().name("audit-writer".into()).spawn(move || writer.run(&receiver))?;
        Ok(JsonLines { room, sender })
    }
}

impl fmt::Debug for JsonLinesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLinesBuilder").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

/// The state of the thread that writes.
struct Writer {
    /// The events that the writer did not take.
    backlog: VecDeque<(Event, OwnedSemaphorePermit)>,
    /// The room of the events in the buffer: it is free when they are written, so that no request is handled whose event a full
    /// disk does not take.
    buffered: Vec<OwnedSemaphorePermit>,
    format: Arc<dyn EventFormat>,
    line: Vec<u8>,
    /// The time of the last log line that stated how many events were lost.
    logged_lost: Option<Timestamp>,
    outage: Outage,
    room: Room,
    writer: io::BufWriter<Box<dyn io::Write + Send>>,
}

/// The size of the buffer, and of the longest line, in bytes: the buffer takes all of a line or nothing.
const BUFFER: usize = 1024 * 1024;

/// The time between two log lines that state how many events were lost, in milliseconds.
const LOG_INTERVAL: u64 = 60_000;

/// The pause between two attempts to write what the writer did not take.
const PAUSE: Duration = Duration::from_secs(1);

impl Writer {
    fn run(mut self, messages: &mpsc::Receiver<Message>) {
        let mut is_written = true;
        loop {
            // After a failure, also without further messages: requests may wait for the room of what is in the buffer.
            let first = if is_written {
                messages.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                messages.recv_timeout(PAUSE)
            };
            if matches!(first, Err(RecvTimeoutError::Disconnected)) {
                self.logged_lost = None;
                let _ = self.write_all(SystemClock.timestamp());
                return;
            }
            // The rest of what has arrived, then one flush for all.
            for message in first.into_iter().chain(messages.try_iter()) {
                match message {
                    Message::Event(event, room) => self.backlog.push_back((event, room)),
                    // Nobody waits if this fails.
                    Message::Flush(done) => drop(done.send(self.write_all(SystemClock.timestamp()))),
                }
            }
            is_written = self.write_all(SystemClock.timestamp()).is_ok();
        }
    }

    /// Writes the events that wait, and how many were lost before them.
    fn write_all(&mut self, now: Timestamp) -> io::Result<()> {
        let written = self.drain(now).and_then(|()| io::Write::flush(&mut self.writer));
        match &written {
            Ok(()) => {
                self.buffered.clear();
                self.outage.end();
            }
            Err(error) => self.outage.begin(error, || {
                log::error!(error = %error, "audit events cannot be written; they wait, and are lost when the queue is full");
            }),
        }
        self.room.measure();
        written
    }

    fn drain(&mut self, now: Timestamp) -> io::Result<()> {
        while let Some((event, room)) = self.backlog.pop_front() {
            let written = self.write_lost(event.time).and_then(|_| self.write(&event));
            if let Err(error) = written {
                self.backlog.push_front((event, room));
                return Err(error);
            }
            self.buffered.push(room);
        }
        if !self.write_lost(now)? {
            self.log_lost(now);
        }
        Ok(())
    }

    /// Logs how many events were lost, once a minute: while a sink is full, that may be with each batch.
    fn log_lost(&mut self, now: Timestamp) {
        let since = |last: Timestamp| now.as_millis().abs_diff(last.as_millis());
        if self.logged_lost.is_none_or(|last| since(last) >= LOG_INTERVAL) {
            self.logged_lost = Some(now);
            let count = self.room.lost().take();
            log::warning!(count = %count, "audit events were lost; the format has no line for their number");
        }
    }

    /// Writes how many events were lost since the last line. Returns `false` if the format has no line for that.
    fn write_lost(&mut self, time: Timestamp) -> io::Result<bool> {
        let count = self.room.lost().take();
        if count == 0 {
            return Ok(true);
        }
        let written = self.write(&Event::new(time, EventKind::Lost(count)));
        if !matches!(written, Ok(true)) {
            self.room.lost().add_again(count);
        }
        written
    }

    /// Writes a line into the buffer, all of it or nothing, and returns whether there is one. The buffer keeps what the file does
    /// not take.
    fn write(&mut self, event: &Event) -> io::Result<bool> {
        self.line.clear();
        let (format, line) = (&self.format, &mut self.line);
        let is_formatted = catch_unwind(AssertUnwindSafe(|| format.write(event, line))).is_ok();
        if !is_formatted || self.line.len() + 1 >= BUFFER {
            log::error!("an audit event is lost: its format panicked, or its line is longer than a MiB");
            self.room.lost().add(1);
            return Ok(false);
        }
        if self.line.is_empty() {
            return Ok(false);
        }
        self.line.push(b'\n');
        io::Write::write_all(&mut self.writer, &self.line).map(|()| true)
    }
}

impl Drop for Writer {
    /// There is no room any more, also after a panic of the writer.
    fn drop(&mut self) {
        // What a failing file has not taken is lost with the buffer. A writer that panicked is not called again.
        let is_flushed = !thread::panicking() && io::Write::flush(&mut self.writer).is_ok();
        let buffered = if is_flushed { 0 } else { self.buffered.len() };
        self.room.lost().add((self.backlog.len() + buffered) as u64);
        self.room.close();
    }
}
