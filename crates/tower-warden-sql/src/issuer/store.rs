use std::fmt;

#[cfg(feature = "postgres")]
use sqlx::PgPool;
#[cfg(feature = "sqlite")]
use sqlx::SqlitePool;

#[cfg(feature = "postgres")]
use super::error::POOLER_ADVICE;
use super::{
    clients::SqlClientStore,
    error::{IssuerStoreError, IssuerStoreErrorKind},
    refresh::SqlRefreshStore,
    signing::SqlSigningKeyStore,
    tasks::connecting,
};
#[cfg(feature = "sqlite")]
use crate::sqlite;
#[cfg(feature = "postgres")]
use crate::{
    listener::verify_direct,
    postgres::{self, Pooler, PostgresPool},
};
use crate::{
    migration::{Schema, migrate},
    pool::{DatabaseSystem, Pool},
};

/// The stores of an issuer in SQLite or Postgres: clients, refresh tokens and signing keys.
///
/// Clones share one pool of connections. Several nodes use one Postgres database, and several processes of one machine one
/// file of SQLite.
///
/// # Changes
///
/// A change runs to completion even if its future is dropped, for at most ten seconds. A look-up takes at most two. If the
/// database does not answer in time, the issuer responds with 503 and issues nothing.
///
/// # Malformed records
///
/// A record that this version cannot read, because it was written by a newer one or by hand, is treated as if the database
/// were down: its client is refused with 503. No client gains rights, nor loses a restriction, by a malformed record.
///
/// # Examples
///
/// ```
/// use tower_warden::{jwt::Algorithm, revocation::MemoryRevocationList};
/// use tower_warden_issuer::{
///     Client, ClientAuthentication, ClientSecrets, RefreshTokens, SigningKeys, TokenIssuer,
/// };
/// use tower_warden_sql::{IssuerStoreErrorKind, SqlIssuerStore};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # #[cfg(feature = "sqlite")] {
/// let store = SqlIssuerStore::connect("sqlite::memory:").await?; // or "postgres://user@host/database"
/// let refresh = RefreshTokens::new(store.refresh_tokens(), MemoryRevocationList::default());
/// let keys = SigningKeys::generate(Algorithm::ES256)?;
/// let issuer =
///     TokenIssuer::builder("https://auth.example.com", store.clients(), keys)?.refresh_tokens(refresh).build()?;
///
/// let (secret, digest) = issuer.generate_secret()?;
/// let basic = ClientAuthentication::SecretBasic(ClientSecrets::new(digest));
/// let client = Client::new("agent-7", "https://orders.example.com")?.authentication(basic);
/// store.clients().insert(&client).await?;
/// println!("the secret of agent-7, shown once: {}", secret.expose());
///
/// let again = store.clients().insert(&client).await.unwrap_err();
/// assert_eq!(again.kind(), IssuerStoreErrorKind::Conflict);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqlIssuerStore(pub(super) Pool);

impl SqlIssuerStore {
    /// Connects to `sqlite://path/to/issuer.db`, `sqlite::memory:` or `postgres://user@host/database`, and applies migrations.
    ///
    /// The file of SQLite is created if it is missing, and is used in WAL mode with `synchronous` FULL.
    ///
    /// # Errors
    ///
    /// Returns [`Configuration`](IssuerStoreErrorKind::Configuration) if the URL is invalid or of another database, if the
    /// cargo feature of the database is off, if the tables are of a newer version, or if the URL leads to a pooler in
    /// transaction mode: see [`connect_through_pooler`](Self::connect_through_pooler);
    /// [`Unavailable`](IssuerStoreErrorKind::Unavailable) if the database cannot be opened, or does not respond within five
    /// seconds for each step.
    pub async fn connect(url: &str) -> Result<Self, IssuerStoreError> {
        match DatabaseSystem::of(url).map_err(misconfigured)? {
            #[cfg(feature = "postgres")]
            DatabaseSystem::Postgres => Self::postgres(connecting(postgres::connect(url, Pooler::None)).await?).await,
            #[cfg(feature = "sqlite")]
            DatabaseSystem::Sqlite => Self::sqlite(connecting(sqlite::connect(url)).await?).await,
        }
    }

    /// Connects through a pooler in transaction mode, such as PgBouncer's, and applies migrations. Each operation is a
    /// transaction then, and no prepared statement outlives it.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`connect`](Self::connect).
    #[cfg(feature = "postgres")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
    pub async fn connect_through_pooler(url: &str) -> Result<Self, IssuerStoreError> {
        Self::postgres_through_pooler(connecting(postgres::connect(url, Pooler::Transaction)).await?).await
    }

    /// Uses an existing pool, and applies migrations. One connection outside the pool is opened for the start, to detect a
    /// pooler in transaction mode, which is refused: use [`postgres_through_pooler`](Self::postgres_through_pooler).
    ///
    /// The `acquire_timeout` of the pool should be less than two seconds, the time-out of a look-up.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`connect`](Self::connect).
    #[cfg(feature = "postgres")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
    pub async fn postgres(pool: PgPool) -> Result<Self, IssuerStoreError> {
        connecting(verify_direct(&pool, POOLER_ADVICE)).await?;
        Self::migrated(Pool::Postgres(PostgresPool { pool, pooler: Pooler::None })).await
    }

    /// Uses an existing pool of connections to a pooler in transaction mode, and applies migrations; see
    /// [`connect_through_pooler`](Self::connect_through_pooler).
    ///
    /// PgBouncer refuses a parameter that sqlx sends by default: remove it with `extra_float_digits(None)` in the options of
    /// the pool.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`connect`](Self::connect), except that a pooler is none.
    #[cfg(feature = "postgres")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
    pub async fn postgres_through_pooler(pool: PgPool) -> Result<Self, IssuerStoreError> {
        Self::migrated(Pool::Postgres(PostgresPool { pool, pooler: Pooler::Transaction })).await
    }

    /// Uses an existing pool, and applies migrations. Durability and time limits are those of the pool.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`connect`](Self::connect).
    #[cfg(feature = "sqlite")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
    pub async fn sqlite(pool: SqlitePool) -> Result<Self, IssuerStoreError> {
        Self::migrated(Pool::Sqlite(pool)).await
    }

    async fn migrated(pool: Pool) -> Result<Self, IssuerStoreError> {
        connecting(migrate(&pool, Schema::Issuer)).await?;
        Ok(Self(pool))
    }

    /// The clients.
    #[must_use]
    pub fn clients(&self) -> SqlClientStore {
        SqlClientStore(self.0.clone())
    }

    /// The families of refresh tokens.
    #[must_use]
    pub fn refresh_tokens(&self) -> SqlRefreshStore {
        SqlRefreshStore(self.0.clone())
    }

    /// The signing keys, for [`SigningKeys::stored`](tower_warden_issuer::SigningKeys::stored).
    #[must_use]
    pub fn signing_keys(&self) -> SqlSigningKeyStore {
        SqlSigningKeyStore(self.0.clone())
    }
}

impl fmt::Debug for SqlIssuerStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlIssuerStore").field("database", &self.0.name()).finish_non_exhaustive()
    }
}

fn misconfigured(message: &'static str) -> IssuerStoreError {
    IssuerStoreError::new(IssuerStoreErrorKind::Configuration).because(message)
}
