//! The requests of grants, and the authentication of the client.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{Response, header};
use serde_json::Value;
use tower_warden::{
    fetch::HttpClient,
    jwt::{Algorithm, VerifyingKey},
    scope::Scopes,
};
use tower_warden_client::{
    CachedToken, ClientAuth, DpopKey, PrivateKey, TokenEndpoint, TokenErrorKind, TokenKind, TokenRequest, TokenSource,
    grant::{ClientCredentials, CustomGrant, JwtBearer, SignedAssertion, StaticKey, TokenExchange, TokenType},
};

use crate::support::{NOW, Reply, Server, issued, obtain, reply, token};

fn decoded(segment: &str) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
}

/// The header and the claims of a JWT, whose signature is verified.
fn verified(jwt: &str, key: &PrivateKey) -> (Value, Value) {
    let jwk: Value = serde_json::from_str(&key.public_jwk()).unwrap();
    let point = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], point("x"), point("y")].concat();
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    (decoded(header), decoded(claims))
}

#[tokio::test]
async fn a_token_endpoint_of_plain_http_is_used_only_if_that_is_declared() {
    let (url, server) = ("http://keycloak:8080/token", Server::default());
    let auth = || ClientAuth::basic("client", "s3cret");
    let refused = TokenEndpoint::new(url, auth(), server.clone()).err().unwrap();
    assert!(refused.to_string().contains("TokenEndpoint::danger_plain_http"), "{refused}");
    let endpoint = TokenEndpoint::danger_plain_http(url, auth(), server.clone()).unwrap();
    token(&ClientCredentials::new(endpoint)).await.unwrap();
    assert_eq!(server.last().uri(), url);
    for url in ["http://user:s3cret@keycloak/token", "http://keycloak/token#s3cret", "ftp://keycloak/token", "/token"] {
        let refused = TokenEndpoint::danger_plain_http(url, auth(), server.clone()).err().unwrap();
        assert!(!refused.to_string().contains("s3cret"), "{refused}");
    }
    // The client has to declare it as well.
    let client = HttpClient::new().unwrap();
    assert!(TokenEndpoint::danger_plain_http(url, auth(), client).is_err());
    let client = HttpClient::builder().danger_plain_http(["10.0.0.0/8".parse().unwrap()]).build().unwrap();
    assert!(TokenEndpoint::danger_plain_http(url, auth(), client).is_ok());
}

#[tokio::test]
async fn basic_credentials_are_form_encoded_before_they_are_joined() {
    let server = Server::default();
    let auth = ClientAuth::basic("client:1", "s3cret +%/ü");
    token(&ClientCredentials::new(server.endpoint_with(auth))).await.unwrap();
    let request = server.last();
    let value = &request.headers()[header::AUTHORIZATION];
    assert!(value.is_sensitive());
    let pair = base64::prelude::BASE64_STANDARD.decode(value.to_str().unwrap().strip_prefix("Basic ").unwrap());
    assert_eq!(pair.unwrap(), b"client%3A1:s3cret+%2B%25%2F%C3%BC");
    assert_eq!(request.headers()[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
    assert!(!server.form().contains_key("client_secret"));
}

#[tokio::test]
async fn other_client_credentials_are_in_the_body() {
    let server = Server::default();
    token(&ClientCredentials::new(server.endpoint_with(ClientAuth::post("client", "s3cret")))).await.unwrap();
    assert_eq!((&*server.form()["client_id"], &*server.form()["client_secret"]), ("client", "s3cret"));
    for auth in [ClientAuth::none("client"), ClientAuth::mtls("client")] {
        token(&ClientCredentials::new(server.endpoint_with(auth))).await.unwrap();
        assert_eq!(server.form()["client_id"], "client");
        assert!(!server.last().headers().contains_key(header::AUTHORIZATION));
    }
}

#[tokio::test]
async fn a_client_assertion_is_for_the_issuer_and_used_once() {
    let server = Server::default();
    let key = PrivateKey::generate(Algorithm::ES256).unwrap().with_kid("k1");
    let auth = ClientAuth::private_key_jwt("client", key.clone(), "https://auth.example");
    let grant = ClientCredentials::new(server.endpoint_with(auth));
    token(&grant).await.unwrap();
    let form = server.form();
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let (header, claims) = verified(&form["client_assertion"], &key);
    assert_eq!((&header["kid"], &header["alg"]), (&"k1".into(), &"ES256".into()));
    assert_eq!((&claims["iss"], &claims["sub"]), (&"client".into(), &"client".into()));
    assert_eq!(claims["aud"], "https://auth.example");
    assert_eq!(claims["exp"], NOW.as_secs() + 60);
    token(&grant).await.unwrap();
    let (_, next) = verified(&server.form()["client_assertion"], &key);
    assert_ne!(next["jti"], claims["jti"]);
}

#[test]
fn keys_of_each_type_have_a_public_key_and_a_thumbprint() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let verifying = VerifyingKey::from_jwk(&key.public_jwk()).unwrap();
        assert_eq!(verifying.thumbprint(), Some(&DpopKey::new(key).thumbprint()), "{algorithm}");
    }
}

