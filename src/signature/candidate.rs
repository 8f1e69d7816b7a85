//! Signatures that a policy selects, and their verification.

use http::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};

use super::{
    agent_url,
    algorithm::SignatureAlgorithm,
    base::{Base, Values},
    content_check::CheckedContent,
    content_digest::Content,
    input::{self, ClaimedSignature, Parameters},
    message::{Message, RequestHead},
    origin::Origin,
    policy::SignaturePolicy,
    requirement::{AgentRule, ContentRule, Presence, covers_content},
};
use crate::{digest::Digest, jwt::VerifyingKey, reason::Reason, replay::UsedProof, request::Head, time::UnixTime};

/// The largest number of signatures that meet the policy, or do so for a part of the request: for each of them, a key is looked
/// up.
const MAX_CANDIDATES: usize = 3;

/// A signature that meets the policy, or would for a part of the request, before its key is known. It borrows nothing from the
/// request.
pub(super) struct Candidate {
    pub(super) agent: Option<Box<str>>,
    algorithm: Option<Box<str>>,
    base: Base,
    pub(super) created: Option<UnixTime>,
    expires: Option<UnixTime>,
    pub(super) key_id: Box<str>,
    nonce: Option<Box<str>>,
    /// The reason why it does not meet the policy, although it would if the request had no content, or lacked the fields that
    /// describe it or carry a credential. Anybody can remove those, so the signature is recorded as used with the others.
    pub(super) shortfall: Option<Reason>,
    signature: Vec<u8>,
}

/// The parts of a message that are needed besides its signatures.
pub(super) struct Received<'a> {
    pub(super) content: Option<Content>,
    /// The fields of a credential that a signature proves, or beside which it is another one.
    pub(super) credential: &'a [HeaderName],
    pub(super) headers: &'a HeaderMap,
    pub(super) now: Option<UnixTime>,
}

impl<'a> Received<'a> {
    /// The parts of a request.
    pub(super) fn of(head: &Head<'a>, credential: &'a [HeaderName], now: Option<UnixTime>) -> Self {
        let content = head.extensions.get::<CheckedContent>().map(|content| content.0);
        Self { content, credential, headers: head.headers, now }
    }
}

/// The signatures of a request that meet the policy, in the order in which they came, and those that would do so for a part of it.
///
/// They cover those of these fields of a credential that the request has. Without `now`, their time is not checked here.
pub(super) fn select(
    policy: &SignaturePolicy,
    head: &Head<'_>,
    credential: &[HeaderName],
    now: Option<UnixTime>,
) -> Result<Vec<Candidate>, Reason> {
    let (headers, method, uri) = (head.headers, head.method, head.original_uri());
    // All origins have the same one.
    let prefix = policy.origins.first().map_or("", Origin::removed_prefix);
    let message = Message::Request(RequestHead { headers, method, prefix, uri });
    select_from(policy, &Received::of(head, credential, now), message)
}

/// The signatures of a message.
///
/// If none meets the policy, the error is that of the first one that the policy selects by its tag.
pub(super) fn select_from(
    policy: &SignaturePolicy,
    received: &Received<'_>,
    message: Message<'_>,
) -> Result<Vec<Candidate>, Reason> {
    let (mut candidates, mut refused) = (Vec::<Candidate>::new(), None);
    let mut values = Values::new(message, &policy.types);
    for signature in input::read(received.headers)? {
        let candidate = match signature {
            Ok(signature) if signature.parameters.tag != policy.tag => continue,
            Ok(signature) => Candidate::new(policy, signature, received, &mut values),
            Err(reason) => {
                refused = refused.or(Some(reason));
                continue;
            }
        };
        match candidate {
            Ok(_) if candidates.len() == MAX_CANDIDATES => return Err(Reason::SIGNATURE_TOO_LONG),
            Ok(candidate) => {
                refused = refused.or(candidate.shortfall);
                candidates.push(candidate);
            }
            // One of the future would be accepted later, and one that is not verified may be valid: the request would be
            // accepted twice.
            Err(reason @ (Reason::SIGNATURE_IN_FUTURE | Reason::SIGNATURE_TOO_LONG)) => return Err(reason),
            Err(reason) => refused = refused.or(Some(reason)),
        }
    }
    let is_met = candidates.iter().any(|candidate| candidate.shortfall.is_none());
    if is_met { Ok(candidates) } else { Err(refused.unwrap_or(Reason::SIGNATURE_TAG)) }
}

impl Candidate {
    /// The cheap checks first; the signature is verified last, when its key is known.
    fn new(
        policy: &SignaturePolicy,
        signature: ClaimedSignature<'_>,
        received: &Received<'_>,
        values: &mut Values<'_>,
    ) -> Result<Self, Reason> {
        let Received { content, headers, now, .. } = *received;
        let ClaimedSignature { components, parameters, parameters_text, signature } = signature;
        let key_id = parameters.key_id.clone().ok_or(Reason::SIGNATURE_KEY_MISSING)?;
        if parameters.nonce.is_none() && policy.nonce == Presence::Required {
            return Err(Reason::SIGNATURE_NONCE_MISSING);
        }
        if !policy.is_met_by(&components) {
            return Err(Reason::SIGNATURE_NOT_COVERED);
        }
        let is_covered = policy.are_fields_covered(&components, received);
        let mut shortfall = (!is_covered).then_some(Reason::SIGNATURE_NOT_COVERED);
        let agent = match policy.agent {
            AgentRule::Covered => Some(agent_url::covered(&components, headers).ok_or(Reason::SIGNATURE_AGENT)?),
            AgentRule::Ignored => None,
        };
        match policy.check_content(covers_content(&components), content) {
            Err(Reason::SIGNATURE_CONTENT_NOT_COVERED) => {
                shortfall = shortfall.or(Some(Reason::SIGNATURE_CONTENT_NOT_COVERED));
            }
            checked => checked?,
        }
        let Parameters { algorithm, created, expires, nonce, .. } = parameters;
        let base = Base::default();
        let mut this = Self { agent, algorithm, base, created, expires, key_id, nonce, shortfall, signature };
        if let Some(now) = now {
            this.check_time(policy, now)?;
        }
        this.base = values.base(&components, &parameters_text, &policy.origins)?;
        Ok(this)
    }

