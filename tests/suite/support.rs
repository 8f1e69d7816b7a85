//! A stack to send requests to, and a store that does as it is told.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Builder};
use http_body_util::{BodyExt, Full};
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    Environment, Eventual, ManualClock, Principal, Reason, Rejection, Unavailable, UnixTime,
    api_key::{
        ApiKeys, ApiKeysBuilder, KeyAddition, KeyChange, KeyDigest, KeyError, KeyErrorKind, KeyFormat, KeyId, KeyPage,
        KeyQuery, KeyRecord, KeySecret, KeyStore, KeyUpdate, KeyUse, KeyWatcher, MemoryKeyStore, NewKey,
    },
    audit::{AgentJson, AuditChannel, AuditLog, End, EventFormat, EventKind, FlatJson, Ocsf},
    certificate::CertificateProof,
    layer::{AuditLayer, AuthLayer},
    scope::Scopes,
};

/// When the tests begin.
pub const START: UnixTime = UnixTime::from_secs(1_800_000_000);

/// A request handler that answers with the caller's subject, or `nobody`.
pub type App = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

/// API keys in a store that does as it is told, behind an `AuthLayer`.
#[derive(Clone)]
pub struct Stack {
    pub clock: ManualClock,
    pub keys: ApiKeys,
    pub store: Arc<TestStore>,
    pub app: App,
}

impl Stack {
    pub fn new() -> Self {
        Self::with(|keys| keys, |layer| layer)
    }

    pub fn with(
        set_up: impl FnOnce(ApiKeysBuilder) -> ApiKeysBuilder,
        layer: impl FnOnce(AuthLayer) -> AuthLayer,
    ) -> Self {
        let (clock, store) = (ManualClock::at(START), Arc::new(TestStore::default()));
        let builder = ApiKeys::builder(Arc::clone(&store), KeyFormat::new("sk_agent").unwrap())
            .environment(&Environment::default().with_clock(clock.clone()));
        let keys = set_up(builder).build();
        let environment = Environment::default().with_clock(clock.clone());
        let layer = layer(AuthLayer::new(keys.clone()).environment(&environment).proof(CertificateProof));
        Self { clock, keys, store, app: app(&layer) }
    }

    pub async fn mint(&self, key: NewKey) -> (KeyRecord, KeySecret) {
        self.keys.mint(key).await.unwrap()
    }

    /// A key of alice's that may read.
    pub async fn alice(&self) -> (KeyRecord, KeySecret) {
        self.mint(NewKey::new("alice").tenant("acme").scopes(Scopes::parse("billing:read").unwrap())).await
    }

    pub async fn send(&self, request: Builder) -> Answer {
        send(self.app.clone(), request).await
    }

    /// Sends the key as a bearer.
    pub async fn bearer(&self, key: &str) -> Answer {
        self.send(bearer(key)).await
    }
}

pub fn app<R>(layer: &AuthLayer<R>) -> App
where
    R: tower_warden::refusal::Respond<Full<Bytes>> + Clone + Send + Sync + 'static,
{
    BoxCloneSyncService::new(layer.layer(service_fn(answer)))
}

pub async fn answer(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let subject = request.extensions().get::<Principal>().map_or("nobody", Principal::subject);
    Ok(Response::new(Full::from(subject.to_owned())))
}

/// So many random cases. A failure prints its input, and writes no file among the tests.
pub fn cases(cases: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
}

pub fn request() -> Builder {
    Request::builder().uri("/")
}

pub fn bearer(key: &str) -> Builder {
    request().header("authorization", format!("Bearer {key}"))
}

