//! Keeps the keys of one issuer, and fetches them by the [plan](super::plan).
//!
//! A fetch is a task of its own: whoever waits for it may leave, and it goes on. There is one at a time.

use std::{
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::Shared as SharedFuture};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{
    errand::{Errand, Failure, Haul, PATIENCE, Trail},
    gone::GoneKids,
    plan::{Cause, Plan},
};
use crate::{
    Eventual,
    error::Unavailable,
    jwt::{
        algorithm::Algorithm,
        key::VerifyingKey,
        source::{KeyRequest, KeySet},
    },
    log::{self, Causes},
    time::{Clock, UnixTime},
};

/// How long the attendant rests at the most: the clock may be set.
const LONGEST_REST: Duration = Duration::from_secs(60);

pub(super) type Found = Result<Option<Arc<VerifyingKey>>, Unavailable>;

pub(super) struct Keeper {
    clock: Arc<dyn Clock>,
    errand: Arc<Errand>,
    state: RwLock<State>,
    /// Rings when the plan has changed, and when the keeper is gone.
    bell: Arc<Notify>,
    is_attended: AtomicBool,
}

#[derive(Default)]
struct State {
    keys: KeySet,
    plan: Plan,
    gone: GoneKids,
    trail: Trail,
    flight: Option<Flight>,
    /// How many flights have departed, and the number of the last that has landed.
    departed: u64,
    landed: u64,
    is_of_other_issuer: bool,
}

/// A fetch under way; it is over when this is ready, whether it landed or was lost.
type Flight = SharedFuture<oneshot::Receiver<()>>;

/// What becomes of a request.
enum Step {
    Answer(Found),
    Wait(Flight, Option<Departure>),
}

impl Keeper {
    pub(super) fn new(errand: Errand, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (errand, bell) = (Arc::new(errand), Arc::default());
        Arc::new(Self { clock, errand, state: RwLock::default(), bell, is_attended: AtomicBool::new(false) })
    }

    pub(super) fn find(self: &Arc<Self>, request: &KeyRequest<'_>) -> Eventual<Found> {
        self.attend();
        let (known, is_due) = {
            let state = self.read();
            let is_due = state.flight.is_none() && state.plan.due(request.now).is_some();
            (state.known(request), is_due)
        };
        if is_due && known.is_some() {
            self.refresh(request.now);
        }
        known.map_or_else(|| self.seek(request), Eventual::Now)
    }

    /// Whether tokens can be verified with what is held.
    pub(super) fn is_ready(self: &Arc<Self>) -> bool {
        self.attend();
        let now = self.clock.now();
        let (is_alive, is_due) = {
            let state = self.read();
            (state.plan.is_alive(now), state.plan.due(now).is_some())
        };
        if is_due {
            // A probe may be all that comes until it says yes.
            self.refresh(now);
        }
        is_alive
    }

    pub(super) fn is_of_other_issuer(&self) -> bool {
        self.read().is_of_other_issuer
    }

    /// For logs: who is asked.
    pub(super) fn name(&self) -> &str {
        self.errand.source.name()
    }

    /// Waits for the fetch that is due or under way, if there is one.
    pub(super) async fn settle(self: &Arc<Self>) {
        self.attend();
        self.refresh(self.clock.now());
        let flight = self.read().flight.clone();
        if let Some(flight) = flight {
            let _ = flight.await;
        }
    }

    /// Sees to it that somebody looks after the plan, once there is a runtime to do so.
    pub(super) fn attend(self: &Arc<Self>) {
        if self.is_attended.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.is_attended.swap(true, Ordering::AcqRel) {
            let presence = Presence(Arc::downgrade(self));
            let bell = Arc::clone(&self.bell);
            runtime.spawn(async move {
                while let Some(rest) = presence.0.upgrade().map(|keeper| keeper.tend()) {
                    let _ = timeout(rest, bell.notified()).await;
                }
            });
        }
    }

    /// Starts what is due, and tells for how long nothing will be.
    fn tend(self: &Arc<Self>) -> Duration {
        let now = self.clock.now();
        self.refresh(now);
        self.read().plan.rest(now).clamp(Duration::from_secs(1), LONGEST_REST)
    }

    /// Starts what is due.
    fn refresh(self: &Arc<Self>, now: UnixTime) {
        let Ok(runtime) = Handle::try_current() else { return };
        let departure = {
            let mut state = self.write();
            match state.plan.due(now) {
                Some(cause) if state.flight.is_none() => Some(self.depart(&mut state, cause).1),
                _ => None,
            }
        };
        if let Some(departure) = departure {
            departure.launch(&runtime);
        }
    }

