//! All layers around a handler.

use std::{convert::Infallible, future::Ready};

use axum::extract::FromRequestParts;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::ServiceBuilder;
use tower_warden::{
    audit::{AuditChannel, AuditLog},
    axum::Scoped,
    layer::{AuditLayer, AuthLayer, AuthorizeLayer, RateLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
};

use crate::{
    counting::{allocations, at_once},
    fixture::{BillingRead, bare, call, cycle, keys, request, runtime, secrets, store, warm},
    limits::MANY,
    measure::{BATCH, Budget, Effort, medians, prepared, row, table},
    paths::{KEYS, requests},
};

/// Cached keys through all layers, and the same requests to the service inside of them. Events are received between the
/// batches, as by another thread.
pub(crate) fn stack(effort: Effort) {
    let (runtime, secrets) = (runtime(), secrets(KEYS));
    let keys = keys(store(&secrets, KEYS)).build();
    warm(&keys, &secrets, &runtime);
    let limiter = LocalRateLimiter::default();
    let limit = |name: &str, by| RateLimitLayer::new(name, limiter.clone(), by, Quota::per_second(MANY));
    let (sink, mut events) = AuditChannel::new(2 * BATCH);
    let mut service = ServiceBuilder::new()
        .layer(AuditLayer::new(AuditLog::new(sink.clone())))
        .layer(limit("peers", LimitBy::peer()))
        .layer(AuthLayer::new(keys))
        .layer(limit("callers", LimitBy::principal()))
        .layer(AuthorizeLayer::all_of([BillingRead::SCOPE]))
        .service_fn(scoped);
    let mut send =
        |request: Request<()>| assert_eq!(call(&mut service, request).status(), 200, "a refusal would be measured");
    // The first one also fills the caches of the thread.
    send(request(&secrets[0]));
    let allocated = allocations(|| send(request(&secrets[0]))).1;
    let allocated_without = allocations(|| drop(call(&mut bare(), request(&secrets[0])))).1;

    let mut key = cycle(&secrets);
    let next = move || {
        while events.try_recv().is_some() {}
        assert_eq!(sink.lost(), 0, "events that are lost cost less");
        request(key())
    };
    let [whole, bare] =
        medians(effort.rounds, [prepared(next, send), requests(&secrets, tower::layer::util::Identity::new())]);

    table("All layers: audit to a channel, limits by peer and by principal, a cached key, AuthorizeLayer, Scoped");
    let floor = "the bare service";
    row("the whole stack", whole, floor, bare, Budget::Open);
    row("the whole stack, above it", whole - bare, floor, bare, Budget::Nanoseconds(1_500.0));
    println!("It allocates {} times more often than the bare service", allocated - allocated_without);
}

/// A handler of callers with a scope.
fn scoped(request: Request<()>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let (mut parts, ()) = request.into_parts();
    let caller = at_once(Scoped::<BillingRead>::from_request_parts(&mut parts, &())).unwrap();
    drop((parts, caller));
    std::future::ready(Ok(Response::new(Full::default())))
}