/// Sends a request, and checks its audit event: one, with the reason of the response, and without what the request carries.
pub async fn send<S>(service: S, request: Builder) -> Answer
where
    S: Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone,
{
    let (sink, mut events) = AuditChannel::new(2);
    let service = AuditLayer::new(AuditLog::new(sink)).layer(service);
    let request = request.body(Full::default()).unwrap();
    let carried: Vec<_> = ["authorization", "x-api-key", "dpop", "cookie"]
        .into_iter()
        .flat_map(|name| request.headers().get_all(name))
        .filter_map(|value| Some(value.to_str().ok()?.rsplit(' ').next()?.to_owned()))
        .filter(|value| value.len() > 20)
        .collect();
    let answer = Answer::read(service.oneshot(request).await.unwrap()).await;
    let event = events.try_recv().expect("an event for each request");
    assert!(events.try_recv().is_none(), "one event for each request");
    let EventKind::Request(audited) = &event.kind else { panic!("unexpected: {event:?}") };
    assert_eq!(audited.decision.reason().map(Reason::as_str), answer.reason);
    assert_eq!(audited.status, Some(answer.status));
    assert_eq!(audited.end, End::Complete);
    let mut text = Vec::new();
    FlatJson::default().write(&event, &mut text);
    Ocsf::new("test").write(&event, &mut text);
    AgentJson::default().write(&event, &mut text);
    let text = String::from_utf8(text).unwrap();
    for value in carried.iter().flat_map(|token| unnamed(token)) {
        assert!(!text.contains(&value), "{value} is in {text}");
    }
    let text = format!("{text}{event:?}");
    let subject = audited.principal.as_ref().map(Principal::subject);
    // The credentials of some tests are the names of their owners.
    for value in carried.iter().filter(|value| subject != Some(value.as_str())) {
        assert!(!text.contains(value), "{value} is in {text}");
    }
    answer
}

/// The `kid` of a token, and claims that do not name the caller, as JSON, unless their text is in other claims as well.
fn unnamed(token: &str) -> Vec<String> {
    let part = |text: &str| {
        let json = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice::<serde_json::Map<_, _>>(&json).ok()
    };
    let mut parts = token.split('.').filter_map(part);
    let (Some(header), Some(mut claims)) = (parts.next(), parts.next()) else { return Vec::new() };
    let removed: Vec<_> =
        ["aud", "email", "name", "nonce"].into_iter().filter_map(|name| claims.remove(name)).collect();
    // A word that OCSF has.
    let kid = header.get("kid").filter(|kid| *kid != "unknown");
    let values = kid.into_iter().chain(&removed).filter(|value| value.as_str().is_some_and(|text| text.len() > 3));
    let others = serde_json::Value::Object(claims).to_string();
    values.map(ToString::to_string).filter(|value| !others.contains(value.trim_matches('"'))).collect()
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub reason: Option<&'static str>,
}

impl Answer {
    pub async fn read<B>(response: Response<B>) -> Self
    where
        B: http_body::Body,
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = response.into_parts();
        let headers = parts.headers.iter();
        let mut headers: Vec<_> =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        headers.sort();
        let body = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status,
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
            reason: parts.extensions.get::<Rejection>().map(|rejection| rejection.reason().as_str()),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// All that a client sees.
    pub fn seen(&self) -> (StatusCode, &[(String, String)], &str) {
        (self.status, &self.headers, &self.body)
    }

    /// Refused as R2 of the project's list: the same for every bad key.
    #[track_caller]
    pub fn assert_invalid(&self, reason: &str) {
        assert_eq!((self.status.as_u16(), self.reason), (401, Some(reason)), "{self:?}");
        assert_eq!(
            self.header("www-authenticate"),
            Some(
                "Bearer realm=\"api\", error=\"invalid_token\", \
                 error_description=\"The credential is invalid, expired or revoked.\""
            )
        );
    }

    /// Refused as R1: malformed.
    #[track_caller]
    pub fn assert_malformed(&self, reason: &str) {
        assert_eq!((self.status.as_u16(), self.reason), (400, Some(reason)), "{self:?}");
        assert!(self.header("www-authenticate").unwrap().contains("error=\"invalid_request\""));
    }

    /// Refused as R0: nothing that is understood was presented.
    #[track_caller]
    pub fn assert_missing(&self, reason: &str) {
        assert_eq!((self.status.as_u16(), self.reason), (401, Some(reason)), "{self:?}");
        assert_eq!(self.header("www-authenticate"), Some("Bearer realm=\"api\""));
    }

    /// Refused as R8: something we depend on is down.
    #[track_caller]
    pub fn assert_unavailable(&self, reason: &str) {
        assert_eq!((self.status.as_u16(), self.reason), (503, Some(reason)), "{self:?}");
        assert_eq!(self.header("retry-after"), Some("5"));
        assert_eq!(self.header("www-authenticate"), None);
    }

    #[track_caller]
    pub fn assert_reason(&self, status: u16, reason: &str) {
        assert_eq!((self.status.as_u16(), self.reason), (status, Some(reason)), "{self:?}");
    }

    #[track_caller]
    pub fn assert_subject(&self, subject: &str) {
        assert_eq!((self.status.as_u16(), &*self.body), (200, subject), "{self:?}");
    }
}

