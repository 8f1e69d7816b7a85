//! Access tokens: the cases, the key sets, and the times of a peer that verifies JWTs in front of a handler.

use std::{any::Any, fmt, future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use http::{Request, Response};
use tokio::{
    runtime::{self, Runtime},
    time::{Instant, sleep, timeout},
};
use tower::Service;

pub use self::{
    issuer::Issuer,
    keys::{Key, Keys},
    token::Token,
};
use crate::{Lines, Stage};

mod cases;
mod issuer;
mod key_sets;
mod keys;
mod times;
mod token;

/// The audience of all tokens, to be configured.
pub const AUDIENCE: &str = "https://api.example.com";

/// The scope of all tokens but ID tokens, to be required where the peer has scopes.
pub const SCOPE: &str = "api:read";

/// How a peer finds the keys of its issuer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finds {
    /// By the issuer's metadata.
    KeysByDiscovery,
    /// By the configured URL of the key set.
    KeysByUrl,
}

/// Prints the lines of the stage that the argument selects. `make` makes the service of the peer for an issuer, with its
/// defaults, [`AUDIENCE`], the name of the issuer, and [`SCOPE`] if it has scopes, and waits until it is ready for requests.
/// `bare` is the same without the peer.
pub fn run<B, S, R, F, Q, E>(lines: &Lines, finds: Finds, bare: F, make: impl AsyncFn(&Issuer) -> Result<S, E>)
where
    B: Default,
    E: fmt::Display,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
    F: Service<Request<B>, Response = Response<Q>, Error: fmt::Debug> + Clone,
{
    if Stage::from_args().has_verdicts() {
        let keys = Keys::generate();
        let make =
            async |issuer: &Issuer| caught(async { make(issuer).await.map_err(|error| error.to_string()) }).await;
        runtime().block_on(async {
            cases::print(lines, &keys, &make).await;
            key_sets::print(lines, &keys, finds, &make).await;
        });
    }
    times(lines, bare, make);
}

/// As [`run`], but times only: for another configuration that decides the same.
pub fn times<B, S, R, F, Q, E>(lines: &Lines, bare: F, make: impl AsyncFn(&Issuer) -> Result<S, E>)
where
    B: Default,
    E: fmt::Display,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
    F: Service<Request<B>, Response = Response<Q>, Error: fmt::Debug> + Clone,
{
    if Stage::from_args().has_times() {
        let make =
            async |issuer: &Issuer| caught(async { make(issuer).await.map_err(|error| error.to_string()) }).await;
        times::print(lines, &Keys::generate(), &runtime(), bare, &make);
    }
}

fn runtime() -> Runtime {
    runtime::Builder::new_current_thread().enable_all().build().expect("the system has threads")
}

/// What a future returns within ten seconds, and otherwise why it does not.
async fn caught<T>(future: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    match timeout(Duration::from_secs(10), AssertUnwindSafe(future).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(panic_message(&*panic)),
        Err(_) => Err("no response in 10 s".to_owned()),
    }
}

/// The first line of a panic.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or_default().lines().next().unwrap_or_default())
}

/// The status of the response to a request with this `Authorization`.
async fn send<B, R, S>(service: &S, authorization: Option<&str>) -> Result<u16, String>
where
    B: Default,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
{
    caught(crate::send(service, request(authorization))).await
}

/// The status of the response to a valid token, asked again for two seconds until it is admitted: some services are made before
/// they have fetched the keys.
async fn first_admitted<B, R, S>(service: &S, authorization: &str) -> Result<u16, String>
where
    B: Default,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
{
    let start = Instant::now();
    loop {
        let status = send(service, Some(authorization)).await;
        if status == Ok(200) || start.elapsed() > Duration::from_secs(2) {
            return status;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

fn request<B: Default>(authorization: Option<&str>) -> Request<B> {
    let request = Request::get("/").header("host", "api.example.com");
    let request = authorization.into_iter().fold(request, |request, value| request.header("authorization", value));
    request.body(B::default()).expect("the fields are valid")
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
