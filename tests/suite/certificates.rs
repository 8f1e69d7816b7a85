//! Client certificates: what keys are bound to, and an authentication of their own.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::request::Builder;
use rcgen::{DnType, SanType, date_time_ymd};
use tower_warden::{
    AuthMethod, Digest, Environment, Eventual, Identity, ManualClock, Principal, Unavailable, UnixTime,
    api_key::NewKey,
    caller::{Confirmation, SenderConstraint},
    certificate::{
        CertificateDirectory, CertificateMap, CertificateName, CertificateProof, ChainStatus, ClientCertificates,
        PeerCertificate,
    },
    layer::{AuthLayer, AuthorizeLayer},
};

use crate::{
    pki::{Authority, Holder, client},
    support::{START, Stack, answer, app, bearer, request, seconds, send, unknown_key},
};

fn with(builder: Builder, certificate: &PeerCertificate) -> Builder {
    builder.extension(certificate.clone())
}

fn billing() -> Identity {
    let mut identity = Identity::new("billing", AuthMethod::Custom("given"));
    identity.tenant = Some("acme".into());
    identity
}

fn layer(directory: impl CertificateDirectory) -> AuthLayer {
    AuthLayer::new(ClientCertificates::new(directory))
        .environment(&Environment::default().with_clock(ManualClock::at(START)))
}

/// (101, 102, 111)
#[tokio::test]
async fn a_bound_key_is_good_in_the_hand_of_the_certificates_holder_only() {
    let (authority, stack) = (Authority::new("clients"), Stack::new());
    let (right, wrong) = (authority.client("right"), authority.client("wrong"));
    let key = NewKey::new("alice").confirmation(Confirmation::certificate(right.thumbprint()));
    let (_, key) = stack.mint(key).await;
    // Who issued it makes no difference.
    for chain in [ChainStatus::Verified, ChainStatus::Unverified] {
        let request = || bearer(key.expose());
        stack.send(request()).await.assert_invalid("certificate_missing");
        stack.send(with(request(), &right.peer(chain))).await.assert_subject("alice");
        stack.send(with(request(), &wrong.peer(chain))).await.assert_invalid("certificate_mismatch");
        stack.send(with(request(), &right.peer(chain))).await.assert_subject("alice");
        // From the cache, on another connection.
        stack.send(request()).await.assert_invalid("certificate_missing");
        let thumbprint = PeerCertificate::from_thumbprint(right.thumbprint(), chain);
        stack.send(with(request(), &thumbprint)).await.assert_subject("alice");
    }
    assert_eq!(stack.store.finds(), 1);
}

#[tokio::test]
async fn a_key_that_is_bound_to_a_dpop_key_is_refused_as_a_bearer() {
    let (authority, stack) = (Authority::new("clients"), Stack::new());
    let holder = authority.client("right");
    let (_, key) = stack.mint(NewKey::new("alice").confirmation(Confirmation::key(holder.thumbprint()))).await;
    let request = with(bearer(key.expose()), &holder.peer(ChainStatus::Verified));
    stack.send(request).await.assert_invalid("key_proof_missing");
}

#[tokio::test]
async fn a_layer_and_a_route_may_need_what_is_bound_to_its_sender() {
    let (authority, keys) = (Authority::new("clients"), Stack::new());
    let holder = authority.client("alice");
    let certificate = holder.peer(ChainStatus::Verified);
    let bound = NewKey::new("alice").confirmation(Confirmation::certificate(holder.thumbprint()));
    let ((_, bound), (_, loose)) = (keys.mint(bound).await, keys.mint(NewKey::new("bob")).await);
    let layer = || {
        AuthLayer::new(keys.keys.clone())
            .environment(&Environment::default().with_clock(keys.clock.clone()))
            .proof(CertificateProof)
    };
    let ask = async |key: &str, binding: SenderConstraint| {
        let request = || with(bearer(key), &certificate);
        let by_layer = send(app(&layer().sender_constrained(binding)), request()).await;
        let route = tower::ServiceBuilder::new().layer(layer()).layer(AuthorizeLayer::sender_constrained(binding));
        let by_route = send(route.service_fn(answer), request()).await;
        assert_eq!(by_layer.seen(), by_route.seen());
        by_route
    };
    for binding in [SenderConstraint::Any, SenderConstraint::Certificate] {
        ask(bound.expose(), binding).await.assert_subject("alice");
        // A certificate on the connection binds no key.
        ask(loose.expose(), binding).await.assert_invalid("not_sender_constrained");
    }
    ask(bound.expose(), SenderConstraint::Key).await.assert_invalid("not_sender_constrained");
    let map = CertificateMap::default().with([CertificateName::subject("CN=alice")], billing());
    let layer = AuthLayer::new(ClientCertificates::new(map)).sender_constrained(SenderConstraint::Certificate);
    send(app(&layer), with(request(), &certificate)).await.assert_subject("billing");
}

