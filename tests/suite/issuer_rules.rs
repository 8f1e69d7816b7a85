//! What the rules of an issuer make of the claims of a token, and what the log shows of a refusal.

use serde_json::{Value, json};
use tower_warden::jwt::{ExpectedClaim, Issuer, Jwt};

use crate::{
    secrets::listen,
    support::{START, bearer, request, send},
    tokens::{AUDIENCE, Stack, principal, rules, seconds},
};

/// As Keycloak's lightweight tokens are: with the client and the session, without the subject.
#[tokio::test]
async fn a_user_token_without_a_subject_is_not_the_clients() {
    let stack = Stack::new();
    let token = stack.token().without("sub").without("client_id").claim("azp", "web-ui").claim("sid", "s");
    let token = token.claim("preferred_username", "alice");
    stack.sign(&token).await.assert_invalid("subject_missing");
    let stack = Stack::with(|issuer| issuer.subject_claims(["preferred_username"]));
    stack.sign(&token).await.assert_invalid("key_unknown");
}

#[tokio::test]
async fn the_subject_is_the_first_configured_claim_that_is_not_empty() {
    let set_up = |issuer: Issuer| issuer.subject_claims(["sub", "common_name", "/user/id"]);
    let caller = principal(set_up, |token| token.claim("common_name", "service")).await;
    assert_eq!(caller.subject(), "alice");
    let caller = principal(set_up, |token| token.claim("sub", "").claim("common_name", "service")).await;
    assert_eq!(caller.subject(), "service");
    let caller = principal(set_up, |token| token.without("sub").claim("user", json!({ "id": "u-1" }))).await;
    assert_eq!(caller.subject(), "u-1");
    let stack = Stack::with(set_up);
    stack.sign(&stack.token().claim("sub", "")).await.assert_invalid("subject_missing");
    stack.sign(&stack.token().claim("sub", json!(["a"]))).await.assert_invalid("claim_type");
}

#[tokio::test]
async fn numeric_ids_are_decimal_text_only_by_option() {
    let numbers = |name: &'static str, value: Value| {
        move |token: tower_warden::testing::TokenBuilder| token.claim("org", "acme").claim(name, value)
    };
    let set_up = |issuer: Issuer| issuer.tenant_claim("org").accept_numeric_ids();
    let stack = Stack::with(|issuer| issuer.tenant_claim("org"));
    for name in ["sub", "client_id", "org", "jti", "sid"] {
        stack.sign(&numbers(name, json!(7))(stack.token())).await.assert_invalid("claim_type");
        let caller = principal(set_up, numbers(name, json!(u64::MAX))).await;
        let read = match name {
            "sub" => Some(caller.subject()),
            "client_id" => caller.client_id(),
            "org" => caller.tenant(),
            "jti" => caller.token_id(),
            _ => caller.session_id(),
        };
        assert_eq!(read, Some("18446744073709551615"), "{name}");
        let lenient = Stack::with(set_up);
        for bad in [json!(1.5), json!(true), json!([7])] {
            lenient.sign(&numbers(name, bad)(lenient.token())).await.assert_invalid("claim_type");
        }
    }
    let caller = principal(set_up, numbers("sub", json!(-1))).await;
    assert_eq!(caller.subject(), "-1");
}

#[tokio::test]
async fn null_is_the_same_as_none_except_where_none_grants_more() {
    let stack = Stack::with(|issuer| issuer.roles_claim("roles").tier_claim("tier"));
    for name in
        ["nbf", "iat", "jti", "client_id", "sid", "acr", "auth_time", "roles", "tier", "scope", "nonce", "events"]
    {
        stack.sign(&stack.token().claim(name, Value::Null)).await.assert_subject("alice");
    }
    stack.sign(&stack.token().claim("cnf", Value::Null)).await.assert_invalid("confirmation");
    stack.sign(&stack.token().claim("act", Value::Null)).await.assert_invalid("claim_type");
    stack.sign(&stack.token().claim("exp", Value::Null)).await.assert_invalid("expiry_missing");
}

