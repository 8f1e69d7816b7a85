//! Addresses that the built-in client connects to, private authorities, and plain http where it is declared.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::State, response::IntoResponse, routing::any};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_warden::{
    ConfigError, ConfigErrorKind, Unavailable,
    certificate::ChainStatus,
    fetch::{Fetch, HttpClient},
    introspection::Introspection,
    jwt::RemoteKeys,
    metadata::ProtectedResourceMetadata,
    request::Network,
    scheme::Challenge,
    testing::TestIssuer,
};
use tower_warden_tls::{TlsAcceptor, TlsListener};

use crate::{introspection_endpoint::issuer, pki::Authority, secrets::listen};

const LOOPBACK: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
/// It ends by itself, however slow the machine is.
const LONG: Duration = Duration::from_secs(600);
/// Addresses of this machine, in forms that clients read as such.
const UNUSUAL: [&str; 12] = [
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0X7F.0.0.1",
    "0x7f000001",
    "2130706433",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "127.0.0.01",
    "[::ffff:127.0.0.1]",
    "[0:0:0:0:0:0:0:1]",
];

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

/// A server on loopback that counts the connections it accepts and closes.
async fn counting() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, connections) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, connections)
}

async fn get(client: &HttpClient, url: &str) -> Result<(), Unavailable> {
    let request = http::Request::get(url).body(bytes::Bytes::new()).unwrap();
    client.fetch(request, 1024).wait().await.map(drop)
}

fn cause(error: &Unavailable) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

/// An issuer at this origin, with its metadata and keys.
fn routes(name: &str) -> Router {
    let issuer = TestIssuer::new(name);
    let (metadata, keys) = (issuer.metadata(), issuer.jwk_set());
    let serve = async |State(value): State<Value>| Json(value);
    Router::new()
        .route("/jwks", any(serve).with_state(keys))
        .route("/.well-known/oauth-authorization-server", any(serve).with_state(metadata))
        .route("/introspect", any(async || Json(json!({ "active": true, "sub": "alice" })).into_response()))
}

/// An issuer by plain http on loopback, under a name that only the client knows.
async fn plain() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("http://keycloak.internal:{}", listener.local_addr().unwrap().port());
    let routes = routes(&name);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    name
}

