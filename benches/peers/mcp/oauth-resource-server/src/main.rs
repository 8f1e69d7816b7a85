//! `McpServer::protect` beside `McpToolScopes` of the crate oauth-resource-server: one message, one token, one process.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml -p mcp-oauth-resource-server` prints what each decides about
//! several messages, and then medians of batches that are measured in turn. `QUICK=1` takes fewer.
//!
//! The peer verifies the token's signature with each request, and this crate keeps what it has verified. What the check of the
//! body adds is therefore also measured behind the peer's static token, which is cheap to compare.

use std::{convert::Infallible, env, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator, http_layer::HttpAuthLayer, mcp::McpToolScopes};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_warden::{
    jwt::{Issuer, Jwt},
    mcp::McpServer,
    scope::Scope,
    testing::TestIssuer,
};

#[path = "../../../../hot_path/measure.rs"]
#[allow(dead_code, unused_qualifications, reason = "a part of it is used")]
mod measure;

use self::measure::{Budget, Side, medians, prepared, row, table};

const RESOURCE: &str = "https://mcp.example.com/mcp";
const STATIC_TOKEN: &str = "a static token for the measurement of the body alone";

/// The same declaration for both: `search` needs `mcp:tools`, `reset` needs `admin`.
fn main() {
    let rounds = if env::var_os("QUICK").is_some() { 100 } else { 1_000 };
    let issuer = TestIssuer::new("https://auth.example.com");
    let token = |scope: &str| issuer.token("alice").audience(RESOURCE).scope(scope).sign();

    let (tools, admin) = (Scope::from_static("mcp:tools"), Scope::from_static("admin"));
    let server = McpServer::new(RESOURCE).unwrap().require(tools.clone()).tool("search", tools).tool("reset", admin);
    let jwt = Jwt::new(Issuer::new(issuer.name(), RESOURCE).unwrap(), issuer.clone());
    let auth = server.auth_layer(jwt);
    let warden_auth = auth.layer(auth.stream_guard().layer(service_fn(echo)));
    let warden = server.protect_with(auth.clone()).layer(service_fn(echo));

    let scopes = McpToolScopes::new().default(["mcp:tools"]).tool("search", ["mcp:tools"]).tool("reset", ["admin"]);
    let peer_auth = HttpAuthLayer::builder().oauth(validator(&issuer)).build().unwrap();
    let peer = peer_auth.layer(scopes.layer(service_fn(echo)));
    let peer_auth = peer_auth.layer(service_fn(echo));
    let fixed = HttpAuthLayer::builder().static_token(STATIC_TOKEN).build().unwrap();
    let peer_fixed = fixed.layer(scopes.static_token_bypasses_scopes().layer(service_fn(echo)));
    let peer_fixed_auth = fixed.layer(service_fn(echo));

    let (some, all) = (token("mcp:tools"), token("mcp:tools admin"));
    let search = message("search");
    println!("{:<62} | {:<13} | McpServer::protect", "message", "McpToolScopes");
    println!("{:-<62}-|-{:-<13}-|-{:-<18}", "", "", "");
    for (name, token, body, expected) in [
        ("the tool whose scope the token has", &some, search.clone(), [200, 200]),
        ("a tool whose scope the token lacks", &some, message("reset"), [403, 403]),
        ("the same with that scope", &all, message("reset"), [200, 200]),
        ("a tool that is not declared", &some, message("other"), [200, 403]),
        ("`name` twice, the token has one of the two scopes", &some, twice(), [403, 400]),
        ("`name` twice, the token has both scopes", &all, twice(), [200, 400]),
    ] {
        let found = [send(&peer, request(token, &body)), send(&warden, request(token, &body))];
        println!("{name:<62} | {:<13} | {}", found[0].as_u16(), found[1].as_u16());
        assert_eq!(found.map(|status| status.as_u16()), expected, "{name}");
    }

    let with = |token: String| move || request(&token, &search);
    let [bare, peer_auth, peer, peer_fixed_auth, peer_fixed, warden_auth, warden] = medians(
        rounds,
        [
            side(with.clone()(some.clone()), service_fn(echo)),
            side(with.clone()(some.clone()), peer_auth),
            side(with.clone()(some.clone()), peer),
            side(with.clone()(STATIC_TOKEN.to_owned()), peer_fixed_auth),
            side(with.clone()(STATIC_TOKEN.to_owned()), peer_fixed),
            side(with.clone()(some.clone()), warden_auth),
            side(with(some), warden),
        ],
    );
    let name = format!("A call of {} bytes", message("search").len());
    table(&name);
    let floor = "the bare service";
    row("HttpAuthLayer, the signature verified each time", peer_auth, floor, bare, Budget::Open);
    row("HttpAuthLayer and McpToolScopes", peer, floor, bare, Budget::Open);
    row("HttpAuthLayer, a static token", peer_fixed_auth, floor, bare, Budget::Open);
    row("HttpAuthLayer, a static token, and McpToolScopes", peer_fixed, floor, bare, Budget::Open);
    row("AuthLayer and StreamGuardLayer, token cached", warden_auth, floor, bare, Budget::Open);
    row("McpServer::protect, token cached", warden, floor, bare, Budget::Open);
    table(&format!("{name}: ratios"));
    row(
        "McpServer::protect, above the bare service",
        warden - bare,
        "the peer, with its token",
        peer - bare,
        Budget::Open,
    );
    let (guard, scopes) = (warden - warden_auth, peer_fixed - peer_fixed_auth);
    row("the guard alone", guard, "McpToolScopes alone, behind a static token", scopes, Budget::Open);
}

