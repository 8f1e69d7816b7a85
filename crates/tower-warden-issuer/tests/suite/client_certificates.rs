//! `tls_client_auth` and `self_signed_tls_client_auth`, RFC 8705 §2.

use std::time::Duration;

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tower_warden::{
    Digest, UnixTime,
    caller::Confirmation,
    certificate::{CertificateName, ChainStatus, PeerCertificate},
};
use tower_warden_issuer::{ClientAuthentication, ClientSecrets, TokenBinding, TokenIssuerBuilder};

use crate::{
    binding::certificate,
    support::{CLIENT_CREDENTIALS, ORDERS, Reply, Setup, client, form_request},
};

const LEAF: &str = include_str!("../../../../tests/vectors/rfc9440/leaf.der.base64");

fn verified() -> PeerCertificate {
    PeerCertificate::from_der(certificate().der().unwrap(), ChainStatus::Verified).unwrap()
}

fn email() -> ClientAuthentication {
    ClientAuthentication::Tls(CertificateName::email("bdc@example.com"))
}

fn pinned() -> ClientAuthentication {
    ClientAuthentication::SelfSignedTls(vec![Digest::of(b"old"), *certificate().thumbprint()])
}

/// An issuer with mutual TLS and the client `tls`, at a time at which the certificate is valid.
fn setup(method: ClientAuthentication) -> Setup {
    let setup = Setup::with(TokenIssuerBuilder::mutual_tls);
    setup.clock.set(certificate().not_before().unwrap());
    setup.clients.insert(client("tls").authentication(method));
    setup
}

fn request(form: &str, certificate: PeerCertificate) -> Request<Full<bytes::Bytes>> {
    let mut request = form_request(&format!("{CLIENT_CREDENTIALS}&{form}"));
    request.extensions_mut().insert(certificate);
    request
}

async fn send(setup: &Setup, certificate: PeerCertificate) -> Reply {
    setup.send(request("client_id=tls", certificate)).await
}

#[tokio::test]
async fn a_certificate_with_the_expected_name_is_accepted() {
    for name in [CertificateName::email("bdc@example.com"), CertificateName::subject("CN=BC")] {
        let reply = send(&setup(ClientAuthentication::Tls(name)), verified()).await;
        assert_eq!(crate::support::claims(reply.token())["client_id"], "tls");
    }
}

#[tokio::test]
async fn a_certificate_with_another_name_is_refused() {
    for name in [
        CertificateName::email("other@example.com"),
        CertificateName::dns("bdc@example.com"),
        CertificateName::uri("bdc@example.com"),
        CertificateName::subject("CN=bdc"),
    ] {
        send(&setup(ClientAuthentication::Tls(name)), verified()).await.assert_error(401, "invalid_client");
    }
}

#[tokio::test]
async fn a_certificate_of_no_trusted_authority_is_refused() {
    send(&setup(email()), certificate()).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let second = Duration::from_secs(1);
    for method in [email(), pinned()] {
        let setup = setup(method);
        for (time, is_valid) in [
            (certificate().not_before().unwrap() - second, false),
            (certificate().not_before().unwrap(), true),
            (certificate().not_after().unwrap(), true),
            (certificate().not_after().unwrap() + second, false),
        ] {
            setup.clock.set(time);
            let reply = send(&setup, verified()).await;
            if is_valid {
                reply.token();
            } else {
                reply.assert_error(401, "invalid_client");
            }
        }
    }
}

