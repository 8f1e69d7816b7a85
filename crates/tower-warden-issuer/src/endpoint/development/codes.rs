//! The authorization codes that were issued.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tower_warden::{Digest, Unavailable, UnixTime, caller::Confirmation, scope::Scopes};

/// The meaning of a code: all that the request for a token has to agree with.
pub(super) struct CodeGrant {
    /// RFC 7636 §4.2: the digest of the verifier.
    pub(super) challenge: Digest,
    pub(super) client_id: Box<str>,
    /// RFC 9449 §10: the key that the token will be bound to, if the request named one.
    pub(super) confirmation: Option<Confirmation>,
    pub(super) expires_at: UnixTime,
    pub(super) redirect_uri: Box<str>,
    pub(super) resource: Box<str>,
    pub(super) scopes: Scopes,
    pub(super) subject: Box<str>,
}

/// Codes in memory, by their digests: the process that issued one redeems it.
#[derive(Default)]
pub(super) struct Codes(Mutex<HashMap<Digest, Entry>>);

struct Entry {
    grant: Arc<CodeGrant>,
    keep_until: UnixTime,
    /// The session of the tokens that the code has yielded.
    session: Option<Arc<str>>,
}

/// A code that was found.
pub(super) struct FoundCode {
    pub(super) grant: Arc<CodeGrant>,
    /// The session of the tokens that it has yielded; `None` if it was not used.
    pub(super) session: Option<Arc<str>>,
}

impl Codes {
    /// Stores a new code. If there is no room, none is dropped before its time.
    pub(super) fn insert(&self, code: Digest, grant: CodeGrant, now: UnixTime) -> Result<(), Unavailable> {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if codes.len() >= CAPACITY {
            codes.retain(|_, entry| now < entry.keep_until);
        }
        if codes.len() >= CAPACITY {
            return Err(Unavailable::new("the store of authorization codes, which is full,"));
        }
        let keep_until = grant.expires_at;
        codes.insert(code, Entry { grant: Arc::new(grant), keep_until, session: None });
        Ok(())
    }

    /// Finds a code that is not expired, or was used not long ago.
    pub(super) fn find(&self, code: &Digest, now: UnixTime) -> Option<FoundCode> {
        let codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = codes.get(code).filter(|entry| now < entry.keep_until)?;
        Some(FoundCode { grant: Arc::clone(&entry.grant), session: entry.session.clone() })
    }

    /// Records the only use of a code, in one atomic step. It is kept for the lifetime of the access token, so that a
    /// second use is noticed.
    ///
    /// Fails with the session of the first use, if there was one; or with `None`, if the code is not stored any more.
    pub(super) fn use_once(
        &self,
        code: &Digest,
        session: &str,
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<(), Option<Arc<str>>> {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = codes.get_mut(code).filter(|entry| now < entry.keep_until) else { return Err(None) };
        if let Some(first) = &entry.session {
            return Err(Some(Arc::clone(first)));
        }
        entry.session = Some(session.into());
        entry.keep_until = now + lifetime;
        Ok(())
    }
}

const CAPACITY: usize = 2000;
