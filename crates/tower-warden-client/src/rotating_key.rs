use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderName;
use tower_warden::{ConfigError, UnixTime};

use crate::{
    Token, TokenError, TokenErrorKind,
    secret::{Secret, Versioned},
    token::is_scheme,
};

/// The versions of a key as tokens, and the version that the API refused last.
///
/// While two versions are valid, the current one is used until the API refuses it, and the other one from then on; a
/// new version is used at once.
pub(crate) struct RotatingKey {
    place: KeyPlace,
    state: Mutex<State>,
}

/// The place of a key in a request.
#[derive(Clone, Debug)]
pub(crate) enum KeyPlace {
    /// `Authorization: Bearer`.
    Bearer,
    /// The whole value of a header field.
    Field(HeaderName),
    /// Another scheme of `Authorization`.
    Scheme(Box<str>),
}

#[derive(Default)]
struct State {
    current: Option<Made>,
    previous: Option<Made>,
    refused: Option<Token>,
    /// The newest version. A refusal does not outlast it.
    version: u64,
}

/// A version, and the token that it is; `None` if it is malformed.
#[derive(Clone)]
struct Made(Arc<Secret>, Option<Token>);

impl KeyPlace {
    pub(crate) fn scheme(name: &str) -> Result<Self, ConfigError> {
        // The text may be the whole value with the key, so it is not quoted.
        let malformed = || ConfigError::custom("the name of a scheme is a token of HTTP, without the key");
        is_scheme(name).then(|| Self::Scheme(name.into())).ok_or_else(malformed)
    }

    pub(crate) fn token(&self, text: &str) -> Result<Token, TokenError> {
        match self {
            Self::Bearer => Token::bearer(text),
            Self::Field(field) => Token::api_key(field.clone(), text),
            Self::Scheme(scheme) => Token::api_key_with_scheme(scheme, text),
        }
    }
}

impl RotatingKey {
    pub(crate) fn new(place: KeyPlace) -> Self {
        Self { place, state: Mutex::default() }
    }

    /// Returns the token of the version to use.
    pub(crate) fn token(&self, versions: &Versioned<Secret>, now: UnixTime) -> Result<Token, TokenError> {
        let mut state = self.state();
        let State { current, previous, refused, version } = &mut *state;
        if *version < versions.version() {
            (*version, *refused) = (versions.version(), None);
        }
        let other = versions.previous(now).map(|secret| self.made(secret, [&*current, &*previous]));
        let made = self.made(versions.current(), [&*current, &*previous]);
        let other_token = other.as_ref().and_then(|Made(_, token)| token.clone());
        let token = match &made.1 {
            Some(token) if refused.as_ref() != Some(token) => Some(token.clone()),
            token => other_token.or_else(|| token.clone()),
        };
        (*current, *previous) = (Some(made), other);
        token.ok_or_else(|| TokenError::new(TokenErrorKind::Store, "a key is visible ASCII without spaces"))
    }

    /// Notes that the API refused a version.
    pub(crate) fn refuse(&self, token: &Token) {
        let mut state = self.state();
        let is = |made: &Option<Made>| made.as_ref().is_some_and(|Made(_, made)| made.as_ref() == Some(token));
        // Not a version that was replaced while its request was on its way.
        if is(&state.current) || is(&state.previous) {
            state.refused = Some(token.clone());
        }
    }

    /// The token of a version, which is made once.
    fn made(&self, secret: &Arc<Secret>, known: [&Option<Made>; 2]) -> Made {
        if let Some(made) = known.into_iter().flatten().find(|Made(known, _)| Arc::ptr_eq(known, secret)) {
            return made.clone();
        }
        let token = self.place.token(secret.expose());
        if token.is_err() {
            tracing::warn!("a new version of a key is malformed: a key is visible ASCII without spaces");
        }
        Made(Arc::clone(secret), token.ok())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
