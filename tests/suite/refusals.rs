//! What a refusal looks like: RFC 6750 §3, RFC 9110 §11.6.1, RFC 9457.

use std::{error::Error, panic::catch_unwind, time::Duration};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tower_warden::{
    Challenge, Environment, Namespace, Reason, Rejection, RejectionKind,
    refusal::{EmptyBody, Problem, Respond},
    scheme::{ChallengeError, ChallengeLine},
    scope::Scopes,
};

use crate::support::{Answer, Mode, Stack, app, bearer, request, send, unknown_key};

#[tokio::test]
async fn every_refusal_is_a_problem_with_a_stable_code_and_is_not_stored() {
    let stack = Stack::new();
    let down = Stack::new();
    down.store.set(Mode::Fail);
    let broken = Stack::new();
    broken.store.set(Mode::Panic);
    let key = unknown_key();
    let cases = [
        (stack.send(request()).await, 401, "credential_required"),
        (stack.bearer(key.expose()).await, 401, "invalid_token"),
        (stack.bearer("a b").await, 400, "invalid_request"),
        (down.bearer(key.expose()).await, 503, "temporarily_unavailable"),
        (broken.bearer(key.expose()).await, 500, "server_error"),
    ];
    for (answer, status, code) in cases {
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("www-authenticate").is_some(), matches!(status, 400 | 401));
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
        let problem = answer.json();
        assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()));
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].is_string() && problem["detail"].is_string());
    }
}

#[tokio::test]
async fn no_error_is_named_where_no_credential_was_sent() {
    // R0; RFC 6750 §3.1
    let stack = Stack::new();
    let answer = stack.send(request()).await;
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"api\""));
}

#[tokio::test]
async fn the_challenge_names_realm_metadata_and_scope() {
    let challenge = Challenge::new("billing")
        .unwrap()
        .resource_metadata("https://api.example.com/.well-known/oauth-protected-resource")
        .unwrap()
        .scope(Scopes::parse("billing:read").unwrap());
    let stack = Stack::with(|keys| keys, |layer| layer.challenge(challenge));
    let start = "Bearer realm=\"billing\", \
                 resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource\"";
    assert_eq!(
        stack.send(request()).await.header("www-authenticate"),
        Some(format!("{start}, scope=\"billing:read\"").as_str())
    );
    assert_eq!(
        stack.bearer(unknown_key().expose()).await.header("www-authenticate"),
        Some(
            format!(
                "{start}, scope=\"billing:read\", error=\"invalid_token\", \
                 error_description=\"The credential is invalid, expired or revoked.\""
            )
            .as_str()
        )
    );
    assert_eq!(
        stack.bearer("a b").await.header("www-authenticate"),
        Some(
            format!(
                "{start}, error=\"invalid_request\", \
                 error_description=\"The credential is malformed, or there is more than one.\""
            )
            .as_str()
        )
    );
}

#[test]
fn a_realm_or_url_that_would_break_out_of_its_quotes_is_refused_at_start() {
    // (137)
    for realm in ["a\"b", "a\\b", "a\r\nSet-Cookie: x", "a\tb", "ключ", "a\0b", "\x7f"] {
        assert!(Challenge::new(realm).is_err(), "{realm:?}");
    }
    assert!(Challenge::new("billing API (v2)!").is_ok());
    for url in ["", "api.example.com", "http://api.example.com/", "ftp://a/", "https://a/\"b", "https://a/ b", "/path"]
    {
        assert!(Challenge::default().resource_metadata(url).is_err(), "{url:?}");
    }
    for url in ["https://api.example.com/.well-known/x", "http://127.0.0.1:3000/x", "http://localhost/x"] {
        assert!(Challenge::default().resource_metadata(url).is_ok(), "{url:?}");
    }
}

