use std::{collections::VecDeque, fmt, sync::Arc};

use super::{
    candidate::{self, Candidate, Received},
    keys::{KnownKey, SignatureKeyRequest, SignatureKeys},
    outages::Outages,
    policy::SignaturePolicy,
    refused,
    replay::UsedSignatures,
    requirement::AgentRule,
    scheme::{ACCEPT_SIGNATURE, KIND, LABEL, SignatureScheme},
};
use crate::{
    Eventual,
    answer::within_time_out,
    auth::{Authenticator, Few, Presented},
    caller::{AuthMethod, Identity},
    error::Unavailable,
    reason::Reason,
    refusal::Rejection,
    replay::UsedProof,
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
    outages: Outages,
    policy: SignaturePolicy,
}

impl Signatures {
    /// Accepts signatures that meet the policy, of keys from this source, such as a
    /// [`SignatureKeyMap`](super::SignatureKeyMap).
    #[must_use]
    pub fn new(policy: SignaturePolicy, keys: impl SignatureKeys) -> Self {
        Self(Arc::new(Inner { keys: Arc::new(keys), outages: Outages::new(), policy }))
    }
}

impl Authenticator for Signatures {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(SignatureScheme::new(self.0.policy.accept_signature(LABEL, None)))]
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        credential.kind() == KIND
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let (policy, now) = (&self.0.policy, presented.now);
        // Otherwise a caller's request for one subject could be sent for another one.
        let fields = policy.required_of(presented.other_fields);
        match candidate::select(policy, &presented.head, fields, Some(now)) {
            Ok(candidates) => Inner::verify_all(&self.0, Verified::default(), candidates.into(), now),
            Err(reason @ Reason::SIGNATURE_NOT_COVERED) => {
                let named = policy.fields(&Received::of(&presented.head, fields, Some(now)));
                let required = policy.accept_signature(LABEL, named);
                Eventual::Now(Err(refused(reason).response_field(ACCEPT_SIGNATURE, required)))
            }
            Err(reason) => Eventual::Now(Err(refused(reason))),
        }
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.0.outages.observed_by(observer);
        self.0.keys.observed_by(observer);
        if let Some(replay) = &self.0.policy.replay {
            replay.0.observed_by(observer);
        }
    }
}

/// The result of the signatures of a request that were verified so far.
#[derive(Default)]
struct Verified {
    /// The refusal of the first signature that is not valid.
    failure: Option<Rejection>,
    /// That of the first valid signature.
    identity: Option<Identity>,
    /// The valid signatures.
    used: Few<UsedProof>,
}

impl Inner {
    /// Verifies all signatures, also after a valid one: a request is accepted once, so each signature by which it would be
    /// accepted again is recorded. It is refused if that is unknown of one, because its key could not be looked up, or may be
    /// added to the directory of its agent.
    fn verify_all(
        this: &Arc<Self>,
        mut verified: Verified,
        mut candidates: VecDeque<Candidate>,
        now: UnixTime,
    ) -> Eventual<Result<Arc<Identity>, Rejection>> {
        while let Some(candidate) = candidates.pop_front() {
            let wanted = SignatureKeyRequest::new(&candidate.key_id, now).with_agent(candidate.agent.as_deref());
            match this.keys.find(&wanted) {
                Eventual::Now(found) => {
                    if let Err(rejection) = this.settle(&mut verified, &candidate, found, now) {
                        return Eventual::Now(Err(rejection));
                    }
                }
                Eventual::Later(found) => {
                    let this = Arc::clone(this);
                    // The key source.
                    return Eventual::later(async move {
                        let found = within_time_out("the source of signature keys", found).await;
                        this.settle(&mut verified, &candidate, found, now)?;
                        Self::verify_all(&this, verified, candidates, now).wait().await
                    });
                }
            }
        }
        Eventual::Now(this.finish(verified))
    }

    /// Verifies one signature. An error refuses the request, whatever its other signatures are: this one cannot be recorded, and
    /// may be valid later.
    fn settle(
        &self,
        verified: &mut Verified,
        candidate: &Candidate,
        found: Result<Option<KnownKey>, Unavailable>,
        now: UnixTime,
    ) -> Result<(), Rejection> {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.outages.begin(candidate.agent.as_deref(), &error);
                return Err(refused(Reason::SIGNATURE_KEYS_UNAVAILABLE));
            }
        };
        self.outages.end(candidate.agent.as_deref());
        let key = found.ok_or(Reason::SIGNATURE_KEY_UNKNOWN);
        let valid = key.and_then(|known| candidate.verify(&self.policy, &known.key, now).map(|()| known));
        match valid {
            Ok(KnownKey { identity, key }) => {
                verified.used.push(candidate.used(&self.policy, &key, now));
                match candidate.shortfall {
                    None => {
                        verified.identity.get_or_insert_with(|| candidate.identity(&identity));
                    }
                    Some(reason) => {
                        verified.failure.get_or_insert_with(|| refused(reason));
                    }
                }
            }
            Err(reason @ Reason::SIGNATURE_KEY_NOT_YET_VALID) => return Err(refused(reason)),
            // Agents add keys to their directories: this one may be found while the signature is still valid.
            Err(reason @ Reason::SIGNATURE_KEY_UNKNOWN) if self.policy.agent == AgentRule::Covered => {
                return Err(refused(reason));
            }
            Err(reason) => {
                verified.failure.get_or_insert_with(|| refused(reason));
            }
        }
        Ok(())
    }

    fn finish(&self, verified: Verified) -> Result<Arc<Identity>, Rejection> {
        let Verified { failure, identity, used } = verified;
        let Some(mut identity) = identity else {
            return Err(failure.unwrap_or_else(|| refused(Reason::SIGNATURE_KEY_UNKNOWN)));
        };
        let replay = self.policy.replay.clone();
        identity.single_use = replay.map(|replay| Arc::new(UsedSignatures { replay, used }) as _);
        Ok(Arc::new(identity))
    }
}

impl Candidate {
    /// The identity of the caller, who holds the key.
    fn identity(&self, holder: &Identity) -> Identity {
        let mut identity = holder.clone();
        identity.method = AuthMethod::Signature;
        // Its time of issue is not `created`, which the client chooses: a revocation up to some second would not cover it.
        identity.key_id.get_or_insert_with(|| self.key_id.clone());
        identity
    }
}

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signatures").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}
