use std::{
    cell::Cell,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};

use super::{
    clock::{Clock, Moment},
    unix::{Timestamp, UnixTime},
};

/// The clock of the system.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        UnixTime::now()
    }

    /// The time of the first call, plus the time that has passed since then on the monotonic clock.
    fn steady(&self) -> UnixTime {
        steady(Instant::now())
    }

    fn timestamp(&self) -> Timestamp {
        SystemTime::now().into()
    }

    /// Reads the monotonic clock. The other times are those of the last moment of the same thread, if that is less than a
    /// millisecond ago: the clocks would take most of the time of a look-up in a cache.
    fn moment(&self) -> Moment {
        const OLDEST: Duration = Duration::from_millis(1);
        thread_local! {
            static LAST: Cell<Option<Moment>> = const { Cell::new(None) };
        }
        let instant = Instant::now();
        let is_recent = |last: &Moment| instant.checked_duration_since(last.instant).is_some_and(|age| age < OLDEST);
        if let Some(last) = LAST.get().filter(is_recent) {
            return Moment { instant, ..last };
        }
        let time = SystemTime::now();
        let moment = Moment { now: time.into(), steady: steady(instant), instant, timestamp: time.into() };
        LAST.set(Some(moment));
        moment
    }
}

/// The time of the first call, plus the time that has passed from then to this instant.
fn steady(instant: Instant) -> UnixTime {
    static START: LazyLock<(UnixTime, Instant)> = LazyLock::new(|| (SystemTime::now().into(), Instant::now()));
    START.0 + instant.saturating_duration_since(START.1)
}
