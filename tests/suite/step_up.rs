//! RFC 9470: how strongly, and how recently, the user must have authenticated.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use http::Request;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    AuthMethod, Authenticator, Challenge, ConfigErrorKind, Credential, Environment, Eventual, Identity, ManualClock,
    Presented, Principal, Rejection, StepUp, UnixTime,
    jwt::Jwt,
    layer::{AuthLayer, AuthorizeLayer},
    scope::{Scope, Scopes},
};

use crate::{
    support::{Answer, START, Stack, answer, bearer, request, seconds, send},
    tokens,
};

const MFA: &str = "urn:example:mfa";

/// Knows one identity, whatever it is shown.
struct Known(Arc<Identity>);

impl Authenticator for Known {
    fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
        vec![Arc::new(tower_warden::scheme::Bearer::default())]
    }

    fn accepts(&self, _: &Credential<'_>) -> bool {
        true
    }

    fn authenticate(&self, _: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        Eventual::Now(Ok(Arc::clone(&self.0)))
    }
}

fn user(acr: Option<&str>, auth_time: Option<UnixTime>) -> Identity {
    let mut identity = Identity::new("alice", AuthMethod::Jwt);
    identity.acr = acr.map(Into::into);
    identity.auth_time = auth_time;
    identity
}

fn auth(identity: Identity) -> AuthLayer {
    AuthLayer::new(Known(Arc::new(identity))).environment(&Environment::default().with_clock(ManualClock::at(START)))
}

async fn ask(identity: Identity, needed: StepUp) -> Answer {
    let policy = AuthorizeLayer::step_up(needed);
    send(ServiceBuilder::new().layer(auth(identity)).layer(policy).service_fn(answer), bearer("token")).await
}

fn mfa() -> StepUp {
    StepUp::acr_values([MFA]).unwrap()
}

