//! Refresh tokens, and full logins in their place.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use tower_warden::Eventual;
use tower_warden_client::{
    Attempt, CachedToken, RefreshToken, Token, TokenError, TokenErrorKind, TokenRequest, TokenSource,
    grant::{JsonLogin, RefreshGrant},
    store::{MemoryTokenStore, StoreLock, TokenStore},
};

use crate::support::{NOW, PausedClock, Reply, Server, issued, obtain, reply, token};

fn renewing(server: &Server, store: impl TokenStore) -> RefreshGrant {
    RefreshGrant::new(server.endpoint(), store).login(Login(server.clone()))
}

/// The login of an agent.
struct Login(Server);

impl TokenSource for Login {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        let login = JsonLogin::new("https://auth.example/login", self.0.clone()).unwrap();
        login.field("agent_id", "agent-7").secret("agent_secret", "s3cret").token(request)
    }
}

/// (207)
#[tokio::test]
async fn a_rotated_refresh_token_is_saved_before_the_token_is_used() {
    let (server, store) = (Server::default(), MemoryTokenStore::with(RefreshToken::new("rt-1")));
    server.next([reply(200, &issued("at", r#","refresh_token":"rt-2","refresh_expires_in":600"#))]);
    let token = obtain(&renewing(&server, store.clone())).await.unwrap();
    assert_eq!(server.form()["refresh_token"], "rt-1");
    assert!(token.refresh_token().is_none(), "it was taken off");
    let saved = store.load().wait().await.unwrap().unwrap();
    assert_eq!((saved.expose(), saved.expiry()), ("rt-2", Some(NOW + Duration::from_secs(600))));
}

#[tokio::test]
async fn a_revoked_refresh_token_falls_back_to_login() {
    let (server, store) = (Server::default(), MemoryTokenStore::with(RefreshToken::new("revoked")));
    server.next([
        reply(400, r#"{"error":"invalid_grant"}"#),
        reply(200, r#"{"access_token":"at","refresh_token":"rt-2"}"#),
    ]);
    let request = TokenRequest::new(NOW).with_attempt(Attempt::Early);
    let token = renewing(&server, store.clone()).token(&request).wait().await.unwrap();
    assert_eq!(token.expose(), "at");
    assert_eq!(server.last().uri().path(), "/login");
    assert_eq!(&server.last().body()[..], br#"{"agent_id":"agent-7","agent_secret":"s3cret"}"#);
    assert_eq!(store.load().wait().await.unwrap().unwrap().expose(), "rt-2");
}

#[tokio::test(start_paused = true)]
async fn any_refusal_of_a_refresh_falls_back_to_login_at_once() {
    for refusal in [reply(403, ""), reply(400, r#"{"error":"invalid_scope"}"#), reply(200, "<html></html>")] {
        let server = Server::default();
        server.next([refusal]);
        let grant = renewing(&server, MemoryTokenStore::with(RefreshToken::new("rt")));
        let tokens = CachedToken::new(grant).environment(&PausedClock::environment());
        assert_eq!(token(&tokens).await.unwrap(), "token-2");
        assert_eq!(server.last().uri().path(), "/login");
    }
}

#[tokio::test]
async fn a_refused_refresh_token_is_removed_if_the_login_yields_none() {
    for refusal in [
        reply(400, r#"{"error":"invalid_grant"}"#),
        // Without a code of RFC 6749.
        reply(403, ""),
        reply(400, r#"{"error":"token_expired"}"#),
        // The server may have rotated the refresh token.
        reply(200, r#"{"access_token":""}"#),
        reply(200, "<html></html>"),
    ] {
        let (server, store) = (Server::default(), MemoryTokenStore::with(RefreshToken::new("revoked")));
        server.next([refusal]);
        assert_eq!(token(&renewing(&server, store.clone())).await.unwrap(), "token-2", "by the login");
        assert!(store.load().wait().await.unwrap().is_none());
    }
}

/// (201) An API chooses the scopes of a step-up, and so whether a server refuses them.
#[tokio::test]
async fn a_refresh_token_is_kept_if_something_else_was_refused() {
    for refusal in [reply(400, r#"{"error":"invalid_scope"}"#), reply(401, r#"{"error":"invalid_client"}"#)] {
        let (server, store) = (Server::default(), MemoryTokenStore::with(RefreshToken::new("rt")));
        server.next([refusal]);
        assert_eq!(token(&renewing(&server, store.clone())).await.unwrap(), "token-2", "by the login");
        assert_eq!(store.load().wait().await.unwrap().expect("a refresh token").expose(), "rt");
    }
}

#[tokio::test]
async fn a_refresh_token_with_less_than_60_seconds_left_is_not_used() {
    for (left, path) in [(59, "/login"), (60, "/token")] {
        let refresh = RefreshToken::new("rt").expires_at(NOW + Duration::from_secs(left));
        let server = Server::default();
        obtain(&renewing(&server, MemoryTokenStore::with(refresh))).await.unwrap();
        assert_eq!((server.last().uri().path(), server.count()), (path, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_follows_the_third_attempt_to_refresh() {
    let (server, store) = (Server::default(), MemoryTokenStore::with(RefreshToken::new("rt")));
    server.next((0..3).map(|_| Reply::Down));
    let grant = renewing(&server, store);
    let tokens = CachedToken::new(grant).environment(&PausedClock::environment());
    assert_eq!(token(&tokens).await.unwrap(), "token-4");
    assert_eq!(server.last().uri().path(), "/login");
}

/// A response of a server that asks for a delay of five seconds.
fn busy() -> Reply {
    let response = Response::builder().status(503).header("retry-after", "5");
    Reply::Is(response.body(Bytes::new()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_login_follows_the_third_attempt_if_the_server_asks_for_a_delay_each_time() {
    let (server, store) = (Server::default(), MemoryTokenStore::with(RefreshToken::new("rt")));
    server.next([busy(), busy(), busy()]);
    let tokens = CachedToken::new(renewing(&server, store)).environment(&PausedClock::environment());
    for attempt in 1..=2 {
        assert_eq!(token(&tokens).await.unwrap_err().kind(), TokenErrorKind::Unavailable);
        assert_eq!(server.count(), attempt, "not before the delay is over");
        tokio::time::advance(Duration::from_secs(5)).await;
    }
    assert_eq!(token(&tokens).await.unwrap(), "token-4");
    assert_eq!(server.last().uri().path(), "/login");
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_follows_the_third_one_if_the_server_asks_for_a_delay_each_time() {
    let (server, store) = (Server::default(), MemoryTokenStore::with(RefreshToken::new("rt")));
    server.next((0..8).map(|_| busy()));
    let tokens = CachedToken::new(renewing(&server, store)).environment(&PausedClock::environment());
    // Each third attempt is two requests: the refresh, and the login.
    for (count, path) in
        [(1, "/token"), (2, "/token"), (4, "/login"), (5, "/token"), (6, "/token"), (8, "/login"), (9, "/token")]
    {
        let result = token(&tokens).await;
        assert_eq!(result.is_ok(), count == 9);
        assert_eq!((server.count(), server.last().uri().path()), (count, path));
        tokio::time::advance(Duration::from_secs(60)).await;
    }
}

#[tokio::test]
async fn without_a_login_a_refused_refresh_token_is_an_error() {
    let server = Server::default();
    server.next([reply(400, r#"{"error":"invalid_grant"}"#)]);
    for store in [MemoryTokenStore::with(RefreshToken::new("rt")), MemoryTokenStore::default()] {
        let error = obtain(&RefreshGrant::new(server.endpoint(), store)).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::InvalidGrant);
    }
}

/// A store that fails to save while its flag is set.
#[derive(Clone, Default)]
struct Failing(MemoryTokenStore, Arc<Mutex<bool>>);

impl TokenStore for Failing {
    fn lock(&self) -> Eventual<Result<StoreLock, TokenError>> {
        self.0.lock()
    }

    fn load(&self) -> Eventual<Result<Option<RefreshToken>, TokenError>> {
        self.0.load()
    }

    fn save(&self, refresh: Option<&RefreshToken>) -> Eventual<Result<(), TokenError>> {
        if *self.1.lock().unwrap() {
            return Eventual::Now(Err(TokenError::new(TokenErrorKind::Store, "the disk is full")));
        }
        self.0.save(refresh)
    }
}

#[tokio::test]
async fn a_refresh_token_that_cannot_be_saved_is_not_used_before_it_is() {
    let server = Server::default();
    let store = Failing(MemoryTokenStore::with(RefreshToken::new("rt-1")), Arc::new(Mutex::new(true)));
    let grant = renewing(&server, store.clone());
    server.next([reply(200, &issued("at", r#","refresh_token":"rt-2""#))]);
    assert_eq!(token(&grant).await.unwrap(), "at", "the access token is valid all the same");

    *store.1.lock().unwrap() = false;
    token(&grant).await.unwrap();
    assert_eq!(server.form()["refresh_token"], "rt-2");
    assert_eq!(store.load().wait().await.unwrap().unwrap().expose(), "rt-2");

    *store.1.lock().unwrap() = true;
    server.next([reply(200, &issued("at", r#","refresh_token":"rt-3""#))]);
    token(&grant).await.unwrap();
    token(&grant).await.unwrap();
    assert_eq!(server.last().uri().path(), "/login", "the store still fails, so rt-3 is given up");
}

/// A store that fails to save a number of times.
#[derive(Clone)]
struct FailsFirst(MemoryTokenStore, Arc<Mutex<u32>>);

impl TokenStore for FailsFirst {
    fn lock(&self) -> Eventual<Result<StoreLock, TokenError>> {
        self.0.lock()
    }

    fn load(&self) -> Eventual<Result<Option<RefreshToken>, TokenError>> {
        self.0.load()
    }

    fn save(&self, refresh: Option<&RefreshToken>) -> Eventual<Result<(), TokenError>> {
        let mut left = self.1.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            return Eventual::Now(Err(TokenError::new(TokenErrorKind::Store, "the disk is full")));
        }
        self.0.save(refresh)
    }
}

#[tokio::test]
async fn a_refresh_token_that_was_not_saved_does_not_replace_that_of_a_login() {
    let server = Server::default();
    let store = FailsFirst(MemoryTokenStore::with(RefreshToken::new("rt-1")), Arc::new(Mutex::new(2)));
    let grant = renewing(&server, store);
    // The save of rt-2 fails, and then its second save: a login follows.
    server.next(["rt-2", "rt-3"].map(|refresh| reply(200, &issued("at", &format!(r#","refresh_token":"{refresh}""#)))));
    token(&grant).await.unwrap();
    token(&grant).await.unwrap();
    assert_eq!(server.last().uri().path(), "/login");
    token(&grant).await.unwrap();
    assert_eq!(server.form()["refresh_token"], "rt-3");
}

#[tokio::test]
async fn a_json_login_refreshes_at_its_own_url() {
    let server = Server::default();
    let login = JsonLogin::new("https://auth.example/auth/token", server.clone())
        .unwrap()
        .field("agent_id", "agent-7")
        .refresh_at("https://auth.example/auth/refresh", "refresh_token")
        .unwrap();
    let grant = RefreshGrant::new(login.clone(), MemoryTokenStore::with(RefreshToken::new("rt-1"))).login(login);
    token(&grant).await.unwrap();
    assert_eq!(server.last().uri().path(), "/auth/refresh");
    assert_eq!(&server.last().body()[..], br#"{"refresh_token":"rt-1"}"#);
    server.next([reply(401, r#"{"message":"expired"}"#)]);
    token(&grant).await.unwrap();
    assert_eq!(server.last().uri().path(), "/auth/token");
}
