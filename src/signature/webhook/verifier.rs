use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, LazyLock, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use http::Extensions;

use super::{challenge::WebhookChallenge, delivery::Delivery};
use crate::{
    Eventual,
    auth::Few,
    body::{BodyCheck, BodyLimits, BufferedRequest},
    digest::Digest,
    environment::Environment,
    error::{ConfigError, ConfigErrorKind},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    replay::{MemoryReplayGuard, Recorder, ReplayGuard, UsedProof},
    request::Head,
    scheme::{Challenge, Challenges, Presented, Scheme, Schemes},
    signature::payload::{PayloadKey, PayloadScheme, REPLAY_REASONS, SignatureFields, Tolerance},
    time::{Clock, SystemClock, UnixTime},
};

/// Verifies the signatures of webhooks.
///
/// Clones share the keys and the record of received requests: give clones of one verifier to all routes that a sender calls.
/// [`WebhookLayer`](super::WebhookLayer) uses it; [`verify`](Self::verify) is for code without layers. See the
/// [module docs](super).
#[derive(Clone)]
pub struct WebhookVerifier {
    clock: Arc<dyn Clock>,
    keys: Arc<RwLock<SenderKeys>>,
    limits: BodyLimits,
    /// The receiver of notices of outages.
    #[cfg(feature = "audit")]
    observer: Option<Arc<dyn crate::notice::Observer>>,
    replay_id: ReplayId,
    replays: Option<Recorder>,
    scheme: Arc<PayloadScheme>,
    tolerance: Tolerance,
}

/// The keys of a sender.
struct SenderKeys {
    keys: Arc<[PayloadKey]>,
    /// The identity of the sender by each of the keys in the record of requests, also in a store that several verifiers share.
    senders: Box<[Digest]>,
}

impl SenderKeys {
    fn new(scheme: &PayloadScheme, keys: impl IntoIterator<Item = PayloadKey>) -> Result<Self, ConfigError> {
        let keys = scheme.check_keys(keys)?;
        let sender = |key: &PayloadKey| Digest::of(&[scheme.name().as_bytes(), key.thumbprint().as_bytes()].concat());
        Ok(Self { senders: keys.iter().map(sender).collect(), keys })
    }
}

/// The identity of a request, by which it is accepted once.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReplayId {
    /// Its id and its timestamp if the signature covers both, otherwise all that the signature covers. A message that its
    /// sender sends again with a new timestamp is another request.
    #[default]
    Delivery,
    /// The id of the message, which must be covered: a message is accepted once within the tolerance, and the sender's own
    /// retries are refused as well. For senders that do not repeat a message whose handler has failed.
    Message,
}

impl WebhookVerifier {
    /// A verifier of signatures by one of these keys. During the rotation of a secret, these are the old one and the new one.
    ///
    /// # Errors
    ///
    /// If there are no keys or more than 16, if a key has a form that the scheme does not use, or if the scheme covers no
    /// timestamp, or one without a field.
    pub fn new(scheme: PayloadScheme, keys: impl IntoIterator<Item = PayloadKey>) -> Result<Self, ConfigError> {
        scheme.check()?;
        let keys = SenderKeys::new(&scheme, keys)?;
        Ok(Self {
            clock: Arc::new(SystemClock),
            keys: Arc::new(RwLock::new(keys)),
            limits: BodyLimits::default(),
            #[cfg(feature = "audit")]
            observer: None,
            replay_id: ReplayId::default(),
            // A sender with one key may take half of it.
            replays: Some(Recorder::new(MemoryReplayGuard::for_rates(PER_SECOND, PER_SECOND), &REPLAY_REASONS)),
            scheme: Arc::new(scheme),
            tolerance: Tolerance::default(),
        })
    }

