use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_warden::{Eventual, UnixTime};

use crate::{
    Attempt, Refresh, RefreshToken, Token, TokenError, TokenErrorKind, TokenRequest, TokenSource, store::TokenStore,
    token::OwnedRequest,
};

/// Tokens for a refresh token ([RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6)), with a full login
/// where that is not possible.
///
/// The login takes place if there is no refresh token, if less than 60 seconds of it are left, if refreshing fails, or,
/// where the failure is a temporary one, if the last attempt fails. A refresh token that was refused is removed from the
/// store if the login yields no other one.
///
/// A rotated refresh token is saved before it is used. If the store fails, the access token is returned, a warning is
/// logged, and the refresh token is kept in memory; it is saved before the next refresh, or given up for a login.
///
/// The store is locked during a refresh, so that two processes with one store do not use one refresh token twice:
/// servers take that for theft, and revoke all tokens.
///
/// # Examples
///
/// ```no_run
/// use tower_warden::fetch::HttpClient;
/// use tower_warden_client::{
///     CachedToken,
///     grant::{JsonLogin, RefreshGrant},
///     store::FileTokenStore,
/// };
///
/// let login = JsonLogin::new("https://api.example.com/auth/token", HttpClient::new()?)?
///     .field("agent_id", "agent-7")
///     .secret("agent_secret", &std::env::var("AGENT_SECRET")?)
///     .refresh_at("https://api.example.com/auth/refresh", "refresh_token")?;
/// let grant = RefreshGrant::new(login.clone(), FileTokenStore::new("/var/lib/agent/refresh-token")).login(login);
/// let tokens = CachedToken::new(grant);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RefreshGrant {
    login: Option<Arc<dyn TokenSource>>,
    refresh: Arc<dyn Refresh>,
    store: Arc<dyn TokenStore>,
    /// A rotated refresh token that the store could not save. Locked while the store is.
    unsaved: Arc<tokio::sync::Mutex<Option<RefreshToken>>>,
}

impl RefreshGrant {
    /// Refreshes tokens with the refresh token of this store.
    pub fn new(refresh: impl Refresh, store: impl TokenStore) -> Self {
        Self { login: None, refresh: Arc::new(refresh), store: Arc::new(store), unsaved: Arc::default() }
    }

    /// Sets the full login. Its tokens have a refresh token, or each token needs a login.
    pub fn login(mut self, login: impl TokenSource) -> Self {
        self.login = Some(Arc::new(login));
        self
    }

    async fn obtain(&self, request: &OwnedRequest) -> Result<Token, TokenError> {
        let mut unsaved = self.unsaved.lock().await;
        let refresh = match self.saved(&mut unsaved).await {
            Ok(refresh) => refresh.filter(|refresh| is_usable(refresh, request.now)),
            Err(error) if self.login.is_some() => {
                tracing::warn!(%error, "the refresh token cannot be read; a full login takes place");
                None
            }
            Err(error) => return Err(error),
        };
        let mut is_refused = false;
        if let Some(refresh) = refresh {
            match self.refresh.refresh(&refresh, &request.as_request()).wait().await {
                Ok(token) => return Ok(self.keep(token, &mut unsaved).await),
                Err(error) if !self.falls_back(&error, request.attempt) => return Err(error),
                Err(error) => {
                    is_refused = is_refusal(&error);
                    tracing::info!(%error, "refreshing failed; a full login takes place");
                }
            }
        }
        let missing = || TokenError::new(TokenErrorKind::InvalidGrant, "there is no usable refresh token");
        let login = self.login.as_ref().ok_or_else(missing)?;
        let token = login.token(&request.as_request()).wait().await?;
        if is_refused && token.refresh_token().is_none() && self.store.save(None).wait().await.is_err() {
            tracing::warn!("a refused refresh token cannot be removed from its store");
        }
        Ok(self.keep(token, &mut unsaved).await)
    }

    /// The refresh token of the store, after one that is not saved yet was saved.
    async fn saved(&self, unsaved: &mut Option<RefreshToken>) -> Result<Option<RefreshToken>, TokenError> {
        if let Some(refresh) = unsaved.as_ref() {
            // It is not used before: a crash after its use would leave a used one in the store. It is kept until it is saved, or
            // replaced by that of a login: the one in the store was used already.
            self.store.save(Some(refresh)).wait().await?;
            *unsaved = None;
        }
        self.store.load().wait().await
    }

    /// Takes the refresh token off a token, and saves it.
    async fn keep(&self, mut token: Token, unsaved: &mut Option<RefreshToken>) -> Token {
        let Some(refresh) = token.take_refresh_token() else { return token };
        *unsaved = match self.store.save(Some(&refresh)).wait().await {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(%error, "a refresh token cannot be saved; it is not used before it is");
                Some(refresh)
            }
        };
        token
    }

    fn falls_back(&self, error: &TokenError, attempt: Attempt) -> bool {
        // A temporary failure would probably be one of the login, too.
        let is_temporary = error.kind() == TokenErrorKind::Unavailable;
        self.login.is_some() && (!is_temporary || attempt == Attempt::Last)
    }
}

impl TokenSource for RefreshGrant {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let (this, mut request) = (self.clone(), OwnedRequest::of(request));
        // Requests to the store and to the authorization server.
        Eventual::later(async move {
            let begun = Instant::now();
            let lock = this.store.lock().wait().await?;
            // Another process may have held the lock for long: proofs and assertions state the time at which they are made.
            request.now = request.now + begun.elapsed();
            // A task of its own, which holds the lock: whoever gives up waiting, a refresh token that the server has rotated is
            // saved.
            let task = tokio::spawn(async move {
                let _lock = lock;
                this.obtain(&request).await
            });
            let aborted = |_| TokenError::new(TokenErrorKind::Unavailable, "the refresh was aborted");
            task.await.unwrap_or_else(|error| Err(aborted(error)))
        })
    }
}

impl fmt::Debug for RefreshGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshGrant").field("has_login", &self.login.is_some()).finish_non_exhaustive()
    }
}

/// Returns whether an error may be about the refresh token: with no registered code, it is not known to be about anything
/// else, and after an unusable response, the token may have been used up. Codes for other reasons state nothing about it:
/// the scopes of `invalid_scope`, for example, are those of an API.
fn is_refusal(error: &TokenError) -> bool {
    match error.kind() {
        TokenErrorKind::InvalidGrant | TokenErrorKind::Response => true,
        TokenErrorKind::Refused => error.code().is_none(),
        _ => false,
    }
}

fn is_usable(refresh: &RefreshToken, now: UnixTime) -> bool {
    refresh.expiry().is_none_or(|expiry| expiry >= now + MARGIN)
}

/// The rest of the lifetime with which a refresh token is not used: it could expire on the way.
const MARGIN: Duration = Duration::from_secs(60);
