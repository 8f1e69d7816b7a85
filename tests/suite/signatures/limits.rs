//! The work for a request before its signatures are verified.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Request, request::Builder};
use tower_warden::{
    Eventual, ManualClock, Unavailable,
    jwt::Algorithm,
    signature::{KnownKey, SignatureKeyMap, SignatureKeyRequest, SignatureKeys},
    testing::SigningKey,
};

use crate::{
    signed::{App, Labelled, agents, app_of, assert_refused, covered, pair, parameters, send, signed, signed_by_all},
    support::START,
};

/// Names of query parameters: `aa`, `ab` and so on.
fn names(count: u8) -> Vec<String> {
    (0..count).map(|n| [n / 26, n % 26].map(|digit| char::from(b'a' + digit)).iter().collect()).collect()
}

/// A target with these parameters, and a long rest whose every byte is encoded again.
fn target(names: &[String], rest: usize) -> String {
    format!("/?{}&{}", names.iter().map(|name| format!("{name}=")).collect::<Vec<_>>().join("&"), "/".repeat(rest))
}

fn components(target: &str, names: &[String]) -> Vec<(String, String)> {
    let parameter = |name: &String| (format!("\"@query-param\";name=\"{name}\""), String::new());
    covered("GET", target).into_iter().chain(names.iter().map(parameter)).collect()
}

/// Keys whose look-ups are counted.
#[derive(Clone)]
struct Counted {
    keys: SignatureKeyMap,
    count: Arc<AtomicUsize>,
}

impl SignatureKeys for Counted {
    fn find(&self, request: &SignatureKeyRequest<'_>) -> Eventual<Result<Option<KnownKey>, Unavailable>> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.keys.find(request)
    }
}

struct Server {
    app: App,
    key: SigningKey,
    lookups: Arc<AtomicUsize>,
}

impl Server {
    fn new() -> Self {
        let (clock, key) = (ManualClock::at(START), SigningKey::generate(Algorithm::EdDSA));
        let keys = Counted { keys: agents(&key), count: Arc::default() };
        Self { app: app_of(keys.clone(), &clock), key, lookups: keys.count }
    }

    /// Signs the components with as many nonces, under as many labels.
    fn signed(&self, request: Builder, components: &[(String, String)], count: usize) -> Builder {
        let parameters = |n| format!("{};nonce=\"{n}\"", parameters(START.as_secs(), "k1"));
        let labels: Vec<_> = (0..count).map(|n| (format!("s{n}"), parameters(n))).collect();
        let signature = |(label, parameters)| Labelled(label, &self.key, components, parameters);
        let pairs = labels.iter().map(|(label, parameters)| (&**label, &**parameters));
        signed_by_all(request, &pairs.map(signature).collect::<Vec<_>>())
    }

    async fn refuses_before_a_look_up(&self, request: Builder) {
        send(&self.app, request, "").await.assert_reason(400, "signature_too_long");
        assert_eq!(self.lookups.load(Ordering::Relaxed), 0);
    }
}

// (235)
#[tokio::test]
async fn signatures_that_cover_many_parameters_of_a_long_query_are_refused() {
    let (server, names) = (Server::new(), names(30));
    let target = target(&names, 64_000);
    let request = |count| server.signed(Request::get(&target), &components(&target, &names), count);
    for count in 2..=8 {
        server.refuses_before_a_look_up(request(count)).await;
    }
    send(&server.app, request(1), "").await.assert_subject("agent:");
}

/// 30 kB that are read 30 times would exceed the limit.
#[tokio::test]
async fn query_is_read_once_for_all_its_parameters() {
    let (server, names) = (Server::new(), names(30));
    let target = target(&names, 30_000);
    let request = server.signed(Request::get(&target), &components(&target, &names), 1);
    send(&server.app, request, "").await.assert_subject("agent:");
}

// (235)
#[tokio::test]
async fn field_that_is_longer_than_the_limit_is_refused() {
    let value = "a".repeat(128 * 1024);
    let server = Server::new();
    let components = [&covered("GET", "/")[..], &[pair("x-long", &value)]].concat();
    server.refuses_before_a_look_up(server.signed(Request::get("/").header("x-long", &value), &components, 1)).await;
}

/// A dictionary with these members, and a long one.
fn dictionary(names: &[String], rest: usize) -> String {
    format!("{}, z=\"{}\"", names.join(", "), "a".repeat(rest))
}

fn members(names: &[String]) -> Vec<(String, String)> {
    let member = |name: &String| (format!("\"priority\";key=\"{name}\""), "?1".to_owned());
    covered("GET", "/").into_iter().chain(names.iter().map(member)).collect()
}

// (235)
#[tokio::test]
async fn member_of_a_dictionary_that_is_longer_than_a_quarter_of_the_limit_is_refused() {
    let (server, names) = (Server::new(), names(1));
    let request = Request::get("/").header("priority", dictionary(&names, 32 * 1024));
    server.refuses_before_a_look_up(server.signed(request, &members(&names), 1)).await;
}

// (235)
#[tokio::test]
async fn structured_field_that_is_longer_than_a_quarter_of_the_limit_is_refused() {
    let (server, value) = (Server::new(), format!("z=\"{}\"", "a".repeat(32 * 1024)));
    let components = [&covered("GET", "/")[..], &[("\"priority\";sf".to_owned(), value.clone())]].concat();
    server.refuses_before_a_look_up(server.signed(Request::get("/").header("priority", value), &components, 1)).await;
}

/// 10 kB that are parsed 90 times would exceed the limit.
#[tokio::test]
async fn dictionary_is_parsed_once_for_all_its_members_and_signatures() {
    let (server, names) = (Server::new(), names(30));
    let request = Request::get("/").header("priority", dictionary(&names, 10_000));
    let request = server.signed(request, &members(&names), 3);
    send(&server.app, request, "").await.assert_subject("agent:");
    assert_eq!(server.lookups.load(Ordering::Relaxed), 3);
}

// (227)
#[tokio::test]
async fn fourth_signature_that_meets_the_policy_is_refused() {
    let server = Server::new();
    let request = |count| server.signed(Request::get("/"), &covered("GET", "/"), count);
    server.refuses_before_a_look_up(request(4)).await;
    send(&server.app, request(3), "").await.assert_subject("agent:");
}

// (213)
#[tokio::test]
async fn key_of_a_stale_signature_is_not_looked_up() {
    let server = Server::new();
    let request = signed(Request::get("/"), &server.key, &covered("GET", "/"), &parameters(1, "k1"));
    assert_refused(&send(&server.app, request, "").await, "signature_too_old");
    assert_eq!(server.lookups.load(Ordering::Relaxed), 0);
}
