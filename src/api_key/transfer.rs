//! Records as JSON lines.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

use serde::Serialize;

use super::{
    digest::KeyDigest,
    error::{KeyError, KeyErrorKind},
    record::KeyRecord,
    store::{KeyQuery, KeyStore},
};

/// The longest line that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

/// A record with its digest.
#[derive(Serialize)]
struct Line<'a> {
    digest: &'a KeyDigest,
    #[serde(flatten)]
    record: &'a KeyRecord,
}

/// How many records were read by [`import`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ImportSummary {
    /// Added to the store.
    pub added: u64,
    /// Passed over, because their id or their digest was there.
    pub skipped: u64,
}

/// Writes every record of the store, one JSON object on a line, with its digest and never a secret; returns how many.
///
/// # Errors
///
/// If the store does not answer, or what is written to fails.
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

/// Adds the records that [`export`] wrote, or another system: each line a JSON object with `id`, `digest`, `owner` and
/// `created_at`, and what else is known of the key.
///
/// Records that are there already are passed over, so that an import can be done again.
///
/// # Errors
///
/// [`Invalid`](KeyErrorKind::Invalid), with the number of the line, at the first one that is no record: those before it
/// were added. [`Unavailable`](KeyErrorKind::Unavailable) if the store does not answer.
pub async fn import(store: &dyn KeyStore, input: &mut (impl AsyncBufRead + Unpin)) -> Result<ImportSummary, KeyError> {
    let (mut imported, mut line, mut number) = (ImportSummary::default(), Vec::new(), 0_u64);
    loop {
        line.clear();
        number += 1;
        let mut input = tokio::io::AsyncReadExt::take(&mut *input, LONGEST);
        if input.read_until(b'\n', &mut line).await.map_err(failed)? == 0 {
            return Ok(imported);
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record: KeyRecord = serde_json::from_slice(&line).map_err(|_| BadLine(number, "no record of a key"))?;
        record.check().map_err(|why| BadLine(number, why))?;
        match store.insert(record).wait().await {
            Ok(()) => imported.added += 1,
            Err(error) if error.kind() == KeyErrorKind::Conflict => imported.skipped += 1,
            Err(error) => return Err(error),
        }
    }
}

/// The parser's own words may hold a digest.
#[derive(Debug, thiserror::Error)]
#[error("line {0}: {1}")]
struct BadLine(u64, &'static str);

impl From<BadLine> for KeyError {
    fn from(line: BadLine) -> Self {
        Self::new(KeyErrorKind::Invalid).because(line)
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> KeyError {
    KeyError::new(KeyErrorKind::Unavailable).because(error)
}
