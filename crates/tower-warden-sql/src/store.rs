//! The key store.

use std::{fmt, sync::Arc, time::Duration};

#[cfg(feature = "sqlite")]
use sqlx::SqlitePool;
#[cfg(feature = "postgres")]
use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio::time::timeout;
use tower_warden::{
    Eventual, Unavailable, UnixTime,
    api_key::{
        KeyAddition, KeyChange, KeyDigest, KeyError, KeyErrorKind, KeyId, KeyPage, KeyQuery, KeyRecord, KeyStore,
        KeyUpdate, KeyUse, KeyWatcher, KeyWatchers, UnrevokedKeys,
    },
};

#[cfg(feature = "sqlite")]
use crate::sqlite;
use crate::{
    error::{configuration_error, read_error, unavailable, write_error},
    migration::{Schema, migrate},
    operations,
    pool::{DatabaseSystem, Dialect as _, Pool, with_pool},
    statement,
};
#[cfg(feature = "postgres")]
use crate::{
    listener::Listener,
    postgres::{self, Pooler, PostgresPool},
};

/// The longest time that each step of connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest time that a change may take. Longer than writers of SQLite wait for each other.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Stores API keys in SQLite or Postgres, in the table `tower_warden_api_keys`.
///
/// Clones share one pool of connections. See the [crate docs](crate) for the differences between the databases, for
/// notifications and for migrations.
///
/// # Changes
///
/// A change runs to completion even if its future is dropped, for at most ten seconds. If its outcome is unknown, because
/// of a time-out or a lost connection, it is an [`Unavailable`](KeyErrorKind::Unavailable) error, and watchers are notified
/// as if it had been made.
///
/// # Malformed rows
///
/// A row that is not a valid record, for example because one of its scopes is malformed, is an error that names the column
/// and the id of the key. Requests with that key are refused with 503, as if the database were down. A key never gains
/// rights, nor loses a restriction, by a malformed column. A list that contains such a row is an error as well, and so are
/// an export and a purge of all inactive keys, until the row is repaired or deleted.
/// [`revoke_all`](tower_warden::api_key::ApiKeys::revoke_all) revokes it with the others, unless its id or its time of revocation is
/// what is malformed.
///
/// # Examples
///
/// ```
/// use tower_warden::api_key::{ApiKeys, KeyErrorKind, KeyFormat, NewKey};
/// use tower_warden_sql::SqlKeyStore;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # #[cfg(feature = "sqlite")] {
/// let keys = ApiKeys::new(SqlKeyStore::connect("sqlite::memory:").await?, KeyFormat::new("sk_test")?);
/// let (record, _) = keys.mint(NewKey::new("alice")).await?;
/// assert_eq!(keys.get(&record.id).await?.map(|key| key.owner.clone()), Some("alice".into()));
/// # }
///
/// let error = SqlKeyStore::connect("mysql://root@localhost/keys").await.unwrap_err();
/// assert_eq!(error.kind(), KeyErrorKind::Configuration);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqlKeyStore(Arc<Inner>);

struct Inner {
    pool: Pool,
    watchers: Arc<KeyWatchers>,
    #[cfg(feature = "postgres")]
    _listener: Option<Listener>,
}

impl SqlKeyStore {
    /// Connects to `sqlite://path/to/keys.db`, `sqlite::memory:` or `postgres://user@host/database`, and applies
    /// migrations.
    ///
    /// The file of SQLite is created if it is missing, and is used in WAL mode with `synchronous` FULL. Parameters of the
    /// URL are those of sqlx, for example `sslmode` for Postgres and `mode` for SQLite.
    ///
    /// # Errors
    ///
    /// Returns [`Configuration`](KeyErrorKind::Configuration) if the URL is invalid or of another database, if the cargo
    /// feature of the database is off, or if the schema is of a newer version;
    /// [`Unavailable`](KeyErrorKind::Unavailable) if the database cannot be opened or does not respond within five
    /// seconds for each step. A pooler in transaction mode is a configuration error too: see
    /// [`connect_through_pooler`](Self::connect_through_pooler).
    pub async fn connect(url: &str) -> Result<Self, KeyError> {
        match DatabaseSystem::of(url).map_err(configuration_error)? {
            #[cfg(feature = "postgres")]
            DatabaseSystem::Postgres => Self::postgres(connecting(postgres::connect(url, Pooler::None)).await?).await,
            #[cfg(feature = "sqlite")]
            DatabaseSystem::Sqlite => Self::sqlite(connecting(sqlite::connect(url)).await?).await,
        }
    }

