use std::{
    collections::VecDeque,
    ffi::OsStr,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::{log, outage::Outage};

/// A writer for [`JsonLines`](super::JsonLines) that keeps lines in files until they are delivered, so that they survive a crash of
/// the process and an outage of the collector.
///
/// Lines are appended to files in a directory, which belongs to one process. A second thread passes each finished file to the
/// delivery, and deletes it after success. What a process has left there is delivered by the next one, so a line may be delivered
/// twice: the id of its request is the same.
///
/// A line is safe from a crash of the process when it is written: when [`flush`](super::JsonLines::flush) has returned, and
/// otherwise within moments.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
/// use tower_warden::audit::{AuditLog, JsonLines, Spool};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().join("spool");
/// let (sender, delivered) = mpsc::channel();
/// // Whatever sends lines to a collector; it is called again after an error.
/// let spool = Spool::open(directory, move |lines: &[u8]| sender.send(lines.to_vec()).map_err(std::io::Error::other))?;
/// let log = AuditLog::new(JsonLines::builder(spool).start()?);
/// # drop(delivered);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Spool {
    current: Option<(fs::File, u64)>,
    directory: PathBuf,
    max_bytes: u64,
    next: u64,
    shared: Arc<Shared>,
}

/// The state that the two threads share.
struct Shared {
    changed: Condvar,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The finished files, from the oldest one.
    finished: VecDeque<(PathBuf, u64)>,
    /// The bytes in finished files.
    bytes: u64,
    is_closed: bool,
    /// The delivery has nothing to do.
    is_idle: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The size at which a file is finished, in bytes.
const FILE_BYTES: u64 = 1024 * 1024;

/// The longest pause between two attempts to deliver.
const MAX_PAUSE: Duration = Duration::from_secs(30);

const EXTENSION: &str = "jsonl";

impl Spool {
    /// Opens the directory, which is created if it does not exist, and begins to deliver what is in it.
    ///
    /// The delivery gets whole lines, up to about a MiB of them, in a thread of its own. After an error it is called with the same
    /// lines again, after one second and up to 30.
    ///
    /// # Errors
    ///
    /// If the directory cannot be created or read, or the thread cannot be started.
    pub fn open(
        directory: impl Into<PathBuf>,
        deliver: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        const MAX_BYTES: u64 = 1024 * 1024 * 1024;
        let directory = directory.into();
        fs::create_dir_all(&directory)?;
        let mut state = State::default();
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            numbers.extend(number(&entry.path()).map(|number| (number, entry.path())));
        }
        numbers.sort();
        let next = numbers.last().map_or(0, |(number, _)| number + 1);
        for (_, path) in numbers {
            let bytes = fs::metadata(&path)?.len();
            state.bytes += bytes;
            state.finished.push_back((path, bytes));
        }
        let shared = Arc::new(Shared { changed: Condvar::new(), state: Mutex::new(state) });
        let delivery =
            Delivery { deliver: Box::new(deliver), outage: Outage::of("audit delivery"), shared: Arc::clone(&shared) };
        thread::Builder::new().name("audit-delivery".into()).spawn(move || delivery.run())?;
        Ok(Self { current: None, directory, max_bytes: MAX_BYTES, next, shared })
    }

    /// Sets the bytes that are kept at most: 1 GiB by default. Beyond it, lines are lost and counted.
    #[must_use]
    pub const fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// The current file, and its size.
    fn current(&mut self) -> io::Result<&mut (fs::File, u64)> {
        if self.current.is_none() {
            let file = fs::OpenOptions::new().write(true).create_new(true).open(self.path(self.next))?;
            self.current = Some((file, 0));
            self.next += 1;
        }
        self.current.as_mut().ok_or_else(|| io::Error::other("no file"))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}.{EXTENSION}"))
    }

    /// Passes the current file to the delivery.
    fn finish(&mut self) {
        if let Some((_, bytes)) = self.current.take() {
            let path = self.path(self.next - 1);
            let mut state = self.shared.state();
            state.bytes += bytes;
            state.finished.push_back((path, bytes));
            self.shared.changed.notify_one();
        }
    }
}

/// Writes whole lines: [`JsonLines`](super::JsonLines) passes on its buffer, which has nothing else.
impl io::Write for Spool {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let kept = self.shared.state().bytes;
        let max_bytes = self.max_bytes;
        let (file, bytes) = self.current()?;
        if kept + *bytes + lines.len() as u64 > max_bytes {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the spool is full: nothing is delivered"));
        }
        if let Err(error) = io::Write::write_all(file, lines) {
            // What was written of it must not become the beginning of another line.
            file.set_len(*bytes)?;
            return Err(error);
        }
        *bytes += lines.len() as u64;
        if *bytes >= FILE_BYTES {
            self.finish();
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.shared.state().is_idle {
            self.finish();
        }
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.finish();
        self.shared.state().is_closed = true;
        self.shared.changed.notify_one();
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// The number of a file; `None` for files that are not of the spool.
fn number(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str().filter(|stem| stem.len() == 20)?;
    (path.extension() == Some(OsStr::new(EXTENSION))).then(|| stem.parse().ok())?
}

/// The state of the thread that delivers.
struct Delivery {
    deliver: Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>,
    outage: Outage,
    shared: Arc<Shared>,
}

impl Delivery {
    fn run(mut self) {
        let mut pause = Duration::ZERO;
        while let Some(path) = self.next(pause) {
            match self.deliver(&path) {
                Ok(()) => {
                    self.outage.end();
                    let mut state = self.shared.state();
                    if let Some((_, bytes)) = state.finished.pop_front() {
                        state.bytes = state.bytes.saturating_sub(bytes);
                    }
                    pause = Duration::ZERO;
                }
                Err(error) => {
                    self.outage.begin(&error, || {
                        log::error!(error = %error, "audit events are not delivered; they stay in the spool until they are");
                    });
                    pause = (pause * 2).clamp(Duration::from_secs(1), MAX_PAUSE);
                }
            }
        }
    }

    /// The oldest file, after a pause; `None` when the spool is closed, and nothing is left or an attempt has failed.
    fn next(&self, pause: Duration) -> Option<PathBuf> {
        let mut state = self.shared.state();
        if !pause.is_zero() {
            let is_open = |state: &mut State| !state.is_closed;
            state =
                self.shared.changed.wait_timeout_while(state, pause, is_open).unwrap_or_else(PoisonError::into_inner).0;
            if state.is_closed {
                return None;
            }
        }
        loop {
            let oldest = state.finished.front().map(|(path, _)| path.clone());
            if oldest.is_some() {
                state.is_idle = false;
                return oldest;
            }
            if state.is_closed {
                return None;
            }
            state.is_idle = true;
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn deliver(&mut self, path: &Path) -> io::Result<()> {
        let lines = fs::read(path)?;
        // A process that was killed may have left a part of a line, which nobody was told of.
        let end = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if end > 0 {
            (self.deliver)(&lines[..end])?;
        }
        fs::remove_file(path)
    }
}