    /// Looks for a key that is not at hand.
    fn seek(self: &Arc<Self>, request: &KeyRequest<'_>) -> Eventual<Found> {
        let latest = self.read().departed;
        let (mut flight, departure) = match self.step(request, latest) {
            Step::Answer(found) => return Eventual::Now(found),
            Step::Wait(flight, departure) => (flight, departure),
        };
        if let (Some(departure), Ok(runtime)) = (departure, Handle::try_current()) {
            departure.launch(&runtime);
        }
        let (this, id) = (Arc::clone(self), request.id.map(str::to_owned));
        let (algorithm, now) = (request.algorithm, request.now);
        // The key set.
        Eventual::later(async move {
            let sought = async {
                loop {
                    let _ = flight.await;
                    let departure;
                    (flight, departure) = match this.step(&KeyRequest::new(id.as_deref(), algorithm, now), latest) {
                        Step::Answer(found) => return found,
                        Step::Wait(flight, departure) => (flight, departure),
                    };
                    if let Some(departure) = departure {
                        departure.launch(&Handle::current());
                    }
                }
            };
            timeout(PATIENCE, sought).await.unwrap_or_else(|_| Err(unavailable()))
        })
    }

    /// What is next for a request that came when the flight of this number was the latest: flights after it tell all that
    /// the request can ask for.
    fn step(self: &Arc<Self>, request: &KeyRequest<'_>, latest: u64) -> Step {
        let can_depart = Handle::try_current().is_ok();
        let mut state = self.write();
        let (now, is_told) = (request.now, state.landed > latest);
        if let Some(found) = state.known(request) {
            return Step::Answer(found);
        }
        if is_told {
            let unknown = state.unknown(now);
            if let (Ok(_), Some(kid)) = (&unknown, request.id) {
                state.gone.confirm(kid, now);
            }
            return Step::Answer(unknown);
        }
        if let Some(flight) = &state.flight {
            return Step::Wait(flight.clone(), None);
        }
        let is_alive = state.plan.is_alive(now);
        let cause = match state.plan.due(now) {
            None if is_alive && state.plan.is_cool(now) => Some(Cause::UnknownKid),
            due => due,
        };
        match cause {
            Some(cause) if can_depart => {
                let (flight, departure) = self.depart(&mut state, cause);
                Step::Wait(flight, Some(departure))
            }
            _ => {
                if is_alive {
                    state.plan.want();
                    self.bell.notify_one();
                }
                Step::Answer(state.unknown(now))
            }
        }
    }

    /// Readies a flight. It is launched when the state is not locked any more.
    fn depart(self: &Arc<Self>, state: &mut State, cause: Cause) -> (Flight, Departure) {
        let (done, landing) = oneshot::channel();
        let flight = landing.shared();
        state.departed += 1;
        state.flight = Some(flight.clone());
        let ticket = Ticket {
            keeper: Arc::downgrade(self),
            cause,
            number: state.departed,
            began: self.clock.now(),
            _done: done,
            has_landed: false,
        };
        (flight, Departure { errand: Arc::clone(&self.errand), trail: state.trail.clone(), ticket })
    }

    fn land(&self, ticket: &Ticket, result: Result<Haul, Failure>) {
        let ended = self.clock.now();
        let changes = {
            let mut state = self.write();
            state.flight = None;
            state.landed = ticket.number;
            match result {
                Ok(haul) => Ok(state.unload(haul, ticket, ended)),
                Err(failure) => {
                    state.is_of_other_issuer = matches!(failure, Failure::OtherIssuer);
                    state.trail.doubt();
                    state.plan.fail(ticket.cause, ended);
                    Err((failure, state.plan.is_alive(ended)))
                }
            }
        };
        self.report(&changes);
        self.bell.notify_one();
    }