// (80)
#[tokio::test]
async fn loopback_address_in_an_unusual_form_is_not_reached() {
    let (port, connections) = counting().await;
    let client = HttpClient::new().unwrap();
    for host in UNUSUAL {
        let error = get(&client, &format!("https://{host}:{port}/")).await.unwrap_err();
        assert_eq!(cause(&error), "the address is not allowed", "{host}");
        assert!(get(&client, &format!("http://{host}:{port}/")).await.is_err(), "{host}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    // Declared, it is reached under each of them; what fails is TLS.
    let client = HttpClient::allowing_networks([network("127.0.0.0/8"), network("::1")]).unwrap();
    for host in &UNUSUAL[..11] {
        let before = connections.load(Ordering::SeqCst);
        let error = get(&client, &format!("https://{host}:{port}/")).await.unwrap_err();
        assert_ne!(cause(&error), "the address is not allowed", "{host}");
        assert_eq!(connections.load(Ordering::SeqCst), before + 1, "{host}");
    }
}

// (80)
#[test]
fn unusual_form_of_an_address_is_refused_at_build() {
    let others = ["10.1", "0x08.8.8.8", "1.1.1.1.", "8.8.2056", "999.1.1.1"];
    for host in UNUSUAL.into_iter().filter(|host| !host.starts_with('[')).chain(others) {
        for scheme in ["https", "http"] {
            let url = format!("{scheme}://{host}");
            assert!(RemoteKeys::new(&url).is_err(), "{url}");
            assert!(RemoteKeys::discovery(&url).build().is_err(), "{url}");
            assert!(Introspection::new(issuer(), &url, "api", "secret").is_err(), "{url}");
            assert!(ProtectedResourceMetadata::new(&url).is_err(), "{url}");
            assert!(Challenge::default().resource_metadata(&url).is_err(), "{url}");
            let metadata = ProtectedResourceMetadata::new("https://api.example").unwrap();
            assert!(metadata.authorization_server(&url).is_err(), "{url}");
        }
    }
    for host in ["1e100.example", "0x7f.example", "127.0.0.1.example", "example.", "7", "a.b7"] {
        let is_name = host != "7";
        assert_eq!(RemoteKeys::new(&format!("https://{host}/keys")).is_ok(), is_name, "{host}");
    }
}

// (80)
#[tokio::test]
async fn name_that_resolves_to_a_forbidden_address_is_not_reached() {
    let (port, connections) = counting().await;
    let url = format!("https://issuer.test:{port}/");
    let resolving = |addresses: &[&str]| {
        HttpClient::builder().resolve("Issuer.test", addresses.iter().map(|address| address.parse().unwrap()))
    };
    for addresses in [&["127.0.0.1"][..], &["::ffff:127.0.0.1", "10.0.0.1"], &["169.254.169.254", "127.0.0.1"]] {
        let error = get(&resolving(addresses).build().unwrap(), &url).await.unwrap_err();
        let mut causes = Vec::new();
        let mut next = error.source();
        while let Some(error) = next {
            causes.push(error.to_string());
            next = error.source();
        }
        let text = causes.join(": ");
        assert!(text.contains("the address is not allowed") && text.contains("allowing_networks"), "{text}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    let allowed = resolving(&["10.0.0.1", "127.0.0.1"]).allow_networks([network("127.0.0.1")]).build().unwrap();
    get(&allowed, &url).await.unwrap_err();
    assert_eq!(connections.load(Ordering::SeqCst), 1, "what fails is TLS");
}

#[tokio::test]
async fn private_address_of_an_issuer_is_an_error_at_start_that_names_the_option() {
    let assert_named = |error: ConfigError| {
        assert_eq!(error.kind(), ConfigErrorKind::HttpClient, "{error}");
        assert!(error.to_string().contains("HttpClient::allowing_networks"), "{error}");
    };
    for url in ["https://10.0.0.7/keys", "https://[fd00::7]/keys", "https://169.254.169.254/keys"] {
        assert_named(RemoteKeys::new(url).unwrap_err());
        assert_named(RemoteKeys::discovery(url).build().unwrap_err());
        assert_named(Introspection::new(issuer(), url, "api", "secret").unwrap_err());
    }
    assert!(RemoteKeys::builder("https://10.0.0.7/keys").fetch(reqwest::Client::new()).build().is_ok());
    let internal = HttpClient::allowing_networks([network("10.0.0.0/8")]).unwrap();
    assert!(RemoteKeys::builder("https://10.0.0.7/keys").fetch(internal).build().is_ok());
    // A name is resolved by the first fetch.
    let client = HttpClient::builder().resolve("issuer.test", ["10.0.0.7".parse().unwrap()]).build().unwrap();
    for builder in [RemoteKeys::builder("https://issuer.test/keys"), RemoteKeys::discovery("https://issuer.test")] {
        assert_named(builder.fetch(client.clone()).timeout(LONG).connect().await.unwrap_err());
    }
}

#[tokio::test]
async fn certificate_of_a_private_authority_is_trusted_if_configured() {
    let authority = Authority::new("internal");
    let (chain, key) = authority.server().for_rustls();
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into());
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    let acceptor = TlsAcceptor::from_server_config(config, ChainStatus::Unverified);
    let listener = TlsListener::bind("127.0.0.1:0", acceptor).await.unwrap();
    let name = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let routes = routes(&name);
    tokio::spawn(async move { axum::serve(listener, routes).await });

    let connect = async |client: HttpClient| {
        RemoteKeys::discovery(&name).fetch(client).timeout(LONG).connect().await.unwrap().is_ready()
    };
    assert!(!connect(HttpClient::new().unwrap()).await);
    let other = HttpClient::builder().root_certificates(&Authority::new("other").pem()).unwrap();
    assert!(!connect(other.build().unwrap()).await);
    let trusting = HttpClient::builder().root_certificates(&authority.pem()).unwrap();
    assert!(connect(trusting.build().unwrap()).await);
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA"] {
        let error = HttpClient::builder().root_certificates(text).and_then(|builder| builder.build()).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::HttpClient, "{text}");
    }
}

#[tokio::test]
async fn keys_are_fetched_by_plain_http_in_declared_networks_only() {
    let name = plain().await;
    let client = |networks: &[&str]| {
        let networks = networks.iter().map(|text| network(text));
        let builder = HttpClient::builder().resolve("keycloak.internal", LOOPBACK);
        builder.danger_plain_http(networks).build().unwrap()
    };
    let declared = client(&["127.0.0.0/8"]);
    let keys = format!("{name}/jwks");
    for builder in [|name: &str, _: &str| RemoteKeys::discovery(name), |_: &str, keys: &str| RemoteKeys::builder(keys)]
    {
        let builder = || builder(&name, &keys).timeout(LONG);
        let refused = builder().fetch(declared.clone()).build().unwrap_err();
        assert!(refused.to_string().contains("RemoteKeysBuilder::danger_plain_http"), "{refused}");
        let builder = || builder().danger_plain_http([network("127.0.0.0/8")]);
        let refused = builder().fetch(HttpClient::new().unwrap()).build().unwrap_err();
        assert!(refused.to_string().contains("danger_plain_http"), "{refused}");
        assert!(builder().fetch(reqwest::Client::new()).build().is_err(), "it sends nothing by plain http");
        // The name does not resolve to an address of the network.
        let elsewhere = builder().fetch(client(&["10.0.0.0/8"])).connect().await.unwrap_err();
        assert_eq!(elsewhere.kind(), ConfigErrorKind::HttpClient);
        assert!(builder().fetch(declared.clone()).connect().await.unwrap().is_ready());
    }
}

#[tokio::test]
async fn the_name_localhost_leads_to_this_machine_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let routes = routes(&name);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let connect = async |addresses: &[&str]| {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let client = HttpClient::builder().resolve("localhost", addresses).allow_networks([network("10.0.0.0/8")]);
        RemoteKeys::discovery(&name).fetch(client.build().unwrap()).timeout(LONG).connect().await
    };
    for elsewhere in ["8.8.8.8", "10.0.0.1", "2606:4700::1111"] {
        let error = connect(&[elsewhere]).await.unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::HttpClient, "{elsewhere}");
    }
    assert!(connect(&["8.8.8.8", "127.0.0.1"]).await.unwrap().is_ready(), "the other address is not used");
}

