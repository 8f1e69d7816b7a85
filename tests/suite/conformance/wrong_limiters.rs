//! Rate limiters with one fault each.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tower_warden::{
    Eventual, Unavailable,
    rate_limit::{
        Decision, LimitExceeded, LimitRequest, LimitSecret, LimitStatus, ManualStopwatch, Quota, RateLimiter, Stopwatch,
    },
    testing::conformance::{LimiterTime, rate_limiter},
};

use super::assert_violated;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    AddsUpUnusedUnits,
    AdmitsOneMore,
    ChargesRefusedRequests,
    ChargesTheFirstQuotasOfARefusedRequest,
    ChecksThenTakes,
    CountsEachSetByItself,
    CountsNothing,
    IgnoresCosts,
    IgnoresKeys,
    IgnoresNumbersOfQuotas,
    NamesOneViolatedQuota,
    None,
    ProlongsWaits,
    RefillsLateAfterTheBurst,
    RefillsShortQuotasTooFast,
    RefusesCostsAboveTheBurst,
    ReportsTheFirstQuota,
    StatesShortWaitsTooShort,
    StatesTwiceTheWait,
}

/// Of a key and a quota: when all units are back, in nanoseconds.
type Full = HashMap<String, u64>;

#[derive(Clone)]
struct Limiter {
    fault: Fault,
    full: Arc<Mutex<Full>>,
    stopwatch: ManualStopwatch,
}

/// A request against one of its quotas.
struct Line {
    count: String,
    interval: u64,
    burst: u64,
    cost: u64,
    /// Of units that are kept beyond the burst, in nanoseconds.
    credit: u64,
}

/// A request, and when it came.
struct Lines {
    lines: Vec<Line>,
    now: u64,
}

impl Line {
    fn next(&self, full: &Full, now: u64) -> u64 {
        let full = full.get(&self.count).map_or(now, |full| (*full).max(now - self.credit));
        full.saturating_add(self.interval.saturating_mul(self.cost))
    }

    fn remaining(&self, full: &Full, now: u64) -> u32 {
        let full = full.get(&self.count).copied().unwrap_or_default().max(now);
        u32::try_from((now + self.interval * self.burst).saturating_sub(full) / self.interval).unwrap()
    }
}

impl Limiter {
    fn read(&self, request: &LimitRequest<'_>) -> Lines {
        // Later than any quota takes.
        let now = (1 << 60) + u64::try_from(self.stopwatch.elapsed().as_nanos()).unwrap();
        let lines = request.quotas.quotas().map(|quota| self.line(request, quota)).collect();
        Lines { lines, now }
    }

    fn line(&self, request: &LimitRequest<'_>, quota: &Quota) -> Line {
        let key = if self.fault == Fault::IgnoresKeys {
            String::new()
        } else {
            request.key.digest(&LimitSecret::new([7; 32]).unwrap()).to_hex()
        };
        let count = match self.fault {
            Fault::IgnoresNumbersOfQuotas => format!("{key} {}", quota.name()),
            Fault::CountsEachSetByItself => format!("{key} {quota:?} {:?}", request.quotas),
            _ => format!("{key} {quota:?}"),
        };
        let mut interval = u64::try_from(quota.emission_interval().as_nanos()).unwrap();
        if self.fault == Fault::RefillsShortQuotasTooFast && interval < 1_000_000_000 {
            interval = interval * 4 / 5;
        }
        let burst = u64::from(quota.burst_size().get());
        let cost = u64::from(request.cost.get());
        let cost = match self.fault {
            Fault::IgnoresCosts => 1,
            Fault::RefusesCostsAboveTheBurst => cost,
            _ => cost.min(burst),
        };
        let credit = if self.fault == Fault::AddsUpUnusedUnits { interval * burst } else { 0 };
        Line { count, interval, burst, cost, credit }
    }

    fn wait(&self, line: &Line, full: &Full, now: u64) -> u64 {
        let burst = if self.fault == Fault::AdmitsOneMore { line.burst + 1 } else { line.burst };
        line.next(full, now).saturating_sub(line.interval * burst).saturating_sub(now)
    }

    fn take(&self, Lines { lines, now }: &Lines) -> Decision {
        let (full, now) = (&mut *self.full.lock().unwrap(), *now);
        let waits: Vec<_> = lines.iter().map(|line| self.wait(line, full, now)).collect();
        let longest =
            waits.iter().enumerate().max_by_key(|(place, wait)| (**wait, std::cmp::Reverse(*place))).unwrap().0;
        if waits[longest] > 0 {
            return Decision::Refused(self.refuse(lines, &waits, longest, full, now));
        }
        self.charge(lines, full, now);
        let statuses = lines.iter().enumerate().map(|(place, line)| {
            LimitStatus::new(
                place,
                line.remaining(full, now),
                Duration::from_nanos(full[&line.count].saturating_sub(now)),
            )
        });
        let tightest = match self.fault {
            Fault::ReportsTheFirstQuota => statuses.take(1).next(),
            _ => statuses.min_by_key(|status| status.remaining),
        };
        Decision::Admitted(tightest.unwrap())
    }

