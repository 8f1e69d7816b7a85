//! A store of signing keys that does not answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tower_warden::{Environment, Eventual, ManualClock, Unavailable};
use tower_warden_issuer::{EncryptedKeys, SigningKeyStore, SigningKeys};

use crate::{
    key_rotation::signer,
    stored_keys::{Store, one_key},
    support::{CLIENT_CREDENTIALS, ISSUER, NOW, ORDERS, Setup},
};

/// A store that never answers, once it is set so.
#[derive(Clone, Default)]
struct Silent(Arc<AtomicBool>, Store);

impl SigningKeyStore for Silent {
    fn load(&self, issuer: &str) -> Eventual<Result<Option<EncryptedKeys>, Unavailable>> {
        match self.0.load(Ordering::Relaxed) {
            true => Eventual::later(std::future::pending()),
            false => self.1.load(issuer),
        }
    }

    fn replace(&self, issuer: &str, keys: EncryptedKeys) -> Eventual<Result<bool, Unavailable>> {
        self.1.replace(issuer, keys)
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_does_not_hold_requests_for_more_than_five_seconds() {
    let (clock, store) = (ManualClock::at(NOW), Silent::default());
    let environment = Environment::default().with_clock(clock.clone());
    let keys = SigningKeys::stored(ISSUER, store.clone(), one_key()).environment(&environment).load().await.unwrap();
    let setup = Setup::with_clock(clock, keys, |builder| builder);
    let first = signer(&setup).await;
    store.0.store(true, Ordering::Relaxed);
    setup.advance(3600);
    let begun = tokio::time::Instant::now();
    assert_eq!(signer(&setup).await, first);
    // The next attempt is made later, so this one does not wait at all.
    assert_eq!(signer(&setup).await, first);
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn only_the_first_use_waits_while_the_store_never_answers() {
    let (clock, store) = (ManualClock::at(NOW), Silent::default());
    let environment = Environment::default().with_clock(clock.clone());
    let keys = SigningKeys::stored(ISSUER, store.clone(), one_key()).environment(&environment).load().await.unwrap();
    let setup = Setup::with_clock(clock, keys, |builder| builder);
    store.0.store(true, Ordering::Relaxed);
    let elapsed_after = async |seconds| {
        setup.advance(seconds);
        tokio::time::advance(Duration::from_secs(seconds)).await;
        let begun = tokio::time::Instant::now();
        let token = setup.post(CLIENT_CREDENTIALS).await;
        setup.verify(token.token(), ORDERS).await.unwrap();
        begun.elapsed().as_secs()
    };
    assert_eq!(elapsed_after(600).await, 5);
    for _ in 0..120 {
        assert_eq!(elapsed_after(10).await, 0);
    }
    // An idle node waits: the keys may have been replaced.
    assert_eq!(elapsed_after(600).await, 5);
}