/// The peer's rules for the tokens of an issuer, whose keys it has.
fn validator(issuer: &TestIssuer) -> Arc<OAuthValidator> {
    let config = OAuthConfig {
        enabled: true,
        issuer: issuer.name().to_owned(),
        audience: RESOURCE.to_owned(),
        resource: RESOURCE.to_owned(),
        required_scopes: vec!["mcp:tools".to_owned()],
        ..OAuthConfig::default()
    };
    let config = config.resolve(KeyNaming::Dotted("peer")).unwrap().unwrap();
    let keys = issuer.jwk_set().to_string();
    Arc::new(OAuthValidator::builder(&config).initial_jwks(&keys).build().unwrap())
}

/// The server inside of the layers: it reads the body, and sends it back.
async fn echo<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: http_body_util::BodyExt<Data = Bytes, Error = Infallible>,
{
    Ok(Response::new(Full::new(BodyExt::collect(request.into_body()).await?.to_bytes())))
}

/// Requests to a service, measured.
fn side<'a, S, B>(prepare: impl FnMut() -> Request<Full<Bytes>> + 'a, service: S) -> Side<'a>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone + 'a,
{
    prepared(prepare, move |request| {
        let status = send(&service, request);
        assert_eq!(status, 200, "a refusal would be measured");
        status
    })
}

fn send<S, B>(service: &S, request: Request<Full<Bytes>>) -> StatusCode
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone,
{
    service.clone().oneshot(request).now_or_never().expect("nothing is waited for").unwrap().status()
}

fn request(token: &str, body: &Bytes) -> Request<Full<Bytes>> {
    let request = Request::post("/mcp").header("authorization", format!("Bearer {token}"));
    let request = request.header("mcp-protocol-version", "2025-11-25").header("content-type", "application/json");
    request.body(Full::new(body.clone())).unwrap()
}

/// The message of `benches/hot_path/mcp.rs`.
fn message(tool: &str) -> Bytes {
    let filters: Vec<Value> =
        (0..12).map(|index| json!({"field": format!("property_{index}"), "equals": index})).collect();
    let text = "the quarterly report of the northern region, with all appendices ".repeat(8);
    let params = json!({"name": tool, "arguments": {"text": text, "filters": filters}});
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string().into()
}

/// A call that parsers read as one of `search`, or of `reset`.
fn twice() -> Bytes {
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","name":"reset"}}"#;
    Bytes::from_static(call.as_bytes())
}
