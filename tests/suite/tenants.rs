//! The tenant that a request names is that of the caller.

use axum::{Router, body::Body, routing::get};
use http::{HeaderName, Request};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    Environment, Principal,
    api_key::NewKey,
    auth::CredentialSource,
    authorize::OwnTenant,
    axum::Tenant,
    jwt::{Issuer, Jwt},
    layer::{AuthLayer, AuthorizeLayer},
    scheme::{Bearer, Location},
    testing::TestIssuer,
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
        ("/tenants/acme%2fx", "tenant_forbidden"),
        ("/tenants//x", "tenant_not_named"),
        ("/tenants", "tenant_not_named"),
        ("//tenants/acme", "tenant_not_named"),
    ] {
        let (status, found) = api.call(policy(), &api.acme, Request::get(path)).await;
        assert_eq!((status, found), (403, Some(reason)), "{path}");
        assert_eq!(api.call(policy().not_found(), &api.acme, Request::get(path)).await, (404, Some(reason)), "{path}");
    }
}

/// (166)
#[tokio::test]
async fn a_path_that_names_another_tenant_once_it_is_normalised_names_none() {
    let api = Api::new().await;
    for path in [
        "/tenants/acme/../umbrella/x",
        "/tenants/acme/..",
        "/tenants/./acme/x",
        "/./tenants/acme/x",
        "/tenants/acme/%2e%2e/umbrella/x",
        "/tenants/acme/%2E./umbrella/x",
        "/tenants/acme/.%2e",
        "/tenants/acme/..%2fumbrella/x",
        "/tenants/acme/x%2F..%2F..%2Fumbrella",
        "/tenants/acme%2f..%2fumbrella/x",
        "/tenants/acme/..;/umbrella/x",
        "/tenants/acme\\..\\umbrella/x",
        "/tenants/acme/x\\y",
        "/tenants/acme/..%5cumbrella",
        "/tenants/acme/x%5Cy",
        "//acme/umbrella/x",
        "/;x/acme/umbrella",
        "/tenants%2fumbrella/acme/x",
        "/tenants%2Fumbrella/acme/x",
    ] {
        let refused = api.call(OwnTenant::in_path_segment(1), &api.acme, Request::get(path)).await;
        assert_eq!(refused, (403, Some("tenant_not_named")), "{path}");
    }
    for path in [
        "/tenants/acme/a..b/.c/...",
        "/tenants/acme/a%20b",
        "/tenants/acme/a%2Fb",
        "/tenants/acme//",
        "/tenants/acme?../\\",
    ] {
        let admitted = api.call(OwnTenant::in_path_segment(1), &api.acme, Request::get(path)).await;
        assert_eq!(admitted, (200, None), "{path}");
    }
}

#[tokio::test]
async fn the_path_is_the_one_before_axum_removed_a_prefix() {
    let api = Api::new().await;
    let layers = ServiceBuilder::new().layer(api.auth()).layer(AuthorizeLayer::new(OwnTenant::in_path_segment(1)));
    let inner: Router = Router::new().route("/{*rest}", get(async || "hello")).layer(layers);
    let app = Router::new().nest("/tenants/{tenant}", inner);
    let call = async |path: &str| {
        let request = Request::get(path).header("x-api-key", &api.acme).body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(call("/tenants/acme/a/b").await, 200);
    assert_eq!(call("/tenants/umbrella/a/acme").await, 403);
    assert_eq!(call("/tenants/umbrella/acme/acme").await, 403);
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
}

/// (167)
#[tokio::test]
async fn a_host_that_servers_may_read_in_two_ways_names_no_tenant() {
    let api = Api::new().await;
    let refused = (403, Some("tenant_not_named"));
    let policy = || OwnTenant::in_host("api.test");
    // HTTP/2 and absolute targets have the authority in the target.
    for (target, host) in [("umbrella.api.test", "acme.api.test"), ("acme.api.test", "umbrella.api.test")] {
        let both = Request::get(format!("https://{target}/")).header("host", host);
        assert_eq!(api.call(policy(), &api.acme, both).await, refused, "{target} and {host}");
    }
    let both = Request::get("https://acme.api.test/").header("host", "ACME.api.test:443");
    assert_eq!(api.call(policy(), &api.acme, both).await, (200, None));
    let twice = Request::get("/").header("host", "acme.api.test").header("host", "acme.api.test");
    assert_eq!(api.call(policy(), &api.acme, twice).await, refused);
    let twice = Request::get("https://acme.api.test/").header("host", "acme.api.test").header("host", "acme.api.test");
    assert_eq!(api.call(policy(), &api.acme, twice).await, refused);
    for host in [
        "acme.api.test:x@umbrella.api.test",
        "umbrella.api.test@acme.api.test",
        "acme.api.test:",
        "acme.api.test:+443",
        "acme.api.test:99999",
        "acme.api.test:443:443",
        "acme.api.test/x",
        "acme.api.test, umbrella.api.test",
        " acme.api.test",
        "acme.api.test.",
        "",
    ] {
        assert_eq!(api.call(policy(), &api.acme, Request::get("/").header("host", host)).await, refused, "{host}");
    }
    let target = Request::get("https://umbrella.api.test@acme.api.test/");
    assert_eq!(api.call(policy(), &api.acme, target).await, refused);
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

/// (168)
#[tokio::test]
async fn an_operator_that_acts_for_somebody_else_acts_for_all_tenants_only_if_both_do() {
    let api = Api::new().await;
    let environment = Environment::default().with_clock(api.stack.clock.clone());
    let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
    let rules = Issuer::new(issuer.name(), "https://api.test").unwrap();
    let user = CredentialSource::new(Jwt::new(rules, issuer.clone()));
    let user = user.scheme(Bearer::from(Location::header("x-user-token")));
    let auth = AuthLayer::new(api.stack.keys.clone()).environment(&environment).acting_for(user).unwrap();
    let policy = OwnTenant::in_path_segment(0).operators(|caller| caller.subject() == "root");
    let service = auth.layer(AuthorizeLayer::new(policy).layer(service_fn(answer)));
    let call = async |subject: &str| {
        let token = issuer.token(subject).audience("https://api.test").sign();
        let request = Request::get("/acme").header("x-api-key", &api.nobody).header("x-user-token", token);
        send(service.clone(), request).await
    };
    call("root").await.assert_subject("root");
    call("alice").await.assert_reason(403, "caller_without_tenant");
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
