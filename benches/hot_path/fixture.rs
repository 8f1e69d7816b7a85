//! Keys, requests, and floors.

use std::{convert::Infallible, future::Ready, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::runtime::{Builder, Runtime};
use tower::{Service, service_fn, util::ServiceFn};
use tower_warden::{
    Authenticator, Clock, Credential, Eventual, Head, Identity, Presented, Reason, Rejection, RejectionKind,
    SystemClock, UnixTime,
    api_key::{ApiKeys, ApiKeysBuilder, KeyDigest, KeyFormat, KeyId, KeyRecord, KeyStore, MemoryKeyStore},
    request::Peer,
    scope::{Scopes, scopes},
};

use crate::counting::at_once;

scopes! {
    /// Held by every key.
    pub(crate) BillingRead = "billing:read";
}

/// Why what is measured beside a floor is refused.
const FLOOR: Reason = Reason::custom("floor");

/// Nothing expires while it is measured.
const LONG: Duration = Duration::from_secs(3600);

/// Keys of 58 bytes.
pub(crate) fn format() -> KeyFormat {
    KeyFormat::new("sk_agent").unwrap()
}

/// So many keys.
pub(crate) fn secrets(count: usize) -> Vec<String> {
    let format = format();
    (0..count).map(|_| format.generate().unwrap().expose().to_owned()).collect()
}

/// The same keys in a random order, one behind the other in memory: a server has just read the key that it verifies.
pub(crate) fn shuffled(secrets: &[String]) -> Vec<String> {
    let mut order: Vec<_> = secrets.iter().collect();
    // They are random after their prefix.
    order.sort_unstable();
    order.into_iter().cloned().collect()
}

/// A store with these keys, and with unknown ones so that there are `count`.
pub(crate) fn store(secrets: &[String], count: usize) -> MemoryKeyStore {
    let store = MemoryKeyStore::default();
    for index in 0..count {
        let digest =
            secrets.get(index).map_or_else(|| KeyDigest::sha256(&index.to_string()), |key| KeyDigest::sha256(key));
        let id = KeyId::parse(&format!("key_{index:032x}")).unwrap();
        let mut record = KeyRecord::new(id, digest, format!("agent-{index}"), UnixTime::from_secs(1_700_000_000));
        record.tenant = Some("acme".to_owned());
        record.scopes = Scopes::parse("billing:read").unwrap();
        at_once(store.insert(record).wait()).unwrap();
    }
    store
}

/// An authenticator that keeps what it has seen for the whole run.
pub(crate) fn keys(store: impl KeyStore) -> ApiKeysBuilder {
    ApiKeys::builder(store, format())
        .positive_capacity(1_000_000)
        .positive_ttl(LONG)
        .negative_ttl(LONG)
        .flush_interval(LONG)
}

/// Has the keys looked up, good or bad, so that they are cached.
pub(crate) fn warm(keys: &ApiKeys, secrets: &[String], runtime: &Runtime) {
    let request = Request::new(());
    for secret in secrets {
        let _ = runtime.block_on(keys.authenticate(&present(&request, secret)).wait());
    }
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// What a layer shows to an authenticator; the clock is read, as for each request.
pub(crate) fn present<'a>(request: &'a Request<()>, key: &'a str) -> Presented<'a> {
    Presented::new(Credential::api_key(key), Head::from(request), SystemClock::default().now())
}

/// A verdict that is there at once.
pub(crate) fn verify(keys: &ApiKeys, request: &Request<()>, key: &str) -> Result<Arc<Identity>, Rejection> {
    match keys.authenticate(&present(request, key)) {
        Eventual::Now(verdict) => verdict,
        Eventual::Later(_) => panic!("it is not cached"),
    }
}

/// A request as it comes from a server: it has extensions already.
pub(crate) fn request<B: Default>(key: &str) -> Request<B> {
    let mut request = Request::new(B::default());
    let value = HeaderValue::try_from(format!("Bearer {key}")).unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request.extensions_mut().insert(Peer::new(([192, 0, 2, 1], 4711).into()));
    request
}

/// The service inside of the layers.
pub(crate) type Bare = ServiceFn<fn(Request<()>) -> Ready<Result<Response<Full<Bytes>>, Infallible>>>;

pub(crate) fn bare() -> Bare {
    service_fn(|_| std::future::ready(Ok(Response::new(Full::default()))))
}

/// Calls a service that has nothing to wait for.
pub(crate) fn call<S: Service<R, Error = Infallible>, R>(service: &mut S, request: R) -> S::Response {
    at_once(std::future::poll_fn(|context| service.poll_ready(context))).unwrap();
    at_once(service.call(request)).unwrap()
}

/// Each key in turn, for ever.
pub(crate) fn cycle<'a>(keys: &'a [String]) -> impl FnMut() -> &'a str {
    let mut keys = keys.iter().cycle();
    move || keys.next().unwrap()
}

/// What nobody could do without: the digest of a key, and a cache with bounds.
pub(crate) struct Floor {
    found: Cache<[u8; 32], Arc<str>>,
    refused: Cache<[u8; 32], Reason>,
}

impl Floor {
    pub(crate) fn new(found: &[String], refused: &[String]) -> Self {
        let floor = Self { found: Cache::new(1_000_000), refused: Cache::new(1_000_000) };
        for key in found {
            floor.found.insert(Self::digest(key), "agent".into());
        }
        for key in refused {
            floor.refused.insert(Self::digest(key), FLOOR);
        }
        floor
    }

    pub(crate) fn digest(key: &str) -> [u8; 32] {
        Sha256::digest(key.as_bytes()).into()
    }

    pub(crate) fn hit(&self, key: &str) -> Arc<str> {
        self.found.get(&Self::digest(key)).unwrap()
    }

    fn refusal(&self, key: &str) -> Reason {
        let digest = Self::digest(key);
        assert_eq!(self.found.get(&digest), None);
        self.refused.get(&digest).unwrap()
    }
}

/// Refuses whatever it is shown, when it has done something first.
pub(crate) struct Refusing<F>(pub(crate) F);

impl<F: Fn(&str) -> Reason + Send + Sync + 'static> Authenticator for Refusing<F> {
    fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
        vec![Arc::new(tower_warden::scheme::Bearer::default())]
    }

    fn accepts(&self, _: &Credential<'_>) -> bool {
        true
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let reason = (self.0)(presented.credential.text());
        Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, reason)))
    }
}

impl Refusing<()> {
    /// At once.
    pub(crate) fn at_once() -> impl Authenticator {
        Refusing(|_: &str| FLOOR)
    }

    /// After a miss among good keys and a hit among bad ones.
    pub(crate) fn cached(floor: Floor) -> impl Authenticator {
        Refusing(move |key: &str| floor.refusal(key))
    }

    /// After a store was asked, which answers at once.
    pub(crate) fn stored(store: Arc<MemoryKeyStore>) -> impl Authenticator {
        Refusing(move |key: &str| {
            assert!(at_once(store.find(&KeyDigest::sha256(key)).wait()).unwrap().is_none());
            FLOOR
        })
    }
}
