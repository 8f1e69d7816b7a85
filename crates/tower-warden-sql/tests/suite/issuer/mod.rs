//! The stores of an issuer, through its endpoints: two nodes on one file of SQLite, and on one Postgres server.

#[cfg(feature = "postgres")]
pub(crate) use self::refresh::assert_one_concurrent_use_succeeds;

mod clients;
#[cfg(feature = "postgres")]
mod isolation;
mod refresh;
mod schema;
mod signing;
mod support;
mod suspension;

/// Names the tests that take the URL of an empty database, and runs each on SQLite and on Postgres.
macro_rules! on_both_databases {
    ($($name:ident,)*) => {
        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $name() {
                    let directory = tempfile::tempdir().unwrap();
                    super::$name(&format!("sqlite://{}", directory.path().join("issuer.db").display())).await;
                }
            )*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                #[ignore = "needs a Postgres server; ./scripts/test runs it"]
                async fn $name() {
                    let server = crate::server::Server::shared();
                    super::$name(&server.database().await).await;
                }
            )*
        }
    };
}

use on_both_databases;
