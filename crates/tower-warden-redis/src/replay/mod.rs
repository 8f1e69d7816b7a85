//! A replay guard that many nodes share.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::Value;
use tower_warden::{
    Eventual, Unavailable,
    replay::{ReplayGuard, ReplayVerdict, UsedProof},
};

use crate::connection::{Purpose, RedisConnection, ScriptSource};

/// The prefix of the keys in a namespace, with the version of their format.
const PREFIX: &str = "tower-warden:proof:2:";

/// The time for which a proof is stored longer than it is valid, because the clocks of the nodes differ.
const GRACE: Duration = Duration::from_secs(60);

const PER_KEY_AND_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

static SCRIPT: LazyLock<ScriptSource> = LazyLock::new(|| ScriptSource::new(include_str!("record.lua")));

/// A [`ReplayGuard`] on Redis or Valkey: a proof that one node has accepted is refused by all nodes.
///
/// Each proof is one script and one round trip. It is stored until one minute after its expiry, so the clocks of the nodes
/// may differ by a minute. While Redis does not reply in time, requests with a proof are refused with 503.
///
/// # Deployment caveat
///
/// A proof that Redis evicts can be used again: set `maxmemory-policy noeviction`. Redis then refuses to write if its memory
/// is used up. A key needs about 150 bytes for each of its stored proofs, of which there are at most
/// [the declared rate](Self::per_key) for as long as they are stored; the number of keys is that of the clients with a valid
/// token that is bound to one.
///
/// Redis replicates asynchronously, and with `appendonly yes` writes to the disk once a second: a failover loses the
/// proofs that were used last, and so does a restart. Each of these can be used once more while it is valid, by an
/// attacker who has recorded it.
///
/// # Examples
///
/// ```no_run
/// use tower_warden_redis::{RedisConnection, RedisReplayGuard};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = RedisConnection::connect(redis::Client::open("redis://127.0.0.1/")?, "billing".parse()?).await;
/// // An argument of `tower_warden::dpop::Dpop::replay_guard`.
/// let guard = RedisReplayGuard::new(connection);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RedisReplayGuard {
    connection: RedisConnection,
    /// The latest time of a request. The server removes what it stores by its own clock, so that the node itself refuses
    /// proofs that may have been removed before its clock was set back.
    latest: Arc<AtomicU64>,
    per_key: NonZeroU32,
}

impl RedisReplayGuard {
    /// Creates a guard that stores proofs through this connection.
    #[must_use]
    pub fn new(connection: RedisConnection) -> Self {
        let connection = connection.used_for(Purpose::Proofs);
        Self { connection, latest: Arc::default(), per_key: PER_KEY_AND_SECOND }
    }

    /// Sets the number of requests per second with proofs of one key that there is room for, for as long as proofs are
    /// valid: 10 by default. Further ones are refused with 429 and `Retry-After`.
    #[must_use]
    pub const fn per_key(mut self, per_second: NonZeroU32) -> Self {
        self.per_key = per_second;
        self
    }

    async fn store(self, proof: UsedProof) -> Result<(ReplayVerdict, Duration), Unavailable> {
        let key = format!("{}{PREFIX}{}", self.connection.prefix(), proof.key.to_hex());
        let stored_for = (proof.window + GRACE).as_secs() + 1;
        let capacity = stored_for.saturating_mul(self.per_key.get().into());
        let valid_for = proof.until.as_secs().saturating_sub(proof.now.as_secs()).saturating_add(1);
        let arguments = (
            proof.id.as_bytes().as_slice(),
            proof.until.as_secs(),
            proof.now.as_secs().saturating_sub(GRACE.as_secs()),
            capacity,
            valid_for.saturating_add(GRACE.as_secs()),
        );
        let reply = self.connection.run_script(&SCRIPT, &[key], arguments).await;
        match reply {
            Ok(Value::Int(-1)) => Ok((ReplayVerdict::New, Duration::ZERO)),
            Ok(Value::Int(-2)) => Ok((ReplayVerdict::Replayed, Duration::ZERO)),
            Ok(Value::Int(until)) => {
                let removed_at = u64::try_from(until).unwrap_or(0).saturating_add(GRACE.as_secs() + 1);
                let wait = Duration::from_secs(removed_at.saturating_sub(proof.now.as_secs()));
                Ok((ReplayVerdict::KeyFull, wait))
            }
            Ok(_) | Err(_) => Err(Unavailable::new("the replay guard")),
        }
    }
}

impl ReplayGuard for RedisReplayGuard {
    fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        self.record_or_wait(proof).map(|outcome| outcome.map(|(verdict, _)| verdict))
    }

    fn record_or_wait(&self, proof: &UsedProof) -> Eventual<Result<(ReplayVerdict, Duration), Unavailable>> {
        let now = proof.now.as_secs();
        let latest = self.latest.fetch_max(now, Ordering::Relaxed).max(now);
        if proof.until.as_secs().saturating_add(GRACE.as_secs()) < latest {
            return Eventual::Now(Ok((ReplayVerdict::Replayed, Duration::ZERO)));
        }
        Eventual::later(self.clone().store(*proof))
    }
}
