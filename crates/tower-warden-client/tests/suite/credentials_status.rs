//! The state of the credentials of several services, and their refresh in the background.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tower::{Layer, ServiceExt};
use tower_warden_client::{
    TokenErrorKind,
    credentials::{Credentials, CredentialsConfig, ServiceStatus},
};

use crate::{
    credentials::{build, client, clock, secrets, send},
    rotation::Rotating,
    server::Log,
    support::{NOW, Received, Reply, Server, get, response},
};

fn status<'a>(statuses: &'a [ServiceStatus], service: &str) -> &'a ServiceStatus {
    statuses.iter().find(|status| status.service() == service).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_status_states_tokens_errors_and_rotations() {
    let (environment, clock) = clock();
    let server = Server::default();
    let services = json!({
        "billing": client("https://a.example", "agent", "CLIENT"),
        "reports": {
            "kind": "api_key", "origin": "https://b.example", "key_name": "REPORTS",
            "created": "2027-01-01", "rotate_after_days": 20
        }
    });
    let credentials = build(&services, secrets()).http(server.clone()).environment(&environment).load().await.unwrap();
    let statuses = credentials.status();
    let billing = status(&statuses, "billing");
    assert_eq!((billing.has_token(), billing.expiry(), billing.last_error()), (false, None, None));
    let reports = status(&statuses, "reports");
    // 1 January 2027 is 16 days before the time of the tests.
    assert_eq!((reports.has_token(), reports.needs_rotation()), (true, false));
    let due = reports.rotation_due().unwrap();
    assert_eq!(due.as_secs(), 1_800_489_600);

    send(&credentials, "billing", "https://a.example/").await.unwrap();
    let statuses = credentials.status();
    let billing = status(&statuses, "billing");
    assert_eq!((billing.has_token(), billing.expiry()), (true, Some(NOW + Duration::from_secs(3_600))));

    server.next((0..6).map(|_| Reply::Down));
    clock.set(due - Duration::from_secs(3 * 24 * 3_600));
    send(&credentials, "billing", "https://a.example/").await.unwrap_err();
    let statuses = credentials.status();
    let billing = status(&statuses, "billing");
    assert_eq!((billing.has_token(), billing.last_error()), (false, Some(TokenErrorKind::Unavailable)));
    assert!(status(&statuses, "reports").needs_rotation());
    assert!(!format!("{credentials:?} {statuses:?}").contains("secret_of"));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_does_not_extend_the_life_of_a_token() {
    let (environment, clock) = clock();
    let services = json!({ "billing": client("https://a.example", "agent", "CLIENT") });
    let credentials = build(&services, secrets()).environment(&environment).load().await.unwrap();
    send(&credentials, "billing", "https://a.example/").await.unwrap();
    clock.set(NOW - Duration::from_secs(86_400));
    for (passed, has_token) in [(3_599, true), (1, false)] {
        clock.advance(Duration::from_secs(passed));
        let statuses = credentials.status();
        let billing = status(&statuses, "billing");
        assert_eq!((billing.has_token(), billing.expiry()), (has_token, Some(NOW + Duration::from_secs(3_600))));
    }
}

#[tokio::test]
async fn a_key_that_was_refused_is_no_credential_until_it_is_accepted_or_replaced() {
    let ((environment, _), rotating) = (clock(), Rotating::new("key_of_reports_0123456789"));
    let services = json!({ "reports": { "kind": "api_key", "origin": "https://b.example", "key_name": "REPORTS" } });
    let config: CredentialsConfig = serde_json::from_value(json!({ "test": services })).unwrap();
    let builder = Credentials::builder(&config, "test", rotating.clone()).unwrap();
    let credentials = builder.environment(&environment).load().await.unwrap();
    let has_token = || status(&credentials.status(), "reports").has_token();
    let respond = async |code| {
        let client =
            credentials.layer_for("reports").unwrap().layer(Received::default().api(move |_| response(code, "")));
        client.oneshot(get("https://b.example/")).await.unwrap();
    };
    assert!(has_token());
    respond(401).await;
    assert!(!has_token());
    // Not what a proxy responds with.
    respond(502).await;
    assert!(!has_token());
    respond(200).await;
    assert!(has_token());
    respond(401).await;
    assert!(!has_token());
    rotating.rotate("key_of_reports_9876543210", NOW);
    let _background = credentials.clone().refresh_in_background();
    tokio::task::yield_now().await;
    assert!(has_token(), "the new version was not refused");
}

#[tokio::test]
async fn a_token_that_was_refused_after_a_new_one_was_obtained_is_no_credential() {
    let (environment, _) = clock();
    let services = json!({ "a": client("https://a.example", "agent", "CLIENT") });
    let credentials = build(&services, secrets()).environment(&environment).load().await.unwrap();
    let received = Received::default();
    let respond = async |code| {
        let client = credentials.layer_for("a").unwrap().layer(received.api(move |_| response(code, "")));
        client.oneshot(get("https://a.example/")).await.unwrap();
        status(&credentials.status(), "a").has_token()
    };
    assert!(respond(200).await);
    assert!(!respond(401).await);
    assert_eq!(received.tokens(), ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
    assert!(respond(200).await);
}

#[tokio::test]
async fn the_rotation_of_a_secret_of_two_services_is_the_one_that_is_due_first() {
    for (of_a, of_b, days) in
        [(None, Some(20), 20), (Some(20), None, 20), (Some(30), Some(20), 20), (Some(20), Some(30), 20)]
    {
        let mut services = json!({
            "a": client("https://a.example", "agent", "CLIENT"),
            "b": client("https://b.example", "agent", "CLIENT"),
        });
        for (service, period) in [("a", of_a), ("b", of_b)] {
            if let Some(period) = period {
                services[service]["created"] = json!("2027-01-01");
                services[service]["rotate_after_days"] = json!(period);
            }
        }
        let (environment, _) = clock();
        let credentials = build(&services, secrets()).http(Server::default()).environment(&environment).load();
        let statuses = credentials.await.unwrap().status();
        let created = 1_800_489_600 - 20 * 24 * 3_600;
        for service in ["a", "b"] {
            let due = status(&statuses, service).rotation_due().unwrap();
            assert_eq!(due.as_secs(), created + days * 24 * 3_600, "{service} of {of_a:?} and {of_b:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_services_are_refreshed_in_the_background_until_the_last_layer_is_dropped() {
    let (log, _guard) = Log::listen();
    let (environment, clock) = clock();
    let server = Server::default();
    let services = json!({
        "a": client("https://a.example", "agent", "CLIENT"),
        "b": { "kind": "token_file", "origin": "https://b.example", "path": "/nowhere/token" },
        "c": {
            "kind": "api_key", "origin": "https://c.example", "key_name": "REPORTS",
            "created": "2027-01-01", "rotate_after_days": 17
        }
    });
    let credentials = build(&services, secrets()).http(server.clone()).environment(&environment);
    let credentials = credentials.load().await.unwrap().refresh_in_background();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let statuses = credentials.status();
    assert!(status(&statuses, "a").has_token());
    clock.advance(Duration::from_secs(3_500));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(server.count(), 2, "the token was refreshed before it expired");
    assert_eq!(log.count("a key has to be rotated soon"), 1);
    assert!(!log.text().contains("key_of") && !log.text().contains("secret_of"), "{}", log.text());

    let layer = Arc::new(credentials.layer_for("a").unwrap());
    drop(credentials);
    tokio::task::yield_now().await;
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 1, "that of the layer");
    drop(layer);
    tokio::task::yield_now().await;
    assert_eq!(metrics.num_alive_tasks(), 0);
}
