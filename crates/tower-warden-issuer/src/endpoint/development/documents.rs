use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tower_warden::{
    Eventual, Unavailable, UnixTime, fetch::Fetch, jwt::StaticKeys, metadata::ProtectedResourceMetadata,
};

use super::{
    AutoConsent, ClientProfile,
    client_metadata::{ClientMetadata, media_type},
    clients::{Documents, Places},
};
use crate::{Client, ClientAuthentication};

/// Clients whose id is the URL of a document with their metadata: client ID metadata documents
/// ([draft-ietf-oauth-client-id-metadata-document](https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/)).
///
/// The id is an `https` URL with a path, without a query, a fragment and dot segments. A host name of this machine,
/// also with `http`, is accepted if that of the issuer is one, unless it accepts requests
/// [from elsewhere](AutoConsent::danger_beyond_loopback). The host is in lower case. The document is fetched with the
/// given [`Fetch`]: it has to have the status 200, a JSON media type and up to 5 KiB, and to name the same `client_id`.
/// Its redirect URIs are those of the client, and need not be on the same host. The method is `none`, also if the
/// document names none, or `private_key_jwt` with `jwks`.
///
/// A valid document is cached for a minute, and 256 of them at most; others are not. Eight are fetched at a time, each
/// within 5 seconds; if more are needed, or there is no response, the client's request is refused with 503.
///
/// # Deployment caveat
///
/// The URL comes from the sender of a request, who is not authenticated.
/// [`HttpClient`](tower_warden::fetch::HttpClient) connects to public addresses only, and to this machine for its usual
/// names. Another implementation has to refuse addresses of the internal network itself. Requests from elsewhere cause
/// no fetch, unless they are accepted: see [`AutoConsent`].
///
/// # Examples
///
/// ```
/// use tower_warden::fetch::HttpClient;
/// use tower_warden_issuer::{AutoConsent, ClientDocuments, ClientProfile};
///
/// let profile = ClientProfile::new("http://127.0.0.1:3000/mcp")?.scopes("tools:call")?;
/// let documents = ClientDocuments::new(profile, HttpClient::new()?);
/// let consent = AutoConsent::new("alice")?.client_documents(documents);
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ClientDocuments(Arc<Shared>);

struct Shared {
    cache: Mutex<HashMap<Box<str>, Cached>>,
    fetch: Box<dyn Fetch>,
    fetches: Semaphore,
    profile: ClientProfile,
}

struct Cached {
    client: Arc<Client>,
    until: UnixTime,
}

impl ClientDocuments {
    /// Clients with this profile, whose documents are fetched by this client: a
    /// [`HttpClient`](tower_warden::fetch::HttpClient), if no proxy is needed.
    pub fn new(profile: ClientProfile, fetch: impl Fetch) -> Self {
        let fetches = Semaphore::new(MAX_FETCHES);
        Self(Arc::new(Shared { cache: Mutex::default(), fetch: Box::new(fetch), fetches, profile }))
    }
}

impl AutoConsent {
    /// Supports clients with a metadata document.
    pub fn client_documents(mut self, documents: ClientDocuments) -> Self {
        self.documents = Some(Arc::new(documents));
        self
    }
}

impl Documents for ClientDocuments {
    fn find(&self, id: &str, places: Places, now: UnixTime) -> Eventual<Result<Option<Arc<Client>>, Unavailable>> {
        if !is_document_url(id, places) {
            return Eventual::Now(Ok(None));
        }
        if let Some(client) = self.0.cached(id, now) {
            return Eventual::Now(Ok(Some(client)));
        }
        let (shared, id) = (Arc::clone(&self.0), id.to_owned());
        // Fetches the document.
        Eventual::later(async move { shared.read(&id, now).await })
    }
}

impl Shared {
    async fn read(&self, id: &str, now: UnixTime) -> Result<Option<Arc<Client>>, Unavailable> {
        let Some(document) = self.fetch(id).await? else { return Ok(None) };
        let client = client(&document, id, &self.profile);
        if client.is_none() {
            tracing::warn!(client = id, "the metadata document of a client is invalid");
        }
        Ok(client.map(|client| self.store(id, client, now)))
    }