#[tokio::test]
async fn status_and_fields_are_set_whatever_makes_the_body() {
    let stack = Stack::new();
    let layer = || tower_warden::layer::AuthLayer::new(stack.keys.clone());
    let empty = send(app(&layer().respond_with(EmptyBody)), request()).await;
    empty.assert_missing("credential_missing");
    assert_eq!((&*empty.body, empty.header("content-type")), ("", None));

    let own = layer().respond_with(|rejection: &Rejection| {
        let body = format!("<error code='{}'/>", rejection.code());
        let response = Response::builder().header("content-type", "text/xml").header("cache-control", "public");
        response.body(Full::<Bytes>::from(body)).unwrap()
    });
    let own = send(app(&own), bearer(unknown_key().expose())).await;
    own.assert_invalid("key_unknown");
    assert_eq!(own.body, "<error code='invalid_token'/>");
    assert_eq!(own.header("content-type"), Some("text/xml"));
    assert_eq!(own.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn an_optional_layer_lets_absent_through_and_never_bad() {
    let stack = Stack::with(|keys| keys, |layer| layer.optional());
    let (_, key) = stack.alice().await;
    stack.send(request()).await.assert_subject("nobody");
    stack.bearer(key.expose()).await.assert_subject("alice");
    stack.bearer(unknown_key().expose()).await.assert_invalid("key_unknown");
    stack.bearer("a b").await.assert_malformed("credential_syntax");
    stack.bearer("eyJ.eyJ.sig").await.assert_invalid("credential_not_accepted");
    stack.store.set(Mode::Fail);
    stack.bearer(unknown_key().expose()).await.assert_unavailable("key_store_unavailable");
    stack.send(request()).await.assert_subject("nobody");
}

#[tokio::test]
async fn an_outer_layers_principal_does_not_pass_for_an_inner_optional_layers() {
    // (144): a principal of a layer with another header is not one of this layer.
    use tower::{Layer, service_fn};

    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let layer = || {
        tower_warden::layer::AuthLayer::new(stack.keys.clone())
            .environment(&Environment::default().with_clock(stack.clock.clone()))
    };
    let inner = layer()
        .scheme(tower_warden::scheme::ApiKeyHeader::authorization_only())
        .optional()
        .layer(service_fn(crate::support::answer));
    let outer = layer().layer(inner);
    send(outer, request().header("x-api-key", key.expose())).await.assert_subject("nobody");
}

#[test]
fn retry_after_is_rounded_up_and_never_zero() {
    use std::time::Duration;

    use axum::response::IntoResponse;
    use tower_warden::RejectionKind;

    for (wait, told) in [(0, "1"), (1, "1"), (999, "1"), (1000, "1"), (1001, "2"), (59_500, "60")] {
        let rejection =
            Rejection::new(RejectionKind::Unavailable, Reason::custom("test")).retry_after(Duration::from_millis(wait));
        assert_eq!(rejection.into_response().headers()["retry-after"], told);
    }
    let for_ever = Rejection::new(RejectionKind::Unavailable, Reason::custom("test")).retry_after(Duration::MAX);
    assert_eq!(for_ever.into_response().headers()["retry-after"], u64::MAX.to_string());
}

#[test]
fn a_refusal_is_an_error_that_names_status_code_and_reason_and_nothing_the_client_sent() {
    let refused = Rejection::new(RejectionKind::Invalid, Reason::KEY_REVOKED);
    let limited = Rejection::quota_exceeded(Reason::FAILURES_EXCEEDED, Duration::from_secs(1), ["failures"]);
    let limited: Box<dyn Error + Send + Sync> = limited.caused_by(refused).into();
    assert_eq!(limited.to_string(), "429 quota_exceeded (failures_exceeded)");
    assert_eq!(limited.source().unwrap().to_string(), "401 invalid_token (key_revoked)");
    assert!(limited.source().unwrap().source().is_none());
}

#[test]
fn a_reason_is_lower_case_letters_digits_and_underscores() {
    assert_eq!(Reason::custom("account_suspended_2").to_string(), "account_suspended_2");
    for text in ["", "Account", "account-suspended", "account suspended", "a\nb", &"a".repeat(65)] {
        let text: &'static str = text.to_owned().leak();
        assert!(catch_unwind(|| Reason::custom(text)).is_err(), "{text:?}");
    }
}

#[test]
fn a_configuration_error_names_the_value_and_what_would_be_accepted() {
    let error = "two words".parse::<Namespace>().unwrap_err();
    assert_eq!(error.refused_value(), Some("two words"));
    let text = error.to_string();
    assert!(text.contains("two words") && text.contains("1 to 64 ASCII letters"), "{text}");
}

#[test]
fn a_refused_metadata_url_is_quoted_without_what_may_be_a_password() {
    let error = Challenge::default().resource_metadata("https://user:hunter2@api.test/").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn problem_of_an_exceeded_quota_is_json_whatever_its_code_and_detail_are() {
    let refused = Rejection::quota_exceeded(Reason::custom("plan"), Duration::from_secs(1), ["per \"day\""]);
    let refused = refused.with_code("plan_\"free\"", "The plan \"free\" is used up.\nSee C:\\plans.");
    let response: Response<Full<Bytes>> = Problem.respond(&refused);
    let problem = Answer::read(response).await.json();
    assert_eq!(problem["code"], "plan_'free'");
    assert_eq!(problem["detail"], "The plan 'free' is used up.'See C:'plans.");
    assert_eq!(problem["violated-policies"], serde_json::json!(["per 'day'"]));
}

#[test]
fn challenge_has_each_parameter_once_and_no_character_that_is_excluded() {
    let line = ChallengeLine::new("Bearer").parameter("realm", "a\"b").parameter("Realm", "c");
    let error = ChallengeError::new("invalid\"_token", "The \\ \"token\" is bad.");
    let line = line.error(Some(&error)).parameter("scope", "a\"b").parameter("error", "other");
    let expected = r#"Bearer realm="a\"b", error="invalid_token", error_description="The  token is bad.", scope="ab""#;
    assert_eq!(line.to_string(), expected);
}
