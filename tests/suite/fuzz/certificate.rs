//! Certificates in header fields: nobody passes for the holder of a certificate that no proxy has forwarded.

use std::{num::NonZeroUsize, sync::LazyLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderName, Request};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tower::{Layer, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    AuthMethod, Identity,
    certificate::{
        CertificateHeader, CertificateMap, CertificateName, ChainStatus, ClientCertificates, PeerCertificate,
        ProxyMatcher, XfccElement,
    },
    layer::{AuthLayer, ForwardedCertificateLayer},
    request::{Peer, TrustedProxies},
};

use super::{block_on, builder, fill, send, with_fields};
use crate::{
    pki::{Authority, Holder},
    support::{self, Answer, App},
};

/// A certificate that the client has, one that it does not have, and a layer for each form of the field.
struct Bench {
    mallory: Holder,
    victim: Holder,
    apps: Vec<(HeaderName, Form, App)>,
}

/// The form of a field, and what suffices in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    ByteSequence,
    Certificate,
    Thumbprint,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let authority = Authority::new("clients");
    let (mallory, victim) = (authority.client("mallory"), authority.client("victim"));
    let (xfcc, ssl) = (name("x-forwarded-client-cert"), name("ssl-client-cert"));
    let last = XfccElement::FromEnd(NonZeroUsize::MIN);
    let headers = [
        (name("client-cert"), Form::ByteSequence, CertificateHeader::client_cert(ChainStatus::Verified)),
        (ssl.clone(), Form::Certificate, CertificateHeader::base64_der(ssl.clone(), ChainStatus::Verified)),
        (ssl.clone(), Form::Certificate, CertificateHeader::escaped_pem(ssl, ChainStatus::Verified)),
        (name("x-amzn-mtls-clientcert-leaf"), Form::Certificate, CertificateHeader::alb()),
        (name("x-amzn-mtls-clientcert"), Form::Certificate, CertificateHeader::alb_passthrough()),
        (xfcc.clone(), Form::Certificate, CertificateHeader::envoy(XfccElement::Only, ChainStatus::Verified)),
        (xfcc.clone(), Form::Certificate, CertificateHeader::envoy(last, ChainStatus::Verified)),
        (xfcc, Form::Thumbprint, CertificateHeader::envoy(last, ChainStatus::Verified).accept_hash_only()),
    ];
    let apps = headers.map(|(name, form, header)| (name, form, layered(header, [&mallory, &victim])));
    Bench { mallory, victim, apps: apps.into() }
});

const fn name(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

fn layered(header: CertificateHeader, [mallory, victim]: [&Holder; 2]) -> App {
    let identity = |name| Identity::new(name, AuthMethod::ClientCertificate);
    let directory = CertificateMap::default()
        .with([CertificateName::thumbprint(mallory.thumbprint())], identity("mallory"))
        .with([CertificateName::thumbprint(victim.thumbprint())], identity("victim"));
    let proxies = ProxyMatcher::networks(TrustedProxies::new(["10.0.0.0/28".parse().unwrap()]));
    let auth = AuthLayer::new(ClientCertificates::new(directory).danger_accept_unverified());
    let service = auth.layer(service_fn(support::answer));
    BoxCloneSyncService::new(ForwardedCertificateLayer::new(header, proxies).layer(service))
}

/// The lines of header fields, or DER: `{victim:pem}` and the like are the certificate in an encoding.
pub fn run(input: &[u8]) -> bool {
    let bench = &*BENCH;
    if let Ok(certificate) = PeerCertificate::from_der(input, ChainStatus::Verified) {
        assert_eq!(certificate.der(), Some(input));
        let _ = (certificate.subject(), certificate.issuer(), certificate.spiffe_id(), certificate.public_key_info());
        let _ = (certificate.dns_names().count(), certificate.uris().count(), certificate.emails().count());
    }
    let text = String::from_utf8_lossy(input);
    let encodings =
        [("mallory", &bench.mallory), ("victim", &bench.victim)].map(|(name, holder)| encoded(name, holder));
    let names: Vec<_> = encodings.iter().flatten().map(|(name, value)| (&**name, &**value)).collect();
    let text = fill(&text, &names);
    let mut is_admitted = false;
    for (name, form, app) in &bench.apps {
        let fields = with_fields(Request::new(()), &text);
        assert_ne!(ask(app, fields.clone(), "203.0.113.9:1").status, 200, "a client is no proxy");
        let answer = ask(app, fields.clone(), "10.0.0.2:1");
        if answer.status == 200 {
            assert_eq!(fields.headers().get_all(name).iter().count(), 1);
            let holder = if answer.body == "victim" { &bench.victim } else { &bench.mallory };
            check_sent(*form, fields.headers()[name].to_str().unwrap(), holder);
            is_admitted = true;
        }
        if *name == "x-forwarded-client-cert" {
            check_appended(app, &text.replace(['\r', '\n'], ""), &bench.mallory);
        }
    }
    is_admitted
}

fn ask(app: &App, mut request: Request<()>, peer: &str) -> Answer {
    request.extensions_mut().insert(Peer::new(peer.parse().unwrap()));
    block_on(send(app, builder(request)))
}

/// Checks that a field has the certificate of an admitted caller, or its thumbprint where this suffices.
#[track_caller]
fn check_sent(form: Form, field: &str, holder: &Holder) {
    let decoded = percent_decode_str(field).decode_utf8_lossy().replace(['\r', '\n'], "");
    let has_certificate = decoded.contains(&BASE64_STANDARD.encode(&holder.certificate));
    let has_hash = field.to_ascii_lowercase().contains(&holder.thumbprint().to_hex());
    assert!(has_certificate || form == Form::Thumbprint && has_hash, "{form:?} {field}");
    if form == Form::ByteSequence {
        let item = sfv::Parser::new(field).parse::<sfv::Item>().expect("the field is a structured field");
        assert_eq!(item.bare_item.as_byte_sequence(), Some(&*holder.certificate));
    }
}

/// Checks that nothing that a client sends hides what the proxy appends.
#[track_caller]
fn check_appended(app: &App, sent: &str, own: &Holder) {
    let [_, (_, pem), (_, hash)] = encoded("", own);
    for appended in [format!("Hash={hash};Cert=\"{pem}\""), format!("By=a;Hash={hash};Cert=\"{pem}\";Subject=\"CN=a\"")]
    {
        let request = Request::builder().header("x-forwarded-client-cert", format!("{sent},{appended}"));
        let Ok(request) = request.body(()) else { return };
        let answer = ask(app, request, "10.0.0.2:1");
        assert!(answer.status != 200 || answer.body == "mallory", "{sent}");
    }
}

/// The certificate in base64, and as percent-encoded PEM, and its thumbprint.
fn encoded(name: &str, holder: &Holder) -> [(String, String); 3] {
    [
        (format!("{{{name}:der}}"), BASE64_STANDARD.encode(&holder.certificate)),
        (format!("{{{name}:pem}}"), utf8_percent_encode(&holder.pem(), NON_ALPHANUMERIC).to_string()),
        (format!("{{{name}:hash}}"), holder.thumbprint().to_hex()),
    ]
}