    /// Connects through a pooler in transaction mode, such as PgBouncer's, and applies migrations. Notifications need a
    /// connection that is not shared, so a second URL leads to the server itself, or to a pooler in session mode: one
    /// connection to it listens.
    ///
    /// Through the pooler, each operation is a transaction, and no prepared statement outlives it.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`connect`](Self::connect), and [`Configuration`](KeyErrorKind::Configuration) if a
    /// notification that is sent through the pooler does not arrive at the direct connection: `direct` leads to a pooler
    /// in transaction mode, or to another database.
    #[cfg(feature = "postgres")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
    pub async fn connect_through_pooler(pooler: &str, direct: &str) -> Result<Self, KeyError> {
        let pool = connecting(postgres::connect(pooler, Pooler::Transaction)).await?;
        let direct = direct.parse().map_err(write_error)?;
        Self::postgres_through_pooler(pool, direct).await
    }

    /// Uses an existing pool, and applies migrations. One connection outside the pool listens for changes.
    ///
    /// The `acquire_timeout` of the pool should be less than two seconds, the time-out of a look-up.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`connect`](Self::connect).
    #[cfg(feature = "postgres")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
    pub async fn postgres(pool: PgPool) -> Result<Self, KeyError> {
        let options = PgConnectOptions::clone(&pool.connect_options());
        Self::listening(PostgresPool { pool, pooler: Pooler::None }, options).await
    }

    /// Uses an existing pool of connections to a pooler in transaction mode; see
    /// [`connect_through_pooler`](Self::connect_through_pooler).
    ///
    /// PgBouncer refuses a parameter that sqlx sends by default: remove it with `extra_float_digits(None)` in the options of
    /// the pool.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`connect_through_pooler`](Self::connect_through_pooler).
    #[cfg(feature = "postgres")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
    pub async fn postgres_through_pooler(pool: PgPool, direct: PgConnectOptions) -> Result<Self, KeyError> {
        Self::listening(PostgresPool { pool, pooler: Pooler::Transaction }, direct).await
    }

    /// Listens before anything else is done, so that a pooler that is not supported is refused before it runs statements.
    #[cfg(feature = "postgres")]
    async fn listening(pool: PostgresPool, direct: PgConnectOptions) -> Result<Self, KeyError> {
        let watchers = Arc::default();
        let listener = connecting(Listener::start(&direct, &pool.pool, Arc::clone(&watchers))).await?;
        let (pooler, pool) = (pool.pooler, Pool::Postgres(pool));
        match pooler {
            Pooler::None => connecting(migrate(&pool, Schema::ApiKeys)).await?,
            Pooler::Transaction => connecting(postgres::migrate_directly(&direct)).await?,
        }
        Ok(Self(Arc::new(Inner { pool, watchers, _listener: Some(listener) })))
    }

    /// Uses an existing pool, and applies migrations. Durability and time limits are those of the pool.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`connect`](Self::connect).
    #[cfg(feature = "sqlite")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
    pub async fn sqlite(pool: SqlitePool) -> Result<Self, KeyError> {
        let pool = Pool::Sqlite(pool);
        connecting(migrate(&pool, Schema::ApiKeys)).await?;
        Ok(Self(Arc::new(Inner {
            pool,
            watchers: Arc::default(),
            #[cfg(feature = "postgres")]
            _listener: None,
        })))
    }

