use axum::{Router, body::Body, http::Request, routing::get};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    Challenge, Environment, Eventual, Head, Policy, Principal, Reason, Rejection, RejectionKind,
    api_key::NewKey,
    layer::{AuthLayer, AuthorizeLayer},
    scope::{All, Any, Requirement, Scope, ScopeHierarchy, Scopes, scopes},
};

use crate::support::{Answer, Stack, answer, bearer, request, send, unknown_key};

scopes! {
    /// Read.
    BillingRead = "billing:read";
    /// Write.
    BillingWrite = "billing:write";
}

async fn holder(stack: &Stack, scopes: &str) -> String {
    let (_, key) = stack.mint(NewKey::new("alice").tenant("acme").scopes(Scopes::parse(scopes).unwrap())).await;
    key.expose().to_owned()
}

async fn ask(stack: &Stack, policy: AuthorizeLayer, scopes: &str) -> Answer {
    let key = holder(stack, scopes).await;
    let auth = AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
    send(ServiceBuilder::new().layer(auth).layer(policy).service_fn(answer), bearer(&key)).await
}

#[tokio::test]
async fn a_missing_scope_is_403_and_names_all_that_are_needed() {
    // R3, (63)
    let stack = Stack::new();
    let needed = || AuthorizeLayer::all_of([BillingWrite::SCOPE, BillingRead::SCOPE]);
    for held in ["", "billing:read", "billing:write", "billing:*", "Billing:Read"] {
        let refused = ask(&stack, needed(), held).await;
        assert_eq!((refused.status.as_u16(), refused.reason), (403, Some("insufficient_scope")));
        assert_eq!(
            refused.header("www-authenticate"),
            Some(
                "Bearer realm=\"api\", scope=\"billing:read billing:write\", error=\"insufficient_scope\", \
                 error_description=\"The credential lacks a scope that the operation needs.\""
            )
        );
        assert_eq!(refused.json()["code"], "insufficient_scope");
        assert_eq!(refused.header("cache-control"), Some("no-store"));
    }
    assert_eq!(ask(&stack, needed(), "billing:read billing:write x").await.status, 200);
}

#[tokio::test]
async fn one_of_several_scopes_is_enough_where_any_is_asked() {
    let stack = Stack::new();
    let needed = || AuthorizeLayer::any_of([BillingWrite::SCOPE, BillingRead::SCOPE]);
    assert_eq!(ask(&stack, needed(), "billing:write").await.status, 200);
    let refused = ask(&stack, needed(), "other").await;
    assert_eq!(refused.status, 403);
    assert!(refused.header("www-authenticate").unwrap().contains("scope=\"billing:read billing:write\""));
    for nothing in [AuthorizeLayer::any_of([]), AuthorizeLayer::all_of([])] {
        let refused = ask(&stack, nothing, "other").await;
        assert_eq!((refused.status.as_u16(), refused.header("www-authenticate")), (403, None));
    }
}

#[tokio::test]
async fn typed_scopes_serve_as_policies() {
    let stack = Stack::new();
    let all = AuthorizeLayer::scoped::<All<(BillingRead, BillingWrite)>>;
    assert_eq!(ask(&stack, all(), "billing:read").await.status, 403);
    assert_eq!(ask(&stack, all(), "billing:read billing:write").await.status, 200);
    assert_eq!(
        ask(&stack, AuthorizeLayer::scoped::<Any<(BillingRead, BillingWrite)>>(), "billing:read").await.status,
        200
    );
}

#[tokio::test]
async fn a_closure_decides_over_principal_and_head() {
    let stack = Stack::new();
    let own_tenant = || AuthorizeLayer::when(|caller, head| head.uri.path() == "/" && caller.tenant() == Some("acme"));
    assert_eq!(ask(&stack, own_tenant(), "").await.status, 200);
    let refused = ask(&stack, AuthorizeLayer::when(|_, _| false), "").await;
    assert_eq!((refused.status.as_u16(), refused.reason), (403, Some("policy")));
    assert_eq!(refused.header("www-authenticate"), None, "no other credential is asked for");
    assert_eq!(refused.json()["code"], "access_denied");
}

