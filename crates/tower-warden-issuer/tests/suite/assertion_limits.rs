//! The grant of assertions: what the issuer of an assertion cannot state, and how many it can use.

use std::num::NonZeroUsize;

use serde_json::json;
use tower_warden::replay::MemoryReplayGuard;

use crate::{jwt_bearer::Grants, support::ISSUER};

#[tokio::test]
async fn an_assertion_that_names_an_actor_of_this_issuer_is_refused() {
    let grants = Grants::new();
    let agent = json!({ "sub": "post", "iss": ISSUER });
    for act in [agent.clone(), json!({ "sub": "pipeline", "act": agent })] {
        let assertion = grants.workload().claim("act", act).sign();
        grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
    }
}

#[tokio::test]
async fn an_assertion_with_authorization_details_is_refused() {
    let grants = Grants::new();
    let details = json!([{ "type": "orders", "actions": ["read"] }]);
    for builder in [grants.workload(), grants.employee()] {
        let assertion = builder.claim("authorization_details", details.clone()).sign();
        grants.send(&assertion, "").await.assert_error(400, "invalid_grant");
    }
}

#[tokio::test]
async fn a_subject_that_uses_too_many_assertions_does_not_affect_others() {
    let number = |number| NonZeroUsize::new(number).unwrap();
    let guard = MemoryReplayGuard::new(number(100), number(3));
    let grants = Grants::with(|builder| builder.replay_guard(guard));
    for _ in 0..3 {
        grants.send(&grants.workload().sign(), "").await.token();
    }
    grants.send(&grants.workload().sign(), "").await.assert_error(429, "temporarily_unavailable");
    grants.send(&grants.workload().claim("sub", "job-8").sign(), "").await.token();
}
