//! The checklist of the manual's chapter: a test of the same name for each line.

use std::{fs, marker::PhantomData, time::Duration};

use http::{Request, StatusCode, header};
use serde::Serialize;
use tokio::time::advance;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_warden_client::{
    CachedToken, ClientAuth, DpopKey, PrivateKey, RefreshToken, Token, TokenLayer,
    grant::{ClientCredentials, JsonLogin, RefreshGrant, StaticKey},
    mcp_headers::McpHeadersLayer,
    retry::{ConnectionFailure, RetryEnd, RetryLayer},
    scoped_keys::{KeyDeclaration, ScopedKeys, ServiceKey},
    secret::{EnvironmentSecrets, Secret, SecretErrorKind, Versioned},
    store::MemoryTokenStore,
};

use crate::{
    server::{self, Log, assert_outcome, environment, seconds},
    support::{Body, PausedClock, Received, Server, get, issued, reply, response, token},
};

const API: &str = "https://api.example";
const KEY: &str = "sk_live_0123456789abcdef";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::test]
async fn one_key_per_service() {
    let declared = |variables: [(&'static str, &'static str); 2]| {
        ScopedKeys::builder(EnvironmentSecrets::of(variables))
            .key(KeyDeclaration::new("billing", "BILLING_API_KEY"))
            .key(KeyDeclaration::new("reports", "REPORTS_API_KEY"))
    };
    let keys = declared([("BILLING_API_KEY", KEY), ("REPORTS_API_KEY", "sk_live_fedcba9876543210")]);
    let keys = keys.load().await.unwrap();
    assert_eq!(keys.get("billing").unwrap().secret().expose(), KEY);
    assert_ne!(keys.get("reports").unwrap().secret().expose(), KEY);

    let error = declared([("BILLING_API_KEY", KEY), ("REPORTS_API_KEY", KEY)]).load().await.unwrap_err();
    assert_eq!((error.kind(), error.name()), (SecretErrorKind::Duplicate, "REPORTS_API_KEY"));
}