    /// Checks that the signature is neither too old nor of the future.
    pub(super) fn check_time(&self, policy: &SignaturePolicy, now: UnixTime) -> Result<(), Reason> {
        if self.created.is_none() && policy.created == Presence::Required {
            return Err(Reason::SIGNATURE_CREATED_MISSING);
        }
        if self.expires.is_none() && policy.expires == Presence::Required {
            return Err(Reason::SIGNATURE_EXPIRES_MISSING);
        }
        // Without `created`, the signature is as old as `expires` permits.
        let youngest = match (self.created, self.expires) {
            (Some(created), _) => Some(created + policy.max_age),
            (None, expires) => expires,
        };
        if youngest.is_some_and(|end| now + policy.longest_validity() < end) {
            return Err(Reason::SIGNATURE_IN_FUTURE);
        }
        if self.created.is_some_and(|created| created + policy.max_age < now) {
            return Err(Reason::SIGNATURE_TOO_OLD);
        }
        // RFC 9421 §2.3: not to be accepted after `expires`.
        if self.expires.is_some_and(|end| end < now) { Err(Reason::SIGNATURE_EXPIRED) } else { Ok(()) }
    }

    /// The last second in which the signature is accepted, at `now` or later.
    fn until(&self, policy: &SignaturePolicy, now: UnixTime) -> UnixTime {
        match (self.created, self.expires) {
            (Some(created), Some(expires)) => expires.min(created + policy.max_age),
            (None, Some(expires)) => expires,
            (created, None) => created.unwrap_or(now) + policy.max_age,
        }
    }

    /// Verifies the signature of a message to one of the policy's origins with a key, whose algorithm it is.
    pub(super) fn verify(&self, policy: &SignaturePolicy, key: &VerifyingKey, now: UnixTime) -> Result<(), Reason> {
        if !key.is_usable(now) {
            return Err(Reason::SIGNATURE_KEY_UNKNOWN);
        }
        if key.is_of_future(now, policy.skew) {
            return Err(Reason::SIGNATURE_KEY_NOT_YET_VALID);
        }
        if key.is_expired(now, policy.skew) {
            return Err(Reason::SIGNATURE_KEY_EXPIRED);
        }
        let algorithm = SignatureAlgorithm::of(key.algorithm()).filter(|known| policy.algorithms.contains(known));
        // RFC 9421 §3.2 step 6: all sources of the algorithm agree.
        let is_named = |known: SignatureAlgorithm| self.algorithm.as_deref().is_none_or(|name| name == known.as_str());
        if !algorithm.is_some_and(is_named) {
            return Err(Reason::SIGNATURE_ALGORITHM);
        }
        let is_valid = self.base.is_any(&policy.origins, |base| key.verifies(base, &self.signature));
        if is_valid { Ok(()) } else { Err(Reason::SIGNATURE_WRONG) }
    }

    /// The signature as the replay guard records it.
    pub(super) fn used(&self, policy: &SignaturePolicy, key: &VerifyingKey, now: UnixTime) -> UsedProof {
        // Not the id: with a shared guard, other keys may have the same one.
        let holder = key.fingerprint();
        let id = match &self.nonce {
            Some(nonce) => Sha256::new().chain_update(b"nonce\n").chain_update(nonce.as_bytes()),
            None => {
                let created = self.created.map_or_else(String::new, |time| time.to_string());
                let id = Sha256::new().chain_update(b"signature\n").chain_update(created).chain_update(b"\n");
                id.chain_update(self.identifying_part(key))
            }
        };
        let id = Digest::from_bytes(id.finalize().into());
        UsedProof::new(holder, id, self.until(policy, now), now).with_window(policy.longest_validity())
    }

    /// The part of the signature that nobody but its maker can change: of `(r, s)`, the first half. Otherwise `(r, n - s)`
    /// would be a second signature of the same request.
    fn identifying_part(&self, key: &VerifyingKey) -> &[u8] {
        let is_malleable = SignatureAlgorithm::of(key.algorithm()).is_some_and(SignatureAlgorithm::is_malleable);
        if is_malleable { &self.signature[..self.signature.len() / 2] } else { &self.signature }
    }
}

impl SignaturePolicy {
    /// Checks the content against its digest, which is a part of the message only if the signature covers it.
    fn check_content(&self, is_covered: bool, content: Option<Content>) -> Result<(), Reason> {
        if !is_covered && self.content == ContentRule::Unsigned {
            return Ok(());
        }
        match content.ok_or(Reason::SIGNATURE_CONTENT_UNCHECKED)? {
            Content::Changed => Err(Reason::SIGNATURE_CONTENT_CHANGED),
            Content::Empty => Ok(()),
            Content::Streamed | Content::Verified if is_covered => Ok(()),
            Content::Streamed | Content::Unprotected | Content::Verified => Err(Reason::SIGNATURE_CONTENT_NOT_COVERED),
        }
    }
}
