//! The plan of key rotations.

use std::time::Duration;

use tower_warden::jwt::Algorithm;
use tower_warden_issuer::{SigningKey, SigningKeys};

use crate::support::{CLIENT_CREDENTIALS, NOW, ORDERS, Setup, header_of};

pub(crate) async fn kids(setup: &Setup) -> Vec<String> {
    let set: serde_json::Value = serde_json::from_str(&setup.issuer.jwk_set().await).unwrap();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

pub(crate) async fn signer(setup: &Setup) -> String {
    header_of(setup.post(CLIENT_CREDENTIALS).await.token())["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_next_key_is_published_before_it_signs() {
    let setup = Setup::new();
    let (old, next) = (signer(&setup).await, SigningKey::generate(Algorithm::EdDSA).unwrap());
    let signs_from = setup.issuer.rotate_keys(next.clone()).await.unwrap();
    assert_eq!(signs_from, NOW + Duration::from_secs(600));
    assert_eq!(kids(&setup).await, [old.as_str(), next.kid()]);

    setup.advance(599);
    assert_eq!(signer(&setup).await, old);
    setup.advance(1);
    assert_eq!(signer(&setup).await, next.kid());
}

#[tokio::test]
async fn the_old_key_is_kept_until_its_tokens_have_expired() {
    let setup = Setup::with(|builder| builder.access_token_lifetime(Duration::from_secs(1800)).unwrap());
    let (old, next) = (signer(&setup).await, SigningKey::generate(Algorithm::ES256).unwrap());
    setup.issuer.rotate_keys(next.clone()).await.unwrap();
    setup.advance(599);
    let last = setup.post(CLIENT_CREDENTIALS).await;
    setup.advance(1799);
    assert!(setup.verify(last.token(), ORDERS).await.is_ok(), "in the last second of its lifetime");

    // Ten minutes after the publication, plus 35 minutes.
    setup.advance(2700 - 599 - 1799 - 1);
    assert_eq!(kids(&setup).await, [old.as_str(), next.kid()]);
    setup.advance(1);
    assert_eq!(kids(&setup).await, [next.kid()]);
}

#[tokio::test]
async fn keys_are_replaced_by_a_schedule() {
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap().rotate_every(Duration::from_secs(86_400)).unwrap();
    let setup = Setup::with_keys(keys, |builder| builder);
    let first = signer(&setup).await;
    setup.advance(86_400 - 601);
    assert_eq!(kids(&setup).await, [first.as_str()]);
    setup.advance(1);
    let published = kids(&setup).await;
    assert_eq!(published.len(), 2);
    setup.advance(599);
    assert_eq!(signer(&setup).await, first);
    setup.advance(1);
    assert_eq!(signer(&setup).await, published[1]);
    setup.advance(2100);
    assert_eq!(kids(&setup).await, published[1..]);
}

#[tokio::test]
async fn after_a_long_idle_time_no_key_signs_before_it_was_published() {
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap().rotate_every(Duration::from_secs(3600)).unwrap();
    let setup = Setup::with_keys(keys, |builder| builder);
    let first = signer(&setup).await;
    setup.advance(1_000_000);
    assert_eq!(signer(&setup).await, first);
    assert_eq!(kids(&setup).await.len(), 2);
    setup.advance(600);
    assert_eq!(signer(&setup).await, kids(&setup).await[1]);
}

#[tokio::test]
async fn tokens_of_a_withdrawn_key_are_refused_at_once() {
    let setup = Setup::new();
    let reply = setup.post(CLIENT_CREDENTIALS).await;
    let disclosed = header_of(reply.token())["kid"].as_str().unwrap().to_owned();
    assert!(setup.issuer.withdraw_key(&disclosed).await.is_err(), "it is the only key");
    assert!(setup.issuer.withdraw_key("unknown").await.is_err());

    let next = SigningKey::generate(Algorithm::ES256).unwrap();
    setup.issuer.rotate_keys(next.clone()).await.unwrap();
    setup.issuer.withdraw_key(&disclosed).await.unwrap();
    assert!(setup.verify(reply.token(), ORDERS).await.is_err());
    assert_eq!((kids(&setup).await.len(), signer(&setup).await.as_str()), (1, next.kid()));
}

#[tokio::test]
async fn a_second_rotation_replaces_a_next_key_that_has_not_signed() {
    let setup = Setup::new();
    let old = signer(&setup).await;
    let (one, other) =
        (SigningKey::generate(Algorithm::ES256).unwrap(), SigningKey::generate(Algorithm::ES256).unwrap());
    setup.issuer.rotate_keys(one).await.unwrap();
    setup.advance(60);
    setup.issuer.rotate_keys(other.clone()).await.unwrap();
    assert_eq!(kids(&setup).await, [old.as_str(), other.kid()]);
    setup.advance(600);
    assert_eq!(signer(&setup).await, other.kid());
}

#[test]
fn an_encrypted_key_is_refused_with_how_to_decrypt_it() {
    for pem in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMC4CAQ==\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMC4CAQ==\n-----END EC PRIVATE KEY-----\n",
    ] {
        let error = SigningKey::from_pem(Algorithm::ES256, pem.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("decrypt it with `openssl pkey"), "{error}");
    }
}

#[test]
fn a_key_has_the_same_id_each_time_it_is_read() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    let read = || SigningKey::from_pem(Algorithm::EdDSA, pem.as_bytes()).unwrap();
    // RFC 8037 A.3.
    assert_eq!(read().kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(read().kid(), read().kid());
    assert!(SigningKey::from_pem(Algorithm::ES256, pem.as_bytes()).is_err(), "a key of another type");
    assert!(SigningKey::from_pem(Algorithm::HS256, pem.as_bytes()).is_err());
}

#[tokio::test]
async fn a_key_that_is_published_twice_is_withdrawn_as_a_whole() {
    let setup = Setup::new();
    let (first, next) = (signer(&setup).await, SigningKey::generate(Algorithm::ES256).unwrap());
    setup.issuer.rotate_keys(next.clone()).await.unwrap();
    setup.issuer.rotate_keys(next.clone()).await.unwrap();
    assert_eq!(kids(&setup).await, [first.as_str(), next.kid()]);
    setup.advance(600);
    assert_eq!(
        setup.issuer.rotate_keys(next.clone()).await.unwrap(),
        NOW + Duration::from_secs(600),
        "it signs already"
    );
    assert_eq!(kids(&setup).await, [first.as_str(), next.kid()]);
    let token = setup.post(CLIENT_CREDENTIALS).await;
    setup.issuer.withdraw_key(next.kid()).await.unwrap();
    assert_eq!(kids(&setup).await, [first.as_str()]);
    assert!(setup.verify(token.token(), ORDERS).await.is_err());
}

#[tokio::test]
async fn a_key_that_signs_before_its_time_is_kept_when_another_one_is_published() {
    let setup = Setup::new();
    let (first, next) = (signer(&setup).await, SigningKey::generate(Algorithm::ES256).unwrap());
    setup.issuer.rotate_keys(next.clone()).await.unwrap();
    setup.issuer.withdraw_key(&first).await.unwrap();
    let token = setup.post(CLIENT_CREDENTIALS).await;
    let third = SigningKey::generate(Algorithm::ES256).unwrap();
    setup.issuer.rotate_keys(third.clone()).await.unwrap();
    assert_eq!(kids(&setup).await, [next.kid(), third.kid()]);
    assert!(setup.verify(token.token(), ORDERS).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_while_an_rsa_key_is_generated_publish_one_next_key() {
    let keys = SigningKeys::generate(Algorithm::RS256).unwrap().rotate_every(Duration::from_secs(3600)).unwrap();
    let setup = std::sync::Arc::new(Setup::with_keys(keys, |builder| builder));
    let first = signer(&setup).await;
    setup.advance(3000);
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let setup = std::sync::Arc::clone(&setup);
            tokio::spawn(async move { signer(&setup).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), first);
    }
    let published = kids(&setup).await;
    assert_eq!((published.len(), &published[0]), (2, &first));
    setup.advance(600);
    assert_eq!(signer(&setup).await, published[1]);
}

#[tokio::test]
async fn the_next_key_is_generated_if_the_request_that_began_it_is_dropped() {
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap().rotate_every(Duration::from_secs(3600)).unwrap();
    let setup = Setup::with_keys(keys, |builder| builder);
    setup.advance(3000);
    {
        let mut request = Box::pin(setup.issuer.jwk_set());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(Future::poll(request.as_mut(), &mut context).is_pending());
    }
    let published = async {
        while kids(&setup).await.len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), published).await.unwrap();
}
