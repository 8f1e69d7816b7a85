//! The rights of callers of the key routes: nobody receives a key with more rights, or fewer restrictions, than its own.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, http::Request};
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt};
use tower_warden::{
    Digest, Environment, Eventual,
    api_key::{
        ApiKeys, KeyError, KeyFormat, KeyId, KeyRecord, KeyRoutes, KeySecret, KeyStore, KeyUpdate, MemoryKeyStore,
        NewKey, key_routes,
    },
    authorize::RoleMap,
    caller::Confirmation,
    certificate::{CertificateProof, ChainStatus, PeerCertificate},
    jwt::{Issuer, Jwt},
    layer::{AuthLayer, RoleLayer},
    request::Peer,
    testing::TestIssuer,
};

use crate::{
    forwarding::forward_to_inner,
    secrets::listen,
    support::{Answer, Mode, START, Stack, seconds},
};

const AUDIENCE: &str = "https://api.test";

/// Key routes behind a layer for keys and for tokens of two issuers, one of which has a rule for tenants.
struct Api {
    app: Router,
    issuer: TestIssuer,
    staff: TestIssuer,
    stack: Stack,
}

impl Api {
    fn new() -> Self {
        Self::with(|routes| routes)
    }

    fn with(set_up: impl FnOnce(KeyRoutes) -> KeyRoutes) -> Self {
        let stack = Stack::new();
        let environment = Environment::default().with_clock(stack.clock.clone());
        let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
        let staff = TestIssuer::new("https://staff.test").environment(&environment);
        let of = |issuer: &TestIssuer| Issuer::new(issuer.name(), AUDIENCE).unwrap();
        let with_tenants = of(&issuer).tenant_claim("tenant").tier_claim("tier");
        let jwt = Jwt::builder(with_tenants, issuer.clone()).issuer(of(&staff), staff.clone()).build().unwrap();
        let layer = AuthLayer::new((jwt, stack.keys.clone())).proof(CertificateProof);
        let routes = set_up(KeyRoutes::new(stack.keys.clone())).into_router();
        let app = Router::new().nest("/keys", routes).layer(layer.environment(&environment));
        Self { app, issuer, staff, stack }
    }

    async fn send(&self, request: http::request::Builder, body: impl Into<Body>) -> Answer {
        let request = request.extension(Peer::new(([10, 1, 2, 3], 4711).into())).body(body.into()).unwrap();
        Answer::read(self.app.clone().oneshot(request).await.unwrap()).await
    }

    /// Sends JSON with a key or a token.
    async fn call(&self, credential: &str, method: &str, path: &str, body: Value) -> Answer {
        self.send(request(credential, method, path), body.to_string()).await
    }

    async fn mint(&self, key: NewKey) -> (KeyRecord, KeySecret) {
        self.stack.mint(key).await
    }

    /// A token of an administrator of the tenant `acme`, of the tier `free`, that expires in five minutes.
    fn token(&self) -> String {
        let token = self.issuer.token("boss").audience(AUDIENCE).scope("keys:admin billing:read");
        let end = START.as_secs() + 300;
        token.claim("tenant", "acme").claim("tier", "free").claim("exp", end).sign()
    }
}

fn request(credential: &str, method: &str, path: &str) -> http::request::Builder {
    let request = Request::builder().method(method).uri(format!("/keys{path}"));
    request.header("authorization", format!("Bearer {credential}")).header(CONTENT_TYPE, "application/json")
}

fn key(owner: &str) -> NewKey {
    NewKey::new(owner).tenant("acme").tier("free").scopes("billing:read")
}

fn admin() -> NewKey {
    key("boss").scopes("keys:admin billing:read")
}

fn rotate(record: &KeyRecord) -> String {
    format!("/{}/rotate", record.id)
}

