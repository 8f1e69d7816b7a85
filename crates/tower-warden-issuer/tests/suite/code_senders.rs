//! Authorization codes: the senders of requests, and the subjects.

use http::header;
use tower_warden::{jwt::Algorithm, testing::SigningKey};
use tower_warden_issuer::AutoConsent;

use crate::{
    code_support::{CALLBACK, CodeFlow, authorization, peer, query, redemption, redirected},
    codes::{proof, prove},
    support::form_request,
};

#[tokio::test]
async fn a_request_by_an_image_or_a_frame_of_a_page_is_refused() {
    let flow = CodeFlow::new();
    for destination in ["image", "iframe", "empty", "script", "DOCUMENT", ""] {
        let mut request = authorization(&query(&[]));
        request.headers_mut().insert("sec-fetch-dest", destination.parse().unwrap());
        flow.send(request).await.assert_error(403, "access_denied");
    }
    let mut navigation = authorization(&query(&[]));
    navigation.headers_mut().insert("sec-fetch-dest", "document".parse().unwrap());
    redirected(&flow.send(navigation).await, CALLBACK);
}

// (261)
#[tokio::test]
async fn codes_and_tokens_are_exchanged_on_this_machine_only() {
    let flow = CodeFlow::new();
    let code = flow.code(&[]).await;
    let request = |path: &str, host: &str, address: &str| {
        let mut request = form_request(&redemption(&code, &[]));
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        request.extensions_mut().insert(peer(address));
        request
    };
    for path in ["/oauth/token", "/oauth/revoke", "/oauth/introspect"] {
        flow.send(request(path, "127.0.0.1:3001", "192.168.0.7")).await.assert_error(403, "access_denied");
        flow.send(request(path, "rebound.example.com", "127.0.0.1")).await.assert_error(403, "access_denied");
    }
    flow.redeem(&code, &[]).await.token();
}

#[tokio::test]
async fn a_subject_with_the_id_of_another_client_is_denied() {
    let flow = CodeFlow::with(AutoConsent::new("web").unwrap(), |builder| builder);
    let parameters = redirected(&flow.authorize(&[]).await, CALLBACK);
    assert_eq!((&*parameters["error"], parameters.get("code")), ("access_denied", None));
}

#[tokio::test]
async fn a_second_use_by_a_sender_without_the_verifier_key_or_uri_revokes_nothing() {
    let flow = CodeFlow::new();
    let code = flow.code(&[]).await;
    let first = flow.redeem(&code, &[]).await;
    let other = "e".repeat(43);
    for change in
        [("code_verifier", None), ("code_verifier", Some(&*other)), ("redirect_uri", Some("http://127.0.0.1/"))]
    {
        flow.redeem(&code, &[change]).await.assert_error(400, "invalid_grant");
        assert!(!flow.is_revoked(first.token()).await, "{change:?}");
    }
    let key = SigningKey::generate(Algorithm::ES256);
    let thumbprint = key.confirmation().key_thumbprint().unwrap().to_base64url();
    let bound = flow.code(&[("dpop_jkt", Some(&thumbprint))]).await;
    let proved = prove(&flow, &redemption(&bound, &[]), &proof(&key, "1")).await;
    flow.redeem(&bound, &[]).await.assert_error(400, "invalid_grant");
    assert!(!flow.is_revoked(proved.token()).await);
}
