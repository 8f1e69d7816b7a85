//! Introspection over HTTP: what is sent, and what servers may answer.

use std::{net::SocketAddr, sync::Arc, sync::Mutex, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::stream;
use serde_json::json;
use tower_warden::{
    Authenticator, ConfigErrorKind, Credential, Head, ManualClock, Presented, UnixTime,
    introspection::{Introspection, IntrospectionBuilder},
};

use crate::{
    introspection_endpoint::{Asking, Reply, SECRET, URL, active, form, issuer, layered},
    secrets::listen,
    support::{Answer, START, bearer, send},
};

/// What a server has received.
#[derive(Clone, Debug, Default)]
struct Received(Arc<Mutex<Vec<(Method, HeaderMap, Bytes)>>>);

impl Received {
    fn last(&self) -> (Method, HeaderMap, Bytes) {
        self.0.lock().unwrap().last().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

/// A server that knows the token `good` and those with strange characters.
async fn server() -> (SocketAddr, Received) {
    let received = Received::default();
    let introspect = async |State(received): State<Received>, method: Method, headers: HeaderMap, body: Bytes| {
        received.0.lock().unwrap().push((method, headers, body.clone()));
        let form = form(&body);
        let answer = if form.iter().any(|(name, value)| name == "token" && (value == "good" || value == STRANGE)) {
            active()
        } else {
            json!({"active": false})
        };
        axum::Json(answer)
    };
    (serve(Router::new().route("/introspect", any(introspect)).with_state(received.clone())).await, received)
}

/// Asked with the client that is the default.
fn asking(address: SocketAddr, id: &str, secret: &str) -> IntrospectionBuilder {
    // Longer than any machine needs.
    let timeout = Duration::from_secs(600);
    Introspection::builder(issuer(), &format!("http://{address}/introspect"), id, secret).timeout(timeout)
}

async fn answer(introspection: &Introspection, token: &str) -> Answer {
    send(layered(introspection.clone(), &ManualClock::at(START)), bearer(token)).await
}

/// A token as no header lets it through.
const STRANGE: &str = "a&active=true&token=good+ %00=ä/~*";

/// (131)
#[tokio::test]
async fn a_token_arrives_unchanged_whatever_its_characters() {
    let (address, received) = server().await;
    let introspection = asking(address, "api", "secret").build().unwrap();
    answer(&introspection, "good").await.assert_subject("alice");
    let (method, headers, body) = received.last();
    assert_eq!((method, &*body), (Method::POST, &b"token=good&token_type_hint=access_token"[..]));
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(headers["accept"], "application/json");
    assert_eq!(headers.get_all(header::AUTHORIZATION).iter().count(), 1);

    let request = http::Request::new(());
    for token in [STRANGE, "a&active=true", "a+b/c~d==", "%2B", "good&token=good", "\u{0}\r\n"] {
        let presented = Presented::new(Credential::access_token(token), Head::from(&request), UnixTime::default());
        let verdict = introspection.authenticate(&presented).wait().await;
        assert_eq!(verdict.is_ok(), token == STRANGE);
        let expected = [("token", token), ("token_type_hint", "access_token")];
        let form = form(&received.last().2);
        assert_eq!(form.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), expected);
    }
}

/// (131)
#[tokio::test]
async fn id_and_secret_are_form_encoded_before_they_are_joined() {
    let (address, received) = server().await;
    for (id, secret, pair) in [
        ("api", "secret", "api:secret"),
        ("https://api.example", "a:b", "https%3A%2F%2Fapi.example:a%3Ab"),
        ("a b", "&=%+ü", "a+b:%26%3D%25%2B%C3%BC"),
        ("a:b", "\u{7f}\n", "a%3Ab:%7F%0A"),
    ] {
        let introspection = asking(address, id, secret).build().unwrap();
        answer(&introspection, "good").await.assert_subject("alice");
        let headers = received.last().1;
        let sent = headers["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(String::from_utf8(BASE64_STANDARD.decode(sent).unwrap()).unwrap(), pair);
    }
}

#[tokio::test]
async fn id_and_secret_are_in_the_body_if_configured() {
    let (address, received) = server().await;
    let introspection = asking(address, "a b", "&=%+ü").client_secret_post().build().unwrap();
    answer(&introspection, "good").await.assert_subject("alice");
    let (_, headers, body) = received.last();
    assert_eq!(headers.get("authorization"), None);
    let raw = "token=good&token_type_hint=access_token&client_id=a+b&client_secret=%26%3D%25%2B%C3%BC";
    assert_eq!(&*body, raw.as_bytes());
}

#[tokio::test]
async fn a_real_server_is_queried_once() {
    let (address, received) = server().await;
    let introspection = asking(address, "api", "secret").build().unwrap();
    for _ in 0..5 {
        answer(&introspection, "good").await.assert_subject("alice");
        answer(&introspection, "bad").await.assert_invalid("token_inactive");
    }
    assert_eq!(received.count(), 2);
    // A client of the user's own, too.
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let introspection = asking(address, "api", "secret").fetch(client).build().unwrap();
    answer(&introspection, "good").await.assert_subject("alice");
}

/// (133)
#[tokio::test]
async fn a_redirect_is_an_outage_and_is_not_followed() {
    let (address, received) = server().await;
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = format!("http://{address}/introspect");
        let redirect = move || async move {
            let location = HeaderValue::from_str(&elsewhere).unwrap();
            (StatusCode::from_u16(status).unwrap(), [(header::LOCATION, location)], active().to_string())
        };
        let address = serve(Router::new().route("/introspect", post(redirect))).await;
        let introspection = asking(address, "api", "secret").build().unwrap();
        answer(&introspection, "good").await.assert_unavailable("introspection_status");
    }
    assert_eq!(received.count(), 0, "nobody else learns the token, or the secret");
}

/// (133)
#[tokio::test]
async fn a_response_that_is_too_long_too_slow_or_compressed_is_an_outage() {
    let endless = || async {
        let chunks = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 4096])));
        Response::new(Body::from_stream(chunks))
    };
    let long = || async { format!("{}{}", active(), " ".repeat(64 * 1024)) };
    let silent = || std::future::pending::<()>();
    let stalled = || async {
        let start = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{\"active\":"))]);
        Response::new(Body::from_stream(futures_util::StreamExt::chain(start, stream::pending())))
    };
    let packed = || async { ([(header::CONTENT_ENCODING, "gzip")], &b"\x1f\x8b\x08\x00\x00\x00\x00\x00"[..]) };
    let router = Router::new()
        .route("/endless/introspect", post(endless))
        .route("/long/introspect", post(long))
        .route("/silent/introspect", post(silent))
        .route("/stalled/introspect", post(stalled))
        .route("/packed/introspect", post(packed))
        .route("/get/introspect", get(|| async { active().to_string() }))
        .route("/page/introspect", post(|| async { axum::response::Html("<p>active</p>").into_response() }))
        .route("/see/introspect", post(|| async { Redirect::to("/get/introspect") }));
    let address = serve(router).await;
    for (path, reason) in [
        ("endless", "introspection_unavailable"),
        ("long", "introspection_unavailable"),
        ("silent", "introspection_timeout"),
        ("stalled", "introspection_timeout"),
        ("packed", "introspection_syntax"),
        ("get", "introspection_status"),
        ("page", "introspection_syntax"),
        ("see", "introspection_status"),
        ("none", "introspection_status"),
    ] {
        let url = format!("http://{address}/{path}/introspect");
        let mut builder = Introspection::builder(issuer(), &url, "api", "secret");
        if reason == "introspection_timeout" {
            // It never comes, however long this is.
            builder = builder.timeout(Duration::from_millis(200));
        } else {
            builder = builder.timeout(Duration::from_secs(60));
        }
        answer(&builder.build().unwrap(), "good").await.assert_unavailable(reason);
    }
    // Nobody listens.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let introspection = asking(address, "api", "secret").build().unwrap();
    answer(&introspection, "good").await.assert_unavailable("introspection_unavailable");
}

