/// The times of a request, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The arrival, by which it is counted.
    pub(super) at: u64,
    /// The end. Requests are counted when they end, so one that ends long before another was counted has another clock.
    pub(super) now: u64,
}

impl Times {
    /// Returns whether the clock was set back since this time: it is further in the future than that.
    pub(super) const fn is_set_back(self, since: u64, most: u64) -> bool {
        since > self.now.saturating_add(most)
    }
}