    /// Makes a change, and notifies the watchers unless it was certainly not made.
    ///
    /// The change runs in a task of its own, which is not aborted if the future is dropped, for two reasons. A transaction
    /// that is left halfway would block the only writer of SQLite until the pool rolls it back. And a revocation that was
    /// committed must also be reported.
    fn write<F, T>(&self, change: KeyChange, work: F) -> Eventual<Result<T, KeyError>>
    where
        F: Future<Output = Result<T, KeyError>> + Send + 'static,
        T: Send + 'static,
    {
        let watchers = Arc::clone(&self.0.watchers);
        let writing = async move {
            let result = timeout(WRITE_TIMEOUT, work).await.unwrap_or_else(|elapsed| Err(unavailable(elapsed).into()));
            let may_be_made = match &result {
                Ok(_) => true,
                // The connection may have been lost after the commit.
                Err(error) => error.kind() == KeyErrorKind::Unavailable,
            };
            if may_be_made {
                watchers.notify(&change);
            }
            result
        };
        // The database.
        Eventual::later(async move { tokio::spawn(writing).await.unwrap_or_else(|lost| Err(unavailable(lost).into())) })
    }
}

impl KeyStore for SqlKeyStore {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let (pool, digest) = (self.0.pool.clone(), digest.to_string());
        // The database.
        Eventual::later(operations::fetch(pool, statement::FIND, digest))
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let (pool, id) = (self.0.pool.clone(), id.to_string());
        // The database.
        Eventual::later(operations::fetch(pool, statement::GET, id))
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        let pool = self.0.pool.clone();
        self.write(KeyChange::Added, async move { operations::insert(&pool, &record).await })
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let (pool, id) = (self.0.pool.clone(), id.clone());
        self.write(KeyChange::Changed(id.clone()), async move { operations::revoke(&pool, &id, at).await })
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        let (pool, id) = (self.0.pool.clone(), id.clone());
        let change = KeyChange::Changed(id.clone());
        self.write(change, async move { operations::rotate(&pool, &id, successor, until).await })
    }

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        let pool = self.0.pool.clone();
        let change = match &addition.replaces {
            Some((id, _)) => KeyChange::Changed(id.clone()),
            None => KeyChange::Added,
        };
        self.write(change, async move { operations::append(&pool, addition).await })
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        let (pool, id, update) = (self.0.pool.clone(), id.clone(), update.clone());
        self.write(KeyChange::Changed(id.clone()), async move { operations::update(&pool, &id, &update).await })
    }

    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let (pool, id) = (self.0.pool.clone(), id.clone());
        self.write(KeyChange::Changed(id.clone()), async move { operations::purge(&pool, &id, at).await })
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        if selects_nothing(query) {
            return Eventual::Now(Ok(KeyPage::default()));
        }
        // The database.
        Eventual::later(operations::list(self.0.pool.clone(), query.clone()))
    }

    fn list_unrevoked(&self, query: &KeyQuery) -> Eventual<Result<UnrevokedKeys, Unavailable>> {
        if selects_nothing(query) {
            return Eventual::Now(Ok(UnrevokedKeys::default()));
        }
        // The database.
        Eventual::later(operations::list_unrevoked(self.0.pool.clone(), query.clone()))
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        if uses.is_empty() {
            return Eventual::Now(Ok(()));
        }
        let (pool, uses) = (self.0.pool.clone(), uses.to_vec());
        let writing = async move {
            let work = async { with_pool!(&pool, pool => pool.touch(&uses).await) };
            timeout(WRITE_TIMEOUT, work).await.map_err(unavailable)?.map_err(read_error)
        };
        // The database; in a task of its own, so that no transaction is left halfway (see `write`).
        Eventual::later(async move { tokio::spawn(writing).await.unwrap_or_else(|lost| Err(unavailable(lost))) })
    }

    fn watch(&self, watcher: KeyWatcher) {
        self.0.watchers.add(watcher);
    }
}

impl fmt::Debug for SqlKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlKeyStore").field("database", &self.0.pool.name()).finish_non_exhaustive()
    }
}

/// Returns whether a query names a text that no row contains.
fn selects_nothing(query: &KeyQuery) -> bool {
    query.owner.iter().chain(&query.tenant).any(|text| statement::has_nul(text))
}

async fn connecting<T>(step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, KeyError> {
    timeout(CONNECT_TIMEOUT, step).await.map_err(|elapsed| KeyError::from(unavailable(elapsed)))?.map_err(write_error)
}
