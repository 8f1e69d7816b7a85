//! Whole requests against a layer with several sources of credentials, compared with a naive reading of their head.

use std::sync::{Arc, LazyLock};

use http::Request;
use tower_warden::{
    Environment, ManualClock,
    api_key::{ApiKeys, KeyFormat, NewKey},
    jwt::{Issuer, Jwt},
    layer::AuthLayer,
    scheme::{Bearer, Location},
    testing::TestIssuer,
};

use super::{block_on, builder, check_uniform, fill, send, split_line, with_fields};
use crate::support::{App, Mode, START, TestStore, app};

/// A layer whose key store answers, one whose store fails, and their credentials.
struct Bench {
    app: App,
    failing: App,
    credentials: [(&'static str, String); 4],
}

static BENCH: LazyLock<Bench> = LazyLock::new(Bench::new);

impl Bench {
    fn new() -> Self {
        let environment = Environment::default().with_clock(ManualClock::at(START));
        let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
        let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.test").unwrap(), issuer.clone());
        let bearer = Bearer::default()
            .or(Location::cookie("session"))
            .or(Location::header("x-token"))
            .or(Location::web_socket_protocol("bearer."));
        let layered = |store: Arc<TestStore>| {
            let keys = ApiKeys::builder(store, KeyFormat::new("sk_agent").unwrap()).environment(&environment).build();
            let layer = AuthLayer::new((jwt.clone(), keys.clone())).scheme(bearer.clone()).environment(&environment);
            (app(&layer), keys)
        };
        let (failing, store) = (Arc::default(), Arc::default());
        let (app, keys) = layered(store);
        let key = block_on(keys.mint(NewKey::new("agent"))).unwrap().1;
        TestStore::set(&failing, Mode::Fail);
        let token = || issuer.token("alice").audience("https://api.test");
        let credentials = [
            ("{token}", token().sign()),
            ("{key}", key.expose().to_owned()),
            ("{expired}", token().claim("exp", START.as_secs() - 3_600).sign()),
            ("{other}", TestIssuer::new("https://issuer.test").token("alice").audience("https://api.test").sign()),
        ];
        Self { app, failing: layered(failing).0, credentials }
    }
}

/// A method and a target, and then the lines of the header fields.
pub fn run(input: &[u8]) -> bool {
    let bench = &*BENCH;
    let names = bench.credentials.each_ref().map(|(name, value)| (*name, &**value));
    let text = fill(&String::from_utf8_lossy(input), &names);
    let (line, fields) = split_line(&text);
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let Ok(request) = Request::builder().method(method).uri(target).body(()) else { return false };
    let request = with_fields(request, fields);
    let expected = Expected::of(&request, &bench.credentials);
    block_on(async {
        for (app, is_failing) in [(&bench.app, false), (&bench.failing, true)] {
            let answer = send(app, builder(request.clone())).await;
            check_uniform("request", &answer);
            let seen = format!("{:?}", answer.seen());
            assert!(bench.credentials.iter().all(|(_, secret)| !seen.contains(&**secret)), "{seen}");
            let status = answer.status.as_u16();
            match expected {
                Expected::Key if is_failing => assert_eq!(status, 503),
                Expected::Key => answer.assert_subject("agent"),
                Expected::Token => answer.assert_subject("alice"),
                Expected::None => assert_eq!(status, 401, "{answer:?}"),
                Expected::Several => assert_eq!(status, 400, "{answer:?}"),
                // A key that nobody has is looked up.
                Expected::Other => assert!(matches!(status, 400 | 401) || is_failing && status == 503, "{answer:?}"),
            }
        }
    });
    matches!(expected, Expected::Key | Expected::Token)
}

/// The credential of a request.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Key,
    None,
    Other,
    Several,
    Token,
}

impl Expected {
    fn of(request: &Request<()>, credentials: &[(&'static str, String); 4]) -> Self {
        let mut candidates = Vec::new();
        for (name, value) in request.headers() {
            let value = value.as_bytes();
            let parts = |separator: u8| value.split(move |byte| *byte == separator).map(<[u8]>::trim_ascii);
            match name.as_str() {
                "authorization" => candidates.push(("authorization", value)),
                "x-api-key" => candidates.push(("key", value)),
                "x-token" => candidates.push(("token", value)),
                "cookie" => candidates.extend(parts(b';').filter_map(|pair| {
                    let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
                    (name.trim_ascii() == b"session").then(|| ("token", value[1..].trim_ascii()))
                })),
                "sec-websocket-protocol" => {
                    let entries = parts(b',').filter_map(|entry| entry.strip_prefix(b"bearer."));
                    candidates.extend(entries.map(|value| ("token", value)));
                }
                _ => {}
            }
        }
        let (place, text) = match *candidates {
            [] => return Self::None,
            [(place, text)] => (place, text),
            _ => return Self::Several,
        };
        let (place, text) = match place {
            "authorization" => {
                let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
                let (scheme, rest) = text.split_at(end);
                let start = rest.iter().position(|byte| *byte != b' ').unwrap_or(rest.len());
                (std::str::from_utf8(scheme).unwrap_or_default(), &rest[start..])
            }
            place => (place, text),
        };
        let [(_, token), (_, key), ..] = credentials;
        let is_token = text == token.as_bytes();
        let is_key = text == key.as_bytes();
        match place.to_ascii_lowercase().as_str() {
            "bearer" | "token" if is_token => Self::Token,
            "bearer" | "token" | "apikey" | "key" if is_key => Self::Key,
            _ => Self::Other,
        }
    }
}
