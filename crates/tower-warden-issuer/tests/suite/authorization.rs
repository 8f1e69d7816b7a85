//! The authorization endpoint, which is for development.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use tower_warden::{
    Eventual, Unavailable,
    jwt::Algorithm,
    request::{ClientAddressLayer, TrustedProxies, UnixPeer},
    revocation::MemoryRevocationList,
};
use tower_warden_issuer::{
    AutoConsent, Client, ClientStore, GrantType, MemoryClientStore, SigningKeys, TokenIssuer, TokenIssuerBuilder,
};

use crate::{
    code_support::{CALLBACK, CHALLENGE, CodeFlow, LOCAL, authorization, interactive, peer, query, redirected},
    support::{BILLING, ISSUER, ORDERS, Reply, Setup, client, send},
};

#[tokio::test]
async fn the_response_has_a_code_the_state_and_the_issuer() {
    let reply = CodeFlow::new().authorize(&[]).await;
    let parameters = redirected(&reply, CALLBACK);
    assert_eq!(parameters.keys().collect::<Vec<_>>(), ["code", "iss", "state"]);
    assert_eq!((&*parameters["state"], &*parameters["iss"], parameters["code"].len()), ("s 1&2", LOCAL, 43));
}

#[tokio::test]
async fn the_response_is_not_stored_and_sends_no_referrer() {
    let reply = CodeFlow::new().authorize(&[]).await;
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert_eq!(reply.headers["referrer-policy"], "no-referrer");
}

#[tokio::test]
async fn without_a_state_none_is_returned() {
    for state in [None, Some("")] {
        let parameters = redirected(&CodeFlow::new().authorize(&[("state", state)]).await, CALLBACK);
        assert_eq!(parameters.keys().collect::<Vec<_>>(), ["code", "iss"]);
    }
}

#[tokio::test]
async fn the_parameters_are_added_to_the_query_of_the_redirect_uri() {
    let flow = CodeFlow::new();
    flow.clients
        .insert(interactive(client("desktop")).public().redirect_uri("https://app.example.com/cb?a=1").unwrap());
    let reply = flow.authorize(&[("redirect_uri", Some("https://app.example.com/cb?a=1"))]).await;
    assert_eq!(redirected(&reply, "https://app.example.com/cb?a=1").len(), 3);
}

// (257)
#[tokio::test]
async fn the_port_of_a_loopback_redirect_uri_may_differ_and_nothing_else() {
    let flow = CodeFlow::new();
    let uris = ["http://[::1]/callback", "http://localhost:1/callback?a=1", "https://app.example.com/callback"];
    let desktop = uris.iter().fold(interactive(client("desktop")), |client, uri| client.redirect_uri(uri).unwrap());
    flow.clients.insert(desktop.public());
    for uri in [
        CALLBACK,
        "http://127.0.0.1:1/callback",
        "http://127.0.0.1/callback",
        "http://[::1]:65535/callback",
        "http://[::1]/callback",
        "http://localhost:5000/callback?a=1",
        "https://app.example.com/callback",
    ] {
        redirected(&flow.authorize(&[("redirect_uri", Some(uri))]).await, uri);
    }
    for uri in [
        "http://127.0.0.1:5000/callback/",
        "http://127.0.0.1:5000/Callback",
        "http://127.0.0.1:5000/callback?a=1",
        "http://127.0.0.1:5000/callback#a",
        "http://127.0.0.1:5000/x/../callback",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:65536/callback",
        "http://127.0.0.1:/callback",
        "http://127.0.0.1:+80/callback",
        "http://127.0.0.1:5000@evil.example.com/callback",
        "http://127.0.0.1:5000\\@evil.example.com/callback",
        "http://127.0.0.1.evil.example.com:5000/callback",
        "http://127.0.0.2:5000/callback",
        "http://localhost:5000/callback",
        "HTTP://127.0.0.1:5000/callback",
        "https://127.0.0.1:5000/callback",
        "https://app.example.com:443/callback",
        "https://app.example.com:8443/callback",
        "https://APP.example.com/callback",
        "javascript:alert(1)",
    ] {
        assert_direct(&flow.authorize(&[("redirect_uri", Some(uri))]).await, 400, "invalid_request");
    }
}

