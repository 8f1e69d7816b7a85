use std::{fmt, time::Duration};

use sqlx::{query, query_as};
use tower_warden::{Eventual, Unavailable, UnixTime};
use tower_warden_issuer::{FamilyStatus, RefreshFamily, RefreshStore, Rotation, RotationOutcome};

use super::{
    error::{IssuerStoreError, IssuerStoreErrorKind, MalformedRecord},
    tasks::{reading, writing},
};
use crate::{
    pool::{Dialect as _, Pool, with_pool},
    row::seconds,
    statement::has_nul,
};

/// Families of refresh tokens, in the table `tower_warden_refresh_families`.
///
/// A rotation is one transaction, and its `UPDATE` compares what it replaces: of concurrent uses of a token, on whatever node,
/// one rotates it. A process that ends before the commit has changed nothing, and the token is still valid; if it ends after
/// it, the client repeats its request within the grace period and gets the same successor, or the family is revoked.
///
/// Families that have expired are removed when new ones are begun, up to 100 at a time, five minutes later than they
/// have expired, because the clocks of nodes differ. All families of a subject are revoked by `UPDATE
/// tower_warden_refresh_families SET revoked = 1 WHERE subject = …`; their access tokens are valid until they expire,
/// unless the list of revocations has the subject.
///
/// The number of families of a client is not limited, other than in a `MemoryRefreshStore`: limit how often one may log in.
///
/// # Examples
///
/// ```
/// use tower_warden::{UnixTime, revocation::MemoryRevocationList};
/// use tower_warden_issuer::{RefreshStore, RefreshTokens};
/// use tower_warden_sql::SqlIssuerStore;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # #[cfg(feature = "sqlite")] {
/// let store = SqlIssuerStore::connect("sqlite::memory:").await?.refresh_tokens();
/// let settings = RefreshTokens::new(store.clone(), MemoryRevocationList::default());
/// # let _ = settings;
/// assert!(store.find("unknown").wait().await?.is_none());
/// assert_eq!(store.remove_expired(UnixTime::from_secs(1_800_000_000)).await?, 0);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqlRefreshStore(pub(super) Pool);

impl SqlRefreshStore {
    /// Removes all families that have expired, in batches of 1000, and returns their number.
    ///
    /// # Errors
    ///
    /// If the database does not answer. What was removed until then stays removed.
    pub async fn remove_expired(&self, now: UnixTime) -> Result<u64, IssuerStoreError> {
        const BATCH: i64 = 1000;
        let mut sum = 0;
        loop {
            let pool = self.0.clone();
            let removed = writing(async move { remove(&pool, now, BATCH).await }).await?;
            sum += removed;
            if removed < BATCH.unsigned_abs() {
                return Ok(sum);
            }
        }
    }
}

impl RefreshStore for SqlRefreshStore {
    fn begin(&self, family: RefreshFamily, now: UnixTime) -> Eventual<Result<(), Unavailable>> {
        let pool = self.0.clone();
        // The database.
        Eventual::later(async move { Ok(writing(async move { insert(&pool, &family, now).await }).await?) })
    }

    fn find(&self, family_id: &str) -> Eventual<Result<Option<RefreshFamily>, Unavailable>> {
        if has_nul(family_id) {
            return Eventual::Now(Ok(None));
        }
        let (pool, id) = (self.0.clone(), family_id.to_owned());
        // The database.
        Eventual::later(async move { Ok(reading(fetch(&pool, &id)).await?) })
    }

    fn revoke(&self, family_id: &str) -> Eventual<Result<(), Unavailable>> {
        if has_nul(family_id) {
            return Eventual::Now(Ok(()));
        }
        let (pool, id) = (self.0.clone(), family_id.to_owned());
        // The database.
        Eventual::later(async move { Ok(writing(async move { revoke(&pool, &id).await }).await?) })
    }

    fn rotate(&self, rotation: Rotation) -> Eventual<Result<RotationOutcome, Unavailable>> {
        let pool = self.0.clone();
        // The database.
        Eventual::later(async move { Ok(writing(async move { rotate(&pool, &rotation).await }).await?) })
    }
}

async fn insert(pool: &Pool, family: &RefreshFamily, now: UnixTime) -> Result<(), IssuerStoreError> {
    if has_nul(&family.client_id) || has_nul(&family.subject) {
        let message = "a client or subject in SQL contains no NUL character";
        return Err(IssuerStoreError::new(IssuerStoreErrorKind::Invalid).because(message));
    }
    let record = encode(family)?;
    with_pool!(pool, pool => {
        let mut session = pool.session().await?;
        let insert = query(INSERT).persistent(pool.keeps_statements());
        let insert = insert.bind(&*family.id).bind(&*family.client_id).bind(&*family.subject);
        let insert = insert.bind(number(family.generation)?).bind(seconds(family.idle_until));
        let insert = insert.bind(i64::from(family.status != FamilyStatus::Active)).bind(record);
        insert.execute(session.connection()).await?;
        session.finish().await?;
    });
    // The family is stored. What could not be removed is removed with a later one.
    if let Err(error) = remove(pool, now, 100).await {
        tracing::debug!(%error, "expired families of refresh tokens were not removed");
    }
    Ok(())
}

