use std::{fmt, num::NonZeroU16, sync::Arc};

use sqlx::{query, query_as};
use tower_warden::{ConfigError, Eventual, Unavailable, UnixTime, api_key::KeyDigest};
use tower_warden_issuer::{Client, ClientRecord, ClientStore};

use super::{
    error::{IssuerStoreError, IssuerStoreErrorKind, MalformedClient, MalformedRecord},
    tasks::{reading, writing},
};
use crate::{
    pool::{Dialect as _, Pool, with_pool},
    row::seconds,
    statement::has_nul,
};

/// The clients of an issuer, in the table `tower_warden_clients`.
///
/// The issuer reads its client for each request, so a change applies to the next one on every node.
///
/// # Examples
///
/// ```
/// use tower_warden::{UnixTime, api_key::KeyDigest};
/// use tower_warden_issuer::{Client, ClientAuthentication, ClientSecrets, ClientStore, GrantType};
/// use tower_warden_sql::SqlIssuerStore;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # #[cfg(feature = "sqlite")] {
/// let clients = SqlIssuerStore::connect("sqlite::memory:").await?.clients();
/// let secrets = ClientSecrets::new(KeyDigest::sha256("a secret that a generator has made"));
/// let client = Client::new("agent-7", "https://orders.example.com")?;
/// clients.insert(&client.authentication(ClientAuthentication::SecretBasic(secrets))).await?;
///
/// // The old secret is accepted for another day.
/// let (now, tomorrow) = (UnixTime::from_secs(1_800_000_000), UnixTime::from_secs(1_800_086_400));
/// clients.rotate_secret("agent-7", &KeyDigest::sha256("another one"), tomorrow).await?;
/// clients.update("agent-7", |client| client.scopes("orders:read")).await?;
///
/// // The issuer refuses it from now on. The id stays taken.
/// clients.suspend("agent-7", now).await?;
/// assert!(clients.find("agent-7").wait().await?.is_some_and(|client| !client.may_use(GrantType::ClientCredentials)));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqlClientStore(pub(super) Pool);

/// A client, and whether it is suspended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RegisteredClient {
    /// The client.
    pub client: Client,
    /// The time from which on it is refused; `None` if it may authenticate.
    pub suspended_at: Option<UnixTime>,
}

impl SqlClientStore {
    /// Adds a client.
    ///
    /// # Errors
    ///
    /// Returns [`Conflict`](IssuerStoreErrorKind::Conflict) if there is one with this id, and
    /// [`Invalid`](IssuerStoreErrorKind::Invalid) if its keys are those of a custom source.
    pub async fn insert(&self, client: &Client) -> Result<(), IssuerStoreError> {
        let (pool, id, record) = (self.0.clone(), client.id().to_owned(), encode(client)?);
        writing(async move {
            with_pool!(&pool, pool => {
                let mut session = pool.session().await?;
                let insert = query(INSERT).persistent(pool.keeps_statements()).bind(id).bind(record);
                insert.execute(session.connection()).await?;
                Ok(session.finish().await?)
            })
        })
        .await
    }

    /// Finds a client, also one that is suspended.
    ///
    /// # Errors
    ///
    /// If the database does not answer, or the record is malformed.
    pub async fn get(&self, id: &str) -> Result<Option<RegisteredClient>, IssuerStoreError> {
        if has_nul(id) {
            return Ok(None);
        }
        let row = reading(fetch(&self.0, id)).await?;
        Ok(row.map(|(record, suspended_at, _)| decode(id, &record, suspended_at)).transpose()?)
    }