#[tokio::test]
async fn an_informative_claim_of_a_wrong_type_is_absent_and_noted() {
    let (log, _guard) = listen();
    // AD FS writes the time as text.
    let caller = principal(
        |issuer| issuer,
        |token| token.claim("auth_time", "2026-11-25T12:00:00.000Z").claim("acr", json!(["mfa"])),
    )
    .await;
    assert_eq!((caller.auth_time(), caller.acr()), (None, None));
    let text = log.text();
    assert!(text.contains("auth_time: expected a number") && text.contains("acr: expected a string"), "{text}");
}

#[tokio::test]
async fn names_of_an_object_of_objects_are_roles() {
    let roles = json!({ "admin": { "1234": "acme.example" }, "auditor": {} });
    let caller = principal(
        |issuer| issuer.roles_claim("urn:zitadel:iam:org:project:roles"),
        |token| token.claim("urn:zitadel:iam:org:project:roles", roles),
    )
    .await;
    assert_eq!(caller.roles().collect::<Vec<_>>(), ["admin", "auditor"]);
}

#[tokio::test]
async fn an_item_of_a_list_is_one_scope_or_none() {
    let caller = principal(
        |issuer| issuer.scopes_claim("groups"),
        |token| token.without("scope").claim("groups", json!(["Not an admin", "reader"])),
    )
    .await;
    assert_eq!(caller.scopes().to_string(), "reader");
}

/// (61)
#[tokio::test]
async fn a_text_in_a_claim_with_another_name_is_one_scope_or_none() {
    for (groups, expected) in [("Not an admin", ""), ("reader", "reader"), (" admin", "")] {
        let set_up = |issuer: Issuer| issuer.scopes_claim("groups");
        let caller = principal(set_up, |token| token.without("scope").claim("groups", groups)).await;
        assert_eq!(caller.scopes().to_string(), expected, "{groups}");
    }
}

#[tokio::test]
async fn a_required_claim_may_have_any_type_and_place() {
    let set_up = |issuer: Issuer| {
        issuer
            .require_claim("email_verified", true)
            .require_claim("level", 2)
            .require_claim("/org/region", ExpectedClaim::one_of(["eu", "us"]))
            .require_claim("amr", ExpectedClaim::containing("mfa"))
            .require_claim("scp", ExpectedClaim::present())
    };
    let stack = Stack::with(set_up);
    let token = || {
        let token = stack.token().claim("email_verified", true).claim("level", 2).claim("scp", "a");
        token.claim("org", json!({ "region": "us" })).claim("amr", json!(["pwd", "mfa"]))
    };
    stack.sign(&token()).await.assert_subject("alice");
    for (name, bad) in [
        ("email_verified", json!("true")),
        ("email_verified", json!(1)),
        ("email_verified", json!(false)),
        ("email_verified", Value::Null),
        ("level", json!("2")),
        ("level", json!(2.5)),
        ("org", json!({ "region": "cn" })),
        ("org", json!({ "region": ["eu"] })),
        ("org", json!("eu")),
        ("amr", json!("mfa")),
        ("amr", json!(["pwd"])),
        ("amr", json!([["mfa"]])),
        ("scp", json!("")),
        ("scp", Value::Null),
    ] {
        stack.sign(&token().claim(name, bad)).await.assert_invalid("claim_required");
    }
    for name in ["email_verified", "level", "org", "amr", "scp"] {
        stack.sign(&token().without(name)).await.assert_invalid("claim_required");
    }
}

#[tokio::test]
async fn a_claim_may_be_checked_only_if_it_is_present() {
    let origins = || ExpectedClaim::one_of(["https://app.test", "https://admin.test"]);
    let stack = Stack::with(|issuer| issuer.check_claim_if_present("azp", origins()));
    stack.sign(&stack.token()).await.assert_subject("alice");
    stack.sign(&stack.token().claim("azp", "https://admin.test")).await.assert_subject("alice");
    for bad in [json!("https://evil.test"), json!(""), json!(["https://app.test"]), json!(7)] {
        stack.sign(&stack.token().claim("azp", bad)).await.assert_invalid("claim_required");
    }
}

