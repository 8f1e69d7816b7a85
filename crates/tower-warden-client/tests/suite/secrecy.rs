//! No secret is in a `Debug` output or an error.

use std::fmt::Debug;

use tower::Layer;
use tower_warden::{UnixTime, jwt::Algorithm};
use tower_warden_client::{
    CachedToken, ClientAuth, DpopKey, PrivateKey, RefreshToken, Token, TokenErrorKind, TokenLayer, TokenRequest,
    grant::{ClientCredentials, JsonLogin, JwtBearer, RefreshGrant, StaticKey, TokenExchange, TokenType},
    store::{FileTokenStore, MemoryTokenStore},
};

use crate::support::Server;

fn assert_redacted(value: &impl Debug) {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn debug_prints_no_secret() {
    let server = Server::default();
    let key = || DpopKey::generate().unwrap();
    assert_redacted(&Token::bearer("s3cret").unwrap().with_refresh_token(RefreshToken::new("s3cret")));
    assert_redacted(&Token::dpop("s3cret", key()).unwrap());
    assert_redacted(&Token::api_key("x-api-key".parse().unwrap(), "s3cret").unwrap());
    assert_redacted(&Token::api_key_with_scheme("ApiKey", "s3cret").unwrap());
    assert_redacted(Token::bearer("s3cret").unwrap().header_value());
    assert_redacted(&RefreshToken::new("s3cret").expires_at(UnixTime::now()));
    assert_redacted(&ClientAuth::basic("client", "s3cret"));
    assert_redacted(&ClientAuth::post("client", "s3cret"));
    assert_redacted(&server.endpoint_with(ClientAuth::post("client", "s3cret")).dpop(key()));
    assert_redacted(&MemoryTokenStore::with(RefreshToken::new("s3cret")));
    assert_redacted(&TokenRequest::new(UnixTime::now()));

    let secret = || StaticKey::bearer("s3cret").unwrap();
    assert_redacted(&secret());
    let login = JsonLogin::new("https://auth.example/login", server.clone()).unwrap().secret("secret", "s3cret");
    assert_redacted(&login);
    assert_redacted(&RefreshGrant::new(login, FileTokenStore::new("/token")).login(secret()));
    assert_redacted(&TokenExchange::new(server.endpoint(), secret(), TokenType::JWT));
    assert_redacted(&JwtBearer::new(server.endpoint(), secret()));
    assert_redacted(&CachedToken::new(ClientCredentials::new(server.endpoint())));
    assert_redacted(&ClientCredentials::new(server.endpoint()).parameter("password", "s3cret"));
    assert_redacted(&TokenLayer::new(secret(), "https://api.example").unwrap());
    assert_redacted(&TokenLayer::new(secret(), "https://api.example").unwrap().layer(()));
}

#[test]
fn debug_of_a_key_prints_no_part_of_it() {
    let key = PrivateKey::generate(Algorithm::ES256).unwrap().with_kid("k1");
    assert_eq!(format!("{key:?}"), r#"PrivateKey { algorithm: ES256, kid: Some("k1"), .. }"#);
    assert_eq!(
        format!("{:?}", DpopKey::new(key)),
        r#"DpopKey { key: PrivateKey { algorithm: ES256, kid: Some("k1"), .. }, .. }"#
    );
}

#[test]
fn errors_quote_no_secret() {
    let error = Token::bearer("s3cret with spaces").unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Response);
    assert_redacted(&error);
    assert_redacted(&StaticKey::bearer("s3cret\n").unwrap_err());
    let server = Server::default();
    for url in ["https://user:s3cret@auth.example/token", "http://auth.example/?key=s3cret"] {
        assert_redacted(&JsonLogin::new(url, server.clone()).unwrap_err());
        assert_redacted(&TokenLayer::new(StaticKey::bearer("key").unwrap(), url).unwrap_err());
    }
}
