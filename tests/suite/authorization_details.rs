//! Authorizations of tokens (RFC 9396).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tower_warden::{Policy, jwt::RequiredAuthorization};

use crate::policies::{ask, ask_with, write};

fn payment() -> RequiredAuthorization {
    RequiredAuthorization::new("payment_initiation")
        .action("initiate")
        .location("https://api.example.com/payments")
        .member("instructedAmount", r#"{ "amount": "12.50", "currency": "EUR" }"#)
        .unwrap()
}

fn with_detail(change: impl FnOnce(&mut serde_json::Value)) -> serde_json::Value {
    let mut detail = serde_json::json!({
        "type": "payment_initiation",
        "actions": ["initiate", "status"],
        "locations": ["https://api.example.com/payments"],
        "instructedAmount": { "currency": "EUR", "amount": "12.50" },
        "creditorName": "Merchant A",
    });
    change(&mut detail);
    serde_json::json!({ "authorization_details": [{ "type": "other" }, detail] })
}

#[tokio::test]
async fn an_authorization_of_the_type_with_all_that_is_required_is_admitted() {
    ask_with(payment(), with_detail(|_| {})).await.assert_subject("alice");
    ask_with(RequiredAuthorization::new("other"), with_detail(|_| {})).await.assert_subject("alice");
}

#[tokio::test]
async fn an_authorization_that_lacks_something_is_refused() {
    for change in [
        |detail: &mut serde_json::Value| detail["type"] = "account_information".into(),
        |detail: &mut serde_json::Value| detail["actions"] = serde_json::json!(["status"]),
        |detail: &mut serde_json::Value| detail["actions"] = "initiate".into(),
        |detail: &mut serde_json::Value| detail["locations"] = serde_json::json!([]),
        |detail: &mut serde_json::Value| detail["instructedAmount"]["amount"] = "1250".into(),
        |detail: &mut serde_json::Value| detail["instructedAmount"]["amount"] = 12.5.into(),
        |detail: &mut serde_json::Value| detail["instructedAmount"]["more"] = true.into(),
        |detail: &mut serde_json::Value| drop(detail.as_object_mut().unwrap().remove("instructedAmount")),
        |detail: &mut serde_json::Value| *detail = "payment_initiation".into(),
    ] {
        let claims = with_detail(change);
        ask_with(payment(), claims.clone()).await.assert_reason(403, "authorization_insufficient");
    }
    let claims = with_detail(|_| {});
    let other = || RequiredAuthorization::new("payment_initiation");
    for policy in [other().identifier("12"), other().datatype("balances"), other().privilege("admin")] {
        ask_with(policy, claims.clone()).await.assert_reason(403, "authorization_insufficient");
    }
    // What is required is in two entries.
    let split = serde_json::json!({ "authorization_details": [
        { "type": "account", "actions": ["read"] }, { "type": "account", "identifier": "12" },
    ] });
    let both = RequiredAuthorization::new("account").action("read").identifier("12");
    ask_with(both, split).await.assert_reason(403, "authorization_insufficient");
    for none in [serde_json::json!({}), serde_json::json!({ "authorization_details": { "type": "other" } })] {
        ask_with(RequiredAuthorization::new("other"), none).await.assert_reason(403, "authorization_insufficient");
    }
    ask(RequiredAuthorization::new("other")).await.assert_reason(403, "authorization_insufficient");
}

#[tokio::test]
async fn a_refusal_states_the_authorization_to_request() {
    let refused = ask_with(payment().reference("txn-7"), serde_json::json!({})).await;
    assert_eq!(refused.json()["code"], "insufficient_authorization");
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer realm=\"api\", error=\"insufficient_authorization\", "), "{challenge}");
    assert!(!challenge.contains("scope="), "{challenge}");
    let remediation = challenge.split("authorization_remediation=\"").nth(1).unwrap().trim_end_matches('"');
    let remediation = BASE64_URL_SAFE_NO_PAD.decode(remediation).unwrap();
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&remediation).unwrap(),
        serde_json::json!({
            "authorization_details": [{
                "type": "payment_initiation",
                "actions": ["initiate"],
                "locations": ["https://api.example.com/payments"],
                "instructedAmount": { "amount": "12.50", "currency": "EUR" },
            }],
            "authorization_reference": "txn-7",
        })
    );
    // Scopes first: one challenge reports one error.
    let refused = ask_with(write().and(payment()), serde_json::json!({})).await;
    refused.assert_reason(403, "insufficient_scope");
    assert!(!refused.header("www-authenticate").unwrap().contains("authorization_remediation"));
}

#[test]
fn a_required_member_is_json_and_not_a_common_one() {
    let required = || RequiredAuthorization::new("account");
    for (name, json) in [("limit", "12,5"), ("limit", ""), ("limit", r#"{"a":1,"a":2}"#), ("actions", r#"["read"]"#)] {
        assert!(required().member(name, json).is_err(), "{name}: {json}");
    }
    assert!(required().member("limit", "12.5").is_ok());
}
