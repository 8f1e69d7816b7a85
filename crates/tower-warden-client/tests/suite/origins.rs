//! Requests for other origins than the declared one.

use http::{Request, Uri, header};
use tower::{Layer, ServiceExt};
use tower_warden_client::{TokenError, TokenErrorKind, TokenLayer, TokenSource, grant::StaticKey};

use crate::support::{Body, Received, get, response};

const API: &str = "https://api.example";

fn layer(source: impl TokenSource) -> TokenLayer {
    TokenLayer::new(source, API).unwrap()
}

fn kind(error: &(dyn std::error::Error + Send + Sync + 'static)) -> TokenErrorKind {
    error.downcast_ref::<TokenError>().expect("an error of the layer").kind()
}

/// (198)
#[tokio::test]
async fn a_token_never_goes_to_another_origin() {
    let received = Received::default();
    let client = layer(StaticKey::bearer("key").unwrap()).layer(received.api(|_| response(200, "")));
    for url in [
        "https://evil.example/",
        "https://api.example.evil.example/",
        "https://api.example:8443/",
        "http://api.example/",
        "https://user@api.example/",
        "/relative",
    ] {
        let error = client.clone().oneshot(get(url)).await.unwrap_err();
        assert_eq!(kind(&*error), TokenErrorKind::Origin, "{url}");
    }
    assert_eq!(received.count(), 0);
    assert!(TokenLayer::new(StaticKey::bearer("key").unwrap(), "http://api.example").is_err());
    assert!(TokenLayer::new(StaticKey::bearer("key").unwrap(), "https://api.example/path").is_err());
    assert!(TokenLayer::new(StaticKey::bearer("key").unwrap(), "http://127.0.0.1:8080").is_ok());
}

/// (198) Host and path in one text are `https://api.example*`.
#[tokio::test]
async fn a_path_that_would_continue_the_host_gets_no_token() {
    let received = Received::default();
    let layer = layer(StaticKey::bearer("key").unwrap());
    let absolute = Uri::builder().scheme("https").authority("api.example").path_and_query("*").build().unwrap();
    for url in [absolute, Uri::from_static("*")] {
        for layer in [layer.clone(), layer.clone().complete_relative_urls()] {
            let client = layer.layer(received.api(|_| response(200, "")));
            let request = Request::options(url.clone()).body(Body::default()).unwrap();
            assert_eq!(kind(&*client.oneshot(request).await.unwrap_err()), TokenErrorKind::Origin, "{url}");
        }
    }
    assert_eq!(received.count(), 0);
}

/// (198)
#[tokio::test]
async fn a_host_field_does_not_send_a_token_to_another_host() {
    let received = Received::default();
    let client = layer(StaticKey::bearer("key").unwrap()).layer(received.api(|_| response(200, "")));
    let mut request = get(API);
    request.headers_mut().insert(header::HOST, "evil.example".parse().unwrap());
    client.oneshot(request).await.unwrap();
    assert!(!received.last().headers().contains_key(header::HOST));
}

/// (198)
#[tokio::test]
async fn a_redirect_to_another_host_is_returned_to_the_caller() {
    let received = Received::default();
    let api = received.api(|_| {
        let mut redirect = response(307, "");
        redirect.headers_mut().insert(header::LOCATION, "https://evil.example/".parse().unwrap());
        redirect
    });
    let client = layer(StaticKey::bearer("key").unwrap()).layer(api);
    let response = client.clone().oneshot(get(API)).await.unwrap();
    assert_eq!(response.status(), 307);
    assert_eq!(received.count(), 1);
    // A layer outside of this one that follows it gets no token.
    let target = response.headers()[header::LOCATION].to_str().unwrap();
    assert_eq!(kind(&*client.oneshot(get(target)).await.unwrap_err()), TokenErrorKind::Origin);
}

#[tokio::test]
async fn a_relative_url_is_completed_by_option() {
    let received = Received::default();
    let client =
        layer(StaticKey::bearer("key").unwrap()).complete_relative_urls().layer(received.api(|_| response(200, "")));
    client.clone().oneshot(get("/orders?page=2")).await.unwrap();
    assert_eq!(received.last().uri(), "https://api.example/orders?page=2");
    assert_eq!(kind(&*client.oneshot(get("https://evil.example/")).await.unwrap_err()), TokenErrorKind::Origin);
}
