use tower_warden::{UnixTime, api_key::KeyDigest};

/// The secrets of a client: the current one, and those that it has replaced, for a grace period.
///
/// Only digests are stored. A secret is random, as [`KeyFormat`](tower_warden::api_key::KeyFormat) generates it: the
/// digests are fast, and do not protect a secret that a person has chosen.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{UnixTime, api_key::KeyDigest};
/// use tower_warden_issuer::ClientSecrets;
///
/// let now = UnixTime::from_secs(1_800_000_000);
/// let secrets = ClientSecrets::new(KeyDigest::sha256("old"));
/// let secrets = secrets.rotated(KeyDigest::sha256("new"), now + Duration::from_secs(3600));
///
/// let accepts = |secret: &str, now| secrets.accept(&[KeyDigest::sha256(secret)], now);
/// assert!(accepts("new", now) && accepts("old", now), "within the grace period");
/// assert!(!accepts("old", now + Duration::from_secs(3600)), "after it");
/// assert!(!accepts("guess", now));
/// ```
#[derive(Clone, Debug)]
pub struct ClientSecrets {
    pub(super) current: KeyDigest,
    /// The newest first.
    pub(super) replaced: Vec<Replaced>,
}

/// A secret that was replaced; refused from the second `until` on.
#[derive(Clone, Debug)]
pub(super) struct Replaced {
    pub(super) digest: KeyDigest,
    pub(super) until: UnixTime,
}

impl ClientSecrets {
    /// The only secret of a client, by its digest.
    #[must_use]
    pub const fn new(digest: KeyDigest) -> Self {
        Self { current: digest, replaced: Vec::new() }
    }

    /// Replaces the current secret, which is accepted until the second `until`. Secrets that were replaced before are
    /// accepted no longer than that either; of these, only the newest is kept.
    #[must_use]
    pub fn rotated(mut self, digest: KeyDigest, until: UnixTime) -> Self {
        self.replaced.truncate(1);
        for replaced in &mut self.replaced {
            replaced.until = replaced.until.min(until);
        }
        let current = std::mem::replace(&mut self.current, digest);
        self.replaced.insert(0, Replaced { digest: current, until });
        self
    }

    /// Returns whether one of these digests of a presented secret is that of a valid secret.
    ///
    /// All digests are compared, each in constant time.
    #[must_use]
    pub fn accept(&self, presented: &[KeyDigest], now: UnixTime) -> bool {
        let matches = |digest: &KeyDigest| presented.iter().fold(false, |any, presented| any | (presented == digest));
        let replaced = self.replaced.iter().fold(false, |any, old| any | (matches(&old.digest) & (now < old.until)));
        matches(&self.current) | replaced
    }
}