// (145)
#[tokio::test]
async fn a_rotated_key_expires_no_later_than_the_credential_that_rotated_it() {
    let api = Api::new();
    let (own, short) = api.mint(admin().expires_in(seconds(60))).await;
    for credential in [short.expose().to_owned(), api.token()] {
        let (unlimited, _) = api.mint(key("agent")).await;
        let (longer, _) = api.mint(key("agent").expires_in(seconds(86_400))).await;
        let (shorter, _) = api.mint(key("agent").expires_in(seconds(30))).await;
        let end = if credential == short.expose() { own.expires_at } else { Some(START + seconds(300)) };
        for (old, expected) in [(unlimited, end), (longer, end), (shorter, Some(START + seconds(30)))] {
            let rotated = api.call(&credential, "POST", &rotate(&old), json!({"grace": 3_600})).await;
            assert_eq!(rotated.status, 201, "{rotated:?}");
            let expected = expected.map(|end| end.as_secs());
            assert_eq!(rotated.json()["expires_at"].as_u64(), expected, "{:?}", old.expires_at);
        }
    }
}

// (145)
#[tokio::test]
async fn a_key_of_another_tier_or_with_more_scopes_is_not_rotated() {
    let api = Api::new();
    let (_, boss) = api.mint(admin()).await;
    let cases = [
        (key("agent").tier("pro"), "tier_not_held"),
        (NewKey::new("agent").tenant("acme").scopes("billing:read"), "tier_not_held"),
        (key("agent").scopes(["billing:read", "platform:root"]), "scope_not_held"),
    ];
    for (strong, reason) in cases {
        let (record, secret) = api.mint(strong).await;
        for credential in [boss.expose(), &api.token()] {
            let refused = api.call(credential, "POST", &rotate(&record), json!({})).await;
            refused.assert_reason(403, reason);
        }
        api.stack.bearer(secret.expose()).await.assert_subject("agent");
    }
}

/// (177)
#[tokio::test]
async fn an_administrator_by_role_mints_keys_with_the_scopes_of_its_credential_only() {
    let stack = Stack::new();
    let environment = Environment::default().with_clock(stack.clock.clone());
    let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
    let rules = Issuer::new(issuer.name(), AUDIENCE).unwrap().tenant_claim("tenant").roles_claim("roles");
    let roles = RoleMap::new([("boss", "keys:admin billing:read billing:write")]).unwrap();
    let layers = ServiceBuilder::new()
        .layer(AuthLayer::new(Jwt::new(rules, issuer.clone())).environment(&environment))
        .layer(RoleLayer::new(roles));
    let app = Router::new().nest("/keys", key_routes(stack.keys.clone())).layer(layers);
    let token = issuer.token("boss").audience(AUDIENCE).scope("billing:read").claim("tenant", "acme");
    let token = token.claim("roles", ["boss"]).sign();
    let mint = async |scopes: &[&str]| {
        let body = Body::from(json!({ "name": "", "owner": "agent", "scopes": scopes }).to_string());
        let request = request(&token, "POST", "").body(body).unwrap();
        Answer::read(app.clone().oneshot(request).await.unwrap()).await
    };
    assert_eq!(mint(&["billing:read"]).await.status, 201);
    for scopes in [&["billing:write"][..], &["keys:admin"], &["billing:read", "billing:write"]] {
        mint(scopes).await.assert_reason(403, "scope_not_held");
    }
}

#[tokio::test]
async fn an_operator_rotates_any_key_without_changing_its_rights() {
    let api = Api::new();
    let (_, root) = api.mint(NewKey::new("root").scopes("keys:admin").expires_in(seconds(60))).await;
    let (old, _) = api.mint(key("agent").tier("pro").scopes("platform:root")).await;
    let rotated = api.call(root.expose(), "POST", &rotate(&old), json!({})).await;
    assert_eq!(rotated.status, 201);
    let rotated = rotated.json();
    assert_eq!((&rotated["tier"], &rotated["expires_at"]), (&json!("pro"), &Value::Null));
    assert_eq!(rotated["scopes"], json!(["platform:root"]));
}

