//! The clients that an issuer finds: those of the application, and those that it has not registered.

use std::sync::Arc;

use tower_warden::{Clock, Eventual, Unavailable, UnixTime};

use super::registration::Registrations;
use crate::{Client, ClientStore};

/// Finds clients by the URL of their metadata document.
pub(super) trait Documents: Send + Sync {
    /// Finds the client whose id is this URL; `None` if it is none of these URLs, or has no valid document.
    fn find(&self, id: &str, places: Places, now: UnixTime) -> Eventual<Result<Option<Arc<Client>>, Unavailable>>;
}

/// The machines that documents are fetched from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Places {
    Remote,
    /// Also this machine: only for an issuer that is on this machine.
    WithLoopback,
}

/// The clients of the application, and those that have registered themselves.
pub(super) struct RegisteredClients {
    pub(super) application: Arc<dyn ClientStore>,
    pub(super) registrations: Arc<Registrations>,
}

impl ClientStore for RegisteredClients {
    fn find(&self, id: &str) -> Eventual<Result<Option<Arc<Client>>, Unavailable>> {
        match self.registrations.find(id) {
            Some(client) => Eventual::Now(Ok(Some(client))),
            None => self.application.find(id),
        }
    }
}

/// All clients.
pub(super) struct FoundClients {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) documents: Arc<dyn Documents>,
    pub(super) places: Places,
    pub(super) registered: Arc<dyn ClientStore>,
}

impl ClientStore for FoundClients {
    fn find(&self, id: &str) -> Eventual<Result<Option<Arc<Client>>, Unavailable>> {
        let (documents, places) = (Arc::clone(&self.documents), self.places);
        let (id, now) = (id.to_owned(), self.clock.now());
        // A client that the application has registered by its URL has what is registered.
        self.registered.find(&id).and_then(move |found| match found {
            Ok(None) => documents.find(&id, places, now),
            found => Eventual::Now(found),
        })
    }
}
