//! Revocations of keys that sign requests.

use http::{Request, request::Builder};
use tower_warden::{
    AuthMethod, Environment, Identity, ManualClock, UnixTime,
    jwt::Algorithm,
    revocation::{MemoryRevocationList, Revocation},
    signature::{SignatureKeyMap, SignaturePolicy, Signatures},
    testing::SigningKey,
};

use crate::{
    signed::{ORIGIN, Stack, auth, covered, parameters, seconds, signed, wrapped},
    support::START,
};

/// A server with a revocation list, and a client of the tenant `acme` whose key was issued at this time.
fn revocable(issued_at: Option<UnixTime>) -> (Stack, MemoryRevocationList) {
    let (clock, key) = (ManualClock::at(START), SigningKey::generate(Algorithm::EdDSA));
    let mut agent = Identity::new("agent", AuthMethod::Signature);
    (agent.tenant, agent.issued_at) = (Some("acme".into()), issued_at);
    let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
    let keys = SignatureKeyMap::default().with("k1", key.verifying_key(), agent);
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), keys);
    let app = wrapped(auth(signatures, &clock).revocations(list.clone()));
    (Stack { app, clock, key }, list)
}

/// A signature that the client makes, or dates, at this time.
fn created_at(stack: &Stack, at: UnixTime) -> Builder {
    signed(Request::get("/"), &stack.key, &covered("GET", "/"), &parameters(at.as_secs(), "k1"))
}

// (224)
#[tokio::test]
async fn signature_that_is_made_after_the_revocation_of_its_tenant_or_owner_is_refused() {
    for revocation in [Revocation::tenant("acme", START), Revocation::owner("agent", START)] {
        let (stack, list) = revocable(None);
        stack.send(created_at(&stack, START)).await.assert_subject("agent:");
        list.revoke(revocation, None).unwrap();
        stack.send(created_at(&stack, START + seconds(1))).await.assert_reason(401, "revoked");
        stack.clock.advance(seconds(3600));
        stack.send(created_at(&stack, START + seconds(3600))).await.assert_reason(401, "revoked");
    }
}

#[tokio::test]
async fn key_that_was_issued_after_the_revocation_of_its_tenant_is_accepted() {
    for (issued_at, is_revoked) in [(START, true), (START + seconds(1), false)] {
        let (stack, list) = revocable(Some(issued_at));
        list.revoke(Revocation::tenant("acme", START), None).unwrap();
        let answer = stack.send(created_at(&stack, START)).await;
        if is_revoked { answer.assert_reason(401, "revoked") } else { answer.assert_subject("agent:") }
    }
}
