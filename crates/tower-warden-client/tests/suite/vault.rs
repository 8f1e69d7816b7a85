//! Secrets in Vault, through a stand-in with its two routes.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use tower_warden::{Eventual, Unavailable, fetch::Fetch};
use tower_warden_client::secret::{EnvironmentSecrets, Polling, SecretErrorKind, SecretSource, VaultSecrets};

use crate::server::{Log, environment, seconds};

const TOKEN: &str = "hvs.0123456789abcdef";

/// A server that gives one response, and records the last request.
#[derive(Clone, Default)]
struct StandIn(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    response: Option<(u16, String)>,
    received: Vec<(Method, String, HeaderMap)>,
}

impl StandIn {
    fn respond(&self, status: u16, body: &str) {
        self.0.lock().unwrap().response = Some((status, body.to_owned()));
    }

    fn respond_with_version(&self, version: u64, value: &str) {
        let data = format!(r#"{{"api_key":"{value}","other":"sk_other","port":5432,"empty":""}}"#);
        self.respond(200, &format!(r#"{{"data":{{"data":{data},"metadata":{{"version":{version}}}}}}}"#));
    }

    fn go_down(&self) {
        self.0.lock().unwrap().response = None;
    }

    fn received(&self) -> Vec<(Method, String, HeaderMap)> {
        self.0.lock().unwrap().received.clone()
    }

    fn secrets(&self) -> VaultSecrets {
        let token = EnvironmentSecrets::of([("VAULT_TOKEN", TOKEN)]);
        VaultSecrets::new(self.clone(), "https://vault.internal:8200", token, "VAULT_TOKEN").unwrap()
    }
}

impl Fetch for StandIn {
    fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let mut state = self.0.lock().unwrap();
        state.received.push((request.method().clone(), request.uri().to_string(), request.headers().clone()));
        Eventual::Now(match &state.response {
            Some((status, body)) => Ok(Response::builder().status(*status).body(body.clone().into()).unwrap()),
            None => Err(Unavailable::new("the stand-in")),
        })
    }
}

#[tokio::test]
async fn a_field_of_a_secret_is_read() {
    let vault = StandIn::default();
    vault.respond_with_version(3, "sk_first");
    let secrets = vault.secrets().mount("kv/prod").unwrap();
    let secret = secrets.get("billing/stripe#api_key").wait().await.unwrap();
    assert_eq!((secret.current().expose(), secret.version()), ("sk_first", 3));

    let (method, uri, headers) = &vault.received()[0];
    assert_eq!((method, uri.as_str()), (&Method::GET, "https://vault.internal:8200/v1/kv/prod/data/billing/stripe"));
    assert_eq!(headers["x-vault-token"], TOKEN);
    assert!(headers["x-vault-token"].is_sensitive());
    assert_eq!(headers["x-vault-request"], "true");
}

#[tokio::test]
async fn a_new_version_is_read_after_the_interval_and_an_outage_changes_nothing() {
    let (log, _guard) = Log::listen();
    let (environment, clock) = environment();
    let vault = StandIn::default();
    vault.respond_with_version(3, "sk_first");
    let secrets = vault.secrets().polling(Polling::default().environment(&environment));
    let current = async || {
        let secret = secrets.get("billing#api_key").wait().await.unwrap();
        (secret.current().expose().to_owned(), secret.version(), secret.previous_until().is_some())
    };
    assert_eq!(current().await, ("sk_first".to_owned(), 3, false));

    vault.respond_with_version(5, "sk_second");
    assert_eq!(current().await, ("sk_first".to_owned(), 3, false));
    clock.advance(seconds(10));
    assert_eq!(current().await, ("sk_second".to_owned(), 5, true));

    vault.go_down();
    for _ in 0..3 {
        clock.advance(seconds(10));
        assert_eq!(current().await, ("sk_second".to_owned(), 5, true));
    }
    assert_eq!(log.count("its last value remains in use"), 1);
    assert!(!log.text().contains("sk_") && !log.text().contains(TOKEN), "{}", log.text());
}

#[tokio::test]
async fn responses_without_the_secret_are_errors_that_name_it() {
    let vault = StandIn::default();
    let secrets = vault.secrets();
    let deleted = r#"{"data":{"data":null,"metadata":{"version":2,"deletion_time":"2026-11-15T00:00:00Z"}}}"#;
    for (status, body, kind) in [
        (404, r#"{"errors":[]}"#, SecretErrorKind::Missing),
        (404, deleted, SecretErrorKind::Missing),
        (403, r#"{"errors":["permission denied"]}"#, SecretErrorKind::Unavailable),
        (503, r#"{"errors":["Vault is sealed"]}"#, SecretErrorKind::Unavailable),
        (307, "", SecretErrorKind::Unavailable),
        (200, "<html>", SecretErrorKind::Unavailable),
        // Of KV version 1.
        (200, r#"{"data":{"api_key":"sk_first"}}"#, SecretErrorKind::Unavailable),
    ] {
        vault.respond(status, body);
        let error = secrets.get("billing#api_key").wait().await.unwrap_err();
        assert_eq!((error.kind(), error.name()), (kind, "billing#api_key"), "{body}");
        assert!(!format!("{error} {error:?}").contains(TOKEN));
    }
    vault.respond_with_version(1, "sk_first");
    for (name, kind) in [
        ("billing", SecretErrorKind::Missing),
        ("billing#port", SecretErrorKind::Format),
        ("billing#empty", SecretErrorKind::Format),
        ("../sys#api_key", SecretErrorKind::Name),
    ] {
        let error = secrets.get(name).wait().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{name}");
        assert!(!format!("{error} {error:?}").contains("sk_"));
    }
}

#[tokio::test]
async fn a_token_is_renewed() {
    let vault = StandIn::default();
    vault.respond(200, &format!(r#"{{"auth":{{"client_token":"{TOKEN}","lease_duration":3600}}}}"#));
    let secrets = vault.secrets();
    assert_eq!(secrets.renew_token().await.unwrap(), seconds(3600));
    let (method, uri, _) = &vault.received()[0];
    assert_eq!((method, uri.as_str()), (&Method::POST, "https://vault.internal:8200/v1/auth/token/renew-self"));

    vault.respond(403, r#"{"errors":["permission denied"]}"#);
    let error = secrets.renew_token().await.unwrap_err();
    assert_eq!((error.kind(), error.name()), (SecretErrorKind::Unavailable, "VAULT_TOKEN"));
    assert!(!format!("{secrets:?}").contains(TOKEN));
}

#[tokio::test]
async fn a_token_with_line_breaks_is_not_sent() {
    let vault = StandIn::default();
    let token = EnvironmentSecrets::of([("VAULT_TOKEN", "hvs.012\r\nx-admin: 1")]);
    let secrets = VaultSecrets::new(vault.clone(), "https://vault.internal", token, "VAULT_TOKEN").unwrap();
    let error = secrets.get("billing").wait().await.unwrap_err();
    assert_eq!((error.kind(), error.name()), (SecretErrorKind::Format, "VAULT_TOKEN"));
    assert!(vault.received().is_empty());
}

#[test]
fn an_address_that_is_not_protected_or_a_mount_that_leaves_its_folder_is_refused() {
    let vault = |address| VaultSecrets::new(StandIn::default(), address, EnvironmentSecrets::new(), "VAULT_TOKEN");
    for address in
        ["", "vault", "http://vault.internal", "https://u:p@vault.internal", "https://vault.internal/v1", "ftp://vault"]
    {
        let error = vault(address).unwrap_err();
        assert!(!error.to_string().contains("u:p"));
    }
    for address in
        ["https://vault.internal", "https://vault.internal:8200/", "http://127.0.0.1:8200", "http://[::1]:8200"]
    {
        assert!(vault(address).is_ok(), "{address}");
    }
    for mount in ["", "/secret", "secret/", "../sys", "a b", "a?b"] {
        assert!(vault("https://vault.internal").unwrap().mount(mount).is_err(), "{mount}");
    }
}