#[tokio::test]
async fn client_credentials_send_scopes_and_parameters() {
    let server = Server::default();
    let grant = ClientCredentials::new(server.endpoint())
        .scopes(Scopes::parse("read").unwrap())
        .resource("https://api.example")
        .audience("api")
        .parameter("tenant", "a&b");
    let write = Scopes::parse("write").unwrap();
    let token = grant.token(&TokenRequest::new(NOW).with_scopes(&write)).wait().await.unwrap();
    let form = server.form();
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!((&*form["scope"], &*form["resource"]), ("read write", "https://api.example"));
    assert_eq!((&*form["audience"], &*form["tenant"]), ("api", "a&b"));
    assert_eq!(token.scopes().unwrap().to_string(), "read write", "the response does not state them");
    server.next([reply(200, &issued("at", r#","scope":"read""#))]);
    assert_eq!(obtain(&grant).await.unwrap().scopes().unwrap().to_string(), "read");
}

#[tokio::test]
async fn a_custom_grant_sends_its_type_and_parameters_and_keeps_the_refresh_token() {
    let server = Server::default();
    let key = DpopKey::generate().unwrap();
    let issued = r#"{"access_token":"at","token_type":"DPoP","refresh_token":"rt"}"#;
    let challenge = Response::builder().status(400).header("dpop-nonce", "n1");
    let challenge = challenge.body(r#"{"error":"use_dpop_nonce"}"#.into()).unwrap();
    server.next([Reply::Is(challenge), reply(200, issued)]);
    let grant = CustomGrant::new(server.endpoint().dpop(key), "authorization_code")
        .parameter("code", "c&d")
        .resource("https://api.example")
        .scopes(Scopes::parse("read").unwrap());
    let token = obtain(&grant).await.unwrap();
    assert_eq!((token.kind(), token.refresh_token().unwrap().expose()), (TokenKind::Dpop, "rt"));
    let form = server.form();
    assert_eq!((&*form["grant_type"], &*form["code"]), ("authorization_code", "c&d"));
    assert_eq!((&*form["scope"], &*form["resource"]), ("read", "https://api.example"));
    let proof = server.last().headers()["dpop"].to_str().unwrap().to_owned();
    assert_eq!(decoded(proof.split('.').nth(1).unwrap())["nonce"], "n1");
    assert!(server.last().headers()[header::AUTHORIZATION].is_sensitive());
}

#[tokio::test]
async fn an_exchange_sends_subject_and_actor_with_their_types() {
    let server = Server::default();
    server.next([reply(200, r#"{"access_token":"jag","token_type":"N_A","expires_in":60}"#)]);
    let subject = StaticKey::bearer("subject-token").unwrap();
    let exchange = TokenExchange::new(server.endpoint(), subject, TokenType::ID_TOKEN)
        .actor(StaticKey::bearer("actor-token").unwrap(), TokenType::JWT)
        .requested_type(TokenType::ID_JAG)
        .audience("https://auth.partner.example");
    let token = obtain(&exchange).await.unwrap();
    assert_eq!(token.kind(), TokenKind::Assertion);
    let form = server.form();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!((&*form["subject_token"], &*form["actor_token"]), ("subject-token", "actor-token"));
    assert_eq!(form["subject_token_type"], TokenType::ID_TOKEN.as_str());
    assert_eq!(form["actor_token_type"], TokenType::JWT.as_str());
    assert_eq!(form["requested_token_type"], TokenType::ID_JAG.as_str());

    server.next([reply(200, r#"{"access_token":"jag","token_type":"N_A"}"#)]);
    obtain(&JwtBearer::new(server.endpoint(), exchange)).await.unwrap();
    assert_eq!(server.form()["assertion"], "jag");
}

/// (205) What was requested as an assertion for another server is not an access token of this one.
#[tokio::test]
async fn an_exchange_refuses_a_token_of_another_type_than_requested() {
    let server = Server::default();
    let exchange = |requested| {
        let subject = StaticKey::bearer("subject-token").unwrap();
        TokenExchange::new(server.endpoint(), subject, TokenType::ID_TOKEN).requested_type(requested)
    };
    let access_token = || {
        let kind = TokenType::ACCESS_TOKEN;
        reply(200, &issued("at", &format!(r#","issued_token_type":"{}""#, kind.as_str())))
    };
    server.next([access_token(), access_token()]);
    let error = obtain(&JwtBearer::new(server.endpoint(), exchange(TokenType::ID_JAG))).await.unwrap_err();
    assert_eq!((error.kind(), server.count()), (TokenErrorKind::Response, 1), "it is not sent");
    assert_eq!(token(&exchange(TokenType::ACCESS_TOKEN)).await.unwrap(), "at");
}

/// (205)
#[tokio::test]
async fn an_exchange_for_an_assertion_refuses_a_token_whose_type_is_not_stated() {
    let server = Server::default();
    let exchange = |requested| {
        let subject = StaticKey::bearer("subject-token").unwrap();
        TokenExchange::new(server.endpoint(), subject, TokenType::ID_TOKEN).requested_type(requested)
    };
    for kind in [TokenType::ID_JAG, TokenType::TXN_TOKEN, TokenType::custom("urn:example:other")] {
        assert_eq!(obtain(&exchange(kind)).await.unwrap_err().kind(), TokenErrorKind::Response);
    }
    obtain(&exchange(TokenType::ACCESS_TOKEN)).await.unwrap();
    obtain(&exchange(TokenType::JWT)).await.unwrap();
}

#[tokio::test]
async fn a_subject_token_that_an_exchange_refuses_is_not_sent_again() {
    for code in ["invalid_request", "invalid_grant"] {
        let (server, subjects) = (Server::default(), Server::default());
        let subject = CachedToken::new(ClientCredentials::new(subjects.endpoint()));
        let exchange = TokenExchange::new(server.endpoint(), subject, TokenType::JWT);
        server.next([reply(400, &format!(r#"{{"error":"{code}"}}"#))]);
        obtain(&exchange).await.unwrap_err();
        obtain(&exchange).await.unwrap();
        assert_eq!((&*server.form()["subject_token"], subjects.count()), ("token-2", 2), "{code}");
    }
}

#[tokio::test]
async fn a_signed_assertion_is_exchanged_for_a_token() {
    let server = Server::default();
    let key = PrivateKey::generate(Algorithm::ES256).unwrap();
    let assertion = SignedAssertion::new(key.clone(), "client", "https://auth.example").subject("alice");
    token(&JwtBearer::new(server.endpoint_with(ClientAuth::none("client")), assertion)).await.unwrap();
    let form = server.form();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (_, claims) = verified(&form["assertion"], &key);
    assert_eq!((&claims["iss"], &claims["sub"]), (&"client".into(), &"alice".into()));
    assert_eq!(claims["exp"], NOW.as_secs() + 300);
}

#[tokio::test]
async fn a_signed_assertion_has_further_claims_and_not_other_standard_ones() {
    let server = Server::default();
    let key = PrivateKey::generate(Algorithm::ES256).unwrap();
    let assertion = || SignedAssertion::new(key.clone(), "client", "https://auth.example");
    let scoped = assertion().claim("scope", "a").unwrap().claim("scope", "read write").unwrap();
    token(&JwtBearer::new(server.endpoint_with(ClientAuth::none("client")), scoped)).await.unwrap();
    let (_, claims) = verified(&server.form()["assertion"], &key);
    assert_eq!((&claims["iss"], &claims["scope"]), (&"client".into(), &"read write".into()));
    for name in ["iss", "sub", "aud", "jti", "iat", "exp"] {
        assert!(assertion().claim(name, "other").unwrap_err().to_string().contains(name));
    }
}

#[tokio::test]
async fn a_bound_token_is_requested_with_a_proof_and_the_nonce_of_the_server() {
    let server = Server::default();
    let key = DpopKey::generate().unwrap();
    let Reply::Is(mut demand) = reply(400, r#"{"error":"use_dpop_nonce"}"#) else { unreachable!() };
    demand.headers_mut().insert("dpop-nonce", "n1".parse().unwrap());
    let bound = || reply(200, r#"{"access_token":"at","token_type":"dpop"}"#);
    server.next([Reply::Is(demand), bound(), bound(), reply(200, &issued("at", ""))]);
    let grant = ClientCredentials::new(server.endpoint().dpop(key));
    assert_eq!(obtain(&grant).await.unwrap().kind(), TokenKind::Dpop);
    assert_eq!(server.count(), 2);
    let claims = |proof: &str| decoded(proof.split('.').nth(1).unwrap());
    let sent = claims(server.last().headers()["dpop"].to_str().unwrap());
    assert_eq!((&sent["htm"], &sent["htu"]), (&"POST".into(), &"https://auth.example/token".into()));
    assert_eq!((&sent["nonce"], sent.get("ath")), (&"n1".into(), None));
    obtain(&grant).await.unwrap();
    assert_eq!(claims(server.last().headers()["dpop"].to_str().unwrap())["nonce"], "n1");
    let error = obtain(&grant).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Response, "a bearer token in place of a bound one");
}