/// (133)
#[tokio::test]
async fn a_response_that_is_too_long_is_an_outage_with_any_client() {
    let asking = Asking::new();
    let padded = |length: usize| {
        let answer = active().to_string();
        let spaces = " ".repeat(length - answer.len());
        answer + &spaces
    };
    asking.endpoint.answer(200, padded(64 * 1024 + 1));
    asking.send("token").await.assert_unavailable("introspection_too_long");
    asking.endpoint.answer(200, padded(64 * 1024));
    asking.send("token").await.assert_subject("alice");
}

/// (125)
#[tokio::test]
async fn an_endpoint_that_refuses_our_own_secret_is_an_outage_and_an_error_in_the_log() {
    for status in [401, 403] {
        let (log, _guard) = listen();
        let asking = Asking::new();
        let said = format!(r#"{{"active":false,"error":"invalid_client","secret":"{SECRET}"}}"#);
        asking.endpoint.answer(status, said);
        asking.send("token").await.assert_unavailable("introspection_credentials");
        let log = log.text();
        assert!(log.contains("ERROR") && log.contains(&status.to_string()) && !log.contains(SECRET), "{log}");
        asking.endpoint.reply(Reply::Tell);
        asking.send("token").await.assert_invalid("token_inactive");
    }
}

/// (126)
#[tokio::test]
async fn retry_after_of_the_endpoint_is_passed_on() {
    for (upstream, ours) in [
        ("7", "7"),
        ("0", "1"),
        ("60", "60"),
        ("86400", "60"),
        ("99999999999999999999999999", "60"),
        ("-1", "5"),
        ("", "5"),
        ("+7", "5"),
        ("1.5", "5"),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "5"),
    ] {
        for (status, reason) in [(429, "introspection_throttled"), (503, "introspection_status")] {
            let asking = Asking::of("token", &active());
            asking.endpoint.reply(Reply::Answer(status, vec![("retry-after", upstream.to_owned())], String::new()));
            let answer = asking.send("token").await;
            assert_eq!((answer.status.as_u16(), answer.reason), (503, Some(reason)));
            assert_eq!(answer.header("retry-after"), Some(ours), "{upstream}");
            asking.endpoint.reply(Reply::Tell);
            asking.send("token").await.assert_subject("alice");
        }
    }
    let asking = Asking::new();
    asking.endpoint.answer(429, "");
    asking.send("token").await.assert_unavailable("introspection_throttled");
}

