/// The largest number of different values that are distinguished.
pub(super) const MAX: usize = 64;

/// The values that were seen within a window, up to a number of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Distinct(Vec<(u128, u64)>);

impl Distinct {
    /// Notes a value, and returns the number of different ones within the window; at most `most`.
    pub(super) fn see(&mut self, value: u128, now: u64, window: u64, most: usize) -> u64 {
        let is_old = |seen: u64| now.saturating_sub(seen) >= window;
        if let Some((_, seen)) = self.0.iter_mut().find(|(known, _)| *known == value) {
            *seen = now.max(*seen);
        } else if self.0.len() < most.min(MAX) {
            self.0.push((value, now));
        } else if let Some(oldest) = self.0.iter_mut().min_by_key(|(_, seen)| *seen) {
            *oldest = (value, now);
        }
        self.0.iter().filter(|(_, seen)| !is_old(*seen)).count() as u64
    }

    /// The values within the window.
    pub(super) fn within(&self, now: u64, window: u64) -> Vec<u128> {
        let seen = self.0.iter().filter(|(_, seen)| now.saturating_sub(*seen) < window);
        seen.map(|(value, _)| *value).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets the values, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.0.clear();
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

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