    /// Returns the clients in the order of their ids, from the one after `after` on. A client whose record is malformed
    /// is an error in its place.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn list(
        &self,
        after: Option<&str>,
        limit: NonZeroU16,
    ) -> Result<Vec<Result<RegisteredClient, MalformedClient>>, IssuerStoreError> {
        let after = after.filter(|after| !has_nul(after)).unwrap_or_default();
        let rows: Vec<(String, String, Option<i64>)> = reading(async {
            with_pool!(&self.0, pool => {
                let mut session = pool.session().await?;
                let select = query_as(LIST).persistent(pool.keeps_statements()).bind(after).bind(i64::from(limit.get()));
                let rows = select.fetch_all(session.connection()).await?;
                session.finish().await?;
                Ok(rows)
            })
        })
        .await?;
        let read = rows.into_iter().map(|(id, record, suspended_at)| {
            decode(&id, &record, suspended_at).map_err(|_| MalformedClient { id: id.into() })
        });
        Ok(read.collect())
    }

    /// Changes a client. Whether it is suspended stays as it is.
    ///
    /// # Errors
    ///
    /// Returns [`Conflict`](IssuerStoreErrorKind::Conflict) if it was changed in the meantime: repeat the call;
    /// [`Invalid`](IssuerStoreErrorKind::Invalid) if the change fails, or yields a client with another id.
    pub async fn update(
        &self,
        id: &str,
        change: impl FnOnce(Client) -> Result<Client, ConfigError> + Send,
    ) -> Result<(), IssuerStoreError> {
        let found = if has_nul(id) { None } else { reading(fetch(&self.0, id)).await? };
        let (record, suspended_at, version) = found.ok_or(IssuerStoreError::new(IssuerStoreErrorKind::NotFound))?;
        let changed = change(decode(id, &record, suspended_at)?.client).map_err(invalid)?;
        if changed.id() != id {
            return Err(IssuerStoreError::new(IssuerStoreErrorKind::Invalid));
        }
        let (pool, id, record) = (self.0.clone(), id.to_owned(), encode(&changed)?);
        writing(async move {
            let changed = with_pool!(&pool, pool => {
                let mut session = pool.session().await?;
                let update = query(UPDATE).persistent(pool.keeps_statements()).bind(id).bind(version).bind(record);
                let changed = update.execute(session.connection()).await?.rows_affected();
                session.finish().await?;
                changed
            });
            if changed == 0 { Err(IssuerStoreError::new(IssuerStoreErrorKind::Conflict)) } else { Ok(()) }
        })
        .await
    }

    /// Replaces the secret of a client: see [`Client::rotate_secret`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`update`](Self::update).
    pub async fn rotate_secret(&self, id: &str, digest: &KeyDigest, until: UnixTime) -> Result<(), IssuerStoreError> {
        self.update(id, |client| Ok(client.rotate_secret(digest, until))).await
    }

    /// Refuses a client from now on, at every endpoint. Its access tokens are valid until they expire, unless they are
    /// revoked; its refresh tokens can be used again when it is [resumed](Self::resume).
    ///
    /// # Errors
    ///
    /// Returns [`NotFound`](IssuerStoreErrorKind::NotFound) if it does not exist.
    pub async fn suspend(&self, id: &str, now: UnixTime) -> Result<(), IssuerStoreError> {
        self.execute(SUSPEND, id, Some(now)).await
    }

    /// Accepts a client again that was suspended.
    ///
    /// # Errors
    ///
    /// Returns [`NotFound`](IssuerStoreErrorKind::NotFound) if it does not exist.
    pub async fn resume(&self, id: &str) -> Result<(), IssuerStoreError> {
        self.execute(RESUME, id, None).await
    }

    /// Removes a client for good, and revokes its refresh tokens: they are not those of a later client with this id.
    /// Its access tokens are valid until they expire, unless they are revoked.
    ///
    /// # Errors
    ///
    /// Returns [`NotFound`](IssuerStoreErrorKind::NotFound) if it does not exist.
    pub async fn remove(&self, id: &str) -> Result<(), IssuerStoreError> {
        let not_found = IssuerStoreError::new(IssuerStoreErrorKind::NotFound);
        if has_nul(id) {
            return Err(not_found);
        }
        let (pool, id) = (self.0.clone(), id.to_owned());
        let removed = writing(async move {
            with_pool!(&pool, pool => {
                let mut transaction = pool.begin_write().await?;
                let remove = query(REMOVE).persistent(pool.keeps_statements()).bind(&*id);
                let removed = remove.execute(&mut *transaction).await?.rows_affected();
                let revoke = query(REVOKE_FAMILIES).persistent(pool.keeps_statements()).bind(&*id);
                revoke.execute(&mut *transaction).await?;
                transaction.commit().await?;
                Ok(removed)
            })
        });
        if removed.await? == 0 { Err(not_found) } else { Ok(()) }
    }

    async fn execute(&self, statement: &'static str, id: &str, now: Option<UnixTime>) -> Result<(), IssuerStoreError> {
        let not_found = IssuerStoreError::new(IssuerStoreErrorKind::NotFound);
        if has_nul(id) {
            return Err(not_found);
        }
        let (pool, id) = (self.0.clone(), id.to_owned());
        let changed = writing(async move {
            with_pool!(&pool, pool => {
                let mut session = pool.session().await?;
                let query = query(statement).persistent(pool.keeps_statements()).bind(id);
                let query = now.into_iter().fold(query, |query, now| query.bind(seconds(now)));
                let changed = query.execute(session.connection()).await?.rows_affected();
                session.finish().await?;
                Ok(changed)
            })
        });
        if changed.await? == 0 { Err(not_found) } else { Ok(()) }
    }
}

