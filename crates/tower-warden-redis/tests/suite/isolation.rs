//! Two tenants and two issuers, whose callers have the same names: they have no common entry on a server.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, service_fn};
use tower_warden::{
    Authenticator, Credential, Environment, Eventual, Identity, Presented, Rejection, UnixTime,
    layer::{AuthLayer, RateLimitLayer},
    rate_limit::{LimitBy, Quota},
    replay::{ReplayGuard, ReplayVerdict},
    revocation::{Revocation, RevocationList},
    scheme::{Bearer, Scheme},
};
use tower_warden_redis::{RedisRateLimiter, RedisReplayGuard, RedisRevocationList};

use crate::{
    limits::UNHURRIED,
    proofs::proof,
    revocations::later,
    server::Redis,
    support::{App, ISSUER, bearer, connection, seconds, secret, send, token, until},
};

/// Callers that differ in nothing but issuer and tenant.
fn callers() -> [Arc<Identity>; 3] {
    [(ISSUER, "acme"), (ISSUER, "umbrella"), ("https://other.example.com", "acme")].map(|(issuer, tenant)| {
        let mut caller = token("1");
        (caller.issuer, caller.tenant) = (Some(issuer.into()), Some(tenant.into()));
        (caller.client_id, caller.session_id) = (Some("agent".into()), Some("1".into()));
        caller.metadata = [("project".into(), "web".into())].into();
        Arc::new(caller)
    })
}

/// Believes a bearer that is the number of a caller.
struct Numbered;

impl Authenticator for Numbered {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(Bearer::default())]
    }

    fn accepts(&self, _: &Credential<'_>) -> bool {
        true
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let number: usize = presented.credential.text().parse().unwrap();
        Eventual::Now(Ok(Arc::clone(&callers()[number])))
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_limit_of_callers_is_one_of_an_issuer_and_tenant() {
    let redis = Redis::start().await;
    for by in [LimitBy::principal(), LimitBy::tenant(), LimitBy::client(), LimitBy::metadata("project")] {
        // A node that knows no exhausted keys for each request.
        let status = async |caller: usize| {
            let limiter = RedisRateLimiter::new(connection(&redis, UNHURRIED).await, secret());
            let limit = RateLimitLayer::new(&format!("{by:?}"), limiter, by.clone(), Quota::per_day(1));
            let handler =
                service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
            let app = App::new(AuthLayer::new(Numbered).layer(limit.layer(handler)));
            send(&app, bearer(&caller.to_string())).await.status.as_u16()
        };
        for caller in 0..callers().len() {
            assert_eq!((status(caller).await, status(caller).await), (200, 429), "{by:?} of caller {caller}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_revocation_is_one_of_an_issuer_or_tenant() {
    let redis = Redis::start().await;
    let issued = UnixTime::from_secs(1_800_000_000);
    for (number, (revocation, expected)) in [
        (Revocation::token(ISSUER, "1"), [true, true, false]),
        (Revocation::session(ISSUER, "1"), [true, true, false]),
        (Revocation::subject(ISSUER, "alice", issued), [true, true, false]),
        (Revocation::client(ISSUER, "agent", issued), [true, true, false]),
        // A tenant is one of the service, whichever issuer its credentials are of.
        (Revocation::tenant("acme", issued), [true, false, true]),
        (Revocation::key("1"), [false, false, false]),
        (Revocation::owner("alice", issued), [false, false, false]),
    ]
    .into_iter()
    .enumerate()
    {
        let environment = Environment::default().with_namespace(format!("test-{number}").parse().unwrap());
        let node = async || {
            let connection = connection(&redis, UNHURRIED).await.environment(&environment);
            let node = RedisRevocationList::listen(connection, redis.client()).await;
            until(async || node.is_complete(), "the copy is complete").await;
            node
        };
        let one = node().await;
        one.revoke(revocation.clone(), later()).await.unwrap();
        let other = node().await;
        for (caller, expected) in callers().iter().zip(expected) {
            for list in [&one, &other] {
                assert_eq!(list.is_revoked(caller).wait().await.unwrap(), expected, "{revocation:?}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_used_proof_is_one_of_a_key() {
    let redis = Redis::start().await;
    let guard = RedisReplayGuard::new(connection(&redis, seconds(10)).await);
    // Each caller has its key, and numbers its proofs.
    for caller in callers() {
        let key = format!("{:?} {:?}", caller.issuer, caller.tenant);
        for expected in [ReplayVerdict::New, ReplayVerdict::Replayed] {
            assert_eq!(guard.record(&proof(&key, "1", 60)).wait().await.unwrap(), expected);
        }
    }
}
