use axum::{Router, body::Body, http::Request};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_warden::{
    Digest, Environment,
    api_key::NewKey,
    api_key::key_routes,
    certificate::{ChainStatus, PeerCertificate},
    layer::AuthLayer,
    scope::Scopes,
};

use crate::support::{Answer, Mode, Stack, unknown_key};

struct Api {
    stack: Stack,
    app: Router,
    admin: String,
}

impl Api {
    async fn new() -> Self {
        let stack = Stack::new();
        let auth =
            AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
        let app = Router::new().nest("/v1/keys", key_routes(stack.keys.clone())).layer(auth);
        let admin = NewKey::new("root").scopes(Scopes::parse("keys:admin").unwrap());
        let admin = stack.mint(admin).await.1.expose().to_owned();
        Self { stack, app, admin }
    }

    async fn call(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/v1/keys{path}")).header("x-api-key", key);
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        Answer::read(self.app.clone().oneshot(request.body(body).unwrap()).await.unwrap()).await
    }

    async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call(&self.admin, method, path, body).await
    }

    async fn mint(&self, body: Value) -> Value {
        let answer = self.admin("POST", "", Some(body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.json()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn a_key_is_minted_listed_rotated_and_revoked() {
    let api = Api::new().await;
    let minted = api
        .mint(json!({
            "name": "nightly", "owner": "agent-7", "tenant": "acme", "scopes": ["billing:read"], "tier": "pro",
            "expires_in": 3600, "networks": ["10.0.0.0/8", "::1"], "metadata": {"team": "blue"}
        }))
        .await;
    let now = crate::support::START.as_secs();
    assert_eq!(
        (&minted["name"], &minted["owner"], &minted["tenant"]),
        (&"nightly".into(), &"agent-7".into(), &"acme".into())
    );
    assert_eq!(minted["scopes"], json!(["billing:read"]));
    assert_eq!(minted["networks"], json!(["10.0.0.0/8", "::1/128"]));
    assert_eq!((&minted["created_at"], &minted["expires_at"]), (&now.into(), &(now + 3600).into()));
    assert_eq!(minted["metadata"]["team"], "blue");

    let open = api.mint(json!({"name": "", "owner": "agent-8", "scopes": []})).await;
    api.stack.bearer(text(&open["secret"])).await.assert_subject("agent-8");

    let listed = api.admin("GET", "?tenant=acme", None).await;
    assert_eq!(listed.json()["keys"].as_array().unwrap().len(), 1);
    let listed = api.admin("GET", "", None).await;
    assert_eq!(listed.json()["keys"].as_array().unwrap().len(), 3);
    assert!(!listed.body.contains("secret") && !listed.body.contains("digest"), "{}", listed.body);

    let rotated = api.admin("POST", &format!("/{}/rotate", text(&open["id"])), Some(json!({"grace": 60}))).await;
    assert_eq!(rotated.status, 201);
    let rotated = rotated.json();
    assert_ne!(rotated["id"], open["id"]);
    api.stack.bearer(text(&rotated["secret"])).await.assert_subject("agent-8");
    api.stack.bearer(text(&open["secret"])).await.assert_subject("agent-8");
    let again = api.admin("POST", &format!("/{}/rotate", text(&open["id"])), Some(json!({"grace": 60}))).await;
    assert_eq!((again.status.as_u16(), &again.json()["code"]), (409, &"key_inactive".into()));

    for _ in 0..2 {
        let revoked = api.admin("DELETE", &format!("/{}", text(&rotated["id"])), None).await;
        assert_eq!((revoked.status.as_u16(), &*revoked.body), (204, ""));
    }
    api.stack.bearer(text(&rotated["secret"])).await.assert_invalid("key_revoked");
}

#[tokio::test]
async fn pages_follow_each_other() {
    let api = Api::new().await;
    for index in 0..4 {
        api.mint(json!({"name": format!("{index}"), "owner": "o", "scopes": []})).await;
        api.stack.clock.advance(crate::support::seconds(1));
    }
    let first = api.admin("GET", "?owner=o&limit=3", None).await.json();
    assert_eq!(first["keys"].as_array().unwrap().len(), 3);
    let second = api.admin("GET", &format!("?owner=o&limit=3&after={}", text(&first["next"])), None).await.json();
    assert_eq!(second["keys"][0]["name"], "3");
    assert_eq!(second["next"], Value::Null);
}

#[tokio::test]
async fn only_callers_with_the_scope_manage_keys() {
    let api = Api::new().await;
    let (_, agent) = api.stack.alice().await;
    let mint = json!({"name": "x", "owner": "x", "scopes": ["keys:admin"]});
    let calls: [(&str, &str, Option<Value>); 7] = [
        ("GET", "", None),
        ("POST", "", Some(mint)),
        ("POST", "/key_x/rotate", Some(json!({"grace": 1}))),
        ("DELETE", "/key_x", None),
        ("PATCH", "/key_x", Some(json!({"name": "x"}))),
        ("POST", "/key_x/purge", Some(json!({}))),
        ("DELETE", "?owner=alice", None),
    ];
    for (method, path, body) in calls {
        let refused = api.call(agent.expose(), method, path, body.clone()).await;
        assert_eq!(refused.status, 403, "{method} {path}");
        assert!(refused.header("www-authenticate").unwrap().contains("scope=\"keys:admin\""));
        api.call(unknown_key().expose(), method, path, body).await.assert_invalid("key_unknown");
    }
    assert_eq!(api.admin("GET", "", None).await.json()["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_caller_with_a_tenant_manages_that_tenants_keys_only() {
    let api = Api::new().await;
    let scopes = ["keys:admin", "billing:read"];
    let boss = api.mint(json!({"name": "boss", "owner": "boss", "tenant": "acme", "scopes": scopes})).await;
    let boss = text(&boss["secret"]);
    let other = api.mint(json!({"name": "x", "owner": "x", "tenant": "evil", "scopes": []})).await;

    let listed = api.call(boss, "GET", "", None).await.json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1, "its own");
    assert_eq!(api.call(boss, "GET", "?tenant=evil", None).await.status, 403);
    let path = format!("/{}", text(&other["id"]));
    assert_eq!(api.call(boss, "DELETE", &path, None).await.status, 404);
    assert_eq!(api.call(boss, "POST", &format!("{path}/rotate"), Some(json!({"grace": 1}))).await.status, 404);
    assert_eq!(api.call(boss, "PATCH", &path, Some(json!({"name": "mine"}))).await.status, 404);
    assert_eq!(api.call(boss, "POST", &format!("{path}/purge"), Some(json!({}))).await.status, 404);
    let foreign = json!({"name": "y", "owner": "y", "tenant": "evil", "scopes": []});
    assert_eq!(api.call(boss, "POST", "", Some(foreign)).await.status, 403);
    let own = api.call(boss, "POST", "", Some(json!({"name": "y", "owner": "y", "scopes": []}))).await;
    assert_eq!((own.status.as_u16(), &own.json()["tenant"]), (201, &"acme".into()));
    api.stack.bearer(text(&other["secret"])).await.assert_subject("x");

    // It grants the scopes that it holds, and rotates no key that holds more.
    for (scopes, status) in [(json!(["billing:read", "keys:admin"]), 201), (json!(["billing:write"]), 403)] {
        let body = json!({"name": "z", "owner": "z", "scopes": scopes});
        assert_eq!(api.call(boss, "POST", "", Some(body)).await.status, status);
    }
    let strong = api.mint(json!({"name": "p", "owner": "p", "tenant": "acme", "scopes": ["platform:root"]})).await;
    let path = format!("/{}/rotate", text(&strong["id"]));
    assert_eq!(api.call(boss, "POST", &path, Some(json!({"grace": 60}))).await.status, 403);
    assert_eq!(api.admin("POST", &path, Some(json!({}))).await.status, 201, "without grace");

    // A key that it mints has its tier, and expires no later than itself.
    let body = json!({"name": "f", "owner": "f", "tenant": "acme", "scopes": scopes, "tier": "free", "expires_in": 60});
    let short = api.mint(body).await;
    let body = json!({"name": "g", "owner": "g", "scopes": [], "tier": "unlimited"});
    assert_eq!(api.call(text(&short["secret"]), "POST", "", Some(body)).await.status, 403);
    let body = json!({"name": "g", "owner": "g", "scopes": [], "expires_in": 3600});
    let own = api.call(text(&short["secret"]), "POST", "", Some(body)).await.json();
    assert_eq!((&own["tier"], &own["expires_at"]), (&"free".into(), &short["expires_at"]));
    api.stack.bearer(text(&strong["secret"])).await.assert_invalid("expired");
}

#[tokio::test]
async fn an_invalid_request_is_a_problem_response() {
    let api = Api::new().await;
    let bad = [
        json!({"owner": "o", "scopes": []}),
        json!({"name": "n", "owner": "o", "scopes": "billing:read"}),
        json!({"name": "n", "owner": "o", "scopes": ["a\"b"]}),
        json!({"name": "n", "owner": "o", "scopes": ["a b"]}),
        json!({"name": "n", "owner": "o", "scopes": [], "expires_in": 0}),
        json!({"name": "n", "owner": "o", "scopes": [], "expires_in": -1}),
        json!({"name": "n", "owner": "o", "scopes": [], "networks": ["10.0.0.0/99"]}),
        json!({"name": "n", "owner": "o", "scopes": [], "admin": true}),
        json!({"name": "n", "owner": "", "scopes": []}),
        json!({"name": "n".repeat(257), "owner": "o", "scopes": []}),
        json!({"name": "n", "owner": "o", "scopes": [], "metadata": {"a": "b".repeat(4097)}}),
        json!({"name": "n", "owner": "o", "scopes": vec!["s".repeat(100); 1].into_iter().chain((0..500).map(|n| format!("scope-number-{n}"))).collect::<Vec<_>>()}),
        json!({"name": "n", "owner": "o", "scopes": [], "networks": vec!["10.0.0.0/8"; 101]}),
        json!([]),
    ];
    for body in bad {
        let answer = api.admin("POST", "", Some(body.clone())).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{body}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["code"], "invalid_request");
    }
    assert_eq!(api.admin("POST", "", None).await.status, 415);
    assert_eq!(api.admin("GET", "?limit=0", None).await.status, 400);
    assert_eq!(api.admin("GET", "?after=../x", None).await.status, 400);
    assert_eq!(api.admin("GET", "?colour=red", None).await.status, 400);
    assert_eq!(api.admin("PUT", "", None).await.status, 405);
}

#[tokio::test]
async fn a_refusal_of_the_key_routes_quotes_nothing_of_the_request() {
    let api = Api::new().await;
    let minted = api.mint(json!({"name": "n", "owner": "o", "scopes": []})).await;
    let path = format!("/{}", text(&minted["id"]));
    let quoted = "\"hunter2\"";
    let bodies = [
        json!({"name": "n", "owner": "o", "scopes": [], quoted: true}),
        json!({"name": "n", "owner": "o", "scopes": [quoted]}),
        json!({"name": "n", "owner": "o", "scopes": [], "networks": [quoted]}),
        json!({"name": "n", "owner": "o", "scopes": [], "metadata": {quoted: 1}}),
        json!(quoted),
    ];
    for body in bodies {
        for (method, path) in [("POST", ""), ("PATCH", path.as_str())] {
            let answer = api.admin(method, path, Some(body.clone())).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (422, &"invalid_request".into()), "{body}");
            assert!(!answer.body.contains("hunter2"), "{answer:?}");
        }
    }
    for (method, path) in
        [("GET", "?hunter2=1"), ("GET", "?limit=hunter2"), ("GET", "?after=hunter2!"), ("DELETE", "?hunter2")]
    {
        let answer = api.admin(method, path, None).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(!answer.body.contains("hunter2"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_unknown_key_is_404() {
    let api = Api::new().await;
    for id in ["key_0", "nothing", "a%20b", "%00", "%ff"] {
        let answer = api.admin("DELETE", &format!("/{id}"), None).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (404, &"key_not_found".into()), "{id}");
        let path = format!("/{id}/rotate");
        assert_eq!(api.admin("POST", &path, Some(json!({"grace": 0}))).await.status, 404);
    }
}

#[tokio::test]
async fn a_key_is_found_under_a_path_with_a_parameter_of_its_own() {
    let api = Api::new().await;
    let minted = api.mint(json!({"name": "n", "owner": "o", "scopes": []})).await;
    let environment = Environment::default().with_clock(api.stack.clock.clone());
    let app = Router::new()
        .nest("/tenants/{tenant}/keys", key_routes(api.stack.keys.clone()))
        .layer(AuthLayer::new(api.stack.keys.clone()).environment(&environment));
    let call = async |method: &str, path: &str, body: &'static str| {
        let uri = format!("/tenants/acme/keys/{}{path}", text(&minted["id"]));
        let request = Request::builder().method(method).uri(uri).header("x-api-key", &api.admin);
        let request = request.header("content-type", "application/json").body(Body::from(body)).unwrap();
        app.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(call("PATCH", "", "{}").await, 200);
    assert_eq!(call("POST", "/rotate", "{}").await, 201);
    assert_eq!(call("DELETE", "", "").await, 204);
    assert_eq!(call("POST", "/purge", "{}").await, 204);
}

#[tokio::test]
async fn a_store_that_is_down_is_503() {
    let api = Api::new().await;
    api.admin("GET", "", None).await; // The admin key is cached from here on.
    api.stack.store.set(Mode::Fail);
    let mint = json!({"name": "n", "owner": "o", "scopes": []});
    for (method, path, body) in [("GET", "", None), ("POST", "", Some(mint)), ("DELETE", "/key_x", None)] {
        let answer = api.admin(method, path, body).await;
        answer.assert_unavailable("key_store_unavailable");
    }
}

#[tokio::test]
async fn a_key_is_minted_for_one_certificate() {
    let api = Api::new().await;
    let thumbprint = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
    let body = |confirmation: Value| json!({ "name": "bound", "owner": "agent-7", "scopes": [], "confirmation": confirmation });
    let minted = api.mint(body(json!({ "x5t#S256": thumbprint }))).await;
    assert_eq!(minted["confirmation"], json!({ "x5t#S256": thumbprint }));
    let certificate = Digest::from_base64url(thumbprint).unwrap();
    let certificate = PeerCertificate::from_thumbprint(certificate, ChainStatus::Unverified);
    let stack = &api.stack;
    stack.bearer(text(&minted["secret"])).await.assert_invalid("certificate_missing");
    let request = crate::support::bearer(text(&minted["secret"])).extension(certificate);
    stack.send(request).await.assert_subject("agent-7");

    for bad in [json!({}), json!({ "x5t#S256": "short" }), json!({ "kid": thumbprint }), json!(thumbprint)] {
        let answer = api.admin("POST", "", Some(body(bad.clone()))).await;
        assert_eq!(answer.status, 422, "{bad}");
    }
}

#[tokio::test]
async fn a_key_is_changed_and_members_that_are_absent_stay() {
    let api = Api::new().await;
    let minted = api
        .mint(json!({"name": "old", "owner": "o", "scopes": ["a"], "tier": "free", "expires_in": 60, "metadata": {"a": "b"}}))
        .await;
    let path = format!("/{}", text(&minted["id"]));
    let patch = async |body: Value| {
        let answer = api.admin("PATCH", &path, Some(body)).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, Some("no-store")), "{answer:?}");
        assert!(!answer.body.contains("digest") && !answer.body.contains("secret"), "{answer:?}");
        answer.json()
    };
    let mut expected = minted.clone();
    expected.as_object_mut().unwrap().remove("secret");
    assert_eq!(patch(json!({})).await, expected);
    let changes = [
        json!({"name": "new"}),
        json!({"scopes": ["b", "c"]}),
        json!({"tier": "pro"}),
        json!({"tier": null}),
        json!({"expires_at": crate::support::START.as_secs() + 3_600}),
        json!({"expires_at": null}),
        json!({"networks": ["10.0.0.0/8"], "metadata": {}}),
        json!({"networks": []}),
    ];
    for change in changes {
        expected.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(patch(change).await, expected);
    }
    api.stack.clock.advance(crate::support::seconds(3_600));
    api.stack.bearer(text(&minted["secret"])).await.assert_subject("o");
}

#[tokio::test]
async fn a_change_that_is_invalid_or_of_another_field_is_refused() {
    let api = Api::new().await;
    let minted = api.mint(json!({"name": "n", "owner": "o", "scopes": []})).await;
    let path = format!("/{}", text(&minted["id"]));
    let bad = [
        json!({"owner": "other"}),
        json!({"tenant": "other"}),
        json!({"confirmation": null}),
        json!({"digest": "sha256:00"}),
        json!({"id": "other"}),
        json!({"revoked_at": null}),
        json!({"name": null}),
        json!({"scopes": null}),
        json!({"scopes": ["a b"]}),
        json!({"scopes": "a"}),
        json!({"networks": ["10.0.0.0/99"]}),
        json!({"networks": null}),
        json!({"expires_at": -1}),
        json!({"expires_at": "2030-01-01"}),
        json!({"name": "n".repeat(257)}),
        json!("name"),
    ];
    for body in bad {
        let answer = api.admin("PATCH", &path, Some(body.clone())).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{body}: {answer:?}");
        assert_eq!(answer.json()["code"], "invalid_request");
    }
    assert_eq!(api.admin("PATCH", "/unknown", Some(json!({}))).await.status, 404);
    api.admin("DELETE", &path, None).await;
    let answer = api.admin("PATCH", &path, Some(json!({"name": "x"}))).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (409, &"key_inactive".into()));
}

#[tokio::test]
async fn a_key_is_purged_once_it_is_inactive() {
    let api = Api::new().await;
    let minted = api.mint(json!({"name": "n", "owner": "o", "scopes": []})).await;
    let (path, purge) = (format!("/{}", text(&minted["id"])), format!("/{}/purge", text(&minted["id"])));
    let active = api.admin("POST", &purge, Some(json!({}))).await;
    assert_eq!((active.status.as_u16(), &active.json()["code"]), (409, &"key_active".into()));
    api.admin("DELETE", &path, None).await;
    assert_eq!(api.admin("POST", &purge, None).await.status, 415);
    let purged = api.admin("POST", &purge, Some(json!({}))).await;
    assert_eq!((purged.status.as_u16(), &*purged.body), (204, ""));
    assert_eq!(api.admin("POST", &purge, Some(json!({}))).await.status, 404);
    assert_eq!(api.admin("GET", "?owner=o", None).await.json()["keys"], json!([]));
    api.stack.bearer(text(&minted["secret"])).await.assert_invalid("key_unknown");
}

#[tokio::test]
async fn all_keys_of_an_owner_or_a_tenant_are_revoked_by_one_request() {
    let api = Api::new().await;
    let mint = async |owner: &str, tenant: &str| {
        let body = json!({"name": "n", "owner": owner, "tenant": tenant, "scopes": ["keys:admin"]});
        text(&api.mint(body).await["secret"]).to_owned()
    };
    let (alice, bob) = (mint("alice", "acme").await, mint("bob", "acme").await);
    let (other, boss) = (mint("alice", "globex").await, mint("boss", "acme").await);
    for query in ["", "?owner=alice&limit=1"] {
        assert_eq!(api.admin("DELETE", query, None).await.status, 400, "{query}");
        assert_eq!(api.call(&boss, "DELETE", query, None).await.status, 400, "{query}");
    }
    assert_eq!(api.call(&boss, "DELETE", "?tenant=globex", None).await.status, 403);
    // An owner is unique only within a tenant.
    let revoked = api.call(&boss, "DELETE", "?owner=alice", None).await;
    assert_eq!((revoked.status.as_u16(), revoked.json()), (200, json!({"revoked": 1})));
    api.stack.bearer(&alice).await.assert_invalid("key_revoked");
    api.stack.bearer(&other).await.assert_subject("alice");
    assert_eq!(api.admin("DELETE", "?tenant=acme", None).await.json(), json!({"revoked": 2}));
    for key in [&bob, &boss] {
        api.stack.bearer(key).await.assert_invalid("key_revoked");
    }
    api.stack.bearer(&other).await.assert_subject("alice");
}
