use axum::{Router, body::Body, http::Request, routing::get};
use tower::ServiceExt;
use tower_warden::{
    Environment, Principal, Rejection,
    api_key::NewKey,
    audit::{AuditChannel, AuditLog, EventFormat, FlatJson},
    axum::Scoped,
    layer::{AuditLayer, AuthLayer, AuthorizeLayer},
    scope::{All, Any, Scope, ScopeHierarchy, Scopes, scopes},
};

use crate::support::{Answer, Stack};

scopes! {
    /// Read.
    Read = "read";
    /// Write.
    Write = "write";
}

fn routes() -> Router {
    let name = |caller: Option<Principal>| caller.as_ref().map_or("nobody", Principal::subject).to_owned();
    Router::new()
        .route("/any", get(async |caller: Principal| caller.subject().to_owned()))
        .route("/maybe", get(async move |caller: Option<Principal>| name(caller)))
        .route("/read", get(async |caller: Scoped<Read>| caller.subject().to_owned()))
        .route("/both", get(async |caller: Scoped<All<(Read, Write)>>| caller.into_principal().subject().to_owned()))
        .route("/one", get(async |caller: Scoped<Any<(Read, Write)>>| caller.subject().to_owned()))
        .route(
            "/own",
            get(async |caller: Result<Scoped<Read>, Rejection>| match caller {
                Ok(caller) => caller.subject().to_owned(),
                Err(refused) => format!("refused: {}", refused.code()),
            }),
        )
}

async fn get_with(app: &Router, path: &str, key: Option<&str>) -> Answer {
    let mut request = Request::get(path);
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    Answer::read(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
}

async fn holder(stack: &Stack, scopes: &str) -> String {
    let (_, key) = stack.mint(NewKey::new("alice").scopes(Scopes::parse(scopes).unwrap())).await;
    key.expose().to_owned()
}

fn auth(stack: &Stack) -> AuthLayer {
    AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()))
}

#[tokio::test]
async fn extractors_take_callers_whose_scopes_meet_them() {
    let stack = Stack::new();
    let app = routes().layer(auth(&stack));
    let (none, read, both) =
        (holder(&stack, "").await, holder(&stack, "read").await, holder(&stack, "read write").await);
    let expected = [
        ("/any", [200, 200, 200]),
        ("/maybe", [200, 200, 200]),
        ("/read", [403, 200, 200]),
        ("/both", [403, 403, 200]),
        ("/one", [403, 200, 200]),
        ("/own", [200, 200, 200]),
    ];
    for (path, statuses) in expected {
        for (key, status) in [&none, &read, &both].into_iter().zip(statuses) {
            let answer = get_with(&app, path, Some(key)).await;
            assert_eq!(answer.status, status, "{path}: {answer:?}");
        }
    }
    assert_eq!(get_with(&app, "/own", Some(&none)).await.body, "refused: insufficient_scope");
}

#[tokio::test]
async fn the_audit_event_has_the_scopes_that_extractors_have_required() {
    let stack = Stack::new();
    let (sink, mut events) = AuditChannel::new(10);
    let outer = AuthorizeLayer::all_of([Read::SCOPE]);
    let routes = routes()
        .route("/two", get(async |caller: Scoped<Read>, _: Scoped<Write>| caller.subject().to_owned()))
        .route("/inner", get(async |caller: Scoped<Write>| caller.subject().to_owned()).layer(outer));
    let app = routes.layer(auth(&stack)).layer(AuditLayer::new(AuditLog::new(sink)));
    let (read, both) = (holder(&stack, "read").await, holder(&stack, "read write").await);
    for (path, key, status, required) in [
        ("/any", &both, 200, None),
        ("/read", &both, 200, Some("read")),
        ("/both", &both, 200, Some("read write")),
        ("/one", &both, 200, Some("read write")),
        ("/two", &both, 200, Some("read write")),
        ("/inner", &both, 200, Some("read write")),
        ("/own", &both, 200, Some("read")),
        ("/two", &read, 403, Some("write")),
        ("/inner", &read, 403, Some("read write")),
    ] {
        assert_eq!(get_with(&app, path, Some(key)).await.status, status, "{path}");
        let event = events.try_recv().unwrap();
        let mut line = Vec::new();
        FlatJson::default().write(&event, &mut line);
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let scopes = required.map(|required| required.split(' ').collect::<Vec<_>>());
        assert_eq!(line["scopes_required"], serde_json::json!(scopes), "{path}");
    }
}

