//! Clients that are described by a document at their URL, for development.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower_warden::{
    ConfigError, Eventual, Unavailable,
    fetch::Fetch,
    jwt::Algorithm,
    testing::{SigningKey, TokenBuilder},
};
use tower_warden_issuer::{AutoConsent, ClientDocuments, ClientProfile};

use crate::{
    code_support::{CALLBACK, CodeFlow, LOCAL, interactive, redirected},
    support::{NOW, ORDERS, Reply, claims, client},
};

pub(crate) const URL: &str = "https://app.example.com/oauth/client.json";

/// A server of documents.
#[derive(Clone)]
pub(crate) struct Server(Arc<State>);

struct State {
    /// Open, or how many requests are answered.
    answers: Semaphore,
    fetches: AtomicUsize,
    responses: Mutex<BTreeMap<String, Response<Bytes>>>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let answers = Semaphore::new(Semaphore::MAX_PERMITS);
        Self(Arc::new(State { answers, fetches: AtomicUsize::new(0), responses: Mutex::default() }))
    }

    pub(crate) fn respond(&self, url: &str, response: Response<Bytes>) {
        self.0.responses.lock().unwrap().insert(url.to_owned(), response);
    }

    pub(crate) fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::Relaxed)
    }
}

impl Fetch for Server {
    fn fetch(&self, request: Request<Bytes>, max_bytes: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        assert_eq!(max_bytes, 5 * 1024);
        let state = Arc::clone(&self.0);
        state.fetches.fetch_add(1, Ordering::Relaxed);
        Eventual::later(async move {
            let _permit = state.answers.acquire().await.unwrap();
            let responses = state.responses.lock().unwrap();
            let response = responses.get(&request.uri().to_string()).cloned();
            response.ok_or(Unavailable::new("the network"))
        })
    }

    fn check(&self, uri: &http::Uri) -> Result<(), ConfigError> {
        if uri.host() == Some("10.0.0.1") { Err(ConfigError::custom("not allowed")) } else { Ok(()) }
    }
}