#[tokio::test]
async fn a_successor_is_bound_as_its_key_was() {
    let (authority, stack) = (Authority::new("clients"), Stack::new());
    let holder = authority.client("right");
    let (old, _) = stack.mint(NewKey::new("alice").confirmation(Confirmation::certificate(holder.thumbprint()))).await;
    let (_, new) = stack.keys.rotate(&old.id, seconds(60)).await.unwrap();
    stack.send(bearer(new.expose())).await.assert_invalid("certificate_missing");
    stack.send(with(bearer(new.expose()), &holder.peer(ChainStatus::Unverified))).await.assert_subject("alice");
}

#[tokio::test]
async fn a_certificate_alone_authenticates_by_each_of_its_names() {
    let mut params = client("billing");
    params.distinguished_name.push(DnType::OrganizationName, "Acme, Inc.");
    params.subject_alt_names = vec![
        SanType::DnsName("Billing.internal".try_into().unwrap()),
        SanType::Rfc822Name("billing@example.com".try_into().unwrap()),
        SanType::URI("spiffe://example.com/billing".try_into().unwrap()),
    ];
    let holder = Authority::new("clients").issue(&params);
    let certificate = holder.peer(ChainStatus::Verified);
    assert_eq!(certificate.subject(), Some("O=Acme\\, Inc.,CN=billing"));
    assert_eq!(certificate.issuer(), Some("CN=clients"));
    assert_eq!(certificate.dns_names().collect::<Vec<_>>(), ["billing.internal"]);
    assert_eq!(certificate.emails().collect::<Vec<_>>(), ["billing@example.com"]);
    assert_eq!(certificate.spiffe_id(), Some("spiffe://example.com/billing"));
    assert_eq!(certificate.der(), Some(&*holder.certificate));

    for name in [
        CertificateName::dns("BILLING.internal"),
        CertificateName::email("billing@example.com"),
        CertificateName::subject("O=Acme\\, Inc.,CN=billing"),
        CertificateName::thumbprint(holder.thumbprint()),
        CertificateName::uri("spiffe://example.com/billing"),
    ] {
        let layer = layer(CertificateMap::default().with([name], billing()));
        let stack = tower::ServiceBuilder::new().layer(layer).layer(AuthorizeLayer::when(|caller: &Principal, _| {
            caller.method() == AuthMethod::ClientCertificate && caller.tenant() == Some("acme")
        }));
        let service = stack.service_fn(answer);
        send(service, with(request(), &certificate)).await.assert_subject("billing");
    }
}

/// (155)
#[test]
fn a_certificate_with_an_invalid_alternative_name_is_malformed() {
    let good = b"\x82\x03a.b";
    for (names, is_valid) in [
        (&good[..], true),
        // A host name that is not ASCII, alone and behind a good one.
        (b"\x82\x03a\xffb", false),
        (b"\x82\x03a.b\x82\x03a\xffb", false),
        (b"\x86\x03a\xffb\x82\x03a.b", false),
        (b"\x81\x03a\xffb", false),
        // A directory name that is none, and a tag that no name has.
        (b"\x82\x03a.b\xa4\x03abc", false),
        (b"\x82\x03a.b\x89\x01a", false),
        // A name that is longer than the extension.
        (b"\x82\x04a.b", false),
    ] {
        let content = [&[0x30, u8::try_from(names.len()).unwrap()], names].concat();
        let mut params = client("billing");
        params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 17], content)];
        let der = Authority::new("clients").issue(&params).certificate;
        let parsed = PeerCertificate::from_der(&der, ChainStatus::Verified);
        assert_eq!(parsed.is_ok(), is_valid, "{names:x?}");
    }
}

#[tokio::test]
async fn a_certificate_of_nobody_who_is_known_is_refused_and_never_anonymous() {
    let authority = Authority::new("clients");
    let map = CertificateMap::default().with([CertificateName::subject("CN=billing")], billing());
    let stranger = authority.client("stranger").peer(ChainStatus::Verified);
    for layer in [layer(map.clone()), layer(map).optional()] {
        send(app(&layer), with(request(), &stranger)).await.assert_invalid("certificate_unknown");
        let known = authority.client("billing").peer(ChainStatus::Verified);
        send(app(&layer), with(request(), &known)).await.assert_subject("billing");
    }
}

