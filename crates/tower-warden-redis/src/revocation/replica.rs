//! The copy of the list on one node.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tower_warden::{
    Clock, Environment, Eventual, Unavailable, UnixTime,
    caller::Identity,
    revocation::{MemoryRevocationList, Revocation, RevocationErrorKind, RevocationList, RevocationName},
};

/// The time for which a copy is complete after a heartbeat was sent.
pub(super) const LEASE: Duration = Duration::from_millis(150);

/// The copy of the list on one node, and whether it is complete.
///
/// Invariant: at a time before `complete_until`, every revocation that was stored in Redis more than `LEASE` ago is in
/// `list`. The time is set by [`heard`](Self::heard) only, if the whole list was read since the subscription was made and
/// since a message was dropped, and if all of it could be stored.
pub(super) struct Replica {
    list: MemoryRevocationList,
    start: Instant,
    /// The end, in nanoseconds since `start`; read on each query.
    complete_until: AtomicU64,
    malformed: AtomicU64,
    state: Mutex<State>,
    /// Notified when the whole list was read.
    read: Notify,
}

#[derive(Default)]
struct State {
    /// The time at which the whole list had been read, if nothing was dropped since the reading began.
    read_at: Option<Instant>,
    /// The number of losses and dropped messages: a reading that began before one does not count.
    gaps: u64,
}

/// A reading of the whole list.
pub(super) struct Reading {
    gaps: u64,
}

impl Replica {
    pub(super) fn new(clock: &Arc<dyn Clock>) -> Self {
        let environment = Environment::default().with_clock(Arc::clone(clock));
        let list = MemoryRevocationList::default().environment(&environment);
        Self {
            list,
            start: Instant::now(),
            complete_until: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            state: Mutex::default(),
            read: Notify::new(),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.nanoseconds(Instant::now()) < self.complete_until.load(Ordering::Acquire)
    }

    pub(super) fn malformed_messages(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }

    /// Queries the revocations that this node has received.
    pub(super) fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
        self.list.is_revoked(identity)
    }

    /// Begins to read the whole list.
    pub(super) fn begin_reading(&self) -> Reading {
        Reading { gaps: self.state().gaps }
    }

    /// Ends a reading of which everything could be stored.
    pub(super) fn end_reading(&self, reading: &Reading) {
        let mut state = self.state();
        if state.gaps == reading.gaps {
            state.read_at = Some(Instant::now());
            self.read.notify_one();
        }
    }

    /// Waits until the whole list was read: the next heartbeat can make the copy complete.
    pub(super) async fn was_read(&self) {
        self.read.notified().await;
    }

    /// Returns `true` if the whole list has to be read.
    pub(super) fn needs_reading(&self) -> bool {
        self.state().read_at.is_none()
    }

    /// All revocations that were published before this time have been received.
    pub(super) fn heard(&self, published_until: Instant) {
        let state = self.state();
        // A heartbeat from before the end of the reading does not prove that the list was read from the same server.
        if state.read_at.is_some_and(|read_at| read_at <= published_until) {
            self.complete_until.fetch_max(self.nanoseconds(published_until + LEASE), Ordering::AcqRel);
        }
    }

    /// Revocations may be missing until the list is read again.
    pub(super) fn lose(&self) {
        let mut state = self.state();
        state.gaps += 1;
        state.read_at = None;
        self.complete_until.store(0, Ordering::Release);
    }

    /// Adds a revocation, if it fits.
    pub(super) fn add(&self, revocation: Revocation, until: UnixTime) {
        if !self.store(revocation, until) {
            tracing::warn!("a revocation cannot be stored on this node; Redis is queried for each credential");
            self.lose();
        }
    }

