//! The store.

use std::{fmt, sync::Arc, time::Duration};

#[cfg(feature = "postgres")]
use sqlx::PgPool;
#[cfg(feature = "sqlite")]
use sqlx::SqlitePool;
use sqlx::{query, query_scalar};

#[cfg(feature = "sqlite")]
use super::sqlite;
use super::{
    super::{
        digest::KeyDigest,
        error::{KeyError, KeyErrorKind},
        record::{KeyId, KeyRecord},
        store::{KeyPage, KeyQuery, KeyStore, KeyUse},
        watch::{KeyChange, KeyWatcher, Watchers},
    },
    failure::{misconfigured, unread, unwritten},
    migration::migrate,
    pool::{Dialect as _, Pool, on},
    row::{decode, seconds},
    statement,
};
#[cfg(feature = "postgres")]
use super::{listener::Listener, postgres};
use crate::{Eventual, error::Unavailable, time::UnixTime};

/// How long each step of connecting may take.
const CONNECTING: Duration = Duration::from_secs(5);

/// How long a change may take; longer than SQLite's writers wait for each other.
const WRITING: Duration = Duration::from_secs(10);

/// Keeps keys in SQLite or Postgres, in the table `tower_warden_api_keys`, which it makes and migrates itself.
///
/// The table may lie in the database of an application. Which migrations were applied is noted in
/// `tower_warden_schema`, not in sqlx's own ledger: sqlx refuses a ledger with migrations it does not know, so that the
/// application's migrations and these would refuse each other. A schema that a newer version has made is refused.
///
/// # Changes
///
/// From Postgres, every node hears of every change within milliseconds, also of one that was made by hand with SQL:
/// triggers tell of it, and one connection beside the pool listens. While that connection is lost, watchers are told
/// that changes may have been missed, and again when it is back. SQLite tells of nothing: what another process changes,
/// or a hand, counts when what is cached has ended.
///
/// A change that was begun is brought to its end, even if its future is dropped, but given up after ten seconds.
///
/// # Rows that are no records
///
/// A row that cannot be read, of whose scopes one is malformed for example, is an error that names the column and the
/// key: its key is answered with 503, as if the database were down.
#[derive(Clone)]
pub struct SqlKeyStore(Arc<Inner>);

struct Inner {
    pool: Pool,
    watchers: Arc<Watchers>,
    #[cfg(feature = "postgres")]
    _listener: Option<Listener>,
}

impl SqlKeyStore {
    /// Connects to `sqlite://path/to/keys.db`, `sqlite::memory:` or `postgres://user@host/database`, and applies
    /// migrations.
    ///
    /// SQLite's file is made if it is not there, and is in WAL mode with `synchronous` FULL. For Postgres, `sslmode` and
    /// the rest are read from the URL as sqlx does.
    ///
    /// # Errors
    ///
    /// [`Configuration`](KeyErrorKind::Configuration) if it is no such URL, if the cargo feature for the database is off, or if the
    /// schema is newer than this version; [`Unavailable`](KeyErrorKind::Unavailable) if the database does not answer
    /// in time.
    pub async fn connect(url: &str) -> Result<Self, KeyError> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => Self::postgres(in_time(CONNECTING, postgres::connect(url)).await?).await,
            #[cfg(not(feature = "postgres"))]
            Some("postgres" | "postgresql") => {
                Err(misconfigured("the cargo feature `postgres` of tower-warden is off"))
            }
            #[cfg(feature = "sqlite")]
            Some("sqlite") => Self::sqlite(in_time(CONNECTING, sqlite::connect(url)).await?).await,
            #[cfg(not(feature = "sqlite"))]
            Some("sqlite") => Err(misconfigured("the cargo feature `sqlite` of tower-warden is off")),
            _ => Err(misconfigured("a key store's URL begins with postgres: or sqlite:")),
        }
    }

    /// Takes a pool of one's own, and applies migrations. One connection beside the pool listens for changes.
    ///
    /// The pool's `acquire_timeout` should be less than the two seconds after which a look-up is given up.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    #[cfg(feature = "postgres")]
    pub async fn postgres(pool: PgPool) -> Result<Self, KeyError> {
        let options = pool.connect_options();
        let pool = Pool::Postgres(pool);
        in_time(CONNECTING, migrate(&pool)).await?;
        let watchers = Arc::default();
        let listener = in_time(CONNECTING, Listener::start(&options, Arc::clone(&watchers))).await?;
        Ok(Self(Arc::new(Inner { pool, watchers, _listener: Some(listener) })))
    }

    /// Takes a pool of one's own, and applies migrations. How durable and how patient the database is, is as the pool
    /// was set up.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    #[cfg(feature = "sqlite")]
    pub async fn sqlite(pool: SqlitePool) -> Result<Self, KeyError> {
        let pool = Pool::Sqlite(pool);
        in_time(CONNECTING, migrate(&pool)).await?;
        Ok(Self(Arc::new(Inner {
            pool,
            watchers: Arc::default(),
            #[cfg(feature = "postgres")]
            _listener: None,
        })))
    }

    /// Makes a change, and tells of it unless it was surely not made.
    ///
    /// In a task of its own: SQLite's only writer must not be kept by a transaction that was left half-way, and whoever
    /// gave a revocation up must not find it half told.
    fn write<F>(&self, change: KeyChange, work: F) -> Eventual<Result<(), KeyError>>
    where
        F: Future<Output = Result<(), KeyError>> + Send + 'static,
    {
        let watchers = Arc::clone(&self.0.watchers);
        let writing = async move {
            let done = tokio::time::timeout(WRITING, work).await.unwrap_or_else(|late| Err(unanswered(late)));
            if done.as_ref().map_or_else(|error| error.kind() == KeyErrorKind::Unavailable, |()| true) {
                watchers.notify(&change);
            }
            done
        };
        // The database.
        Eventual::later(async move { tokio::spawn(writing).await.unwrap_or_else(|lost| Err(unanswered(lost))) })
    }
}

