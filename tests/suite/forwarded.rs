//! Certificates that proxies pass on in header fields.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderName, Request, Response, request::Builder};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rcgen::SanType;
use std::num::NonZeroUsize;
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    caller::Confirmation,
    certificate::{CertificateHeader, CertificateName, ChainStatus, PeerCertificate, ProxyMatcher, XfccElement},
    layer::ForwardedCertificateLayer,
    request::{Peer, TrustedProxies, UnixPeer},
};

use crate::{
    pki::{self, Authority, Holder},
    support::{Answer, Stack, bearer, send},
};

pub const PROXY: &str = "10.0.0.2:4711";
const STRANGER: &str = "203.0.113.9:4711";

pub fn layer(header: CertificateHeader) -> ForwardedCertificateLayer {
    ForwardedCertificateLayer::new(
        header,
        ProxyMatcher::networks(TrustedProxies::new(["10.0.0.0/28".parse().unwrap()])),
    )
}

/// Answers with the subject of the certificate, or its thumbprint, and the names of the fields that are left.
pub async fn ask(layer: &ForwardedCertificateLayer, request: Builder) -> Answer {
    let service = layer.layer(service_fn(async |request: Request<()>| {
        let certificate = PeerCertificate::of(request.extensions());
        let told = certificate.map_or_else(
            || "nobody".into(),
            |certificate| {
                let thumbprint = certificate.thumbprint().to_hex();
                format!("{:?} {}", certificate.chain(), certificate.subject().unwrap_or(&thumbprint))
            },
        );
        let mut left: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        let body = format!("{told} [{}]", left.join(" "));
        Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::from(body)))
    }));
    Answer::read(service.oneshot(request.body(()).unwrap()).await.unwrap()).await
}

pub fn from(peer: &str) -> Builder {
    Request::builder().extension(Peer::new(peer.parse().unwrap()))
}

fn client() -> Holder {
    Authority::new("clients").client("alice")
}

fn sequence(holder: &Holder) -> String {
    format!(":{}:", BASE64_STANDARD.encode(&holder.certificate))
}

