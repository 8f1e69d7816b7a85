//! Tokens that are kept until shortly before they expire.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::timeout;
use tower_warden::{Environment, Eventual, scope::Scopes};

use self::{
    background::keep_fresh,
    settings::Settings,
    slots::Slots,
    state::{Decision, Pending},
};
use crate::{Token, TokenError, TokenRequest, TokenSource};

mod background;
mod refresh;
mod settings;
mod slots;
mod state;

/// A source that keeps the token of another source, and refreshes it early. Clones share the token.
///
/// - A token is refreshed 120 seconds before it expires, plus a jitter of up to 30 seconds that differs between
///   instances, and at most half its lifetime before. The first request in that time waits for the refresh for up to
///   one second, and is then served with the old token, as all others are. If the refresh fails, the old token serves
///   until it expires.
/// - There is one refresh at a time for each of up to 65 sets of scopes, however many requests wait. It is a task that ends within
///   the time limit of three attempts, and does not depend on the request that started it. Between refreshes, nothing
///   runs, unless it is [refreshed in the background](Self::refresh_in_background).
/// - Temporary failures are repeated twice within a refresh, or by the next refreshes where the server asks for a delay
///   in `Retry-After`: the third attempt is the [last](crate::Attempt::Last). The error is returned to all requests
///   that wait, and to those of the next second; that time doubles up to 30 seconds, or is what the server asks for in
///   `Retry-After`.
/// - [`invalidate`](TokenSource::invalidate) drops a token only while it is the current one: 100 responses with 401 to
///   requests with one token cause one refresh. At most five tokens of a set of scopes are dropped in a
///   minute.
/// - The lifetime is that of `expires_in`, otherwise of [`exp`](crate::unverified_expiry), otherwise five minutes. It
///   is measured by the steady time of the clock as well, so that a clock that is set back does not extend it. A token
///   that is not to be refreshed yet is not examined again within the same second of the steady time.
///
/// One cache is for one source: one issuer, client, resource and subject. Additional scopes have a token of their own
/// each. Tokens are obtained on a tokio runtime with its timers.
///
/// # Examples
///
/// ```
/// use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
/// use tower_warden::{Environment, Eventual, ManualClock, UnixTime};
/// use tower_warden_client::{CachedToken, Token, TokenError, TokenErrorKind, TokenRequest, TokenSource};
///
/// /// A server that issues one token for an hour, and then fails.
/// struct Once(AtomicU32);
///
/// impl TokenSource for Once {
///     fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
///         Eventual::Now(match self.0.fetch_add(1, Ordering::Relaxed) {
///             0 => Token::bearer("first").map(|token| token.expires_at(request.now() + Duration::from_secs(3_600))),
///             _ => Err(TokenError::new(TokenErrorKind::Refused, "the server refuses")),
///         })
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let clock = ManualClock::at(UnixTime::from_secs(1_800_000_000));
/// let environment = Environment::default().with_clock(clock.clone());
/// let tokens = CachedToken::new(Once(AtomicU32::new(0))).environment(&environment);
/// let token = async || tokens.token(&TokenRequest::new(UnixTime::now())).wait().await;
/// assert_eq!(token().await?.expose(), "first");
///
/// // The early refresh fails, and the token is still valid.
/// clock.advance(Duration::from_secs(3_590));
/// assert_eq!(token().await?.expose(), "first");
///
/// clock.advance(Duration::from_secs(10));
/// assert_eq!(token().await.unwrap_err().kind(), TokenErrorKind::Refused);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct CachedToken<T> {
    settings: Settings,
    slots: Arc<Slots>,
    source: Arc<T>,
}

impl<T: TokenSource> CachedToken<T> {
    /// Keeps the tokens of this source.
    pub fn new(source: T) -> Self {
        Self { settings: Settings::default(), slots: Arc::default(), source: Arc::new(source) }
    }

