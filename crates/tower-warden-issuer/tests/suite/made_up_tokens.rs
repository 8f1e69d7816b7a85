//! Refresh tokens that were not issued: made of the id of a family, which is in its access tokens, or of a copy of the store.

use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tower_warden::{Eventual, Unavailable, UnixTime, jwt::Algorithm, revocation::MemoryRevocationList};
use tower_warden_issuer::{
    GrantType, MemoryRefreshStore, RefreshFamily, RefreshStore, RefreshTokenRequest, RefreshTokens, Rotation,
    RotationOutcome, SigningKeys,
};

use crate::support::{Reply, Setup};

/// A store of which a copy was stolen.
#[derive(Clone, Default)]
struct Copied {
    copy: Arc<Mutex<Option<RefreshFamily>>>,
    store: MemoryRefreshStore,
}

impl RefreshStore for Copied {
    fn begin(&self, family: RefreshFamily, now: UnixTime) -> Eventual<Result<(), Unavailable>> {
        self.store.begin(family, now)
    }

    fn find(&self, family_id: &str) -> Eventual<Result<Option<RefreshFamily>, Unavailable>> {
        let found = self.store.find(family_id);
        if let Eventual::Now(Ok(family)) = &found {
            self.copy.lock().unwrap().clone_from(family);
        }
        found
    }

    fn revoke(&self, family_id: &str) -> Eventual<Result<(), Unavailable>> {
        self.store.revoke(family_id)
    }

    fn rotate(&self, rotation: Rotation) -> Eventual<Result<RotationOutcome, Unavailable>> {
        self.store.rotate(rotation)
    }
}

struct Test {
    copy: Arc<Mutex<Option<RefreshFamily>>>,
    setup: Setup,
}

impl Test {
    fn new() -> Self {
        let store = Copied::default();
        let copy = Arc::clone(&store.copy);
        let refresh = RefreshTokens::new(store, MemoryRevocationList::default());
        let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
        let setup = Setup::with_keys(keys, |builder| builder.refresh_tokens(refresh));
        let client = (*setup.clients.remove("post").unwrap()).clone();
        setup.clients.insert(client.grants([GrantType::RefreshToken]));
        Self { copy, setup }
    }

    async fn first(&self) -> String {
        let request = RefreshTokenRequest::new("post", "alice");
        self.setup.issuer.issue_refresh_token(&request).await.unwrap().expose().to_owned()
    }

    async fn refresh(&self, token: &str) -> Reply {
        self.setup.post(&format!("grant_type=refresh_token&refresh_token={token}")).await
    }

    /// Rotates a token this many times.
    async fn rotate(&self, token: &str, times: usize) -> String {
        let mut token = token.to_owned();
        for _ in 0..times {
            token = successor(&self.refresh(&token).await);
        }
        token
    }
}

fn successor(reply: &Reply) -> String {
    reply.token();
    reply.body["refresh_token"].as_str().unwrap().to_owned()
}

fn bytes(token: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(token.strip_prefix("rt_").unwrap()).unwrap()
}

fn token(bytes: &[u8]) -> String {
    format!("rt_{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// A token with the tag that its family has for it.
fn tagged(family: &RefreshFamily, number: u64, secret: [u8; 32]) -> String {
    let mut content = BASE64_URL_SAFE_NO_PAD.decode(&*family.id).unwrap();
    content.extend(number.to_be_bytes());
    content.extend(secret);
    let key = hmac::Key::new(hmac::HMAC_SHA256, family.key.as_bytes());
    let tag = hmac::sign(&key, &[b"tower-warden refresh token tag", &content[..]].concat());
    content.extend(tag.as_ref());
    token(&content)
}

#[tokio::test]
async fn a_token_that_was_made_of_the_id_of_a_family_does_not_end_it() {
    let test = Test::new();
    let current = test.rotate(&test.first().await, 3).await;
    let family = bytes(&current)[..16].to_vec();
    for number in [0_u64, 2, 3, 4, u64::MAX] {
        let made_up = token(&[&family[..], &number.to_be_bytes(), &[7; 64]].concat());
        test.refresh(&made_up).await.assert_error(400, "invalid_grant");
    }
    test.refresh(&current).await.token();
}

#[tokio::test]
async fn no_bit_of_a_token_can_be_changed() {
    let test = Test::new();
    let current = test.rotate(&test.first().await, 1).await;
    for position in 0..bytes(&current).len() {
        let mut changed = bytes(&current);
        changed[position] ^= 1;
        test.refresh(&token(&changed)).await.assert_error(400, "invalid_grant");
    }
    test.refresh(&current).await.token();
}

#[tokio::test]
async fn the_first_token_ends_the_family_after_many_rotations() {
    let test = Test::new();
    let first = test.first().await;
    let current = test.rotate(&first, 100).await;
    test.refresh(&first).await.assert_error(400, "invalid_grant");
    test.refresh(&current).await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_copy_of_the_store_yields_no_token_that_can_be_used() {
    let test = Test::new();
    let current = test.rotate(&test.first().await, 3).await;
    // The copy is of the time before the last rotation: the tags of later tokens are made with the same key.
    let copy = test.copy.lock().unwrap().take().unwrap();
    assert_eq!(copy.generation, 2);
    for secret in [[7; 32], *copy.token.as_bytes(), *copy.seed.unwrap().as_bytes()] {
        test.refresh(&tagged(&copy, 3, secret)).await.assert_error(400, "invalid_grant");
    }
    test.refresh(&current).await.token();
}

#[tokio::test]
async fn a_copy_of_the_store_yields_no_token_within_the_grace_period() {
    let test = Test::new();
    let current = test.rotate(&test.first().await, 3).await;
    let copy = test.copy.lock().unwrap().take().unwrap();
    test.refresh(&tagged(&copy, 2, [7; 32])).await.assert_error(400, "invalid_grant");
    test.refresh(&current).await.assert_error(400, "invalid_grant");
}
