//! A rate limiter on Redis.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tower_warden::{
    Eventual, Unavailable, UnixTime,
    rate_limit::{
        DecidedBy, Decision, LimitKey, LimitRequest, LimitSecret, LocalRateLimiter, MonotonicStopwatch, Quota,
        QuotaSet, RateLimiter, Stopwatch, shared::ExhaustedKeys,
    },
};

use super::{
    lease::{Fetch, Leases, Spending},
    outage::{Counters, DecisionCounts, OnOutage},
    script::{LimitCommand, RESOLUTION, Reply},
};
use crate::connection::{Purpose, RedisConnection};

/// The number of pairs that a node records, of a key with a used-up quota and each quota of its requests.
const EXHAUSTED_KEYS: usize = 100_000;

/// The number of times that a request waits for units that others fetch, before it queries Redis itself.
const MAX_WAITS: usize = 3;

/// A [`RateLimiter`] on Redis or Valkey, whose quotas apply to all nodes together; clones share everything.
///
/// A decision is one script in one round trip, for all quotas of a request, measured with the server's clock. Keys are
/// HMACs with the [`LimitSecret`] of the deployment, and expire when the whole burst is available again. Each node refuses a
/// caller that it knows to have used up its quota without a round trip, until a unit is available again.
///
/// # Outages
///
/// If a decision takes longer than the [timeout](RedisConnection::timeout) of the connection, or the connection is
/// down, [`OnOutage`] decides: by default, each node limits on its own. An outage never results in a 500, and the
/// decisions are [counted](Self::counts). The connection is restored in the background. Units that were used during the
/// outage are not transferred to Redis afterwards. Units of an admission are returned where they were taken: those of the
/// node are never returned to Redis, and those of Redis are lost if it does not reply when they are returned. Units that a
/// request [charges](tower_warden::rate_limit::LimitCharge::charge) later are returned to Redis if it has admitted the
/// request, also if they were charged in an outage.
///
/// The connection logs an outage when it begins, every five minutes, and when it ends. The layers report it once more, as a
/// notice and in the metric `warden.limiter.decisions`, whatever decides meanwhile. Call [`check`](Self::check) at start
/// and in the readiness probe: a wrong password or a missing right is an outage without an end, and an error in the log.
///
/// # Rights
///
/// The user of the connection needs the commands `PING`, `EVALSHA` and `EVAL`, those that the scripts call (`TIME`, `GET`,
/// `SET` and `DEL`), the keys of the namespace, and the key `tower-warden:probe`, whose deletion shows whether a server
/// accepts writes; with sentinels also `ROLE`, and in a cluster `CLUSTER SLOTS` and `READONLY`:
///
/// ```text
/// ACL SETUSER billing on >password ~billing:tower-warden:limit:* ~tower-warden:probe +ping +evalsha +eval +time +get +set +del
/// ```
///
/// # Leases
///
/// With [`leased`](Self::leased), a node takes several units at once and spends them without Redis, so a key with many
/// requests needs one round trip for each lease. Unspent units are lost at the end of the lifetime. This has two effects:
///
/// - In any interval of time, the units admitted by all nodes together are at most the burst and the units of the rate
///   in that interval *and one lifetime more*: the excess is at most rate × lifetime, for any number of nodes.
/// - A caller can be refused although each node still has up to one lease of unspent units.
///
/// Leases are therefore suited to keys with many requests and large quotas. A node holds 65,536 leases, of all limits
/// together. If none of them has expired, a request with a further key takes its units from Redis, without a lease.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use tower_warden::{
///     layer::RateLimitLayer,
///     rate_limit::{LimitBy, LimitSecret, Quota, nonzero},
/// };
/// use tower_warden_redis::{OnOutage, RedisConnection, RedisRateLimiter};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = RedisConnection::connect(redis::Client::open("redis://127.0.0.1/")?, "billing".parse()?).await;
/// let secret = LimitSecret::new(std::env::var("LIMIT_SECRET")?)?;
/// let limiter = RedisRateLimiter::new(connection, secret)
///     .on_outage(OnOutage::Local { nodes: nonzero(3) })
///     .leased(nonzero(20), Duration::from_millis(500));
/// limiter.check().await?;
/// let limit = RateLimitLayer::new("tenants", limiter, LimitBy::tenant(), Quota::per_second(1_000));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisRateLimiter(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    connection: RedisConnection,
    secret: LimitSecret,
    leases: Option<Arc<Leases>>,
    on_outage: OnOutage,
    exhausted: Arc<ExhaustedKeys>,
    /// The limiter of `OnOutage::Local`.
    local: LocalRateLimiter,
    stopwatch: Arc<dyn Stopwatch>,
    counters: Arc<Counters>,
}