#[tokio::test]
async fn a_claim_in_a_list_or_below_another_claim_is_checked_if_it_is_present() {
    let stack = Stack::with(|issuer| {
        issuer.check_claim_if_present("/azps/0", "https://app.test").check_claim_if_present("/org/id", "7")
    });
    for (name, claim) in [
        ("azps", json!(["https://app.test", "https://evil.test"])),
        ("azps", json!([])),
        ("azps", json!({ "0": "https://app.test" })),
        ("azps", Value::Null),
        ("org", json!({ "id": "7" })),
        ("org", json!({ "id": null })),
        ("org", json!({})),
    ] {
        stack.sign(&stack.token().claim(name, claim)).await.assert_subject("alice");
    }
    for (name, claim) in [
        ("azps", json!(["https://evil.test"])),
        ("azps", json!("https://app.test")),
        ("azps", json!({ "0": "https://evil.test" })),
        ("org", json!({ "id": "8" })),
        ("org", json!("7")),
        ("org", json!(["7"])),
        ("org", json!(7)),
    ] {
        stack.sign(&stack.token().claim(name, claim)).await.assert_invalid("claim_required");
    }
}

#[tokio::test]
async fn a_configured_claim_below_one_of_another_type_refuses_the_token() {
    for set_up in [
        |issuer: Issuer| issuer.roles_claim("/org/roles"),
        |issuer: Issuer| issuer.subject_claims(["/org/roles", "sub"]),
        |issuer: Issuer| issuer.tenant_claim("/org/roles"),
        |issuer: Issuer| issuer.tier_claim("/org/roles"),
    ] {
        let stack = Stack::with(set_up);
        stack.sign(&stack.token().claim("org", "acme")).await.assert_invalid("claim_type");
    }
}

#[tokio::test]
async fn an_id_token_is_refused_by_each_sign_of_one() {
    let stack = Stack::new();
    let token = || stack.token().header("typ", "JWT");
    for (name, value) in [
        ("nonce", json!("n")),
        ("at_hash", json!("h")),
        ("c_hash", json!("h")),
        ("s_hash", json!("h")),
        ("azp", json!(AUDIENCE)),
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
        ("token_use", json!("id")),
    ] {
        stack.sign(&token().claim(name, value.clone())).await.assert_invalid("id_token");
        stack.sign(&token().without_header("typ").claim(name, value)).await.assert_invalid("id_token");
    }
    let alone = token().claim("aud", json!([AUDIENCE])).claim("azp", AUDIENCE);
    stack.sign(&alone).await.assert_invalid("id_token");
    // A token for the API and for its client is no ID token of the API.
    stack.sign(&token().claim("aud", json!([AUDIENCE, "web"])).claim("azp", "web")).await.assert_subject("alice");
    stack.sign(&token().claim("azp", "web")).await.assert_subject("alice");
    // A client that calls itself, where the issuer names the kind.
    stack.sign(&token().claim("azp", AUDIENCE).claim("typ", "Bearer")).await.assert_subject("alice");
}

#[tokio::test]
async fn a_claim_of_access_tokens_takes_the_place_of_the_signs_of_id_tokens() {
    let stack = Stack::with(|issuer| issuer.access_token_claim("typ", "Bearer"));
    let token = || stack.token().header("typ", "JWT").claim("nonce", "n").claim("azp", AUDIENCE);
    stack.sign(&token().claim("typ", "Bearer")).await.assert_subject("alice");
    stack.sign(&token().claim("typ", "ID")).await.assert_invalid("claim_required");
    stack.sign(&token()).await.assert_invalid("claim_required");
}

#[tokio::test]
async fn strict_is_strict_before_and_after_the_settings_about_id_tokens() {
    let orders: [fn(Issuer) -> Issuer; 4] = [
        |issuer| issuer.strict().access_token_claim("scope", ExpectedClaim::present()),
        |issuer| issuer.access_token_claim("scope", ExpectedClaim::present()).strict(),
        |issuer| issuer.strict().danger_accept_id_tokens(),
        |issuer| issuer.danger_accept_id_tokens().strict(),
    ];
    for set_up in orders {
        let stack = Stack::with(set_up);
        stack.sign(&stack.token()).await.assert_subject("alice");
        for typ in ["JWT", "JOSE"] {
            stack.sign(&stack.token().header("typ", typ)).await.assert_invalid("token_type");
        }
        stack.sign(&stack.token().without_header("typ")).await.assert_invalid("token_type");
        stack.sign(&stack.token().without("client_id")).await.assert_invalid("claim_required");
        stack.sign(&stack.token().without("jti")).await.assert_invalid("claim_required");
    }
}

