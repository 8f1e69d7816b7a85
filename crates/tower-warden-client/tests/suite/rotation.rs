//! Secrets of grants that are rotated while the client runs.

use std::sync::{Arc, Mutex};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tower_warden::{Eventual, UnixTime, jwt::Algorithm};
use tower_warden_client::{
    ClientAuth, PrivateKey, PrivateKeySource, TokenErrorKind,
    grant::{ClientCredentials, JsonLogin, JwtBearer, SignedAssertion},
    secret::{Secret, SecretError, SecretErrorKind, SecretSource, Versioned},
};

use crate::{
    server::Log,
    support::{NOW, Reply, Server, issued, reply, token},
};

/// A source of one secret, which a test rotates, and which may be down.
#[derive(Clone)]
pub(crate) struct Rotating(Arc<Mutex<Result<Versioned<Secret>, SecretErrorKind>>>);

impl Rotating {
    pub(crate) fn new(text: &str) -> Self {
        Self(Arc::new(Mutex::new(Ok(Versioned::new(Secret::new(text), 1)))))
    }

    /// Replaces the value. The one before is valid until `end`.
    pub(crate) fn rotate(&self, text: &str, end: UnixTime) {
        let mut value = self.0.lock().unwrap();
        let before = value.as_ref().unwrap();
        let rotated = before.rotated(Secret::new(text), before.version() + 1, end);
        *value = Ok(rotated);
    }

    pub(crate) fn fail(&self, kind: SecretErrorKind) {
        *self.0.lock().unwrap() = Err(kind);
    }
}

impl SecretSource for Rotating {
    fn get(&self, name: &str) -> Eventual<Result<Versioned<Secret>, SecretError>> {
        let value = self.0.lock().unwrap();
        Eventual::Now(match &*value {
            Ok(value) => Ok(value.clone()),
            Err(kind) => Err(SecretError::new(*kind, name, "the test has no secret")),
        })
    }
}

pub(crate) const LATER: UnixTime = UnixTime::from_secs(NOW.as_secs() + 300);

