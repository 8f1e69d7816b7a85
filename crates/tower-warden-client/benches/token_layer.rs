//! What a request with a cached token costs above the bare client, next to a middleware of reqwest-middleware that adds a
//! header field which is written by hand.
//!
//! `cargo bench --package tower-warden-client` prints medians of rounds in which all are measured in turn. `QUICK=1` takes
//! fewer of them.
#![allow(clippy::print_stdout, reason = "a table is its result")]
#![allow(clippy::unwrap_used)]

use std::{convert::Infallible, env, hint::black_box, sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Extensions, HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body_util::Full;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use tower::{Layer, Service, service_fn};
use tower_warden_client::{CachedToken, TokenLayer, grant::StaticKey};

const URL: &str = "https://api.example/orders?limit=10";
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZ2VudC03In0.c2lnbmF0dXJlLW9mLXNpeHR5LWZvdXItYnl0ZXM";
const BATCH: usize = 128;

/// Adds a header field, as an application would that keeps no more than the text of a token.
struct Field(Arc<str>);

#[async_trait::async_trait]
impl Middleware for Field {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).unwrap();
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
        next.run(request, extensions).await
    }
}

/// Responds in place of the network.
struct End;

#[async_trait::async_trait]
impl Middleware for End {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        black_box(request);
        Ok(Response::new("").into())
    }
}

fn request() -> Request<Full<Bytes>> {
    let request = Request::post(URL).header("accept", "application/json").header("content-type", "application/json");
    request.body(Full::from(r#"{"amount":5}"#)).unwrap()
}

/// Returns the nanoseconds of one operation. The requests are prepared before.
fn time<I>(prepare: fn() -> I, mut operation: impl FnMut(I)) -> f64 {
    let inputs: Vec<_> = (0..BATCH).map(|_| prepare()).collect();
    let start = Instant::now();
    inputs.into_iter().for_each(&mut operation);
    start.elapsed().as_nanos() as f64 / BATCH as f64
}

fn send<S: Service<Request<Full<Bytes>>, Error: std::fmt::Debug>>(service: &mut S) -> f64 {
    time(request, |request| drop(black_box(service.call(request).now_or_never().unwrap().unwrap())))
}

fn execute(client: &ClientWithMiddleware) -> f64 {
    let prepare = || reqwest::Request::try_from(request().map(|_| r#"{"amount":5}"#)).unwrap();
    time(prepare, |request| drop(black_box(client.execute(request).now_or_never().unwrap().unwrap())))
}

fn main() {
    // `cargo test --benches` runs it without this argument: it has to work then, not to measure.
    let rounds = match env::var_os("QUICK") {
        _ if !env::args().any(|argument| argument == "--bench") => 3,
        Some(_) => 500,
        None => 5_000,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _runtime = runtime.enter();

    let mut bare = service_fn(async |request: Request<Full<Bytes>>| {
        black_box(request);
        Ok::<_, Infallible>(Response::new(()))
    });
    let tokens = CachedToken::new(StaticKey::bearer(TOKEN).unwrap());
    let mut with_token = TokenLayer::new(tokens, "https://api.example").unwrap().layer(bare);
    runtime.block_on(with_token.call(request())).unwrap();
    let client = || ClientBuilder::new(reqwest::Client::new());
    let (bare_peer, peer) = (client().with(End).build(), client().with(Field(TOKEN.into())).with(End).build());

    let mut samples = [(); 4].map(|()| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        let round = [send(&mut bare), send(&mut with_token), execute(&bare_peer), execute(&peer)];
        samples.iter_mut().zip(round).for_each(|(samples, time)| samples.push(time));
    }
    let [bare, with_token, bare_peer, peer] = samples.map(|mut samples| {
        samples.sort_unstable_by(f64::total_cmp);
        samples[samples.len() / 2]
    });
    println!("TokenLayer, token cached: {:.0} ns above the bare client ({bare:.0} ns)", with_token - bare);
    println!("reqwest-middleware, field by hand: {:.0} ns above its bare client ({bare_peer:.0} ns)", peer - bare_peer);
    println!("ratio: {:.2}", (with_token - bare) / (peer - bare_peer));
}