    /// The document; `None` if the server of the URL states that there is none.
    async fn fetch(&self, url: &str) -> Result<Option<Bytes>, Unavailable> {
        let unavailable = |cause: &'static str| Unavailable::new("the metadata document of a client").because(cause);
        let Ok(uri) = url.parse::<Uri>() else { return Ok(None) };
        if self.fetch.check(&uri).is_err() {
            return Ok(None);
        }
        let _permit = self.fetches.try_acquire().map_err(|_| unavailable("too many documents are fetched"))?;
        let request = Request::get(uri).header(header::ACCEPT, "application/json").body(Bytes::new());
        let Ok(request) = request else { return Ok(None) };
        let response = tokio::time::timeout(TIMEOUT, self.fetch.fetch(request, MAX_BYTES).wait()).await;
        let response = response.map_err(|_| unavailable("no response in time"))??;
        if response.status().is_server_error() {
            return Err(unavailable("an error of the server"));
        }
        let kind = media_type(response.headers());
        let is_json = kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"));
        // A custom implementation may ignore the limit.
        let is_valid = response.status() == StatusCode::OK && is_json && response.body().len() <= MAX_BYTES;
        Ok(is_valid.then(|| response.into_body()))
    }

    fn cached(&self, id: &str, now: UnixTime) -> Option<Arc<Client>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(id).filter(|cached| now < cached.until).map(|cached| Arc::clone(&cached.client))
    }

    /// Caches a client, unless the cache is full of others that are valid.
    fn store(&self, id: &str, client: Client, now: UnixTime) -> Arc<Client> {
        let client = Arc::new(client);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MAX_CACHED {
            cache.retain(|_, cached| now < cached.until);
        }
        if cache.len() < MAX_CACHED {
            cache.insert(id.into(), Cached { client: Arc::clone(&client), until: now + LIFETIME });
        }
        client
    }
}

/// Returns whether an id is the URL of a document, by the rules of the draft, §3.
fn is_document_url(id: &str, places: Places) -> bool {
    // With a usual host, and `http` for a loopback host only; without user information.
    if ProtectedResourceMetadata::new(id).is_err() || id.contains(['?', '#']) {
        return false;
    }
    let Ok(uri) = id.parse::<Uri>() else { return false };
    let is_dots = |segment: &str| matches!(&*segment.to_ascii_lowercase().replace("%2e", "."), "." | "..");
    let Some(host) = uri.host() else { return false };
    // What fetches the document may write the host in lower case, and then treat it as another one.
    let is_lower_case = !host.bytes().any(|byte| byte.is_ascii_uppercase());
    let is_allowed_host = is_lower_case && (places == Places::WithLoopback || !is_this_machine(host));
    is_allowed_host && id.len() <= MAX_URL_BYTES && uri.path().len() > 1 && !uri.path().split('/').any(is_dots)
}

/// Returns whether a host in lower case may lead to this machine, in whatever form.
fn is_this_machine(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_unspecified() || address.to_canonical().is_loopback())
}

/// The members that only a document has.
#[derive(Deserialize)]
struct Document {
    client_id: String,
    client_secret: Option<Value>,
    client_secret_expires_at: Option<Value>,
    jwks: Option<Value>,
}

/// The client that a document describes; `None` if it is not valid.
fn client(document: &[u8], id: &str, profile: &ClientProfile) -> Option<Client> {
    let metadata = ClientMetadata::parse(document).ok()?;
    let document: Document = serde_json::from_slice(document).ok()?;
    // Compared byte for byte, RFC 3986 §6.2.1. A document has no shared secret.
    if document.client_id != id || document.client_secret.is_some() || document.client_secret_expires_at.is_some() {
        return None;
    }
    // The endpoints know whether the issuer has refresh tokens.
    let client = profile.client(id, &metadata.grants(true).ok()?).ok()?;
    let client = metadata.add_redirect_uris(client).ok()?;
    match metadata.token_endpoint_auth_method.as_deref() {
        None | Some("none") => Some(client.public()),
        Some("private_key_jwt") => {
            let keys = StaticKeys::from_jwk_set(&document.jwks?.to_string()).ok()?;
            Some(client.authentication(ClientAuthentication::private_key_jwt(keys)))
        }
        Some(_) => None,
    }
}

impl fmt::Debug for ClientDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientDocuments").field("profile", &self.0.profile).finish_non_exhaustive()
    }
}

const LIFETIME: Duration = Duration::from_secs(60);

/// The draft, §6.6.
const MAX_BYTES: usize = 5 * 1024;

const MAX_CACHED: usize = 256;

const MAX_FETCHES: usize = 8;

/// The longest id of a client.
const MAX_URL_BYTES: usize = 256;

const TIMEOUT: Duration = Duration::from_secs(5);
