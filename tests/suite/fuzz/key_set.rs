//! Key sets and metadata of issuers: no other key verifies a token, and nothing is fetched over plain HTTP.

use std::{
    iter,
    sync::{Arc, LazyLock, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use serde_json::{Value, json};
use tower_warden::{
    Environment, Eventual, ManualClock, Unavailable,
    fetch::Fetch,
    jwt::{Algorithm, Issuer, Jwt, RemoteKeys, StaticKeys, VerifyingKey},
    layer::AuthLayer,
    testing::{SigningKey, TokenBuilder},
};

use super::{check_uniform, fill, runtime, send};
use crate::support::{START, app, bearer};

const ISSUER: &str = "https://issuer.test";

/// The issuer's key, and one of somebody else.
static KEYS: LazyLock<[SigningKey; 2]> =
    LazyLock::new(|| ["own", "other"].map(|id| SigningKey::named(Algorithm::ES256, id)));

/// The documents of an issuer, and the URLs that were requested.
struct Documents {
    metadata: String,
    keys: String,
    fetched: Arc<Mutex<Vec<Uri>>>,
}

impl Fetch for Documents {
    fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let is_metadata = request.uri().path().starts_with("/.well-known/");
        self.fetched.lock().unwrap().push(request.uri().clone());
        let document = if is_metadata { &self.metadata } else { &self.keys };
        Eventual::Now(Ok(Response::new(document.clone().into())))
    }
}

/// A metadata document and a key set with a line `---` between them. `{jwk}` is the issuer's key, and `{x}` a part of it.
pub fn run(input: &[u8]) -> bool {
    let [own, other] = &*KEYS;
    let text = String::from_utf8_lossy(input);
    let jwk = own.jwk();
    let x = jwk["x"].as_str().unwrap();
    let text = fill(&text, &[("{jwk}", &jwk.to_string()), ("{x}", x), ("{y}", jwk["y"].as_str().unwrap())]);
    let (metadata, keys) = text.split_once("\n---\n").unwrap_or(("", &text));
    parse(keys, input);
    let fetched = Arc::default();
    let documents = Documents { metadata: metadata.to_owned(), keys: keys.to_owned(), fetched: Arc::clone(&fetched) };
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let is_admitted = runtime().block_on(async {
        let built = RemoteKeys::discovery(ISSUER).fetch(documents).environment(&environment).connect().await;
        let Ok(remote) = built else { return false };
        let jwt = Jwt::new(Issuer::new(ISSUER, "https://api.test").unwrap(), remote);
        let app = app(&AuthLayer::new(jwt).environment(&environment));
        let mut is_admitted = false;
        for key in [own, other] {
            let now = START.as_secs();
            let claims = json!({
                "iss": ISSUER, "aud": "https://api.test", "sub": "alice", "iat": now, "exp": now + 300
            });
            let header = json!({ "alg": "ES256", "kid": key.id() });
            let token = TokenBuilder::sign_text(&header.to_string(), &claims.to_string(), key);
            let answer = send(&app, bearer(&token)).await;
            check_uniform("key_set", &answer);
            if answer.status == 200 {
                assert_eq!(key.id(), own.id());
                let issuer = serde_json::from_str::<Value>(metadata.trim_start_matches('\u{feff}')).unwrap();
                assert_eq!(issuer["issuer"], ISSUER);
                assert!(keys.contains(x), "{keys}");
                is_admitted = true;
            }
        }
        is_admitted
    });
    for uri in &*fetched.lock().unwrap() {
        let is_local = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
        assert!(uri.scheme_str() == Some("https") || is_local, "{uri}");
        assert!(uri.authority().is_some_and(|authority| !authority.as_str().contains('@')), "{uri}");
    }
    is_admitted
}

/// Keys as a configuration has them.
fn parse(text: &str, bytes: &[u8]) {
    for algorithm in Algorithm::DEFAULT.into_iter().chain(iter::once(Algorithm::MlDsa44)) {
        let _ = VerifyingKey::from_pem(algorithm, text);
        let _ = VerifyingKey::from_der(algorithm, bytes);
    }
    let is_private = |jwk: &Value| {
        let has = |name: &str| jwk.get(name).is_some_and(|value| value.as_str().is_some_and(|text| !text.is_empty()));
        ["d", "p", "q", "dp", "dq", "qi", "priv"].into_iter().any(has)
    };
    if let Ok(key) = VerifyingKey::from_jwk(text) {
        let jwk: Value = text.parse().expect("a JWK is JSON");
        assert!(!is_private(&jwk), "{jwk}");
        assert_eq!(key.kid(), jwk["kid"].as_str());
    }
    if StaticKeys::from_jwk_set(text).is_ok() {
        let set: Value = text.trim_start_matches('\u{feff}').parse().expect("a key set is JSON");
        assert!(set["keys"].as_array().is_some_and(|keys| (1..=100).contains(&keys.len())), "{set}");
    }
}