#[test]
fn plain_http_to_an_address_outside_of_the_declared_networks_is_refused_at_build() {
    let networks = || [network("192.168.1.0/24")];
    for (url, is_accepted) in [
        ("http://192.168.1.7/keys", true),
        ("http://192.168.2.7/keys", false),
        ("http://192.168.263/keys", false),
        ("http://[::ffff:192.168.1.7]/keys", true),
        ("http://8.8.8.8/keys", false),
        ("http://user@192.168.1.7/keys", false),
        ("ftp://192.168.1.7/keys", false),
        ("http://keycloak:8080/keys", true),
        ("https://auth.example/keys", true),
    ] {
        let keys = RemoteKeys::builder(url).danger_plain_http(networks()).build();
        assert_eq!(keys.is_ok(), is_accepted, "{url}: {keys:?}");
        let introspection = Introspection::builder(issuer(), url, "api", "secret").danger_plain_http(networks());
        assert_eq!(introspection.build().is_ok(), is_accepted, "{url}");
        assert!(RemoteKeys::builder(url).danger_plain_http([]).build().is_ok() == url.starts_with("https"), "{url}");
    }
}

#[tokio::test]
async fn metadata_may_refer_to_plain_http_only_where_it_is_declared() {
    let (log, _guard) = listen();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let issuer = format!("http://localhost:{port}");
    let metadata = json!({ "issuer": issuer, "jwks_uri": format!("http://keycloak.internal:{port}/jwks") });
    let routes = Router::new()
        .route("/.well-known/openid-configuration", any(async || Json(metadata)))
        .route("/jwks", any(async || Json(TestIssuer::new("https://issuer.test").jwk_set())));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let client = HttpClient::builder().resolve("keycloak.internal", LOOPBACK);
    let client = client.danger_plain_http([network("127.0.0.0/8")]).build().unwrap();
    let builder = || RemoteKeys::discovery(&issuer).fetch(client.clone()).timeout(LONG);
    assert!(!builder().connect().await.unwrap().is_ready());
    let text = log.text();
    let line = text.lines().find(|line| line.contains("could not be fetched")).unwrap();
    assert!(line.contains("RemoteKeysBuilder::danger_plain_http"), "{line}");
    assert!(builder().danger_plain_http([network("127.0.0.0/8")]).connect().await.unwrap().is_ready());
}

