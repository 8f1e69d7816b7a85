//! Clients that are suspended, whose id is not free for others, and clients that are removed.

use tower_warden::{
    Environment,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    testing::TestIssuer,
};
use tower_warden_issuer::{GrantType, JwtBearer, KeyOwners, MemoryRefreshStore, RefreshTokenRequest, Subjects};
use tower_warden_sql::SqlIssuerStore;

use super::{
    on_both_databases,
    support::{ISSUER, NOW, ORDERS, Shared, client, send, two_nodes},
};

on_both_databases! {
    refresh_tokens_of_a_removed_client_are_not_those_of_a_later_one,
    the_owner_of_an_api_key_does_not_take_the_place_of_a_suspended_client,
    the_subject_of_another_issuer_does_not_take_the_place_of_a_suspended_client,
}

async fn the_owner_of_an_api_key_does_not_take_the_place_of_a_suspended_client(url: &str) {
    let (shared, clients) = (Shared::new(), SqlIssuerStore::connect(url).await.unwrap().clients());
    let environment = Environment::default().with_clock(shared.clock.clone());
    let format = KeyFormat::new("sk_agent").unwrap();
    let keys = ApiKeys::builder(MemoryKeyStore::default(), format).environment(&environment).build();
    let (_, key) = keys.mint(NewKey::new("agent").scopes("orders:read")).await.unwrap();
    let owners = KeyOwners::new(keys, ORDERS).unwrap();
    let store = MemoryRefreshStore::default();
    let issuer = shared.issuer_with(clients.clone(), store, |builder| builder.api_keys(owners));
    let form = format!("grant_type=client_credentials&client_id=agent&client_secret={}", key.expose());
    clients.insert(&client("agent")).await.unwrap();
    send(&issuer, &form).await.assert_error(401, "invalid_client");
    clients.suspend("agent", NOW).await.unwrap();
    send(&issuer, &form).await.assert_error(401, "invalid_client");
    // Once it is removed, the id is free.
    clients.remove("agent").await.unwrap();
    send(&issuer, &form).await.assert_issued();
}

async fn the_subject_of_another_issuer_does_not_take_the_place_of_a_suspended_client(url: &str) {
    const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    const WORKLOADS: &str = "https://workloads.example.com";
    let (shared, clients) = (Shared::new(), SqlIssuerStore::connect(url).await.unwrap().clients());
    let workloads = TestIssuer::new(WORKLOADS).environment(&Environment::default().with_clock(shared.clock.clone()));
    let grants = JwtBearer::default().trust(WORKLOADS, workloads.clone(), Subjects::unchanged()).unwrap();
    let store = MemoryRefreshStore::default();
    let issuer = shared.issuer_with(clients.clone(), store, |builder| builder.jwt_bearer(grants));
    clients.insert(&client("gateway").grants([GrantType::JwtBearer])).await.unwrap();
    clients.insert(&client("agent")).await.unwrap();
    clients.suspend("agent", NOW).await.unwrap();
    let form = || {
        let assertion = workloads.token("agent").header("typ", "JWT").audience(ISSUER).sign();
        format!("grant_type={GRANT}&client_id=gateway&client_secret=s3cret&assertion={assertion}")
    };
    send(&issuer, &form()).await.assert_error(400, "invalid_grant");
    clients.remove("agent").await.unwrap();
    send(&issuer, &form()).await.assert_issued();
}

async fn refresh_tokens_of_a_removed_client_are_not_those_of_a_later_one(url: &str) {
    let shared = Shared::new();
    let [here, there] = two_nodes(url, &shared).await;
    here.store.clients().insert(&client("other")).await.unwrap();
    let token = here.first().await;
    let of_other = here.issuer.issue_refresh_token(&RefreshTokenRequest::new("other", "alice")).await.unwrap();
    here.store.clients().remove("agent").await.unwrap();
    here.store.clients().insert(&client("agent")).await.unwrap();
    there.refresh(&token).await.assert_error(400, "invalid_grant");
    let form =
        format!("grant_type=refresh_token&client_id=other&client_secret=s3cret&refresh_token={}", of_other.expose());
    send(&there.issuer, &form).await.assert_issued();
}
