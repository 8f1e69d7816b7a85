use super::{error::Failure, rights::Rights};
use crate::log;

/// A change of keys that is logged for audit when it is made, and when it is dropped before its outcome is known: the request
/// was cancelled, or the store did not answer.
pub(super) struct LoggedChange<'a> {
    rights: &'a Rights<'a>,
    change: &'static str,
    keys: String,
    is_settled: bool,
}

impl<'a> LoggedChange<'a> {
    pub(super) const fn new(rights: &'a Rights<'a>, change: &'static str, keys: String) -> Self {
        Self { rights, change, keys, is_settled: false }
    }

    /// Passes on the result of the change. `keys` returns which keys were changed, or `None` if none were.
    pub(super) fn settle<T>(
        mut self,
        result: Result<T, impl Into<Failure>>,
        keys: impl FnOnce(&T) -> Option<String>,
    ) -> Result<T, Failure> {
        let result = result.map_err(Into::into);
        match &result {
            Ok(made) => {
                self.is_settled = true;
                if let Some(keys) = keys(made) {
                    self.log("done", &keys);
                }
            }
            Err(failure) => self.is_settled = !failure.is_outcome_unknown(),
        }
        result
    }

    fn log(&self, outcome: &'static str, keys: &str) {
        let Rights { caller, tenant, .. } = self.rights;
        let (subject, tenant) = (caller.subject().escape_debug(), tenant.unwrap_or_default().escape_debug());
        let credential = caller.key_id().unwrap_or_default();
        log::info!(
            change = %self.change, outcome = %outcome, keys = %keys, caller = %subject, caller_key = %credential,
            tenant = %tenant, "keys were changed through the key routes"
        );
    }
}

impl Drop for LoggedChange<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.log("unknown", &self.keys);
        }
    }
}