async fn fetch(pool: &Pool, id: &str) -> Result<Option<RefreshFamily>, IssuerStoreError> {
    let row: Option<Row> = with_pool!(pool, pool => {
        let mut session = pool.session().await?;
        let row = query_as(FIND).persistent(pool.keeps_statements()).bind(id).fetch_optional(session.connection()).await?;
        session.finish().await?;
        row
    });
    row.map(|row| decode(id, &row)).transpose()
}

async fn revoke(pool: &Pool, id: &str) -> Result<(), IssuerStoreError> {
    with_pool!(pool, pool => {
        // With the isolation that it sets: by a stricter one of the server, it would fail after a concurrent rotation.
        let mut transaction = pool.begin_write().await?;
        let revoke = query(REVOKE).persistent(pool.keeps_statements()).bind(id);
        revoke.execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    })
}

/// Replaces the token of a family, if nobody else has.
///
/// The `UPDATE` waits for that of a concurrent rotation, and then changes nothing, because the number is another one. What is
/// read after it is what the other rotation has stored.
async fn rotate(pool: &Pool, rotation: &Rotation) -> Result<RotationOutcome, IssuerStoreError> {
    let id = &*rotation.family_id;
    with_pool!(pool, pool => {
        let find = || query_as::<_, Row>(FIND).persistent(pool.keeps_statements()).bind(id);
        let mut transaction = pool.begin_write().await?;
        let found: Option<Row> = find().fetch_optional(&mut *transaction).await?;
        let found = found.map(|row| decode(id, &row)).transpose()?;
        let outcome = match found.map(|family| (rotation.apply(&family), family)) {
            None => RotationOutcome::Missing,
            Some((None, family)) => RotationOutcome::Lost(Box::new(family)),
            Some((Some(rotated), _)) => {
                let update = query(ROTATE).persistent(pool.keeps_statements()).bind(id).bind(number(rotation.from)?);
                let update = update.bind(number(rotated.generation)?).bind(seconds(rotated.idle_until));
                match update.bind(encode(&rotated)?).execute(&mut *transaction).await?.rows_affected() {
                    0 => match find().fetch_optional(&mut *transaction).await? {
                        Some(row) => RotationOutcome::Lost(Box::new(decode(id, &row)?)),
                        None => RotationOutcome::Missing,
                    },
                    _ => RotationOutcome::Rotated,
                }
            }
        };
        transaction.commit().await?;
        Ok(outcome)
    })
}

/// Removes families that have expired, and returns their number.
async fn remove(pool: &Pool, now: UnixTime, limit: i64) -> Result<u64, IssuerStoreError> {
    let before = seconds(now).saturating_sub(i64::try_from(CLOCK_DIFFERENCE.as_secs()).unwrap_or_default());
    with_pool!(pool, pool => {
        let mut session = pool.session().await?;
        let remove = query(pool.remove_families()).persistent(pool.keeps_statements()).bind(before).bind(limit);
        let removed = remove.execute(session.connection()).await?.rows_affected();
        session.finish().await?;
        Ok(removed)
    })
}

/// Record, generation, revoked.
type Row = (String, i64, i64);

fn encode(family: &RefreshFamily) -> Result<String, IssuerStoreError> {
    serde_json::to_string(family).map_err(|_| IssuerStoreError::new(IssuerStoreErrorKind::Invalid))
}

fn decode(id: &str, (record, generation, revoked): &Row) -> Result<RefreshFamily, IssuerStoreError> {
    // The cause may quote the record.
    let family = serde_json::from_str(record).ok();
    let family = family
        .filter(|family: &RefreshFamily| *family.id == *id && i64::try_from(family.generation) == Ok(*generation));
    let mut family = family.ok_or_else(|| MalformedRecord { kind: "family", id: id.to_owned() })?;
    if *revoked != 0 {
        family.status = FamilyStatus::Revoked;
    }
    Ok(family)
}

fn number(number: u64) -> Result<i64, IssuerStoreError> {
    i64::try_from(number).map_err(|_| IssuerStoreError::new(IssuerStoreErrorKind::Invalid))
}

/// The longest difference of the clocks of two nodes for which no family is removed early.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(300);

const FIND: &str = "SELECT record, generation, revoked FROM tower_warden_refresh_families WHERE id = $1";
const INSERT: &str = "INSERT INTO tower_warden_refresh_families \
     (id, client_id, subject, generation, idle_until, revoked, record) VALUES ($1, $2, $3, $4, $5, $6, $7)";
const REVOKE: &str = "UPDATE tower_warden_refresh_families SET revoked = 1 WHERE id = $1";
const ROTATE: &str = "UPDATE tower_warden_refresh_families SET generation = $3, idle_until = $4, record = $5 \
     WHERE id = $1 AND generation = $2 AND revoked = 0";

impl fmt::Debug for SqlRefreshStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlRefreshStore").field("database", &self.0.name()).finish_non_exhaustive()
    }
}