#[tokio::test]
async fn a_closure_refuses_with_the_scopes_that_would_help() {
    let stack = Stack::new();
    let policy = AuthorizeLayer::when(|caller, _| {
        if caller.meets::<BillingRead>() { Ok(()) } else { Err(Rejection::insufficient_scope(BillingRead::scopes())) }
    });
    assert_eq!(ask(&stack, policy.clone(), "billing:read").await.status, 200);
    let refused = ask(&stack, policy, "").await;
    assert_eq!((refused.status.as_u16(), refused.reason), (403, Some("insufficient_scope")));
    assert!(refused.header("www-authenticate").unwrap().contains("scope=\"billing:read\""));
}

#[tokio::test]
async fn a_closure_refuses_with_a_code_of_its_own() {
    let stack = Stack::new();
    let policy = AuthorizeLayer::when(|_, _| {
        let refused = Rejection::new(RejectionKind::Forbidden, Reason::custom("trial_ended"));
        Err(refused.with_code("trial_ended", "The trial period of the account is over."))
    });
    let refused = ask(&stack, policy, "").await;
    assert_eq!((refused.reason, &refused.json()["code"]), (Some("trial_ended"), &"trial_ended".into()));
}

const REGION: Scope = Scope::from_static("eu");

#[tokio::test]
async fn layers_that_are_combined_name_all_scopes_in_one_challenge() {
    let stack = Stack::new();
    let policy = || {
        AuthorizeLayer::scoped::<BillingRead>()
            .and(AuthorizeLayer::all_of([REGION]))
            .and(AuthorizeLayer::when(|caller, _| caller.tenant() == Some("acme")))
            .and(AuthorizeLayer::all_of([BillingWrite::SCOPE]))
    };
    for held in ["", "eu", "billing:read", "billing:write", "billing:read eu"] {
        let refused = ask(&stack, policy(), held).await;
        assert_eq!((refused.status.as_u16(), refused.reason), (403, Some("insufficient_scope")), "{held}");
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(challenge.contains("scope=\"billing:read billing:write eu\""), "{held}: {challenge}");
    }
    assert_eq!(ask(&stack, policy(), "billing:read billing:write eu").await.status, 200);
}

#[tokio::test]
async fn of_alternatives_that_are_met_a_refusal_names_the_one_that_is_held() {
    let stack = Stack::new();
    let policy =
        AuthorizeLayer::any_of([REGION, Scope::from_static("us")]).and(AuthorizeLayer::scoped::<BillingRead>());
    let refused = ask(&stack, policy, "eu").await;
    assert!(refused.header("www-authenticate").unwrap().contains("scope=\"billing:read eu\""), "{refused:?}");
}

#[tokio::test]
async fn an_inner_layer_names_the_scopes_of_the_outer_one_too() {
    // Without, a client that obtains exactly the scopes of a challenge alternates between the two for ever.
    let stack = Stack::new();
    let auth = AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
    let service = ServiceBuilder::new()
        .layer(auth)
        .layer(AuthorizeLayer::scoped::<BillingRead>())
        .layer(AuthorizeLayer::scoped::<BillingWrite>())
        .layer(AuthorizeLayer::all_of([REGION]))
        .service_fn(answer);
    let mut held = String::new();
    let mut rounds = 0;
    loop {
        let answer = send(service.clone(), bearer(&holder(&stack, &held).await)).await;
        if answer.status == 200 {
            break;
        }
        rounds += 1;
        let challenge = answer.header("www-authenticate").unwrap();
        held = challenge.split("scope=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        assert!(rounds <= 3, "{challenge}");
    }
    assert_eq!(held, "billing:read billing:write eu");
}

#[tokio::test]
async fn an_extractor_names_the_scopes_of_the_layers_around_it_too() {
    let stack = Stack::new();
    let key = holder(&stack, "billing:read").await;
    let app: Router = Router::new()
        .route("/", get(async |_: tower_warden::axum::Scoped<BillingWrite>| "hello"))
        .route_layer(AuthorizeLayer::scoped::<BillingRead>())
        .layer(AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone())));
    let request = Request::get("/").header("x-api-key", key).body(Body::empty()).unwrap();
    let refused = app.oneshot(request).await.unwrap();
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("scope=\"billing:read billing:write\""), "{challenge}");
}

