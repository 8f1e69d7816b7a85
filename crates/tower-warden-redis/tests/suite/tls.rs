//! Redis behind TLS, whose certificate is signed by a private authority.

use std::net::TcpStream;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use redis::{Client, TlsCertificates};
use tower_warden::revocation::{Revocation, RevocationList};
use tower_warden_redis::{RedisConnection, RedisProblem, RedisRevocationList};

use crate::{
    revocations::later,
    server::{Redis, free_port},
    support::{ISSUER, seconds, token, until},
};

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_server_is_used_through_tls_and_not_with_a_certificate_of_another_authority() {
    let directory = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate().unwrap()).unwrap();
    let other = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let write = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (write("certificate.pem", certificate.pem()), write("key.pem", key.serialize_pem()));
    let authority_file = write("authority.pem", authority.pem());
    let port = free_port().to_string();
    let options = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let options = [&options[..], &["--tls-ca-cert-file", &authority_file, "--tls-auth-clients", "no"]].concat();
    let _redis = Redis::start_with(&options).await;

    let client = |root: String| {
        let certificates = TlsCertificates { client_tls: None, root_cert: Some(root.into_bytes()) };
        Client::build_with_tls(format!("rediss://localhost:{port}/"), certificates).unwrap()
    };
    let trusting = client(authority.pem());
    // The server opens this port after the other one.
    let is_open = async || TcpStream::connect(format!("127.0.0.1:{port}")).is_ok();
    until(is_open, "the port is open").await;
    let connection = RedisConnection::connect(trusting.clone(), "test".parse().unwrap()).await.timeout(seconds(10));
    assert_eq!(connection.problem(), None);
    let list = RedisRevocationList::listen(connection, trusting).await;
    until(async || list.is_complete(), "the copy is complete").await;
    list.revoke(Revocation::token(ISSUER, "1"), later()).await.unwrap();
    assert!(list.is_revoked(&token("1")).wait().await.unwrap());

    let connection = RedisConnection::connect(client(other.pem()), "test".parse().unwrap()).await;
    assert!(!connection.is_up());
    assert_eq!(connection.problem(), Some(RedisProblem::Unreachable));
}
