//! What an introspection endpoint says of a token, and what is made of it.

use std::sync::Arc;

use http::Request;
use serde_json::json;
use tower_warden::{
    AuthMethod, Authenticator, Credential, Environment, Head, Identity, Presented, Rejection,
    dpop::Dpop,
    jwt::{Algorithm, Issuer, Jwt, StaticKeys, VerifyingKey},
    layer::AuthLayer,
    testing::SigningKey,
};

use crate::{
    introspection_endpoint::{AUDIENCE, Asking, ISSUER, active, active_with, active_without, issuer, layered},
    support::{START, app, bearer, request, seconds, send},
};

const NOW: u64 = START.as_secs();
const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

async fn identity(asking: &Asking, token: &str) -> Result<Arc<Identity>, Rejection> {
    let request = Request::new(());
    let presented = Presented::new(Credential::access_token(token), Head::from(&request), START);
    asking.introspection.authenticate(&presented).wait().await
}

/// What becomes of a request whose token is answered so, under these rules.
async fn assert_refused(issuer: Issuer, answer: &serde_json::Value, reason: &str) {
    let asking = Asking::with(issuer, |builder| builder);
    asking.endpoint.say("token", &answer.to_string());
    asking.send("token").await.assert_invalid(reason);
    // From what is remembered, too.
    asking.send("token").await.assert_invalid(reason);
}

#[tokio::test]
async fn an_active_token_becomes_an_identity() {
    let rules = issuer().tenant_claim("org").roles_claim("/realm_access/roles").tier_claim("plan");
    let asking = Asking::with(rules, |builder| builder);
    let answer = active_with(json!({
        "exp": NOW + 100, "iat": NOW - 5, "jti": "7", "sid": "s", "acr": "mfa", "auth_time": NOW - 9, "org": "acme",
        "realm_access": {"roles": ["admin"]}, "plan": "gold", "act": {"sub": "agent"}, "token_type": "bearer",
        "username": "Alice", "scope": "billing:read billing:write",
    }));
    asking.endpoint.say("token", &answer);
    let identity = identity(&asking, "token").await.unwrap();
    assert_eq!(identity.method, AuthMethod::Introspection);
    assert_eq!((&*identity.subject, identity.client_id.as_deref()), ("alice", Some("app")));
    assert_eq!((identity.issuer.as_deref(), identity.tenant.as_deref()), (Some(ISSUER), Some("acme")));
    assert_eq!((identity.tier.as_deref(), &*identity.roles), (Some("gold"), &["admin".into()][..]));
    assert_eq!((identity.expires_at, identity.issued_at), (Some(START + seconds(100)), Some(START_BEFORE)));
    assert_eq!((identity.token_id.as_deref(), identity.session_id.as_deref()), (Some("7"), Some("s")));
    assert_eq!((identity.acr.as_deref(), &*identity.actors[0].subject), (Some("mfa"), "agent"));
    assert_eq!(identity.scopes.to_string(), "billing:read billing:write");
    let claims: serde_json::Value = serde_json::from_str(identity.claims.as_deref().unwrap()).unwrap();
    assert_eq!(claims, answer);
}

const START_BEFORE: tower_warden::UnixTime = tower_warden::UnixTime::from_secs(NOW - 5);

/// (123)
#[tokio::test]
async fn active_that_is_not_true_is_not_active() {
    assert_refused(issuer(), &active_with(json!({"active": false})), "token_inactive").await;
    assert_refused(issuer(), &active_without("active"), "active_type").await;
    for value in [json!("true"), json!(1), json!(null), json!([true]), json!({"active": true}), json!("")] {
        assert_refused(issuer(), &active_with(json!({"active": value})), "active_type").await;
    }
}

