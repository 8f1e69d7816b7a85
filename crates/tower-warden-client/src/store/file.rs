use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fs4::{FileExt, TryLockError};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tower_warden::{Eventual, UnixTime};
use zeroize::{Zeroize, Zeroizing};

use super::{StoreLock, TokenStore};
use crate::{RefreshToken, TokenError, TokenErrorKind, token::seconds, wiped::WipedJson};

/// A refresh token in a file, shared by the processes of one machine.
///
/// The file is replaced as a whole, so that a crash leaves the old or the new one, and only its owner can read it (mode
/// 0600). One that others can read is refused, and a symbolic link as well. The lock is that of a second file beside it, with the ending `.lock`.
///
/// # Deployment caveat
///
/// Locks of network file systems may not hold between machines.
///
/// # Examples
///
/// ```
/// use tower_warden_client::{RefreshToken, TokenErrorKind, store::{FileTokenStore, TokenStore}};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("refresh-token");
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let store = FileTokenStore::new(&path);
/// assert!(store.load().wait().await?.is_none());
/// store.save(Some(&RefreshToken::new("rt-1"))).wait().await?;
/// assert_eq!(store.load().wait().await?.expect("it was saved").expose(), "rt-1");
///
/// std::fs::write(&path, "not JSON")?;
/// assert_eq!(store.load().wait().await.unwrap_err().kind(), TokenErrorKind::Store);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileTokenStore {
    path: Arc<Path>,
}

impl FileTokenStore {
    /// Stores the refresh token in this file. Its folder has to exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path: PathBuf = path.into();
        Self { path: path.into() }
    }
}

impl TokenStore for FileTokenStore {
    fn lock(&self) -> Eventual<Result<StoreLock, TokenError>> {
        let path = Arc::clone(&self.path);
        // Another process may hold the lock. It is polled, because a thread that waits for it could not be cancelled.
        Eventual::later(async move {
            let file = blocking(move || open_lock(&path)).await?;
            let mut delay = Duration::from_millis(10);
            loop {
                match FileExt::try_lock(&file) {
                    Ok(()) => return Ok(StoreLock::new(file)),
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(delay).await,
                    Err(TryLockError::Error(error)) => return Err(failed("the token store cannot be locked", error)),
                }
                delay = (delay * 2).min(Duration::from_millis(250));
            }
        })
    }

    fn load(&self) -> Eventual<Result<Option<RefreshToken>, TokenError>> {
        let path = Arc::clone(&self.path);
        // The file system may be a slow one, here and below.
        Eventual::later(blocking(move || load(&path)))
    }

    fn save(&self, refresh: Option<&RefreshToken>) -> Eventual<Result<(), TokenError>> {
        let (path, refresh) = (Arc::clone(&self.path), refresh.cloned());
        Eventual::later(blocking(move || {
            save(&path, refresh.as_ref()).map_err(|error| failed("the token store cannot be written", error))
        }))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TokenError> + Send + 'static,
) -> Result<T, TokenError> {
    let aborted = |_| TokenError::new(TokenErrorKind::Store, "the access to the token store was aborted");
    tokio::task::spawn_blocking(work).await.map_err(aborted)?
}

fn open_lock(path: &Path) -> Result<File, TokenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(PathBuf::from(name)).map_err(|error| failed("the token store cannot be locked", error))
}

fn load(path: &Path) -> Result<Option<RefreshToken>, TokenError> {
    let unreadable = |error| failed("the token store cannot be read", error);
    let refused = |message| TokenError::new(TokenErrorKind::Store, message);
    // Before it is opened: a link is not followed, and the writer of a pipe not waited for.
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.map_err(unreadable)?,
    };
    if !found.is_file() {
        return Err(refused("the token store is not a regular file"));
    }
    let file = File::open(path).map_err(unreadable)?;
    if !is_private(&file.metadata().map_err(unreadable)?) {
        return Err(refused("others can read the token store; its mode has to be 0600"));
    }
    let mut text = buffer();
    file.take(MAX_BYTES as u64).read_to_end(&mut text).map_err(unreadable)?;
    let malformed = || refused("the token store is malformed");
    let json = WipedJson::parse(&text).ok_or_else(malformed)?;
    let refresh = RefreshToken::new(json.text("refresh_token").ok_or_else(malformed)?);
    Ok(Some(match json.find("expires_at") {
        Some(expiry) => refresh.expires_at(UnixTime::from_secs(seconds(expiry).ok_or_else(malformed)?)),
        None => refresh,
    }))
}

/// Writes a temporary file, which has the mode 0600 from the start, and renames it.
fn save(path: &Path, refresh: Option<&RefreshToken>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let Some(refresh) = refresh else {
        return match fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| sync(folder)),
        };
    };
    let mut json = json!({ "refresh_token": refresh.expose() });
    if let Some(expiry) = refresh.expiry() {
        json["expires_at"] = expiry.as_secs().into();
    }
    let mut text = buffer();
    let written = serde_json::to_writer(&mut *text, &json);
    if let Some(Value::String(secret)) = json.get_mut("refresh_token") {
        secret.zeroize();
    }
    written?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(&text)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync(folder)
}

/// Writes a folder to disk, and with it the new or removed name. Some systems cannot open a folder.
fn sync(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        Err(_) => Ok(()),
    }
}

#[cfg(unix)]
fn is_private(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o077 == 0
}

#[cfg(not(unix))]
fn is_private(_metadata: &fs::Metadata) -> bool {
    true
}

/// A buffer that is wiped, with room for usual tokens: one that a reallocation leaves behind is not wiped.
fn buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(16 * 1024))
}

/// The maximum length of the file. A longer one is malformed.
const MAX_BYTES: usize = 1 << 20;

fn failed(message: &'static str, error: io::Error) -> TokenError {
    TokenError::new(TokenErrorKind::Store, message).because(error)
}
