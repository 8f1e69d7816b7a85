use std::{
    fmt, iter,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use http::Extensions;

use super::{ended::CredentialEnded, settings::Settings};
use crate::caller::{Identity, Principal};
#[cfg(feature = "audit")]
use crate::trail::Trail;

/// A future that completes when the credential of a request has expired or was revoked, for what the layer cannot end:
/// web sockets, and loops of a handler.
///
/// [`StreamGuardLayer`](crate::layer::StreamGuardLayer) adds it to the extensions of each request; with the feature
/// `axum` it is also an extractor. It never completes for a request without a credential, under an optional layer.
/// If it is polled again after it has completed, it returns the same result at once.
///
/// Await a reference to it in a loop, such as `&mut watch` in `tokio::select!`: the wait then goes on where it was, and
/// the checks of revocations are made however often the other branches complete. A clone waits on its own.
///
/// # Examples
///
/// ```
/// use tokio::sync::mpsc;
/// use tower_warden::stream::CredentialWatch;
///
/// /// Handles the messages of a web socket, until it is closed or its credential has ended.
/// async fn chat(mut messages: mpsc::Receiver<String>, mut watch: CredentialWatch) -> &'static str {
///     loop {
///         tokio::select! {
///             ended = &mut watch => {
///                 println!("{ended}");
///                 return "closed with the code 1008";
///             }
///             message = messages.recv() => match message {
///                 Some(message) => println!("{message}"),
///                 None => return "closed by the client",
///             },
///         }
///     }
/// }
/// ```
pub struct CredentialWatch {
    /// `None` for a request without a credential.
    watched: Option<Watched>,
    // Only its exclusive access is used: the lock makes the type `Sync`, as extensions require.
    state: Mutex<State>,
}

#[derive(Clone)]
struct Watched {
    settings: Arc<Settings>,
    caller: Principal,
    #[cfg(feature = "audit")]
    trail: Option<Trail>,
}

enum State {
    Idle,
    Waiting(Pin<Box<dyn Future<Output = CredentialEnded> + Send>>),
    Ended(CredentialEnded),
}

impl CredentialWatch {
    /// That of a request with these extensions.
    #[cfg_attr(not(feature = "audit"), expect(unused_variables, reason = "only audited requests have a trail"))]
    pub(super) fn new(settings: &Arc<Settings>, caller: &Principal, extensions: &Extensions) -> Self {
        Self::of(Some(Watched {
            settings: Arc::clone(settings),
            caller: caller.clone(),
            #[cfg(feature = "audit")]
            trail: extensions.get().cloned(),
        }))
    }

    /// That of a request without a credential.
    pub(super) fn anonymous() -> Self {
        Self::of(None)
    }

    fn of(watched: Option<Watched>) -> Self {
        Self { watched, state: Mutex::new(State::Idle) }
    }

    /// Notes for the audit event that the response has ended with the credential.
    #[cfg(feature = "audit")]
    pub(super) fn note(&self, ended: CredentialEnded) {
        if let Some(trail) = self.watched.as_ref().and_then(|watched| watched.trail.as_ref()) {
            trail.notes().credential_ended = Some(ended.reason());
        }
    }
}

impl Future for CredentialWatch {
    type Output = CredentialEnded;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CredentialEnded> {
        let Self { watched, state } = self.get_mut();
        let Some(Watched { settings, caller, .. }) = watched else { return Poll::Pending };
        let state = state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if matches!(state, State::Idle) {
            let callers = iter::once(&*caller).chain(caller.acting_for());
            let identities: Vec<Arc<Identity>> = callers.map(|caller| Arc::clone(caller.identity())).collect();
            if !settings.can_end(&identities) {
                return Poll::Pending;
            }
            *state = State::Waiting(Box::pin(Arc::clone(settings).end_of(identities)));
        }
        let ended = match state {
            State::Waiting(wait) => ready!(wait.as_mut().poll(cx)),
            State::Ended(ended) => *ended,
            State::Idle => return Poll::Pending,
        };
        *state = State::Ended(ended);
        Poll::Ready(ended)
    }
}

/// A clone begins to wait when it is polled.
impl Clone for CredentialWatch {
    fn clone(&self) -> Self {
        Self::of(self.watched.clone())
    }
}

impl fmt::Debug for CredentialWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialWatch").finish_non_exhaustive()
    }
}
