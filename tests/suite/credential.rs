use std::sync::Arc;

use http::{HeaderValue, header::AUTHORIZATION};
use tower_warden::{
    AuthMethod, Authenticator, Credential, Environment, Eventual, Identity, Presented, Reason, Rejection,
    api_key::KeyFormat,
    layer::AuthLayer,
    scheme::{ApiKeyHeader, Bearer, Location, Scheme},
};

use crate::{
    secrets::listen,
    support::{Stack, app, bearer, request, send, unknown_key},
};

#[tokio::test]
async fn schemes_match_in_any_case() {
    // (52)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "ApiKey", "apikey", "APIKEY"] {
        let request = request().header("authorization", format!("{scheme} {}", key.expose()));
        stack.send(request).await.assert_subject("alice");
    }
}

#[tokio::test]
async fn a_key_comes_in_the_configured_header() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    stack.send(request().header("X-API-Key", key.expose())).await.assert_subject("alice");

    let elsewhere = Stack::with(|keys| keys, |layer| layer.scheme(ApiKeyHeader::from(Location::header("x-agent-key"))));
    let (_, key) = elsewhere.alice().await;
    elsewhere.send(request().header("x-agent-key", key.expose())).await.assert_subject("alice");
    elsewhere.send(request().header("x-api-key", key.expose())).await.assert_missing("credential_missing");

    let nowhere = Stack::with(|keys| keys, |layer| layer.scheme(ApiKeyHeader::authorization_only()));
    let (_, key) = nowhere.alice().await;
    nowhere.send(request().header("x-api-key", key.expose())).await.assert_missing("credential_missing");
    nowhere.bearer(key.expose()).await.assert_subject("alice");
}

#[tokio::test]
async fn a_credential_in_the_whole_field_of_authorization_is_one() {
    let whole = Stack::with(|keys| keys, |layer| layer.scheme(Bearer::from(AUTHORIZATION)));
    let (_, key) = whole.alice().await;
    whole.send(request().header("authorization", key.expose())).await.assert_subject("alice");
    whole.send(request().header("x-api-key", key.expose())).await.assert_subject("alice");

    let twice = Stack::with(|keys| keys, |layer| layer.scheme(ApiKeyHeader::new(AUTHORIZATION)));
    let (_, key) = twice.alice().await;
    twice.bearer(key.expose()).await.assert_subject("alice");
    let under_its_name = request().header("authorization", format!("ApiKey {}", key.expose()));
    twice.send(under_its_name).await.assert_subject("alice");

    // The scheme that is added last has the field.
    let last = Stack::with(|keys| keys, |layer| layer.scheme(Bearer::from(AUTHORIZATION)).scheme(Bearer::default()));
    let (_, key) = last.alice().await;
    last.bearer(key.expose()).await.assert_subject("alice");
}

#[tokio::test]
async fn locations_that_overlap_are_a_warning() {
    let warning = |layer: fn(AuthLayer) -> AuthLayer| {
        let (log, _guard) = listen();
        let _stack = Stack::with(|keys| keys, layer);
        log.text().contains("is refused as two")
    };
    assert!(!warning(|layer| layer));
    assert!(!warning(|layer| layer.scheme(Bearer::default().or(Location::web_socket_protocol("bearer.")))));
    assert!(warning(|layer| {
        let keys = ApiKeyHeader::from(Location::web_socket_protocol("bearer.key."));
        layer.scheme(Bearer::default().or(Location::web_socket_protocol("bearer."))).scheme(keys)
    }));
}

#[tokio::test]
async fn several_spaces_may_follow_the_scheme() {
    // (51)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let request = request().header("authorization", format!("Bearer    {}", key.expose()));
    stack.send(request).await.assert_subject("alice");
}

#[tokio::test]
async fn two_key_headers_are_malformed_equal_or_not() {
    // (11)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    for other in [key.expose(), unknown_key().expose()] {
        let request = request().header("x-api-key", key.expose()).header("x-api-key", other);
        stack.send(request).await.assert_malformed("several_credentials");
    }
    assert_eq!(stack.store.finds(), 0);
}

#[tokio::test]
async fn a_key_header_beside_authorization_is_malformed() {
    // (12)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let both = bearer(key.expose()).header("x-api-key", key.expose());
    stack.send(both).await.assert_malformed("several_credentials");
    let basic = request().header("authorization", "Basic YTpi").header("x-api-key", key.expose());
    stack.send(basic).await.assert_malformed("several_credentials");
}

