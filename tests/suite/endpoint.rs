//! The key set of an issuer behind a client that does as it is told, and a stack that fetches it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use serde_json::Value;
use tokio::sync::Semaphore;
use tower_warden::{
    Environment, Eventual, ManualClock, Unavailable,
    fetch::Fetch,
    jwt::{Issuer, Jwt, RemoteKeys, RemoteKeysBuilder},
    layer::AuthLayer,
    testing::{SigningKey, TestIssuer, TokenBuilder},
};

use crate::{
    support::{self, Answer, App, START},
    tokens::{self, AUDIENCE},
};

pub const ISSUER: &str = "https://issuer.test";
pub const JWKS: &str = "https://issuer.test/jwks";

/// What a fetch does.
#[derive(Clone, Debug, Default)]
pub enum Mode {
    /// Answers with the key set.
    #[default]
    Answer,
    /// Answers so, whatever is asked.
    Canned(StatusCode, String),
    /// Fails.
    Fail,
    /// Never answers.
    Hang,
    /// Answers when told to, with the key set at that time.
    Hold,
    /// Panics.
    Panic,
}

/// A client that does as it is told; its clones are the same.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    arrived: Semaphore,
    document: Mutex<Option<Value>>,
    fetches: AtomicUsize,
    headers: Mutex<HeaderMap>,
    issuer: TestIssuer,
    leave: Semaphore,
    mode: Mutex<Mode>,
    requests: Mutex<Vec<Request<Bytes>>>,
}

impl Endpoint {
    pub fn new(issuer: &TestIssuer) -> Self {
        Self(Arc::new(Inner {
            arrived: Semaphore::new(0),
            document: Mutex::default(),
            fetches: AtomicUsize::new(0),
            headers: Mutex::default(),
            issuer: issuer.clone(),
            leave: Semaphore::new(0),
            mode: Mutex::default(),
            requests: Mutex::default(),
        }))
    }

    pub fn set(&self, mode: Mode) {
        *self.0.mode.lock().unwrap() = mode;
    }

    /// Serves this key set instead of the issuer's.
    pub fn serve(&self, document: Value) {
        *self.0.document.lock().unwrap() = Some(document);
    }

    /// Answers with this field from now on.
    pub fn header(&self, name: HeaderName, value: &str) {
        self.0.headers.lock().unwrap().insert(name, HeaderValue::from_str(value).unwrap());
    }

    pub fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<Request<Bytes>> {
        self.0.requests.lock().unwrap().clone()
    }

    /// Waits until a held fetch has arrived.
    pub async fn arrived(&self) {
        self.0.arrived.acquire().await.unwrap().forget();
    }

    /// Lets a held fetch answer.
    pub fn release(&self) {
        self.0.leave.add_permits(1);
    }

    /// How many hold it.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let document = match request.uri().path() {
            "/jwks" => self.0.document.lock().unwrap().clone().unwrap_or_else(|| self.0.issuer.jwk_set()),
            "/.well-known/oauth-authorization-server" => self.0.issuer.metadata(),
            _ => return respond(StatusCode::NOT_FOUND, "nothing here"),
        };
        let headers = self.0.headers.lock().unwrap().clone();
        let is_known = headers.get(header::ETAG).is_some_and(|tag| request.headers().get("if-none-match") == Some(tag));
        let mut response = if is_known {
            respond(StatusCode::NOT_MODIFIED, "")
        } else {
            respond(StatusCode::OK, &document.to_string())
        };
        response.headers_mut().extend(headers);
        response
    }
}

fn respond(status: StatusCode, body: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_owned()));
    *response.status_mut() = status;
    response
}

impl Fetch for Endpoint {
    fn fetch(&self, request: Request<Bytes>, _most: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let mode = self.0.mode.lock().unwrap().clone();
        self.0.requests.lock().unwrap().push(request.clone());
        self.0.fetches.fetch_add(1, Ordering::SeqCst);
        let this = self.clone();
        match mode {
            Mode::Answer => Eventual::later(async move {
                // As a real one: not at the first poll.
                tokio::task::yield_now().await;
                Ok(this.answer(&request))
            }),
            Mode::Canned(status, body) => Eventual::Now(Ok(respond(status, &body))),
            Mode::Fail => Eventual::Now(Err(Unavailable::new("the test endpoint"))),
            Mode::Hang => Eventual::later(std::future::pending()),
            Mode::Hold => Eventual::later(async move {
                this.0.arrived.add_permits(1);
                this.0.leave.acquire().await.unwrap().forget();
                Ok(this.answer(&request))
            }),
            Mode::Panic => panic!("the endpoint panics"),
        }
    }
}

/// An issuer whose keys are fetched from an endpoint that does as it is told.
#[derive(Clone)]
pub struct Remote {
    pub clock: ManualClock,
    pub issuer: TestIssuer,
    pub endpoint: Endpoint,
    pub keys: RemoteKeys,
    pub jwt: Jwt,
    pub app: App,
}

impl Remote {
    /// With the keys at hand.
    pub async fn new() -> Self {
        Self::with(|_| {}, |keys| keys, |issuer| issuer).await
    }

    pub async fn with(
        prepare: impl FnOnce(&Endpoint),
        keys: impl FnOnce(RemoteKeysBuilder) -> RemoteKeysBuilder,
        rules: impl FnOnce(Issuer) -> Issuer,
    ) -> Self {
        let (clock, issuer) = issuer();
        let endpoint = Endpoint::new(&issuer);
        prepare(&endpoint);
        let builder = RemoteKeys::builder(JWKS)
            .fetch(endpoint.clone())
            .environment(&Environment::default().with_clock(clock.clone()));
        let keys = keys(builder).connect().await.unwrap();
        let jwt = Jwt::new(rules(tokens::rules(&issuer)), keys.clone());
        let app =
            tokens::app(&AuthLayer::new(jwt.clone()).environment(&Environment::default().with_clock(clock.clone())));
        Self { clock, issuer, endpoint, keys, jwt, app }
    }

    /// A token that is good once its key is known.
    pub fn token(&self) -> TokenBuilder {
        // Longer than keys live.
        self.issuer.token("alice").audience(AUDIENCE).expires_in(support::seconds(23 * 3600))
    }

    /// A token of a key that nobody has published.
    pub fn forged(&self, kid: &str) -> String {
        forged(&self.token(), kid)
    }

    pub async fn send(&self, token: &str) -> Answer {
        support::send(self.app.clone(), support::bearer(token)).await
    }

    /// Moves the clock, and asks whether it is ready, which starts what is due, and lets that be done.
    pub async fn pass(&self, seconds: u64) {
        self.clock.advance(support::seconds(seconds));
        let _ = self.keys.is_ready();
        settle().await;
    }
}

pub fn issuer() -> (ManualClock, TestIssuer) {
    let clock = ManualClock::at(START);
    (clock.clone(), TestIssuer::new(ISSUER).environment(&Environment::default().with_clock(clock)))
}

pub fn forged(token: &TokenBuilder, kid: &str) -> String {
    static KEY: std::sync::LazyLock<SigningKey> =
        std::sync::LazyLock::new(|| SigningKey::generate(tower_warden::jwt::Algorithm::ES256));
    token.clone().key(&KEY).header("kid", kid).sign()
}

/// Lets tasks that wait for nothing run to their end.
pub async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
