use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use super::{key::SigningKey, token::TokenBuilder};
use crate::{
    Eventual,
    environment::Environment,
    error::Unavailable,
    jwt::{Algorithm, KeyRequest, KeySource, VerifyingKey},
    time::{Clock, SystemClock},
};

/// An issuer of JWTs within the test process; clones are the same issuer.
///
/// It is a [`KeySource`], for tests without a socket, and can serve its metadata and key set over HTTP. See the
/// [module docs](super).
#[derive(Clone)]
pub struct TestIssuer {
    clock: Arc<dyn Clock>,
    name: Arc<str>,
    pub(super) state: Arc<Mutex<State>>,
}

pub(super) struct State {
    /// The number of requests for its keys.
    pub(super) fetches: usize,
    pub(super) is_down: bool,
    /// The last key signs tokens.
    keys: Vec<SigningKey>,
    tokens: u64,
}

impl TestIssuer {
    /// An issuer with this name, and a key for ES256.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let state = State { fetches: 0, is_down: false, keys: Vec::new(), tokens: 0 };
        let issuer = Self { clock: Arc::new(SystemClock), name: name.into(), state: Arc::new(Mutex::new(state)) };
        issuer.publish(SigningKey::generate(Algorithm::ES256));
        issuer
    }

    /// Sets the clock that gives the issuing time of tokens: that of the machine by default.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }

    /// The issuer's name: `iss` of its tokens.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Builds a token for a subject, to be signed with the newest key.
    pub fn token(&self, subject: &str) -> TokenBuilder {
        let mut state = self.state();
        state.tokens += 1;
        let (id, key) = (format!("token-{}", state.tokens), state.newest());
        drop(state);
        TokenBuilder::new(&self.name, subject, &id, self.clock.now(), key)
    }

    /// The newest key, which signs tokens.
    #[must_use]
    pub fn key(&self) -> SigningKey {
        self.state().newest()
    }

    /// Adds a key to the set; it signs tokens from now on.
    pub fn publish(&self, key: SigningKey) {
        self.state().keys.push(key);
    }

    /// Removes a key from the set.
    ///
    /// # Panics
    ///
    /// If it is the only key.
    pub fn withdraw(&self, key: &SigningKey) {
        let mut state = self.state();
        state.keys.retain(|other| other.id() != key.id());
        assert!(!state.keys.is_empty(), "an issuer has a key");
        drop(state);
        key.verifying_key().retire();
    }

    /// Replaces all keys by a new one for the same algorithm.
    pub fn rotate(&self) {
        let new = SigningKey::generate(self.key().algorithm());
        let old = std::mem::replace(&mut self.state().keys, vec![new]);
        old.iter().for_each(|key| key.verifying_key().retire());
    }

    /// Makes the keys unavailable until [`recover`](Self::recover) is called.
    pub fn fail(&self) {
        self.state().is_down = true;
    }

    /// Makes the keys available again.
    pub fn recover(&self) {
        self.state().is_down = false;
    }

    /// The number of requests for its keys, over HTTP or within the process.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.state().fetches
    }

    /// The JWK set ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)), without symmetric keys.
    #[must_use]
    pub fn jwk_set(&self) -> Value {
        let state = self.state();
        let public = state.keys.iter().filter(|key| !key.algorithm().is_symmetric());
        json!({ "keys": public.map(SigningKey::jwk).collect::<Vec<_>>() })
    }

    /// The authorization server metadata ([RFC 8414 §2](https://www.rfc-editor.org/rfc/rfc8414#section-2)).
    #[must_use]
    pub fn metadata(&self) -> Value {
        json!({ "issuer": &*self.name, "jwks_uri": format!("{}/jwks", self.name) })
    }
}

impl TestIssuer {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn newest(&self) -> SigningKey {
        self.keys.last().expect("an issuer has a key").clone()
    }
}

impl KeySource for TestIssuer {
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        let mut state = self.state();
        state.fetches += 1;
        if state.is_down {
            return Eventual::Now(Err(Unavailable::new("the test issuer")));
        }
        let key = state.keys.iter().find(|key| Some(key.id()) == request.kid);
        Eventual::Now(Ok(key.map(SigningKey::verifying_key)))
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer").field("name", &self.name).finish_non_exhaustive()
    }
}