#[tokio::test]
async fn strict_refuses_claims_that_are_empty() {
    let stack = Stack::with(Issuer::strict);
    for name in ["client_id", "jti", "sub"] {
        for empty in [json!(""), Value::Null, json!([])] {
            stack.sign(&stack.token().claim(name, empty)).await.assert_invalid("claim_required");
        }
    }
    let stack = Stack::with(Issuer::require_jti);
    stack.sign(&stack.token().claim("jti", "")).await.assert_invalid("token_id_missing");
}

#[tokio::test]
async fn a_token_all_of_whose_confirmations_are_ignored_is_not_bound() {
    let stack = Stack::with(|issuer| issuer.ignore_confirmation("kid").ignore_confirmation("xms_ksl"));
    let bound = |cnf: Value| stack.token().claim("cnf", cnf);
    stack.sign(&bound(json!({ "kid": "k", "xms_ksl": "sw" }))).await.assert_subject("alice");
    stack.sign(&bound(json!({ "kid": "k", "other": "x" }))).await.assert_invalid("confirmation");
    stack.sign(&bound(json!({}))).await.assert_invalid("confirmation");
    // What can be checked is never ignored.
    let stack = Stack::with(|issuer| issuer.ignore_confirmation("jkt").ignore_confirmation("x5t#S256"));
    let thumbprint = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
    stack.sign(&stack.token().claim("cnf", json!({ "jkt": thumbprint }))).await.assert_invalid("key_proof_missing");
    let certificate = json!({ "x5t#S256": thumbprint });
    stack.sign(&stack.token().claim("cnf", certificate)).await.assert_invalid("certificate_missing");
}

#[tokio::test]
async fn the_limit_of_a_token_can_be_raised_and_does_not_count_the_scheme() {
    let stack =
        Stack::of(|issuer| Jwt::builder(rules(issuer), issuer.clone()).max_token_bytes(32 * 1024).build().unwrap());
    stack.sign(&stack.token().claim("groups", "g".repeat(15_000))).await.assert_subject("alice");
    stack.sign(&stack.token().claim("groups", "g".repeat(25_000))).await.assert_malformed("credential_too_long");
    let stack = Stack::new();
    let short = stack.token().claim("x", "").sign().len();
    // Three characters of the token for two of the claim, four for three of base64: all lengths but one in four.
    let filler = (16 * 1024 - short) / 4 * 3;
    let token = stack.token().claim("x", "x".repeat(filler)).sign();
    assert!((16_380..=16_384).contains(&token.len()), "{}", token.len());
    stack.send(&token).await.assert_subject("alice");
    send(stack.app.clone(), request().header("authorization", format!("bEaReR    {token}")))
        .await
        .assert_subject("alice");
    send(stack.app, bearer(&"x".repeat(16 * 1024 + 1))).await.assert_malformed("credential_too_long");
}