/// (123)
#[tokio::test]
async fn response_that_is_not_a_json_object_is_an_outage() {
    let good = active().to_string();
    let twice = good.replacen('{', r#"{"active":false,"#, 1);
    let nested = good.replacen('{', &format!(r#"{{"x":{}{},"#, "[".repeat(10_000), "]".repeat(10_000)), 1);
    for body in [
        "",
        "true",
        "active",
        "<html>{\"active\":true}</html>",
        &format!("[{good}]"),
        &format!("{good}{good}"),
        &format!("\u{feff}{good}"),
        &good[..good.len() - 1],
        &twice,
        &nested,
        // RFC 9701.
        "eyJhbGciOiJSUzI1NiIsInR5cCI6InRva2VuLWludHJvc3BlY3Rpb24rand0In0.eyJhY3RpdmUiOnRydWV9.c2ln",
    ] {
        let asking = Asking::of("token", body);
        asking.send("token").await.assert_unavailable("introspection_syntax");
        asking.endpoint.say("token", &active());
        asking.send("token").await.assert_subject("alice");
    }
}

#[tokio::test]
async fn response_with_a_changed_byte_adds_no_claims() {
    let asking = Asking::new();
    let answer = active_with(json!({"exp": NOW + 60})).to_string();
    let mut admitted = 0;
    for position in 0..answer.len() {
        for byte in ["", "\"", "x", "0", " ", "}", "\\", "\0"] {
            let (token, mut changed) = (format!("{position}-{byte}"), answer.clone());
            changed.replace_range(position..=position, byte);
            asking.endpoint.say(&token, &changed);
            let Ok(identity) = identity(&asking, &token).await else { continue };
            let read: serde_json::Value = serde_json::from_str(&changed).unwrap();
            assert_eq!((&read["active"], &read["aud"]), (&json!(true), &json!(AUDIENCE)), "{changed}");
            assert!(read.get("iss").is_none_or(|issuer| issuer == ISSUER), "{changed}");
            let named = read.get("sub").or_else(|| read.get("client_id")).unwrap();
            assert_eq!(named, &*identity.subject, "{changed}");
            admitted += 1;
        }
    }
    assert!(admitted > 10, "some changes do no harm: {admitted}");
}

/// (124)
#[tokio::test]
async fn claims_of_an_active_token_are_checked() {
    for (members, reason) in [
        (json!({"exp": NOW - 60}), "expired"),
        (json!({"exp": 0}), "expired"),
        (json!({"exp": "2038"}), "claim_type"),
        (json!({"exp": -1}), "claim_type"),
        (json!({"exp": NOW + 1_000_000}), "lifetime"),
        (json!({"nbf": NOW + 61}), "not_yet_valid"),
        (json!({"nbf": "0"}), "claim_type"),
        (json!({"iat": NOW + 61}), "issued_in_future"),
        (json!({"iat": NOW - 100_800}), "lifetime"),
        (json!({"aud": "https://other.example"}), "audience_mismatch"),
        (json!({"aud": ["https://other.example"]}), "audience_mismatch"),
        (json!({"aud": format!("{AUDIENCE}/")}), "audience_mismatch"),
        (json!({"aud": [AUDIENCE, 1]}), "claim_type"),
        (json!({"aud": {}}), "claim_type"),
        (json!({"iss": "https://other.example"}), "issuer_mismatch"),
        (json!({"iss": format!("{ISSUER}/")}), "issuer_mismatch"),
        (json!({"iss": [ISSUER]}), "claim_type"),
        (json!({"sub": ""}), "subject_missing"),
        (json!({"cnf": {"kid": "1"}}), "confirmation"),
        (json!({"cnf": "x"}), "confirmation"),
    ] {
        assert_refused(issuer(), &active_with(members), reason).await;
    }
    assert_refused(issuer(), &active_without("aud"), "audience_missing").await;
}

#[tokio::test]
async fn optional_claims_of_a_response_may_be_missing() {
    Asking::of("token", &active_without("iss")).send("token").await.assert_subject("alice");
    Asking::of("token", &active_with(json!({"exp": null, "nbf": null}))).send("token").await.assert_subject("alice");
    let asking = Asking::with(issuer().danger_any_audience(), |builder| builder);
    asking.endpoint.say("token", &json!({"active": true, "sub": "alice"}));
    asking.send("token").await.assert_subject("alice");
    asking.endpoint.say("nobody", &json!({"active": true}));
    asking.send("nobody").await.assert_invalid("subject_missing");
}

/// All users of one client would be one subject.
#[tokio::test]
async fn the_subject_of_a_response_is_sub_then_username_and_the_client_only_by_option() {
    assert_refused(issuer(), &active_without("sub"), "subject_missing").await;
    let mut answer = active_without("sub");
    answer["username"] = json!("Alice");
    Asking::of("token", &answer).send("token").await.assert_subject("Alice");
    let client = Asking::with(issuer().client_as_subject(), |builder| builder);
    client.endpoint.say("user", &answer);
    client.send("user").await.assert_subject("Alice");
    client.endpoint.say("client", &active_without("sub"));
    client.send("client").await.assert_subject("app");
    // The rules can name other claims, also none but `sub`.
    let strict = Asking::with(issuer().subject_claims(["sub"]), |builder| builder);
    strict.endpoint.say("user", &answer);
    strict.send("user").await.assert_invalid("subject_missing");
}

#[tokio::test]
async fn an_expiry_of_zero_is_none_only_by_option() {
    let answer = active_with(json!({"exp": 0}));
    assert_refused(issuer(), &answer, "expired").await;
    let asking = Asking::with(issuer(), |builder| builder.accept_zero_expiry());
    asking.endpoint.say("token", &answer);
    asking.send("token").await.assert_subject("alice");
    asking.endpoint.say("expired", &active_with(json!({"exp": 1})));
    asking.send("expired").await.assert_invalid("expired");
}

#[tokio::test]
async fn a_long_opaque_token_is_introspected_only_by_option() {
    let long = "t".repeat(20_000);
    let asking = Asking::of(&long, &active());
    asking.send(&long).await.assert_malformed("credential_too_long");
    let asking = Asking::with(issuer(), |builder| builder.max_token_bytes(20_000));
    asking.endpoint.say(&long, &active());
    asking.send(&long).await.assert_subject("alice");
}

#[tokio::test]
async fn requirements_of_the_issuer_apply_to_responses() {
    assert_refused(issuer().require_jti(), &active(), "token_id_missing").await;
    assert_refused(issuer().strict(), &active(), "claim_required").await;
    assert_refused(issuer().require_claim("org", "acme"), &active(), "claim_required").await;
    assert_refused(issuer().require_actor(), &active(), "actor_required").await;
    assert_refused(issuer().deny_actors(), &active_with(json!({"act": {"sub": "agent"}})), "actor_denied").await;
    assert_refused(issuer().tenant_claim("org"), &active(), "tenant_missing").await;
    let strict = Asking::with(issuer().strict(), |builder| builder);
    let complete = json!({"exp": NOW + 60, "iat": NOW, "jti": "7"});
    strict.endpoint.say("token", &active_with(complete.clone()));
    strict.send("token").await.assert_subject("alice");
    for (claim, value, reason) in [
        ("nonce", json!("n"), "id_token"),
        ("at_hash", json!("h"), "id_token"),
        ("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}}), "token_type"),
    ] {
        let mut other = active_with(complete.clone());
        other[claim] = value;
        assert_refused(issuer().strict(), &other, reason).await;
    }
}

#[tokio::test]
async fn the_trust_domain_of_a_subject_is_checked_with_and_without_iss() {
    let svid = || Issuer::jwt_svid("spiffe://acme.test", AUDIENCE).unwrap();
    for iss in [json!(ISSUER), json!(null)] {
        let answer = |subject: &str| active_with(json!({"sub": subject, "iss": iss}));
        let asking = Asking::with(svid(), |builder| builder);
        asking.endpoint.say("token", &answer("spiffe://acme.test/api"));
        asking.send("token").await.assert_subject("spiffe://acme.test/api");
        for other in ["spiffe://evil.test/api", "spiffe://acme.test", "alice", ""] {
            assert_refused(svid(), &answer(other), "issuer_mismatch").await;
        }
    }
    assert_refused(svid(), &active_without("sub"), "issuer_mismatch").await;
    let template = Issuer::template("https://{org}.test", AUDIENCE).unwrap();
    assert_refused(template, &active_without("iss"), "claim_required").await;
}

#[tokio::test]
async fn a_token_that_is_not_an_access_token_is_refused_if_the_response_shows_it() {
    for members in [
        json!({"token_type": "refresh_token"}),
        json!({"token_type": "N_A"}),
        json!({"token_type": ""}),
        json!({"token_use": "refresh_token"}),
        json!({"token_use": "id"}),
        json!({"typ": "Refresh"}),
        json!({"typ": "Offline"}),
        json!({"typ": "ID"}),
    ] {
        assert_refused(issuer(), &active_with(members), "token_type").await;
    }
    for members in [json!({"nonce": "n"}), json!({"at_hash": "h"})] {
        assert_refused(issuer(), &active_with(members), "id_token").await;
    }
    assert_refused(issuer(), &active_with(json!({"token_type": ["Bearer"]})), "claim_type").await;
    for members in [
        json!({"token_type": "Bearer"}),
        json!({"token_type": "BEARER", "typ": "Bearer"}),
        json!({"token_type": "access_token"}),
        json!({"token_use": "access_token"}),
        json!({"token_use": "access", "typ": "at+jwt"}),
    ] {
        Asking::of("token", &active_with(members)).send("token").await.assert_subject("alice");
    }
    let asking = Asking::with(issuer(), |builder| builder.accept_token_type("jwt"));
    asking.endpoint.say("token", &active_with(json!({"token_type": "JWT"})));
    asking.send("token").await.assert_subject("alice");
}

/// (82), (101), (111)
#[tokio::test]
async fn a_bound_token_is_refused_without_its_proof_cached_or_not() {
    for (members, reason) in [
        (json!({"cnf": {"x5t#S256": THUMBPRINT}}), "certificate_missing"),
        (json!({"cnf": {"jkt": THUMBPRINT}, "token_type": "DPoP"}), "key_proof_missing"),
        (json!({"cnf": {"jkt": THUMBPRINT}, "token_type": "Bearer"}), "key_proof_missing"),
        // Bound, and nobody knows to which key.
        (json!({"token_type": "dpop"}), "confirmation"),
        (json!({"cnf": {"x5t#S256": THUMBPRINT}, "token_type": "DPoP"}), "confirmation"),
    ] {
        assert_refused(issuer(), &active_with(members), reason).await;
    }
    let asking = Asking::of("token", &active_with(json!({"cnf": {"jkt": THUMBPRINT}, "token_type": "DPoP"})));
    assert!(identity(&asking, "token").await.unwrap().confirmation.as_ref().unwrap().key_thumbprint().is_some());
}

/// (82), (88), (89)
#[tokio::test]
async fn a_token_that_is_bound_to_a_key_needs_the_dpop_scheme_and_a_proof() {
    let (key, other) = (SigningKey::generate(Algorithm::ES256), SigningKey::generate(Algorithm::ES256));
    let asking = Asking::of("token", &active_with(json!({"cnf": key.confirmation(), "token_type": "DPoP"})));
    asking.endpoint.say("loose", &active());
    let layer = AuthLayer::new(asking.introspection.clone())
        .environment(&Environment::default().with_clock(asking.clock.clone()));
    let app = app(&layer.dpop(Dpop::new("https://api.test").unwrap()));
    let prove = async |token: &str, key: &SigningKey| {
        let proof = key.proof("GET", "https://api.test/", token, START).sign();
        let request = request().header("authorization", format!("DPoP {token}")).header("dpop", proof);
        send(app.clone(), request).await
    };
    for _ in 0..2 {
        prove("token", &key).await.assert_subject("alice");
        let stolen = prove("token", &other).await;
        assert_eq!((stolen.status.as_u16(), stolen.reason), (401, Some("key_mismatch")));
        let unproved = send(app.clone(), bearer("token")).await;
        assert_eq!((unproved.status.as_u16(), unproved.reason), (401, Some("key_proof_missing")));
        assert_eq!(prove("loose", &key).await.status, 401);
    }
    assert_eq!(asking.endpoint.count(), 2);
}

/// (132)
#[tokio::test]
async fn a_jwt_is_introspected_like_any_other_token() {
    // {"alg":"none"}.{"active":true,"sub":"root",…}.
    let jwt = "eyJhbGciOiJub25lIn0.eyJhY3RpdmUiOnRydWUsInN1YiI6InJvb3QifQ.";
    let asking = Asking::new();
    asking.send(jwt).await.assert_invalid("token_inactive");
    assert_eq!(asking.endpoint.last().body(), &format!("token={jwt}&token_type_hint=access_token"));
    asking.clock.advance(seconds(10));
    asking.endpoint.say(jwt, &active());
    asking.send(jwt).await.assert_subject("alice");
}

/// (132)
#[tokio::test]
async fn a_refused_jwt_is_not_introspected() {
    let key = VerifyingKey::hmac(Algorithm::HS256, b"a secret of thirty-two bytes ...").unwrap();
    let jwt = Jwt::new(issuer().algorithms([Algorithm::HS256]).unwrap(), StaticKeys::new([key]).unwrap());
    let forged = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL2F1dGguZXhhbXBsZSJ9.c2lnbmF0dXJl";
    let any = Asking::of(forged, &active());
    let opaque = Asking::with(issuer(), |builder| builder.opaque_only());
    opaque.endpoint.say(forged, &active());

    let behind = layered((jwt.clone(), any.introspection.clone()), &any.clock);
    let before = layered((opaque.introspection.clone(), jwt), &any.clock);
    for app in [behind, before] {
        send(app, bearer(forged)).await.assert_invalid("signature");
    }
    assert_eq!((any.endpoint.count(), opaque.endpoint.count()), (0, 0));
    opaque.send(forged).await.assert_invalid("credential_not_accepted");
    opaque.endpoint.say("opaque", &active());
    opaque.send("opaque").await.assert_subject("alice");
    assert_eq!(opaque.endpoint.count(), 1);
}

#[tokio::test]
async fn an_api_key_is_not_introspected() {
    let asking = Asking::new();
    // A field that no configured scheme reads is no credential.
    send(asking.app.clone(), request().header("x-api-key", "sk_agent_key")).await.assert_missing("credential_missing");
    let optional = AuthLayer::new(asking.introspection.clone()).optional();
    send(app(&optional), bearer("token")).await.assert_invalid("token_inactive");
    send(app(&optional), request()).await.assert_subject("nobody");
    assert_eq!(asking.endpoint.count(), 1);
}