    fn charge(&self, lines: &[Line], full: &mut Full, now: u64) {
        for line in lines {
            let next = line.next(full, now);
            let is_late = self.fault == Fault::RefillsLateAfterTheBurst && next == now + line.interval * line.burst;
            full.insert(line.count.clone(), if is_late { next + line.interval / 2 } else { next });
        }
    }

    fn refuse(&self, lines: &[Line], waits: &[u64], longest: usize, full: &mut Full, now: u64) -> LimitExceeded {
        let mut violated: Vec<_> = (0..waits.len()).filter(|place| waits[*place] > 0).collect();
        let remaining = lines[longest].remaining(full, now);
        let wait = match self.fault {
            Fault::ProlongsWaits => {
                let refusals = full.entry("refusals".into()).or_default();
                *refusals += 1;
                waits[longest] + *refusals * lines[longest].interval / 10
            }
            Fault::StatesShortWaitsTooShort if waits[longest] < 1_000_000_000 => waits[longest] / 2,
            Fault::StatesTwiceTheWait => waits[longest] * 2,
            _ => waits[longest],
        };
        match self.fault {
            Fault::ChargesRefusedRequests => self.charge(lines, full, now),
            Fault::ChargesTheFirstQuotasOfARefusedRequest => self.charge(&lines[..violated[0]], full, now),
            Fault::NamesOneViolatedQuota => violated = vec![longest],
            _ => {}
        }
        let wait = Duration::from_nanos(wait);
        LimitExceeded::new(LimitStatus::new(longest, remaining, wait), wait, violated)
    }
}

impl RateLimiter for Limiter {
    fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        // Windows are not supported, except by the one that admits everything.
        if let Some(left) = request.window_ends().flatten().max()
            && self.fault != Fault::CountsNothing
        {
            let exceeded = LimitExceeded::new(LimitStatus::new(0, 0, left), left, vec![0]);
            return Eventual::Now(Ok(Decision::Refused(exceeded)));
        }
        let lines = self.read(request);
        match self.fault {
            Fault::CountsNothing => Eventual::Now(Ok(Decision::Uncounted)),
            Fault::ChecksThenTakes => {
                let before = self.full.lock().unwrap().clone();
                let limiter = self.clone();
                Eventual::later(async move {
                    tokio::task::yield_now().await;
                    // What was read before is written back.
                    let stale = Self { full: Arc::new(Mutex::new(before)), ..limiter.clone() };
                    let decision = Self::take(&stale, &lines);
                    let changed = std::mem::take(&mut *stale.full.lock().unwrap());
                    limiter.full.lock().unwrap().extend(changed);
                    Ok(decision)
                })
            }
            _ => Eventual::Now(Ok(Self::take(self, &lines))),
        }
    }
}

async fn check(fault: Fault) {
    let stopwatch = ManualStopwatch::default();
    let advance = |duration| stopwatch.advance(duration);
    let make = async || Limiter { fault, full: Arc::default(), stopwatch: stopwatch.clone() };
    rate_limiter(LimiterTime::Manual(&advance), make).await;
}

#[tokio::test]
async fn naive_limiter_without_a_fault_passes() {
    check(Fault::None).await;
}

#[tokio::test]
async fn skipped_time_is_skipped() {
    let make = async || Limiter {
        fault: Fault::StatesTwiceTheWait,
        full: Arc::default(),
        stopwatch: ManualStopwatch::default(),
    };
    rate_limiter(LimiterTime::Skipped, make).await;
}

#[tokio::test]
async fn each_wrong_limiter_violates_its_rule() {
    let faults = [
        (Fault::CountsNothing, "a limiter under test counts each request"),
        (Fault::AdmitsOneMore, "the burst is admitted at once, and then nothing more"),
        (Fault::IgnoresCosts, "a request takes its cost"),
        (Fault::ChargesRefusedRequests, "a refused request costs nothing"),
        (Fault::RefusesCostsAboveTheBurst, "a cost above the burst is the burst"),
        (Fault::ChargesTheFirstQuotasOfARefusedRequest, "a request takes from all quotas of a set, or from none"),
        (Fault::ReportsTheFirstQuota, "the status is that of the quota with the fewest units left"),
        (Fault::NamesOneViolatedQuota, "a refusal names the places of all quotas that are exceeded"),
        (Fault::ChecksThenTakes, "concurrent requests are never admitted beyond the burst"),
        (Fault::IgnoresKeys, "keys are counted separately"),
        (Fault::IgnoresNumbersOfQuotas, "quotas with different names or numbers are counted separately"),
        (Fault::CountsEachSetByItself, "equal quotas of two sets share a count"),
        (Fault::StatesShortWaitsTooShort, "waiting for as long as a refusal says is enough"),
        (Fault::ProlongsWaits, "refusals make no wait longer"),
        (Fault::StatesTwiceTheWait, "a wait is no longer than the units need to come back"),
        (Fault::RefillsLateAfterTheBurst, "units come back one by one, at the rate of the quota"),
        (Fault::AddsUpUnusedUnits, "units that are not used do not add up beyond the burst"),
        (Fault::RefillsShortQuotasTooFast, "no stretch of time admits more than the burst and what comes back"),
    ];
    for (fault, rule) in faults {
        assert_violated(fault, check(fault), rule).await;
    }
}