impl RedisRateLimiter {
    /// Creates a limiter that stores its state through this connection. All nodes need the same secret.
    #[must_use]
    pub fn new(connection: RedisConnection, secret: LimitSecret) -> Self {
        Self(Arc::new(Inner {
            connection: connection.used_for(Purpose::Limits),
            secret,
            leases: None,
            on_outage: OnOutage::default(),
            exhausted: Arc::new(ExhaustedKeys::bounded(EXHAUSTED_KEYS)),
            local: LocalRateLimiter::default(),
            stopwatch: Arc::new(MonotonicStopwatch::default()),
            counters: Arc::default(),
        }))
    }

    /// Takes `units` of a key at once, to be spent on this node within `lifetime`.
    #[must_use]
    pub fn leased(self, units: NonZeroU32, lifetime: Duration) -> Self {
        self.with(|inner| inner.leases = Some(Arc::new(Leases::new(units, lifetime))))
    }

    /// Sets the decision about requests while Redis does not reply in time.
    #[must_use]
    pub fn on_outage(self, on_outage: OnOutage) -> Self {
        self.with(|inner| inner.on_outage = on_outage)
    }

    /// Sets the source of time for leases, for exhausted keys and for local decisions: the machine's monotonic clock by
    /// default.
    #[must_use]
    pub fn stopwatch(self, stopwatch: impl Stopwatch) -> Self {
        let stopwatch: Arc<dyn Stopwatch> = Arc::new(stopwatch);
        self.with(|inner| {
            inner.local = inner.local.clone().stopwatch(Arc::clone(&stopwatch));
            inner.stopwatch = stopwatch;
        })
    }

    /// The numbers of decisions, by the way in which they were made.
    #[must_use]
    pub fn counts(&self) -> DecisionCounts {
        self.0.counters.read()
    }

    /// Takes one unit of a quota for this purpose, and reports whether Redis has decided: for readiness probes.
    ///
    /// # Errors
    ///
    /// If Redis does not decide within the time limit: it is unavailable, or the user of the connection lacks a right.
    pub async fn check(&self) -> Result<(), Unavailable> {
        // Never used up: a refusal would not write, and a missing right to write would not be noticed.
        let quota = Quota::per_second(1_000_000).named("readiness");
        let (key, quotas) = (LimitKey::of_limit("readiness"), QuotaSet::from(quota));
        let request = LimitRequest::new(&key, &quotas);
        let take = LimitCommand::take(self.0.connection.prefix(), &self.0.secret, &request, request.cost);
        let reply = take.run(&self.0.connection).await;
        reply.map(drop).map_err(|_| Unavailable::new("redis"))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl RateLimiter for RedisRateLimiter {
    fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        let request = &request.resolved();
        let step = match self.0.begin(request) {
            Step::Done(decision) => return Eventual::Now(decision),
            step => step,
        };
        // A round trip, or waiting for one.
        let (inner, request) = (Arc::clone(&self.0), OwnedRequest::from(request));
        Eventual::later(async move { inner.finish(&request.get(), step).await })
    }

    fn settle(&self, request: &LimitRequest<'_>, cost: u32) -> Eventual<Result<(), Unavailable>> {
        let (inner, request) = (Arc::clone(&self.0), OwnedRequest::from(&request.resolved()));
        // A round trip.
        Eventual::later(async move { inner.settle(&request.get(), cost).await })
    }
}

/// A request that a future takes along.
struct OwnedRequest {
    key: LimitKey,
    quotas: QuotaSet,
    cost: NonZeroU32,
    settled: Option<u32>,
    time: Option<UnixTime>,
    by_substitute: bool,
}

impl From<&LimitRequest<'_>> for OwnedRequest {
    fn from(request: &LimitRequest<'_>) -> Self {
        let (key, quotas) = (request.key.clone(), request.quotas.clone());
        let LimitRequest { cost, settled, time, by_substitute, .. } = *request;
        Self { key, quotas, cost, settled, time, by_substitute }
    }
}

impl OwnedRequest {
    const fn get(&self) -> LimitRequest<'_> {
        let mut request = LimitRequest::new(&self.key, &self.quotas).cost(self.cost);
        request.settled = self.settled;
        request.time = self.time;
        request.by_substitute = self.by_substitute;
        request
    }
}

/// The next step of a decision.
enum Step {
    Done(Result<Decision, Unavailable>),
    /// Queries Redis for `wanted` units; `started_at` is a time before the query.
    Query {
        wanted: NonZeroU32,
        fetch: Option<Fetch>,
        started_at: Duration,
    },
    /// Waits until this is closed: another request fetches units for the same lease.
    Wait(Arc<Semaphore>),
}

