//! A replay guard that many nodes share.

use std::time::Duration;

use redis::Value;
use tower_warden::{
    Eventual, Unavailable,
    replay::{ReplayGuard, ReplayVerdict, UsedProof},
};

use crate::connection::{Purpose, RedisConnection};

/// The prefix of the keys in a namespace, with the version of their format.
const PREFIX: &str = "tower-warden:proof:1:";

/// The time for which a proof is stored longer than it is valid, because the clocks of the nodes differ.
const GRACE: Duration = Duration::from_secs(60);

/// A [`ReplayGuard`] on Redis or Valkey: a proof that one node has accepted is refused by all nodes.
///
/// Each proof is one command and one round trip. It is stored until one minute after its expiry, so the clocks of the
/// nodes may differ by a minute. While Redis does not reply in time, requests with a proof are refused with 503.
///
/// # Deployment caveat
///
/// A proof that Redis evicts can be used again: set `maxmemory-policy noeviction`.
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
pub struct RedisReplayGuard(RedisConnection);

impl RedisReplayGuard {
    /// Creates a guard that stores proofs through this connection.
    #[must_use]
    pub fn new(connection: RedisConnection) -> Self {
        Self(connection.used_for(Purpose::Proofs))
    }
}

impl ReplayGuard for RedisReplayGuard {
    fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        // The last second of validity is included.
        let valid_for = proof.until.as_secs().saturating_sub(proof.now.as_secs()).saturating_add(1);
        let lifetime = valid_for.saturating_add(GRACE.as_secs());
        let key = format!("{}{PREFIX}{}", self.0.prefix(), proof.digest().to_hex());
        let mut command = redis::cmd("SET");
        // NX: of two nodes at the same time, one stores the key.
        command.arg(key).arg("").arg("NX").arg("EX").arg(lifetime);
        let connection = self.0.clone();
        Eventual::later(async move {
            match connection.run(command).await {
                Ok(Value::Okay) => Ok(ReplayVerdict::New),
                Ok(Value::Nil) => Ok(ReplayVerdict::Replayed),
                Ok(_) | Err(_) => Err(Unavailable::new("the replay guard")),
            }
        })
    }
}
