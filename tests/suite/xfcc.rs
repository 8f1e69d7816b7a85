//! Envoy's `X-Forwarded-Client-Cert`: what a client puts into it, and what proxies append.

use std::{num::NonZeroUsize, sync::LazyLock};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::{prelude::*, sample::select};
use tower_warden::{
    AuthMethod, Identity,
    certificate::{CertificateHeader, CertificateMap, CertificateName, ChainStatus, ClientCertificates, XfccElement},
    layer::AuthLayer,
};

use crate::{
    forwarded::{PROXY, ask, from, layer},
    pki::{Authority, Holder},
    support::{Answer, app, send},
};

const MALFORMED: &str = "client_certificate_malformed";
const UNQUOTED: &str = "client_certificate_unquoted_name";

/// A client with a certificate of its own, the one that it wants to pass for, and a proxy.
struct People {
    edge: Holder,
    mallory: Holder,
    victim: Holder,
}

static PEOPLE: LazyLock<People> = LazyLock::new(|| {
    let authority = Authority::new("clients");
    People { edge: authority.client("edge"), mallory: authority.client("mallory"), victim: authority.client("victim") }
});

fn escaped(holder: &Holder) -> String {
    utf8_percent_encode(&holder.pem(), NON_ALPHANUMERIC).to_string()
}

fn hash(holder: &Holder) -> String {
    holder.thumbprint().to_hex()
}

fn from_end(position: usize) -> XfccElement {
    XfccElement::FromEnd(NonZeroUsize::new(position).unwrap())
}

fn envoy(element: XfccElement) -> CertificateHeader {
    CertificateHeader::envoy(element, ChainStatus::Verified)
}

async fn read(header: CertificateHeader, field: &str) -> Answer {
    ask(&layer(header), from(PROXY).header("x-forwarded-client-cert", field)).await
}

/// The common name of the admitted certificate; `None` if the request was refused.
async fn admitted(header: CertificateHeader, field: &str) -> Option<&'static str> {
    let answer = read(header, field).await;
    let People { edge, mallory, victim } = &*PEOPLE;
    let names = [("edge", edge), ("mallory", mallory), ("victim", victim)];
    let is_in = |(name, holder): &(&str, &Holder)| answer.body.contains(name) || answer.body.contains(&hash(holder));
    (answer.status == 200).then(|| names.into_iter().find(is_in).expect("a known certificate").0)
}

/// What Envoy appends for a client: a quote in a subject may be escaped or not.
fn appended(holder: &Holder, subject: &str) -> [String; 4] {
    let (hash, certificate) = (hash(holder), escaped(holder));
    [
        format!("By=spiffe://example.com/api;Hash={hash};Cert=\"{certificate}\";Subject=\"{subject}\""),
        format!("Hash={hash};Subject=\"{subject}\""),
        format!("Hash={hash};Cert=\"{certificate}\""),
        format!("Hash={hash}"),
    ]
}

/// (151)
#[tokio::test]
async fn a_quote_that_the_client_opens_hides_no_element_of_the_proxy() {
    let People { mallory, victim, .. } = &*PEOPLE;
    let forged = [
        format!("Cert={};x=\"", escaped(victim)),
        format!("Cert=\"{}\";x=\"", escaped(victim)),
        format!("Hash={};x=\"", hash(victim)),
        format!("Hash={},x=\"", hash(victim)),
        format!("x=\"\";Cert={};y=\"\\", escaped(victim)),
    ];
    for (forged, subject) in forged.iter().flat_map(|forged| [(forged, "CN=a\"b"), (forged, "CN=a\\\"b")]) {
        for element in appended(mallory, subject) {
            let field = format!("{forged},{element}");
            for place in [XfccElement::Only, from_end(1), from_end(2)] {
                read(envoy(place), &field).await.assert_malformed(MALFORMED);
                read(envoy(place).accept_hash_only(), &field).await.assert_malformed(MALFORMED);
            }
        }
    }
}

#[tokio::test]
async fn a_quote_stands_only_around_a_whole_value() {
    let (certificate, hash) = (escaped(&PEOPLE.victim), hash(&PEOPLE.victim));
    let good = format!("Cert=\"{certificate}\"");
    for value in [
        format!("{good};Subject=\"CN=a\"b"),
        format!("{good};Subject=\"CN=a\"\"b\""),
        format!("{good};Subject=CN=\"a\""),
        format!("{good} ;Subject=\"CN=a\""),
        format!("{good};Subject= \"CN=a\""),
        format!("{good};Subject=\"CN=a"),
        format!("{good};Subject=\"CN=a\\\""),
        format!("{good};\"Subject\"=a"),
        format!("{good};Subject"),
        format!("{good};=a"),
        format!("{good};"),
        format!(";{good}"),
        format!("Subject=\"a\"b,{good}"),
        format!("Subject,{good}"),
        format!(",{good}"),
        format!("{good},"),
        format!("\"{good}\""),
        format!("Cert=\"{certificate}\\\""),
        format!("Hash=\"{hash}\\\""),
    ] {
        read(envoy(from_end(1)).accept_hash_only(), &value).await.assert_malformed(MALFORMED);
    }
    for value in [
        format!("{good};Subject=\"CN=a,\\\"b\\\\\\\";c\""),
        format!("Subject=\"\";cERT={certificate};By="),
        format!("Hash=\"{hash}\";Subject=\"/C=US/CN=a=b\""),
        format!("Hash={};By=a=b", hash.to_uppercase()),
        format!("Subject=\"a\",\t {good}"),
    ] {
        let answer = read(envoy(from_end(1)).accept_hash_only(), &value).await;
        assert_eq!(answer.status, 200, "{value}");
    }
}

