use super::times::Times;

/// The largest number of different values that are distinguished.
pub(super) const MAX: usize = 64;

/// The values that were seen within a window, up to a number of them, each with the time it was seen last.
#[derive(Clone, Debug, Default)]
pub(super) struct Distinct(Vec<(u128, u64)>);

impl Distinct {
    /// Notes a value, and returns the number of different ones within the window that ends with the latest of them; at
    /// most `most`. `None` if the event is older than the window.
    pub(super) fn see(&mut self, value: u128, times: Times, window: u64, most: usize) -> Option<u64> {
        self.0.retain(|(_, seen)| !times.is_set_back(*seen, window));
        let at = times.at;
        let latest = self.latest().max(at);
        if latest - at >= window {
            return None;
        }
        if let Some((_, seen)) = self.0.iter_mut().find(|(known, _)| *known == value) {
            *seen = at.max(*seen);
        } else if self.0.len() < most.min(MAX) {
            self.0.push((value, at));
        } else if let Some(oldest) = self.0.iter_mut().min_by_key(|(_, seen)| *seen)
            && oldest.1 <= at
        {
            *oldest = (value, at);
        }
        Some(self.count(latest, window))
    }

    /// The number of values within the window that ends now.
    pub(super) fn count(&self, now: u64, window: u64) -> u64 {
        self.0.iter().filter(|(_, seen)| now.saturating_sub(*seen) < window).count() as u64
    }

    /// The values within the window that ends with the latest of them.
    pub(super) fn within(&self, window: u64) -> Vec<u128> {
        let latest = self.latest();
        self.0.iter().filter(|(_, seen)| latest - *seen < window).map(|(value, _)| *value).collect()
    }

    fn latest(&self) -> u64 {
        self.0.iter().map(|(_, seen)| *seen).max().unwrap_or_default()
    }
}

/// The names that a caller has used, up to a number of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Vec<u64>);

impl Names {
    /// Notes a name, and returns whether it is new. A caller that uses very many names has no new ones.
    pub(super) fn is_new(&mut self, name: u64) -> bool {
        if self.0.contains(&name) || self.0.len() >= MAX {
            return false;
        }
        self.0.push(name);
        true
    }
}
