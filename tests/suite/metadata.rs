//! RFC 9728: the document, where it stands, and the challenge that points there.

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;
use tower_warden::{
    Challenge, ConfigError, ConfigErrorKind, Environment,
    layer::AuthLayer,
    metadata::metadata_routes,
    metadata::{MetadataEndpoint, ProtectedResourceMetadata},
    scope::Scopes,
};

use crate::support::{Answer, Stack, bearer, request};

const ROOT: &str = "/.well-known/oauth-protected-resource";

fn mcp() -> ProtectedResourceMetadata {
    let metadata = ProtectedResourceMetadata::new("https://api.example.com/mcp").unwrap();
    let metadata = metadata.authorization_server("https://auth.example.com").unwrap();
    metadata.scopes(scopes("files:write files:read")).unwrap()
}

fn scopes(text: &str) -> Scopes {
    Scopes::parse(text).unwrap()
}

async fn ask(metadata: &ProtectedResourceMetadata, method: Method, target: &str) -> Answer {
    let endpoint: MetadataEndpoint<Full<Bytes>> = metadata.endpoint();
    let request = Request::builder().method(method).uri(target).body(()).unwrap();
    Answer::read(endpoint.oneshot(request).await.unwrap()).await
}

/// The MCP server behind keys, its metadata beside.
fn app(stack: &Stack) -> Router {
    let metadata = mcp();
    let auth = AuthLayer::new(stack.keys.clone())
        .environment(&Environment::default().with_clock(stack.clock.clone()))
        .challenge(metadata.challenge());
    let api = Router::new()
        .route("/mcp", get(async || "files"))
        .route("/.well-known/{*rest}", get(async || "another document"))
        .layer(auth);
    metadata_routes(&metadata).merge(api)
}

async fn send(app: &Router, request: http::request::Builder) -> Answer {
    Answer::read(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, ConfigError>) {
    assert_eq!(result.unwrap_err().kind(), ConfigErrorKind::Metadata);
}

#[test]
fn the_url_is_derived_by_path_insertion() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/rfc9728/well_known_urls.json")).unwrap();
    let vectors = vectors["tests"].as_array().unwrap();
    assert_eq!(vectors.len(), 13);
    for vector in vectors {
        let resource = vector["resource"].as_str().unwrap();
        match (vector["metadata_url"].as_str(), vector["result"].as_str()) {
            (Some(url), None) => {
                let metadata = ProtectedResourceMetadata::new(resource).unwrap();
                assert_eq!((metadata.resource(), metadata.well_known_url()), (resource, url));
                assert!(url.ends_with(metadata.well_known_path()) && metadata.well_known_path().starts_with(ROOT));
            }
            (None, Some("invalid resource identifier")) => assert_refused(ProtectedResourceMetadata::new(resource)),
            other => panic!("a vector that is not understood: {other:?}"),
        }
    }
}

#[test]
fn a_resource_identifier_is_a_secure_url_as_it_is_written() {
    for odd in [
        "",
        "https://",
        "https:///mcp",
        "https://:443/",
        "https://h:/",
        "https://h:99999/",
        "https://h:x/",
        "https://user:password@h/",
        "https://@h/",
        "https://h/#",
        "https://h/a b",
        "https://h/{id}",
        "https://h/\"",
        "https://h/\\",
        "https://h/<>",
        "https://h/ä",
        "https://h/\r\nX: y",
        " https://h/",
        "ftp://h/",
        "http://h/",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "//h/",
        "/mcp",
        "urn:example:api",
    ] {
        assert!(ProtectedResourceMetadata::new(odd).is_err(), "{odd:?}");
    }
    for (resource, url) in [
        ("http://localhost:8080/mcp", format!("http://localhost:8080{ROOT}/mcp")),
        ("http://127.0.0.1", format!("http://127.0.0.1{ROOT}")),
        ("http://[::1]:1/", format!("http://[::1]:1{ROOT}")),
        ("https://h//a/%2e/", format!("https://h{ROOT}//a/%2e/")),
        ("HTTPS://Api.Example.com/MCP", format!("HTTPS://Api.Example.com{ROOT}/MCP")),
        ("https://h?u=https://other/", format!("https://h{ROOT}?u=https://other/")),
    ] {
        assert_eq!(ProtectedResourceMetadata::new(resource).unwrap().well_known_url(), url);
    }
}

