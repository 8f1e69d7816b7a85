//! Tokens that are bound to a key: proofs and nonces.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use futures_util::future::join_all;
use http::Request;
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    Environment, Eventual, ManualClock,
    caller::Confirmation,
    dpop::{Dpop, Nonces},
    jwt::{Issuer, Jwt},
    layer::AuthLayer,
    testing::TestIssuer,
};
use tower_warden_client::{
    CachedToken, DpopKey, Token, TokenError, TokenLayer, TokenRequest, TokenSource, grant::ClientCredentials,
};

use crate::support::{Body, NOW, PausedClock, Received, Server, get, reply, response};

const API: &str = "https://api.example";

fn layer(source: impl TokenSource) -> TokenLayer {
    TokenLayer::new(source, API).unwrap()
}

/// A source of tokens that are bound to a key.
pub(crate) struct Bound(pub(crate) Token);

impl TokenSource for Bound {
    fn token(&self, _request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        Eventual::Now(Ok(self.0.clone()))
    }
}

#[tokio::test]
async fn a_server_with_nonces_accepts_the_proofs_of_the_layer() {
    let environment = Environment::default().with_clock(ManualClock::at(NOW));
    let issuer = TestIssuer::new("https://auth.example").environment(&environment);
    let received = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&received);
    let dpop = Dpop::new(API).unwrap().nonces(Nonces::random().unwrap());
    let jwt = Jwt::new(Issuer::new(issuer.name(), API).unwrap(), issuer.clone());
    let api = AuthLayer::new(jwt).environment(&environment).dpop(dpop).layer(service_fn(async |_: Request<Body>| {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(response(200, ""))
    }));
    let counted = api.map_request(move |request: Request<Body>| {
        counter.fetch_add(1, Ordering::Relaxed);
        request
    });

    let key = DpopKey::generate().unwrap();
    let token = issuer.token("agent").audience(API).confirmation(&Confirmation::key(key.thumbprint())).sign();
    let source = Bound(Token::dpop(&token, key).unwrap());
    let client = layer(source).environment(&environment).layer(counted.clone());
    let count = || received.load(Ordering::Relaxed);
    assert_eq!(client.clone().oneshot(get("https://api.example/a?b=c")).await.unwrap().status(), 200);
    assert_eq!(count(), 2, "the first response demands a nonce");
    assert_eq!(client.oneshot(get("https://api.example/d")).await.unwrap().status(), 200);
    assert_eq!(count(), 3, "the nonce is kept");

    let key = DpopKey::generate().unwrap();
    let token = issuer.token("agent").audience(API).confirmation(&Confirmation::key(key.thumbprint())).sign();
    let client = layer(Bound(Token::dpop(&token, key).unwrap())).environment(&environment).layer(counted);
    let responses = join_all((0..10).map(|_| client.clone().oneshot(get(API)))).await;
    assert!(responses.iter().all(|response| response.as_ref().unwrap().status() == 200));
}

#[tokio::test(start_paused = true)]
async fn a_nonce_is_not_counted_as_the_attempt_with_a_new_token() {
    let (server, received) = (Server::default(), Received::default());
    let key = DpopKey::generate().unwrap();
    server
        .next(["one", "two"].map(|token| reply(200, &format!(r#"{{"access_token":"{token}","token_type":"DPoP"}}"#))));
    let grant = ClientCredentials::new(server.endpoint().dpop(key));
    let count = received.clone();
    let api = received.api(move |_| {
        let mut refused = response(401, r#"DPoP error="use_dpop_nonce""#);
        match count.count() {
            0 => refused.headers_mut().insert("dpop-nonce", "n1".parse().unwrap()),
            1 => return response(401, r#"DPoP error="invalid_token""#),
            _ => return response(200, ""),
        };
        refused
    });
    let client = layer(CachedToken::new(grant).environment(&PausedClock::environment())).layer(api);
    assert_eq!(client.oneshot(get(API)).await.unwrap().status(), 200);
    assert_eq!(received.tokens(), ["DPoP one", "DPoP one", "DPoP two"]);
}

/// (202)
#[tokio::test]
async fn a_server_that_demands_nonces_again_and_again_is_given_up() {
    let received = Received::default();
    let count = received.clone();
    let api = received.api(move |_| {
        let mut refused = response(401, r#"DPoP error="use_dpop_nonce""#);
        refused.headers_mut().insert("dpop-nonce", format!("n{}", count.count()).parse().unwrap());
        refused
    });
    let source = Bound(Token::dpop("token", DpopKey::generate().unwrap()).unwrap());
    assert_eq!(layer(source).layer(api).oneshot(get(API)).await.unwrap().status(), 401);
    assert_eq!(received.count(), 2);
}