// (146)
#[tokio::test]
async fn a_caller_that_is_bound_mints_and_rotates_bound_keys_only() {
    let api = Api::new();
    let certificate = Digest::of(b"certificate");
    let (_, boss) = api.mint(admin().confirmation(Confirmation::certificate(certificate))).await;
    let (open, _) = api.mint(key("agent")).await;
    let (bound, _) = api.mint(key("agent").confirmation(Confirmation::key(Digest::of(b"key")))).await;
    let call = async |path: &str, body: Value| {
        let certificate = PeerCertificate::from_thumbprint(certificate, ChainStatus::Unverified);
        api.send(request(boss.expose(), "POST", path).extension(certificate), body.to_string()).await
    };
    let body = |more: Value| {
        let mut body = json!({"name": "n", "owner": "o", "scopes": []});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    call("", body(json!({}))).await.assert_reason(403, "binding_required");
    call(&rotate(&open), json!({})).await.assert_reason(403, "binding_required");
    let confirmation = json!({"jkt": Digest::of(b"other").to_base64url()});
    assert_eq!(call("", body(json!({ "confirmation": confirmation }))).await.status, 201);
    assert_eq!(call(&rotate(&bound), json!({})).await.status, 201);
}

// (146)
#[tokio::test]
async fn a_caller_that_is_restricted_to_networks_mints_and_rotates_restricted_keys_only() {
    let api = Api::new();
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    let (_, boss) = api.mint(admin().networks(networks(&["10.0.0.0/8", "192.0.2.0/24"]))).await;
    let mint = async |networks: Value| {
        let body = json!({"name": "n", "owner": "o", "scopes": [], "networks": networks});
        api.call(boss.expose(), "POST", "", body).await
    };
    assert_eq!(mint(json!(["10.1.0.0/16", "192.0.2.7"])).await.status, 201);
    for wide in [json!(["0.0.0.0/0"]), json!(["10.0.0.0/7"]), json!(["10.1.0.0/16", "198.51.100.1"]), json!(["::/0"])] {
        mint(wide).await.assert_reason(403, "network_not_held");
    }
    assert_eq!(mint(json!([])).await.json()["networks"], json!(["10.0.0.0/8", "192.0.2.0/24"]));

    let (open, _) = api.mint(key("agent")).await;
    let (inside, _) = api.mint(key("agent").networks(networks(&["10.1.2.3"]))).await;
    api.call(boss.expose(), "POST", &rotate(&open), json!({})).await.assert_reason(403, "network_not_held");
    assert_eq!(api.call(boss.expose(), "POST", &rotate(&inside), json!({})).await.status, 201);
}

// (147)
#[tokio::test]
async fn a_token_without_a_tenant_manages_no_keys_unless_its_subject_is_declared_an_operator() {
    let api = Api::new();
    let token = |api: &Api| api.staff.token("ops").audience(AUDIENCE).scope("keys:admin").sign();
    let (record, _) = api.mint(key("agent")).await;
    let mint = json!({"name": "n", "owner": "o", "scopes": ["keys:admin"]});
    let calls = [
        ("GET", String::new(), json!({})),
        ("POST", String::new(), mint.clone()),
        ("POST", rotate(&record), json!({})),
        ("DELETE", format!("/{}", record.id), json!({})),
        ("DELETE", "?tenant=acme".into(), json!({})),
        ("PATCH", format!("/{}", record.id), json!({"name": "x"})),
        ("POST", format!("/{}/purge", record.id), json!({})),
    ];
    for (method, path, body) in calls {
        api.call(&token(&api), method, &path, body).await.assert_reason(403, "operator_not_declared");
    }
    // By default, a key without a tenant is an operator's.
    let (_, root) = api.mint(NewKey::new("root").scopes("keys:admin")).await;
    assert_eq!(api.call(root.expose(), "POST", "", mint.clone()).await.status, 201);

    let declared = Api::with(|routes| routes.operators(|caller| caller.issuer() == Some("https://staff.test")));
    assert_eq!(declared.call(&token(&declared), "POST", "", mint.clone()).await.status, 201);
    let (_, root) = declared.mint(NewKey::new("root").scopes("keys:admin")).await;
    declared.call(root.expose(), "POST", "", mint).await.assert_reason(403, "operator_not_declared");
    let listed = declared.call(&declared.token(), "GET", "", json!({})).await.json();
    assert!(listed["keys"].as_array().unwrap().is_empty(), "a caller with a tenant is never an operator: {listed}");
}

/// (148) What a form of another site can send, with the client certificate or the cookie of whoever visits it.
#[tokio::test]
async fn a_change_without_the_media_type_of_json_is_415_and_changes_nothing() {
    let api = Api::new();
    let (_, root) = api.mint(NewKey::new("root").scopes("keys:admin")).await;
    let (record, secret) = api.mint(key("agent")).await;
    let types = [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("multipart/form-data")];
    let mint = r#"{"name": "n", "owner": "o", "scopes": []}"#;
    for media_type in types {
        for (path, body) in [(rotate(&record), ""), (rotate(&record), r#"{"grace": 60}"#), (String::new(), mint)] {
            let mut request = Request::post(format!("/keys{path}")).header("x-api-key", root.expose());
            if let Some(media_type) = media_type {
                request = request.header(CONTENT_TYPE, media_type);
            }
            let answer = api.send(request, body).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (415, &json!("invalid_request")), "{path}");
        }
    }
    api.stack.bearer(secret.expose()).await.assert_subject("agent");
    let listed = api.call(root.expose(), "GET", "", json!({})).await.json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn routes_by_function_have_the_same_rules() {
    let stack = Stack::new();
    let environment = Environment::default().with_clock(stack.clock.clone());
    let app = Router::<()>::new().nest("/keys", key_routes(stack.keys.clone()));
    let app = app.layer(AuthLayer::new(stack.keys.clone()).environment(&environment));
    let (_, boss) = stack.mint(admin()).await;
    let (pro, _) = stack.mint(key("agent").tier("pro")).await;
    let request = request(boss.expose(), "POST", &rotate(&pro)).body(Body::from("{}")).unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), 403);
}