impl KeyStore for SqlKeyStore {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let (pool, digest) = (self.0.pool.clone(), digest.to_string());
        // The database.
        Eventual::later(one(pool, statement::FIND, digest))
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let (pool, id) = (self.0.pool.clone(), id.to_string());
        // The database.
        Eventual::later(one(pool, statement::GET, id))
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        let pool = self.0.pool.clone();
        self.write(KeyChange::Added, async move {
            on!(&pool, pool => statement::insert(&record)?.execute(pool).await.map(drop)).map_err(unwritten)
        })
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let (pool, id) = (self.0.pool.clone(), id.clone());
        self.write(KeyChange::Changed(id.clone()), async move {
            let revoked = on!(&pool, pool => {
                let revoke = query(statement::REVOKE).bind(id.as_str()).bind(seconds(at));
                revoke.execute(pool).await.map(|done| done.rows_affected())
            });
            match revoked.map_err(unwritten)? {
                0 => Err(KeyError::new(KeyErrorKind::NotFound)),
                _ => Ok(()),
            }
        })
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        let (pool, id) = (self.0.pool.clone(), id.clone());
        self.write(KeyChange::Changed(id.clone()), async move { rotate(&pool, &id, &successor, until).await })
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        if query.owner.iter().chain(&query.tenant).any(|text| statement::has_nul(text)) {
            return Eventual::Now(Ok(KeyPage::default()));
        }
        let (pool, query) = (self.0.pool.clone(), query.clone());
        // The database.
        Eventual::later(async move {
            let keys: Result<Vec<_>, _> = on!(&pool, pool => {
                let rows = statement::list(&query).fetch_all(pool).await.map_err(unread)?;
                rows.iter().map(decode).collect()
            });
            Ok(KeyPage::cut(keys?, &query))
        })
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        if uses.is_empty() {
            return Eventual::Now(Ok(()));
        }
        let (pool, uses) = (self.0.pool.clone(), uses.to_vec());
        let touching = async move {
            let touched = tokio::time::timeout(WRITING, async { on!(&pool, pool => pool.touch(&uses).await) }).await;
            touched.map_err(|late| Unavailable::new("the key store").because(late))?.map_err(unread)
        };
        // The database; in a task of its own for the reason that `write` has one.
        Eventual::later(async move {
            let lost = |lost| Err(Unavailable::new("the key store").because(lost));
            tokio::spawn(touching).await.unwrap_or_else(lost)
        })
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

async fn one(pool: Pool, statement: &'static str, by: String) -> Result<Option<Arc<KeyRecord>>, Unavailable> {
    on!(&pool, pool => {
        let row = query(statement).bind(by).fetch_optional(pool).await.map_err(unread)?;
        Ok(row.as_ref().map(decode).transpose()?)
    })
}

async fn rotate(pool: &Pool, id: &KeyId, successor: &KeyRecord, until: UnixTime) -> Result<(), KeyError> {
    on!(pool, pool => {
        let mut transaction = pool.begin_write().await.map_err(unwritten)?;
        let replace = query(statement::REPLACE).bind(id.as_str()).bind(successor.id.as_str()).bind(seconds(until));
        if replace.execute(&mut *transaction).await.map_err(unwritten)?.rows_affected() == 0 {
            let count = query_scalar::<_, i64>(statement::EXISTS).bind(id.as_str());
            let kind = match count.fetch_one(&mut *transaction).await.map_err(unwritten)? {
                0 => KeyErrorKind::NotFound,
                _ => KeyErrorKind::Inactive,
            };
            return Err(KeyError::new(kind));
        }
        statement::insert(successor)?.execute(&mut *transaction).await.map_err(unwritten)?;
        transaction.commit().await.map_err(unwritten)
    })
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, KeyError> {
    tokio::time::timeout(limit, work).await.map_err(unanswered)?.map_err(unwritten)
}

fn unanswered(cause: impl std::error::Error + Send + Sync + 'static) -> KeyError {
    Unavailable::new("the key store").because(cause).into()
}
