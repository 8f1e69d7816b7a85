use std::{
    env,
    ffi::OsString,
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use tower_warden::Eventual;
use zeroize::Zeroizing;

use super::{
    Changes, Polling, Secret, SecretError, SecretErrorKind, SecretSource, Versioned,
    polled::{Polled, Reader, Reading},
};

/// Secrets in the files of a directory, each named by its file: Docker and Kubernetes secrets, and credentials of systemd.
///
/// A file is read again when the [interval](Polling::interval) has passed, and compared by its content, so it does not matter
/// how it is replaced: by a new file, or as in Kubernetes by a symbolic link `..data` that refers to another directory. The
/// value before a change remains valid for the [overlap](Polling::overlap). One line ending at the end of a file is not a
/// part of the secret.
///
/// If a file that was read before vanishes, is empty or cannot be read, its last value remains in use, with one warning. A
/// writer that does not replace the file by a rename may be seen half-way.
///
/// It needs a tokio runtime, which reads the files on its threads for blocking calls.
///
/// # Examples
///
/// ```
/// use std::fs;
/// use tower_warden_client::secret::{FileSecrets, SecretErrorKind, SecretSource};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = tempfile::tempdir()?;
/// fs::write(directory.path().join("billing-key"), "sk_live_0123456789abcdef\n")?;
///
/// let secrets = FileSecrets::new(directory.path());
/// let key = secrets.get("billing-key").wait().await?;
/// assert_eq!(key.current().expose(), "sk_live_0123456789abcdef");
///
/// let missing = secrets.get("reports-key").wait().await.unwrap_err();
/// assert_eq!(missing.kind(), SecretErrorKind::Missing);
/// let outside = secrets.get("../../etc/passwd").wait().await.unwrap_err();
/// assert_eq!(outside.kind(), SecretErrorKind::Name);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FileSecrets(Arc<Polled<Directory>>);

impl FileSecrets {
    /// Reads secrets from the files of this directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self::of(Directory(directory.into()), Polling::default())
    }

    /// Reads the secrets of a Docker container, which are in `/run/secrets`.
    #[must_use]
    pub fn docker() -> Self {
        Self::new("/run/secrets")
    }

    /// Reads the credentials of a unit of systemd (`LoadCredential=` and the like), which are in the directory that the
    /// variable `CREDENTIALS_DIRECTORY` names.
    ///
    /// # Errors
    ///
    /// If the variable is not set, or is not an absolute path: the unit has no credentials.
    pub fn systemd() -> Result<Self, SecretError> {
        credentials_directory(env::var_os(CREDENTIALS_DIRECTORY)).map(Self::new)
    }

    /// Replaces the settings, and forgets what was read.
    #[must_use]
    pub fn polling(self, polling: Polling) -> Self {
        Self::of(Directory(self.0.reader.0.clone()), polling)
    }

    /// Reads all secrets that were requested again at each interval, in a task that ends when the last clone of this source is
    /// dropped. Without it, a change is noticed, and notified, by the next [`get`](SecretSource::get).
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    #[must_use]
    pub fn poll_in_background(self) -> Self {
        self.0.poll_in_background();
        self
    }

    fn of(directory: Directory, polling: Polling) -> Self {
        Self(Arc::new(Polled::new(directory, polling)))
    }
}

impl SecretSource for FileSecrets {
    fn get(&self, name: &str) -> Eventual<Result<Versioned<Secret>, SecretError>> {
        self.0.get(name)
    }

    fn changes(&self) -> Changes {
        self.0.subscribe()
    }
}

impl fmt::Debug for FileSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSecrets").field("directory", &self.0.reader.0).finish_non_exhaustive()
    }
}

struct Directory(PathBuf);

impl Reader for Directory {
    async fn read(&self, name: &str) -> Result<Reading, SecretError> {
        // Neither another directory nor the links of Kubernetes.
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', ':', '\0']) {
            let problem = "the name of a secret is that of a file, without a path or a dot at its beginning";
            return Err(SecretError::new(SecretErrorKind::Name, name, problem));
        }
        let path = self.0.join(name);
        let read = tokio::task::spawn_blocking(move || read_text(&path)).await;
        let text = read.unwrap_or_else(|error| Err(io::Error::other(error)));
        let problem = |kind, problem| SecretError::new(kind, name, problem);
        match text {
            Ok(text) if text.is_empty() => Err(problem(SecretErrorKind::Missing, "the file is empty")),
            Ok(text) => Ok(Reading { secret: Secret::new(text), version: None }),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::NotFound => problem(SecretErrorKind::Missing, "the file does not exist").because(error),
                io::ErrorKind::InvalidData => {
                    problem(SecretErrorKind::Format, "a secret is a regular file of UTF-8 text, of at most 1 MiB")
                }
                _ => problem(SecretErrorKind::Unavailable, "the file cannot be read").because(error),
            }),
        }
    }
}

/// Reads the text of a regular file, of at most 1 MiB, without a copy that is not overwritten.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let refused = || io::Error::from(io::ErrorKind::InvalidData);
    // Before it is opened, which would wait for the writer of a pipe.
    if !fs::metadata(path)?.is_file() {
        return Err(refused());
    }
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    // With room to notice the end and a file that has grown, so that the buffer is not moved.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.min(MAX_BYTES) + 64));
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        return Err(refused());
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    String::from_utf8(std::mem::take(&mut *bytes)).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        refused()
    })
}

fn credentials_directory(variable: Option<OsString>) -> Result<PathBuf, SecretError> {
    let directory = variable.map(PathBuf::from).filter(|directory| directory.is_absolute());
    let problem = "systemd sets the variable to an absolute path, for units with credentials only";
    directory.ok_or_else(|| SecretError::new(SecretErrorKind::Missing, CREDENTIALS_DIRECTORY, problem))
}

const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The maximum length of a file: that of a whole Secret of Kubernetes.
const MAX_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_systemd_are_in_the_directory_that_a_variable_names() {
        let directory = credentials_directory(Some("/run/credentials/billing.service".into())).expect("a directory");
        assert_eq!(directory, Path::new("/run/credentials/billing.service"));
        for absent in [None, Some("".into()), Some("credentials".into())] {
            let error = credentials_directory(absent).expect_err("no credentials");
            assert_eq!((error.kind(), error.name()), (SecretErrorKind::Missing, "CREDENTIALS_DIRECTORY"));
        }
    }
}