#[tokio::test]
async fn two_authorization_headers_are_malformed_even_while_the_store_is_down() {
    // (53)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    stack.store.set(crate::support::Mode::Fail);
    for second in [format!("Bearer {}", key.expose()), "Basic YTpi".to_owned(), "Bearer bad".to_owned()] {
        let good_first = bearer(key.expose()).header("authorization", &second);
        stack.send(good_first).await.assert_malformed("several_credentials");
        let good_last = request().header("authorization", &second);
        let good_last = good_last.header("authorization", format!("Bearer {}", key.expose()));
        stack.send(good_last).await.assert_malformed("several_credentials");
    }
}

#[tokio::test]
async fn a_list_of_credentials_is_malformed() {
    // (54)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let key = key.expose();
    for list in [format!("Bearer {key}, Bearer {key}"), format!("ApiKey {key}, ApiKey {key}"), format!("ApiKey {key},")]
    {
        stack.send(request().header("authorization", list)).await.assert_malformed("credential_list");
    }
    for list in [format!("Basic YTpi, Bearer {key}"), format!("Basic YTpi,apikey {key}")] {
        stack.send(request().header("authorization", list)).await.assert_malformed("credential_list");
    }
    let digest = request().header("authorization", "Digest username=\"bearer\", realm=\"a, b\"");
    stack.send(digest).await.assert_missing("unsupported_scheme");
    let list = request().header("x-api-key", format!("{key}, {key}"));
    stack.send(list).await.assert_malformed("credential_list");
}

#[tokio::test]
async fn a_scheme_without_a_credential_is_refused_and_never_anonymous() {
    // (51)
    for stack in [Stack::new(), Stack::with(|keys| keys, |layer| layer.optional())] {
        for header in ["Bearer", "Bearer ", "bearer   ", "ApiKey"] {
            stack.send(request().header("authorization", header)).await.assert_missing("credential_empty");
        }
        stack.send(request().header("x-api-key", "")).await.assert_missing("credential_empty");
    }
}

#[tokio::test]
async fn an_unknown_scheme_is_refused_and_never_anonymous() {
    for stack in [Stack::new(), Stack::with(|keys| keys, |layer| layer.optional())] {
        for header in ["Basic YTpi", "Digest username=x", "DPoP abc", "Bearerx abc", "", "abc"] {
            stack.send(request().header("authorization", header)).await.assert_missing("unsupported_scheme");
        }
    }
}

#[tokio::test]
async fn a_bearer_value_that_is_not_a_b64token_is_malformed() {
    // (51)
    let stack = Stack::new();
    for token in ["a b", "a\"b", "a:b", "a=b", "=", "a{b}", "sk_agent_abc def", "abc "] {
        stack.send(bearer(token)).await.assert_malformed("credential_syntax");
    }
}

#[tokio::test]
async fn a_tab_is_malformed() {
    // (51), (10)
    let stack = Stack::new();
    for value in ["Bearer\tabc", "Bearer abc\t", "Bearer \tabc"] {
        stack.send(request().header("authorization", value)).await.assert_malformed("credential_characters");
    }
    stack.send(request().header("x-api-key", "a\tb")).await.assert_malformed("credential_characters");
}

#[tokio::test]
async fn bytes_that_are_not_ascii_are_malformed_and_do_not_panic() {
    // (10), (55)
    let stack = Stack::new();
    for value in [&b"Bearer \xff\xfe"[..], "Bearer ключ".as_bytes(), &b"\x80"[..]] {
        let value = HeaderValue::from_bytes(value).unwrap();
        stack.send(request().header("authorization", value.clone())).await.assert_malformed("credential_characters");
        stack.send(request().header("x-api-key", value)).await.assert_malformed("credential_characters");
    }
    assert_eq!(stack.store.finds(), 0);
}

#[tokio::test]
async fn nul_and_line_breaks_cannot_be_sent_at_all() {
    // (10): `http` refuses to make such a value; the servers refuse to parse one.
    for value in [&b"Bearer a\0b"[..], b"Bearer a\r\nb", b"Bearer a\x7fb"] {
        assert!(HeaderValue::from_bytes(value).is_err());
    }
}

#[tokio::test]
async fn a_credential_of_a_megabyte_is_refused_before_hashing() {
    // (9)
    let stack = Stack::new();
    let long = "a".repeat(1 << 20);
    stack.send(bearer(&long)).await.assert_malformed("credential_too_long");
    stack.send(request().header("x-api-key", &long)).await.assert_malformed("credential_too_long");
    let key = format!("sk_agent_{}", "a".repeat(600));
    stack.send(request().header("x-api-key", key)).await.assert_invalid("key_too_long");
    assert_eq!(stack.store.finds(), 0);
}

