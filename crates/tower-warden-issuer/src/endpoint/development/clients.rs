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

/// All clients.
pub(super) struct FoundClients {
    pub(super) application: Arc<dyn ClientStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) documents: Option<(Arc<dyn Documents>, Places)>,
    pub(super) registrations: Option<Arc<Registrations>>,
}

impl ClientStore for FoundClients {
    fn find(&self, id: &str) -> Eventual<Result<Option<Arc<Client>>, Unavailable>> {
        if let Some(client) = self.registrations.as_ref().and_then(|registrations| registrations.find(id)) {
            return Eventual::Now(Ok(Some(client)));
        }
        let Some((documents, places)) = self.documents.clone() else { return self.application.find(id) };
        let (id, now) = (id.to_owned(), self.clock.now());
        // A client that the application has registered by its URL has what is registered.
        self.application.find(&id).and_then(move |found| match found {
            Ok(None) => documents.find(&id, places, now),
            found => Eventual::Now(found),
        })
    }
}