#[tokio::test(start_paused = true)]
async fn keys_never_logged_or_serialised() {
    let (log, _guard) = Log::listen();
    let (server, received) = (Server::default(), Received::default());
    server.next([reply(200, &issued("at-s3cret", "")), reply(503, "s3cret"), reply(400, r#"{"error":"s3cret"}"#)]);
    let auth = ClientAuth::post("agent-7", "s3cret");
    let tokens = CachedToken::new(ClientCredentials::new(server.endpoint_with(auth)));
    let tokens = tokens.environment(&PausedClock::environment());
    let refusing = received.api(|_| response(401, r#"Bearer error="invalid_token", error_description="s3cret""#));
    let client = TokenLayer::new(tokens.clone(), API).unwrap().layer(refusing);
    let refused = client.clone().oneshot(get("https://api.example/s3cret?key=s3cret")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(received.last().headers()[header::AUTHORIZATION].is_sensitive());
    let error = client.clone().oneshot(get("https://api.example/")).await.unwrap_err();
    let printed = format!("{error:?} {error} {tokens:?} {:?}", received.last().headers());
    assert!(!printed.contains("s3cret"), "{printed}");
    assert!(log.text().contains("WARN") && !log.text().contains("s3cret"), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn refresh_120_s_early() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
    advance(seconds(3_600 - 121)).await;
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
    advance(seconds(1)).await;
    assert_eq!(token(&tokens).await.unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn fallback_to_login() {
    let server = Server::default();
    server.next([reply(400, r#"{"error":"invalid_grant"}"#), reply(200, &issued("of-login", ""))]);
    let login = JsonLogin::new("https://auth.example/auth/token", server.clone()).unwrap();
    let login = login.field("agent_id", "agent-7").secret("agent_secret", "s3cret");
    let store = MemoryTokenStore::with(RefreshToken::new("revoked"));
    let tokens = CachedToken::new(RefreshGrant::new(server.endpoint(), store).login(login));
    assert_eq!(token(&tokens.environment(&PausedClock::environment())).await.unwrap(), "of-login");
    assert_eq!((server.count(), server.last().uri().path()), (2, "/auth/token"));
}

#[tokio::test(start_paused = true)]
async fn retry_after_respected() {
    let server = server::Server::new([Ok(server::response(429, &[("retry-after", "7")]))]);
    let tokens = TokenLayer::new(StaticKey::bearer("s3cret").unwrap(), API).unwrap();
    let retries = RetryLayer::new().classify_errors(|error: &BoxError| ConnectionFailure::of(error.as_ref()));
    let client = ServiceBuilder::new().layer(retries).layer(tokens).service(server.clone());
    assert_outcome(&client.oneshot(server::get()).await.unwrap(), StatusCode::OK, 2, RetryEnd::Final);
    assert_eq!(server.pauses(), [7]);
}

#[tokio::test(start_paused = true)]
async fn no_retry_on_403() {
    let received = Received::default();
    let forbidding = received.api(|_| response(403, r#"Bearer error="insufficient_scope", scope="write""#));
    let tokens = TokenLayer::new(StaticKey::bearer("s3cret").unwrap(), API).unwrap();
    let retries = RetryLayer::new().classify_errors(|error: &BoxError| ConnectionFailure::of(error.as_ref()));
    let client = ServiceBuilder::new().layer(retries).layer(tokens).service(forbidding);
    assert_eq!(client.oneshot(get("https://api.example/")).await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(received.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_concurrent_refresh() {
    let (server, received) = (Server::default(), Received::default());
    let tokens = server.cached(&PausedClock::environment());
    let client = TokenLayer::new(tokens, API).unwrap().layer(received.api(|_| response(200, "")));
    for refreshes in 1..=3 {
        let calls = (0..1_000).map(|_| client.clone().oneshot(get("https://api.example/")));
        let responses = futures_util::future::join_all(calls).await;
        assert!(responses.iter().all(|response| response.as_ref().unwrap().status() == StatusCode::OK));
        assert_eq!(server.count(), refreshes);
        advance(Duration::from_secs(3_600)).await;
    }
}

struct Probe<T>(PhantomData<T>);

/// The method of a type that does not implement `Serialize`: where there is an inherent method, it is called in its place.
trait NotSerializable {
    fn is_serializable(&self) -> bool {
        false
    }
}

impl<T> NotSerializable for &Probe<T> {}

impl<T: Serialize> Probe<T> {
    #[expect(clippy::unused_self, reason = "it is preferred to the method of the trait")]
    fn is_serializable(&self) -> bool {
        true
    }
}

macro_rules! is_serializable {
    ($of:ty) => {
        (&Probe::<$of>(PhantomData)).is_serializable()
    };
}

#[test]
fn credentials_not_serialisable() {
    assert!(is_serializable!(String), "the probe finds what is serializable");
    assert!(!is_serializable!(Secret));
    assert!(!is_serializable!(Versioned<Secret>));
    assert!(!is_serializable!(Token));
    assert!(!is_serializable!(RefreshToken));
    assert!(!is_serializable!(ServiceKey));
    assert!(!is_serializable!(ScopedKeys));
    assert!(!is_serializable!(PrivateKey));
    assert!(!is_serializable!(DpopKey));
    assert!(!is_serializable!(ClientAuth));
    assert!(!is_serializable!(StaticKey));
    assert!(!is_serializable!(JsonLogin));
    assert!(!is_serializable!(MemoryTokenStore));
}

#[tokio::test]
async fn mcp_headers_complete() {
    let received = Received::default();
    let headers = McpHeadersLayer::new("agent-7").unwrap().protocol_version("2025-11-25").unwrap();
    let tokens = TokenLayer::new(StaticKey::bearer("s3cret").unwrap(), API).unwrap();
    let client = ServiceBuilder::new().layer(headers).layer(tokens).service(received.api(|_| response(200, "")));
    let call = Request::post("https://api.example/mcp").body(Body::from("{}")).unwrap();
    client.oneshot(call).await.unwrap();
    let sent = received.last();
    let value = |name: &str| sent.headers()[name].to_str().unwrap();
    assert_eq!(value("accept"), "application/json, text/event-stream");
    assert_eq!(value("content-type"), "application/json");
    assert_eq!(value("mcp-protocol-version"), "2025-11-25");
    assert_eq!(value("x-agent-id"), "agent-7");
    assert_eq!(value("authorization"), "Bearer s3cret");
}

#[tokio::test]
async fn rotation_warning_3_days_ahead() {
    let (log, _guard) = Log::listen();
    let (environment, clock) = environment();
    let day = seconds(24 * 3_600);
    let declaration = KeyDeclaration::new("billing", "BILLING_API_KEY").rotation(server::NOW, 90 * day);
    let source = EnvironmentSecrets::of([("BILLING_API_KEY", KEY)]);
    let keys = ScopedKeys::builder(source).key(declaration).environment(&environment).load().await.unwrap();
    clock.set(server::NOW + 87 * day - seconds(1));
    keys.warn_of_rotations();
    assert!(keys.needs_rotation().is_empty() && !log.text().contains("WARN"));
    clock.advance(seconds(1));
    keys.warn_of_rotations();
    assert_eq!(keys.needs_rotation().len(), 1);
    assert_eq!(log.count("a key has to be rotated soon"), 1);
}

#[test]
fn each_line_of_the_manual_has_a_test() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let manual = fs::read_to_string(format!("{folder}/src/manual.rs")).unwrap();
    let tests = fs::read_to_string(format!("{folder}/tests/suite/checklist.rs")).unwrap();
    let lines: Vec<_> = manual.lines().filter_map(|line| line.strip_prefix("//! - [x] **")).collect();
    assert_eq!(lines.len(), 10);
    for line in lines {
        let name = line.split_once(".**").expect("a name").0.to_lowercase().replace([' ', '-'], "_");
        assert!(tests.contains(&format!("fn {name}()")), "{name}");
    }
}