    /// Adds a published revocation; one that cannot be parsed is dropped.
    pub(super) fn add_message(&self, payload: &[u8]) {
        // Two numbers and the name, separated by spaces; the name may contain spaces.
        let spaces = payload.iter().enumerate().filter(|(_, byte)| **byte == b' ');
        let end_of_times = spaces.map(|(index, _)| index).nth(1).unwrap_or(payload.len());
        let name = RevocationName::from_bytes(payload.get(end_of_times + 1..).unwrap_or_default());
        if let (Some(name), Some((issued_until, until))) = (name, parse_times(&payload[..end_of_times])) {
            self.add(Revocation::new(name, issued_until), until);
            return;
        }
        if self.malformed.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("a message is not a revocation; it is dropped, and the list is read again");
        }
        self.lose();
    }

    /// Adds a stored revocation, and returns whether the copy decides as Redis does.
    ///
    /// A name that cannot be parsed is one that no credential has here. A known name with times that cannot be parsed must
    /// not admit a credential: the query of Redis refuses those that have the name.
    pub(super) fn add_stored(&self, name: &[u8], times: &[u8]) -> bool {
        match (RevocationName::from_bytes(name), parse_times(times)) {
            (Some(name), Some((issued_until, until))) => self.store(Revocation::new(name, issued_until), until),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    /// Returns `false` if the copy would not decide as Redis does: there is no room, or the name is too long for the
    /// list.
    ///
    /// The list refuses the credentials of an expired revocation by their expiry, also if the clock of this node was
    /// ahead. A revocation without a name or a needed issuer covers nothing.
    fn store(&self, revocation: Revocation, until: UnixTime) -> bool {
        let covers_nothing = |kind| {
            matches!(kind, RevocationErrorKind::Expired | RevocationErrorKind::NoIssuer | RevocationErrorKind::NoName)
        };
        self.list.revoke(revocation, until).map_or_else(|error| covers_nothing(error.kind()), |()| true)
    }

    fn nanoseconds(&self, time: Instant) -> u64 {
        u64::try_from(time.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Parses the last covered second of issue, and the expiry of the covered credentials.
pub(super) fn parse_times(text: &[u8]) -> Option<(UnixTime, UnixTime)> {
    let (issued_until, until) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    let time = |text: &str| text.parse().ok().map(UnixTime::from_secs);
    Some((time(issued_until)?, time(until)?))
}

#[cfg(test)]
mod tests {
    use tower_warden::{AuthMethod, ManualClock};

    use super::*;

    fn replica() -> Replica {
        let clock: Arc<dyn Clock> = Arc::new(tower_warden::SystemClock::default());
        Replica::new(&clock)
    }

    /// A heartbeat that is valid for as long as the test takes.
    fn late() -> Instant {
        Instant::now() + Duration::from_secs(3_600)
    }

    #[test]
    fn a_copy_is_complete_for_a_time_after_a_heartbeat_that_was_sent_after_the_list_was_read() {
        let replica = replica();
        replica.heard(late());
        assert!(!replica.is_complete(), "nothing was read");
        let before = Instant::now();
        replica.end_reading(&replica.begin_reading());
        replica.heard(before.checked_sub(Duration::from_millis(1)).unwrap_or(before));
        assert!(!replica.is_complete(), "the heartbeat is older");
        replica.heard(late());
        assert!(replica.is_complete());
        replica.lose();
        assert!(!replica.is_complete());
        replica.heard(late());
        assert!(!replica.is_complete(), "it was not read again");
    }

    #[test]
    fn a_dropped_message_makes_the_copy_incomplete_until_it_is_read_again() {
        for message in [&b"?"[..], b"", b"1 2", b"1 2 ?", b"a b k\0\0\0\0key", b"\xff\xff", b"1  2 k\0\0\0\0key"] {
            let replica = replica();
            replica.end_reading(&replica.begin_reading());
            replica.heard(late());
            // Read while the message arrives.
            let reading = replica.begin_reading();
            replica.add_message(message);
            replica.end_reading(&reading);
            replica.heard(late());
            assert!(!replica.is_complete() && replica.needs_reading(), "{message:?}");
            assert_eq!(replica.malformed_messages(), 1);
            replica.end_reading(&replica.begin_reading());
            replica.heard(late());
            assert!(replica.is_complete());
        }
    }

    #[test]
    fn a_stored_entry_with_a_known_name_and_other_times_is_left_to_the_query_and_an_unknown_name_matches_nothing() {
        let name = Revocation::key("key").name().to_bytes();
        let replica = replica();
        assert!(replica.add_stored(&name, b"100 99999999999"));
        assert!(!replica.add_stored(&name, b"100"));
        assert!(replica.add_stored(b"?", b"100"));
    }

    #[test]
    fn a_revocation_that_is_too_long_for_the_copy_is_left_to_the_query() {
        let name = Revocation::key("k".repeat(2_000)).name().to_bytes();
        let replica = replica();
        assert!(!replica.add_stored(&name, b"100 99999999999"));
        replica.end_reading(&replica.begin_reading());
        replica.heard(late());
        replica.add_message(&[b"100 99999999999 ", name.as_slice()].concat());
        assert!(!replica.is_complete());
    }

    #[test]
    fn a_revocation_that_seems_expired_applies_after_the_clock_of_the_node_was_set_back() {
        let (start, clock) = (UnixTime::from_secs(1_800_000_000), ManualClock::at(UnixTime::from_secs(1_800_010_000)));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let replica = Replica::new(&shared);
        let revocation = Revocation::token("https://issuer.test", "1");
        assert!(replica.add_stored(&revocation.name().to_bytes(), b"18446744073709551615 1800000060"));
        clock.set(start);
        let mut token = Identity::new("alice", AuthMethod::Jwt);
        (token.issuer, token.token_id) = (Some("https://issuer.test".into()), Some("1".into()));
        token.expires_at = Some(start + Duration::from_secs(60));
        assert!(matches!(replica.is_revoked(&token), Eventual::Now(Ok(true))));
    }
}