#[tokio::test]
async fn a_slow_policy_of_several_is_awaited_and_the_others_are_still_checked() {
    struct Slow;

    impl Policy for Slow {
        fn decide(&self, _: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
            Eventual::later(async {
                tokio::task::yield_now().await;
                Ok(())
            })
        }
    }

    let stack = Stack::new();
    let policy = || AuthorizeLayer::new(Slow).and(AuthorizeLayer::scoped::<BillingRead>());
    assert_eq!(ask(&stack, policy(), "billing:read").await.status, 200);
    assert_eq!(ask(&stack, policy(), "").await.status, 403);
}

#[tokio::test]
async fn the_refusal_names_the_realm_of_the_layer_that_let_the_caller_in() {
    let stack = Stack::new();
    let key = holder(&stack, "").await;
    let auth = AuthLayer::new(stack.keys.clone()).challenge(Challenge::new("billing").unwrap());
    let service =
        ServiceBuilder::new().layer(auth).layer(AuthorizeLayer::all_of([BillingRead::SCOPE])).service_fn(answer);
    let refused = send(service, bearer(&key)).await;
    assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer realm=\"billing\", "));
}

#[tokio::test]
async fn implied_scopes_count_in_layers() {
    let stack = Stack::new();
    let key = holder(&stack, "billing:admin").await;
    let rules = [(Scope::from_static("billing:admin"), Scopes::parse("billing:read billing:write").unwrap())];
    let auth = AuthLayer::new(stack.keys.clone()).scope_hierarchy(ScopeHierarchy::new(rules).unwrap());
    for policy in [
        AuthorizeLayer::all_of([BillingRead::SCOPE, BillingWrite::SCOPE]),
        AuthorizeLayer::any_of([BillingRead::SCOPE]),
        AuthorizeLayer::scoped::<BillingWrite>(),
    ] {
        let service = ServiceBuilder::new().layer(auth.clone()).layer(policy).service_fn(answer);
        assert_eq!(send(service, bearer(&key)).await.status, 200);
    }
}

#[tokio::test]
async fn without_an_auth_layer_every_request_is_500() {
    let service = AuthorizeLayer::when(|_, _| true).layer(service_fn(answer));
    for request in [request(), bearer("token")] {
        let refused = send(service.clone(), request).await;
        assert_eq!((refused.status.as_u16(), refused.reason), (500, Some("auth_layer_missing")));
        assert_eq!(refused.header("www-authenticate"), None);
    }
}

#[tokio::test]
async fn nobody_is_asked_for_a_credential_behind_an_optional_layer() {
    let stack = Stack::new();
    let service = ServiceBuilder::new()
        .layer(AuthLayer::new(stack.keys.clone()).optional().challenge(Challenge::new("billing").unwrap()))
        .layer(AuthorizeLayer::when(|_, _| true))
        .service_fn(answer);
    let refused = send(service, request()).await;
    assert_eq!((refused.status.as_u16(), refused.reason), (401, Some("credential_missing")));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"billing\""));
}

#[tokio::test]
async fn a_bad_key_without_scope_is_401_and_not_403() {
    // (57)
    let stack = Stack::new();
    let auth = AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
    let service =
        ServiceBuilder::new().layer(auth).layer(AuthorizeLayer::all_of([BillingRead::SCOPE])).service_fn(answer);
    send(service.clone(), bearer(unknown_key().expose())).await.assert_invalid("key_unknown");
    let (_, key) = stack.mint(NewKey::new("bob").expires_in(crate::support::seconds(1))).await;
    stack.clock.advance(crate::support::seconds(1));
    send(service, bearer(key.expose())).await.assert_invalid("expired");
}

#[tokio::test]
async fn route_by_route_in_axum() {
    let stack = Stack::new();
    let (reader, nobody) = (holder(&stack, "billing:read").await, holder(&stack, "").await);
    let app: Router = Router::new()
        .route("/balance", get(async || "12"))
        .route_layer(AuthorizeLayer::scoped::<BillingRead>())
        .route("/open-to-all-callers", get(async || "hello"))
        .layer(AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone())));
    let status = async |path: &str, key: &str| {
        let request = Request::get(path).header("x-api-key", key).body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(status("/balance", &reader).await, 200);
    assert_eq!(status("/balance", &nobody).await, 403);
    assert_eq!(status("/open-to-all-callers", &nobody).await, 200);
}
