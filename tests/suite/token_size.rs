//! Tokens with many scopes and roles: how many are accepted, and what the cache keeps of them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use tower_warden::{
    Eventual, Unavailable,
    jwt::{Jwt, KeyRequest, KeySource, VerifyingKey},
    testing::TestIssuer,
};

use crate::tokens::{Stack, rules};

/// Counts how often a key is searched: once for each token that is not cached.
struct Counting(TestIssuer, Arc<AtomicUsize>);

impl KeySource for Counting {
    fn find(&self, request: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.find(request)
    }
}

fn numbered(count: usize) -> String {
    (0..count).map(|number| format!("s{number}")).collect::<Vec<_>>().join(" ")
}

/// The number of 300 tokens with this many scopes that are verified again, although a cache for 100 has seen each twice.
async fn verified_again(scopes: usize, capacity: u64) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    let stack = Stack::of(|issuer| {
        let keys = Counting(issuer.clone(), Arc::clone(&count));
        Jwt::builder(rules(issuer), keys).positive_capacity(capacity).build().unwrap()
    });
    let tokens: Vec<_> =
        (0..300).map(|number| stack.token().scope(&numbered(scopes)).claim("jti", number.to_string()).sign()).collect();
    for token in &tokens {
        stack.send(token).await.assert_subject("alice");
        stack.send(token).await.assert_subject("alice");
    }
    let before = count.load(Ordering::Relaxed);
    for token in &tokens {
        stack.send(token).await.assert_subject("alice");
    }
    count.load(Ordering::Relaxed) - before
}

#[tokio::test]
async fn large_tokens_take_the_place_of_several_in_the_cache() {
    assert_eq!(verified_again(1, 1000).await, 0);
    // 300 of them would need more than 10 MB; there is room for 1000 times 4 KiB, in the caches of all threads as well.
    let again = verified_again(900, 1000).await;
    assert!(again >= 100, "{again}");
}

#[tokio::test]
async fn a_token_with_more_than_a_thousand_scopes_or_roles_is_refused_unless_more_are_configured() {
    let stack = Stack::with(|issuer| issuer.roles_claim("roles"));
    let roles = |count: usize| (0..count).map(|number| json!(format!("r{number}"))).collect::<Vec<_>>();
    stack.sign(&stack.token().scope(&numbered(1000)).claim("roles", roles(1000))).await.assert_subject("alice");
    stack.sign(&stack.token().scope(&numbered(1001))).await.assert_invalid("too_many_grants");
    stack.sign(&stack.token().claim("roles", roles(1001))).await.assert_invalid("too_many_grants");
    // The same scope again is no other one.
    stack.sign(&stack.token().scope(&"again ".repeat(1001))).await.assert_subject("alice");

    let stack = Stack::with(|issuer| issuer.max_grants(2));
    stack.sign(&stack.token().scope(&numbered(2))).await.assert_subject("alice");
    stack.sign(&stack.token().scope(&numbered(3))).await.assert_invalid("too_many_grants");
}