#[tokio::test]
async fn a_refusal_by_an_extractor_names_all_scopes_and_the_realm() {
    let stack = Stack::new();
    let app = routes().layer(auth(&stack).challenge(tower_warden::Challenge::new("billing").unwrap()));
    let read = holder(&stack, "read").await;
    let refused = get_with(&app, "/both", Some(&read)).await;
    assert_eq!(refused.reason, Some("insufficient_scope"));
    assert_eq!(
        refused.header("www-authenticate"),
        Some(
            "Bearer realm=\"billing\", scope=\"read write\", error=\"insufficient_scope\", \
             error_description=\"The credential lacks a scope that the operation needs.\""
        )
    );
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_refusal_by_an_extractor_has_the_body_that_the_layer_was_told() {
    use axum::{
        http::{HeaderValue, header},
        response::Response,
    };

    /// A layer of somebody else's, between ours and the handler.
    async fn mark(mut response: Response) -> Response {
        response.headers_mut().insert("x-marked", HeaderValue::from_static("between"));
        response
    }

    let stack = Stack::new();
    let own = |refused: &Rejection| {
        let response = Response::builder().header(header::CONTENT_TYPE, "text/plain").header("x-own", refused.code());
        response.body(Body::from(format!("no: {}", refused.code()))).unwrap()
    };
    let policy = AuthorizeLayer::when(|_, _| true);
    let app = routes().layer(policy).layer(axum::middleware::map_response(mark)).layer(auth(&stack).respond_with(own));
    let none = holder(&stack, "").await;
    let refused = get_with(&app, "/read", Some(&none)).await;
    assert_eq!((refused.status.as_u16(), &*refused.body), (403, "no: insufficient_scope"));
    assert_eq!(refused.header("content-type"), Some("text/plain"));
    assert_eq!(refused.header("x-own"), Some("insufficient_scope"));
    assert_eq!(refused.header("x-marked"), Some("between"), "what others added stays");
    assert!(refused.header("www-authenticate").unwrap().contains("scope=\"read\""));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    // What a handler makes of a refusal by itself stays as it is, and so does what is no refusal.
    assert_eq!(get_with(&app, "/own", Some(&none)).await.body, "refused: insufficient_scope");
    assert_eq!(get_with(&app, "/any", Some(&none)).await.body, "alice");
}

#[tokio::test]
async fn what_somebody_in_between_made_of_a_refusal_stays_as_it_is() {
    use axum::{
        http::{HeaderValue, StatusCode, header},
        middleware::map_response,
        response::Response,
    };

    async fn hide(mut response: Response) -> Response {
        *response.status_mut() = StatusCode::NOT_FOUND;
        *response.body_mut() = Body::from("nothing here");
        response
    }

    async fn encode(mut response: Response) -> Response {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("rot13"));
        *response.body_mut() = Body::from("rapbqrq");
        response
    }

    let stack = Stack::new();
    let none = holder(&stack, "").await;
    let hidden = routes().layer(map_response(hide)).layer(auth(&stack));
    let hidden = get_with(&hidden, "/read", Some(&none)).await;
    assert_eq!((hidden.status.as_u16(), &*hidden.body), (404, "nothing here"));
    let encoded = routes().layer(map_response(encode)).layer(auth(&stack));
    let encoded = get_with(&encoded, "/read", Some(&none)).await;
    assert_eq!((encoded.status.as_u16(), &*encoded.body), (403, "rapbqrq"));
}

