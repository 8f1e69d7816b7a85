//! The script that decides, and its reply.

use std::{num::NonZeroU32, sync::LazyLock, time::Duration};

use redis::Value;
use tower_warden::rate_limit::{LimitRequest, LimitSecret, shared::LimitState};

use crate::connection::{CommandError, RedisConnection, ScriptSource};

/// The prefix of the keys in a namespace, with the version of their format.
const PREFIX: &str = "tower-warden:limit:2:";

/// The resolution of the server's clock, and of the script's arithmetic.
pub(super) const RESOLUTION: Duration = Duration::from_micros(1);

static TAKE: LazyLock<ScriptSource> = LazyLock::new(|| ScriptSource::new(include_str!("take.lua")));

static SETTLE: LazyLock<ScriptSource> = LazyLock::new(|| ScriptSource::new(include_str!("settle.lua")));

/// A command on all quotas of a key.
pub(super) struct LimitCommand {
    script: &'static ScriptSource,
    keys: Vec<String>,
    arguments: Vec<u64>,
}

/// The reply to [`LimitCommand::take`].
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Reply {
    /// The number of units that were taken: zero, or at least the cost of the request.
    pub(super) taken: u32,
    /// The microseconds until the TAT of each quota, or its used units if it is in windows.
    pub(super) levels: Vec<u64>,
}

impl LimitCommand {
    /// Takes the cost of the request, and up to `wanted` units if they are available.
    pub(super) fn take(namespace: &str, secret: &LimitSecret, request: &LimitRequest<'_>, wanted: NonZeroU32) -> Self {
        let units = [request.cost.get().into(), wanted.get().into()];
        Self::new(&TAKE, namespace, secret, request, units)
    }

    /// Corrects the cost of the request, which was admitted.
    pub(super) fn settle(namespace: &str, secret: &LimitSecret, request: &LimitRequest<'_>, cost: u32) -> Self {
        let differences = request.differences(cost).flat_map(|difference| match difference {
            ..0 => [0, difference.unsigned_abs()],
            0.. => [difference.unsigned_abs(), 0],
        });
        Self::new(&SETTLE, namespace, secret, request, differences)
    }

    fn new(
        script: &'static ScriptSource,
        namespace: &str,
        secret: &LimitSecret,
        request: &LimitRequest<'_>,
        units: impl IntoIterator<Item = u64>,
    ) -> Self {
        let request = request.resolved();
        let LimitRequest { key, quotas, .. } = request;
        // In a cluster, the text in braces determines the slot: all quotas of a key are in the same one.
        let digest = &key.digest(secret).to_hex()[..32];
        let keys = request.ids().map(|id| format!("{namespace}{PREFIX}{{{digest}}}:{id:016x}")).collect();
        let mut arguments: Vec<_> = units.into_iter().collect();
        for (quota, left) in quotas.quotas().zip(request.window_ends()) {
            let emission_interval = quota.emission_interval_at(RESOLUTION).as_micros();
            let emission_interval = u64::try_from(emission_interval).unwrap_or(u64::MAX);
            // An interval of zero means a window that ends after this time.
            let left = u64::try_from(left.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
            arguments.extend([emission_interval, quota.burst_size().get().into(), left]);
        }
        Self { script, keys, arguments }
    }

    /// Runs the script of [`take`](Self::take).
    pub(super) async fn run(&self, connection: &RedisConnection) -> Result<Reply, CommandError> {
        Reply::parse(&self.evaluate(connection).await?, self.keys.len()).ok_or(CommandError::Unavailable)
    }

    /// Runs the script.
    pub(super) async fn evaluate(&self, connection: &RedisConnection) -> Result<Value, CommandError> {
        connection.run_script(self.script, &self.keys, &self.arguments).await
    }
}

impl Reply {
    /// The state of the quotas of the request.
    pub(super) fn state<'a>(&self, request: &LimitRequest<'a>) -> LimitState<'a> {
        let states = self.levels.iter().zip(request.quotas.quotas()).map(|(level, quota)| {
            if quota.has_fixed_windows() { Duration::from_nanos(*level) } else { Duration::from_micros(*level) }
        });
        LimitState::new(request, states).with_resolution(RESOLUTION).with_debt().with_windows()
    }

    fn parse(value: &Value, quotas: usize) -> Option<Self> {
        let Value::Array(items) = value else { return None };
        let numbers = items.iter().map(|item| match item {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        });
        let numbers = numbers.collect::<Option<Vec<_>>>()?;
        let (taken, until_tats) = numbers.split_first().filter(|(_, tats)| tats.len() == quotas)?;
        Some(Self { taken: u32::try_from(*taken).ok()?, levels: until_tats.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_another_form_is_refused() {
        let array = |numbers: &[i64]| Value::Array(numbers.iter().map(|number| Value::Int(*number)).collect());
        let reply = Reply { taken: 1, levels: vec![2, 3] };
        assert_eq!(Reply::parse(&array(&[1, 2, 3]), 2), Some(reply));
        for odd in [array(&[]), array(&[1, 2]), array(&[1, 2, 3, 4]), array(&[1, -2, 3]), array(&[1 << 40, 2, 3])] {
            assert_eq!(Reply::parse(&odd, 2), None);
        }
        assert_eq!(Reply::parse(&Value::Nil, 0), None);
        assert_eq!(Reply::parse(&Value::Array(vec![Value::Nil]), 0), None);
    }
}
