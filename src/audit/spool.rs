use std::{
    collections::VecDeque,
    fmt, fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::spool_owner::{OwnedFile, Owner, private_directory};
use crate::{log, outage::Outage};

/// A writer for [`JsonLines`](super::JsonLines) that keeps lines in files until they are delivered, so that they survive a crash of
/// the process and an outage of the collector.
///
/// Lines are appended to files in a directory. A second thread passes each finished file to the delivery, and deletes it after
/// success. What a process has left there is delivered by the next one, so a line may be delivered twice: the id of its event is
/// the same.
///
/// Several processes may use one directory, such as the old and the new one in a rolling restart. Each has files of its own and a
/// lock, and takes over those of processes that have ended: when it starts, and when it has delivered its own.
///
/// A line is safe from a crash of the process when it is written: when [`flush`](super::JsonLines::flush) has returned, and
/// otherwise within moments.
///
/// # Deployment caveat
///
/// Locks of network file systems may not hold between machines: use a directory of the machine.
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
    owner: Arc<Owner>,
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
    /// The finished files, from the oldest one.
    finished: VecDeque<OwnedFile>,
    is_closed: bool,
}

struct Current {
    file: fs::File,
    owned: OwnedFile,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends the current file, so that it is delivered.
    fn finish(&mut self) {
        self.finished.extend(self.current.take().map(|current| current.owned));
    }

    /// The bytes in all files.
    fn bytes(&self) -> u64 {
        let finished = self.finished.iter().map(|file| file.bytes).sum::<u64>();
        finished + self.current.as_ref().map_or(0, |current| current.owned.bytes)
    }
}

/// The size at which a file is finished, in bytes.
const FILE_BYTES: u64 = 1024 * 1024;

/// The longest pause between two attempts to deliver.
const MAX_PAUSE: Duration = Duration::from_secs(30);

impl Spool {
    /// Opens the directory, which is created if it does not exist, and begins to deliver what other processes have left in it.
    ///
    /// The delivery gets whole lines, up to about a MiB of them, in a thread of its own. After an error it is called with the same
    /// lines again, after one second and up to 30.
    ///
    /// # Errors
    ///
    /// If the directory cannot be created or read, its files cannot be locked, or the thread cannot be started.
    pub fn open(
        directory: impl Into<PathBuf>,
        deliver: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        const MAX_BYTES: u64 = 1024 * 1024 * 1024;
        let directory = directory.into();
        private_directory(&directory)?;
        let owner = Arc::new(Owner::create(&directory)?);
        let state = State { finished: Owner::take_over(&directory)?.into(), ..State::default() };
        let shared = Arc::new(Shared { changed: Condvar::new(), state: Mutex::new(state) });
        let delivery = Delivery {
            deliver: Box::new(deliver),
            directory: directory.clone(),
            outage: Outage::of("audit delivery"),
            owner: Arc::clone(&owner),
            shared: Arc::clone(&shared),
            unremovable: Vec::new(),
        };
        thread::Builder::new().name("audit-delivery".into()).spawn(move || delivery.run())?;
        Ok(Self { directory, max_bytes: MAX_BYTES, next: 0, owner, shared })
    }

    /// Sets the bytes that this process keeps at most: 1 GiB by default. Beyond it, lines are lost and counted.
    #[must_use]
    pub const fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Creates the next file.
    fn create(&mut self) -> io::Result<Current> {
        let number = self.next;
        // Also if this fails: then the next attempt has another name.
        self.next += 1;
        let (file, path) = self.owner.create_file(number)?;
        Ok(Current { file, owned: OwnedFile { bytes: 0, owner: Arc::clone(&self.owner), path } })
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
                current.owned.bytes += lines.len() as u64;
                current.owned.bytes >= FILE_BYTES
            }
            // What was written of it must not become the beginning of another line. The delivery cuts it off as well.
            Err(_) => current.file.set_len(current.owned.bytes).is_err(),
        };
        state.current = Some(current);
        if is_finished {
            state.finish();
        }
        drop(state);
        shared.changed.notify_one();
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

/// The state of the thread that delivers.
struct Delivery {
    deliver: Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>,
    directory: PathBuf,
    outage: Outage,
    owner: Arc<Owner>,
    shared: Arc<Shared>,
    /// The owners of files that were delivered and could not be removed: while they are locked, nobody delivers them again.
    unremovable: Vec<Arc<Owner>>,
}

impl Delivery {
    fn run(mut self) {
        let mut pause = Duration::ZERO;
        while let Some(path) = self.next(pause) {
            match self.deliver(&path) {
                Ok(is_removed) => {
                    self.outage.end();
                    self.forget_oldest(is_removed);
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
        // The spool is closed: nothing is written any more. A spool that is opened now takes over what is left.
        let left = std::mem::take(&mut self.shared.state().finished);
        if left.is_empty() {
            self.owner.remove();
        }
        self.owner.release();
    }

    /// Removes the oldest file from the list, and adds those of processes that have ended if it was the last one.
    fn forget_oldest(&mut self, is_removed: bool) {
        let mut state = self.shared.state();
        let owner = state.finished.pop_front().map(|file| file.owner);
        let is_idle = state.finished.is_empty() && !state.is_closed;
        drop(state);
        if !is_removed {
            self.unremovable.extend(owner.clone());
        }
        // The last file of an owner that has ended.
        if let Some(owner) = owner.and_then(Arc::into_inner) {
            owner.remove();
        }
        if is_idle {
            // If the directory cannot be read now, the next attempt is after the next file.
            let found = Owner::take_over(&self.directory).unwrap_or_default();
            self.shared.state().finished.extend(found);
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
            let oldest = state.finished.front().map(|file| file.path.clone());
            if oldest.is_some() || state.is_closed {
                return oldest;
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Delivers a file, and returns whether it is removed.
    fn deliver(&mut self, path: &Path) -> io::Result<bool> {
        let lines = match fs::read(path) {
            // Somebody has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                log::error!("a file of audit events was removed before it was delivered");
                return Ok(true);
            }
            lines => lines?,
        };
        // A process that was killed may have left a part of a line, whose event was never reported as written.
        let end = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if end > 0 {
            let delivered = catch_unwind(AssertUnwindSafe(|| (self.deliver)(&lines[..end])));
            delivered.unwrap_or_else(|_| Err(io::Error::other("the delivery panicked")))?;
        }
        let removed = fs::remove_file(path);
        if let Err(error) = &removed {
            log::error!(error = %error, "delivered audit events cannot be removed; the next process delivers them again");
        }
        Ok(removed.is_ok())
    }
}