impl ClientStore for SqlClientStore {
    fn find(&self, id: &str) -> Eventual<Result<Option<Arc<Client>>, Unavailable>> {
        let (store, id) = (self.clone(), id.to_owned());
        // The database.
        Eventual::later(async move {
            let found = store.get(&id).await?;
            // Its id stays taken.
            let client = |found: RegisteredClient| match found.suspended_at {
                Some(_) => found.client.suspended(),
                None => found.client,
            };
            Ok(found.map(client).map(Arc::new))
        })
    }
}

type Row = (String, Option<i64>, i64);

async fn fetch(pool: &Pool, id: &str) -> Result<Option<Row>, IssuerStoreError> {
    with_pool!(pool, pool => {
        let mut session = pool.session().await?;
        let row = query_as(FIND).persistent(pool.keeps_statements()).bind(id).fetch_optional(session.connection()).await?;
        session.finish().await?;
        Ok(row)
    })
}

fn encode(client: &Client) -> Result<String, IssuerStoreError> {
    let record = ClientRecord::try_from(client).map_err(invalid)?;
    serde_json::to_string(&record).map_err(|_| IssuerStoreError::new(IssuerStoreErrorKind::Invalid))
}

fn decode(id: &str, record: &str, suspended_at: Option<i64>) -> Result<RegisteredClient, MalformedRecord> {
    // The cause may quote the record.
    let record = serde_json::from_str(record).ok().filter(|record: &ClientRecord| record.id() == id);
    let client = record.and_then(|record| Client::try_from(record).ok());
    let client = client.ok_or_else(|| MalformedRecord { kind: "client", id: id.to_owned() })?;
    // Whatever else is in the column, the client is suspended.
    let suspended_at = suspended_at.map(|at| UnixTime::from_secs(u64::try_from(at).unwrap_or_default()));
    Ok(RegisteredClient { client, suspended_at })
}

fn invalid(error: ConfigError) -> IssuerStoreError {
    IssuerStoreError::new(IssuerStoreErrorKind::Invalid).because(error)
}

const FIND: &str = "SELECT record, suspended_at, version FROM tower_warden_clients WHERE id = $1";
const INSERT: &str = "INSERT INTO tower_warden_clients (id, version, record) VALUES ($1, 1, $2)";
const LIST: &str = "SELECT id, record, suspended_at FROM tower_warden_clients WHERE id > $1 ORDER BY id LIMIT $2";
const REMOVE: &str = "DELETE FROM tower_warden_clients WHERE id = $1";
const REVOKE_FAMILIES: &str = "UPDATE tower_warden_refresh_families SET revoked = 1 WHERE client_id = $1";
const RESUME: &str = "UPDATE tower_warden_clients SET suspended_at = NULL WHERE id = $1";
const SUSPEND: &str = "UPDATE tower_warden_clients SET suspended_at = COALESCE(suspended_at, $2) WHERE id = $1";
const UPDATE: &str =
    "UPDATE tower_warden_clients SET version = version + 1, record = $3 WHERE id = $1 AND version = $2";

impl fmt::Debug for SqlClientStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlClientStore").field("database", &self.0.name()).finish_non_exhaustive()
    }
}