/// (152)
#[tokio::test]
async fn a_name_without_quotes_is_refused_where_it_may_look_like_an_element() {
    let People { mallory, victim, .. } = &*PEOPLE;
    let real = format!("By=spiffe://example.com/api;Hash={};Cert=\"{}\"", hash(mallory), escaped(mallory));
    for name in ["URI", "DNS", "uri", "dNs"] {
        let forged = format!("{real};{name}=a,Cert={}", escaped(victim));
        read(envoy(from_end(1)), &forged).await.assert_malformed(UNQUOTED);
        read(envoy(from_end(2)), &forged).await.assert_malformed(UNQUOTED);
        read(envoy(XfccElement::Only), &forged).await.assert_malformed(MALFORMED);
        let harmless = format!("{real};{name}=a");
        read(envoy(from_end(1)), &harmless).await.assert_malformed(UNQUOTED);
        assert_eq!(admitted(envoy(XfccElement::Only), &harmless).await, Some("mallory"));
        assert_eq!(admitted(envoy(from_end(1)).danger_trust_unquoted_names(), &harmless).await, Some("mallory"));
        // The client has opened a quote, and its name closes it.
        let hidden = format!("Cert={};x=\",Hash={};{name}=a\"", escaped(victim), hash(mallory));
        for place in [XfccElement::Only, from_end(1)] {
            read(envoy(place), &hidden).await.assert_malformed(UNQUOTED);
        }
    }
}

#[tokio::test]
async fn a_second_certificate_or_hash_in_a_name_is_refused() {
    let People { mallory, victim, .. } = &*PEOPLE;
    for field in [
        format!("Hash={};Cert=\"{}\";URI=a;Cert={}", hash(mallory), escaped(mallory), escaped(victim)),
        format!("Hash={};URI=a;Hash={}", hash(mallory), hash(victim)),
        format!("Hash={};URI=a;Cert={}", hash(mallory), escaped(victim)),
    ] {
        let header = envoy(XfccElement::Only).accept_hash_only();
        read(header.clone(), &field).await.assert_malformed(MALFORMED);
        read(header.danger_trust_unquoted_names(), &field).await.assert_malformed(MALFORMED);
    }
}

#[tokio::test]
async fn the_default_field_of_istio_identifies_the_client_by_its_uri_if_the_names_are_trusted() {
    let hash = hash(&PEOPLE.mallory);
    let field = |names: &str| format!("By=spiffe://cluster.local/ns/api/sa/api;Hash={hash};Subject=\"\"{names}");
    let uri = "spiffe://cluster.local/ns/web/sa/web";
    let map = CertificateMap::default()
        .with([CertificateName::uri(uri)], Identity::new("web", AuthMethod::ClientCertificate))
        .with([CertificateName::dns("web.internal")], Identity::new("dns", AuthMethod::ClientCertificate));
    let ask = async |header: CertificateHeader, names: &str| {
        let service = tower::Layer::layer(&layer(header), app(&AuthLayer::new(ClientCertificates::new(map.clone()))));
        send(service, from(PROXY).header("x-forwarded-client-cert", field(names))).await
    };
    let trusting = envoy(from_end(1)).danger_trust_unquoted_names();
    let own = format!(";URI={uri}");
    ask(trusting.clone(), &own).await.assert_subject("web");
    ask(trusting.clone(), ";DNS=Web.internal").await.assert_subject("dns");
    ask(trusting.clone(), ";URI=spiffe://cluster.local/ns/web/sa/other").await.assert_invalid("certificate_unknown");
    // A SPIFFE ID is the only URI.
    ask(trusting.clone(), &format!("{own};URI=spiffe://a/b")).await.assert_invalid("certificate_unknown");
    ask(trusting, ";URI=").await.assert_invalid("certificate_unknown");

    ask(envoy(XfccElement::Only), &own).await.assert_malformed(MALFORMED);
    ask(envoy(from_end(1)), &own).await.assert_malformed(UNQUOTED);
    // A hash alone has no names.
    ask(envoy(XfccElement::Only).accept_hash_only(), &own).await.assert_invalid("certificate_unknown");
}

