//! TLS files that change while the server runs.

use std::{path::Path, sync::Arc, time::Duration};

use rustls::HandshakeKind;
use tower_warden_tls::{ReloadStatus, TlsAcceptor, TlsErrorKind, TlsFiles};

use crate::{
    pki::Authority,
    support::{HttpConnection, TestServer, describing_app, files, install, ok},
};

#[tokio::test]
async fn changed_files_apply_to_new_connections_and_open_connections_stay_open() {
    let (clients, others) = (Authority::new("clients"), Authority::new("others"));
    let (alice, bob) = (clients.client("alice"), others.client("bob"));
    let server = TestServer::start(&clients, describing_app()).await;
    let config = server.client(Some(&alice));
    let mut open = HttpConnection::over(server.connect(&config).await.unwrap()).await.unwrap();
    assert!(open.get(None).await.is_some());
    assert_eq!(server.get(Some(&bob), None).await, None);
    assert_eq!(server.acceptor.reload().unwrap(), ReloadStatus::Unchanged);

    std::fs::write(server.path("clients.pem"), others.pem()).unwrap();
    assert_eq!(server.acceptor.reload().unwrap(), ReloadStatus::Changed);
    assert!(open.get(None).await.is_some());
    assert_eq!(server.get(Some(&bob), None).await, ok("Verified CN=bob from 127.0.0.1"));
    // A session that began before the change is not resumed.
    let again = server.connect(&config).await.unwrap();
    assert_ne!(again.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    assert_eq!(HttpConnection::over(again).await.unwrap().get(None).await, None);

    let holder = server.authority.server();
    install(server.directory.path(), &holder);
    assert_eq!(server.acceptor.reload().unwrap(), ReloadStatus::Changed);
    let stream = server.connect(&server.client(Some(&bob))).await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0].as_ref(), holder.certificate);
}

#[tokio::test]
async fn invalid_files_leave_the_previous_configuration_in_use() {
    let clients = Authority::new("clients");
    let server = TestServer::start(&clients, describing_app()).await;
    let alice = clients.client("alice");
    let valid = ["server.pem", "server.key", "clients.pem"].map(|name| std::fs::read(server.path(name)).unwrap());
    let other = server.authority.server();
    let refused = [
        ("server.pem", Some(other.pem()), TlsErrorKind::Invalid),
        ("server.key", Some(other.key.serialize_pem()), TlsErrorKind::Invalid),
        ("server.pem", Some(String::new()), TlsErrorKind::Invalid),
        ("server.key", Some("-----BEGIN".into()), TlsErrorKind::Invalid),
        ("clients.pem", Some(String::new()), TlsErrorKind::Invalid),
        (
            "clients.pem",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into()),
            TlsErrorKind::Invalid,
        ),
        ("clients.pem", None, TlsErrorKind::Unreadable),
    ];
    for (name, text, kind) in refused {
        match text {
            Some(text) => std::fs::write(server.path(name), text).unwrap(),
            None => std::fs::remove_file(server.path(name)).unwrap(),
        }
        let error = server.acceptor.reload().unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(server.get(Some(&alice), None).await.is_some());
        for (name, bytes) in ["server.pem", "server.key", "clients.pem"].into_iter().zip(&valid) {
            std::fs::write(server.path(name), bytes).unwrap();
        }
        assert_eq!(server.acceptor.reload().unwrap(), ReloadStatus::Unchanged);
    }
    assert!(TlsAcceptor::open(files(Path::new("/nowhere"))).await.is_err());
    let required = TlsFiles::new(server.path("server.pem"), server.path("server.key")).require_client_certificate();
    assert_eq!(TlsAcceptor::open(required).await.unwrap_err().kind(), TlsErrorKind::Invalid);
}

#[tokio::test]
async fn errors_name_the_file_and_what_was_expected_in_it() {
    let server = TestServer::start(&Authority::new("clients"), describing_app()).await;
    for (name, expected) in [
        ("server.pem", "expected the server's certificate in PEM, followed by its intermediates"),
        ("server.key", "expected an unencrypted private key in PEM"),
        ("clients.pem", "expected the certificates of the client authorities in PEM"),
    ] {
        let valid = std::fs::read(server.path(name)).unwrap();
        std::fs::write(server.path(name), "").unwrap();
        let error = server.acceptor.reload().unwrap_err();
        assert_eq!(error.to_string(), format!("{}: {expected}", server.path(name).display()));
        std::fs::write(server.path(name), valid).unwrap();
    }
}

#[tokio::test]
async fn errors_name_what_was_found_instead() {
    let server = TestServer::start(&Authority::new("clients"), describing_app()).await;
    let decrypt = "which is encrypted: decrypt it with `openssl pkey -in FILE -out FILE`";
    let block = |label: &str, head: &str| format!("-----BEGIN {label}-----\n{head}MIIB\n-----END {label}-----\n");
    let certificate = server.authority.pem();
    for (name, text, found) in [
        ("server.key", block("ENCRYPTED PRIVATE KEY", ""), format!("found ENCRYPTED PRIVATE KEY, {decrypt}")),
        (
            "server.key",
            block("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"),
            format!("found RSA PRIVATE KEY, {decrypt}"),
        ),
        ("server.key", certificate, "found CERTIFICATE".to_owned()),
        ("server.pem", server.authority.server().key.serialize_pem(), "found PRIVATE KEY".to_owned()),
        ("clients.pem", block("CERTIFICATE REQUEST", ""), "found CERTIFICATE REQUEST".to_owned()),
    ] {
        let valid = std::fs::read(server.path(name)).unwrap();
        std::fs::write(server.path(name), text).unwrap();
        let error = server.acceptor.reload().unwrap_err().to_string();
        assert!(
            error.ends_with(&format!("in PEM, {found}")) || error.ends_with(&format!("intermediates, {found}")),
            "{error}"
        );
        std::fs::write(server.path(name), valid).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_change_under_load_fail_no_request() {
    let clients = Authority::new("clients");
    let server =
        TestServer::start_with(&clients, describing_app(), |files| files.reload_interval(Duration::from_millis(1)));
    let server = Arc::new(server.await);
    let alice = Arc::new(clients.client("alice"));
    let load = (0..4).map(|_| {
        let (server, alice) = (Arc::clone(&server), Arc::clone(&alice));
        tokio::spawn(async move {
            for _ in 0..50 {
                assert_eq!(server.get(Some(&alice), None).await, ok("Verified CN=alice from 127.0.0.1"));
            }
        })
    });
    let load: Vec<_> = load.collect();
    let mut newest = server.authority.server();
    while load.iter().any(|load| !load.is_finished()) {
        // The files are replaced one after the other: what the server reads in between is invalid.
        newest = server.authority.server();
        install(server.directory.path(), &newest);
        tokio::task::yield_now().await;
    }
    for load in load {
        load.await.unwrap();
    }
    // The server loads the newest files without a call of `reload`.
    let is_served = async || {
        let stream = server.connect(&server.client(None)).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].as_ref() == newest.certificate
    };
    while !is_served().await {}
}