fn refused() -> Reply {
    reply(401, r#"{"error":"invalid_client"}"#)
}

/// The secret of the last token request.
fn sent(server: &Server) -> String {
    server.form()["client_secret"].clone()
}

#[tokio::test]
async fn a_rotated_client_secret_is_used_without_a_restart() {
    let (server, secrets) = (Server::default(), Rotating::new("first"));
    for auth in [
        ClientAuth::post_from("client", secrets.clone(), "client-secret"),
        ClientAuth::basic_from("client", secrets.clone(), "client-secret"),
    ] {
        let grant = ClientCredentials::new(server.endpoint_with(auth));
        token(&grant).await.unwrap();
    }
    let basic = server.last().headers()["authorization"].clone();
    assert!(basic.is_sensitive());
    assert_eq!(basic, "Basic Y2xpZW50OmZpcnN0");

    let auth = ClientAuth::post_from("client", secrets.clone(), "client-secret");
    let grant = ClientCredentials::new(server.endpoint_with(auth));
    token(&grant).await.unwrap();
    assert_eq!(sent(&server), "first");
    secrets.rotate("second", LATER);
    token(&grant).await.unwrap();
    assert_eq!((sent(&server), server.count()), ("second".to_owned(), 4));
}

#[tokio::test]
async fn a_client_secret_that_is_refused_is_replaced_by_the_one_before_once() {
    let (server, secrets) = (Server::default(), Rotating::new("first"));
    let auth = ClientAuth::post_from("client", secrets.clone(), "client-secret");
    let grant = ClientCredentials::new(server.endpoint_with(auth));
    secrets.rotate("second", LATER);

    server.next([refused()]);
    token(&grant).await.unwrap();
    assert_eq!((sent(&server), server.count()), ("first".to_owned(), 2));

    server.next([refused(), refused()]);
    assert_eq!(token(&grant).await.unwrap_err().kind(), TokenErrorKind::InvalidClient);
    assert_eq!(server.count(), 4, "each version was sent once");
}

#[tokio::test]
async fn a_client_secret_that_has_no_valid_predecessor_is_sent_once() {
    let (server, secrets) = (Server::default(), Rotating::new("first"));
    let auth = ClientAuth::post_from("client", secrets.clone(), "client-secret");
    let grant = ClientCredentials::new(server.endpoint_with(auth));
    server.next([refused()]);
    assert_eq!(token(&grant).await.unwrap_err().code(), Some("invalid_client"));
    secrets.rotate("second", NOW);
    server.next([refused()]);
    token(&grant).await.unwrap_err();
    assert_eq!((sent(&server), server.count()), ("second".to_owned(), 2));
}

#[tokio::test]
async fn another_error_than_invalid_client_does_not_send_the_secret_before() {
    let (server, secrets) = (Server::default(), Rotating::new("first"));
    let auth = ClientAuth::post_from("client", secrets.clone(), "client-secret");
    let grant = ClientCredentials::new(server.endpoint_with(auth));
    secrets.rotate("second", LATER);
    for error in [r#"{"error":"unauthorized_client"}"#, r#"{"error":"invalid_scope"}"#, "<html>"] {
        server.next([reply(400, error)]);
        token(&grant).await.unwrap_err();
    }
    assert_eq!((sent(&server), server.count()), ("second".to_owned(), 3));
}

#[tokio::test]
async fn an_outage_of_the_source_leaves_the_last_secret_in_use() {
    let (log, _guard) = Log::listen();
    let (server, secrets) = (Server::default(), Rotating::new("s3cret"));
    let auth = ClientAuth::post_from("client", secrets.clone(), "client-secret");
    let grant = ClientCredentials::new(server.endpoint_with(auth.clone()));
    token(&grant).await.unwrap();
    secrets.fail(SecretErrorKind::Unavailable);
    for _ in 0..3 {
        token(&grant).await.unwrap();
    }
    assert_eq!((sent(&server), server.count()), ("s3cret".to_owned(), 4));
    assert_eq!(log.count("its last value remains in use"), 1);
    assert!(!log.text().contains("s3cret") && !format!("{auth:?} {grant:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_secret_that_was_never_read_is_unavailable_while_its_source_is() {
    let (server, secrets) = (Server::default(), Rotating::new("s3cret"));
    let auth = ClientAuth::post_from("client", secrets.clone(), "client-secret");
    let grant = ClientCredentials::new(server.endpoint_with(auth));
    for (problem, kind) in
        [(SecretErrorKind::Unavailable, TokenErrorKind::Unavailable), (SecretErrorKind::Missing, TokenErrorKind::Store)]
    {
        secrets.fail(problem);
        assert_eq!(token(&grant).await.unwrap_err().kind(), kind);
    }
    assert_eq!(server.count(), 0);
}

/// A key in PKCS #8, made by openssl.
const FIRST_PEM: &str = include_str!("keys/first.pem");
const SECOND_PEM: &str = include_str!("keys/second.pem");

fn kid_of(jwt: &str) -> String {
    let header = BASE64_URL_SAFE_NO_PAD.decode(jwt.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn thumbprint(pem: &str) -> String {
    PrivateKey::from_pem(Algorithm::ES256, pem.as_bytes()).unwrap().thumbprint().to_base64url()
}

#[test]
fn an_encrypted_key_is_refused_with_how_to_decrypt_it() {
    for pem in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMC4CAQ==\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMC4CAQ==\n-----END EC PRIVATE KEY-----\n",
    ] {
        let error = PrivateKey::from_pem(Algorithm::ES256, pem.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("decrypt it with `openssl pkey"), "{error}");
    }
}

#[tokio::test]
async fn a_rotated_private_key_signs_and_the_one_before_is_tried_once() {
    let (server, secrets) = (Server::default(), Rotating::new(FIRST_PEM));
    let key = PrivateKeySource::new(Algorithm::ES256, secrets.clone(), "key").unwrap().with_thumbprint_as_kid();
    let auth = ClientAuth::private_key_jwt_from("client", key.clone(), "https://auth.example");
    let grant = ClientCredentials::new(server.endpoint_with(auth));
    let kid = || kid_of(&server.form()["client_assertion"]);
    token(&grant).await.unwrap();
    assert_eq!(kid(), thumbprint(FIRST_PEM));

    secrets.rotate(SECOND_PEM, LATER);
    token(&grant).await.unwrap();
    assert_eq!(kid(), thumbprint(SECOND_PEM));
    server.next([refused()]);
    token(&grant).await.unwrap();
    assert_eq!((kid(), server.count()), (thumbprint(FIRST_PEM), 4));

    let assertion = SignedAssertion::from_source(key, "client", "https://auth.example");
    token(&JwtBearer::new(server.endpoint_with(ClientAuth::none("client")), assertion)).await.unwrap();
    assert_eq!(kid_of(&server.form()["assertion"]), thumbprint(SECOND_PEM));
}

#[tokio::test]
async fn a_rotated_private_key_that_is_malformed_leaves_the_one_before_in_use() {
    let (log, _guard) = Log::listen();
    let (server, secrets) = (Server::default(), Rotating::new(FIRST_PEM));
    let key = PrivateKeySource::new(Algorithm::ES256, secrets.clone(), "key").unwrap().with_thumbprint_as_kid();
    let auth = ClientAuth::private_key_jwt_from("client", key, "https://auth.example");
    let grant = ClientCredentials::new(server.endpoint_with(auth));
    secrets.rotate("s3cret, not a key", LATER);
    token(&grant).await.unwrap();
    assert_eq!(kid_of(&server.form()["client_assertion"]), thumbprint(FIRST_PEM));
    assert_eq!(log.count("a new private key is malformed"), 1);

    secrets.rotate("s3cret, neither", LATER);
    let error = token(&grant).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Store);
    assert!(!log.text().contains("s3cret") && !format!("{error} {error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_rotated_secret_of_a_login_is_sent_and_the_one_before_is_tried_once() {
    let (server, secrets) = (Server::default(), Rotating::new("first"));
    let login = JsonLogin::new("https://api.example/login", server.clone())
        .unwrap()
        .field("agent_id", "agent-7")
        .secret_from("agent_secret", secrets.clone(), "agent-secret");
    let sent = || String::from_utf8(server.last().body().to_vec()).unwrap();
    token(&login).await.unwrap();
    assert_eq!(sent(), r#"{"agent_id":"agent-7","agent_secret":"first"}"#);
    secrets.rotate("second", LATER);
    token(&login).await.unwrap();
    assert_eq!(sent(), r#"{"agent_id":"agent-7","agent_secret":"second"}"#);
    server.next([reply(401, "{}")]);
    token(&login).await.unwrap();
    assert_eq!((sent().as_str(), server.count()), (r#"{"agent_id":"agent-7","agent_secret":"first"}"#, 4));
    server.next([reply(401, "{}"), reply(401, "{}")]);
    assert_eq!(token(&login).await.unwrap_err().kind(), TokenErrorKind::InvalidClient);
    assert_eq!(server.count(), 6);
}

#[tokio::test]
async fn a_token_of_a_server_that_knows_one_version_costs_no_failed_request() {
    // The server changes to the second version between two requests, after the source.
    let (server, secrets) = (Server::default(), Rotating::new("first"));
    let auth = ClientAuth::post_from("client", secrets.clone(), "client-secret");
    let grant = ClientCredentials::new(server.endpoint_with(auth));
    secrets.rotate("second", LATER);
    server.next([refused(), reply(200, &issued("at-1", "")), reply(200, &issued("at-2", ""))]);
    assert_eq!(token(&grant).await.unwrap(), "at-1");
    assert_eq!(token(&grant).await.unwrap(), "at-2");
    assert_eq!(sent(&server), "second");
}
