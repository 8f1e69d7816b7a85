//! An introspection endpoint that does as it is told, and a stack that asks it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower_warden::{
    Authenticator, Environment, Eventual, ManualClock, Unavailable,
    fetch::Fetch,
    introspection::{Introspection, IntrospectionBuilder},
    jwt::Issuer,
    layer::AuthLayer,
};

use crate::support::{Answer, App, START, app, bearer, send};

pub const ISSUER: &str = "https://auth.example";
pub const AUDIENCE: &str = "https://api.example";
pub const URL: &str = "https://auth.example/introspect";
pub const CLIENT: &str = "api";
pub const SECRET: &str = "top-secret";

/// What the endpoint does when it is asked.
#[derive(Clone, Debug, Default)]
pub enum Reply {
    /// Tells what was [said](Endpoint::say) of the token, or that it is not active.
    #[default]
    Tell,
    /// Answers this, whatever was asked.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Does not answer.
    Fail,
    /// Never answers.
    Hang,
    /// Tells, when told to.
    Hold,
    /// Panics.
    Panic,
}

/// The endpoint, without a socket.
pub struct Endpoint {
    known: Mutex<HashMap<String, String>>,
    reply: Mutex<Reply>,
    asked: Mutex<Vec<Request<Bytes>>>,
    leave: Arc<Semaphore>,
    open: Arc<Open>,
}

/// Held requests that are open, and how many were at most.
#[derive(Default)]
struct Open {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Open {
    fn enter(self: Arc<Self>) -> Guard {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Guard(self)
    }
}

struct Guard(Arc<Open>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            reply: Mutex::default(),
            asked: Mutex::default(),
            leave: Arc::new(Semaphore::new(0)),
            open: Arc::default(),
        }
    }
}

impl Endpoint {
    /// What is answered about a token from now on.
    pub fn say(&self, token: &str, answer: &(impl ToString + ?Sized)) {
        self.known.lock().unwrap().insert(token.to_owned(), answer.to_string());
    }

    pub fn reply(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    pub fn answer(&self, status: u16, body: impl Into<String>) {
        self.reply(Reply::Answer(status, Vec::new(), body.into()));
    }

    /// How often it was asked.
    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The last request.
    pub fn last(&self) -> Request<Bytes> {
        self.asked.lock().unwrap().last().unwrap().clone()
    }

    /// How many held requests were open at once, at most.
    pub fn most(&self) -> usize {
        self.open.most.load(Ordering::SeqCst)
    }

    /// Lets so many held requests go.
    pub fn release(&self, requests: usize) {
        self.leave.add_permits(requests);
    }

    fn tell(&self, body: &[u8]) -> Response<Bytes> {
        let token = form(body).into_iter().find(|(name, _)| name == "token").unwrap().1;
        let answer = self.known.lock().unwrap().get(&token).cloned();
        Response::new(answer.unwrap_or_else(|| json!({"active": false}).to_string()).into())
    }
}

impl Fetch for Endpoint {
    fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        self.asked.lock().unwrap().push(request.clone());
        let reply = self.reply.lock().unwrap().clone();
        match reply {
            Reply::Tell => {
                let answer = self.tell(request.body());
                // As a real one: not at the first poll.
                Eventual::later(async {
                    tokio::task::yield_now().await;
                    Ok(answer)
                })
            }
            Reply::Answer(status, headers, body) => {
                let mut answer = Response::builder().status(status);
                for (name, value) in headers {
                    answer = answer.header(name, value);
                }
                Eventual::Now(Ok(answer.body(body.into()).unwrap()))
            }
            Reply::Fail => Eventual::Now(Err(Unavailable::new("the test endpoint"))),
            Reply::Hang => Eventual::later(std::future::pending()),
            Reply::Hold => {
                let (answer, leave) = (self.tell(request.body()), Arc::clone(&self.leave));
                let open = Arc::clone(&self.open).enter();
                Eventual::later(async move {
                    let _open = open;
                    leave.acquire().await.unwrap().forget();
                    Ok(answer)
                })
            }
            Reply::Panic => panic!("the endpoint panics"),
        }
    }
}

/// The parameters of a form, decoded.
pub fn form(body: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// An endpoint, an authenticator that asks it, and an `AuthLayer`.
#[derive(Clone)]
pub struct Asking {
    pub app: App,
    pub clock: ManualClock,
    pub endpoint: Arc<Endpoint>,
    pub introspection: Introspection,
}

impl Asking {
    pub fn new() -> Self {
        Self::with(issuer(), |builder| builder)
    }

    pub fn with(issuer: Issuer, set_up: impl FnOnce(IntrospectionBuilder) -> IntrospectionBuilder) -> Self {
        let endpoint = Arc::new(Endpoint::default());
        let builder = Introspection::builder(issuer, URL, CLIENT, SECRET).fetch(Arc::clone(&endpoint));
        let introspection = set_up(builder).build().unwrap();
        let clock = ManualClock::at(START);
        Self { app: layered(introspection.clone(), &clock), clock, endpoint, introspection }
    }

    /// With good tokens of this name and what is said of it.
    pub fn of(token: &str, answer: &(impl ToString + ?Sized)) -> Self {
        let asking = Self::new();
        asking.endpoint.say(token, answer);
        asking
    }

    pub async fn send(&self, token: &str) -> Answer {
        send(self.app.clone(), bearer(token)).await
    }
}

pub fn layered(authenticator: impl Authenticator, clock: &ManualClock) -> App {
    app(&AuthLayer::new(authenticator).environment(&Environment::default().with_clock(clock.clone())))
}

pub fn issuer() -> Issuer {
    Issuer::new(ISSUER, AUDIENCE).unwrap()
}

/// What is said of a good token of alice's.
pub fn active() -> Value {
    json!({"active": true, "sub": "alice", "aud": AUDIENCE, "iss": ISSUER, "client_id": "app", "scope": "billing:read"})
}

/// The same, with these members.
pub fn active_with(members: Value) -> Value {
    let mut answer = active();
    let Value::Object(members) = members else { panic!("no object") };
    answer.as_object_mut().unwrap().extend(members);
    answer
}

/// The same, without one.
pub fn active_without(member: &str) -> Value {
    let mut answer = active();
    answer.as_object_mut().unwrap().remove(member).unwrap();
    answer
}
