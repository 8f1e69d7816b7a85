//! Sessions belong to the caller that opened them.

use super::*;

/// A server that opens the session `s-1` at `initialize`.
fn stateful() -> Server {
    Server::with(
        |server| server,
        |request| {
            let mut response = ok(&json!({}));
            if request.body().windows(10).any(|window| window == b"initialize") {
                response.headers_mut().insert("mcp-session-id", "s-1".parse().unwrap());
            }
            response
        },
    )
}

fn within(token: &str, method: Method, session: &str) -> Request<Full<Bytes>> {
    let body = if method == Method::POST { full(&call("echo")) } else { Full::default() };
    let request = Request::builder().method(method).uri("/mcp").header("authorization", format!("Bearer {token}"));
    let request = request.header("content-type", "application/json").header("mcp-protocol-version", LEGACY);
    request.header("mcp-session-id", session).body(body).unwrap()
}

async fn open(server: &Server, token: &str) {
    let answer = server.legacy(token, &request("initialize", &json!({"protocolVersion": LEGACY}))).await;
    answer.assert_admitted();
    assert_eq!(answer.headers["mcp-session-id"], "s-1");
}

#[tokio::test]
async fn a_session_is_used_by_its_caller() {
    let server = stateful();
    let token = server.token("alice", "mcp:tools");
    open(&server, &token).await;
    for method in [Method::POST, Method::GET] {
        server.send(within(&token, method, "s-1")).await.assert_admitted();
    }
    // Another token of the same caller.
    let refreshed = server.token("alice", "mcp:tools admin");
    server.send(within(&refreshed, Method::POST, "s-1")).await.assert_admitted();
}

#[tokio::test]
async fn a_session_of_another_caller_does_not_exist() {
    let server = stateful();
    open(&server, &server.token("alice", "mcp:tools")).await;
    let reached = server.reached.count();
    let others = [
        server.token("bob", "mcp:tools admin"),
        server.issuer.token("alice").audience(RESOURCE).client_id("other").scope("mcp:tools").sign(),
        server.issuer.token("alice").audience(RESOURCE).scope("mcp:tools").sign(),
    ];
    for other in &others {
        for method in [Method::POST, Method::GET, Method::DELETE] {
            let answer = server.send(within(other, method.clone(), "s-1")).await;
            answer.assert_refused(404, "mcp_session_forbidden");
            let unknown = server.send(within(other, method, "s-2")).await;
            assert_eq!(answer.body, unknown.body, "it looks like one that does not exist");
        }
    }
    assert_eq!(server.reached.count(), reached);
    server.send(within(&server.token("alice", "mcp:tools"), Method::POST, "s-1")).await.assert_admitted();
}

#[tokio::test]
async fn a_session_of_an_api_key_is_not_that_of_a_token_with_the_same_subject() {
    let server = stateful();
    let (_, key) = server.keys.mint(NewKey::new("alice").scopes("mcp:tools")).await.unwrap();
    open(&server, key.expose()).await;
    server.send(within(key.expose(), Method::POST, "s-1")).await.assert_admitted();
    let token = server.token("alice", "mcp:tools");
    server.send(within(&token, Method::POST, "s-1")).await.assert_refused(404, "mcp_session_forbidden");
}

#[tokio::test]
async fn a_session_does_not_outlive_its_end() {
    let server = stateful();
    let token = server.token("alice", "mcp:tools");
    open(&server, &token).await;
    server.send(within(&token, Method::DELETE, "s-1")).await.assert_admitted();
    server.send(within(&token, Method::POST, "s-1")).await.assert_refused(404, "mcp_session_forbidden");
}

#[tokio::test]
async fn a_session_that_is_not_used_expires() {
    let server = stateful();
    let key = server.keys.mint(NewKey::new("alice").scopes("mcp:tools")).await.unwrap().1;
    open(&server, key.expose()).await;
    for _ in 0..3 {
        server.clock.advance(Duration::from_secs(23 * 3_600));
        server.send(within(key.expose(), Method::POST, "s-1")).await.assert_admitted();
    }
    server.clock.advance(Duration::from_secs(24 * 3_600));
    server.send(within(key.expose(), Method::POST, "s-1")).await.assert_refused(404, "mcp_session_forbidden");
}

#[tokio::test]
async fn a_session_after_revocation_is_refused() {
    use tower_warden::revocation::Revocation;
    let server = stateful();
    let token = server
        .issuer
        .token("alice")
        .audience(RESOURCE)
        .client_id("agent")
        .scope("mcp:tools")
        .claim("jti", "t-1")
        .sign();
    open(&server, &token).await;
    server
        .revocations
        .revoke(Revocation::token(server.issuer.name(), "t-1"), START + Duration::from_secs(3_600))
        .unwrap();
    server.send(within(&token, Method::POST, "s-1")).await.assert_refused(401, "revoked");
}

#[tokio::test]
async fn two_session_fields_are_refused() {
    let server = stateful();
    let token = server.token("alice", "mcp:tools");
    open(&server, &token).await;
    let mut request = within(&token, Method::POST, "s-1");
    request.headers_mut().append("mcp-session-id", "s-2".parse().unwrap());
    server.send(request).await.assert_refused(404, "mcp_session_forbidden");
}

#[tokio::test]
async fn the_sessions_of_a_caller_are_bounded_and_do_not_evict_those_of_others() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::with(
        |server| server.max_per_caller(std::num::NonZeroUsize::new(100).unwrap()),
        move |_| {
            let mut response = ok(&json!({}));
            let id = format!("s-{}", count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            response.headers_mut().insert("mcp-session-id", id.parse().unwrap());
            response
        },
    );
    let (alice, mallory) = (server.token("alice", "mcp:tools"), server.token("mallory", "mcp:tools"));
    let initialize = request("initialize", &json!({}));
    server.legacy(&alice, &initialize).await.assert_admitted();
    for _ in 0..150 {
        server.clock.advance(Duration::from_secs(1));
        server.legacy(&mallory, &initialize).await.assert_admitted();
    }
    server.send(within(&mallory, Method::GET, "s-1")).await.assert_refused(404, "mcp_session_forbidden");
    server.send(within(&mallory, Method::GET, "s-150")).await.assert_admitted();
    server.send(within(&alice, Method::GET, "s-0")).await.assert_admitted();
}

#[tokio::test]
async fn a_session_has_an_id_of_any_length_and_survives_an_unknown_resource() {
    let id: &'static str = Box::leak("s".repeat(2_000).into_boxed_str());
    let server = Server::with(
        |server| server,
        move |request| {
            let is_first = request.body().windows(10).any(|window| window == b"initialize");
            let mut response = ok(&json!({}));
            if is_first {
                response.headers_mut().insert("mcp-session-id", id.parse().unwrap());
            } else {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            response
        },
    );
    let token = server.token("alice", "mcp:tools");
    server.legacy(&token, &request("initialize", &json!({}))).await.assert_admitted();
    for _ in 0..2 {
        let answer = server.send(within(&token, Method::POST, id)).await;
        assert!(answer.rejection.is_none(), "the server has answered");
    }
}