fn escaped(holder: &Holder) -> String {
    utf8_percent_encode(&holder.pem(), NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn the_certificate_of_a_trusted_proxys_client_is_read_in_every_form() {
    let holder = client();
    let nginx = HeaderName::from_static("ssl-client-cert");
    let xfcc = format!("By=spiffe://x;Hash={};Cert=\"{}\"", holder.thumbprint().to_hex(), escaped(&holder));
    // The load balancer leaves `+`, `/` and `=` as they are.
    let loosely = holder.pem().replace('\n', "%0A").replace(' ', "%20");
    for (header, name, value, told) in [
        (CertificateHeader::client_cert(ChainStatus::Verified), "client-cert", sequence(&holder), "Verified"),
        (
            CertificateHeader::envoy(XfccElement::Only, ChainStatus::Verified),
            "x-forwarded-client-cert",
            xfcc,
            "Verified",
        ),
        (
            CertificateHeader::escaped_pem(nginx, ChainStatus::Unverified),
            "ssl-client-cert",
            escaped(&holder),
            "Unverified",
        ),
        (
            CertificateHeader::base64_der(
                HeaderName::from_static("x-forwarded-tls-client-cert"),
                ChainStatus::Verified,
            ),
            "x-forwarded-tls-client-cert",
            BASE64_STANDARD.encode(&holder.certificate),
            "Verified",
        ),
        (CertificateHeader::alb(), "x-amzn-mtls-clientcert-leaf", loosely.clone(), "Verified"),
        (CertificateHeader::alb_passthrough(), "x-amzn-mtls-clientcert", loosely.repeat(2), "Unverified"),
    ] {
        let layer = layer(header);
        let answer = ask(&layer, from(PROXY).header(name, &value)).await;
        assert_eq!(answer.body, format!("{told} CN=alice [{name}]"));
        // (103)
        assert_eq!(ask(&layer, from(STRANGER).header(name, &value)).await.body, "nobody []");
        ask(&layer, Request::builder().header(name, &value)).await.assert_reason(500, "peer_unknown");
        assert_eq!(ask(&layer, from(PROXY)).await.body, "nobody []");
    }
}

/// (103)
#[tokio::test]
async fn a_bound_key_is_refused_to_a_stranger_who_sends_the_field_and_given_to_the_proxys_client() {
    let (holder, stack) = (client(), Stack::new());
    let key = tower_warden::api_key::NewKey::new("alice").confirmation(Confirmation::certificate(holder.thumbprint()));
    let (_, key) = stack.mint(key).await;
    let layer = layer(CertificateHeader::client_cert(ChainStatus::Verified));
    let request = |peer: &str| {
        let peer = Peer::new(peer.parse().unwrap());
        bearer(key.expose()).header("client-cert", sequence(&holder)).extension(peer)
    };
    send(layer.layer(stack.app.clone()), request(PROXY)).await.assert_subject("alice");
    send(layer.layer(stack.app.clone()), request(STRANGER)).await.assert_invalid("certificate_missing");
    // Without the layer, nobody is believed.
    send(stack.app.clone(), request(PROXY)).await.assert_invalid("certificate_missing");
}

/// (104)
#[tokio::test]
async fn a_field_of_a_trusted_proxy_that_is_malformed_is_refused() {
    let holder = client();
    let (good, encoded) = (sequence(&holder), BASE64_STANDARD.encode(&holder.certificate));
    let longer = BASE64_STANDARD.encode([&holder.certificate[..], b"\0"].concat());
    let unpadded = good.replace('=', "");
    let huge = format!(":{}:", "A".repeat(40_000));
    let layer = layer(CertificateHeader::client_cert(ChainStatus::Verified));
    for (value, reason) in [
        (&*encoded, "client_certificate_malformed"),
        (&format!("{good}, {good}"), "client_certificate_malformed"),
        (&format!("{good};a=1"), "client_certificate_malformed"),
        (&format!(" {good}x"), "client_certificate_malformed"),
        ("::", "client_certificate_malformed"),
        (":", "client_certificate_malformed"),
        ("", "client_certificate_malformed"),
        (&format!(":{longer}:"), "client_certificate_malformed"),
        (&format!(":{}:", &encoded[..encoded.len() - 8]), "client_certificate_malformed"),
        (&format!(":{}:", encoded.replace('+', "-").replace('/', "_") + "-"), "client_certificate_malformed"),
        (&escaped(&holder), "client_certificate_malformed"),
        (&format!("\"{encoded}\""), "client_certificate_malformed"),
        (&huge, "client_certificate_too_long"),
    ] {
        ask(&layer, from(PROXY).header("client-cert", value)).await.assert_malformed(reason);
        assert_eq!(ask(&layer, from(STRANGER).header("client-cert", value)).await.body, "nobody []");
    }
    if unpadded != good {
        let answer = ask(&layer, from(PROXY).header("client-cert", &unpadded)).await;
        answer.assert_malformed("client_certificate_malformed");
    }
    let twice = from(PROXY).header("client-cert", &good).header("client-cert", &good);
    ask(&layer, twice).await.assert_malformed("several_client_certificates");
    let raw = http::HeaderValue::from_bytes(b":\xff:").unwrap();
    ask(&layer, from(PROXY).header("client-cert", raw)).await.assert_malformed("client_certificate_malformed");
}

#[tokio::test]
async fn the_rows_of_rfc_9440_come_out_as_they_say() {
    let rows: serde_json::Value = serde_json::from_str(include_str!("../vectors/rfc9440/client_cert.json")).unwrap();
    let layer = layer(CertificateHeader::client_cert(ChainStatus::Verified));
    let (mut valid, mut invalid) = (0, 0);
    for row in rows["tests"].as_array().unwrap() {
        let [name, field, value, result] = ["name", "field", "value", "result"].map(|name| row[name].as_str().unwrap());
        if name == "Client-Cert-Chain" {
            // Not looked at where it may stand.
            continue;
        }
        let answer = ask(&layer, from(PROXY).header(field, value)).await;
        match result {
            "valid" => {
                assert_eq!(answer.body, "Verified CN=BC [client-cert]", "{name}");
                valid += 1;
            }
            "invalid" => {
                assert_eq!(answer.status, 400, "{name}");
                invalid += 1;
            }
            other => panic!("{name}: {other}"),
        }
    }
    assert_eq!((valid, invalid), (1, 7));
}

/// (104)
#[tokio::test]
async fn a_pem_that_is_not_one_certificate_is_refused() {
    let holder = client();
    let layer =
        layer(CertificateHeader::escaped_pem(HeaderName::from_static("ssl-client-cert"), ChainStatus::Verified));
    let good = escaped(&holder);
    for value in [
        good.repeat(2),
        holder.pem().replace('\n', " "),
        good.replace("CERTIFICATE", "RSA%20PRIVATE%20KEY"),
        good.replace("%2B", "+%20"),
        good[..good.len() - 20].to_owned(),
        format!("x{good}"),
        format!("{good}x"),
        good.replace("%0A", "%"),
        sequence(&holder),
    ] {
        if value == good {
            continue;
        }
        let answer = ask(&layer, from(PROXY).header("ssl-client-cert", &value)).await;
        answer.assert_malformed("client_certificate_malformed");
    }
    let blank_first = from(PROXY).header("ssl-client-cert", "").header("ssl-client-cert", &good);
    ask(&layer, blank_first).await.assert_malformed("several_client_certificates");
    // nginx has sent nothing.
    assert!(ask(&layer, from(PROXY).header("ssl-client-cert", "")).await.body.starts_with("nobody"));
}

/// (104)
#[tokio::test]
async fn base64_that_is_not_one_certificate_is_refused() {
    let holder = client();
    let layer = layer(CertificateHeader::base64_der(HeaderName::from_static("x-cert"), ChainStatus::Verified));
    let good = BASE64_STANDARD.encode(&holder.certificate);
    let longer = BASE64_STANDARD.encode([&holder.certificate[..], b"\0"].concat());
    for value in [
        format!("{good},{good}"),
        format!("{good}, {good}"),
        format!("{good}={good}"),
        format!("{good}%"),
        format!("x{good}"),
        good[..good.len() - 8].to_owned(),
        longer,
        sequence(&holder),
        escaped(&holder),
        "=".to_owned(),
        "-".to_owned(),
    ] {
        ask(&layer, from(PROXY).header("x-cert", &value)).await.assert_malformed("client_certificate_malformed");
    }
    let twice = from(PROXY).header("x-cert", "").header("x-cert", &good);
    ask(&layer, twice).await.assert_malformed("several_client_certificates");
    // Caddy has no certificate to write.
    assert_eq!(ask(&layer, from(PROXY).header("x-cert", "")).await.body, "nobody [x-cert]");
}

/// (105)
#[tokio::test]
async fn of_several_elements_the_declared_one_counts() {
    let authority = Authority::new("clients");
    let (alice, edge) = (authority.client("alice"), authority.client("edge"));
    let element = |holder: &Holder| {
        format!("Hash={};Cert=\"{}\";Subject=\"CN=a,\\\"b\\\";c\"", holder.thumbprint().to_hex(), escaped(holder))
    };
    let both = format!("{}, {}", element(&alice), element(&edge));
    let told = async |element: XfccElement, value: &str| {
        let layer = layer(CertificateHeader::envoy(element, ChainStatus::Verified));
        ask(&layer, from(PROXY).header("x-forwarded-client-cert", value)).await
    };
    let from_end = |place| XfccElement::FromEnd(NonZeroUsize::new(place).unwrap());
    assert!(told(from_end(1), &both).await.body.starts_with("Verified CN=edge"));
    assert!(told(from_end(2), &both).await.body.starts_with("Verified CN=alice"));
    assert!(told(XfccElement::Only, &element(&alice)).await.body.starts_with("Verified CN=alice"));
    told(from_end(3), &both).await.assert_malformed("client_certificate_malformed");
    told(XfccElement::Only, &both).await.assert_malformed("client_certificate_malformed");
}

/// (105)
#[tokio::test]
async fn an_element_whose_hash_is_anothers_or_that_is_malformed_is_refused() {
    let authority = Authority::new("clients");
    let (alice, other) = (authority.client("alice"), authority.client("other"));
    let (hash, certificate) = (alice.thumbprint().to_hex(), escaped(&alice));
    let layer = layer(CertificateHeader::envoy(XfccElement::Only, ChainStatus::Verified));
    for value in [
        format!("Hash={};Cert=\"{certificate}\"", other.thumbprint().to_hex()),
        format!("Hash=;Cert=\"{certificate}\""),
        format!("Hash={};Cert=\"{certificate}\"", &hash[..62]),
        format!("Cert=\"{certificate}\";Cert=\"{certificate}\""),
        format!("Cert=\"{certificate}\";cert=\"{}\"", escaped(&other)),
        format!("Cert=\"{certificate}"),
        format!("Cert={certificate}\""),
        format!("Hash={hash}"),
        format!("Hash={hash};Cert=\"\""),
        format!("Cert=\"{certificate}\";"),
        "By=spiffe://x".to_owned(),
        String::new(),
        ",".to_owned(),
    ] {
        let answer = ask(&layer, from(PROXY).header("x-forwarded-client-cert", &value)).await;
        answer.assert_malformed("client_certificate_malformed");
    }
}

/// (105)
#[tokio::test]
async fn a_hash_alone_counts_where_it_was_declared() {
    let hash = client().thumbprint().to_hex();
    let header = CertificateHeader::envoy(XfccElement::Only, ChainStatus::Verified).accept_hash_only();
    let answer = ask(&layer(header), from(PROXY).header("x-forwarded-client-cert", format!("Hash={hash}"))).await;
    assert_eq!(answer.body, format!("Verified {hash} [x-forwarded-client-cert]"));
}

/// (106)
#[tokio::test]
async fn look_alikes_and_the_fields_of_other_proxies_are_removed_whoever_sent_them() {
    let (holder, layer) = (client(), layer(CertificateHeader::client_cert(ChainStatus::Verified)));
    let suspects = [
        "client_cert",
        "client_cert_chain",
        "client-cert_chain",
        "x-forwarded-client_cert",
        "x-forwarded-client-cert",
        "x_forwarded_client_cert",
        "x-amzn-mtls-clientcert",
        "x-amzn-mtls-clientcert-leaf",
        "x_amzn_mtls_clientcert_subject",
        "x-ssl-client-cert",
        "x_ssl_client_cert",
        "x-ssl-client-verify",
        "ssl-client-cert",
        "ssl_client_s_dn",
        "x-client-cert",
        "x-client_cert-chain",
        "x-arr-clientcert",
        "x-forwarded-tls-client-cert",
        "x-forwarded-tls-client-cert-info",
        "x-forwarded-ssl-client-cert",
        "x-tls-client-cert",
        "cf-client-cert-der-base64",
    ];
    for peer in [PROXY, STRANGER] {
        let request = suspects.into_iter().fold(from(peer), |request, name| request.header(name, sequence(&holder)));
        let others = request.header("client-certificate", "other").header("x-ssl-clients", "3").header("accept", "*/*");
        assert_eq!(ask(&layer, others).await.body, "nobody [accept client-certificate x-ssl-clients]", "{peer}");
    }
    let chain = sequence(&holder);
    let request = from(PROXY).header("client-cert", &chain).header("client-cert-chain", &chain);
    assert_eq!(ask(&layer, request).await.body, "Verified CN=alice [client-cert client-cert-chain]");
}

/// (107)
#[tokio::test]
async fn a_field_that_is_named_by_connection_is_read_all_the_same() {
    let (holder, layer) = (client(), layer(CertificateHeader::client_cert(ChainStatus::Verified)));
    let request = from(PROXY).header("connection", "client-cert").header("client-cert", sequence(&holder));
    assert_eq!(ask(&layer, request).await.body, "Verified CN=alice [client-cert connection]");
}

#[tokio::test]
async fn the_certificate_of_a_proxy_is_not_its_clients() {
    let authority = Authority::new("clients");
    let (proxy, alice) = (authority.client("proxy"), authority.client("alice"));
    let named = [CertificateName::subject("CN=proxy")];
    let header = CertificateHeader::client_cert(ChainStatus::Verified);
    let layer = ForwardedCertificateLayer::new(header.clone(), ProxyMatcher::certificates(named));
    let from = |certificate: PeerCertificate| from(STRANGER).extension(certificate);
    let field = sequence(&alice);

    let told = ask(&layer, from(proxy.peer(ChainStatus::Verified)).header("client-cert", &field)).await;
    assert_eq!(told.body, "Verified CN=alice [client-cert]");
    assert_eq!(ask(&layer, from(proxy.peer(ChainStatus::Verified))).await.body, "nobody []");
    // Whoever is no proxy speaks for himself.
    let told = ask(&layer, from(alice.peer(ChainStatus::Verified)).header("client-cert", sequence(&proxy))).await;
    assert_eq!(told.body, "Verified CN=alice []");
    // Anybody can call himself so.
    let told = ask(&layer, from(proxy.peer(ChainStatus::Unverified)).header("client-cert", &field)).await;
    assert_eq!(told.body, "Unverified CN=proxy []");
    let pinned = ProxyMatcher::certificates([CertificateName::thumbprint(proxy.thumbprint())]);
    let layer = ForwardedCertificateLayer::new(header, pinned);
    let told = ask(&layer, from(proxy.peer(ChainStatus::Unverified)).header("client-cert", &field)).await;
    assert_eq!(told.body, "Verified CN=alice [client-cert]");
}

#[tokio::test]
async fn proxy_named_by_a_spiffe_id_is_not_one_whose_certificate_has_a_second_uri() {
    const ID: &str = "spiffe://example.com/proxy";
    let authority = Authority::new("clients");
    let proxy = |uris: &[&str]| {
        let mut params = pki::client("proxy");
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        authority.issue(&params).peer(ChainStatus::Verified)
    };
    let header = CertificateHeader::client_cert(ChainStatus::Verified);
    let layer = ForwardedCertificateLayer::new(header, ProxyMatcher::certificates([CertificateName::uri(ID)]));
    let field = sequence(&authority.client("alice"));
    let ask = async |uris: &[&str]| {
        let request = from(STRANGER).extension(proxy(uris)).header("client-cert", &field);
        ask(&layer, request).await.body
    };
    assert_eq!(ask(&[ID]).await, "Verified CN=alice [client-cert]");
    for other in ["https://example.com", "spiffe://example.com/other", ID] {
        assert_eq!(ask(&[ID, other]).await, "Verified CN=proxy []", "{other}");
        assert_eq!(ask(&[other, ID]).await, "Verified CN=proxy []", "{other}");
    }
}

#[tokio::test]
async fn the_certificate_that_a_proxy_on_a_unix_socket_forwards_is_read_if_it_is_trusted() {
    let holder = client();
    let header = CertificateHeader::client_cert(ChainStatus::Verified);
    let proxies = TrustedProxies::default().trust_unix_sockets();
    let request = || Request::builder().extension(UnixPeer).header("client-cert", sequence(&holder));
    let trusting = ForwardedCertificateLayer::new(header.clone(), ProxyMatcher::networks(proxies));
    assert_eq!(ask(&trusting, request()).await.body, "Verified CN=alice [client-cert]");
    let peer = Peer::new(STRANGER.parse().unwrap());
    assert_eq!(ask(&trusting, request().extension(peer)).await.body, "nobody []");
    let distrusting = ForwardedCertificateLayer::new(header, ProxyMatcher::networks(TrustedProxies::default()));
    assert_eq!(ask(&distrusting, request()).await.body, "nobody []");
}

#[tokio::test]
async fn what_answers_a_proxy_varies_by_the_field() {
    let (holder, layer) = (client(), layer(CertificateHeader::client_cert(ChainStatus::Verified)));
    for request in [from(PROXY), from(PROXY).header("client-cert", sequence(&holder))] {
        assert_eq!(ask(&layer, request).await.header("vary"), Some("client-cert"));
    }
    assert_eq!(ask(&layer, from(STRANGER)).await.header("vary"), None);
}
