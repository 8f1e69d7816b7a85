use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::time::timeout;
use tower_warden::{Clock, ConfigError, Environment, Eventual, SystemClock, Unavailable, UnixTime, jwt::Algorithm};
use zeroize::Zeroizing;

use super::{
    encryption::{EncryptionKeys, Writer},
    error::SigningKeysError,
    key::{SigningKey, decode, encode, generate},
    keys::SigningKeys,
    ring::{Entry, Ring},
    store::{EncryptedKeys, SigningKeyStore},
};

/// Loads the signing keys of an issuer from a store. See [`SigningKeys::stored`].
#[must_use]
pub struct StoredKeys {
    clock: Arc<dyn Clock>,
    storage: Storage,
}

impl StoredKeys {
    pub(super) fn new(issuer: &str, store: impl SigningKeyStore, encryption: EncryptionKeys) -> Self {
        let storage =
            Storage { algorithm: Algorithm::ES256, encryption, issuer: issuer.into(), store: Arc::new(store) };
        Self { clock: Arc::new(SystemClock::default()), storage }
    }

    /// Sets the algorithm of the keys that are generated: ES256 by default. Keys that are stored keep theirs.
    pub const fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.storage.algorithm = algorithm;
        self
    }

    /// Sets the clock: that of the machine by default. It is also that of the issuer.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }

    /// Loads the keys. If none are stored, the first one is generated, by one of the nodes that start at the same time. Keys
    /// that another encryption key has encrypted are encrypted again.
    ///
    /// # Errors
    ///
    /// If the store does not answer, if the keys are encrypted with a key that is not configured or is another one, if they
    /// were altered, or if the algorithm is not one of [`SigningKey`].
    pub async fn load(self) -> Result<SigningKeys, SigningKeysError> {
        let (storage, now) = (self.storage, self.clock.now());
        SigningKey::check(storage.algorithm)?;
        for _ in 0..ATTEMPTS {
            let (version, ring, is_stored) = match limited(storage.store.load(&storage.issuer)).await? {
                None => (0, Ring::new(generate(storage.algorithm).await?, Some(now)), false),
                Some(encrypted) => {
                    let (ring, writer) = storage.decrypt(&encrypted)?;
                    (encrypted.version, ring, writer == Writer::Current)
                }
            };
            if is_stored {
                return Ok(SigningKeys::loaded(ring, version, storage, now));
            }
            if storage.replace(version + 1, &ring).await? {
                return Ok(SigningKeys::loaded(ring, version + 1, storage, now));
            }
        }
        Err(contended().into())
    }
}

impl fmt::Debug for StoredKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKeys").field("issuer", &self.storage.issuer).finish_non_exhaustive()
    }
}

/// The keys of one issuer in a store, and how they are encrypted and generated.
pub(super) struct Storage {
    pub(super) algorithm: Algorithm,
    encryption: EncryptionKeys,
    pub(super) issuer: Box<str>,
    store: Arc<dyn SigningKeyStore>,
}

impl Storage {
    /// Loads the keys, and their version.
    pub(super) async fn load(&self) -> Result<EncryptedKeys, SigningKeysError> {
        let encrypted = limited(self.store.load(&self.issuer)).await?;
        encrypted.ok_or_else(|| ConfigError::custom("the stored signing keys were removed").value(&self.issuer).into())
    }

    pub(super) fn decrypt(&self, encrypted: &EncryptedKeys) -> Result<(Ring, Writer), ConfigError> {
        let (document, writer) = self.encryption.decrypt(&self.issuer, encrypted)?;
        let refused = || ConfigError::custom("the stored signing keys are of a newer version").value(&self.issuer);
        let keys: KeysRecord = serde_json::from_slice(&document).map_err(|_| refused())?;
        let entries =
            keys.keys.iter().map(|record| record.read().ok_or_else(refused)).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() { Err(refused()) } else { Ok((Ring(entries), writer)) }
    }

    /// Stores keys as this version, unless another node has stored one; returns whether it did.
    pub(super) async fn replace(&self, version: u64, ring: &Ring) -> Result<bool, SigningKeysError> {
        let keys = ring.0.iter().map(KeyRecord::of).collect::<Result<Vec<_>, _>>()?;
        // Room for all of it, so that it is not copied to a larger buffer. RSA keys take most: 1.7 KiB.
        let mut document = Zeroizing::new(Vec::with_capacity(64 + 4096 * keys.len()));
        serde_json::to_writer(&mut *document, &KeysRecord { keys })
            .map_err(|error| Unavailable::new("the format of stored signing keys").because(error))?;
        let encrypted = self.encryption.encrypt(&self.issuer, version, document)?;
        Ok(limited(self.store.replace(&self.issuer, encrypted)).await?)
    }
}

/// The content of a document.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct KeysRecord {
    keys: Vec<KeyRecord>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct KeyRecord {
    algorithm: String,
    kid: String,
    pkcs8: Secret,
    signs_from: UnixTime,
}

impl KeyRecord {
    fn of(entry: &Entry) -> Result<Self, Unavailable> {
        Ok(Self {
            algorithm: entry.key.algorithm().as_str().to_owned(),
            kid: entry.key.kid().to_owned(),
            pkcs8: Secret(Zeroizing::new(encode(&entry.key.to_pkcs8()?))),
            signs_from: entry.signs_from.unwrap_or_default(),
        })
    }

    fn read(&self) -> Option<Entry> {
        let key = SigningKey::from_pkcs8(Algorithm::from_name(&self.algorithm)?, &decode(&self.pkcs8.0)?).ok()?;
        (key.kid() == self.kid).then_some(Entry { key, signs_from: Some(self.signs_from) })
    }
}

/// A private key in base64url, which is erased from memory when dropped.
struct Secret(Zeroizing<String>);

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// Limits the time that a store may take.
async fn limited<T: Send + 'static>(work: Eventual<Result<T, Unavailable>>) -> Result<T, Unavailable> {
    let outcome = timeout(TIMEOUT, work.wait()).await;
    outcome.unwrap_or_else(|elapsed| Err(unavailable().because(elapsed)))
}

pub(super) fn unavailable() -> Unavailable {
    Unavailable::new("the store of signing keys")
}

pub(super) fn contended() -> Unavailable {
    Unavailable::new("the store of signing keys, which other nodes change at the same time,")
}

/// The number of times that a change is tried which another node forestalls.
pub(super) const ATTEMPTS: u32 = 10;

/// The longest time that a store may take.
const TIMEOUT: Duration = Duration::from_secs(5);
