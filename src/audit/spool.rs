use std::{
    collections::VecDeque,
    ffi::OsStr,
    fmt, fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
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
/// // Sends lines to a collector. It is called again after an error.
/// let spool = Spool::open(directory, move |lines: &[u8]| sender.send(lines.to_vec()).map_err(std::io::Error::other))?;
/// let log = AuditLog::new(JsonLines::builder(spool).start()?);
/// # drop(delivered);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Spool {
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
    /// The file to which lines are appended. The delivery takes it when there is no older one.
    current: Option<Current>,
    /// The finished files with their sizes, from the oldest one.
    finished: VecDeque<(PathBuf, u64)>,
    is_closed: bool,
}

struct Current {
    bytes: u64,
    file: fs::File,
    path: PathBuf,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends the current file, so that it is delivered.
    fn finish(&mut self) {
        self.finished.extend(self.current.take().map(|current| (current.path, current.bytes)));
    }

    /// The bytes in all files.
    fn bytes(&self) -> u64 {
        let finished = self.finished.iter().map(|(_, bytes)| bytes).sum::<u64>();
        finished + self.current.as_ref().map_or(0, |current| current.bytes)
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
        private_directory(&directory)?;
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
            state.finished.push_back((path, bytes));
        }
        let shared = Arc::new(Shared { changed: Condvar::new(), state: Mutex::new(state) });
        let delivery =
            Delivery { deliver: Box::new(deliver), outage: Outage::of("audit delivery"), shared: Arc::clone(&shared) };
        thread::Builder::new().name("audit-delivery".into()).spawn(move || delivery.run())?;
        Ok(Self { directory, max_bytes: MAX_BYTES, next, shared })
    }

    /// Sets the bytes that are kept at most: 1 GiB by default. Beyond it, lines are lost and counted.
    #[must_use]
    pub const fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Creates the next file. Lines are appended, so that one that was written in part can be cut off.
    fn create(&mut self) -> io::Result<Current> {
        let path = self.directory.join(format!("{:020}.{EXTENSION}", self.next));
        // Also if the file exists: then the next attempt has another name.
        self.next += 1;
        let file = private_file().open(&path)?;
        Ok(Current { bytes: 0, file, path })
    }
}

/// Writes whole lines: [`JsonLines`](super::JsonLines) passes on its buffer, which has nothing else.
impl io::Write for Spool {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let kept = state.bytes();
        // An empty spool takes a whole buffer, however small its limit is: otherwise nothing would ever be delivered.
        if kept > 0 && kept + lines.len() as u64 > self.max_bytes {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the spool is full: nothing is delivered"));
        }
        let mut current = match state.current.take() {
            Some(current) => current,
            None => self.create()?,
        };
        let written = io::Write::write_all(&mut current.file, lines);
        let is_finished = match &written {
            Ok(()) => {
                current.bytes += lines.len() as u64;
                current.bytes >= FILE_BYTES
            }
            // What was written of it must not become the beginning of another line. The delivery cuts it off as well.
            Err(_) => current.file.set_len(current.bytes).is_err(),
        };
        state.current = Some(current);
        if is_finished {
            state.finish();
        }
        written.map(|()| lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
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
                    self.shared.state().finished.pop_front();
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
            let waited = self.shared.changed.wait_timeout_while(state, pause, is_open);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.is_closed {
                return None;
            }
        }
        loop {
            if state.finished.is_empty() {
                state.finish();
            }
            let oldest = state.finished.front().map(|(path, _)| path.clone());
            if oldest.is_some() || state.is_closed {
                return oldest;
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn deliver(&mut self, path: &Path) -> io::Result<()> {
        let lines = match fs::read(path) {
            // Somebody has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                log::error!("a file of audit events was removed before it was delivered");
                return Ok(());
            }
            lines => lines?,
        };
        // A process that was killed may have left a part of a line, whose event was never reported as written.
        let end = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if end > 0 {
            let delivered = catch_unwind(AssertUnwindSafe(|| (self.deliver)(&lines[..end])));
            delivered.unwrap_or_else(|_| Err(io::Error::other("the delivery panicked")))?;
        }
        if let Err(error) = fs::remove_file(path) {
            log::error!(error = %error, "delivered audit events cannot be removed; the next process delivers them again");
        }
        Ok(())
    }
}

/// Creates a directory that only the user of the process reads.
fn private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// The options for a new file that only the user of the process reads.
fn private_file() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.append(true).create_new(true);
    options
}
