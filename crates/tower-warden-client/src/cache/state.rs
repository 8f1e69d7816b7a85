use std::{pin::Pin, time::Duration};

use futures_util::future::Shared;
use tower_warden::UnixTime;

use super::settings::{Moment, Settings};
use crate::{Token, TokenError, unverified_expiry};

/// A pending refresh, shared by all requests that wait for it.
pub(super) type Pending = Shared<Pin<Box<dyn Future<Output = Result<Token, TokenError>> + Send>>>;

/// The token for one set of scopes, and the attempts to replace it.
#[derive(Default)]
pub(super) struct State {
    entry: Option<Entry>,
    failure: Option<Failure>,
    pending: Option<(u64, Pending)>,
    started: u64,
    refusals: Refusals,
}

struct Entry {
    /// The second of the steady clock in which it was last found not to be due for a refresh.
    fresh_at: Option<UnixTime>,
    /// The lifetime in seconds.
    lifetime: u64,
    obtained: Moment,
    /// The age at which it is refreshed, in seconds.
    refresh_age: u64,
    token: Token,
}

/// A refresh that failed. Another one starts when the delay is over.
struct Failure {
    /// The attempts of the refresh, with those of the interrupted ones that it continued.
    attempts: u32,
    count: u32,
    /// States that the delay also applies after the token that was valid at the time has expired.
    is_final: bool,
    error: TokenError,
    until: UnixTime,
}

/// The tokens that servers refused, within the current minute.
#[derive(Default)]
struct Refusals {
    count: u32,
    since: UnixTime,
}

/// The next step of a request for a token.
pub(super) enum Decision {
    /// Uses the token, or fails.
    Now(Result<Token, TokenError>),
    /// Starts a refresh, and uses the token if it does not succeed soon.
    RefreshEarly(Token),
    /// Starts a refresh, and waits for it.
    Refresh,
    /// Waits for the pending refresh.
    Wait(Pending),
}

impl State {
    /// Decides by both clocks. A token that was fresh is so until the steady clock shows another second, because
    /// reading a clock is a large part of what a cached token costs. The other clock, which also counts the time of a
    /// suspended machine, is compared once a second.
    pub(super) fn decide(&mut self, settings: &Settings) -> Decision {
        let steady = settings.clock.steady();
        if let Some(entry) = self.entry.as_ref().filter(|entry| entry.fresh_at == Some(steady)) {
            return Decision::Now(Ok(entry.token.clone()));
        }
        let moment = Moment { now: settings.clock.now(), steady };
        if let Some(entry) = self.entry.as_mut().filter(|entry| entry.is_fresh(moment)) {
            entry.fresh_at = Some(steady);
            return Decision::Now(Ok(entry.token.clone()));
        }
        match self.entry.as_ref().filter(|entry| entry.is_valid(moment)) {
            Some(entry) if self.pending.is_some() || self.held(moment).is_some() => {
                Decision::Now(Ok(entry.token.clone()))
            }
            Some(entry) => Decision::RefreshEarly(entry.token.clone()),
            None => match (&self.pending, self.held(moment).filter(|failure| failure.is_final)) {
                (Some((_, pending)), _) => Decision::Wait(pending.clone()),
                (None, Some(failure)) => Decision::Now(Err(failure.error.clone())),
                (None, None) => Decision::Refresh,
            },
        }
    }

    /// The number of the next refresh.
    pub(super) const fn next_number(&mut self) -> u64 {
        self.started += 1;
        self.started
    }

    pub(super) fn register(&mut self, number: u64, pending: Pending) {
        self.pending = Some((number, pending));
    }

    /// Ends a refresh, whatever its result. A newer one is not affected.
    pub(super) fn end(&mut self, number: u64) {
        self.pending.take_if(|(current, _)| *current == number);
    }

    pub(super) fn store(&mut self, token: &Token, requested: Moment, settings: &Settings) {
        let lifetime = lifetime(token, requested.now, settings.default_lifetime);
        let refresh_age = settings.refresh_age(lifetime);
        let token = token.clone();
        self.entry = Some(Entry { fresh_at: None, lifetime, obtained: requested, refresh_age, token });
        self.failure = None;
    }

