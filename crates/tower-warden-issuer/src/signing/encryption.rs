use std::{fmt, fs, path::Path, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use tower_warden::{ConfigError, Unavailable};
use zeroize::Zeroizing;

use super::{key::encode, store::EncryptedKeys};

/// A key that encrypts the signing keys in a store: 256 bits for AES-GCM, and an id.
///
/// # Examples
///
/// A file has what `openssl rand -base64 32` prints. A value of a `SecretSource` of `tower-warden-client` is parsed.
///
/// ```
/// use tower_warden_issuer::EncryptionKey;
///
/// let key = EncryptionKey::parse("2026-11", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")?;
/// assert_eq!(format!("{key:?}"), r#"EncryptionKey { id: "2026-11", .. }"#);
///
/// assert!(EncryptionKey::parse("2026-11", "correct horse battery staple").is_err());
/// assert!(EncryptionKey::from_file("2026-11", "/no/such/file").is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct EncryptionKey {
    id: Box<str>,
    key: Arc<RandomizedNonceKey>,
}

impl EncryptionKey {
    /// Parses a key: 32 bytes in base64, which may be followed by a line break. The id is stored with what it encrypts.
    ///
    /// # Errors
    ///
    /// If the text is not such a key, or the id is not 1 to 64 letters, digits, `-` and `_`.
    pub fn parse(id: &str, text: &str) -> Result<Self, ConfigError> {
        if !is_id(id) {
            let message = "the id of an encryption key is 1 to 64 ASCII letters, digits, `-` and `_`";
            return Err(ConfigError::custom(message).value(id));
        }
        let refused = || ConfigError::custom("an encryption key is 32 bytes in base64").value(id);
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.trim_end_matches(['\r', '\n'])).map_err(|_| refused())?);
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| refused())?;
        Ok(Self { id: id.into(), key: Arc::new(key) })
    }

    /// Reads a key from a file, once. The content is what [`parse`](Self::parse) accepts.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or has no key.
    pub fn from_file(id: &str, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(&path).map(Zeroizing::new).map_err(|_| {
            ConfigError::custom("the file of the encryption key cannot be read").value(path.as_ref().display())
        })?;
        Self::parse(id, &text)
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The keys that encrypt signing keys in a store: one writes, and others are read.
///
/// To replace a key: add the new one [for reading](Self::or_read) on all nodes. Then let it write, with the old one for
/// reading, on all nodes; the first that starts encrypts the stored keys again. When all have started, remove the old one.
///
/// # Examples
///
/// ```
/// use tower_warden_issuer::{EncryptionKey, EncryptionKeys};
///
/// let new = EncryptionKey::parse("2026-11", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")?;
/// let old = EncryptionKey::parse("2025-11", "HxAREhMUFRYXGBkaGxwdHh8AAQIDBAUGBwgJCgsMDQ4=")?;
/// let keys = EncryptionKeys::new(new.clone()).or_read(old)?;
/// assert!(keys.or_read(new).is_err(), "its id occurs already");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct EncryptionKeys {
    read: Vec<EncryptionKey>,
    write: EncryptionKey,
}

impl EncryptionKeys {
    /// A key that writes, and is read.
    #[must_use]
    pub const fn new(key: EncryptionKey) -> Self {
        Self { read: Vec::new(), write: key }
    }

    /// Adds a key that is read.
    ///
    /// # Errors
    ///
    /// If another key has its id.
    pub fn or_read(mut self, key: EncryptionKey) -> Result<Self, ConfigError> {
        if self.find(&key.id).is_some() {
            return Err(ConfigError::custom("each encryption key has another id").value(key.id));
        }
        self.read.push(key);
        Ok(self)
    }

    fn find(&self, id: &str) -> Option<&EncryptionKey> {
        [&self.write].into_iter().chain(&self.read).find(|key| *key.id == *id)
    }

    /// Encrypts a document of this version.
    pub(super) fn encrypt(
        &self,
        issuer: &str,
        version: u64,
        mut document: Zeroizing<Vec<u8>>,
    ) -> Result<EncryptedKeys, Unavailable> {
        let EncryptionKey { id, key } = &self.write;
        let aad = Aad::from(associated(id, issuer, version));
        let nonce = key.seal_in_place_append_tag(aad, &mut *document);
        let nonce = nonce.map_err(|_| Unavailable::new("the library that encrypts"))?;
        let text = format!("{FORMAT}.{id}.{}", encode(&[nonce.as_ref(), &document[..]].concat()));
        Ok(EncryptedKeys::new(version, text))
    }

    /// Decrypts a document, and returns whether it was encrypted with the key that writes.
    pub(super) fn decrypt(
        &self,
        issuer: &str,
        encrypted: &EncryptedKeys,
    ) -> Result<(Zeroizing<Vec<u8>>, Writer), ConfigError> {
        let malformed =
            || ConfigError::custom("the stored signing keys are malformed, or of a newer version").value(issuer);
        let (id, text) = encrypted
            .document
            .strip_prefix(FORMAT)
            .and_then(|rest| rest.strip_prefix('.')?.split_once('.'))
            .filter(|(id, _)| is_id(id))
            .ok_or_else(malformed)?;
        let key = self.find(id).ok_or_else(|| {
            ConfigError::custom("the stored signing keys are encrypted with a key that is not configured").value(id)
        })?;
        let mut bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?);
        let nonce: [u8; NONCE_LEN] = bytes.first_chunk().copied().ok_or_else(malformed)?;
        let aad = Aad::from(associated(id, issuer, encrypted.version));
        let decrypted = key.key.open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut bytes[NONCE_LEN..]);
        let length = decrypted.map(|document| document.len()).map_err(|_| {
            let message = "the stored signing keys cannot be decrypted with the encryption key of this id: it is another \
                 key, or what is stored was altered";
            ConfigError::custom(message).value(id)
        })?;
        bytes.truncate(NONCE_LEN + length);
        bytes.drain(..NONCE_LEN);
        Ok((bytes, if *id == *self.write.id { Writer::Current } else { Writer::Older }))
    }
}

/// The key that a document was encrypted with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Writer {
    Current,
    Older,
}

/// The data that a document is bound to: it cannot be that of another issuer, nor have another version than its own. An
/// older document with its version, as in a backup, can be decrypted.
fn associated(id: &str, issuer: &str, version: u64) -> Vec<u8> {
    let mut bytes = b"tower-warden signing keys".to_vec();
    for text in [FORMAT, id, issuer] {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes.extend(version.to_be_bytes());
    bytes
}

fn is_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(is_allowed)
}

const FORMAT: &str = "v1";