#[tokio::test]
async fn without_a_certificate_nothing_is_presented() {
    let layer = layer(CertificateMap::default());
    send(app(&layer), request()).await.assert_missing("credential_missing");
    send(app(&layer.optional()), request()).await.assert_subject("nobody");
}

#[tokio::test]
async fn what_an_unverified_certificate_says_of_itself_does_not_count() {
    let holder = Holder::self_signed(&client("billing"));
    let forged = holder.peer(ChainStatus::Unverified);
    let map = CertificateMap::default().with([CertificateName::subject("CN=billing")], billing());
    send(app(&layer(map.clone())), with(request(), &forged)).await.assert_invalid("certificate_unverified");

    let accepting = |map: CertificateMap| {
        AuthLayer::new(ClientCertificates::new(map).danger_accept_unverified())
            .environment(&Environment::default().with_clock(ManualClock::at(START)))
    };
    send(app(&accepting(map.clone())), with(request(), &forged)).await.assert_invalid("certificate_unknown");
    let pinned = map.with([CertificateName::thumbprint(holder.thumbprint())], billing());
    send(app(&accepting(pinned)), with(request(), &forged)).await.assert_subject("billing");
}

#[tokio::test]
async fn a_certificate_is_refused_before_and_after_its_time() {
    let mut params = client("billing");
    (params.not_before, params.not_after) = (date_time_ymd(2027, 1, 1), date_time_ymd(2027, 1, 2));
    let certificate = Authority::new("clients").issue(&params).peer(ChainStatus::Verified);
    let (start, end) = (certificate.not_before().unwrap(), certificate.not_after().unwrap());
    assert_eq!((start, end), (UnixTime::from_secs(1_798_761_600), UnixTime::from_secs(1_798_848_000)));

    let map = CertificateMap::default().with([CertificateName::subject("CN=billing")], billing());
    let clock = ManualClock::at(start);
    let layer =
        AuthLayer::new(ClientCertificates::new(map)).environment(&Environment::default().with_clock(clock.clone()));
    let ask = || send(app(&layer), with(request(), &certificate));
    ask().await.assert_subject("billing");
    clock.set(UnixTime::from_secs(start.as_secs() - 1));
    ask().await.assert_invalid("certificate_not_yet_valid");
    clock.set(end);
    ask().await.assert_subject("billing");
    clock.advance(seconds(1));
    ask().await.assert_invalid("expired");
}

#[tokio::test]
async fn a_certificate_whose_names_lead_to_two_callers_is_nobodys() {
    let mut params = client("billing");
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    params.subject_alt_names = vec![dns("a.internal"), dns("b.internal")];
    let certificate = Authority::new("clients").issue(&params).peer(ChainStatus::Verified);
    let [a, b] = ["a.internal", "b.internal"].map(CertificateName::dns);

    let two = CertificateMap::default().with([a.clone()], billing()).with([b.clone()], Identity::clone(&billing()));
    send(app(&layer(two)), with(request(), &certificate)).await.assert_invalid("certificate_unknown");
    let one = CertificateMap::default().with([a, b], billing());
    send(app(&layer(one)), with(request(), &certificate)).await.assert_subject("billing");
}

#[tokio::test]
async fn a_certificate_with_a_second_uri_has_no_spiffe_id() {
    let mut params = client("billing");
    let uri = |uri: &str| SanType::URI(uri.try_into().unwrap());
    params.subject_alt_names = vec![uri("spiffe://example.com/billing"), uri("https://example.com")];
    let certificate = Authority::new("clients").issue(&params).peer(ChainStatus::Verified);
    let map = CertificateMap::default().with([CertificateName::uri("spiffe://example.com/billing")], billing());
    assert_eq!(certificate.spiffe_id(), None);
    send(app(&layer(map)), with(request(), &certificate)).await.assert_invalid("certificate_unknown");
}

#[tokio::test]
async fn a_directory_that_is_down_is_503() {
    struct Down;
    impl CertificateDirectory for Down {
        fn find(&self, _: &PeerCertificate) -> Eventual<Result<Option<Arc<Identity>>, Unavailable>> {
            Eventual::later(async { Err(Unavailable::new("the directory")) })
        }
    }
    let certificate = Authority::new("clients").client("billing").peer(ChainStatus::Verified);
    let answer = send(app(&layer(Down)), with(request(), &certificate)).await;
    answer.assert_unavailable("certificate_directory_unavailable");
}

