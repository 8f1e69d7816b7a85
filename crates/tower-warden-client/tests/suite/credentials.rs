//! The coordinator of credentials for several services.

use std::time::Duration;

use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_warden::{Environment, ManualClock};
use tower_warden_client::{
    TokenErrorKind,
    credentials::{Credentials, CredentialsBuilder, CredentialsConfig, CredentialsErrorKind},
    secret::{EnvironmentSecrets, SecretErrorKind},
};

use crate::{
    rotation::Rotating,
    server::Log,
    support::{NOW, Received, Server, get, reply, response},
};

fn config() -> CredentialsConfig {
    serde_json::from_value(json!({
        "development": {
            "billing": {
                "kind": "api_key", "origin": "http://127.0.0.1:1", "key_name": "BILLING", "field": "x-api-key",
                "created": "2027-01-01", "rotate_after_days": 20
            },
            "reports": { "kind": "api_key", "origin": "http://127.0.0.1:2", "key_name": "REPORTS" }
        },
        "staging": {
            "billing": {
                "kind": "client_credentials", "origin": "https://billing.staging.example", "auth": "post",
                "token_url": "https://auth.example/token", "client_id": "agent", "secret_name": "CLIENT",
                "scopes": ["billing:read"], "resource": "https://billing.staging.example"
            },
            "reports": {
                "kind": "json_login", "origin": "https://reports.staging.example",
                "login_url": "https://auth.example/login", "fields": { "agent_id": "agent-7" },
                "secret_names": { "agent_secret": "LOGIN" }
            }
        },
        "production": {
            "billing": {
                "kind": "mtls", "origin": "https://billing.example", "token_url": "https://auth.example/token",
                "client_id": "agent"
            }
        }
    }))
    .unwrap()
}

const BILLING: &str = "key_of_billing_0123456789";
const REPORTS: &str = "key_of_reports_0123456789";

pub(crate) fn secrets() -> EnvironmentSecrets {
    let login = ("LOGIN", "secret_of_the_login");
    EnvironmentSecrets::of([("BILLING", BILLING), ("REPORTS", REPORTS), ("CLIENT", "secret_of_the_client"), login])
}

/// A builder for an environment of one service, or of several.
pub(crate) fn build(services: &Value, secrets: EnvironmentSecrets) -> CredentialsBuilder {
    let config: CredentialsConfig = serde_json::from_value(json!({ "test": services })).unwrap();
    Credentials::builder(&config, "test", secrets).unwrap().http(Server::default())
}

pub(crate) fn clock() -> (Environment, ManualClock) {
    let clock = ManualClock::at(NOW);
    (Environment::default().with_clock(clock.clone()), clock)
}

/// Sends a request, and returns the header fields that an API receives.
pub(crate) async fn send(
    credentials: &Credentials,
    service: &str,
    url: &str,
) -> Result<http::HeaderMap, TokenErrorKind> {
    let received = Received::default();
    let client = credentials.layer_for(service).unwrap().layer(received.api(|_| response(200, "")));
    match client.oneshot(get(url)).await {
        Ok(_) => Ok(received.last().headers().clone()),
        Err(error) => {
            assert_eq!(received.count(), 0);
            Err(error.downcast_ref::<tower_warden_client::TokenError>().unwrap().kind())
        }
    }
}

