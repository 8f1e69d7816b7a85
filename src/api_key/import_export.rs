//! Key records as JSON lines.

use serde::Serialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    change::{Change, PendingChange},
    digest::KeyDigest,
    error::{KeyError, KeyErrorKind},
    keys::ApiKeys,
    query::KeyQuery,
    record::KeyRecord,
    store::KeyStore,
};
use crate::error::{ConfigError, ConfigErrorKind};

/// The maximum length of a line, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// A record with its digest.
#[derive(Serialize)]
struct Line<'a> {
    digest: &'a KeyDigest,
    #[serde(flatten)]
    record: &'a KeyRecord,
}

/// The numbers of records that [`import`] or [`ApiKeys::import`] has read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ImportSummary {
    /// Records that were added to the store.
    pub added: u64,
    /// Records that were skipped because their id or their digest exists already.
    pub skipped: u64,
}

/// Writes all records of a store as JSON lines, with their digests, and returns their number.
///
/// # Errors
///
/// If the store does not answer, or the output fails.
pub async fn export(store: &dyn KeyStore, out: &mut (impl AsyncWrite + Unpin)) -> Result<u64, KeyError> {
    let (mut query, mut count) = (KeyQuery::default(), 0);
    loop {
        let page = store.list(&query).wait().await?;
        for record in &page.keys {
            let mut line = serde_json::to_vec(&Line { digest: &record.digest, record }).map_err(failed)?;
            line.push(b'\n');
            out.write_all(&line).await.map_err(failed)?;
            count += 1;
        }
        match page.next {
            Some(next) => query = query.after(next),
            None => break,
        }
    }
    out.flush().await.map_err(failed)?;
    Ok(count)
}

/// Adds records that [`export`] or another system wrote. Each line is a JSON object with `id`, `digest`, `owner` and
/// `created_at`, and optionally the other members of a [`KeyRecord`].
///
/// Records that exist already are skipped, so that an import can be repeated. [`ApiKeys::import`](super::ApiKeys::import)
/// also notifies the observer of each added key.
///
/// # Errors
///
/// [`Invalid`](KeyErrorKind::Invalid), with the number of the line, at the first line that is not a record; the lines
/// before it were added. [`Unavailable`](KeyErrorKind::Unavailable) if the store does not answer.
///
/// # Examples
///
/// ```
/// use tower_warden::api_key::{KeyDigest, KeyStore, MemoryKeyStore, import};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let lines = r#"
/// {"id": "old-1", "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "owner": "carol", "created_at": 1700000000}
/// "#;
/// let store = MemoryKeyStore::default();
/// assert_eq!(import(&store, &mut lines.as_bytes()).await?.added, 1);
/// assert!(store.find(&KeyDigest::sha256("abc")).wait().await?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn import(store: &dyn KeyStore, input: &mut (impl AsyncBufRead + Unpin)) -> Result<ImportSummary, KeyError> {
    let (mut summary, mut lines) = (ImportSummary::default(), Lines::default());
    while let Some(record) = lines.next(input).await? {
        summary.count(store.insert(record).wait().await)?;
    }
    Ok(summary)
}

impl ApiKeys {
    /// Adds records as [`import`] does, and notifies the observer of each added key. The observer of keys is that of
    /// [`ApiKeysBuilder::environment`](super::ApiKeysBuilder::environment).
    ///
    /// # Errors
    ///
    /// Those of [`import`], and [`Invalid`](KeyErrorKind::Invalid) at the first record that has another tenant than
    /// [`ApiKeysBuilder::tenant`](super::ApiKeysBuilder::tenant).
    pub async fn import(&self, input: &mut (impl AsyncBufRead + Unpin)) -> Result<ImportSummary, KeyError> {
        let (mut summary, mut lines) = (ImportSummary::default(), Lines::default());
        while let Some(record) = lines.next(input).await? {
            if !self.0.is_of_tenant(&record) {
                let message = "the key has another tenant than the one that `ApiKeysBuilder::tenant` was set to";
                return Err(InvalidLine(lines.number, ConfigError::new(ConfigErrorKind::Key, message)).into());
            }
            let mut change = PendingChange::new(self, Change::Imported, &record.id, Some(&record));
            summary.count(change.made(self.0.store.insert(record.clone())).await)?;
        }
        Ok(summary)
    }
}

impl ImportSummary {
    fn count(&mut self, inserted: Result<(), KeyError>) -> Result<(), KeyError> {
        match inserted {
            Ok(()) => self.added += 1,
            Err(error) if error.kind() == KeyErrorKind::Conflict => self.skipped += 1,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The lines of an import.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    /// The number of the last line that was read.
    number: u64,
}

impl Lines {
    /// Reads the next record; `None` at the end of the input.
    async fn next(&mut self, input: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<KeyRecord>, KeyError> {
        loop {
            self.line.clear();
            self.number += 1;
            let mut input = AsyncReadExt::take(&mut *input, MAX_LINE);
            if input.read_until(b'\n', &mut self.line).await.map_err(failed)? == 0 {
                return Ok(None);
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(parse(&self.line).map_err(|error| InvalidLine(self.number, error))?));
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<KeyRecord, ConfigError> {
    // The error of the parser is dropped: it may quote a digest, or a key in its place.
    let message = "a key record is a JSON object with `id`, `digest`, `owner` and `created_at`";
    let record: KeyRecord =
        serde_json::from_slice(line).map_err(|_| ConfigError::new(ConfigErrorKind::Key, message))?;
    record.check()?;
    Ok(record)
}

/// A line that is not a valid record.
#[derive(Debug, thiserror::Error)]
#[error("line {0}: {1}")]
struct InvalidLine(u64, ConfigError);

impl From<InvalidLine> for KeyError {
    fn from(line: InvalidLine) -> Self {
        Self::new(KeyErrorKind::Invalid).because(line)
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> KeyError {
    KeyError::new(KeyErrorKind::Unavailable).because(error)
}
