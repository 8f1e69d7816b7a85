//! Owners of keys whose scopes a directory of roles knows by name.

use std::sync::Arc;

use axum::{Router, body::Body};
use http::{Request, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt};
use tower_warden::{
    AuthMethod, Environment, Eventual, Unavailable,
    api_key::{KeyRecord, NewKey, key_routes},
    authorize::{RoleDirectory, RoleQuery},
    layer::{AuthLayer, RoleLayer},
    scope::Scopes,
};

use crate::support::{Answer, Stack};

/// Grants a scope to the API keys of one owner.
#[derive(Clone, Copy)]
struct Named(&'static str, &'static str);

impl RoleDirectory for Named {
    fn scopes(&self, query: &RoleQuery<'_>) -> Eventual<Result<Scopes, Unavailable>> {
        let is_meant = query.method == AuthMethod::ApiKey && query.subject == self.0;
        Eventual::Now(Ok(if is_meant { Scopes::parse(self.1).unwrap() } else { Scopes::default() }))
    }
}

/// Does not respond for one owner.
struct Down(&'static str);

impl RoleDirectory for Down {
    fn scopes(&self, query: &RoleQuery<'_>) -> Eventual<Result<Scopes, Unavailable>> {
        let is_down = query.subject == self.0;
        Eventual::Now(if is_down { Err(Unavailable::new("the directory")) } else { Ok(Scopes::default()) })
    }
}

struct Api {
    stack: Arc<Stack>,
    app: Router,
}

impl Api {
    fn new(outer: impl RoleDirectory, inner: impl RoleDirectory) -> Self {
        let stack = Stack::new();
        let auth =
            AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
        let layers = ServiceBuilder::new().layer(auth).layer(RoleLayer::new(outer)).layer(RoleLayer::new(inner));
        let app = Router::new().nest("/keys", key_routes(stack.keys.clone())).layer(layers);
        Self { stack: Arc::new(stack), app }
    }

    async fn key(&self, owner: &str, scopes: &str) -> (KeyRecord, String) {
        let (record, secret) = self.stack.mint(NewKey::new(owner).tenant("acme").scopes(scopes.to_owned())).await;
        (record, secret.expose().to_owned())
    }

    async fn call(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::builder().method(method).uri(format!("/keys{path}")).header("x-api-key", key);
        let request = request.header(CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap();
        Answer::read(self.app.clone().oneshot(request).await.unwrap()).await
    }

    async fn mint(&self, key: &str, owner: &str) -> Answer {
        self.call(key, "POST", "", json!({"name": "", "owner": owner, "scopes": []})).await
    }
}

const OPS: Named = Named("ops", "billing:write");
const NOBODY: Named = Named("nobody", "nothing");

/// (290)
#[tokio::test]
async fn a_key_of_an_owner_with_more_scopes_by_name_is_not_minted() {
    for api in [Api::new(OPS, NOBODY), Api::new(NOBODY, OPS)] {
        let (_, weak) = api.key("boss", "keys:admin").await;
        api.mint(&weak, "ops").await.assert_reason(403, "scope_not_held");
        assert_eq!(api.mint(&weak, "agent").await.status, 201);
        let (_, strong) = api.key("boss", "keys:admin billing:write").await;
        assert_eq!(api.mint(&strong, "ops").await.status, 201);
        let (_, root) = api.stack.mint(NewKey::new("root").scopes("keys:admin")).await;
        assert_eq!(api.mint(root.expose(), "ops").await.status, 201, "an operator");
    }
}

/// (290)
#[tokio::test]
async fn a_key_of_an_owner_with_more_scopes_by_name_is_not_rotated_or_changed_and_can_be_revoked() {
    let api = Api::new(OPS, NOBODY);
    let (_, weak) = api.key("boss", "keys:admin").await;
    let (ops, secret) = api.key("ops", "").await;
    let path = format!("/{}", ops.id);
    api.call(&weak, "POST", &format!("{path}/rotate"), json!({"grace": 60})).await.assert_reason(403, "scope_not_held");
    api.call(&weak, "PATCH", &path, json!({"networks": []})).await.assert_reason(403, "scope_not_held");
    api.stack.bearer(&secret).await.assert_subject("ops");
    assert_eq!(api.call(&weak, "DELETE", &path, json!({})).await.status, 204);
}

#[tokio::test]
async fn an_owner_mints_keys_of_its_own_with_the_scopes_that_it_has_by_name() {
    let api = Api::new(Named("boss", "keys:admin billing:write"), OPS);
    let (_, boss) = api.key("boss", "").await;
    assert_eq!(api.mint(&boss, "boss").await.status, 201);
    // Those would outlive its own.
    api.mint(&boss, "ops").await.assert_reason(403, "scope_not_held");
    let (_, of_another_tenant) = api.stack.mint(NewKey::new("boss").tenant("globex")).await;
    assert_eq!(api.mint(of_another_tenant.expose(), "boss").await.status, 201);
}

#[tokio::test]
async fn no_key_is_minted_while_the_directory_does_not_know_its_owner() {
    let api = Api::new(Down("ops"), NOBODY);
    let (_, boss) = api.key("boss", "keys:admin").await;
    api.mint(&boss, "ops").await.assert_unavailable("roles_unavailable");
    assert_eq!(api.mint(&boss, "agent").await.status, 201);
}