#[track_caller]
fn assert_step_up(answer: &Answer, reason: &str, parameters: &str) {
    assert_eq!((answer.status.as_u16(), answer.reason), (401, Some(reason)), "{answer:?}");
    assert_eq!(
        answer.header("www-authenticate"),
        Some(&*format!(
            "Bearer realm=\"api\", error=\"insufficient_user_authentication\", \
             error_description=\"A stronger or more recent authentication of the user is required.\", {parameters}"
        ))
    );
    assert_eq!(answer.json()["code"], "insufficient_user_authentication");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_token_without_acr_or_with_another_is_challenged() {
    let wanted = format!("acr_values=\"{MFA} gold\"");
    let needed = || StepUp::acr_values([MFA, "gold"]).unwrap();
    assert_step_up(&ask(user(None, Some(START)), needed()).await, "acr_missing", &wanted);
    for other in ["", " ", "silver", "Gold", "gol", "gold ", "urn:example:mfa gold", "URN:example:mfa"] {
        assert_step_up(&ask(user(Some(other), Some(START)), needed()).await, "acr_insufficient", &wanted);
    }
    for good in [MFA, "gold"] {
        ask(user(Some(good), None), needed()).await.assert_subject("alice");
    }
}

#[tokio::test]
async fn an_authentication_is_recent_up_to_the_second_of_its_greatest_age() {
    let needed = || StepUp::recent(seconds(300));
    let at = |age| Some(UnixTime::from_secs(START.as_secs() - age));
    for good in [at(0), at(1), at(300)] {
        ask(user(None, good), needed()).await.assert_subject("alice");
    }
    for old in [at(301), at(START.as_secs())] {
        assert_step_up(&ask(user(None, old), needed()).await, "auth_time_too_old", "max_age=\"300\"");
    }
    // RFC 9470 §3: who does not say when did not authenticate recently.
    assert_step_up(&ask(user(Some(MFA), None), needed()).await, "auth_time_missing", "max_age=\"300\"");
}

#[tokio::test]
async fn an_issuers_clock_that_is_ahead_makes_an_authentication_as_recent_as_can_be() {
    let ask = async |ahead| ask(user(None, Some(START + seconds(ahead))), StepUp::recent(Duration::ZERO)).await;
    for skew in [0, 1, 300] {
        ask(skew).await.assert_subject("alice");
    }
    // No clock is ahead by so much: milliseconds taken for seconds, say, would be recent for ever.
    for odd in [301, START.as_secs() * 999, u64::MAX] {
        assert_step_up(&ask(odd).await, "auth_time_in_future", "max_age=\"0\"");
    }
}

#[tokio::test]
async fn both_may_be_needed_and_the_challenge_names_both_whichever_is_lacking() {
    let needed = || mfa().max_age(Duration::from_millis(60_900));
    let wanted = format!("acr_values=\"{MFA}\", max_age=\"60\"");
    let old = Some(UnixTime::from_secs(START.as_secs() - 61));
    assert_step_up(&ask(user(None, Some(START)), needed()).await, "acr_missing", &wanted);
    assert_step_up(&ask(user(Some(MFA), old), needed()).await, "auth_time_too_old", &wanted);
    assert_step_up(&ask(user(Some(MFA), None), needed()).await, "auth_time_missing", &wanted);
    ask(user(Some(MFA), Some(START)), needed()).await.assert_subject("alice");
}

#[tokio::test]
async fn the_challenge_names_where_the_metadata_stand() {
    let challenge = Challenge::new("billing").unwrap().scope(Scopes::parse("billing:read").unwrap());
    let challenge =
        challenge.resource_metadata("https://api.example.com/.well-known/oauth-protected-resource").unwrap();
    let service = ServiceBuilder::new()
        .layer(auth(user(None, None)).challenge(challenge))
        .layer(AuthorizeLayer::step_up(mfa()))
        .service_fn(answer);
    assert_eq!(
        send(service, bearer("token")).await.header("www-authenticate"),
        Some(
            "Bearer realm=\"billing\", \
             resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource\", \
             error=\"insufficient_user_authentication\", \
             error_description=\"A stronger or more recent authentication of the user is required.\", \
             acr_values=\"urn:example:mfa\""
        )
    );
}

#[tokio::test]
async fn the_scopes_of_a_challenge_do_not_include_offline_access() {
    for (scopes, challenge) in [
        ("billing:read offline_access", "Bearer realm=\"api\", scope=\"billing:read\""),
        ("offline_access", "Bearer realm=\"api\""),
    ] {
        let challenge_of_layer = Challenge::default().scope(Scopes::parse(scopes).unwrap());
        let service =
            ServiceBuilder::new().layer(auth(user(None, None)).challenge(challenge_of_layer)).service_fn(answer);
        let response = send(service, request()).await;
        assert_eq!(response.header("www-authenticate"), Some(challenge));
    }
}

#[tokio::test]
async fn a_stranger_is_not_told_what_is_needed() {
    // RFC 9470 §9: the token first.
    let needed = || AuthorizeLayer::step_up(mfa());
    let mut expired = user(None, None);
    expired.expires_at = Some(START);
    let service = ServiceBuilder::new().layer(auth(expired)).layer(needed()).service_fn(answer);
    send(service.clone(), bearer("token")).await.assert_invalid("expired");
    send(service, request()).await.assert_missing("credential_missing");

    let optional = ServiceBuilder::new().layer(auth(user(None, None)).optional()).layer(needed()).service_fn(answer);
    send(optional, request()).await.assert_missing("credential_missing");

    let alone = needed().layer(service_fn(answer));
    let refused = send(alone, bearer("token")).await;
    assert_eq!((refused.status.as_u16(), refused.header("www-authenticate")), (500, None));
}

#[tokio::test]
async fn beside_scopes_the_outer_layer_is_asked_first() {
    let stack = async |scopes: &str| {
        let mut identity = user(None, None);
        identity.scopes = Scopes::parse(scopes).unwrap();
        let service = ServiceBuilder::new()
            .layer(auth(identity))
            .layer(AuthorizeLayer::all_of([Scope::from_static("billing:write")]))
            .layer(AuthorizeLayer::step_up(mfa()))
            .service_fn(answer);
        send(service, bearer("token")).await
    };
    let lacking = stack("billing:read").await;
    assert_eq!((lacking.status.as_u16(), lacking.reason), (403, Some("insufficient_scope")));
    assert!(!lacking.header("www-authenticate").unwrap().contains("acr_values"));
    assert_step_up(&stack("billing:write").await, "acr_missing", &format!("acr_values=\"{MFA}\""));
}

#[tokio::test]
async fn the_claims_of_a_jwt_decide() {
    let stack = tokens::Stack::new();
    let jwt = Jwt::new(tokens::rules(&stack.issuer), stack.issuer.clone());
    let service = ServiceBuilder::new()
        .layer(AuthLayer::new(jwt).environment(&Environment::default().with_clock(stack.clock.clone())))
        .layer(AuthorizeLayer::step_up(mfa().max_age(seconds(60))))
        .service_fn(answer);
    let wanted = format!("acr_values=\"{MFA}\", max_age=\"60\"");
    let token = stack.token().claim("acr", MFA).claim("auth_time", START.as_secs()).sign();
    let (weak, silent) = (stack.token().claim("acr", "0").sign(), stack.token().claim("acr", MFA).sign());
    send(service.clone(), bearer(&token)).await.assert_subject("alice");
    assert_step_up(&send(service.clone(), bearer(&weak)).await, "acr_insufficient", &wanted);
    assert_step_up(&send(service.clone(), bearer(&silent)).await, "auth_time_missing", &wanted);
    // The token is good for longer, and cached.
    stack.clock.advance(seconds(61));
    assert_step_up(&send(service, bearer(&token)).await, "auth_time_too_old", &wanted);
}

#[tokio::test]
async fn an_api_key_never_suffices() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    for (needed, reason, parameters) in [
        (mfa(), "acr_missing", "acr_values=\"urn:example:mfa\""),
        (StepUp::recent(Duration::MAX), "auth_time_missing", "max_age=\"18446744073709551615\""),
    ] {
        let auth =
            AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
        let service = ServiceBuilder::new().layer(auth).layer(AuthorizeLayer::step_up(needed)).service_fn(answer);
        assert_step_up(&send(service, bearer(key.expose())).await, reason, parameters);
    }
}

