//! An authorization server and an API within the process, and a clock that follows the paused time of tokio.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    future,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use tokio::{sync::Semaphore, time::Instant};
use tower_warden::{Clock, Environment, Eventual, Unavailable, UnixTime, fetch::Fetch};
use tower_warden_client::{
    CachedToken, ClientAuth, Token, TokenEndpoint, TokenError, TokenRequest, TokenSource, grant::ClientCredentials,
};

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// The paused time of tokio.
#[derive(Debug)]
pub(crate) struct PausedClock(Instant);

impl PausedClock {
    pub(crate) fn environment() -> Environment {
        Environment::default().with_clock(Self(Instant::now()))
    }
}

impl Clock for PausedClock {
    fn now(&self) -> UnixTime {
        NOW + self.0.elapsed()
    }
}

/// A response of the authorization server.
pub(crate) enum Reply {
    Down,
    Hangs,
    Is(Response<Bytes>),
}

pub(crate) fn reply(status: u16, body: &str) -> Reply {
    Reply::Is(Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap())
}

/// An authorization server. Unless there is another reply, the n-th request yields `token-n` for an hour.
#[derive(Clone)]
pub(crate) struct Server(Arc<State>);

struct State {
    gate: Semaphore,
    replies: Mutex<VecDeque<Reply>>,
    requests: Mutex<Vec<Request<Bytes>>>,
}

impl Default for Server {
    fn default() -> Self {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        Self(Arc::new(State { gate, replies: Mutex::default(), requests: Mutex::default() }))
    }
}

impl Server {
    pub(crate) fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.0.replies.lock().unwrap().extend(replies);
    }

    /// Lets requests wait until `release`.
    pub(crate) fn hold(&self) {
        self.0.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn release(&self) {
        self.0.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.requests.lock().unwrap().len()
    }

    pub(crate) fn last(&self) -> Request<Bytes> {
        self.0.requests.lock().unwrap().last().unwrap().clone()
    }

    /// The parameters of the last request.
    pub(crate) fn form(&self) -> HashMap<String, String> {
        form_urlencoded::parse(self.last().body()).into_owned().collect()
    }

    pub(crate) fn endpoint(&self) -> TokenEndpoint {
        self.endpoint_with(ClientAuth::basic("client", "s3cret"))
    }

    pub(crate) fn endpoint_with(&self, auth: ClientAuth) -> TokenEndpoint {
        TokenEndpoint::new("https://auth.example/token", auth, self.clone()).unwrap()
    }

    /// Client credentials, in a cache without jitter.
    pub(crate) fn cached(&self, environment: &Environment) -> CachedToken<ClientCredentials> {
        let grant = ClientCredentials::new(self.endpoint());
        CachedToken::new(grant).environment(environment).jitter(Duration::ZERO)
    }
}

impl Fetch for Server {
    fn fetch(&self, request: Request<Bytes>, _max: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let state = Arc::clone(&self.0);
        let number = {
            let mut requests = state.requests.lock().unwrap();
            requests.push(request);
            requests.len()
        };
        let reply = state.replies.lock().unwrap().pop_front();
        Eventual::later(async move {
            drop(state.gate.acquire().await.unwrap());
            match reply {
                Some(Reply::Down) => Err(Unavailable::new("the test server")),
                Some(Reply::Hangs) => future::pending().await,
                Some(Reply::Is(response)) => Ok(response),
                None => Ok(Response::new(issued(&format!("token-{number}"), r#","expires_in":3600"#).into())),
            }
        })
    }
}

/// The body of a successful response.
pub(crate) fn issued(token: &str, members: &str) -> String {
    format!(r#"{{"access_token":"{token}","token_type":"Bearer"{members}}}"#)
}

pub(crate) async fn token(source: &impl TokenSource) -> Result<String, TokenError> {
    obtain(source).await.map(|token| token.expose().to_owned())
}

pub(crate) async fn obtain(source: &impl TokenSource) -> Result<Token, TokenError> {
    source.token(&TokenRequest::new(NOW)).wait().await
}

pub(crate) type Body = Full<Bytes>;

/// The requests that an API has received.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<Mutex<Vec<Request<Body>>>>);

impl Received {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The values of `Authorization`.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let requests = self.0.lock().unwrap();
        requests.iter().map(|request| request.headers()[header::AUTHORIZATION].to_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn last(&self) -> Request<Body> {
        self.0.lock().unwrap().last().unwrap().clone()
    }

    /// An API that responds with what the function returns for a request.
    pub(crate) fn api(
        &self,
        respond: impl Fn(&Request<Body>) -> Response<Body> + Clone + Send + Sync + 'static,
    ) -> impl tower::Service<
        Request<Body>,
        Response = Response<Body>,
        Error = Infallible,
        Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static {
        let received = self.clone();
        tower::service_fn(move |request: Request<Body>| {
            let response = respond(&request);
            received.0.lock().unwrap().push(request);
            async move {
                tokio::task::yield_now().await;
                Ok(response)
            }
        })
    }
}

pub(crate) fn response(status: u16, challenge: &str) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if !challenge.is_empty() {
        response = response.header(header::WWW_AUTHENTICATE, challenge);
    }
    response.body(Body::default()).unwrap()
}

pub(crate) fn get(url: &str) -> Request<Body> {
    Request::get(url).body(Body::default()).unwrap()
}