/// A second reader of the field, one state for each position in the grammar. Returns the admitted thumbprint, as the
/// element at this position from the end has it, with `accept_hash_only`.
fn second_reader(field: &str, place: Option<usize>) -> Option<String> {
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        Next,
        Name,
        Value,
        Bare,
        Quoted,
        Escape,
        Closed,
    }
    let mut elements = vec![vec![(String::new(), String::new())]];
    let mut at = At::Name;
    for c in field.chars() {
        let pair = elements.last_mut().unwrap().last_mut().unwrap();
        at = match (at, c) {
            (At::Next, ' ' | '\t') => At::Next,
            (At::Next | At::Name, c) if c.is_ascii_alphanumeric() || c == '-' || c == '_' => {
                pair.0.push(c.to_ascii_lowercase());
                At::Name
            }
            (At::Name, '=') if !pair.0.is_empty() => At::Value,
            (At::Value, '"') => At::Quoted,
            (At::Value | At::Bare | At::Closed, ';') => {
                elements.last_mut().unwrap().push(Default::default());
                At::Next
            }
            (At::Value | At::Bare | At::Closed, ',') => {
                elements.push(vec![Default::default()]);
                At::Next
            }
            (At::Value | At::Bare, c) if c != '"' => {
                pair.1.push(c);
                At::Bare
            }
            (At::Quoted, '"') => At::Closed,
            (At::Quoted | At::Escape, c) => {
                pair.1.push(c);
                if at == At::Quoted && c == '\\' { At::Escape } else { At::Quoted }
            }
            _ => return None,
        };
    }
    if !matches!(at, At::Value | At::Bare | At::Closed) {
        return None;
    }
    let element = match place {
        Some(place) => elements.iter().rev().nth(place - 1)?,
        None if elements.len() == 1 => &elements[0],
        None => return None,
    };
    let of =
        |name: &str| element.iter().filter(|(known, _)| known == name).map(|(_, value)| &**value).collect::<Vec<_>>();
    let People { edge, mallory, victim } = &*PEOPLE;
    let known = |value: &str| {
        [edge, mallory, victim].into_iter().find(|holder| value.trim_ascii_end() == escaped(holder)).map(hash)
    };
    match (&*of("cert"), &*of("hash")) {
        ([certificate], []) => known(certificate),
        ([certificate], [hash]) => known(certificate).filter(|known| known == hash),
        ([], [hash]) => (hash.len() == 64).then(|| (*hash).to_owned()),
        _ => None,
    }
}

/// Texts of which fields are made.
fn pieces() -> Vec<String> {
    let People { mallory, victim, .. } = &*PEOPLE;
    let mut pieces: Vec<String> =
        [";", ";", ",", ",", "\"", "\"", "\\", "=", " ", "x=", "Subject=", "CN=a", "By=a", "a\\\"b"]
            .map(str::to_owned)
            .into();
    for holder in [mallory, victim] {
        pieces.push(format!("Hash={}", hash(holder)));
        pieces.push(format!("Cert=\"{}\"", escaped(holder)));
        pieces.push(format!("Cert={}", escaped(holder)));
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_field_is_read_as_a_second_reader_reads_it(pieces in prop::collection::vec(select(pieces()), 1..12)) {
        let field = pieces.concat();
        for (place, element) in [(None, XfccElement::Only), (Some(1), from_end(1)), (Some(2), from_end(2))] {
            let answer = futures_util::FutureExt::now_or_never(admitted_hash(element, &field)).unwrap();
            prop_assert_eq!(answer, second_reader(&field, place), "{}", &field);
        }
    }

    /// Two proxies append an element each, and the client chooses what is before them.
    #[test]
    fn no_beginning_of_a_field_makes_the_client_another(
        pieces in prop::collection::vec(select(pieces()), 0..8),
        subject in select(vec!["", "CN=mallory", "CN=a\\\"b", "CN=a\"b", "CN=\"", "CN=a\\,x=\\\"", "\";a=\""]),
        form in 0..4_usize,
    ) {
        let People { edge, mallory, .. } = &*PEOPLE;
        let one = format!("{},{}", pieces.concat(), appended(mallory, subject)[form]);
        let two = format!("{one},{}", appended(edge, "CN=edge")[form]);
        for (field, element, real) in [
            (&one, XfccElement::Only, "mallory"),
            (&one, from_end(1), "mallory"),
            (&two, from_end(1), "edge"),
            (&two, from_end(2), "mallory"),
        ] {
            let header = envoy(element).accept_hash_only();
            let answer = futures_util::FutureExt::now_or_never(admitted(header, field)).unwrap();
            prop_assert!(answer.is_none_or(|admitted| admitted == real), "{:?}: {}", answer, field);
        }
    }
}

async fn admitted_hash(element: XfccElement, field: &str) -> Option<String> {
    let People { mallory, victim, .. } = &*PEOPLE;
    let name = admitted(envoy(element).accept_hash_only(), field).await?;
    Some(hash(if name == "victim" { victim } else { mallory }))
}
