use std::{
    fmt, io,
    num::NonZeroUsize,
    sync::{Arc, mpsc},
    thread,
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
    time::{Clock, SystemClock},
};

/// A sink that writes lines, from a thread of its own.
///
/// Requests do not wait for the writer. If it is slow, events wait in a queue; if that is full, events are lost and counted, and
/// the next line that is written says how many.
///
/// For files that are rotated, give it the appender of a crate such as `tracing-appender`.
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
        self.room.lost()
    }
}

impl AuditSink for JsonLines {
    fn record(&self, event: Event, place: Place) {
        let Some(room) = self.room.enter(place) else { return };
        if self.sender.send(Message::Event(event, room)).is_err() {
            self.room.lose(1);
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
            format: self.format,
            line: Vec::with_capacity(1_024),
            outage: Outage::of("audit writer"),
            room: room.clone(),
            writer: io::BufWriter::with_capacity(64 * 1_024, self.writer),
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
    format: Arc<dyn EventFormat>,
    line: Vec<u8>,
    outage: Outage,
    room: Room,
    writer: io::BufWriter<Box<dyn io::Write + Send>>,
}

impl Writer {
    fn run(mut self, messages: &mpsc::Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            self.handle(message);
            // The rest of what has arrived, then one flush for all.
            while let Ok(message) = messages.try_recv() {
                self.handle(message);
            }
            self.room.measure();
            let flushed = io::Write::flush(&mut self.writer);
            self.note(flushed.as_ref().map(|&()| ()));
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Event(event, room) => {
                self.write_lost(event.time);
                if self.write(&event).is_err() {
                    self.room.lose(1);
                }
                drop(room);
            }
            Message::Flush(done) => {
                self.write_lost(SystemClock.timestamp());
                let flushed = io::Write::flush(&mut self.writer);
                self.note(flushed.as_ref().map(|&()| ()));
                // Nobody waits if this fails.
                let _ = done.send(flushed);
            }
        }
    }

    /// Writes how many events were lost since the last line.
    fn write_lost(&mut self, time: crate::Timestamp) {
        let count = self.room.take_lost();
        if count > 0 && self.write(&Event { time, kind: EventKind::Lost(count) }).is_err() {
            self.room.lose_again(count);
        }
    }

    /// Writes a line, all of it or nothing: it fits into the buffer, which keeps what the file does not take.
    fn write(&mut self, event: &Event) -> io::Result<()> {
        self.line.clear();
        self.format.write(event, &mut self.line);
        if self.line.is_empty() {
            return Ok(());
        }
        self.line.push(b'\n');
        let written = io::Write::write_all(&mut self.writer, &self.line);
        self.note(written.as_ref().map(|&()| ()));
        written
    }

    fn note(&self, outcome: Result<(), &io::Error>) {
        match outcome {
            Ok(()) => self.outage.end(),
            Err(error) => self.outage.begin(error, || {
                log::error!(error = %error, "audit events cannot be written; they are lost when the queue is full");
            }),
        }
    }
}

impl Drop for Writer {
    /// There is no room any more, also after a panic of the writer or of the format.
    fn drop(&mut self) {
        self.room.close();
    }
}