pub(crate) fn document() -> Value {
    json!({ "client_id": URL, "client_name": "app", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" })
}

pub(crate) fn response(document: &Value) -> Response<Bytes> {
    let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
    response.body(document.to_string().into()).unwrap()
}

pub(crate) fn profile() -> ClientProfile {
    ClientProfile::new(ORDERS).unwrap().scopes("orders:read").unwrap()
}

pub(crate) fn flow(server: &Server) -> CodeFlow {
    let documents = ClientDocuments::new(profile(), server.clone());
    CodeFlow::with(AutoConsent::new("alice").unwrap().client_documents(documents), |builder| builder)
}

pub(crate) async fn authorize(flow: &CodeFlow, id: &str) -> Reply {
    flow.authorize(&[("client_id", Some(id))]).await
}

/// Asserts that the client is unknown, whatever its document.
#[track_caller]
pub(crate) fn assert_unknown(reply: &Reply) {
    reply.assert_error(400, "invalid_request");
    assert!(!reply.headers.contains_key(header::LOCATION));
}

#[tokio::test]
async fn a_client_with_a_document_obtains_tokens() {
    let server = Server::new();
    server.respond(URL, response(&document()));
    let flow = flow(&server);
    let id = ("client_id", Some(URL));
    let reply = flow.redeem(&flow.code(&[id]).await, &[id]).await;
    let claims = claims(reply.token());
    assert_eq!((&claims["client_id"], &claims["sub"]), (&URL.into(), &"alice".into()));
    assert!(reply.body.get("refresh_token").is_none(), "the document does not state the grant");
    assert_eq!(server.fetches(), 1, "it is cached");
}

#[tokio::test]
async fn a_document_that_states_the_grant_yields_refresh_tokens_and_needs_no_method() {
    let server = Server::new();
    let mut document = document();
    document["grant_types"] = json!(["authorization_code", "refresh_token"]);
    document.as_object_mut().unwrap().remove("token_endpoint_auth_method");
    server.respond(URL, response(&document));
    let flow = flow(&server);
    let id = ("client_id", Some(URL));
    let reply = flow.redeem(&flow.code(&[id]).await, &[id]).await;
    let token = reply.body["refresh_token"].as_str().unwrap();
    let form = format!("grant_type=refresh_token&client_id={URL}&refresh_token={token}");
    flow.post("/oauth/token", &form).await.token();
}

#[tokio::test]
async fn a_document_is_fetched_again_after_a_minute() {
    let server = Server::new();
    server.respond(URL, response(&document()));
    let flow = flow(&server);
    for (seconds, fetches) in [(0, 1), (59, 1), (1, 2)] {
        flow.advance(seconds);
        redirected(&authorize(&flow, URL).await, CALLBACK);
        assert_eq!(server.fetches(), fetches);
    }
    let mut changed = document();
    changed["redirect_uris"] = json!(["https://app.example.com/callback"]);
    server.respond(URL, response(&changed));
    flow.advance(60);
    assert_unknown(&authorize(&flow, URL).await);
}

// (265)
#[tokio::test]
async fn ids_that_are_no_urls_of_documents_are_not_fetched() {
    let server = Server::new();
    let flow = flow(&server);
    let long = format!("https://app.example.com/{}", "a".repeat(256));
    for id in [
        "app",
        "http://app.example.com/client.json",
        "https://app.example.com",
        "https://app.example.com/",
        "https://app.example.com/client.json?a=1",
        "https://app.example.com/client.json#a",
        "https://user:secret@app.example.com/client.json",
        "https://app.example.com/a/../client.json",
        "https://app.example.com/./client.json",
        "https://app.example.com/%2e%2E/client.json",
        "https://app.example.com/a/.%2e",
        "https://127.1/client.json",
        "https://0x7f000001/client.json",
        "https://10.0.0.1/client.json",
        "ftp://app.example.com/client.json",
        "file:///etc/passwd",
        &long,
    ] {
        assert_unknown(&authorize(&flow, id).await);
    }
    assert_eq!(server.fetches(), 0);
}

// (265)
#[tokio::test]
async fn a_document_that_is_not_valid_is_refused_and_not_cached() {
    let server = Server::new();
    let flow = flow(&server);
    let changes: [fn(&mut Value); 14] = [
        |document| document["client_id"] = "https://app.example.com/other.json".into(),
        |document| document["client_id"] = "https://APP.example.com/oauth/client.json".into(),
        |document| drop(document.as_object_mut().unwrap().remove("client_id")),
        |document| document["client_id"] = json!([URL]),
        |document| document["client_secret"] = "s3cret".into(),
        |document| document["client_secret_expires_at"] = 0.into(),
        |document| document["token_endpoint_auth_method"] = "client_secret_basic".into(),
        |document| document["token_endpoint_auth_method"] = "private_key_jwt".into(),
        |document| document["redirect_uris"] = json!([]),
        |document| document["redirect_uris"] = json!(["http://app.example.com/callback"]),
        |document| document["grant_types"] = json!(["client_credentials"]),
        |document| document["response_types"] = json!(["token"]),
        |document| document["client_name"] = 1.into(),
        |document| *document = json!([]),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut document = document();
        change(&mut document);
        server.respond(URL, response(&document));
        assert_unknown(&authorize(&flow, URL).await);
        assert_eq!(server.fetches(), index + 1);
    }
    let twice = document().to_string().replacen('{', &format!(r#"{{"client_id":"{URL}","#), 1);
    server.respond(URL, response(&Value::Null).map(|_| twice.into()));
    assert_unknown(&authorize(&flow, URL).await);
    server.respond(URL, response(&document()));
    redirected(&authorize(&flow, URL).await, CALLBACK);
}

// (267)
#[tokio::test]
async fn other_statuses_types_and_lengths_are_refused() {
    let server = Server::new();
    let flow = flow(&server);
    for status in [201, 204, 301, 302, 307, 400, 401, 404, 410] {
        let mut moved = response(&document());
        *moved.status_mut() = StatusCode::from_u16(status).unwrap();
        moved.headers_mut().insert(header::LOCATION, "https://app.example.com/moved.json".parse().unwrap());
        server.respond(URL, moved);
        assert_unknown(&authorize(&flow, URL).await);
    }
    for kind in ["text/html", "text/plain", "application/javascript", "image/svg+json", ""] {
        let mut typed = response(&document());
        typed.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        server.respond(URL, typed);
        assert_unknown(&authorize(&flow, URL).await);
    }
    let mut long = document();
    long["padding"] = "a".repeat(5 * 1024).into();
    server.respond(URL, response(&long));
    assert_unknown(&authorize(&flow, URL).await);
    let mut more_specific = response(&document());
    more_specific.headers_mut().insert(header::CONTENT_TYPE, "application/client+json; charset=utf-8".parse().unwrap());
    server.respond(URL, more_specific);
    redirected(&authorize(&flow, URL).await, CALLBACK);
}

#[tokio::test]
async fn a_server_that_fails_is_503_and_not_cached() {
    let server = Server::new();
    let flow = flow(&server);
    authorize(&flow, URL).await.assert_error(503, "temporarily_unavailable");
    let mut failed = response(&document());
    *failed.status_mut() = StatusCode::BAD_GATEWAY;
    server.respond(URL, failed);
    authorize(&flow, URL).await.assert_error(503, "temporarily_unavailable");
    server.respond(URL, response(&document()));
    redirected(&authorize(&flow, URL).await, CALLBACK);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_respond_is_503_after_five_seconds() {
    let server = Server::new();
    server.0.answers.forget_permits(Semaphore::MAX_PERMITS);
    let begin = tokio::time::Instant::now();
    authorize(&flow(&server), URL).await.assert_error(503, "temporarily_unavailable");
    assert_eq!(begin.elapsed().as_secs(), 5);
}

// (267)
#[tokio::test(start_paused = true)]
async fn more_than_eight_fetches_at_a_time_are_503() {
    let server = Server::new();
    server.respond(URL, response(&document()));
    server.0.answers.forget_permits(Semaphore::MAX_PERMITS);
    let flow = flow(&server);
    let mut pending: Vec<_> = (0..8).map(|_| Box::pin(authorize(&flow, URL))).collect();
    for request in &mut pending {
        assert!(poll_once(request.as_mut()).is_none());
    }
    authorize(&flow, URL).await.assert_error(503, "temporarily_unavailable");
    assert_eq!(server.fetches(), 8);
    // One that is given up makes room.
    drop(pending.pop());
    server.0.answers.add_permits(8);
    redirected(&authorize(&flow, URL).await, CALLBACK);
}

/// Polls a future once.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn the_cache_is_bounded_and_expired_documents_make_room() {
    let server = Server::new();
    let flow = flow(&server);
    let url = |number: usize| format!("https://app.example.com/{number}");
    for number in 0..=256 {
        let mut document = document();
        document["client_id"] = url(number).into();
        server.respond(&url(number), response(&document));
        redirected(&authorize(&flow, &url(number)).await, CALLBACK);
    }
    let before = server.fetches();
    redirected(&authorize(&flow, &url(0)).await, CALLBACK);
    assert_eq!(server.fetches(), before, "the first is kept");
    redirected(&authorize(&flow, &url(256)).await, CALLBACK);
    assert_eq!(server.fetches(), before + 1, "there was no room for the last");
    flow.advance(60);
    for _ in 0..2 {
        redirected(&authorize(&flow, &url(256)).await, CALLBACK);
    }
    assert_eq!(server.fetches(), before + 2);
}

#[tokio::test]
async fn a_document_with_keys_requires_their_assertion() {
    let (server, key, other) =
        (Server::new(), SigningKey::generate(Algorithm::ES256), SigningKey::generate(Algorithm::ES256));
    let mut document = document();
    document["token_endpoint_auth_method"] = "private_key_jwt".into();
    document["jwks"] = json!({ "keys": [key.jwk()] });
    server.respond(URL, response(&document));
    let flow = flow(&server);
    let code = flow.code(&[("client_id", Some(URL))]).await;
    let assertion = |key: &SigningKey, id: &str| {
        let header = json!({ "alg": "ES256", "kid": key.jwk()["kid"], "typ": "JWT" });
        let expires_at = NOW.as_secs() + 60;
        let claims =
            json!({ "iss": URL, "sub": URL, "aud": LOCAL, "exp": expires_at, "iat": NOW.as_secs(), "jti": id });
        TokenBuilder::sign_text(&header.to_string(), &claims.to_string(), key)
    };
    let id = ("client_id", Some(URL));
    let kind = ("client_assertion_type", Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
    flow.redeem(&code, &[id]).await.assert_error(401, "invalid_client");
    let forged = assertion(&other, "1");
    flow.redeem(&code, &[id, kind, ("client_assertion", Some(&forged))]).await.assert_error(401, "invalid_client");
    let valid = assertion(&key, "2");
    flow.redeem(&code, &[id, kind, ("client_assertion", Some(&valid))]).await.token();
}

#[tokio::test]
async fn a_client_that_the_application_has_registered_by_its_url_is_not_fetched() {
    let server = Server::new();
    let flow = flow(&server);
    flow.clients.insert(interactive(client(URL)).public());
    redirected(&authorize(&flow, URL).await, CALLBACK);
    assert_eq!(server.fetches(), 0);
}

#[tokio::test]
async fn the_metadata_of_the_issuer_states_the_support() {
    let flow = flow(&Server::new());
    let metadata: Value = serde_json::from_str(&flow.issuer.metadata()).unwrap();
    assert_eq!(metadata["client_id_metadata_document_supported"], true);
}