    /// Delays the next refresh: by what the server asks for, otherwise by 1, 2, 4, 8, 16 and then 30 seconds.
    pub(super) fn fail(&mut self, error: &TokenError, attempts: u32, moment: Moment) {
        let count = self.failure.as_ref().map_or(0, |failure| failure.count);
        let delay = error.retry_after().unwrap_or_default().max(Duration::from_secs((1_u64 << count.min(5)).min(30)));
        let is_early = self.entry.as_ref().is_some_and(|entry| entry.is_valid(moment));
        let is_final = !is_early || error.retry_after().is_some();
        let (count, error, until) = (count.saturating_add(1), error.clone(), moment.steady + delay);
        self.failure = Some(Failure { attempts, count, is_final, error, until });
    }

    /// The attempts of the last refresh, if its server has asked for a delay before the next one.
    pub(super) fn interrupted(&self) -> u32 {
        let interrupted = self.failure.as_ref().filter(|failure| failure.error.retry_after().is_some());
        interrupted.map_or(0, |failure| failure.attempts)
    }

    /// Drops the token if it is still the current one, up to a number of times a minute. Returns whether it was
    /// dropped.
    pub(super) fn invalidate(&mut self, token: &Token, moment: Moment) -> bool {
        let is_current = self.entry.as_ref().is_some_and(|entry| entry.token == *token);
        let is_dropped = is_current && self.refusals.admit(moment.steady);
        if is_dropped {
            self.entry = None;
        }
        is_dropped
    }

    /// Returns whether nothing would be lost with this state: no token, no refresh, and no limit that holds requests off.
    pub(super) fn is_idle(&self, moment: Moment) -> bool {
        self.pending.is_none()
            && self.held(moment).is_none()
            && !self.refusals.is_counting(moment.steady)
            && !self.entry.as_ref().is_some_and(|entry| entry.is_valid(moment))
    }

    /// The seconds until a refresh is due.
    pub(super) fn refresh_in(&self, moment: Moment) -> u64 {
        let due = self.entry.as_ref().map_or(0, |entry| entry.refresh_age.saturating_sub(moment.since(entry.obtained)));
        let held = self.failure.as_ref().map_or(0, |failure| failure.until.as_secs());
        due.max(held.saturating_sub(moment.steady.as_secs()))
    }

    fn held(&self, moment: Moment) -> Option<&Failure> {
        self.failure.as_ref().filter(|failure| moment.steady < failure.until)
    }
}

impl Entry {
    /// Returns whether it is not due for a refresh: it is valid then, because the age of a refresh is at most the
    /// lifetime.
    fn is_fresh(&self, moment: Moment) -> bool {
        moment.since(self.obtained) < self.refresh_age
    }

    fn is_valid(&self, moment: Moment) -> bool {
        moment.since(self.obtained) < self.lifetime
    }
}

impl Refusals {
    const INTERVAL: Duration = Duration::from_secs(60);

    fn is_counting(&self, steady: UnixTime) -> bool {
        self.count > 0 && steady < self.since + Self::INTERVAL
    }

    fn admit(&mut self, steady: UnixTime) -> bool {
        if steady >= self.since + Self::INTERVAL {
            *self = Self { count: 0, since: steady };
        }
        self.count += 1;
        self.count <= MAX_REFUSALS
    }
}

/// `expires_in`, otherwise `exp`, otherwise the default, in seconds.
///
/// An `exp` in the past is that of a clock that is ahead, not of a token that was just issued.
fn lifetime(token: &Token, now: UnixTime, default: Duration) -> u64 {
    let until = |expiry: UnixTime| expiry.as_secs().saturating_sub(now.as_secs());
    match token.expiry() {
        Some(expiry) => until(expiry),
        None => match unverified_expiry(token.expose()).map_or(0, until) {
            0 => default.as_secs(),
            lifetime => lifetime,
        },
    }
}

/// The number of tokens that servers may refuse each minute. A server that refuses every token would otherwise cause a
/// token request for each request.
const MAX_REFUSALS: u32 = 5;