// (149)
#[tokio::test]
async fn a_caller_with_a_tenant_changes_no_key_beyond_its_own_rights() {
    let api = Api::new();
    let (own, boss) = api.mint(admin().expires_in(seconds(600))).await;
    let (agent, _) = api.mint(key("agent").expires_in(seconds(60))).await;
    let patch = async |record: &KeyRecord, body: Value| {
        api.call(boss.expose(), "PATCH", &format!("/{}", record.id), body).await
    };
    let refused = [
        (json!({"scopes": ["billing:read", "platform:root"]}), "scope_not_held"),
        (json!({"tier": "pro"}), "tier_not_held"),
        (json!({"tier": null}), "tier_not_held"),
    ];
    for (body, reason) in refused {
        patch(&agent, body).await.assert_reason(403, reason);
    }
    assert_eq!(api.stack.keys.get(&agent.id).await.unwrap().as_deref(), Some(&agent));
    // Keys that it could not mint.
    for strong in [key("agent").tier("pro"), key("agent").scopes("platform:root")] {
        let (strong, _) = api.mint(strong).await;
        assert_eq!(patch(&strong, json!({"name": "mine", "tier": "free", "scopes": []})).await.status, 403);
    }
    let end = own.expires_at.map(|end| end.as_secs());
    for requested in [json!(null), json!(START.as_secs() + 86_400)] {
        let changed = patch(&agent, json!({"expires_at": requested, "name": "new", "scopes": []})).await;
        assert_eq!((changed.status.as_u16(), changed.json()["expires_at"].as_u64()), (200, end), "{changed:?}");
    }
    // A key that expires later already is not cut off by an unrelated change, and can be shortened.
    let (late, _) = api.mint(key("agent").expires_in(seconds(86_400))).await;
    let changed = patch(&late, json!({"name": "new"})).await.json();
    assert_eq!(changed["expires_at"].as_u64(), Some(START.as_secs() + 86_400));
    let changed = patch(&late, json!({"expires_at": START.as_secs() + 7_200})).await.json();
    assert_eq!(changed["expires_at"].as_u64(), Some(START.as_secs() + 7_200));
    let changed = patch(&late, json!({"expires_at": START.as_secs() + 86_400})).await.json();
    assert_eq!(changed["expires_at"].as_u64(), Some(START.as_secs() + 7_200), "not extended again");
}

