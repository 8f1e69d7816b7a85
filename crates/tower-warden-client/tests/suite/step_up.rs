//! Requests for more scopes.

use http::{Request, Response, header};
use tower::{Layer, ServiceExt};
use tower_warden_client::{CachedToken, TokenLayer, grant::ClientCredentials};

use crate::support::{Body, PausedClock, Received, Server, get, issued, reply, response};

const API: &str = "https://api.example";

/// An API that requires a scope for one path. `token-write` is the token with it.
fn api(request: &Request<Body>) -> Response<Body> {
    let is_writing = request.headers()[header::AUTHORIZATION] == "Bearer token-write";
    if is_writing || request.uri().path() == "/read" {
        response(200, "")
    } else {
        response(403, r#"Bearer error="insufficient_scope", scope="write""#)
    }
}

fn layer(server: &Server) -> TokenLayer {
    let grant = ClientCredentials::new(server.endpoint()).scopes("read".parse().unwrap());
    let tokens = CachedToken::new(grant).environment(&PausedClock::environment());
    TokenLayer::new(tokens, API).unwrap().step_up(2.try_into().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_step_up_requests_the_union_of_the_scopes_and_serves_the_next_requests() {
    let (server, received) = (Server::default(), Received::default());
    server.next([reply(200, &issued("token-read", "")), reply(200, &issued("token-write", ""))]);
    let client = layer(&server).layer(received.api(api));
    assert_eq!(client.clone().oneshot(get("https://api.example/read")).await.unwrap().status(), 200);
    assert_eq!(client.clone().oneshot(get("https://api.example/write")).await.unwrap().status(), 200);
    assert_eq!(server.form()["scope"], "read write");
    assert_eq!(client.oneshot(get("https://api.example/write")).await.unwrap().status(), 200);
    assert_eq!((received.count(), server.count()), (4, 2));
}

/// (201)
#[tokio::test(start_paused = true)]
async fn a_step_up_in_vain_is_not_repeated_beyond_its_limit() {
    let (server, received) = (Server::default(), Received::default());
    let client = layer(&server).layer(received.api(api));
    for sent in [2, 4, 5, 6] {
        assert_eq!(client.clone().oneshot(get("https://api.example/write")).await.unwrap().status(), 403);
        assert_eq!(received.count(), sent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_challenge_for_scopes_that_were_granted_causes_no_step_up() {
    let (server, received) = (Server::default(), Received::default());
    server.next([reply(200, &issued("token-1", r#","scope":"read write""#))]);
    let client = layer(&server).layer(received.api(api));
    assert_eq!(client.oneshot(get("https://api.example/write")).await.unwrap().status(), 403);
    assert_eq!((received.count(), server.count()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_authorization_server_is_no_attempt_in_vain() {
    let (server, received) = (Server::default(), Received::default());
    let client = layer(&server).layer(received.api(api));
    server.next([reply(200, &issued("token-read", ""))]);
    for _ in 0..3 {
        // Each refresh has three attempts.
        server.next([reply(503, ""), reply(503, ""), reply(503, "")]);
        assert_eq!(client.clone().oneshot(get("https://api.example/write")).await.unwrap().status(), 403);
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
    }
    server.next([reply(200, &issued("token-write", ""))]);
    assert_eq!(client.oneshot(get("https://api.example/write")).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn scopes_that_are_withdrawn_are_asked_for_no_more() {
    let (server, received) = (Server::default(), Received::default());
    server.next([reply(200, &issued("token-read", "")), reply(200, &issued("token-write", ""))]);
    let client = layer(&server).layer(received.api(api));
    assert_eq!(client.clone().oneshot(get("https://api.example/write")).await.unwrap().status(), 200);
    tokio::time::advance(std::time::Duration::from_secs(7_200)).await;
    server.next([reply(400, r#"{"error":"invalid_scope"}"#), reply(200, &issued("token-other", ""))]);
    assert_eq!(client.oneshot(get("https://api.example/read")).await.unwrap().status(), 200);
    assert_eq!(server.form()["scope"], "read");
}

#[tokio::test(start_paused = true)]
async fn without_known_scopes_none_are_added() {
    let (server, received) = (Server::default(), Received::default());
    let tokens = CachedToken::new(ClientCredentials::new(server.endpoint())).environment(&PausedClock::environment());
    let layer = TokenLayer::new(tokens, API).unwrap().step_up(2.try_into().unwrap());
    let client = layer.layer(received.api(api));
    assert_eq!(client.oneshot(get("https://api.example/write")).await.unwrap().status(), 403);
    assert_eq!((received.count(), server.count()), (1, 1), "a token for `write` alone would lack the usual scopes");
}

#[tokio::test(start_paused = true)]
async fn scopes_that_are_malformed_are_not_those_of_the_request() {
    let (server, received) = (Server::default(), Received::default());
    server.next([reply(200, &issued("token-read", r#","scope":["other"]"#))]);
    let client = layer(&server).layer(received.api(api));
    assert_eq!(client.oneshot(get("https://api.example/write")).await.unwrap().status(), 403);
    assert_eq!(server.count(), 1, "it is not known which scopes the token has");
}

/// (201)
#[tokio::test(start_paused = true)]
async fn scopes_outside_of_the_allowed_ones_are_never_requested() {
    for (allowed, status, tokens) in [("write", 200, 2), ("read", 403, 1)] {
        let (server, received) = (Server::default(), Received::default());
        server.next([reply(200, &issued("token-read", "")), reply(200, &issued("token-write", ""))]);
        let grant = ClientCredentials::new(server.endpoint()).scopes("read".parse().unwrap());
        let tokens_of_server = CachedToken::new(grant).environment(&PausedClock::environment());
        let layer = TokenLayer::new(tokens_of_server, API).unwrap();
        let client = layer.step_up_within(2.try_into().unwrap(), allowed.parse().unwrap()).layer(received.api(api));
        assert_eq!(client.oneshot(get("https://api.example/write")).await.unwrap().status(), status, "{allowed}");
        assert_eq!(server.count(), tokens, "{allowed}");
    }
}

/// (201)
#[tokio::test(start_paused = true)]
async fn a_challenge_with_too_many_scopes_causes_no_step_up() {
    let (server, received) = (Server::default(), Received::default());
    server.next([reply(200, &issued("token-read", ""))]);
    let scopes: Vec<_> = (0..200).map(|number| format!("s{number}")).collect();
    let challenge = format!(r#"Bearer error="insufficient_scope", scope="{}""#, scopes.join(" "));
    let client = layer(&server).layer(received.api(move |_| response(403, &challenge)));
    assert_eq!(client.oneshot(get("https://api.example/write")).await.unwrap().status(), 403);
    assert_eq!(server.count(), 1);
}
