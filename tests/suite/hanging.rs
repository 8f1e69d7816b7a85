//! Dependencies that hang instead of failing. Each is unavailable after a time-out.

use std::{convert::Infallible, future::pending, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceBuilder, service_fn};
use tower_warden::{
    Eventual, Identity, Unavailable,
    authorize::{RoleDirectory, RoleQuery},
    certificate::{CertificateDirectory, ChainStatus, ClientCertificates, PeerCertificate},
    jwt::{Jwt, KeyRequest, KeySource, VerifyingKey},
    layer::{AuthLayer, FailureLimitLayer, RateLimitLayer, RoleLayer},
    rate_limit::{Decision, LimitBy, LimitCharge, LimitRequest, LocalRateLimiter, Quota, RateLimiter},
    replay::{ReplayGuard, ReplayVerdict, UsedProof},
    revocation::RevocationList,
    scope::Scopes,
};

use crate::{
    dpop,
    pki::Authority,
    secrets::listen,
    support::{Stack, answer, app, bearer, request, send},
    tokens,
};

/// Each of these dependencies: it never answers.
#[derive(Clone)]
struct Hung;

impl CertificateDirectory for Hung {
    fn find(&self, _: &PeerCertificate) -> Eventual<Result<Option<Arc<Identity>>, Unavailable>> {
        Eventual::later(pending())
    }
}

impl KeySource for Hung {
    fn find(&self, _: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        Eventual::later(pending())
    }
}

impl RateLimiter for Hung {
    fn take(&self, _: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        Eventual::later(pending())
    }
}

impl ReplayGuard for Hung {
    fn record(&self, _: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        Eventual::later(pending())
    }
}

impl RevocationList for Hung {
    fn is_revoked(&self, _: &Identity) -> Eventual<Result<bool, Unavailable>> {
        Eventual::later(pending())
    }
}

impl RoleDirectory for Hung {
    fn scopes(&self, _: &RoleQuery<'_>) -> Eventual<Result<Scopes, Unavailable>> {
        Eventual::later(pending())
    }
}

// (286)
#[tokio::test(start_paused = true)]
async fn a_revocation_list_that_hangs_is_503_and_one_line_in_the_log() {
    let (log, _guard) = listen();
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let app = app(&AuthLayer::new(stack.keys.clone()).revocations(Hung));
    for _ in 0..2 {
        send(app.clone(), bearer(key.expose())).await.assert_unavailable("revocations_unavailable");
    }
    assert_eq!(log.text().matches("the revocation list does not respond").count(), 1, "{}", log.text());
    assert!(log.text().contains("no answer within the time-out"), "{}", log.text());
}

// (286)
#[tokio::test(start_paused = true)]
async fn a_replay_guard_that_hangs_is_503() {
    let stack = dpop::Stack::with(|dpop| dpop.replay_guard(Hung));
    stack.prove(&stack.proof().sign()).await.assert_unavailable("dpop_replay_unavailable");
}

// (286)
#[tokio::test(start_paused = true)]
async fn a_key_source_that_hangs_is_503() {
    let stack = tokens::Stack::of(|issuer| Jwt::new(tokens::rules(issuer), Hung));
    stack.sign(&stack.token()).await.assert_unavailable("keys_unavailable");
}

// (286)
#[tokio::test(start_paused = true)]
async fn a_directory_of_certificates_that_hangs_is_503() {
    let certificate = Authority::new("clients").client("billing").peer(ChainStatus::Verified);
    let app = app(&AuthLayer::new(ClientCertificates::new(Hung)));
    let answer = send(app, request().extension(certificate)).await;
    answer.assert_unavailable("certificate_directory_unavailable");
}

// (286)
#[tokio::test(start_paused = true)]
async fn a_directory_of_roles_that_hangs_is_503() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let layers = ServiceBuilder::new().layer(AuthLayer::new(stack.keys.clone())).layer(RoleLayer::new(Hung));
    send(layers.service_fn(answer), bearer(key.expose())).await.assert_unavailable("roles_unavailable");
}

// (286)
#[tokio::test(start_paused = true)]
async fn a_rate_limiter_that_hangs_is_503() {
    let layer = RateLimitLayer::new("calls", Hung, LimitBy::global(), Quota::per_day(1));
    send(layer.layer(service_fn(answer)), request()).await.assert_unavailable("rate_limiter_unavailable");
    let layer = FailureLimitLayer::new("failures", Hung, LimitBy::global(), Quota::per_day(1));
    let layer = layer.count_when(|response| response.status == 200);
    send(layer.layer(service_fn(answer)), request()).await.assert_unavailable("rate_limiter_unavailable");
}

/// A limiter that takes units, and corrects no cost.
struct TakesOnly(LocalRateLimiter);

impl RateLimiter for TakesOnly {
    fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        self.0.take(request)
    }

    fn settle(&self, _: &LimitRequest<'_>, _: u32) -> Eventual<Result<(), Unavailable>> {
        Eventual::later(pending())
    }
}

// (286)
#[tokio::test(start_paused = true)]
async fn a_cost_that_the_limiter_never_corrects_holds_no_response() {
    let limiter = || TakesOnly(LocalRateLimiter::default());
    let layer = RateLimitLayer::new("calls", limiter(), LimitBy::global(), Quota::per_day(10));
    let layer = layer.final_cost(|_, _| 3);
    assert_eq!(send(layer.layer(service_fn(answer)), request()).await.status, 200);

    let layer = RateLimitLayer::new("calls", limiter(), LimitBy::global(), Quota::per_day(10)).with_charge();
    let handler = service_fn(async |request: Request<Full<Bytes>>| {
        let charge = request.extensions().get::<LimitCharge>().unwrap();
        assert!(charge.charge(3).wait().await.is_err());
        assert_eq!(charge.cost(), 1);
        // The limiter may have returned it: it is not returned again.
        assert!(charge.refund(1).wait().await.is_err());
        assert_eq!(charge.cost(), 0);
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    assert_eq!(send(layer.layer(handler), request()).await.status, 200);
}
