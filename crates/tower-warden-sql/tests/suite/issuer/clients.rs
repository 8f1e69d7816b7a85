//! Clients on two nodes.

use std::{num::NonZeroU16, time::Duration};

use tower_warden::{
    UnixTime,
    api_key::KeyDigest,
    jwt::{Algorithm, StaticKeys, VerifyingKey},
};
use tower_warden_issuer::{
    Client, ClientAuthentication, ClientKeys, ClientRecord, ClientStore, MemoryRefreshStore, SigningKey, TokenBinding,
};
use tower_warden_sql::{IssuerStoreErrorKind, SqlIssuerStore};

use super::{
    on_both_databases,
    support::{NOW, ORDERS, Shared, client, credentials, execute, two_nodes},
};

on_both_databases! {
    a_client_is_found_as_it_was_inserted,
    clients_are_listed_in_the_order_of_their_ids,
    a_change_applies_to_the_next_request_on_the_other_node,
    the_old_secret_is_accepted_until_the_end_of_the_grace_period,
    a_suspended_client_gets_no_more_tokens_until_it_is_resumed,
    a_client_that_was_changed_in_the_meantime_is_not_changed,
    changes_of_clients_that_do_not_exist_are_refused,
    a_malformed_client_is_503_and_others_are_not_affected,
    ids_are_compared_byte_for_byte,
}

fn json(client: &Client) -> String {
    serde_json::to_string(&ClientRecord::try_from(client).unwrap()).unwrap()
}

