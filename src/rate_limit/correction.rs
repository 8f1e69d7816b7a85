//! The units that a correction of a cost takes or returns.

use std::num::NonZeroU32;

/// The correction of the cost of a request from one number to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Correction {
    /// The cost at which the request was admitted.
    pub(super) admitted: NonZeroU32,
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Correction {
    /// The units to take from a quota with this burst; negative for units to return.
    ///
    /// It depends on the two costs only: corrections that lead back to a cost together take and return nothing.
    pub(super) fn difference(&self, burst: NonZeroU32) -> i64 {
        self.taken(burst, self.to) - self.taken(burst, self.from)
    }

    /// The units that a request of this cost holds. Its admission has taken the burst at most; what is charged later is taken
    /// as a whole.
    fn taken(&self, burst: NonZeroU32, cost: u32) -> i64 {
        let admitted = cost.min(self.admitted.get());
        i64::from(admitted.min(burst.get())) + i64::from(cost - admitted)
    }
}
