//! A dependency that does not respond is logged once when the outage begins, and once when it responds again.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tower::{Layer, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    Eventual, Identity, Unavailable,
    layer::{AuthLayer, RateLimitLayer},
    rate_limit::{Decision, LimitBy, LimitRequest, LocalRateLimiter, Quota, RateLimiter},
    revocation::RevocationList,
};

use crate::{
    introspection_endpoint::{Asking, Reply, active},
    secrets::{Log, listen},
    support::{Answer, Mode, Stack, answer, app, bearer, request, send, unknown_key},
    tokens,
};

/// A dependency of several kinds that responds or fails.
#[derive(Clone, Default)]
struct Switched(Arc<AtomicBool>);

impl Switched {
    fn down(&self, down: bool) {
        self.0.store(down, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), Unavailable> {
        if self.0.load(Ordering::Relaxed) { Err(Unavailable::new("the switched dependency")) } else { Ok(()) }
    }
}

impl RevocationList for Switched {
    fn is_revoked(&self, _: &Identity) -> Eventual<Result<bool, Unavailable>> {
        Eventual::Now(self.check().map(|()| false))
    }
}

impl RateLimiter for Switched {
    fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        let Eventual::Now(decision) = LocalRateLimiter::default().take(request) else { unreachable!() };
        let this = self.clone();
        Eventual::later(async move { this.check().and(decision) })
    }
}

/// Asserts that of several refusals in each of two outages the first is logged, and that the recovery is.
async fn assert_logged_once(
    log: &Log,
    down: impl Fn(bool),
    send: impl AsyncFn() -> Answer,
    line: &str,
    reason: &str,
    cause: &str,
) {
    for outage in 1..=2 {
        down(true);
        for _ in 0..3 {
            send().await.assert_unavailable(reason);
        }
        assert_eq!(log.text().matches(line).count(), outage, "{}", log.text());
        assert_eq!(log.text().matches(cause).count(), outage, "{}", log.text());
        down(false);
        for _ in 0..2 {
            assert_ne!(send().await.status, 503);
        }
        assert_eq!(log.text().matches("responds again").count(), outage, "{}", log.text());
    }
}

#[tokio::test]
async fn an_outage_of_a_key_store_is_logged_once() {
    let (log, _guard) = listen();
    let stack = Stack::new();
    let down = |down| stack.store.set(if down { Mode::Fail } else { Mode::Answer });
    // Each is unknown, so that none is in the cache.
    let send = async || stack.bearer(unknown_key().expose()).await;
    let line = "a dependency does not respond";
    assert_logged_once(&log, down, send, line, "key_store_unavailable", "the test store").await;
}

#[tokio::test]
async fn an_outage_of_a_revocation_list_is_logged_once() {
    let (log, _guard) = listen();
    let (stack, list) = (Stack::new(), Switched::default());
    let layer = AuthLayer::new(stack.keys.clone()).revocations(list.clone());
    let (_, key) = stack.alice().await;
    let app = app(&layer);
    let send = async || send(app.clone(), bearer(key.expose())).await;
    let line = "the revocation list does not respond";
    assert_logged_once(&log, |down| list.down(down), send, line, "revocations_unavailable", "the switched dependency")
        .await;
}

#[tokio::test]
async fn an_outage_of_a_rate_limiter_is_logged_once() {
    let (log, _guard) = listen();
    let limiter = Switched::default();
    let layer = RateLimitLayer::new("calls", limiter.clone(), LimitBy::global(), Quota::per_day(1));
    let app = BoxCloneSyncService::new(layer.layer(service_fn(answer)));
    let send = async || send(app.clone(), request()).await;
    let line = "the rate limiter does not respond";
    assert_logged_once(
        &log,
        |down| limiter.down(down),
        send,
        line,
        "rate_limiter_unavailable",
        "the switched dependency",
    )
    .await;
}

#[tokio::test]
async fn an_outage_of_a_key_source_is_logged_once() {
    let (log, _guard) = listen();
    let (stack, number) = (tokens::Stack::new(), AtomicUsize::new(0));
    let down = |down| if down { stack.issuer.fail() } else { stack.issuer.recover() };
    // Each token is another one, so that none is in the cache.
    let send = async || stack.sign(&stack.token().claim("number", number.fetch_add(1, Ordering::Relaxed))).await;
    let line = "keys of an issuer are unavailable";
    assert_logged_once(&log, down, send, line, "keys_unavailable", "the test issuer").await;
}

#[tokio::test]
async fn an_outage_of_an_introspection_endpoint_is_logged_once() {
    let (log, _guard) = listen();
    let asking = Asking::of("opaque", &active());
    let down = |down| asking.endpoint.reply(if down { Reply::Fail } else { Reply::Tell });
    let number = AtomicUsize::new(0);
    let send = async || {
        let token = format!("opaque-{}", number.fetch_add(1, Ordering::Relaxed));
        asking.send(&token).await
    };
    let line = "a dependency does not respond";
    assert_logged_once(&log, down, send, line, "introspection_unavailable", "the test endpoint").await;
}
