use std::{collections::VecDeque, fmt, sync::Arc};

use super::{
    candidate::{self, Candidate},
    keys::{KnownKey, SignatureKeyRequest, SignatureKeys},
    policy::SignaturePolicy,
    refused,
    replay::UsedSignature,
    scheme::{KIND, SignatureScheme},
};
use crate::{
    Eventual,
    auth::{Authenticator, Presented},
    caller::{AuthMethod, Identity},
    error::Unavailable,
    log::{self, Causes},
    outage::Outage,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scheme::{Credential, Scheme},
    time::UnixTime,
};

/// Authenticates callers by the signatures of their requests
/// ([RFC 9421](https://www.rfc-editor.org/rfc/rfc9421)).
///
/// It needs a [`BodyCheckLayer`](crate::layer::BodyCheckLayer) with a [`ContentDigestCheck`](super::ContentDigestCheck)
/// outside of its [`AuthLayer`](crate::layer::AuthLayer). See the [module docs](super).
#[derive(Clone)]
pub struct Signatures(Arc<Inner>);

struct Inner {
    keys: Arc<dyn SignatureKeys>,
    /// The state of the key source.
    outage: Outage,
    policy: SignaturePolicy,
}

impl Signatures {
    /// Accepts signatures that meet the policy, of keys from this source, such as a
    /// [`SignatureKeyMap`](super::SignatureKeyMap).
    #[must_use]
    pub fn new(policy: SignaturePolicy, keys: impl SignatureKeys) -> Self {
        Self(Arc::new(Inner { keys: Arc::new(keys), outage: Outage::of("signature keys"), policy }))
    }
}

impl Authenticator for Signatures {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(SignatureScheme::new(self.0.policy.accept_signature()))]
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        credential.kind() == KIND
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let now = presented.now;
        match candidate::select(&self.0.policy, &presented.head) {
            Ok(candidates) => Inner::first_valid(&self.0, candidates.into(), now, None),
            Err(reason) => Eventual::Now(Err(refused(reason))),
        }
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.0.outage.observed_by(observer);
        self.0.keys.observed_by(observer);
        if let Some(replay) = &self.0.policy.replay {
            replay.outage.observed_by(observer);
        }
    }
}

impl Inner {
    /// Verifies one signature after the other, until one is valid. The refusal is that of the first one, unless a key could
    /// not be looked up: then it is unknown whether that one is valid.
    fn first_valid(
        this: &Arc<Self>,
        mut candidates: VecDeque<Candidate>,
        now: UnixTime,
        mut failure: Option<Rejection>,
    ) -> Eventual<Result<Arc<Identity>, Rejection>> {
        while let Some(candidate) = candidates.pop_front() {
            if let Err(reason) = candidate.check_time(&this.policy, now) {
                failure = Some(after(failure, refused(reason)));
                continue;
            }
            let wanted = SignatureKeyRequest::new(&candidate.key_id, now).with_agent(candidate.agent.as_deref());
            match this.keys.find(&wanted) {
                Eventual::Now(found) => match this.settle(&candidate, found, now) {
                    Ok(identity) => return Eventual::Now(Ok(identity)),
                    Err(rejection) => failure = Some(after(failure, rejection)),
                },
                Eventual::Later(found) => {
                    let this = Arc::clone(this);
                    // The key source.
                    return Eventual::later(async move {
                        let failure = match this.settle(&candidate, found.await, now) {
                            Ok(identity) => return Ok(identity),
                            Err(rejection) => Some(after(failure, rejection)),
                        };
                        Self::first_valid(&this, candidates, now, failure).wait().await
                    });
                }
            }
        }
        Eventual::Now(Err(failure.unwrap_or_else(|| refused(Reason::SIGNATURE_KEY_UNKNOWN))))
    }

    fn settle(
        &self,
        candidate: &Candidate,
        found: Result<Option<KnownKey>, Unavailable>,
        now: UnixTime,
    ) -> Result<Arc<Identity>, Rejection> {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.outage.begin(Causes(&error), || {
                    log::warning!(
                        error = %Causes(&error),
                        "the source of signature keys does not respond; requests are refused with 503 until it does"
                    );
                });
                return Err(Rejection::new(RejectionKind::Unavailable, Reason::SIGNATURE_KEYS_UNAVAILABLE));
            }
        };
        self.outage.end();
        let KnownKey { identity, key } = found.ok_or_else(|| refused(Reason::SIGNATURE_KEY_UNKNOWN))?;
        candidate.verify(&self.policy, &key, now).map_err(refused)?;
        let mut identity = Identity::clone(&identity);
        identity.method = AuthMethod::Signature;
        identity.issued_at = identity.issued_at.or(candidate.created);
        identity.key_id.get_or_insert_with(|| candidate.key_id.clone());
        let replay = self.policy.replay.clone();
        identity.single_use =
            replay.map(|replay| Arc::new(UsedSignature { replay, used: candidate.used(&self.policy, &key, now) }) as _);
        Ok(Arc::new(identity))
    }
}

/// The refusal after those of other signatures: an outage, or else the first one.
fn after(failure: Option<Rejection>, rejection: Rejection) -> Rejection {
    match failure {
        Some(failure) if rejection.kind() != RejectionKind::Unavailable => failure,
        _ => rejection,
    }
}

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signatures").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}
