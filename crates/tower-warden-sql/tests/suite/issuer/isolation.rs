//! A Postgres server whose default isolation is stricter than that of the store.

use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use tower_warden_issuer::RefreshStore;

use super::support::{Shared, two_nodes};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn a_family_is_revoked_after_a_concurrent_rotation_by_a_strict_default_isolation() {
    let server = crate::server::Server::shared();
    let url = server.database().await;
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let name: String = admin.fetch_one("SELECT current_database()::text").await.unwrap().get(0);
    let set = format!("ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'repeatable read'");
    admin.execute(&*set).await.unwrap();

    let [here, _] = two_nodes(&url, &Shared::new()).await;
    let token = here.first().await;
    let row = admin.fetch_one("SELECT id FROM tower_warden_refresh_families").await.unwrap();
    let id: String = row.get(0);
    // Another node is about to rotate the family.
    let mut rotation = admin.begin().await.unwrap();
    rotation.execute("UPDATE tower_warden_refresh_families SET generation = generation").await.unwrap();
    let store = here.store.refresh_tokens();
    let revoked = tokio::spawn(async move { store.revoke(&id).wait().await });
    // Not in the transaction of the rotation: Postgres shows the same sessions to all queries of a transaction.
    let mut observer = PgConnection::connect(&url).await.unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while observer.fetch_one(waits).await.unwrap().get::<i64, _>(0) == 0 {
        assert!(!revoked.is_finished());
        tokio::task::yield_now().await;
    }
    rotation.commit().await.unwrap();
    revoked.await.unwrap().unwrap();
    here.refresh(&token).await.assert_error(400, "invalid_grant");
}
