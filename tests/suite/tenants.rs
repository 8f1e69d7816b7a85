//! The tenant that a request names is that of the caller.

use axum::{Router, body::Body, routing::get};
use http::{HeaderName, Request};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    Environment, Principal,
    api_key::NewKey,
    authorize::OwnTenant,
    axum::Tenant,
    layer::{AuthLayer, AuthorizeLayer},
};

use crate::support::{Stack, answer, send};

struct Api {
    stack: Stack,
    acme: String,
    nobody: String,
}

impl Api {
    async fn new() -> Self {
        let stack = Stack::new();
        let (_, acme) = stack.mint(NewKey::new("alice").tenant("acme")).await;
        let (_, nobody) = stack.mint(NewKey::new("root")).await;
        Self { acme: acme.expose().to_owned(), nobody: nobody.expose().to_owned(), stack }
    }

    fn auth(&self) -> AuthLayer {
        AuthLayer::new(self.stack.keys.clone())
            .environment(&Environment::default().with_clock(self.stack.clock.clone()))
    }

    /// The status and the reason of a request of this caller.
    async fn call(&self, tenant: OwnTenant, key: &str, request: http::request::Builder) -> (u16, Option<&'static str>) {
        let service = self.auth().layer(AuthorizeLayer::new(tenant).layer(service_fn(answer)));
        let answer = send(service, request.header("x-api-key", key)).await;
        (answer.status.as_u16(), answer.reason)
    }
}

#[tokio::test]
async fn a_path_names_the_tenant_of_the_caller() {
    let api = Api::new().await;
    let policy = || OwnTenant::in_path_segment(1);
    assert_eq!(api.call(policy(), &api.acme, Request::get("/tenants/acme/x")).await, (200, None));
    for (path, reason) in [
        ("/tenants/umbrella/x", "tenant_forbidden"),
        ("/tenants/ACME/x", "tenant_forbidden"),
        ("/tenants/%61cme/x", "tenant_forbidden"),
        ("/tenants/acme%2f..%2fumbrella/x", "tenant_forbidden"),
        ("/tenants//x", "tenant_not_named"),
        ("/tenants", "tenant_not_named"),
        ("//tenants/acme", "tenant_forbidden"),
    ] {
        let (status, found) = api.call(policy(), &api.acme, Request::get(path)).await;
        assert_eq!((status, found), (403, Some(reason)), "{path}");
        assert_eq!(api.call(policy().not_found(), &api.acme, Request::get(path)).await, (404, Some(reason)), "{path}");
    }
}

#[tokio::test]
async fn a_header_names_the_tenant_once() {
    let api = Api::new().await;
    let policy = || OwnTenant::in_header(HeaderName::from_static("x-tenant-id"));
    let request =
        |values: &[&str]| values.iter().fold(Request::get("/"), |request, value| request.header("x-tenant-id", *value));
    assert_eq!(api.call(policy(), &api.acme, request(&["acme"])).await, (200, None));
    for (values, reason) in [
        (&["umbrella"][..], "tenant_forbidden"),
        (&["acme, umbrella"], "tenant_forbidden"),
        (&["acme", "acme"], "tenant_not_named"),
        (&["acme", "umbrella"], "tenant_not_named"),
        (&[""], "tenant_not_named"),
        (&[], "tenant_not_named"),
    ] {
        assert_eq!(api.call(policy(), &api.acme, request(values)).await, (403, Some(reason)), "{values:?}");
    }
}

#[tokio::test]
async fn a_host_names_the_tenant_by_its_first_label() {
    let api = Api::new().await;
    let policy = || OwnTenant::in_host("api.test");
    let host = |host: &str| Request::get("/").header("host", host);
    for good in ["acme.api.test", "acme.api.test:8443", "ACME.API.test"] {
        assert_eq!(api.call(policy(), &api.acme, host(good)).await, (200, None), "{good}");
    }
    assert_eq!(api.call(policy(), &api.acme, Request::get("https://acme.api.test/")).await, (200, None));
    for (bad, reason) in [
        ("umbrella.api.test", "tenant_forbidden"),
        ("api.test", "tenant_not_named"),
        ("x.acme.api.test", "tenant_not_named"),
        ("acme.api.test.evil.test", "tenant_not_named"),
        ("acmeapi.test", "tenant_not_named"),
        (".api.test", "tenant_not_named"),
    ] {
        assert_eq!(api.call(policy(), &api.acme, host(bad)).await, (403, Some(reason)), "{bad}");
    }
    // HTTP/2 and absolute targets have the authority in the target, which takes precedence (RFC 9112 §3.2.2).
    let both = Request::get("https://umbrella.api.test/").header("host", "acme.api.test");
    assert_eq!(api.call(policy(), &api.acme, both).await, (403, Some("tenant_forbidden")));
}

#[tokio::test]
async fn a_caller_without_a_tenant_is_refused_unless_it_is_an_operator() {
    let api = Api::new().await;
    let policy = || OwnTenant::in_path_segment(0);
    let refused = (403, Some("caller_without_tenant"));
    assert_eq!(api.call(policy(), &api.nobody, Request::get("/acme")).await, refused);
    let operators = || policy().operators(|caller| caller.subject() == "root");
    assert_eq!(api.call(operators(), &api.nobody, Request::get("/acme")).await, (200, None));
    let nobody = || policy().operators(|caller| caller.subject() == "other");
    assert_eq!(api.call(nobody(), &api.nobody, Request::get("/acme")).await, refused);
    let everybody = || policy().operators(|_: &Principal| true);
    let refused = (403, Some("tenant_forbidden"));
    assert_eq!(api.call(everybody(), &api.acme, Request::get("/umbrella")).await, refused, "it has a tenant");
}

#[tokio::test]
async fn the_extractor_has_the_tenant_of_the_caller() {
    async fn tenant(tenant: Tenant) -> String {
        tenant.as_str().to_owned()
    }
    let api = Api::new().await;
    let app: Router = Router::new().route("/", get(tenant)).layer(api.auth());
    let call = async |key: &str| {
        let request = Request::get("/").header("x-api-key", key).body(Body::empty()).unwrap();
        crate::support::Answer::read(app.clone().oneshot(request).await.unwrap()).await
    };
    assert_eq!(call(&api.acme).await.body, "acme");
    call(&api.nobody).await.assert_reason(403, "caller_without_tenant");
    let outside: Router = Router::new().route("/", get(tenant));
    let response = outside.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 500);
}