#[tokio::test]
async fn a_key_in_the_query_is_not_read() {
    // (13), (56)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    for name in ["access_token", "api_key", "X-Api-Key"] {
        let request = http::Request::builder().uri(format!("/?a=b&{name}={}", key.expose()));
        stack.send(request).await.assert_missing("credential_in_query");
    }
    stack.send(http::Request::builder().uri("/?q=access_token")).await.assert_missing("credential_missing");
}

#[tokio::test]
async fn a_look_alike_header_is_not_read() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    stack.send(request().header("x_api_key", key.expose())).await.assert_missing("credential_missing");
    stack
        .send(request().header("cookie", format!("x-api-key={}", key.expose())))
        .await
        .assert_missing("credential_missing");
}

#[tokio::test]
async fn a_bearer_without_a_key_prefix_is_left_to_other_authenticators() {
    let stack = Stack::new();
    stack.bearer("eyJhbGciOiJub25lIn0.e30.").await.assert_invalid("credential_not_accepted");
    assert_eq!(stack.store.finds(), 0);
}

#[test]
fn any_two_header_values_give_at_most_one_credential() {
    /// Accepts every token, and answers with it.
    struct Echo;

    impl Authenticator for Echo {
        fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
            vec![Arc::new(ApiKeyHeader::default()), Arc::new(Bearer::default())]
        }

        fn accepts(&self, _: &Credential<'_>) -> bool {
            true
        }

        fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
            Eventual::Now(Ok(Arc::new(Identity::new(presented.credential.text(), AuthMethod::Custom("echo")))))
        }
    }

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let app = app(&AuthLayer::new(Echo));
    proptest::proptest!(crate::support::cases(256), |(first: Vec<u8>, second: Vec<u8>, has_second: bool)| {
        let Ok(value) = HeaderValue::from_bytes(&first) else { return Ok(()) };
        let mut request = request().header("authorization", value);
        let second = HeaderValue::from_bytes(&second).ok().filter(|_| has_second);
        let is_alone = second.is_none();
        if let Some(value) = second {
            request = request.header("x-api-key", value);
        }
        let answer = runtime.block_on(send(app.clone(), request));
        if answer.status == 200 {
            proptest::prop_assert!(is_alone && first.ends_with(answer.body.as_bytes()));
        } else if !is_alone {
            proptest::prop_assert_eq!(answer.reason, Some("several_credentials"));
        }
    });
}

#[test]
fn no_text_makes_the_check_of_a_key_panic() {
    let format = KeyFormat::new("sk_agent").unwrap();
    proptest::proptest!(crate::support::cases(256), |(text in ".{0,80}", digits in "[0-9A-Za-z]{49}")| {
        let (odd, made_up) = (format!("sk_agent_{text}"), format!("sk_agent_{digits}"));
        proptest::prop_assert!(format.check(&odd).is_err());
        proptest::prop_assert_eq!(format.check(&made_up), Err(Reason::KEY_CHECKSUM));
    });
}

#[tokio::test]
async fn a_key_header_beside_a_token_is_ignored_unless_keys_are_accepted() {
    let tokens = crate::tokens::Stack::new();
    let token = tokens.token().sign();
    let both = bearer(&token).header("x-api-key", "sk_agent_guess");
    send(tokens.app.clone(), both).await.assert_subject("alice");
    // Two credentials of configured locations stay two.
    let twice = bearer(&token).header("authorization", format!("Bearer {token}"));
    send(tokens.app.clone(), twice).await.assert_malformed("several_credentials");
}

#[tokio::test]
async fn spaces_around_the_name_of_a_cookie_do_not_hide_its_credential() {
    let stack = Stack::new();
    let (_, secret) = stack.alice().await;
    let cookie = ApiKeyHeader::from(Location::cookie("session"));
    let layer = AuthLayer::new(stack.keys.clone()).scheme(cookie).optional();
    let layer = layer.environment(&Environment::default().with_clock(stack.clock.clone()));
    for cookie in ["session={}", "a=b; session={}", "session ={}", " session\t= {} ", "a=b;session = {};c"] {
        let answer = |key: &str| send(app(&layer), request().header("cookie", cookie.replace("{}", key)));
        answer(secret.expose()).await.assert_subject("alice");
        assert_eq!(answer("guess").await.status, 401, "{cookie:?}");
    }
    for cookie in ["xsession=guess", "session2=guess", "session", "a=session=guess"] {
        send(app(&layer), request().header("cookie", cookie)).await.assert_subject("nobody");
    }
}
