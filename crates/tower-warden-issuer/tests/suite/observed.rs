//! Requests for tokens under the layers that audit and that limit failures.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_warden::{
    audit::{AuditChannel, AuditLog, Decision, EventKind, EventReceiver, RequestEvent},
    layer::{AuditLayer, FailureLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
    request::Peer,
};
use tower_warden_issuer::IssuerService;

use crate::support::{CLIENT_CREDENTIALS, ORDERS, Setup, claims, form_request};

/// Sends a request, and returns its response and its event.
async fn send<S, B>(
    service: S,
    events: &mut EventReceiver,
    request: Request<Full<Bytes>>,
) -> (u16, Value, Box<RequestEvent>)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: std::fmt::Debug>,
    B: Body<Error: std::fmt::Debug>,
{
    let (head, body) = service.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let EventKind::Request(event) = events.try_recv().unwrap().kind else { panic!("an event of the request") };
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null), Box::new(event))
}

#[tokio::test]
async fn an_event_names_the_client_the_grant_and_the_token_or_the_error() {
    let setup = Setup::new();
    let (sink, mut events) = AuditChannel::new(10);
    let issuer: IssuerService<Full<Bytes>> = setup.issuer.service();
    let audited =
        ServiceBuilder::new().layer(AuditLayer::new(AuditLog::new(sink)).deny_undecided(|_| false)).service(issuer);

    let form = |secret: &str, more: &str| {
        form_request(&format!("client_id=post&client_secret={secret}&{CLIENT_CREDENTIALS}{more}"))
    };
    let (status, body, event) = send(audited.clone(), &mut events, form("s3cret", "")).await;
    assert_eq!(status, 200);
    assert!(matches!(event.decision, Decision::Admitted));
    for (name, value) in [("client_id", "post"), ("grant_type", "client_credentials"), ("sub", "post"), ("aud", ORDERS)]
    {
        assert_eq!(event.field(name), Some(value), "{name}");
    }
    let claims = claims(body["access_token"].as_str().unwrap());
    assert_eq!(event.field("jti"), claims["jti"].as_str());

    let (status, _, event) = send(audited.clone(), &mut events, form("guess", "")).await;
    assert_eq!((status, event.field("client_id"), event.field("jti")), (401, None, None));
    assert_eq!(event.decision.reason().unwrap(), *"invalid_client");
    assert!(event.is_authentication_failure());

    let (status, body, event) = send(audited.clone(), &mut events, form("s3cret", "&scope=admin")).await;
    assert_eq!((status, event.field("client_id")), (400, Some("post")));
    assert_eq!(event.decision.reason().unwrap(), *"invalid_scope");
    assert_eq!(body["error"], "invalid_scope", "the body is that of RFC 6749");
    assert!(!event.is_authentication_failure());

    // What is public needs no decision of a layer outside.
    for path in ["/oauth/jwks", "/.well-known/oauth-authorization-server"] {
        let request = Request::builder().method(Method::GET).uri(path).body(Full::default()).unwrap();
        assert_eq!(send(audited.clone(), &mut events, request).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn failures_of_clients_are_limited_by_the_layer_for_failures() {
    let setup = Setup::new();
    let issuer: IssuerService<Full<Bytes>> = setup.issuer.service();
    let quota = Quota::per_minute(2).named("failures");
    let limited = ServiceBuilder::new()
        .layer(FailureLimitLayer::new("failures", LocalRateLimiter::default(), LimitBy::peer(), quota))
        .service(issuer);
    let status = async |secret: &str| {
        let mut request = form_request(&format!("client_id=post&client_secret={secret}&{CLIENT_CREDENTIALS}"));
        request.extensions_mut().insert(Peer::new(([192, 0, 2, 1], 4711).into()));
        limited.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!((status("guess").await, status("guess").await, status("guess").await), (401, 401, 429));
    assert_eq!(status("s3cret").await, 200, "a client is not locked out by others with its address");
}
