use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use tower_warden::{Eventual, Unavailable};

use super::Client;

/// Finds registered clients.
///
/// # Examples
///
/// Clients of a configuration that is read again when it changes:
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use tower_warden::{Eventual, Unavailable};
/// use tower_warden_issuer::{Client, ClientStore};
///
/// struct Configured(Mutex<Option<Vec<Arc<Client>>>>);
///
/// impl ClientStore for Configured {
///     fn find(&self, id: &str) -> Eventual<Result<Option<Arc<Client>>, Unavailable>> {
///         let clients = self.0.lock().expect("no panic while locked");
///         Eventual::Now(match &*clients {
///             Some(clients) => Ok(clients.iter().find(|client| client.id() == id).cloned()),
///             None => Err(Unavailable::new("the configuration")),
///         })
///     }
/// }
///
/// let client = Client::new("agent-7", "https://orders.example.com")?;
/// let clients = Configured(Mutex::new(Some(vec![Arc::new(client)])));
/// assert!(matches!(clients.find("agent-7"), Eventual::Now(Ok(Some(_)))));
/// assert!(matches!(clients.find("agent-8"), Eventual::Now(Ok(None))));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
pub trait ClientStore: Send + Sync + 'static {
    /// Finds the client with this id, which is compared byte for byte; `None` only if the id is free. The id of a
    /// client that is suspended is not: the store returns the client as [`Client::suspended`]. Otherwise the owner of
    /// an API key, a metadata document or the subject of another issuer could take its place.
    ///
    /// # Errors
    ///
    /// If the store does not answer; the request is refused with 503.
    fn find(&self, id: &str) -> Eventual<Result<Option<Arc<Client>>, Unavailable>>;
}

impl<S: ClientStore + ?Sized> ClientStore for Arc<S> {
    fn find(&self, id: &str) -> Eventual<Result<Option<Arc<Client>>, Unavailable>> {
        (**self).find(id)
    }
}

/// Clients in memory. Clones share them.
///
/// # Examples
///
/// ```
/// use tower_warden::Eventual;
/// use tower_warden_issuer::{Client, ClientStore, MemoryClientStore};
///
/// let clients = MemoryClientStore::default();
/// clients.insert(Client::new("agent-7", "https://orders.example.com")?);
/// assert!(matches!(clients.find("agent-7"), Eventual::Now(Ok(Some(_)))));
///
/// clients.remove("agent-7");
/// assert!(matches!(clients.find("agent-7"), Eventual::Now(Ok(None))));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryClientStore(Arc<RwLock<HashMap<Box<str>, Arc<Client>>>>);

impl MemoryClientStore {
    /// Adds a client, or replaces the one with the same id.
    pub fn insert(&self, client: Client) {
        let mut clients = self.0.write().unwrap_or_else(PoisonError::into_inner);
        clients.insert(client.id().into(), Arc::new(client));
    }

    /// Removes a client, and returns it. Its access tokens are valid until they expire, unless they are revoked; its
    /// refresh tokens are those of a later client with this id.
    pub fn remove(&self, id: &str) -> Option<Arc<Client>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}

impl ClientStore for MemoryClientStore {
    fn find(&self, id: &str) -> Eventual<Result<Option<Arc<Client>>, Unavailable>> {
        let clients = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Eventual::Now(Ok(clients.get(id).cloned()))
    }
}

impl fmt::Debug for MemoryClientStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryClientStore").finish_non_exhaustive()
    }
}