    /// Uses the clock, and with the feature `audit` the observer, of an environment.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        #[cfg(feature = "audit")]
        {
            self.observer = environment.observer();
        }
        self.observed()
    }

    /// Sets the limits within which the body is read: 1 MiB and 10 seconds by default.
    #[must_use]
    pub const fn limits(mut self, limits: BodyLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how far in the past and in the future the timestamp may be, in whole seconds: 300 and 60 by default.
    ///
    /// # Errors
    ///
    /// If `past` is more than one day, or `future` more than 10 minutes.
    pub fn tolerance(mut self, past: Duration, future: Duration) -> Result<Self, ConfigError> {
        self.tolerance = self.tolerance.with(past, future)?;
        Ok(self)
    }

    /// Sets the guard that records received requests: by default a [`MemoryReplayGuard`] for 1000 records per second. A request
    /// takes one for each of the `k` keys, and one sender is accepted with as many requests as one in `k + 1` of these: 500 per
    /// second with one key, 333 with two. Several nodes need a guard that they share.
    #[must_use]
    pub fn replay_guard(mut self, guard: impl ReplayGuard) -> Self {
        self.replays = Some(Recorder::new(guard, &REPLAY_REASONS));
        self.observed()
    }

    /// Sets what identifies a request: [`ReplayId::Delivery`] by default.
    ///
    /// # Errors
    ///
    /// For [`ReplayId::Message`], if the signature does not cover an id: an attacker could choose another one.
    pub fn replay_id(mut self, id: ReplayId) -> Result<Self, ConfigError> {
        if id == ReplayId::Message && !self.scheme.covers_id() {
            let message = "the id of a message identifies it if the signature covers the id: `{id}` in the template";
            return Err(ConfigError::new(ConfigErrorKind::PayloadSignature, message).value(self.scheme.name()));
        }
        self.replay_id = id;
        Ok(self)
    }

    /// Sets how long a request without a timestamp is recorded: one hour by default. Afterwards, it is accepted again.
    ///
    /// # Errors
    ///
    /// If it is not one minute up to 7 days.
    pub fn replay_window(mut self, window: Duration) -> Result<Self, ConfigError> {
        self.tolerance = self.tolerance.with_replay_window(window)?;
        Ok(self)
    }

    /// Accepts a request any number of times while its timestamp is valid. An attacker who has recorded one can repeat what it
    /// does, unless the handler is idempotent.
    #[must_use]
    pub fn danger_without_replay_protection(mut self) -> Self {
        self.replays = None;
        self
    }

    /// Replaces the keys, also those of all clones; for the rotation of a secret at run time.
    ///
    /// A request is recorded for each key that is known when it arrives, so that none is accepted again after an old key was removed.
    /// Keep the old key beside the new one for as long as a request is recorded: for both parts of the
    /// [`tolerance`](Self::tolerance) together, 6 minutes by default, and without a timestamp for the
    /// [`replay_window`](Self::replay_window), one hour. Of a sender that signs with both keys, a request is otherwise known
    /// under the old one only.
    ///
    /// # Errors
    ///
    /// As those of [`new`](Self::new); the previous keys remain.
    pub fn set_keys(&self, keys: impl IntoIterator<Item = PayloadKey>) -> Result<(), ConfigError> {
        let keys = SenderKeys::new(&self.scheme, keys)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Verifies a request whose body was read, and records it.
    ///
    /// # Errors
    ///
    /// 401 if it is not signed as the scheme requires, or was received before; 429 if the sender sends more requests than the
    /// guard has room for; 503 if the guard does not respond.
    pub fn verify(&self, head: &Head<'_>, body: &Bytes) -> Eventual<Result<Delivery, Rejection>> {
        match self.verify_signature(head, body) {
            Ok((delivery, used)) => match &self.replays {
                None => Eventual::Now(Ok(delivery)),
                Some(replays) => {
                    replays.record_all(used.as_slice(), refused).map(|recorded| recorded.map(|()| delivery))
                }
            },
            Err(reason) => Eventual::Now(Err(refused(reason))),
        }
    }
}

impl WebhookVerifier {
    /// Reports outages of the guard to the observer, whichever of the two is set first.
    fn observed(self) -> Self {
        #[cfg(feature = "audit")]
        if let (Some(replays), Some(observer)) = (&self.replays, &self.observer) {
            replays.observed_by(observer);
        }
        self
    }

    /// The delivery, and what to record of it.
    fn verify_signature(&self, head: &Head<'_>, body: &Bytes) -> Result<(Delivery, Few<UsedProof>), Reason> {
        let now = self.clock.now();
        let fields = self.read(head, now)?;
        // No code of users runs while it is locked.
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let tags = fields.verify(&known.keys, body).ok_or(Reason::PAYLOAD_SIGNATURE_WRONG)?;
        let mut used = Few::default();
        if self.replays.is_some() {
            let (until, window) = self.tolerance.validity(fields.timestamp, now);
            let message = fields.id.as_ref().filter(|_| self.replay_id == ReplayId::Message);
            let message = message.map(|id| Digest::of(id.as_bytes()));
            let ids = fields.ids(&known.keys, body, &tags);
            for (sender, id) in known.senders.iter().zip(ids.as_slice()) {
                used.push(UsedProof::new(*sender, message.unwrap_or(*id), until, now).with_window(window));
            }
        }
        drop(known);
        Ok((Delivery::new(fields.id, fields.timestamp, body.clone()), used))
    }

    fn read(&self, head: &Head<'_>, now: UnixTime) -> Result<SignatureFields, Reason> {
        let fields = SignatureFields::read(&self.scheme, head)?;
        self.tolerance.check(fields.timestamp, now)?;
        Ok(fields)
    }
}

/// Verifies every request, whatever its method.
impl BodyCheck for WebhookVerifier {
    fn check_head(&self, head: &Head<'_>) -> Result<(), Rejection> {
        self.read(head, self.clock.now()).map(drop).map_err(refused)
    }

    fn limits(&self, _: &Head<'_>) -> Option<BodyLimits> {
        Some(self.limits)
    }

    fn check(&self, request: &BufferedRequest<'_>) -> Eventual<Result<Extensions, Rejection>> {
        #[cfg(feature = "audit")]
        let trail = {
            crate::trail::note(request.head.extensions, |notes| notes.see(&request.head));
            request.head.extensions.get::<crate::trail::Trail>().cloned()
        };
        self.verify(&request.head, request.body).map(|verified| {
            let mut extensions = Extensions::new();
            extensions.insert(verified?);
            // For the layer that refuses requests about whose sender no layer has decided.
            #[cfg(feature = "audit")]
            if let Some(trail) = trail {
                trail.notes().is_decided = true;
            }
            Ok(extensions)
        })
    }
}

impl fmt::Debug for WebhookVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookVerifier")
            .field("limits", &self.limits)
            .field("replay_id", &self.replay_id)
            .field("scheme", &self.scheme.name())
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

/// The refusal of a request that is not signed as required: the same for all reasons.
pub(super) fn refused(reason: Reason) -> Rejection {
    static CHALLENGES: LazyLock<Arc<Challenges>> = LazyLock::new(|| {
        let schemes = Schemes::new([Arc::new(WebhookChallenge) as Arc<dyn Scheme>]);
        Arc::new(Challenges::new(Challenge::default(), &schemes, |_| true))
    });
    Rejection::new(RejectionKind::InvalidProof, reason)
        .with_code("invalid_signature", "The signature of the request is missing or invalid.")
        .challenged(&CHALLENGES, Presented::Any)
}

const PER_SECOND: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");