#[tokio::test]
async fn tokens_are_introspected_by_plain_http_and_without_credentials_only_if_declared() {
    use tower_warden::{Authenticator, Credential, Head, Presented, UnixTime};

    let endpoint = format!("{}/introspect", plain().await);
    let client = HttpClient::builder().resolve("keycloak.internal", LOOPBACK);
    let client = client.danger_plain_http([network("127.0.0.0/8")]).build().unwrap();
    let rules = || issuer().danger_any_audience();
    let refused = Introspection::new(rules(), &endpoint, "api", "secret").unwrap_err();
    assert!(refused.to_string().contains("IntrospectionBuilder::danger_plain_http"), "{refused}");
    let refused = Introspection::new(rules(), "https://hydra.example/introspect", "", "").unwrap_err();
    assert!(refused.to_string().contains("Introspection::danger_without_credentials"), "{refused}");
    for builder in [
        Introspection::builder(rules(), &endpoint, "api", "secret"),
        Introspection::danger_without_credentials(rules(), &endpoint),
        Introspection::danger_without_credentials(rules(), &endpoint).client_secret_post(),
    ] {
        let builder = builder.fetch(client.clone()).timeout(LONG);
        let introspection = builder.danger_plain_http([network("127.0.0.0/8")]).build().unwrap();
        let request = http::Request::new(());
        let presented = Presented::new(Credential::access_token("a"), Head::from(&request), UnixTime::default());
        assert_eq!(&*introspection.authenticate(&presented).wait().await.unwrap().subject, "alice");
    }
}

#[test]
fn metadata_of_a_resource_by_plain_http_is_written_only_if_declared() {
    let (resource, server) = ("http://api.svc:8080/v1", "http://192.168.1.7/realms/x");
    let refused = ProtectedResourceMetadata::new(resource).unwrap_err();
    assert!(refused.to_string().contains("ProtectedResourceMetadata::danger_plain_http"), "{refused}");
    let metadata = ProtectedResourceMetadata::danger_plain_http(resource).unwrap();
    let refused = metadata.clone().authorization_server(server).unwrap_err();
    assert!(refused.to_string().contains("danger_plain_http_authorization_server"), "{refused}");
    let metadata = metadata.danger_plain_http_authorization_server(server).unwrap();
    assert_eq!(metadata.well_known_url(), "http://api.svc:8080/.well-known/oauth-protected-resource/v1");
    assert!(metadata.to_json().contains(server) && format!("{:?}", metadata.challenge()).contains("http://api.svc"));
    for bad in ["ftp://api", "http://user@api", "http://api#x", "http://127.1", "http://", "api"] {
        assert!(ProtectedResourceMetadata::danger_plain_http(bad).is_err(), "{bad}");
        assert!(metadata.clone().danger_plain_http_authorization_server(bad).is_err(), "{bad}");
    }
}