// (257)
#[tokio::test]
async fn whatever_a_request_names_the_code_goes_to_the_host_and_path_of_the_client() {
    let flow = CodeFlow::new();
    let mut accepted = 0;
    for position in 0..=CALLBACK.len() {
        for byte in *b"0123456789aZ@:/\\?#%&.[]+-_~!;" {
            for rest in [position, (position + 1).min(CALLBACK.len())] {
                let uri = format!("{}{}{}", &CALLBACK[..position], char::from(byte), &CALLBACK[rest..]);
                let reply = flow.authorize(&[("redirect_uri", Some(&uri))]).await;
                let Some(location) = reply.headers.get("location") else { continue };
                let (port, target) = location.to_str().unwrap()["http://127.0.0.1:".len()..].split_once('/').unwrap();
                assert!(port.bytes().all(|byte| byte.is_ascii_digit()), "{uri}");
                assert!(uri == format!("http://127.0.0.1:{port}/callback") && target.starts_with("callback?"), "{uri}");
                accepted += 1;
            }
        }
    }
    // Another digit of the port, or one more: those up to 65535.
    assert!((40..120).contains(&accepted), "{accepted}");
}

/// Asserts that an error was not sent to a redirect URI.
#[track_caller]
fn assert_direct(reply: &Reply, status: u16, code: &str) {
    reply.assert_error(status, code);
    assert!(!reply.headers.contains_key(header::LOCATION));
}

// (256)
#[tokio::test]
async fn errors_about_the_client_and_its_redirect_uri_are_not_redirected() {
    let flow = CodeFlow::new();
    for (name, value) in [
        ("client_id", None),
        ("client_id", Some("unknown")),
        ("client_id", Some("DESKTOP")),
        ("redirect_uri", None),
        ("redirect_uri", Some("https://evil.example.com/callback")),
    ] {
        assert_direct(&flow.authorize(&[(name, value)]).await, 400, "invalid_request");
    }
}

#[tokio::test]
async fn a_malformed_query_and_a_repeated_parameter_are_refused() {
    let flow = CodeFlow::new();
    for part in ["state=a", "client_id=desktop", "x=%zz", "x=%ff", "x=1&x=2"] {
        let request = authorization(&format!("{}&{part}", query(&[])));
        assert_direct(&flow.send(request).await, 400, "invalid_request");
    }
    let request = authorization("");
    assert_direct(&flow.send(request).await, 400, "invalid_request");
}