#[tokio::test]
async fn implied_scopes_count_in_extractors() {
    let stack = Stack::new();
    let rules = [(Scope::from_static("admin"), Scopes::parse("read write").unwrap())];
    let app = routes().layer(auth(&stack).scope_hierarchy(ScopeHierarchy::new(rules).unwrap()));
    let admin = holder(&stack, "admin").await;
    for path in ["/read", "/both", "/one"] {
        assert_eq!(get_with(&app, path, Some(&admin)).await.status, 200);
    }
}

#[tokio::test]
async fn nobody_passes_an_optional_layer_and_only_where_a_handler_says_so() {
    let stack = Stack::new();
    let app = routes().layer(auth(&stack).optional());
    assert_eq!(get_with(&app, "/maybe", None).await.body, "nobody");
    for path in ["/any", "/read", "/both", "/one"] {
        get_with(&app, path, None).await.assert_missing("credential_missing");
    }
    get_with(&app, "/maybe", Some("sk_agent_bad")).await.assert_invalid("key_length");
}

#[tokio::test]
async fn a_tuple_of_scopes_requires_all_of_them() {
    let stack = Stack::new();
    let app = Router::new()
        .route("/", get(async |caller: Scoped<(Read, Write)>| caller.subject().to_owned()))
        .layer(auth(&stack));
    assert_eq!(get_with(&app, "/", Some(&holder(&stack, "read").await)).await.status, 403);
    assert_eq!(get_with(&app, "/", Some(&holder(&stack, "write").await)).await.status, 403);
    assert_eq!(get_with(&app, "/", Some(&holder(&stack, "read write").await)).await.status, 200);
}

#[tokio::test]
async fn an_optional_scope_is_none_for_nobody_and_403_for_a_caller_without_it() {
    let stack = Stack::new();
    let name = async |caller: Option<Scoped<Read>>| {
        caller.map_or_else(|| "nobody".to_owned(), |caller| caller.subject().to_owned())
    };
    let app = Router::new().route("/", get(name)).layer(auth(&stack).optional());
    assert_eq!(get_with(&app, "/", None).await.body, "nobody");
    assert_eq!(get_with(&app, "/", Some(&holder(&stack, "read").await)).await.body, "alice");
    assert_eq!(get_with(&app, "/", Some(&holder(&stack, "").await)).await.status, 403);
    get_with(&app, "/", Some("sk_agent_bad")).await.assert_invalid("key_length");
}

#[tokio::test]
async fn a_layer_in_the_wrong_order_is_500_and_the_log_says_in_which_order_they_belong() {
    let stack = Stack::new();
    let key = holder(&stack, "read").await;
    let (log, _guard) = crate::secrets::listen();
    // In axum, the last layer is the outermost one.
    let app =
        Router::new().route("/", get(async || "hello")).layer(auth(&stack)).layer(AuthorizeLayer::scoped::<Read>());
    let refused = get_with(&app, "/", Some(&key)).await;
    assert_eq!((refused.status.as_u16(), refused.reason), (500, Some("auth_layer_missing")));
    let text = log.text();
    assert!(text.contains("AuthLayer is missing around this layer or route, or inside of it"), "{text}");
    assert!(text.contains("the outermost layer of an axum router is the one of its last `.layer` call"), "{text}");
}

#[tokio::test]
async fn a_forgotten_layer_is_500_and_never_lets_anybody_in() {
    // Added after the layer, so outside of it.
    let stack = Stack::new();
    let key = holder(&stack, "read write").await;
    let app = Router::new().layer(auth(&stack)).merge(routes());
    for path in ["/any", "/maybe", "/read", "/both", "/one"] {
        for key in [None, Some(&*key)] {
            let refused = get_with(&app, path, key).await;
            assert_eq!((refused.status.as_u16(), refused.reason), (500, Some("auth_layer_missing")));
            assert_eq!(refused.header("www-authenticate"), None);
            assert_eq!(refused.json()["code"], "server_error");
        }
    }
}