#[tokio::test]
async fn unsupported_token_type_is_a_refusal_and_other_errors_are_outages() {
    let asking = Asking::new();
    asking.endpoint.answer(400, json!({"error": "unsupported_token_type"}).to_string());
    asking.send("token").await.assert_invalid("token_unsupported");
    for (status, body) in [
        (400, json!({"error": "invalid_request"}).to_string()),
        (400, json!({"error": ["unsupported_token_type"]}).to_string()),
        (400, "unsupported_token_type".to_owned()),
        (404, json!({"error": "unsupported_token_type"}).to_string()),
        (500, json!({"active": true}).to_string()),
        (201, active().to_string()),
        (204, String::new()),
        (206, active().to_string()),
    ] {
        let asking = Asking::new();
        asking.endpoint.answer(status, body);
        asking.send("token").await.assert_unavailable("introspection_status");
    }
}

#[test]
fn an_unsafe_endpoint_url_is_refused_at_build() {
    for url in [
        "http://auth.example/introspect",
        "http://127.0.0.1.example/introspect",
        "ftp://auth.example/introspect",
        "auth.example/introspect",
        "/introspect",
        "",
        "https://",
        "https://user:password@auth.example/introspect",
    ] {
        let refused = Introspection::new(issuer(), url, "api", "secret").map_err(|error| error.kind());
        assert_eq!(refused.unwrap_err(), ConfigErrorKind::Introspection, "{url}");
    }
    for (id, secret) in [("", "secret"), ("api", "")] {
        assert!(Introspection::new(issuer(), URL, id, secret).is_err());
    }
    for url in [URL, "http://127.0.0.1:8080/introspect", "http://localhost/introspect", "http://[::1]/introspect"] {
        assert!(Introspection::new(issuer(), url, "api", "secret").is_ok(), "{url}");
    }
}

/// (143)
#[tokio::test]
async fn neither_token_nor_secret_is_in_a_log_line_a_debug_text_or_a_response() {
    let (log, _guard) = listen();
    let basic = BASE64_STANDARD.encode("api:top-secret");
    let mut seen = String::new();
    for post in [false, true] {
        let set_up = |builder: IntrospectionBuilder| if post { builder.client_secret_post() } else { builder };
        let asking = Asking::with(issuer(), set_up);
        asking.endpoint.say("a-good-token", &active());
        let strange = format!(r#"{{"active":true,"token":"a-good-token","secret":"{SECRET}"}}"#);
        let answers = [200, 400, 401, 429, 500].map(|status| Reply::Answer(status, Vec::new(), strange.clone()));
        for reply in [Reply::Fail, Reply::Panic, Reply::Tell].into_iter().chain(answers) {
            asking.endpoint.reply(reply);
            for token in ["a-good-token", "a-bad-token"] {
                seen += &format!("{:?}", asking.send(token).await);
            }
        }
        let builder = set_up(Introspection::builder(issuer(), "https://auth.example/?key=top-secret", "api", SECRET));
        seen += &format!("{:?} {:?} {builder:?} {:?}", asking.introspection, asking.app, builder_error(SECRET));
        // The header is marked, so that no client prints it.
        seen += &format!("{:?}", asking.endpoint.last().headers());
    }
    seen += &log.text();
    assert!(log.text().contains("token_inactive"), "the log was listened to");
    for secret in [SECRET, "a-good-token", "a-bad-token", &*basic] {
        assert!(!seen.contains(secret), "{secret}: {seen}");
    }
}

fn builder_error(secret: &str) -> Option<tower_warden::ConfigError> {
    Introspection::new(issuer(), "http://auth.example/", "api", secret).err()
}