// (149)
#[tokio::test]
async fn a_key_that_gains_rights_expires_no_later_than_the_credential_that_changed_it() {
    let api = Api::new();
    let late = || START + seconds(86_400);
    let networks = || ["10.0.0.0/16".parse().unwrap()];
    let old = || key("agent").scopes("billing:read").networks(networks());
    let end = START + seconds(300);
    let stronger = [
        json!({"scopes": ["billing:read", "keys:admin"]}),
        json!({"scopes": ["keys:admin"]}),
        json!({"networks": []}),
        json!({"networks": ["10.0.0.0/15"]}),
        json!({"networks": ["10.0.0.0/16", "192.0.2.1"]}),
        json!({"networks": [], "expires_at": late().as_secs()}),
        json!({"networks": [], "expires_at": null}),
    ];
    for body in stronger {
        for expiry in [None, Some(late())] {
            let (record, _) = api.mint(expiry.map_or_else(old, |_| old().expires_in(seconds(86_400)))).await;
            let path = format!("/{}", record.id);
            let changed = api.call(&api.token(), "PATCH", &path, body.clone()).await;
            let expires_at = changed.json()["expires_at"].as_u64();
            assert_eq!((changed.status.as_u16(), expires_at), (200, Some(end.as_secs())), "{body} {changed:?}");
        }
        let (record, _) = api.mint(old().expires_in(seconds(30))).await;
        let mut body = body;
        body.as_object_mut().unwrap().remove("expires_at");
        let changed = api.call(&api.token(), "PATCH", &format!("/{}", record.id), body).await.json();
        assert_eq!(changed["expires_at"].as_u64(), Some(START.as_secs() + 30), "an earlier expiry is kept");
    }
    for body in [json!({"scopes": []}), json!({"networks": ["10.0.1.0/24"]}), json!({"name": "new"})] {
        let (record, _) = api.mint(old()).await;
        let changed = api.call(&api.token(), "PATCH", &format!("/{}", record.id), body).await;
        assert_eq!((changed.status.as_u16(), &changed.json()["expires_at"]), (200, &Value::Null), "{changed:?}");
    }
    // Credentials without an end leave no rights behind.
    let (_, boss) = api.mint(admin()).await;
    let (record, _) = api.mint(old()).await;
    let changed = api.call(boss.expose(), "PATCH", &format!("/{}", record.id), json!({"networks": []})).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["expires_at"]), (200, &Value::Null));
}

// (146), (149)
#[tokio::test]
async fn restrictions_are_not_removed_by_a_caller_that_has_them() {
    let api = Api::new();
    let inside = || ["10.0.0.0/8".parse().unwrap()];
    let (_, boss) = api.mint(admin().networks(inside())).await;
    let (agent, _) = api.mint(key("agent").networks(inside())).await;
    let path = format!("/{}", agent.id);
    for wider in [json!([]), json!(["0.0.0.0/0"]), json!(["10.0.0.0/8", "192.0.2.1"])] {
        let refused = api.call(boss.expose(), "PATCH", &path, json!({"networks": wider})).await;
        refused.assert_reason(403, "network_not_held");
    }
    let narrower = api.call(boss.expose(), "PATCH", &path, json!({"networks": ["10.1.0.0/16"]})).await;
    assert_eq!(narrower.status, 200);
}

