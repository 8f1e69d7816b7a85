use std::fmt;

use sqlx::{query, query_as};
use tower_warden::{Eventual, Unavailable};
use tower_warden_issuer::{EncryptedKeys, SigningKeyStore};

use super::{
    error::{IssuerStoreError, MalformedRecord},
    tasks::{reading, writing},
};
use crate::{
    pool::{Dialect as _, Pool, with_pool},
    statement::has_nul,
};

/// The signing keys of issuers, encrypted, in the table `tower_warden_signing_keys`: one row for each issuer.
///
/// A change is one `UPDATE` that compares the version, so of nodes that rotate at the same time one does.
///
/// # Examples
///
/// ```
/// use tower_warden_issuer::{EncryptionKey, EncryptionKeys, SigningKeys};
/// use tower_warden_sql::SqlIssuerStore;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # #[cfg(feature = "sqlite")] {
/// let store = SqlIssuerStore::connect("sqlite::memory:").await?;
/// let load = |text| {
///     let encryption = EncryptionKeys::new(EncryptionKey::parse("2026-11", text)?);
///     Ok::<_, tower_warden::ConfigError>(SigningKeys::stored("https://auth.example.com", store.signing_keys(), encryption))
/// };
/// // In production: `EncryptionKey::from_file("2026-11", "/run/secrets/signing-keys")`.
/// let keys = load("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")?.load().await?;
/// # let _ = keys;
///
/// let another = load("HxAREhMUFRYXGBkaGxwdHh8AAQIDBAUGBwgJCgsMDQ4=")?.load().await;
/// assert!(another.unwrap_err().to_string().contains("another key"));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqlSigningKeyStore(pub(super) Pool);

impl SigningKeyStore for SqlSigningKeyStore {
    fn load(&self, issuer: &str) -> Eventual<Result<Option<EncryptedKeys>, Unavailable>> {
        if has_nul(issuer) {
            return Eventual::Now(Ok(None));
        }
        let (pool, issuer) = (self.0.clone(), issuer.to_owned());
        // The database.
        Eventual::later(async move { Ok(reading(fetch(&pool, &issuer)).await?) })
    }

    fn replace(&self, issuer: &str, keys: EncryptedKeys) -> Eventual<Result<bool, Unavailable>> {
        let (pool, issuer) = (self.0.clone(), issuer.to_owned());
        // The database.
        Eventual::later(async move { Ok(writing(async move { replace(&pool, &issuer, &keys).await }).await?) })
    }
}

async fn fetch(pool: &Pool, issuer: &str) -> Result<Option<EncryptedKeys>, IssuerStoreError> {
    let row: Option<(i64, String)> = with_pool!(pool, pool => {
        let mut session = pool.session().await?;
        let select = query_as(LOAD).persistent(pool.keeps_statements()).bind(issuer);
        let row = select.fetch_optional(session.connection()).await?;
        session.finish().await?;
        row
    });
    let keys = row.map(|(version, document)| {
        let version = u64::try_from(version).map_err(|_| malformed(issuer))?;
        Ok(EncryptedKeys::new(version, document))
    });
    keys.transpose()
}

async fn replace(pool: &Pool, issuer: &str, keys: &EncryptedKeys) -> Result<bool, IssuerStoreError> {
    let version = i64::try_from(keys.version).map_err(|_| malformed(issuer))?;
    let statement = if version == 1 { INSERT } else { REPLACE };
    with_pool!(pool, pool => {
        let mut session = pool.session().await?;
        let replace = query(statement).persistent(pool.keeps_statements()).bind(issuer).bind(version).bind(&*keys.document);
        let replaced = replace.execute(session.connection()).await?.rows_affected();
        session.finish().await?;
        Ok(replaced == 1)
    })
}

fn malformed(issuer: &str) -> MalformedRecord {
    MalformedRecord { kind: "the signing keys of", id: issuer.to_owned() }
}

const INSERT: &str = "INSERT INTO tower_warden_signing_keys (issuer, version, document) VALUES ($1, $2, $3) \
     ON CONFLICT (issuer) DO NOTHING";
const LOAD: &str = "SELECT version, document FROM tower_warden_signing_keys WHERE issuer = $1";
const REPLACE: &str =
    "UPDATE tower_warden_signing_keys SET version = $2, document = $3 WHERE issuer = $1 AND version = $2 - 1";

impl fmt::Debug for SqlSigningKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlSigningKeyStore").field("database", &self.0.name()).finish_non_exhaustive()
    }
}