#[tokio::test]
async fn the_log_line_of_a_refusal_shows_what_was_expected_and_received() {
    for (claim, value, expected) in [
        ("aud", json!("https://other.test"), r#"aud: expected "https://api.test", received "https://other.test""#),
        ("aud", json!(["a", "b"]), r#"aud: expected "https://api.test", received ["a", "b"]"#),
        (
            "iss",
            json!("https://issuer.test/"),
            r#"iss: expected "https://issuer.test", received "https://issuer.test/""#,
        ),
        ("exp", json!("soon"), r#"exp: expected a number of seconds since 1970, received "soon""#),
        ("exp", json!(7), "exp: 7, with the local clock at 1800000000"),
        ("sub", json!(7), "Issuer::accept_numeric_ids"),
        ("aud", json!("a\nb\u{202e}"), r#"received "a\nb\u{202e}""#),
        ("aud", json!("x".repeat(1_000)), "xxx…\""),
        ("aud", json!(r#"a" reason="b\"#), r#"received "a\" reason=\"b\\""#),
        ("aud", json!([r#"a" x="b"#]), r#"received ["a\" x=\"b"]"#),
        ("iss", json!(r#"a" x="b"#), r#"received "a\" x=\"b""#),
        ("cnf", json!({ r#"a" x="b"#: "y" }), r#"the members "a\" x=\"b""#),
    ] {
        let (log, _guard) = listen();
        let stack = Stack::new();
        assert_eq!(stack.sign(&stack.token().claim(claim, value)).await.status, 401);
        let text = log.text();
        let line = text.lines().find(|line| line.contains("request refused")).unwrap();
        assert!(line.contains(expected), "{claim}: {line}");
        assert!(line.len() < 800 && !line.contains(&"x".repeat(200)), "{line}");
    }
}

#[tokio::test]
async fn a_refusal_that_the_configuration_probably_causes_is_a_warning_once_an_hour() {
    for (name, value, setting) in [
        ("exp", json!(START.as_secs() + 31_536_000), "Issuer::max_lifetime"),
        ("aud", json!("https://other.test"), "Issuer::accept_audience"),
        ("iss", json!("https://issuer.test/"), "Issuer::new"),
        ("iss", json!("http://issuer.test"), "Issuer::new"),
        ("sub", Value::Null, "Issuer::client_as_subject"),
    ] {
        let (log, _guard) = listen();
        let stack = Stack::new();
        let warnings = || log.text().lines().filter(|line| line.contains("WARN")).count();
        let token = |stack: &Stack| match (name, &value) {
            ("exp", _) => stack.token().expires_in(seconds(31_536_000)),
            _ => stack.token().claim(name, value.clone()),
        };
        for _ in 0..3 {
            assert_eq!(stack.sign(&token(&stack)).await.status, 401);
        }
        assert_eq!(warnings(), 1, "{}", log.text());
        let text = log.text();
        let line = text.lines().find(|line| line.contains("WARN")).unwrap();
        assert!(line.contains(setting) && line.contains("https://issuer.test"), "{line}");
        stack.clock.advance(seconds(3_600));
        assert_eq!(stack.sign(&token(&stack)).await.status, 401);
        assert_eq!(warnings(), 2, "{}", log.text());
    }
}

#[tokio::test]
async fn an_unrelated_issuer_is_no_warning() {
    let (log, _guard) = listen();
    let stack = Stack::new();
    for name in ["https://evil.test", "x", "https://issuer.test.evil.test"] {
        stack.sign(&stack.token().claim("iss", name)).await.assert_invalid("issuer_unknown");
    }
    assert!(!log.text().contains("WARN"), "{}", log.text());
}

#[tokio::test]
async fn an_algorithm_that_is_not_allowed_is_a_warning() {
    let (log, _guard) = listen();
    let stack = Stack::new();
    for _ in 0..2 {
        stack.sign(&stack.token().header("alg", "ES384")).await.assert_invalid("algorithm_not_allowed");
    }
    let text = log.text();
    assert_eq!(text.lines().filter(|line| line.contains("WARN")).count(), 1, "{text}");
    assert!(text.contains("Issuer::algorithms") && text.contains("received ES384"), "{text}");
}

#[tokio::test]
async fn the_log_line_of_claims_that_do_not_fit_has_the_message_of_serde() {
    use axum::{Router, body::Body, routing::get};
    use tower::ServiceExt;
    use tower_warden::{Environment, jwt::Claims, layer::AuthLayer};

    let (log, _guard) = listen();
    let stack = Stack::new();
    let environment = Environment::default().with_clock(stack.clock.clone());
    let layer = AuthLayer::new(Jwt::new(rules(&stack.issuer), stack.issuer.clone())).environment(&environment);
    let app = Router::new().route("/", get(async |_: Claims<Vec<String>>| "welcome")).layer(layer);
    let token = stack.token().sign();
    let response = app.oneshot(bearer(&token).body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 403);
    let text = log.text();
    assert!(text.contains("claims_mismatch") && text.contains("expected a sequence"), "{text}");
}

#[tokio::test]
async fn the_principal_names_the_audience_that_was_accepted() {
    let several = json!(["https://other.test", AUDIENCE]);
    let caller = principal(|issuer| issuer, |token| token.claim("aud", several)).await;
    assert_eq!(caller.audience(), Some(AUDIENCE));
    let caller = principal(Issuer::danger_any_audience, |token| token.without("aud")).await;
    assert_eq!(caller.audience(), None);
}