#[tokio::test]
async fn a_revocation_of_many_keys_is_logged_also_if_it_fails_half_way() {
    let (log, _guard) = listen();
    let api = Api::new();
    api.mint(key("agent")).await;
    let revoke = async || api.call(&api.token(), "DELETE", "?owner=agent", json!({})).await.status.as_u16();
    assert_eq!(revoke().await, 200);
    assert!(log.text().contains(r#"1 of owner "agent", tenant "acme""#), "{}", log.text());
    api.stack.store.set(Mode::Fail);
    assert_eq!(revoke().await, 503);
    assert_eq!(log.text().matches("an unknown number").count(), 1, "{}", log.text());
    assert_eq!(log.text().matches(r#"owner "agent""#).count(), 1, "the owner is not known to be one: {}", log.text());
}

#[tokio::test]
async fn a_key_that_is_pasted_as_an_owner_or_a_tenant_is_not_logged() {
    let (log, _guard) = listen();
    let api = Api::new();
    let (_, root) = api.mint(NewKey::new("root").scopes("keys:admin")).await;
    let (_, pasted) = api.mint(key("agent")).await;
    let pasted = pasted.expose();
    for (credential, name) in
        [(api.token(), "owner"), (root.expose().into(), "owner"), (root.expose().into(), "tenant")]
    {
        let path = format!("?{name}={pasted}");
        api.stack.store.set(Mode::Answer);
        let revoked = api.call(&credential, "DELETE", &path, json!({})).await;
        assert_eq!((revoked.status.as_u16(), revoked.json()), (200, json!({"revoked": 0})));
        api.stack.store.set(Mode::Fail);
        assert_eq!(api.call(&credential, "DELETE", &path, json!({})).await.status, 503);
    }
    assert!(log.text().contains("an unknown number") && !log.text().contains(pasted), "{}", log.text());
}

/// A store that makes an update of its own once, right before the next one.
#[derive(Clone, Default)]
struct Racing {
    inner: Arc<MemoryKeyStore>,
    first: Arc<Mutex<Option<KeyUpdate>>>,
}

impl KeyStore for Racing {
    forward_to_inner!(find get insert revoke rotate append purge list touch watch);

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        if let Some(first) = self.first.lock().unwrap().take() {
            assert!(matches!(self.inner.update(id, &first), Eventual::Now(Ok(()))));
        }
        self.inner.update(id, update)
    }
}

/// Each of two changes is permitted alone: one adds scopes and makes the key expire, the other removes the expiry.
#[tokio::test]
async fn a_change_that_was_checked_before_another_one_is_checked_again() {
    let stack = Stack::new();
    let environment = Environment::default().with_clock(stack.clock.clone());
    let store = Racing::default();
    let keys = ApiKeys::builder(store.clone(), KeyFormat::new("sk_agent").unwrap()).environment(&environment).build();
    let layer = AuthLayer::new(keys.clone()).environment(&environment);
    let app = Router::new().nest("/keys", KeyRoutes::new(keys.clone()).into_router()).layer(layer);
    let (own, boss) = keys.mint(admin().expires_in(seconds(3_600))).await.unwrap();
    let patch = async |record: &KeyRecord, body: Value| {
        let request = request(boss.expose(), "PATCH", &format!("/{}", record.id)).body(Body::from(body.to_string()));
        Answer::read(app.clone().oneshot(request.unwrap()).await.unwrap()).await
    };
    let stronger = || KeyUpdate::default().scopes("billing:read keys:admin").expires_at(own.expires_at.unwrap());
    let weak = || key("agent").scopes("billing:read");
    let (record, _) = keys.mint(weak()).await.unwrap();
    *store.first.lock().unwrap() = Some(stronger());
    let changed = patch(&record, json!({"expires_at": null})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let changed = keys.get(&record.id).await.unwrap().unwrap();
    assert_eq!(
        (changed.scopes.len(), changed.expires_at),
        (2, own.expires_at),
        "the rights do not outlive the caller's"
    );

    // The key is beyond the caller's rights by the time of the change.
    let (record, _) = keys.mint(weak()).await.unwrap();
    *store.first.lock().unwrap() = Some(KeyUpdate::default().scopes("platform:root"));
    patch(&record, json!({"name": "mine"})).await.assert_reason(403, "scope_not_held");
    assert_eq!(keys.get(&record.id).await.unwrap().unwrap().name, "");
}