#[tokio::test]
async fn a_bad_key_beside_a_good_certificate_is_refused_and_a_good_one_counts() {
    let (authority, keys) = (Authority::new("clients"), Stack::new());
    let certificate = authority.client("billing").peer(ChainStatus::Verified);
    let map = CertificateMap::default().with([CertificateName::subject("CN=billing")], billing());
    let both = (ClientCertificates::new(map), keys.keys.clone());
    let app = app(&AuthLayer::new(both).environment(&Environment::default().with_clock(keys.clock.clone())).optional());
    let (_, key) = keys.alice().await;
    let send = |request: Builder| send(app.clone(), with(request, &certificate));

    send(request()).await.assert_subject("billing");
    send(bearer(key.expose())).await.assert_subject("alice");
    send(bearer(unknown_key().expose())).await.assert_invalid("key_unknown");
    send(bearer("")).await.assert_missing("credential_empty");
    send(request().header("authorization", "Basic YTpi")).await.assert_missing("unsupported_scheme");
    send(bearer("a, b")).await.assert_malformed("credential_list");
    let two = bearer(key.expose()).header("x-api-key", key.expose());
    send(two).await.assert_malformed("several_credentials");
}

#[tokio::test]
async fn a_certificate_means_nothing_to_a_layer_for_keys() {
    let stack = Stack::with(|keys| keys, |layer| layer.optional());
    let certificate = Authority::new("clients").client("billing").peer(ChainStatus::Verified);
    stack.send(with(request(), &certificate)).await.assert_subject("nobody");
}

#[test]
fn what_a_name_says_cannot_look_like_another_name() {
    let authority = Authority::new("clients");
    for (name, subject) in [
        ("billing", "CN=billing"),
        ("billing,O=Acme", "CN=billing\\,O\\=Acme"),
        ("billing+UID=root", "CN=billing\\+UID\\=root"),
        (" billing ", "CN=\\ billing\\ "),
        ("#billing", "CN=\\#billing"),
        ("bil\"l\\ing;<>", "CN=bil\\\"l\\\\ing\\;\\<\\>"),
        ("bil\0ling", "CN=bil\\00ling"),
        ("Größe", "CN=Größe"),
    ] {
        let certificate = authority.client(name).peer(ChainStatus::Verified);
        assert_eq!(certificate.subject(), Some(subject.replace("\\=", "=").as_str()), "{name:?}");
    }
    // Printable, IA5 and UTF-8 are written as they are, and all others in hexadecimal, with no letter of theirs.
    let mut params = client("x");
    params.distinguished_name.push(DnType::CustomDnType(vec![1, 2, 3]), "O=Acme");
    let certificate = authority.issue(&params).peer(ChainStatus::Verified);
    assert_eq!(certificate.subject(), Some("1.2.3=#0c064f3d41636d65,CN=x"));
}

#[test]
fn the_rows_of_rfc_8705_come_out_as_they_say() {
    let rows: serde_json::Value = serde_json::from_str(include_str!("../vectors/rfc8705/examples.json")).unwrap();
    let rows = rows["tests"].as_array().unwrap();
    let pem = rows[0]["certificate_pem"].as_str().unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(body).unwrap();
    let certificate = PeerCertificate::from_der(&der, ChainStatus::Unverified).unwrap();
    assert_eq!(certificate.thumbprint().to_base64url(), rows[0]["x5t_s256"].as_str().unwrap());
    assert_eq!(certificate.subject(), Some("CN=mtls"));
    for bad in [&der[..der.len() - 1], &[&der[..], b"\0"].concat(), b"", &der[1..]] {
        assert!(PeerCertificate::from_der(bad, ChainStatus::Unverified).is_err());
    }
    for row in &rows[1..] {
        let members = row["claims"]["cnf"].as_object().unwrap();
        let members = members.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // The figure shows a form, and is no thumbprint of anything: its last digit has bits that belong to no byte.
        assert!(Confirmation::parse(members, &[]).is_err());
    }
    assert_eq!(rows.len(), 3);
}

#[test]
fn a_certificate_prints_no_thumbprint() {
    let holder = Authority::new("clients").client("billing");
    let printed = format!("{:?}", holder.peer(ChainStatus::Verified));
    assert_eq!(printed, r#"PeerCertificate { chain: Verified, subject: Some("CN=billing"), .. }"#);
    let pinned = format!("{:?}", CertificateName::thumbprint(Digest::of(b"x")));
    assert!(pinned.contains("Digest(..)"), "{pinned}");
}