async fn a_client_is_found_as_it_was_inserted(url: &str) {
    let clients = SqlIssuerStore::connect(url).await.unwrap().clients();
    let jwk = SigningKey::generate(Algorithm::ES256).unwrap().public_jwk();
    let keys = ClientKeys::from_jwk_set(&format!(r#"{{"keys":[{jwk}]}}"#)).unwrap();
    let full = client("ids may have spaces, 'quotes' and %")
        .authentication(ClientAuthentication::PrivateKeyJwt(keys))
        .rotate_secret(&KeyDigest::sha256("new"), NOW)
        .require_binding(TokenBinding::Certificate)
        .serve(ORDERS)
        .unwrap();
    clients.insert(&full).await.unwrap();
    let found = clients.find(full.id()).wait().await.unwrap().unwrap();
    assert_eq!(json(&found), json(&full));
    assert_eq!(clients.insert(&full).await.unwrap_err().kind(), IssuerStoreErrorKind::Conflict);

    let keys = StaticKeys::new([VerifyingKey::from_jwk(&jwk).unwrap()]).unwrap();
    let custom = client("custom").authentication(ClientAuthentication::private_key_jwt(keys));
    assert_eq!(clients.insert(&custom).await.unwrap_err().kind(), IssuerStoreErrorKind::Invalid);
}

async fn clients_are_listed_in_the_order_of_their_ids(url: &str) {
    let clients = SqlIssuerStore::connect(url).await.unwrap().clients();
    for id in ["b", "B", "a", "C"] {
        clients.insert(&client(id)).await.unwrap();
    }
    clients.suspend("C", NOW).await.unwrap();
    let page = async |after, limit| {
        let listed = clients.list(after, NonZeroU16::new(limit).unwrap()).await.unwrap();
        listed
            .into_iter()
            .map(Result::unwrap)
            .map(|found| (found.client.id().to_owned(), found.suspended_at))
            .collect::<Vec<_>>()
    };
    let of = |id: &str| (id.to_owned(), None::<UnixTime>);
    assert_eq!(page(None, 2).await, [of("B"), ("C".to_owned(), Some(NOW))]);
    assert_eq!(page(Some("C"), 9).await, [of("a"), of("b")]);
    assert_eq!(page(Some("b"), 9).await, []);
    assert_eq!(page(Some("nul\0"), 1).await.len(), 1);
}

async fn a_change_applies_to_the_next_request_on_the_other_node(url: &str) {
    let shared = Shared::new();
    let [here, there] = two_nodes(url, &shared).await;
    assert_eq!(credentials(&there.issuer, "s3cret").await.body["scope"], "orders:read");
    here.store.clients().update("agent", |client| client.scopes("orders:write")).await.unwrap();
    assert_eq!(credentials(&there.issuer, "s3cret").await.body["scope"], "orders:write");
    here.store.clients().remove("agent").await.unwrap();
    credentials(&there.issuer, "s3cret").await.assert_error(401, "invalid_client");
}

async fn the_old_secret_is_accepted_until_the_end_of_the_grace_period(url: &str) {
    let shared = Shared::new();
    let [here, there] = two_nodes(url, &shared).await;
    let until = NOW + Duration::from_secs(60);
    here.store.clients().rotate_secret("agent", &KeyDigest::sha256("new"), until).await.unwrap();
    shared.clock.advance(Duration::from_secs(59));
    for secret in ["s3cret", "new"] {
        credentials(&there.issuer, secret).await.assert_issued();
    }
    shared.clock.advance(Duration::from_secs(1));
    credentials(&there.issuer, "s3cret").await.assert_error(401, "invalid_client");
    credentials(&there.issuer, "new").await.assert_issued();
}

async fn a_suspended_client_gets_no_more_tokens_until_it_is_resumed(url: &str) {
    let shared = Shared::new();
    let [here, there] = two_nodes(url, &shared).await;
    let token = here.first().await;
    let next = there.refresh(&token).await.successor();
    here.store.clients().suspend("agent", NOW).await.unwrap();
    there.refresh(&next).await.assert_error(401, "invalid_client");
    credentials(&there.issuer, "s3cret").await.assert_error(401, "invalid_client");
    // Later changes do not resume it, and the time stays that of the first suspension.
    here.store.clients().suspend("agent", NOW + Duration::from_secs(9)).await.unwrap();
    here.store.clients().update("agent", |client| client.scopes("orders:read")).await.unwrap();
    let found = here.store.clients().get("agent").await.unwrap().unwrap();
    assert_eq!(found.suspended_at, Some(NOW));
    there.refresh(&next).await.assert_error(401, "invalid_client");
    here.store.clients().resume("agent").await.unwrap();
    there.refresh(&next).await.assert_issued();
}

async fn a_client_that_was_changed_in_the_meantime_is_not_changed(url: &str) {
    let [here, there] = two_nodes(url, &Shared::new()).await;
    let (clients, others) = (here.store.clients(), there.store.clients());
    let outcome = clients
        .update("agent", |client| {
            let others = others.clone();
            // Another node changes the client between the read and the write of this one.
            tokio::task::block_in_place(|| {
                let change = others.update("agent", |client| client.scopes("orders:write"));
                tokio::runtime::Handle::current().block_on(change).unwrap();
            });
            client.scopes("orders:read orders:delete")
        })
        .await;
    assert_eq!(outcome.unwrap_err().kind(), IssuerStoreErrorKind::Conflict);
    let found = clients.get("agent").await.unwrap().unwrap();
    assert_eq!(found.client.allowed_scopes().to_string(), "orders:write");
}

async fn changes_of_clients_that_do_not_exist_are_refused(url: &str) {
    let [here, _] = two_nodes(url, &Shared::new()).await;
    let clients = here.store.clients();
    for id in ["nobody", "", "nul\0"] {
        assert!(clients.get(id).await.unwrap().is_none());
        let outcomes = [
            clients.suspend(id, NOW).await,
            clients.resume(id).await,
            clients.remove(id).await,
            clients.update(id, Ok).await,
        ];
        for outcome in outcomes {
            assert_eq!(outcome.unwrap_err().kind(), IssuerStoreErrorKind::NotFound, "{id:?}");
        }
    }
    for outcome in [
        clients.update("agent", |_| Client::new("another", ORDERS)).await,
        clients.update("agent", |client| client.resource("no resource")).await,
    ] {
        assert_eq!(outcome.unwrap_err().kind(), IssuerStoreErrorKind::Invalid);
    }
}

async fn a_malformed_client_is_503_and_others_are_not_affected(url: &str) {
    let shared = Shared::new();
    let changes = [
        "record = ''",
        "record = 'null'",
        "record = replace(record, 'client_secret_post', 'none')",
        "record = replace(record, 'refresh_token', 'implicit')",
        "record = replace(record, '{\"id\"', '{\"restriction\":1,\"id\"')",
        "record = replace(record, '\"agent\"', '\"other\"')",
        "record = replace(record, 'orders:read', 'evil\\\"scope')",
    ];
    for change in changes {
        let node = shared.node(url).await;
        for id in ["agent", "other"] {
            node.store.clients().insert(&client(id)).await.unwrap();
        }
        execute(url, &format!("UPDATE tower_warden_clients SET {change} WHERE id = 'agent'")).await;
        credentials(&node.issuer, "s3cret").await.assert_error(503, "temporarily_unavailable");
        let form = "grant_type=client_credentials&client_id=other&client_secret=s3cret";
        super::support::send(&node.issuer, form).await.assert_issued();
        let error = node.store.clients().get("agent").await.unwrap_err();
        let listed = node.store.clients().list(None, NonZeroU16::MAX).await.unwrap();
        assert_eq!(listed[0].as_ref().unwrap_err().id, "agent".into());
        assert_eq!(listed[1].as_ref().unwrap().client.id(), "other");
        let shown = format!("{error:?}{:?}", listed[0]);
        assert!(shown.contains("agent") && !shown.contains("sha256") && !shown.contains("evil"), "{shown}");
        execute(url, "DELETE FROM tower_warden_clients").await;
    }
}

async fn ids_are_compared_byte_for_byte(url: &str) {
    let clients = SqlIssuerStore::connect(url).await.unwrap().clients();
    clients.insert(&client("agent")).await.unwrap();
    for id in ["Agent", "agent ", "agen_", "%", "agent\0"] {
        assert!(clients.find(id).wait().await.unwrap().is_none(), "{id:?}");
    }
}

#[tokio::test]
#[cfg(feature = "sqlite")]
async fn nothing_is_issued_while_the_client_store_is_down() {
    let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    let store = SqlIssuerStore::sqlite(pool.clone()).await.unwrap();
    store.clients().insert(&client("agent")).await.unwrap();
    let issuer = Shared::new().issuer(store.clients(), MemoryRefreshStore::default());
    let token = super::support::first(&issuer).await;
    credentials(&issuer, "s3cret").await.assert_issued();
    pool.close().await;
    for secret in ["s3cret", "guess"] {
        credentials(&issuer, secret).await.assert_error(503, "temporarily_unavailable");
    }
    super::support::refresh(&issuer, &token).await.assert_error(503, "temporarily_unavailable");
}
