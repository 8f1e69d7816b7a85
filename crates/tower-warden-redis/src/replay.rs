//! Proofs that many nodes have seen.

use std::time::Duration;

use ::redis::Value;

use crate::{
    Eventual,
    error::Unavailable,
    redis::RedisConnection,
    replay::{ReplayGuard, ReplayVerdict, UsedProof},
};

/// Where proofs are remembered.
const PREFIX: &str = "tower-warden:proof:1:";

/// So much longer than it would be good a proof is remembered, because the clocks of nodes differ.
const GRACE: Duration = Duration::from_secs(60);

/// Remembers in Redis or Valkey which proofs were seen, for all nodes; clones are the same.
///
/// One command and one round trip for each proof, which is forgotten a minute after it would be good: the clocks of the
/// nodes may differ by that. If Redis does not answer in time, requests are refused with 503.
///
/// # Deployment caveat
///
/// What Redis forgets early can be replayed: let it evict nothing (`maxmemory-policy noeviction`).
///
/// ```no_run
/// use tower_warden::{dpop::RedisReplayGuard, redis::RedisConnection};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let guard = RedisReplayGuard::new(RedisConnection::connect(redis::Client::open("redis://127.0.0.1/")?).await);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RedisReplayGuard(RedisConnection);

impl RedisReplayGuard {
    /// Remembers at the other end of a line.
    #[must_use]
    pub const fn new(line: RedisConnection) -> Self {
        Self(line)
    }
}

impl ReplayGuard for RedisReplayGuard {
    fn spend(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        let good_for = proof.until.as_secs().saturating_sub(proof.now.as_secs()).saturating_add(1);
        let lifetime = good_for.saturating_add(GRACE.as_secs());
        let mut command = ::redis::cmd("SET");
        command.arg(format!("{PREFIX}{}", proof.digest().to_hex())).arg("").arg("NX").arg("EX").arg(lifetime);
        let line = self.0.clone();
        Eventual::later(async move {
            match line.run(command).await {
                Ok(Value::Okay) => Ok(ReplayVerdict::New),
                Ok(Value::Nil) => Ok(ReplayVerdict::Replayed),
                Ok(_) | Err(_) => Err(Unavailable::new("the replay guard")),
            }
        })
    }
}