    fn report(&self, changes: &Result<Changes, (Failure, bool)>) {
        let name = self.name();
        match changes {
            Ok(Changes { came: 0, left: 0, .. }) => log::debug!(issuer = %name, "keys were fetched, and are the same"),
            Ok(Changes { came, left, keys }) => {
                log::info!(issuer = %name, keys = %keys, came = %came, left = %left, "the keys of an issuer changed");
            }
            Err((failure @ Failure::OtherIssuer, _)) => {
                log::error!(issuer = %name, error = %failure, "an issuer's keys are not fetched");
            }
            Err((failure, is_alive)) => {
                let held = if *is_alive { "those that are held are used for now" } else { "there are none" };
                log::warning!(issuer = %name, held = %held, error = %Causes(failure), "an issuer's keys could not be fetched");
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.bell.notify_one();
    }
}

/// How many keys came and left, and how many there are.
struct Changes {
    came: usize,
    left: usize,
    keys: usize,
}

impl State {
    /// What can be said without a fetch. In a flood, nearly all is said here, which keeps nobody from reading.
    fn known(&self, request: &KeyRequest<'_>) -> Option<Found> {
        let now = request.now;
        if !self.plan.is_alive(now) {
            return None;
        }
        if let Some(key) = self.keys.find(request.id, request.algorithm) {
            return Some(Ok(Some(Arc::clone(key))));
        }
        let Some(kid) = kid(request) else { return Some(Ok(None)) };
        let is_in_vain = self.gone.contains(kid, now) || self.plan.is_wanted() && !self.plan.is_cool(now);
        (self.flight.is_none() && is_in_vain).then(|| self.unknown(now))
    }

    /// What becomes of a kid that is not in the set: whether it is new cannot be told while the server is down.
    fn unknown(&self, now: UnixTime) -> Found {
        if self.plan.is_alive(now) && !self.plan.is_down() { Ok(None) } else { Err(unavailable()) }
    }

    /// Takes over what a flight has brought. From here on, keys that are not in the set verify nothing, and neither do
    /// tokens count that they have verified.
    fn unload(&mut self, haul: Haul, ticket: &Ticket, ended: UnixTime) -> Changes {
        self.trail = haul.trail;
        self.is_of_other_issuer = false;
        let Some(mut set) = haul.keys else {
            self.plan.confirm(ticket.cause, ticket.began, ended, haul.ttl);
            self.extend();
            return Changes { came: 0, left: 0, keys: self.keys.keys.len() };
        };
        self.plan.succeed(ticket.cause, ticket.began, ended, haul.ttl);
        let mut came = 0;
        for key in &mut set.keys {
            match self.keys.keys.iter().find(|held| held.is_same(key)) {
                Some(held) => *key = Arc::clone(held),
                None => came += 1,
            }
        }
        let before = std::mem::replace(&mut self.keys, set);
        self.extend();
        let is_held = |key: &Arc<VerifyingKey>| self.keys.keys.iter().any(|held| Arc::ptr_eq(held, key));
        let gone: Vec<_> = before.keys.iter().filter(|key| !is_held(key)).collect();
        for key in &gone {
            key.retire();
            if let Some(kid) = key.name() {
                self.gone.insert(kid, ended);
            }
        }
        Changes { came, left: gone.len(), keys: self.keys.keys.len() }
    }

    fn extend(&self) {
        self.keys.keys.iter().for_each(|key| key.use_until(self.plan.ends()));
    }
}

/// A flight before it is launched.
struct Departure {
    errand: Arc<Errand>,
    trail: Trail,
    ticket: Ticket,
}

impl Departure {
    fn launch(self, runtime: &Handle) {
        let Self { errand, trail, mut ticket } = self;
        runtime.spawn(async move {
            let result = errand.run(trail, ticket.began).await;
            ticket.land(result);
        });
    }
}

/// Lands a flight, even one that was lost: because the runtime ended, or the user's `Fetch` panicked.
struct Ticket {
    keeper: Weak<Keeper>,
    cause: Cause,
    number: u64,
    began: UnixTime,
    /// Dropped last: whoever waits looks at the state again.
    _done: oneshot::Sender<()>,
    has_landed: bool,
}

impl Ticket {
    fn land(&mut self, result: Result<Haul, Failure>) {
        self.has_landed = true;
        if let Some(keeper) = self.keeper.upgrade() {
            keeper.land(self, result);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.has_landed {
            self.land(Err(Unavailable::new("a fetch that was given up").into()));
        }
    }
}

/// Somebody looks after the plan as long as this lives.
struct Presence(Weak<Keeper>);

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(keeper) = self.0.upgrade() {
            keeper.is_attended.store(false, Ordering::Release);
        }
    }
}

/// The kid that may be of a key which is not here yet. Secrets do not come from a URL; and whether a token without kid is
/// of a new key cannot be told.
fn kid<'a>(request: &KeyRequest<'a>) -> Option<&'a str> {
    request.id.filter(|_| !Algorithm::is_symmetric(request.algorithm))
}

fn unavailable() -> Unavailable {
    Unavailable::new("the key set of an issuer")
}