    /// Sets the clock.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.settings.clock = environment.clock();
        self
    }

    /// Sets the lifetime of tokens whose expiry is unknown: five minutes by default.
    pub const fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.default_lifetime = lifetime;
        self
    }

    /// Sets how long before its expiry a token is refreshed: 120 seconds by default, and at most half its lifetime.
    pub const fn early(mut self, early: Duration) -> Self {
        self.settings.early = early;
        self
    }

    /// Sets the largest jitter of an early refresh: 30 seconds by default.
    pub const fn jitter(mut self, jitter: Duration) -> Self {
        self.settings.jitter = jitter;
        self
    }

    /// Sets how long an early refresh may delay a request: one second by default. The refresh continues after that.
    pub const fn max_delay(mut self, max_delay: Duration) -> Self {
        self.settings.max_delay = max_delay;
        self
    }

    /// Sets the time limit of each of the three attempts of a refresh: 30 seconds by default.
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.settings.timeout = limit;
        self
    }

    /// Obtains the token now, and refreshes it by a task, so that no request waits for it. The task ends when the last
    /// clone of the cache is dropped. Further calls change nothing. Tokens with additional scopes are not refreshed by
    /// the task.
    ///
    /// Call it after the other settings.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn refresh_in_background(self) -> Self {
        let source: Arc<dyn TokenSource> = Arc::clone(&self.source) as _;
        let task = tokio::spawn(keep_fresh(Arc::downgrade(&self.slots), self.settings.clone(), source));
        self.slots.own_task(task.abort_handle());
        self
    }

    /// The source of the tokens.
    #[must_use]
    pub fn source(&self) -> &T {
        &self.source
    }

    fn obtain(&self, scopes: &Scopes) -> Result<Obtained, TokenError> {
        let other;
        let slot = if scopes.is_empty() {
            self.slots.own()
        } else {
            other = self.slots.slot(scopes, &self.settings);
            &other
        };
        let mut state = slot.state();
        let decision = state.decide(&self.settings);
        let mut register = || slot.register(&mut state, &self.settings, Arc::clone(&self.source) as _, scopes);
        let (obtained, unstarted) = match decision {
            Decision::Now(result) => return Ok(Obtained::Now(result?)),
            Decision::Wait(pending) => return Ok(Obtained::Wait(pending)),
            Decision::Refresh => {
                let (pending, unstarted) = register()?;
                (Obtained::Wait(pending), unstarted)
            }
            Decision::RefreshEarly(old) => {
                let (pending, unstarted) = register()?;
                (Obtained::Early(pending, old), unstarted)
            }
        };
        drop(state);
        unstarted.start();
        Ok(obtained)
    }
}

/// A token, or the refresh to wait for.
enum Obtained {
    /// The refresh, and the token that is used if it does not succeed in time.
    Early(Pending, Token),
    Now(Token),
    Wait(Pending),
}

impl<T: TokenSource> TokenSource for CachedToken<T> {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        match self.obtain(request.scopes) {
            Err(error) => Eventual::Now(Err(error)),
            Ok(Obtained::Now(token)) => Eventual::Now(Ok(token)),
            // A refresh, here and below.
            Ok(Obtained::Wait(pending)) => Eventual::later(pending),
            Ok(Obtained::Early(pending, old)) => {
                let max_delay = self.settings.max_delay;
                Eventual::later(async move {
                    let refreshed = timeout(max_delay, pending).await;
                    Ok(refreshed.ok().and_then(Result::ok).unwrap_or(old))
                })
            }
        }
    }

    fn invalidate(&self, token: &Token) {
        let moment = self.settings.moment();
        let mut is_dropped = false;
        for slot in self.slots.all() {
            is_dropped |= slot.state().invalidate(token, moment);
        }
        if is_dropped {
            self.source.invalidate(token);
        }
    }
}

impl<T> Clone for CachedToken<T> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone(), slots: Arc::clone(&self.slots), source: Arc::clone(&self.source) }
    }
}

impl<T: fmt::Debug> fmt::Debug for CachedToken<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedToken")
            .field("settings", &self.settings)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
