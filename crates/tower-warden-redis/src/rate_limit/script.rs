//! One decision, in one round trip.

use std::{num::NonZeroU32, sync::LazyLock};

use ::redis::{Cmd, Script, Value};

use super::super::{key::LimitKey, plan::QuotaSet};
use crate::{
    digest::hex,
    redis::{Failure, RedisConnection},
};

/// The version of what is kept in Redis.
const PREFIX: &str = "tower-warden:limit:1:";

/// Its source and its digest.
static TAKE: LazyLock<(&str, Script)> = LazyLock::new(|| {
    let source = include_str!("take.lua");
    (source, Script::new(source))
});

/// What is asked.
pub(super) struct Question {
    keys: Vec<String>,
    arguments: Vec<u64>,
}

/// What is answered.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Reply {
    /// How many units were taken: none, or as many as were needed at the least.
    pub(super) taken: u32,
    /// How long each quota's debt takes to be paid, in nanoseconds.
    pub(super) debts: Vec<u64>,
}

impl Question {
    pub(super) fn new(key: &LimitKey, plan: &QuotaSet, needed: NonZeroU32, wanted: NonZeroU32) -> Self {
        // What stands in braces decides the slot of a cluster, so all quotas of a key are in one.
        let digest = hex(&key.digest().as_bytes()[..16]);
        let keys = plan.limits().iter().map(|limit| format!("{PREFIX}{{{digest}}}:{:016x}", limit.id)).collect();
        let mut arguments = vec![needed.get().into(), wanted.get().into()];
        for quota in plan.quotas() {
            arguments.extend([quota.interval_in(1_000_000), quota.burst_size().get().into()]);
        }
        Self { keys, arguments }
    }

    /// Asks; after the server has forgotten the script, once more with its source.
    pub(super) async fn ask(&self, line: &RedisConnection) -> Result<Reply, Failure> {
        let (source, script) = &*TAKE;
        let answer = match line.run(self.command("EVALSHA", script.get_hash())).await {
            Err(Failure::NoScript) => line.run(self.command("EVAL", source)).await,
            answer => answer,
        };
        Reply::read(&answer?, self.keys.len()).ok_or(Failure::Down)
    }

    fn command(&self, verb: &str, script: &str) -> Cmd {
        let mut command = ::redis::cmd(verb);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}

impl Reply {
    fn read(value: &Value, quotas: usize) -> Option<Self> {
        let Value::Array(items) = value else { return None };
        let numbers = items.iter().map(|item| match item {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        });
        let numbers = numbers.collect::<Option<Vec<_>>>()?;
        let (taken, debts) = numbers.split_first().filter(|(_, debts)| debts.len() == quotas)?;
        let debts = debts.iter().map(|debt| debt.saturating_mul(1_000)).collect();
        Some(Self { taken: u32::try_from(*taken).ok()?, debts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_form_is_none() {
        let array = |numbers: &[i64]| Value::Array(numbers.iter().map(|number| Value::Int(*number)).collect());
        let reply = Reply { taken: 1, debts: vec![2_000, 3_000] };
        assert_eq!(Reply::read(&array(&[1, 2, 3]), 2), Some(reply));
        for odd in [array(&[]), array(&[1, 2]), array(&[1, 2, 3, 4]), array(&[1, -2, 3]), array(&[1 << 40, 2, 3])] {
            assert_eq!(Reply::read(&odd, 2), None);
        }
        assert_eq!(Reply::read(&Value::Nil, 0), None);
        assert_eq!(Reply::read(&Value::Array(vec![Value::Nil]), 0), None);
    }
}
