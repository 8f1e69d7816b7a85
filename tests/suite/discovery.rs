//! What is said of metadata that cannot be used, and where keys are looked for when they have moved.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use tower_warden::{
    ConfigErrorKind, Environment, Eventual, ManualClock, Unavailable,
    fetch::Fetch,
    jwt::{Algorithm, Jwt, RemoteKeys},
    layer::AuthLayer,
    testing::{SigningKey, TestIssuer},
};

use crate::{
    endpoint::{self, forged, settle},
    secrets::listen,
    support::{self, Answer, App},
    tokens::{self, AUDIENCE},
};

const ISSUER: &str = "https://issuer.test/realms/x";
const OAUTH: &str = "https://issuer.test/.well-known/oauth-authorization-server/realms/x";
const OPENID: &str = "https://issuer.test/realms/x/.well-known/openid-configuration";

/// Pages by their URL, and the URLs that were requested.
#[derive(Clone, Default)]
struct Site(Arc<Mutex<(HashMap<String, (u16, String)>, Vec<String>)>>);

impl Site {
    fn serve(&self, url: &str, page: impl ToString) {
        self.respond(url, 200, page);
    }

    /// The page is the target if the status is a redirect.
    #[expect(clippy::needless_pass_by_value, reason = "the callers make it for the call")]
    fn respond(&self, url: &str, status: u16, page: impl ToString) {
        self.0.lock().unwrap().0.insert(url.to_owned(), (status, page.to_string()));
    }

    fn requests(&self, url: &str) -> usize {
        self.0.lock().unwrap().1.iter().filter(|requested| *requested == url).count()
    }
}

impl Fetch for Site {
    fn fetch(&self, request: Request<Bytes>, _most: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let mut site = self.0.lock().unwrap();
        let url = request.uri().to_string();
        let (status, page) = site.0.get(&url).cloned().unwrap_or((404, String::new()));
        site.1.push(url);
        let response = Response::builder().status(status);
        let response = match StatusCode::from_u16(status).unwrap().is_redirection() {
            true => response.header(header::LOCATION, page).body(Bytes::new()),
            false => response.body(page.into()),
        };
        Eventual::Now(Ok(response.unwrap()))
    }
}

fn metadata(jwks_uri: &str) -> Value {
    json!({ "issuer": ISSUER, "jwks_uri": jwks_uri })
}

/// An issuer whose metadata and keys are pages.
struct Discovered {
    app: App,
    clock: ManualClock,
    issuer: TestIssuer,
    keys: RemoteKeys,
    site: Site,
}

impl Discovered {
    async fn new() -> Self {
        let (clock, _) = endpoint::issuer();
        let environment = Environment::default().with_clock(clock.clone());
        let (issuer, site) = (TestIssuer::new(ISSUER).environment(&environment), Site::default());
        site.serve(OPENID, metadata("https://keys.test/old"));
        site.serve("https://keys.test/old", issuer.jwk_set());
        let keys = RemoteKeys::discovery(ISSUER).fetch(site.clone()).environment(&environment);
        let keys = keys.connect().await.unwrap();
        assert!(keys.is_ready());
        let jwt = Jwt::new(tokens::rules(&issuer), keys.clone());
        let app = tokens::app(&AuthLayer::new(jwt).environment(&environment));
        Self { app, clock, issuer, keys, site }
    }

    async fn send(&self, token: &str) -> Answer {
        support::send(self.app.clone(), support::bearer(token)).await
    }

    fn token(&self, key: &SigningKey) -> String {
        self.issuer.token("alice").audience(AUDIENCE).key(key).sign()
    }
}

#[tokio::test]
async fn error_says_what_was_wrong_at_each_place_of_the_metadata() {
    let html = "<!doctype html>";
    for (oauth, openid, expected) in [
        (
            (404, String::new()),
            (500, String::new()),
            vec![format!("{OAUTH}: "), "status 404".into(), "status 500".into()],
        ),
        (
            (404, String::new()),
            (301, format!("{OPENID}/")),
            vec!["status 404".into(), format!("status 301, a redirect to \"{OPENID}/\""), "not followed".into()],
        ),
        (
            (404, String::new()),
            (200, metadata("http://issuer.test/keys").to_string()),
            vec!["status 404".into(), "http://issuer.test/keys".into(), "danger_plain_http".into()],
        ),
        ((200, html.into()), (200, html.into()), vec![format!("{OPENID}: "), "not a JSON object".into()]),
        (
            (200, "{}".into()),
            (200, json!({ "issuer": ISSUER }).to_string()),
            vec!["no issuer".into(), "no jwks_uri".into()],
        ),
        (
            (404, String::new()),
            (200, metadata("https://127.0.0.1/keys?secret=hunter2").to_string()),
            vec!["https://127.0.0.1/keys".into(), "this machine".into()],
        ),
    ] {
        let (log, _guard) = listen();
        let site = Site::default();
        site.respond(OAUTH, oauth.0, &oauth.1);
        site.respond(OPENID, openid.0, &openid.1);
        let keys = RemoteKeys::discovery(ISSUER).fetch(site).connect().await.unwrap();
        assert!(!keys.is_ready());
        let text = log.text();
        let line = text.lines().find(|line| line.contains("could not be fetched")).unwrap();
        for part in expected {
            assert!(line.contains(&part) || line.contains(&part.replace('"', "\\\"")), "{part}: {line}");
        }
        assert!(!line.contains("hunter2"), "{line}");
    }
}

