//! DPoP proofs: signed by the client's key, for arbitrary requests.

use std::sync::LazyLock;

use http::Request;
use serde_json::Value;
use tower_warden::{
    Digest, Environment, ManualClock,
    dpop::{Dpop, PathRewrite},
    jwt::{Algorithm, Issuer, Jwt},
    layer::AuthLayer,
    testing::{SigningKey, TestIssuer, TokenBuilder},
};

use super::{block_on, check_uniform, fill, send, split_line};
use crate::support::{START, app};

/// A client with a key, and its token.
struct Bench {
    environment: Environment,
    jwt: Jwt,
    key: SigningKey,
    jwk: String,
    token: String,
    token_hash: String,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
    let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.test").unwrap(), issuer.clone());
    let key = SigningKey::generate(Algorithm::ES256);
    let mut jwk = key.jwk();
    jwk.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "alg" | "kid" | "use"));
    let token = issuer.token("alice").audience("https://api.test").confirmation(&key.confirmation()).sign();
    let token_hash = Digest::of(token.as_bytes()).to_base64url();
    Bench { environment, jwt, key, jwk: jwk.to_string(), token, token_hash }
});

/// A method and a target, the header of a proof in one line, and its payload.
pub fn run(input: &[u8]) -> bool {
    let bench = &*BENCH;
    let names = [("{jwk}", &*bench.jwk), ("{ath}", &*bench.token_hash)];
    let text = fill(&String::from_utf8_lossy(input), &names);
    let (line, text) = split_line(&text);
    let (header, payload) = split_line(text);
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let proof = TokenBuilder::sign_text(header, payload, &bench.key);
    let Ok(request) = Request::builder().method(method).uri(target).body(()) else { return false };
    let mut is_admitted = false;
    for rewrite in [None, Some("/internal")] {
        let dpop = Dpop::new("https://api.test/base").unwrap();
        let dpop = match rewrite {
            Some(prefix) => dpop.path_rewrite(PathRewrite::PrefixAdded(prefix.into())).unwrap(),
            None => dpop,
        };
        let app = app(&AuthLayer::new(bench.jwt.clone()).environment(&bench.environment).dpop(dpop));
        let answers = [(); 2].map(|()| {
            let request = Request::builder().method(method).uri(target);
            let request = request.header("authorization", format!("DPoP {}", bench.token)).header("dpop", &proof);
            block_on(send(&app, request))
        });
        answers.iter().for_each(|answer| check_uniform("proof", answer));
        assert_ne!(answers[1].status, 200, "the proof was used before");
        if answers[0].status == 200 {
            check_admitted(&request, rewrite, header, payload, &bench.token_hash);
            is_admitted = true;
        }
    }
    is_admitted
}

#[track_caller]
fn check_admitted(request: &Request<()>, rewrite: Option<&str>, header: &str, payload: &str, token_hash: &str) {
    let parse = |text| serde_json::from_str::<Value>(text).expect("an admitted proof is JSON");
    let (header, payload) = (parse(header), parse(payload));
    assert!(header["typ"].as_str().unwrap().eq_ignore_ascii_case("dpop+jwt"), "{header}");
    assert!(header["jwk"].get("d").is_none() && header.get("crit").is_none(), "{header}");
    assert_eq!(payload["htm"], *request.method().as_str());
    assert_eq!(payload["ath"], *token_hash);
    assert!(!payload["jti"].as_str().unwrap().is_empty());
    let age = START.as_secs() as f64 - payload["iat"].as_f64().unwrap();
    assert!((-30.0..=301.0).contains(&age), "{payload}");
    let path = request.uri().path();
    let (own, expected) = (segments(path), |path: &[String]| [&["base".to_owned()], path].concat());
    let expected = match rewrite {
        Some(prefix) if own.first().is_some_and(|first| *first == prefix[1..]) => vec![expected(&own[1..])],
        Some(_) => vec![],
        None => vec![expected(&own), own],
    };
    let htu = payload["htu"].as_str().unwrap();
    let named = named_path(htu).unwrap_or_else(|| panic!("{htu} is not of this origin"));
    // A path that is not valid is compared byte for byte.
    let is_same = expected.contains(&segments(named)) || named == path || named.strip_prefix("/base") == Some(path);
    let is_rest = rewrite
        .is_some_and(|prefix| path.strip_prefix(prefix).is_some_and(|rest| named.strip_prefix("/base") == Some(rest)));
    assert!(is_same || is_rest, "a proof for {htu} was accepted for {path}");
}

/// The path of a URL of the public origin.
fn named_path(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let rest = rest.split(['?', '#']).next()?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let is_default = matches!(port.trim_start_matches('0'), "" | "443");
    (scheme.eq_ignore_ascii_case("https") && host.eq_ignore_ascii_case("api.test") && is_default).then_some(path)
}

/// The segments of a path without percent-encoding and dot segments.
fn segments(path: &str) -> Vec<String> {
    let mut segments = Vec::new();
    for segment in path.split('/').skip(1) {
        let segment = percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned();
        match segment.as_str() {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    while segments.last().is_some_and(String::is_empty) {
        segments.pop();
    }
    segments
}