#[test]
fn the_document_has_what_was_declared_and_no_more() {
    let bare = ProtectedResourceMetadata::new("https://api.example.com").unwrap();
    let document = |metadata: &ProtectedResourceMetadata| serde_json::from_str::<Value>(&metadata.to_json()).unwrap();
    assert_eq!(
        document(&bare),
        json!({ "resource": "https://api.example.com", "bearer_methods_supported": ["header"] })
    );
    // RFC 9728 §3.2: what is empty is left out.
    let empty = bare.clone().name("").scopes(Scopes::default()).unwrap().dpop_signing_algorithms([]).unwrap();
    assert_eq!(document(&empty), document(&bare));
    let named = bare.clone().dpop_signing_algorithms(["ES256"]).unwrap();
    assert_eq!(document(&named)["dpop_bound_access_tokens_required"], false);
    let unnamed = named.dpop_signing_algorithms([]).unwrap();
    assert_eq!(document(&unnamed), document(&bare));

    let whole = bare
        .authorization_server("https://auth.example.com")
        .and_then(|metadata| metadata.authorization_server("https://other.example.com/tenant"))
        .and_then(|metadata| metadata.jwks_uri("https://api.example.com/jwks.json"))
        .and_then(|metadata| metadata.scopes(scopes("b a")))
        .and_then(|metadata| metadata.documentation_uri("https://example.com/docs#start"))
        .and_then(|metadata| metadata.policy_uri("https://example.com/policy"))
        .and_then(|metadata| metadata.terms_of_service_uri("https://example.com/tos"))
        .and_then(|metadata| metadata.dpop_signing_algorithms(["ES256", "EdDSA"]))
        .unwrap()
        .name("Müllers \"API\"\n")
        .tls_client_certificate_bound_access_tokens()
        .dpop_bound_access_tokens_required();
    assert_eq!(
        document(&whole),
        json!({
            "resource": "https://api.example.com",
            "authorization_servers": ["https://auth.example.com", "https://other.example.com/tenant"],
            "jwks_uri": "https://api.example.com/jwks.json",
            "scopes_supported": ["a", "b"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Müllers \"API\"\n",
            "resource_documentation": "https://example.com/docs#start",
            "resource_policy_uri": "https://example.com/policy",
            "resource_tos_uri": "https://example.com/tos",
            "tls_client_certificate_bound_access_tokens": true,
            "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
            "dpop_bound_access_tokens_required": true,
        })
    );
}

#[test]
fn unusable_metadata_is_refused_at_build_time() {
    for bad in ["http://auth.example.com", "auth.example.com", "https://user@auth.example.com", "https://h/\r\n", ""] {
        assert_refused(mcp().authorization_server(bad));
        assert_refused(mcp().documentation_uri(bad));
        assert_refused(mcp().jwks_uri(bad));
        assert_refused(mcp().policy_uri(bad));
        assert_refused(mcp().terms_of_service_uri(bad));
    }
    // RFC 8414 §2.
    assert_refused(mcp().authorization_server("https://auth.example.com?tenant=1"));
    assert_refused(mcp().authorization_server("https://auth.example.com/#a"));
    for bad in ["none", "None", "HS256", "HS512", "", "ES 256", "ES\"256"] {
        assert_refused(mcp().dpop_signing_algorithms(["ES256", bad]));
    }
    for bad in ["offline_access", "files:read offline_access"] {
        assert_refused(mcp().scopes(scopes(bad)));
    }
    assert!(mcp().scopes(scopes("offline_access:read")).is_ok());
}

#[tokio::test]
async fn the_document_is_public_json_that_is_cached_for_an_hour() {
    // (136)
    let metadata = mcp();
    let found = ask(&metadata, Method::GET, &format!("{ROOT}/mcp")).await;
    assert_eq!((found.status.as_u16(), &*found.body), (200, &*metadata.to_json()));
    let length = metadata.to_json().len().to_string();
    let fields = [
        ("access-control-allow-origin", "*"),
        ("cache-control", "max-age=3600"),
        ("content-length", &*length),
        ("content-type", "application/json"),
    ];
    // All of them: no cookie, no `Vary`.
    assert_eq!(found.headers, fields.map(|(name, value)| (name.to_owned(), value.to_owned())));

    let head = ask(&metadata, Method::HEAD, &format!("{ROOT}/mcp")).await;
    assert_eq!((head.status.as_u16(), &*head.body, &head.headers), (200, "", &found.headers));
}

#[tokio::test]
async fn a_preflight_gets_a_response_and_other_methods_are_not_allowed() {
    // (136)
    let preflight = ask(&mcp(), Method::OPTIONS, &format!("{ROOT}/mcp")).await;
    assert_eq!((preflight.status.as_u16(), &*preflight.body), (204, ""));
    for (name, value) in [
        ("access-control-allow-headers", "*"),
        ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
        ("access-control-allow-origin", "*"),
        ("access-control-max-age", "3600"),
        ("allow", "GET, HEAD, OPTIONS"),
    ] {
        assert_eq!(preflight.header(name), Some(value), "{name}");
    }
    let odd = Method::from_bytes(b"BREW").unwrap();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE, Method::CONNECT, odd] {
        let refused = ask(&mcp(), method, &format!("{ROOT}/mcp")).await;
        assert_eq!((refused.status.as_u16(), &*refused.body), (405, ""));
        assert_eq!(refused.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    }
}

#[tokio::test]
async fn the_document_is_served_at_one_url_only() {
    // (135)
    for odd in [
        "/",
        "/mcp",
        ROOT,
        "/.well-known/oauth-protected-resource/",
        "/.well-known/oauth-protected-resource/mcp/",
        "/.well-known/oauth-protected-resource//mcp",
        "//.well-known/oauth-protected-resource/mcp",
        "/.well-known//oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource/MCP",
        "/.well-known/oauth-protected-resource/mc%70",
        "/.well-known/oauth-protected-resource%2Fmcp",
        "/%2Ewell-known/oauth-protected-resource/mcp",
        "/x/../.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource/mcp/x",
        "/.well-known/oauth-protected-resource/mcp;x",
        "/.well-known/oauth-protected-resource/mcp?",
        "/.well-known/oauth-protected-resource/mcp?resource=https://api.example.com",
        "*",
    ] {
        for method in [Method::GET, Method::OPTIONS, Method::POST] {
            let missing = ask(&mcp(), method, odd).await;
            assert_eq!((missing.status.as_u16(), &*missing.body), (404, ""), "{odd}");
        }
    }
    let with_query = ProtectedResourceMetadata::new("https://api.example.com/r?k1=v1").unwrap();
    for (target, status) in [("/r?k1=v1", 200), ("/r", 404), ("/r?k1=v2", 404), ("/r?k1=v1&k2", 404)] {
        let target = format!("{ROOT}{target}");
        assert_eq!(ask(&with_query, Method::GET, &target).await.status, status);
        let routes: Router = metadata_routes(&with_query);
        assert_eq!(send(&routes, Request::get(target)).await.status, status);
    }
}

#[tokio::test]
async fn by_option_the_document_is_at_the_root_and_with_a_slash_as_well() {
    let stack = Stack::new();
    let metadata = mcp().also_at_root().also_with_slash();
    let api = Router::new().route("/mcp", get(async || "files")).layer(AuthLayer::new(stack.keys.clone()));
    let app: Router = metadata_routes(&metadata).merge(api);
    let own = ask(&metadata, Method::GET, metadata.well_known_path()).await;
    assert_eq!(own.json()["resource"], "https://api.example.com/mcp");
    for path in [ROOT.to_owned(), format!("{ROOT}/mcp"), format!("{ROOT}/mcp/")] {
        assert_eq!(ask(&metadata, Method::GET, &path).await.seen(), own.seen(), "{path}");
        assert_eq!(send(&app, Request::get(&path)).await.body, own.body, "{path}");
    }
    for odd in [format!("{ROOT}/"), format!("{ROOT}/mcp//"), format!("{ROOT}/other"), "/mcp".to_owned()] {
        assert_eq!(ask(&metadata, Method::GET, &odd).await.status, 404, "{odd}");
    }
    assert!(metadata.well_known_url().ends_with("/mcp"), "the challenge names the one URL");
}

#[tokio::test]
async fn by_option_the_document_of_a_resource_with_a_slash_is_at_the_path_without_it() {
    let metadata = ProtectedResourceMetadata::new("https://api.example.com/mcp/").unwrap().also_with_slash();
    for path in [format!("{ROOT}/mcp"), format!("{ROOT}/mcp/")] {
        assert_eq!(ask(&metadata, Method::GET, &path).await.json()["resource"], "https://api.example.com/mcp/");
    }
}

#[test]
fn further_paths_of_a_document_never_collide_in_a_router() {
    for resource in ["https://a.example", "https://a.example/", "https://a.example/?q", "https://a.example/r?q=/"] {
        let metadata = ProtectedResourceMetadata::new(resource).unwrap();
        let metadata = metadata.also_at_root().also_at_root().also_with_slash();
        let _: Router = metadata_routes(&metadata);
    }
}

#[tokio::test]
async fn merged_outside_of_the_layer_only_the_document_is_public() {
    // (135), (136)
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let app = app(&stack);
    let there = format!("{ROOT}/mcp");
    let found = send(&app, Request::get(&there)).await;
    assert_eq!((found.status.as_u16(), found.json()["resource"].as_str()), (200, Some("https://api.example.com/mcp")));
    // Whatever is sent along: it is not looked at.
    for (name, value) in [("authorization", "Bearer a b"), ("x-api-key", "bad"), ("cookie", "a=b")] {
        assert_eq!(send(&app, Request::get(&there).header(name, value)).await.seen(), found.seen());
    }
    assert_eq!(send(&app, Request::head(&there)).await.headers, found.headers);
    assert_eq!(send(&app, Request::options(&there)).await.status, 204);
    let posted = send(&app, Request::post(&there)).await;
    assert_eq!((posted.status.as_u16(), posted.header("allow")), (405, Some("GET, HEAD, OPTIONS")));

    // The application has a route for all that is beside it, and nobody comes there without a key.
    for odd in [ROOT, &format!("{there}/"), &format!("{ROOT}//mcp"), &format!("{ROOT}/mc%70"), "/mcp"] {
        assert_eq!(send(&app, Request::get(odd)).await.status, 401, "{odd}");
        assert_eq!(send(&app, Request::get(odd).header("x-api-key", key.expose())).await.status, 200, "{odd}");
    }
    assert_eq!(send(&app, Request::get(format!("/{there}"))).await.status, 401, "a path that there is not");
}

#[tokio::test]
async fn merged_into_the_application_only_its_own_fallback_stays_behind_the_layer() {
    let stack = Stack::new();
    let api = || Router::new().route("/mcp", get(async || "files"));
    let (open, guarded) = (metadata_routes(&mcp()), AuthLayer::new(stack.keys.clone()));
    // There is nothing to protect in axum's own fallback, and it is not behind the layer any more.
    let bare: Router = api().layer(guarded.clone()).merge(open.clone());
    assert_eq!(send(&bare, Request::get("/nowhere")).await.status, 404);
    let own: Router = api().fallback(async || "secret").layer(guarded).merge(open);
    for app in [bare, own.clone()] {
        assert_eq!(send(&app, Request::get("/mcp")).await.status, 401);
        assert_eq!(send(&app, Request::get(format!("{ROOT}/mcp"))).await.status, 200);
    }
    assert_eq!(send(&own, Request::get("/nowhere")).await.status, 401);
}

#[tokio::test]
async fn a_segment_that_looks_like_a_placeholder_is_literal() {
    for tail in ["/:id", "/*rest"] {
        let metadata = ProtectedResourceMetadata::new(&format!("https://api.example.com{tail}")).unwrap();
        let routes: Router = metadata_routes(&metadata);
        assert_eq!(send(&routes, Request::get(format!("{ROOT}{tail}"))).await.status, 200);
        assert_eq!(send(&routes, Request::get(format!("{ROOT}/x"))).await.status, 404);
    }
}

#[tokio::test]
async fn no_host_or_forwarding_field_changes_the_document() {
    // (134), over a real connection.
    let stack = Stack::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, app(&stack)).into_future());
    let ask = async |target: &str, fields: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    };
    let there = format!("{ROOT}/mcp");
    for (target, fields) in [
        (there.clone(), "Host: api.example.com\r\n"),
        (there.clone(), "Host: evil.example\r\n"),
        (there.clone(), "Host: api.example.com\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\n"),
        (there.clone(), "Host: api.example.com\r\nForwarded: host=evil.example\r\n"),
        (format!("http://evil.example{there}"), "Host: evil.example\r\n"),
    ] {
        let response = ask(&target, fields).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.ends_with(&mcp().to_json()) && !response.contains("evil"), "{response}");
    }
    // Nor the challenge.
    let refused = ask("/mcp", "Host: evil.example\r\nX-Forwarded-Host: evil.example\r\n").await;
    assert!(refused.contains("https://api.example.com/.well-known/oauth-protected-resource/mcp"), "{refused}");
    assert!(refused.starts_with("HTTP/1.1 401 ") && !refused.contains("evil"), "{refused}");
    server.abort();
}