// (79)
#[tokio::test]
async fn metadata_of_another_issuer_is_an_error_that_quotes_both_spellings() {
    let (log, _guard) = listen();
    let site = Site::default();
    site.serve(OPENID, json!({ "issuer": format!("{ISSUER}/"), "jwks_uri": "https://issuer.test/keys" }));
    let error = RemoteKeys::discovery(ISSUER).fetch(site).connect().await.unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Issuer);
    assert!(error.to_string().contains(&format!("\"{ISSUER}, whose metadata names {ISSUER}/\"")), "{error}");
    let text = log.text();
    let line = text.lines().find(|line| line.contains("ERROR")).unwrap();
    assert!(line.contains(&format!("{ISSUER}/")) && line.contains("status 404"), "{line}");
}

#[tokio::test]
async fn metadata_after_a_byte_order_mark_is_read() {
    let site = Site::default();
    site.serve(OAUTH, format!("\u{feff}{}", metadata("https://keys.test/keys")));
    site.serve("https://keys.test/keys", TestIssuer::new(ISSUER).jwk_set());
    assert!(RemoteKeys::discovery(ISSUER).fetch(site).connect().await.unwrap().is_ready());
}

#[tokio::test]
async fn moved_key_set_is_found_by_the_first_token_of_a_new_key_while_the_old_url_serves_the_old_keys() {
    let discovered = Discovered::new().await;
    let (old, new) = (discovered.issuer.key(), SigningKey::named(Algorithm::ES256, "new"));
    discovered.site.serve("https://keys.test/new", json!({ "keys": [old.jwk(), new.jwk()] }));
    discovered.site.serve(OPENID, metadata("https://keys.test/new"));
    discovered.clock.advance(support::seconds(2));
    discovered.send(&discovered.token(&new)).await.assert_subject("alice");
    discovered.send(&discovered.token(&old)).await.assert_subject("alice");
    assert_eq!(discovered.site.requests(OPENID), 2);
    // From now on, it is the URL of the keys.
    discovered.clock.advance(support::seconds(510));
    let _ = discovered.keys.is_ready();
    settle().await;
    assert_eq!(discovered.site.requests("https://keys.test/new"), 2);
}

#[tokio::test]
async fn moved_key_set_is_found_by_the_first_token_of_a_new_algorithm_under_a_known_kid() {
    let discovered = Discovered::new().await;
    let new = SigningKey::named(Algorithm::EdDSA, discovered.issuer.key().id());
    discovered.site.serve("https://keys.test/new", json!({ "keys": [new.jwk()] }));
    discovered.site.serve(OPENID, metadata("https://keys.test/new"));
    discovered.send(&discovered.token(&new)).await.assert_subject("alice");
}

#[tokio::test]
async fn metadata_is_read_again_only_if_the_key_is_not_at_the_known_url() {
    let discovered = Discovered::new().await;
    discovered.issuer.rotate();
    discovered.site.serve("https://keys.test/old", discovered.issuer.jwk_set());
    discovered.send(&discovered.token(&discovered.issuer.key())).await.assert_subject("alice");
    assert_eq!(discovered.site.requests(OPENID), 1);
}

// (65)
#[tokio::test]
async fn unknown_kids_cause_one_request_for_the_metadata_in_a_cool_down() {
    let discovered = Discovered::new().await;
    let token = discovered.issuer.token("alice").audience(AUDIENCE);
    for number in 0..300 {
        discovered.send(&forged(&token, &format!("kid-{number}"))).await.assert_invalid("key_unknown");
    }
    assert_eq!(discovered.site.requests(OPENID), 2);
    assert_eq!(discovered.site.requests("https://keys.test/old"), 2);
}

#[tokio::test]
async fn key_set_that_has_moved_from_an_url_that_fails_is_found_at_once() {
    let discovered = Discovered::new().await;
    let new = SigningKey::named(Algorithm::ES256, "new");
    discovered.site.respond("https://keys.test/old", 410, "");
    discovered.site.serve("https://keys.test/new", json!({ "keys": [new.jwk()] }));
    discovered.site.serve(OPENID, metadata("https://keys.test/new"));
    discovered.send(&discovered.token(&new)).await.assert_subject("alice");
}

#[tokio::test]
async fn keys_stay_in_use_while_the_metadata_or_the_new_url_fails() {
    let discovered = Discovered::new().await;
    let token = discovered.token(&discovered.issuer.key());
    for (status, page) in [(500, String::new()), (200, metadata("https://keys.test/none").to_string())] {
        discovered.site.respond(OPENID, status, page);
        discovered.clock.advance(support::seconds(60));
        let unknown = forged(&discovered.issuer.token("alice").audience(AUDIENCE), "new");
        discovered.send(&unknown).await.assert_invalid("key_unknown");
        discovered.send(&token).await.assert_subject("alice");
        assert!(discovered.keys.is_ready());
    }
}
