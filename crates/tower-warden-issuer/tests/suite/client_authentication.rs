//! Secrets of clients, basic and post.

use std::time::Duration;

use http::{HeaderValue, header};
use tower_warden::api_key::{KeyDigest, Pepper};
use tower_warden_issuer::{ClientAuthentication, ClientSecrets};

use crate::support::{CLIENT_CREDENTIALS, NOW, Setup, basic_request, client, form_request};

#[tokio::test]
async fn a_secret_in_the_field_authorization_is_accepted() {
    Setup::new().basic("basic:s3cret", CLIENT_CREDENTIALS).await.token();
}

#[tokio::test]
async fn id_and_secret_in_the_field_are_form_encoded() {
    let setup = Setup::new();
    let secrets = ClientSecrets::new(KeyDigest::sha256("a b:ä%"));
    setup.clients.insert(client("agent:7").authentication(ClientAuthentication::SecretBasic(secrets)));
    setup.basic("agent%3A7:a+b%3A%C3%A4%25", CLIENT_CREDENTIALS).await.token();
    setup.basic("agent:7:a b", CLIENT_CREDENTIALS).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn the_id_in_the_form_may_accompany_the_field() {
    Setup::new().basic("basic:s3cret", &format!("{CLIENT_CREDENTIALS}&client_id=basic")).await.token();
}

#[tokio::test]
async fn another_id_in_the_form_is_refused() {
    let reply = Setup::new().basic("basic:s3cret", &format!("{CLIENT_CREDENTIALS}&client_id=post")).await;
    reply.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let reply = Setup::new().basic("basic:guess", CLIENT_CREDENTIALS).await;
    reply.assert_error(401, "invalid_client");
    assert!(reply.headers["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
}

#[tokio::test]
async fn an_unknown_client_gets_the_response_to_a_wrong_secret() {
    let setup = Setup::new();
    let (wrong, unknown) =
        (setup.basic("basic:guess", CLIENT_CREDENTIALS).await, setup.basic("nobody:s3cret", CLIENT_CREDENTIALS).await);
    unknown.assert_error(401, "invalid_client");
    assert_eq!((wrong.body, wrong.headers), (unknown.body, unknown.headers));
}

#[tokio::test]
async fn an_empty_secret_is_refused() {
    Setup::new().basic("basic:", CLIENT_CREDENTIALS).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_method_that_the_client_has_not_declared_is_refused() {
    let setup = Setup::new();
    setup.basic("post:s3cret", CLIENT_CREDENTIALS).await.assert_error(401, "invalid_client");
    let form = format!("{CLIENT_CREDENTIALS}&client_id=basic&client_secret=s3cret");
    setup.send(form_request(&form)).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn two_methods_at_once_are_refused() {
    let form = format!("{CLIENT_CREDENTIALS}&client_id=basic&client_secret=s3cret");
    Setup::new().basic("basic:s3cret", &form).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn two_fields_are_refused() {
    let mut request = basic_request("basic:s3cret", CLIENT_CREDENTIALS);
    let field = request.headers()[header::AUTHORIZATION].clone();
    request.headers_mut().append(header::AUTHORIZATION, field);
    Setup::new().send(request).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_malformed_field_is_never_treated_as_absent() {
    for field in ["Basic", "Basic !", "Basic YWJj", "Bearer YTpi", "Basic YWJjOiU=", "Basic YmFzaWM6czNjcmV0 x"] {
        let mut request = form_request(&format!("{CLIENT_CREDENTIALS}&client_id=post&client_secret=s3cret"));
        request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_static(field));
        Setup::new().send(request).await.assert_error(401, "invalid_client");
    }
}

#[tokio::test]
async fn a_client_that_does_not_authenticate_is_refused() {
    let reply = Setup::new().send(form_request(&format!("{CLIENT_CREDENTIALS}&client_id=post"))).await;
    reply.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_secret_without_an_id_is_refused() {
    let reply = Setup::new().send(form_request(&format!("{CLIENT_CREDENTIALS}&client_secret=s3cret"))).await;
    reply.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_replaced_secret_is_accepted_until_its_grace_period_ends() {
    let setup = Setup::new();
    let old = (*setup.clients.remove("post").unwrap()).clone();
    let until = NOW + Duration::from_secs(60);
    setup.clients.insert(old.rotate_secret(&KeyDigest::sha256("new"), until));
    let new = format!("{CLIENT_CREDENTIALS}&client_id=post&client_secret=new");

    setup.advance(59);
    setup.post(CLIENT_CREDENTIALS).await.token();
    setup.send(form_request(&new)).await.token();
    setup.advance(1);
    setup.post(CLIENT_CREDENTIALS).await.assert_error(401, "invalid_client");
    setup.send(form_request(&new)).await.token();
}

#[tokio::test]
async fn a_second_rotation_does_not_prolong_the_first() {
    let setup = Setup::new();
    let client = (*setup.clients.remove("post").unwrap()).clone();
    let client = client.rotate_secret(&KeyDigest::sha256("second"), NOW + Duration::from_secs(60));
    setup.clients.insert(client.rotate_secret(&KeyDigest::sha256("third"), NOW + Duration::from_secs(3600)));
    setup.advance(60);
    setup.post(CLIENT_CREDENTIALS).await.assert_error(401, "invalid_client");
    setup.send(form_request(&format!("{CLIENT_CREDENTIALS}&client_id=post&client_secret=second"))).await.token();
}

#[tokio::test]
async fn with_a_pepper_only_peppered_digests_are_accepted() {
    let pepper = |id: &str| Pepper::new(id, b"thirty-two bytes that are a secret").unwrap();
    let setup = Setup::with(|builder| builder.pepper(pepper("new")).pepper(pepper("old")));
    setup.post(CLIENT_CREDENTIALS).await.assert_error(401, "invalid_client");

    let (secret, digest) = setup.issuer.generate_secret().unwrap();
    for digest in [digest, pepper("old").digest(secret.expose())] {
        let method = ClientAuthentication::SecretPost(ClientSecrets::new(digest));
        setup.clients.insert(client("peppered").authentication(method));
        let form = format!("{CLIENT_CREDENTIALS}&client_id=peppered&client_secret={}", secret.expose());
        setup.send(form_request(&form)).await.token();
    }
}

#[tokio::test]
async fn a_removed_client_is_refused() {
    let setup = Setup::new();
    setup.post(CLIENT_CREDENTIALS).await.token();
    setup.clients.remove("post");
    setup.post(CLIENT_CREDENTIALS).await.assert_error(401, "invalid_client");
}