impl Inner {
    /// Decides without Redis, if possible.
    fn begin(&self, request: &LimitRequest<'_>) -> Step {
        let now = self.stopwatch.elapsed();
        let spending = self.leases.as_ref().map_or(Spending::Direct, |leases| leases.spend(request, now));
        let (wanted, fetch) = match spending {
            Spending::Spent(mut status) => {
                status.decided_by = DecidedBy::Memory;
                self.counters.leased.increment();
                return Step::Done(Ok(Decision::Admitted(status)));
            }
            Spending::Fetch { units, fetch } => (units, Some(fetch)),
            Spending::Direct => (request.cost, None),
            Spending::Wait(fetched) => return Step::Wait(fetched),
        };
        if let Some(mut exceeded) = self.exhausted.state(request, now).with_resolution(RESOLUTION).exceeded() {
            exceeded.status.decided_by = DecidedBy::Memory;
            self.counters.exhausted.increment();
            Step::Done(Ok(Decision::Refused(exceeded)))
        } else if self.connection.is_ready() {
            Step::Query { wanted, fetch, started_at: now }
        } else {
            Step::Done(self.decide_without_redis(request))
        }
    }

    /// Decides with Redis, if necessary.
    async fn finish(&self, request: &LimitRequest<'_>, mut step: Step) -> Result<Decision, Unavailable> {
        for _ in 0..MAX_WAITS {
            let Step::Wait(fetched) = &step else { break };
            // It never has permits: this returns when it is closed.
            let _ = fetched.acquire().await;
            step = self.begin(request);
        }
        let (wanted, fetch, started_at) = match step {
            Step::Done(decision) => return decision,
            Step::Query { wanted, fetch, started_at } => (wanted, fetch, started_at),
            Step::Wait(_) => (request.cost, None, self.stopwatch.elapsed()),
        };
        let reply = LimitCommand::take(self.connection.prefix(), &self.secret, request, wanted)
            .run(&self.connection)
            .await
            .ok();
        match reply.and_then(|reply| self.evaluate(request, &reply, fetch, started_at)) {
            Some(decision) => Ok(decision),
            None => self.decide_without_redis(request),
        }
    }

    /// The decision of a reply; `None` if the reply contradicts itself.
    fn evaluate(
        &self,
        request: &LimitRequest<'_>,
        reply: &Reply,
        fetch: Option<Fetch>,
        started_at: Duration,
    ) -> Option<Decision> {
        // Later than the server's time: a caller that waits from now on has waited long enough.
        let now = self.stopwatch.elapsed();
        let state = reply.state(request);
        self.exhausted.record(&state, now);
        let decision = match reply.taken.checked_sub(request.cost.get()) {
            Some(left) => {
                let mut status = state.status();
                status.remaining = status.remaining.saturating_add(left);
                if let Some(fetch) = fetch {
                    fetch.complete(left, status, started_at);
                }
                Decision::Admitted(status)
            }
            None => Decision::Refused(state.exceeded()?),
        };
        self.counters.redis.increment();
        Some(decision)
    }

    async fn settle(&self, request: &LimitRequest<'_>, cost: u32) -> Result<(), Unavailable> {
        let is_refund = cost < request.settled.unwrap_or_else(|| request.cost.get());
        // Units that Redis has not counted are not returned to it. Further ones are taken from it.
        if request.by_substitute && is_refund {
            self.refund_locally(request, cost);
            return Ok(());
        }
        let command = LimitCommand::settle(self.connection.prefix(), &self.secret, request, cost);
        match command.evaluate(&self.connection).await {
            Ok(_) => {
                self.exhausted.forget(request, self.stopwatch.elapsed());
                Ok(())
            }
            Err(_) => match self.on_outage {
                OnOutage::Admit => Ok(()),
                // Redis has taken them.
                OnOutage::Local { .. } if is_refund => Ok(()),
                OnOutage::Local { nodes } => {
                    self.local.settle_share(request, cost, nodes);
                    Ok(())
                }
                OnOutage::Refuse => Err(Unavailable::new("redis")),
            },
        }
    }

    /// Returns units of the admission, which this node has taken. Units that were charged later may be those of Redis.
    fn refund_locally(&self, request: &LimitRequest<'_>, cost: u32) {
        if let OnOutage::Local { nodes } = self.on_outage {
            let admitted = request.cost.get();
            let before = request.settled.map_or(admitted, |settled| settled.min(admitted));
            self.local.settle_share(&request.settled(before), cost.min(admitted), nodes);
        }
    }

    fn decide_without_redis(&self, request: &LimitRequest<'_>) -> Result<Decision, Unavailable> {
        match self.on_outage {
            OnOutage::Admit => {
                self.counters.outage_admitted.increment();
                Ok(Decision::Uncounted)
            }
            OnOutage::Local { nodes } => {
                self.counters.outage_local.increment();
                let mut decision = self.local.take_share(request, nodes);
                match &mut decision {
                    Decision::Admitted(status) => status.decided_by = DecidedBy::Substitute,
                    Decision::Refused(exceeded) => exceeded.status.decided_by = DecidedBy::Substitute,
                    _ => {}
                }
                Ok(decision)
            }
            OnOutage::Refuse => {
                self.counters.outage_refused.increment();
                Err(Unavailable::new("redis"))
            }
        }
    }
}

impl fmt::Debug for RedisRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRateLimiter")
            .field("connection", &self.0.connection)
            .field("on_outage", &self.0.on_outage)
            .finish_non_exhaustive()
    }
}
