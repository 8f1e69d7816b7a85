use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tower_warden::Eventual;
use zeroize::Zeroizing;

use crate::{Token, TokenError, TokenErrorKind, TokenRequest, TokenSource, secret::read_text, unverified_expiry};

/// A token in a file that another process renews, such as that of a workload identity.
///
/// Each request reads the file, so use it within a [`CachedToken`](crate::CachedToken). White space around the token is
/// ignored, and its expiry is [read from it](unverified_expiry).
///
/// # Examples
///
/// ```
/// use tower_warden::UnixTime;
/// use tower_warden_client::{TokenErrorKind, TokenRequest, TokenSource, grant::TokenFile};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("token");
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let request = TokenRequest::new(UnixTime::now());
/// let error = TokenFile::new(&path).token(&request).wait().await.unwrap_err();
/// assert_eq!(error.kind(), TokenErrorKind::Store);
///
/// std::fs::write(&path, "the-token\n")?;
/// assert_eq!(TokenFile::new(&path).token(&request).wait().await?.expose(), "the-token");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenFile {
    path: Arc<Path>,
}

impl TokenFile {
    /// Reads tokens from this file. It need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path: PathBuf = path.into();
        Self { path: path.into() }
    }
}

impl TokenSource for TokenFile {
    fn token(&self, _request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let path = Arc::clone(&self.path);
        // The file system may be a slow one.
        Eventual::later(async move {
            let failed = |_| TokenError::new(TokenErrorKind::Store, "the token file was not read");
            tokio::task::spawn_blocking(move || read(&path)).await.map_err(failed)?
        })
    }
}

fn read(path: &Path) -> Result<Token, TokenError> {
    let unreadable = |error| TokenError::new(TokenErrorKind::Store, "the token file cannot be read").because(error);
    let text = Zeroizing::new(read_text(path).map_err(unreadable)?);
    let token = Token::bearer(text.trim())
        .map_err(|_| TokenError::new(TokenErrorKind::Store, "the token file contains no token"))?;
    Ok(match unverified_expiry(text.trim()) {
        Some(expiry) => token.expires_at(expiry),
        None => token,
    })
}