#[tokio::test]
async fn a_client_has_one_expected_name() {
    let setup = setup(email());
    let other = ClientAuthentication::Tls(CertificateName::email("new@example.com"));
    setup.clients.insert(client("tls").authentication(email()).authentication(other));
    send(&setup, verified()).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_pinned_certificate_is_accepted_whatever_its_chain() {
    for certificate in [certificate(), verified()] {
        send(&setup(pinned()), certificate).await.token();
    }
}

#[tokio::test]
async fn another_certificate_than_the_pinned_ones_is_refused() {
    let method = ClientAuthentication::SelfSignedTls(vec![Digest::of(b"old")]);
    send(&setup(method), verified()).await.assert_error(401, "invalid_client");
    send(&setup(ClientAuthentication::SelfSignedTls(Vec::new())), verified()).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_certificate_without_known_times_is_accepted_only_if_its_chain_is_verified() {
    let thumbprint = *certificate().thumbprint();
    let setup = setup(pinned());
    setup.clock.set(UnixTime::from_secs(4_000_000_000));
    send(&setup, PeerCertificate::from_thumbprint(thumbprint, ChainStatus::Verified)).await.token();
    let reply = send(&setup, PeerCertificate::from_thumbprint(thumbprint, ChainStatus::Unverified)).await;
    reply.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn certificates_are_pinned_by_a_jwk_set() {
    let set = json!({ "keys": [{ "kty": "EC" }, { "kty": "EC", "x5c": [LEAF.trim(), "ignored"] }] });
    let method = ClientAuthentication::self_signed_tls(&set.to_string()).unwrap();
    send(&setup(method), certificate()).await.token();
    let malformed: [Value; 6] = [
        json!([]),
        json!({ "keys": [] }),
        json!({ "keys": [{ "kty": "EC" }] }),
        json!({ "keys": [{ "x5c": [] }] }),
        json!({ "keys": [{ "x5c": ["AAAA"] }] }),
        json!({ "keys": [{ "x5c": [LEAF.trim()] }, { "x5c": LEAF.trim() }] }),
    ];
    for set in malformed {
        assert!(ClientAuthentication::self_signed_tls(&set.to_string()).is_err(), "{set}");
    }
}

#[tokio::test]
async fn a_connection_without_a_certificate_is_refused() {
    let reply = setup(email()).send(form_request(&format!("{CLIENT_CREDENTIALS}&client_id=tls"))).await;
    reply.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_certificate_without_the_id_of_its_client_is_refused() {
    setup(email()).send(request("", verified())).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_certificate_is_no_credential_of_clients_with_other_methods() {
    let setup = setup(email());
    for id in ["post", "basic", "signer", "nobody"] {
        let reply = setup.send(request(&format!("client_id={id}"), verified())).await;
        reply.assert_error(401, "invalid_client");
    }
    // The connection of a mesh may have one, whatever the method.
    setup.send(request("client_id=post&client_secret=s3cret", verified())).await.token();
    setup.send(request("client_id=post&client_secret=guess", verified())).await.assert_error(401, "invalid_client");
    setup.send(request("client_id=tls&client_secret=guess", verified())).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn without_mutual_tls_no_certificate_is_accepted() {
    let setup = Setup::new();
    setup.clock.set(certificate().not_before().unwrap());
    setup.clients.insert(client("tls").authentication(email()));
    send(&setup, verified()).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn the_token_is_bound_to_the_certificate_if_the_client_declares_it() {
    let setup = setup(email());
    assert!(crate::support::claims(send(&setup, verified()).await.token()).get("cnf").is_none());
    setup.clients.insert(client("tls").authentication(email()).require_binding(TokenBinding::Certificate));
    let reply = send(&setup, verified()).await;
    let identity = setup.verify(reply.token(), ORDERS).await.unwrap();
    assert_eq!(identity.confirmation, Some(Confirmation::certificate(*certificate().thumbprint())));
}

#[tokio::test]
async fn the_other_endpoints_accept_certificates() {
    let setup = setup(email());
    let mut request = request("client_id=tls&token=guess", verified());
    *request.uri_mut() = "/oauth/introspect".parse().unwrap();
    assert_eq!(setup.send(request).await.body, json!({ "active": false }));
}

#[test]
fn the_metadata_states_the_methods() {
    let metadata: Value = serde_json::from_str(&setup(email()).issuer.metadata()).unwrap();
    let methods = json!([
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "self_signed_tls_client_auth",
        "tls_client_auth",
    ]);
    assert_eq!(metadata["token_endpoint_auth_methods_supported"], methods);
    assert_eq!(metadata["introspection_endpoint_auth_methods_supported"], methods);
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
}

#[test]
fn debug_shows_no_name() {
    let client = client("a").authentication(email()).authentication(pinned());
    let secret = ClientAuthentication::SecretPost(ClientSecrets::new(tower_warden::api_key::KeyDigest::sha256("s")));
    let text = format!("{:?}", client.authentication(secret));
    assert!(text.contains("[Tls(..), SelfSignedTls(..), SecretPost(..)]"), "{text}");
}