/// What a look-up does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// Answers.
    #[default]
    Answer,
    /// Fails.
    Fail,
    /// Never answers.
    Hang,
    /// Reads, and answers when told to.
    Hold,
    /// Panics.
    Panic,
    /// Answers with the first key there is, whatever was asked.
    Wrong,
}

/// A store in memory that counts look-ups and does as it is told.
#[derive(Default)]
pub struct TestStore {
    inner: MemoryKeyStore,
    finds: AtomicUsize,
    mode: Mutex<Mode>,
    permits: Arc<Gate>,
    pub touches: Mutex<Vec<Vec<KeyUse>>>,
    watchers: Mutex<Vec<KeyWatcher>>,
}

/// Where held look-ups wait.
struct Gate {
    arrived: Semaphore,
    leave: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self { arrived: Semaphore::new(0), leave: Semaphore::new(0) }
    }
}

impl TestStore {
    pub fn finds(&self) -> usize {
        self.finds.load(Ordering::Relaxed)
    }

    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// Waits until a held look-up has read its record.
    pub async fn arrived(&self) {
        self.permits.arrived.acquire().await.unwrap().forget();
    }

    /// Lets one held look-up answer.
    pub fn release(&self) {
        self.permits.leave.add_permits(1);
    }

    /// Tells the watchers of a change; by itself it tells of none, so that what tests see is `ApiKeys`' own doing.
    pub fn tell(&self, change: &KeyChange) -> Vec<std::ops::ControlFlow<()>> {
        let watchers = self.watchers.lock().unwrap().clone();
        watchers.iter().map(|watcher| watcher.notify(change)).collect()
    }

    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    fn failing<T, E>(&self, answer: impl FnOnce() -> Eventual<Result<T, E>>) -> Eventual<Result<T, E>>
    where
        T: Send + 'static,
        E: From<Unavailable> + Send + 'static,
    {
        match self.mode() {
            Mode::Fail => Eventual::Now(Err(Unavailable::new("the test store").into())),
            Mode::Hang => Eventual::later(std::future::pending()),
            _ => answer(),
        }
    }
}

impl KeyStore for TestStore {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.finds.fetch_add(1, Ordering::Relaxed);
        match self.mode() {
            Mode::Answer => {
                // As a real one: not at the first poll.
                let Eventual::Now(found) = self.inner.find(digest) else { unreachable!() };
                Eventual::later(async move {
                    tokio::task::yield_now().await;
                    found
                })
            }
            Mode::Hold => {
                let (Eventual::Now(found), permits) = (self.inner.find(digest), Arc::clone(&self.permits)) else {
                    unreachable!()
                };
                Eventual::later(async move {
                    permits.arrived.add_permits(1);
                    permits.leave.acquire().await.unwrap().forget();
                    found
                })
            }
            Mode::Panic => panic!("the store panics"),
            Mode::Wrong => {
                let page = self.inner.list(&KeyQuery::default());
                page.map(|page| Ok(page?.keys.first().cloned()))
            }
            Mode::Fail | Mode::Hang => self.failing(|| unreachable!()),
        }
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.failing(|| self.inner.get(id))
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        self.failing(|| self.inner.insert(record))
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.failing(|| self.inner.revoke(id, at))
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.failing(|| self.inner.rotate(id, successor, until))
    }

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        self.failing(|| self.inner.append(addition))
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        self.failing(|| self.inner.update(id, update))
    }

    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.failing(|| self.inner.purge(id, at))
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        self.failing(|| self.inner.list(query))
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        self.failing(|| {
            self.touches.lock().unwrap().push(uses.to_vec());
            self.inner.touch(uses)
        })
    }

    fn watch(&self, watcher: KeyWatcher) {
        self.watchers.lock().unwrap().push(watcher);
    }
}

/// A record of a key that another system minted.
pub fn imported(id: &str, key: &str) -> KeyRecord {
    KeyRecord::new(KeyId::parse(id).unwrap(), KeyDigest::sha256(key), "imported", START)
}

/// A well-formed key that nobody has.
pub fn unknown_key() -> KeySecret {
    KeyFormat::new("sk_agent").unwrap().generate().unwrap()
}

pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[track_caller]
pub fn assert_kind<T: std::fmt::Debug>(result: Result<T, KeyError>, kind: KeyErrorKind) {
    assert_eq!(result.unwrap_err().kind(), kind);
}
