use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    hash::{BuildHasher, RandomState},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs4::{FileExt, TryLockError};

use crate::time::{Clock, SystemClock};

/// The owner of files in the directory of a spool: a process, or one that has ended and whose files were taken over.
///
/// **Invariant.** A process that reads, writes or deletes the files of an owner holds the lock of its file `{id}.lock`. The system
/// releases it when the process ends, however that happens. No id is used twice, so an owner whose lock is free gets no more
/// files.
#[derive(Debug)]
pub(super) struct Owner {
    directory: PathBuf,
    id: String,
    /// It is locked until it is closed or released.
    lock: fs::File,
}

/// A file with lines of an owner, and its size.
pub(super) struct OwnedFile {
    pub(super) bytes: u64,
    pub(super) owner: Arc<Owner>,
    pub(super) path: PathBuf,
}

const EXTENSION: &str = "jsonl";
const LOCK_EXTENSION: &str = "lock";

/// The digits of an id: those of the time of its start, by which the files of several owners are sorted, and random ones.
const ID_LENGTH: usize = 12 + 16;

impl Owner {
    /// Creates an owner for this process.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        loop {
            let random = RandomState::new().hash_one(std::process::id());
            let id = format!("{:012x}{random:016x}", SystemClock.timestamp().as_millis());
            let path = directory.join(&id).with_extension(LOCK_EXTENSION);
            let lock = private_file().create_new(true).open(&path)?;
            // Another process may have found the new file before it was locked, and have removed it, because it has no lines.
            if is_locked(&lock)? && path.try_exists()? {
                return Ok(Self { directory: directory.to_owned(), id, lock });
            }
        }
    }

    /// Takes over the files of all owners that have ended, from the oldest one.
    pub(super) fn take_over(directory: &Path) -> io::Result<Vec<OwnedFile>> {
        let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        let ids: BTreeSet<_> = names.iter().filter_map(|path| id_of(path)).collect();
        let mut files = Vec::new();
        for id in ids {
            let path = directory.join(id).with_extension(LOCK_EXTENSION);
            // A lock that was removed since is not created again: nothing is left of its owner.
            let is_listed = names.contains(&path);
            let lock = match private_file().create(!is_listed).open(path) {
                Err(error) if is_listed && error.kind() == io::ErrorKind::NotFound => continue,
                lock => lock?,
            };
            if !is_locked(&lock)? {
                continue;
            }
            let owner = Arc::new(Self { directory: directory.to_owned(), id: id.to_owned(), lock });
            let found = Self::files(&owner)?;
            if found.is_empty() {
                owner.remove();
            }
            files.extend(found);
        }
        Ok(files)
    }

    /// The files of this owner, from the oldest one. They are listed after the lock was taken, so none is missing.
    fn files(owner: &Arc<Self>) -> io::Result<Vec<OwnedFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&owner.directory)? {
            let path = entry?.path();
            if path.extension() == Some(OsStr::new(EXTENSION)) && id_of(&path) == Some(&owner.id) {
                let bytes = match fs::metadata(&path) {
                    // Somebody has removed it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    metadata => metadata?.len(),
                };
                files.push(OwnedFile { bytes, owner: Arc::clone(owner), path });
            }
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }

    /// Creates a file for lines. They are appended, so that one that was written in part can be cut off.
    pub(super) fn create_file(&self, number: u64) -> io::Result<(fs::File, PathBuf)> {
        let path = self.directory.join(format!("{}-{number:020}.{EXTENSION}", self.id));
        Ok((private_file().create_new(true).open(&path)?, path))
    }

    /// Removes the file of the lock, when no other file is left.
    pub(super) fn remove(&self) {
        // Otherwise the next process removes it.
        let _ = fs::remove_file(self.directory.join(&self.id).with_extension(LOCK_EXTENSION));
    }

    /// Leaves the files to others.
    pub(super) fn release(&self) {
        // Otherwise it is released when the file is closed.
        let _ = FileExt::unlock(&self.lock);
    }
}

/// Locks a file, unless another process has.
fn is_locked(file: &fs::File) -> io::Result<bool> {
    match FileExt::try_lock(file) {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The owner of a file; `None` for files that are not of the spool.
fn id_of(path: &Path) -> Option<&str> {
    let stem = path.file_stem()?.to_str()?;
    let id = match path.extension()?.to_str()? {
        EXTENSION => {
            let (id, number) = stem.split_once('-')?;
            number.parse::<u64>().is_ok().then_some(id)?
        }
        LOCK_EXTENSION => stem,
        _ => return None,
    };
    (id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// Creates a directory that only the user of the process reads.
pub(super) fn private_directory(path: &Path) -> io::Result<()> {
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
    options.append(true);
    options
}