#[tokio::test]
async fn the_challenge_comes_from_the_same_declaration() {
    let challenge = async |metadata: ProtectedResourceMetadata| {
        let stack = Stack::with(|keys| keys, |layer| layer.challenge(metadata.challenge()));
        let missing = stack.send(request()).await.header("www-authenticate").unwrap().to_owned();
        (missing, stack.send(bearer("sk_agent_bad")).await.header("www-authenticate").unwrap().to_owned())
    };
    let url = "resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource/mcp\"";
    let (missing, invalid) = challenge(mcp()).await;
    let start = format!("Bearer realm=\"https://api.example.com/mcp\", {url}, scope=\"files:read files:write\"");
    assert_eq!(missing, start);
    assert!(invalid.starts_with(&format!("{start}, error=\"invalid_token\", ")));

    let (missing, _) = challenge(mcp().realm("billing").unwrap().scopes(Scopes::default()).unwrap()).await;
    assert_eq!(missing, format!("Bearer realm=\"billing\", {url}"));
}

#[test]
fn an_invalid_realm_is_refused_at_build_time() {
    // (137)
    for bad in ["bill\"ing", "bill\\ing", "bill\r\ning", "bill\ting", "billing\u{7f}", "Müller"] {
        assert_eq!(mcp().realm(bad).unwrap_err().kind(), ConfigErrorKind::Challenge, "{bad:?}");
        assert!(Challenge::new(bad).is_err());
    }
}