#[tokio::test]
async fn a_handler_may_ask_for_it_only_sometimes() {
    async fn pay(caller: Principal, amount: String) -> Result<String, Rejection> {
        if amount.len() > 2 {
            mfa().max_age(seconds(60)).check(&caller)?;
        }
        Ok(format!("paid {amount}"))
    }
    let app = async |identity| {
        let app: Router = Router::new().route("/", get(pay)).layer(auth(identity));
        async move |amount: &'static str| {
            let request = Request::get("/").header("authorization", "Bearer token").body(Body::from(amount));
            Answer::read(app.clone().oneshot(request.unwrap()).await.unwrap()).await
        }
    };
    let weak = app(user(None, None)).await;
    assert_eq!(weak("12").await.status, 200);
    assert_step_up(&weak("1200").await, "acr_missing", "acr_values=\"urn:example:mfa\", max_age=\"60\"");
    let strong = app(user(Some(MFA), Some(START))).await;
    assert_eq!(strong("1200").await.body, "paid 1200");
}

#[test]
fn acr_values_that_no_challenge_can_hold_are_refused_at_build_time() {
    // (137)
    for bad in ["", " ", "a b", "a\"b", "a\\b", "a\r\nb", "a\tb", "ärgerlich", "\u{7f}"] {
        for values in [vec![bad], vec!["good", bad]] {
            let refused = StepUp::acr_values(values).unwrap_err();
            assert_eq!(refused.kind(), ConfigErrorKind::Challenge, "{bad:?}");
        }
    }
    assert!(StepUp::acr_values([]).is_err(), "nothing is asked for");
    assert!(StepUp::acr_values(["!#$%&'()*+,-./:;<=>?@[]^_`{|}~", "0"]).is_ok());
}