#[tokio::test]
async fn one_interface_serves_the_keys_of_development_and_the_tokens_of_staging() {
    let development = Credentials::builder(&config(), "development", secrets()).unwrap().load().await.unwrap();
    let headers = send(&development, "billing", "http://127.0.0.1:1/invoices").await.unwrap();
    assert_eq!(headers["x-api-key"], BILLING);
    let headers = send(&development, "reports", "http://127.0.0.1:2/").await.unwrap();
    assert_eq!(headers["authorization"], format!("Bearer {REPORTS}"));

    let server = Server::default();
    let staging = Credentials::builder(&config(), "staging", secrets()).unwrap().http(server.clone());
    let staging = staging.load().await.unwrap();
    assert_eq!(server.count(), 0, "no token is obtained yet");
    let headers = send(&staging, "billing", "https://billing.staging.example/invoices").await.unwrap();
    assert_eq!(headers["authorization"], "Bearer token-1");
    let form = server.form();
    assert_eq!((&*form["client_id"], &*form["client_secret"]), ("agent", "secret_of_the_client"));
    assert_eq!((&*form["scope"], &*form["resource"]), ("billing:read", "https://billing.staging.example"));
    let headers = send(&staging, "reports", "https://reports.staging.example/").await.unwrap();
    assert_eq!(headers["authorization"], "Bearer token-2");
    assert_eq!(server.last().body(), r#"{"agent_id":"agent-7","agent_secret":"secret_of_the_login"}"#);
}

#[tokio::test]
async fn a_certificate_of_production_is_that_of_an_http_client_of_its_own() {
    let builder = || Credentials::builder(&config(), "production", secrets()).unwrap();
    let shared = Server::default();
    let error = builder().http(shared.clone()).load().await.unwrap_err();
    assert_eq!((error.kind(), error.service()), (CredentialsErrorKind::Config, Some("billing")));

    let own = Server::default();
    let credentials = builder().http(shared.clone()).http_for("billing", own.clone()).load().await.unwrap();
    send(&credentials, "billing", "https://billing.example/").await.unwrap();
    assert_eq!((shared.count(), own.count(), &*own.form()["client_id"]), (0, 1, "agent"));
}

#[tokio::test]
async fn an_unknown_environment_or_service_is_an_error_that_lists_the_known_ones() {
    let error = Credentials::builder(&config(), "prod", secrets()).unwrap_err().to_string();
    assert!(error.contains("prod (configured: development, production, staging)"), "{error}");
    let credentials = Credentials::builder(&config(), "development", secrets()).unwrap().load().await.unwrap();
    assert!(credentials.services().eq(["billing", "reports"]));
    let error = credentials.layer_for("biling").unwrap_err().to_string();
    assert!(error.contains("biling (configured: billing, reports)"), "{error}");
    let builder = Credentials::builder(&config(), "development", secrets()).unwrap();
    let error = builder.http_for("biling", Server::default()).load().await.unwrap_err();
    assert_eq!((error.kind(), error.service()), (CredentialsErrorKind::Config, Some("biling")));
}

#[tokio::test]
async fn a_credential_is_not_sent_to_another_service() {
    let credentials = Credentials::builder(&config(), "development", secrets()).unwrap().load().await.unwrap();
    for url in ["http://127.0.0.1:2/", "https://127.0.0.1:1/", "http://localhost:1/", "https://evil.example/"] {
        assert_eq!(send(&credentials, "billing", url).await.unwrap_err(), TokenErrorKind::Origin, "{url}");
    }
}

fn key(origin: &str, name: &str) -> Value {
    json!({ "kind": "api_key", "origin": origin, "key_name": name })
}

pub(crate) fn client(origin: &str, client_id: &str, name: &str) -> Value {
    json!({
        "kind": "client_credentials", "origin": origin, "token_url": "https://auth.example/token",
        "client_id": client_id, "secret_name": name
    })
}

#[tokio::test]
async fn two_services_with_one_origin_are_refused() {
    let services =
        json!({ "a": key("https://api.example", "BILLING"), "b": key("https://API.example:443", "REPORTS") });
    let error = build(&services, secrets()).load().await.unwrap_err();
    assert_eq!((error.kind(), error.service()), (CredentialsErrorKind::Config, Some("b")));
}

#[tokio::test]
async fn a_key_of_two_services_is_refused_by_its_name_and_by_its_value() {
    let services = json!({ "a": key("https://a.example", "BILLING"), "b": key("https://b.example", "BILLING") });
    let error = build(&services, secrets()).load().await.unwrap_err();
    assert_eq!((error.kind(), error.service()), (CredentialsErrorKind::Config, Some("b")));

    let services =
        json!({ "a": key("https://a.example", "BILLING"), "b": client("https://b.example", "agent", "SAME") });
    let same = EnvironmentSecrets::of([("BILLING", BILLING), ("SAME", BILLING)]);
    let error = build(&services, same).load().await.unwrap_err();
    assert_eq!(error.kind(), CredentialsErrorKind::Secret);
    assert!(!format!("{error} {error:?}").contains(BILLING));
}

#[tokio::test]
async fn two_services_with_one_file_of_a_token_are_refused() {
    let file = |origin, kind, member, path| {
        let mut service = json!({ "kind": kind, "origin": origin });
        service[member] = Value::from(path);
        if kind == "refresh" {
            service["token_url"] = "https://auth.example/token".into();
            service["client_id"] = "agent".into();
            service["auth"] = "none".into();
        }
        service
    };
    let services = |path| {
        let first = file("https://a.example", "token_file", "path", "/run/token");
        json!({ "a": first, "b": file("https://b.example", "refresh", "store", path) })
    };
    let error = build(&services("/run/token"), secrets()).load().await.unwrap_err();
    assert_eq!((error.kind(), error.service()), (CredentialsErrorKind::Config, Some("b")));
    assert!(build(&services("/run/refresh-token"), secrets()).load().await.is_ok());
}

#[tokio::test]
async fn one_client_of_an_authorization_server_may_serve_two_services() {
    let of = |second| {
        json!({
            "a": client("https://a.example", "agent", "CLIENT"), "b": client("https://b.example", second, "CLIENT")
        })
    };
    let credentials = build(&of("agent"), secrets()).load().await.unwrap();
    assert!(send(&credentials, "a", "https://a.example/").await.is_ok());
    assert!(send(&credentials, "b", "https://b.example/").await.is_ok());
    assert_eq!(build(&of("other"), secrets()).load().await.unwrap_err().kind(), CredentialsErrorKind::Config);
}

#[tokio::test]
async fn a_secret_that_is_missing_is_an_error_that_names_the_member_and_not_what_it_contains() {
    // The name may be a misplaced value.
    let misplaced = "0123456789abcdefghij";
    for (services, member) in [
        (json!({ "a": key("https://a.example", misplaced) }), "a.key_name"),
        (json!({ "a": client("https://a.example", "agent", misplaced) }), "a.secret_name"),
    ] {
        let error = build(&services, secrets()).load().await.unwrap_err();
        let printed = format!("{error} {error:?}");
        assert_eq!(error.kind(), CredentialsErrorKind::Secret);
        assert!(printed.contains(member) && !printed.contains(misplaced), "{printed}");
    }
}

#[tokio::test]
async fn a_key_or_a_private_key_that_is_malformed_is_an_error_at_start() {
    let malformed = EnvironmentSecrets::of([("BILLING", "two words of a key")]);
    let error =
        build(&json!({ "a": key("https://a.example", "BILLING") }), malformed.clone()).load().await.unwrap_err();
    assert_eq!(error.kind(), CredentialsErrorKind::Secret);

    let mut service = client("https://a.example", "agent", "-");
    service.as_object_mut().unwrap().remove("secret_name");
    service["auth"] = "private_key_jwt".into();
    service["issuer"] = "https://auth.example".into();
    service["private_key_name"] = "BILLING".into();
    let error = build(&json!({ "a": service.clone() }), malformed).load().await.unwrap_err();
    assert_eq!((error.kind(), error.service()), (CredentialsErrorKind::Secret, Some("a")));
    assert!(!format!("{error} {error:?}").contains("two words"));

    let pem = EnvironmentSecrets::of([("BILLING", include_str!("keys/first.pem"))]);
    assert!(build(&json!({ "a": service }), pem).load().await.is_ok());
}

#[tokio::test]
async fn a_rotated_secret_is_used_without_a_restart() {
    let (server, source) = (Server::default(), Rotating::new("first"));
    let config: CredentialsConfig =
        serde_json::from_value(json!({ "test": { "a": client("https://a.example", "agent", "CLIENT") } })).unwrap();
    let (environment, clock) = clock();
    let credentials = Credentials::builder(&config, "test", source.clone()).unwrap();
    let credentials = credentials.http(server.clone()).environment(&environment).load().await.unwrap();
    send(&credentials, "a", "https://a.example/").await.unwrap();
    source.rotate("second", NOW + Duration::from_secs(1_000_000));
    clock.advance(Duration::from_secs(3_600));
    server.next([reply(401, r#"{"error":"invalid_client"}"#)]);
    let headers = send(&credentials, "a", "https://a.example/").await.unwrap();
    assert_eq!((server.count(), &headers["authorization"]), (3, &"Bearer token-3".parse().unwrap()));
}

#[tokio::test]
async fn a_login_names_the_members_of_its_requests_and_responses() {
    let server = Server::default();
    let services = json!({ "a": {
        "kind": "json_login", "origin": "https://a.example", "login_url": "https://auth.example/login",
        "secret_names": { "agent_secret": "LOGIN" }, "token_member": "data.token", "expires_in_member": "data.ttl",
        "refresh_url": "https://auth.example/refresh", "refresh_member": "refresh",
        "refresh_token_member": "data.renewal"
    } });
    let (environment, clock) = clock();
    let credentials = build(&services, secrets()).http(server.clone()).environment(&environment).load().await.unwrap();
    let issued =
        |token: &str| reply(200, &format!(r#"{{"data":{{"token":"{token}","ttl":60,"renewal":"rt-{token}"}}}}"#));
    server.next([issued("one"), issued("two")]);
    send(&credentials, "a", "https://a.example/").await.unwrap();
    clock.advance(Duration::from_secs(60));
    let headers = send(&credentials, "a", "https://a.example/").await.unwrap();
    assert_eq!(headers["authorization"], "Bearer two");
    assert_eq!(server.last().uri(), "https://auth.example/refresh");
    assert_eq!(server.last().body(), r#"{"refresh":"rt-one"}"#);
}

#[tokio::test]
async fn an_api_key_is_sent_under_the_scheme_of_the_configuration() {
    let mut service = key("https://a.example", "BILLING");
    service["scheme"] = "ApiKey".into();
    let credentials = build(&json!({ "a": service }), secrets()).load().await.unwrap();
    let headers = send(&credentials, "a", "https://a.example/").await.unwrap();
    assert_eq!(headers["authorization"], format!("ApiKey {BILLING}"));
}

/// The source, and the credentials of one service with an API key, without any task.
async fn rotating_key() -> (Rotating, Credentials) {
    let source = Rotating::new(BILLING);
    let config: CredentialsConfig =
        serde_json::from_value(json!({ "test": { "a": key("https://a.example", "KEY") } })).unwrap();
    let credentials = Credentials::builder(&config, "test", source.clone()).unwrap().load().await.unwrap();
    (source, credentials)
}

#[tokio::test]
async fn a_rotated_api_key_is_used_without_a_restart() {
    let (source, credentials) = rotating_key().await;
    let sent = async || send(&credentials, "a", "https://a.example/").await.unwrap()["authorization"].clone();
    assert_eq!(sent().await, format!("Bearer {BILLING}"));
    source.rotate(REPORTS, NOW);
    assert_eq!(sent().await, format!("Bearer {REPORTS}"));
}

#[tokio::test]
async fn an_api_key_that_cannot_be_read_again_or_is_malformed_leaves_the_one_before_in_use() {
    let (log, _guard) = Log::listen();
    let (source, credentials) = rotating_key().await;
    let sent = async || send(&credentials, "a", "https://a.example/").await.unwrap()["authorization"].clone();
    source.rotate("two words of a key", NOW);
    for _ in 0..3 {
        assert_eq!(sent().await, format!("Bearer {BILLING}"));
    }
    source.fail(SecretErrorKind::Unavailable);
    assert_eq!(sent().await, format!("Bearer {BILLING}"));
    assert_eq!(log.count("the one before remains in use"), 1);
    assert!(!log.text().contains("two words") && !log.text().contains(BILLING));
}

#[tokio::test]
async fn a_source_of_secrets_that_is_down_at_start_is_an_error() {
    let source = Rotating::new("first");
    source.fail(SecretErrorKind::Unavailable);
    let builder = Credentials::builder(&config(), "staging", source).unwrap().http(Server::default());
    assert_eq!(builder.load().await.unwrap_err().kind(), CredentialsErrorKind::Secret);
}
