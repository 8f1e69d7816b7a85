//! Strict parsing of requests at the token endpoint.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, header};
use http_body::{Body, Frame};
use tower::ServiceExt;
use tower_warden_issuer::IssuerService;

use crate::support::{CLIENT_CREDENTIALS, FORM, Setup, form_request};

const VALID: &str = "client_id=post&client_secret=s3cret&grant_type=client_credentials";

#[tokio::test]
async fn a_repeated_parameter_is_refused() {
    let setup = Setup::new();
    for name in
        ["grant_type=client_credentials", "scope=a&scope=a", "client_id=post", "other=1&other=1", "scope=&scope=a"]
    {
        setup.post(&format!("{CLIENT_CREDENTIALS}&{name}")).await.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn an_unknown_parameter_is_ignored() {
    Setup::new().post(&format!("{CLIENT_CREDENTIALS}&audience=x")).await.token();
}

#[tokio::test]
async fn an_empty_parameter_is_as_good_as_none() {
    let reply = Setup::new().post(&format!("{CLIENT_CREDENTIALS}&scope=&resource=")).await;
    reply.token();
    assert_eq!(reply.body["scope"], "orders:read orders:write");
}

#[tokio::test]
async fn parameters_in_the_url_are_refused() {
    for target in ["/oauth/token?grant_type=client_credentials", "/oauth/token?client_secret=s3cret", "/oauth/token?"] {
        let mut request = form_request(VALID);
        *request.uri_mut() = target.parse().unwrap();
        Setup::new().send(request).await.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn other_content_types_are_refused() {
    for kind in [
        "application/json",
        "text/plain",
        "multipart/form-data",
        "application/x-www-form-urlencoded2",
        "",
        "application/x-www-form-urlencoded; charset=utf-16",
    ] {
        let mut request = form_request(VALID);
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        Setup::new().send(request).await.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_missing_and_a_repeated_content_type_are_refused() {
    let mut request = form_request(VALID);
    request.headers_mut().append(header::CONTENT_TYPE, FORM.parse().unwrap());
    Setup::new().send(request).await.assert_error(400, "invalid_request");
    let mut request = form_request(VALID);
    request.headers_mut().remove(header::CONTENT_TYPE);
    Setup::new().send(request).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_content_type_with_a_charset_is_accepted() {
    for kind in
        ["application/x-www-form-urlencoded; charset=UTF-8", "Application/X-WWW-Form-Urlencoded;charset=\"utf-8\""]
    {
        let mut request = form_request(VALID);
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        Setup::new().send(request).await.token();
    }
}

#[tokio::test]
async fn a_malformed_form_is_refused() {
    for part in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=b c", "a=\u{e4}", "a=%00%c3"] {
        let reply = Setup::new().send(form_request(&format!("{VALID}&{part}"))).await;
        reply.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_form_of_a_mebibyte_is_refused() {
    let form = format!("{VALID}&padding={}", "a".repeat(1024 * 1024));
    Setup::new().send(form_request(&form)).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_form_with_too_many_parameters_is_refused() {
    let many: String = (0..64).map(|number| format!("&p{number}=1")).collect();
    Setup::new().send(form_request(&format!("{VALID}{many}"))).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn an_empty_form_is_refused() {
    Setup::new().send(form_request("")).await.assert_error(401, "invalid_client");
}

/// A body that never ends.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_that_does_not_arrive_is_refused_after_ten_seconds() {
    let service: IssuerService<http_body_util::Full<Bytes>> = Setup::new().issuer.service();
    let request = Request::post("/oauth/token").header(header::CONTENT_TYPE, FORM).body(Endless).unwrap();
    let begin = tokio::time::Instant::now();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), begin.elapsed().as_secs()), (400, 10));
}