// (258)
#[tokio::test]
async fn errors_are_sent_to_the_redirect_uri_with_the_state_and_the_issuer() {
    let flow = CodeFlow::new();
    flow.clients.insert(interactive(client("machine")).grants([GrantType::ClientCredentials]));
    for (change, error) in [
        (("response_type", None), "invalid_request"),
        (("response_type", Some("token")), "unsupported_response_type"),
        (("response_type", Some("code id_token")), "unsupported_response_type"),
        (("response_mode", Some("fragment")), "invalid_request"),
        (("request", Some("eyJ")), "request_not_supported"),
        (("request_uri", Some("https://app.example.com/request")), "request_uri_not_supported"),
        (("code_challenge", None), "invalid_request"),
        (("code_challenge", Some(&CHALLENGE[..42])), "invalid_request"),
        (("code_challenge", Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=")), "invalid_request"),
        (("code_challenge_method", None), "invalid_request"),
        (("code_challenge_method", Some("plain")), "invalid_request"),
        (("code_challenge_method", Some("s256")), "invalid_request"),
        (("scope", Some("admin")), "invalid_scope"),
        (("scope", Some("a\"b")), "invalid_scope"),
        (("resource", Some("https://other.example.com")), "invalid_target"),
        (("dpop_jkt", Some("abc")), "invalid_request"),
        (("client_id", Some("machine")), "unauthorized_client"),
    ] {
        let parameters = redirected(&flow.authorize(&[change]).await, CALLBACK);
        assert_eq!(parameters["error"], error, "{change:?}");
        assert_eq!((&*parameters["state"], &*parameters["iss"]), ("s 1&2", LOCAL));
        assert!(!parameters.contains_key("code"));
    }
}

#[tokio::test]
async fn two_resources_are_refused() {
    let request = authorization(&format!("{}&resource={ORDERS}&resource={BILLING}", query(&[])));
    let parameters = redirected(&CodeFlow::new().send(request).await, CALLBACK);
    assert_eq!(parameters["error"], "invalid_target");
}

#[tokio::test]
async fn the_application_chooses_the_subject_and_may_deny() {
    let consent = AutoConsent::deciding(|request| {
        assert_eq!((request.redirect_uri, request.resource), (CALLBACK, ORDERS));
        match request.client_id {
            "desktop" => Some(format!("user of {}", request.scopes).into()),
            "empty" => Some("".into()),
            _ => None,
        }
    });
    let flow = CodeFlow::with(consent, |builder| builder);
    let reply = flow.redeem(&flow.code(&[]).await, &[]).await;
    assert_eq!(crate::support::claims(reply.token())["sub"], "user of orders:read");
    flow.clients.insert(interactive(client("empty")).public());
    for id in ["web", "empty"] {
        let parameters = redirected(&flow.authorize(&[("client_id", Some(id))]).await, CALLBACK);
        assert_eq!(parameters["error"], "access_denied");
    }
}

#[tokio::test]
async fn other_methods_than_get_are_refused() {
    let flow = CodeFlow::new();
    for method in [Method::POST, Method::HEAD, Method::OPTIONS] {
        let mut request = authorization(&query(&[]));
        *request.method_mut() = method;
        let reply = flow.send(request).await;
        assert_eq!((reply.status.as_u16(), &reply.headers["allow"]), (405, &"GET".parse().unwrap()));
    }
}

/// A request with another address, which may be absent.
fn from(address: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = authorization(&query(&[]));
    request.extensions_mut().clear();
    request.extensions_mut().extend(address.map(peer).into_iter().fold(http::Extensions::new(), |mut all, peer| {
        all.insert(peer);
        all
    }));
    request
}

// (259)
#[tokio::test]
async fn a_request_from_another_machine_is_refused() {
    let flow = CodeFlow::new();
    for address in ["192.168.0.7", "10.0.0.1", "203.0.113.1", "fe80::1", "0.0.0.0", "::"] {
        assert_direct(&flow.send(from(Some(address))).await, 403, "access_denied");
    }
    for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
        redirected(&flow.send(from(Some(address))).await, CALLBACK);
    }
}

// (259)
#[tokio::test]
async fn a_request_whose_address_is_unknown_is_refused() {
    let flow = CodeFlow::new();
    assert_direct(&flow.send(from(None)).await, 403, "access_denied");
    let mut request = from(None);
    request.extensions_mut().insert(UnixPeer);
    assert_direct(&flow.send(request).await, 403, "access_denied");
}

// (259)
#[tokio::test]
async fn a_request_that_a_proxy_on_this_machine_forwards_for_another_one_is_refused() {
    use tower::{Layer, ServiceExt};
    let flow = CodeFlow::new();
    let proxies = TrustedProxies::new(["127.0.0.0/8".parse().unwrap()]);
    for (client, status) in [("203.0.113.1", 403), ("127.0.0.1", 302)] {
        let service = ClientAddressLayer::new(proxies.clone()).layer(flow.issuer.service::<Full<Bytes>>());
        let mut request = authorization(&query(&[]));
        request.headers_mut().insert("x-forwarded-for", client.parse().unwrap());
        assert_eq!(service.oneshot(request).await.unwrap().status(), status, "{client}");
    }
}

// (259)
#[tokio::test]
async fn a_request_that_a_proxy_has_passed_on_is_refused_without_the_layer_that_resolves_its_address() {
    let flow = CodeFlow::new();
    for (name, value) in [
        ("forwarded", "for=127.0.0.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("via", "1.1 proxy"),
    ] {
        let mut request = authorization(&query(&[]));
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_direct(&flow.send(request).await, 403, "access_denied");
    }
}

// (260)
#[tokio::test]
async fn a_request_to_another_host_name_is_refused() {
    let flow = CodeFlow::new();
    for host in ["rebound.example.com:3001", "127.0.0.1.example.com", "localhost.", "127.0.0.1:x y", "", "0.0.0.0:3001"]
    {
        let mut request = authorization(&query(&[]));
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        assert_direct(&flow.send(request).await, 403, "access_denied");
    }
    let mut absent = authorization(&query(&[]));
    absent.headers_mut().remove(header::HOST);
    assert_direct(&flow.send(absent).await, 403, "access_denied");
    let mut repeated = authorization(&query(&[]));
    repeated.headers_mut().append(header::HOST, "localhost".parse().unwrap());
    assert_direct(&flow.send(repeated).await, 403, "access_denied");
    // The authority of HTTP/2, beside a field that says otherwise.
    let mut mixed = authorization(&query(&[]));
    *mixed.uri_mut() = format!("http://rebound.example.com{}", mixed.uri()).parse().unwrap();
    assert_direct(&flow.send(mixed).await, 403, "access_denied");
    for host in ["localhost:3001", "[::1]:3001", "127.0.0.1"] {
        let mut request = authorization(&query(&[]));
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        redirected(&flow.send(request).await, CALLBACK);
    }
}

fn builder(name: &str) -> TokenIssuerBuilder {
    let clients = MemoryClientStore::default();
    clients.insert(interactive(client("desktop")).public());
    TokenIssuer::builder(name, clients, SigningKeys::generate(Algorithm::ES256).unwrap()).unwrap()
}

#[tokio::test]
async fn an_issuer_that_is_not_loopback_is_refused_unless_the_option_accepts_it() {
    let consent = AutoConsent::new("alice").unwrap();
    for name in [ISSUER, "https://localhost.example.com", "https://192.168.0.7"] {
        let list = MemoryRevocationList::default();
        let error = builder(name).revocations(list.clone()).auto_consent(consent.clone()).build().unwrap_err();
        assert!(error.to_string().contains("AutoConsent::danger_beyond_loopback"), "{error}");
        let consent = consent.clone().danger_beyond_loopback();
        let issuer = builder(name).revocations(list).auto_consent(consent).build().unwrap();
        // Any peer, and any name.
        let mut request = from(Some("203.0.113.1"));
        request.headers_mut().insert(header::HOST, "auth.example.com".parse().unwrap());
        redirected(&send(&issuer, request).await, CALLBACK);
        redirected(&send(&issuer, from(None)).await, CALLBACK);
    }
}

#[test]
fn an_issuer_without_a_list_of_revocations_is_refused() {
    let error = builder(LOCAL).auto_consent(AutoConsent::new("alice").unwrap()).build().unwrap_err();
    assert!(error.to_string().contains("revocations"), "{error}");
}

#[test]
fn subjects_and_lifetimes_out_of_range_are_refused() {
    use std::time::Duration;
    let consent = || AutoConsent::new("alice").unwrap();
    assert!(AutoConsent::new("").is_err() && AutoConsent::new(&"a".repeat(257)).is_err());
    for millis in [0, 999, 60_001, 61_000, u64::MAX] {
        assert!(consent().code_lifetime(Duration::from_millis(millis)).is_err(), "{millis}");
    }
    assert!(consent().code_lifetime(Duration::from_secs(1)).is_ok());
}

#[tokio::test]
async fn without_the_option_no_code_is_issued_and_there_is_no_public_client() {
    let setup = Setup::new();
    setup.clients.insert(interactive(client("desktop")).public());
    let reply = setup.send(authorization(&query(&[]))).await;
    assert_eq!((reply.status.as_u16(), reply.headers.get("location")), (400, None));
    let form = "client_id=desktop&grant_type=authorization_code&code=a&redirect_uri=b&code_verifier=c";
    setup.send(crate::support::form_request(form)).await.assert_error(401, "invalid_client");
    setup.post("grant_type=authorization_code&code=a").await.assert_error(400, "unsupported_grant_type");
}

#[test]
fn redirect_uris_that_reveal_a_code_are_refused() {
    let long = format!("https://app.example.com/{}", "a".repeat(512));
    for uri in [
        "",
        "callback",
        "/callback",
        "http://app.example.com/callback",
        "http://127.0.0.2/callback",
        "https://app.example.com/callback#part",
        "https://app.example.com/callback#",
        "https://user:secret@app.example.com/callback",
        "com.example.app:/callback",
        "javascript:alert(1)",
        "https://",
        "https://app.example.com/a b",
        &long,
    ] {
        let error = client("a").redirect_uri(uri).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_code_is_not_issued_while_the_store_of_clients_does_not_respond() {
    struct Failing(AtomicBool, MemoryClientStore);
    impl ClientStore for Failing {
        fn find(&self, id: &str) -> Eventual<Result<Option<Arc<Client>>, Unavailable>> {
            match self.0.load(Ordering::Relaxed) {
                true => Eventual::Now(Err(Unavailable::new("the store"))),
                false => self.1.find(id),
            }
        }
    }
    let clients = MemoryClientStore::default();
    clients.insert(interactive(client("desktop")).public());
    let clients = Arc::new(Failing(AtomicBool::new(true), clients));
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
    let issuer = TokenIssuer::builder(LOCAL, Arc::clone(&clients), keys).unwrap();
    let issuer = issuer.revocations(MemoryRevocationList::default()).auto_consent(AutoConsent::new("alice").unwrap());
    let issuer = issuer.build().unwrap();
    let reply = send(&issuer, authorization(&query(&[]))).await;
    assert_direct(&reply, 503, "temporarily_unavailable");
    clients.0.store(false, Ordering::Relaxed);
    redirected(&send(&issuer, authorization(&query(&[]))).await, CALLBACK);
}

#[tokio::test]
async fn no_code_is_issued_while_the_store_of_codes_is_full_and_expired_codes_make_room() {
    let flow = CodeFlow::new();
    for _ in 0..2000 {
        flow.code(&[]).await;
    }
    let parameters = redirected(&flow.authorize(&[]).await, CALLBACK);
    assert_eq!(parameters["error"], "temporarily_unavailable");
    flow.advance(60);
    flow.code(&[]).await;
}

#[tokio::test]
async fn the_routes_for_axum_have_the_endpoint_and_read_the_address_of_the_peer() {
    use std::net::SocketAddr;

    use axum::{body::Body, extract::ConnectInfo};
    use tower::ServiceExt;
    use tower_warden_issuer::issuer_routes;

    let consent = AutoConsent::new("alice").unwrap();
    let issuer =
        builder("http://localhost:3001/auth").revocations(MemoryRevocationList::default()).auto_consent(consent);
    let app: axum::Router = issuer_routes(&issuer.build().unwrap());
    for (address, status) in [("127.0.0.1:49152", 302), ("192.168.0.7:49152", 403)] {
        let request =
            Request::get(format!("/auth/oauth/authorize?{}", query(&[]))).header(header::HOST, "localhost:3001");
        let request =
            request.extension(ConnectInfo::<SocketAddr>(address.parse().unwrap())).body(Body::empty()).unwrap();
        assert_eq!(app.clone().oneshot(request).await.unwrap().status(), status, "{address}");
    }
}
