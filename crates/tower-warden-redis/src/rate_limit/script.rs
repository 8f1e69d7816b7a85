//! The script that decides, and its reply.

use std::{num::NonZeroU32, sync::LazyLock, time::Duration};

use redis::{Cmd, Script, Value};
use tower_warden::rate_limit::{LimitRequest, LimitSecret};

use crate::connection::{CommandError, RedisConnection};

/// The prefix of the keys in a namespace, with the version of their format.
const PREFIX: &str = "tower-warden:limit:2:";

/// The resolution of the server's clock, and of the script's arithmetic.
pub(super) const RESOLUTION: Duration = Duration::from_micros(1);

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));

static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("settle.lua")));

/// A command on all quotas of a key.
pub(super) struct LimitCommand {
    script: &'static Script,
    keys: Vec<String>,
    arguments: Vec<u64>,
}

/// The reply to [`LimitCommand::take`].
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Reply {
    /// The number of units that were taken: zero, or at least the cost of the request.
    pub(super) taken: u32,
    /// The time until the TAT of each quota.
    pub(super) until_tats: Vec<Duration>,
}

impl LimitCommand {
    /// Takes the cost of the request, and up to `wanted` units if they are available.
    pub(super) fn take(namespace: &str, secret: &LimitSecret, request: &LimitRequest<'_>, wanted: NonZeroU32) -> Self {
        Self::new(&TAKE, namespace, secret, request, wanted.get())
    }

    /// Corrects the cost of the request, which was admitted.
    pub(super) fn settle(namespace: &str, secret: &LimitSecret, request: &LimitRequest<'_>, cost: u32) -> Self {
        Self::new(&SETTLE, namespace, secret, request, cost)
    }

    fn new(
        script: &'static Script,
        namespace: &str,
        secret: &LimitSecret,
        request: &LimitRequest<'_>,
        units: u32,
    ) -> Self {
        let LimitRequest { key, quotas, cost, .. } = request;
        // In a cluster, the text in braces determines the slot: all quotas of a key are in the same one.
        let digest = &key.digest(secret).to_hex()[..32];
        let keys = quotas.ids().map(|id| format!("{namespace}{PREFIX}{{{digest}}}:{id:016x}")).collect();
        let mut arguments = vec![cost.get().into(), units.into()];
        for quota in quotas.quotas() {
            let emission_interval = quota.emission_interval_at(RESOLUTION).as_micros();
            let emission_interval = u64::try_from(emission_interval).unwrap_or(u64::MAX);
            arguments.extend([emission_interval, quota.burst_size().get().into()]);
        }
        Self { script, keys, arguments }
    }

    /// Runs the script of [`take`](Self::take).
    pub(super) async fn run(&self, connection: &RedisConnection) -> Result<Reply, CommandError> {
        Reply::parse(&self.evaluate(connection).await?, self.keys.len()).ok_or(CommandError::Unavailable)
    }

    /// Runs the script by its digest; if the server does not have it, again with its source.
    pub(super) async fn evaluate(&self, connection: &RedisConnection) -> Result<Value, CommandError> {
        match connection.run(self.command("EVALSHA", self.script.get_hash())).await {
            Err(CommandError::NoScript) => connection.run(self.command("EVAL", self.script.get_source())).await,
            reply => reply,
        }
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}

impl Reply {
    fn parse(value: &Value, quotas: usize) -> Option<Self> {
        let Value::Array(items) = value else { return None };
        let numbers = items.iter().map(|item| match item {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        });
        let numbers = numbers.collect::<Option<Vec<_>>>()?;
        let (taken, until_tats) = numbers.split_first().filter(|(_, tats)| tats.len() == quotas)?;
        let until_tats = until_tats.iter().copied().map(Duration::from_micros).collect();
        Some(Self { taken: u32::try_from(*taken).ok()?, until_tats })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_another_form_is_refused() {
        let array = |numbers: &[i64]| Value::Array(numbers.iter().map(|number| Value::Int(*number)).collect());
        let reply = Reply { taken: 1, until_tats: vec![Duration::from_micros(2), Duration::from_micros(3)] };
        assert_eq!(Reply::parse(&array(&[1, 2, 3]), 2), Some(reply));
        for odd in [array(&[]), array(&[1, 2]), array(&[1, 2, 3, 4]), array(&[1, -2, 3]), array(&[1 << 40, 2, 3])] {
            assert_eq!(Reply::parse(&odd, 2), None);
        }
        assert_eq!(Reply::parse(&Value::Nil, 0), None);
        assert_eq!(Reply::parse(&Value::Array(vec![Value::Nil]), 0), None);
    }
}
