use std::{
    collections::HashMap,
    env, fmt,
    sync::{Arc, PoisonError, RwLock},
};

use tower_warden::Eventual;

use super::{Secret, SecretError, SecretErrorKind, SecretSource, Versioned};

/// Secrets in environment variables.
///
/// A variable is read once: it does not change while the process runs. Variables are inherited by its child processes, and can be
/// read from `/proc` by the same user: prefer files, where the platform offers them.
///
/// # Examples
///
/// ```
/// use tower_warden_client::secret::{EnvironmentSecrets, SecretSource};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let secrets = EnvironmentSecrets::of([("BILLING_API_KEY", "sk_live_0123456789abcdef"), ("EMPTY", "")]);
/// assert_eq!(secrets.get("BILLING_API_KEY").wait().await.unwrap().version(), 1);
/// assert!(secrets.get("EMPTY").wait().await.is_err());
/// # }
/// ```
#[derive(Clone, Default)]
pub struct EnvironmentSecrets {
    /// Those that were given, or have been read.
    known: Arc<RwLock<HashMap<Box<str>, Arc<Secret>>>>,
    is_given: bool,
}

impl EnvironmentSecrets {
    /// The variables of this process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These variables instead of those of the process, for tests.
    #[must_use]
    pub fn of<N: Into<Box<str>>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), Arc::new(Secret::new(value))));
        Self { known: Arc::new(RwLock::new(variables.collect())), is_given: true }
    }

    fn read(&self, name: &str) -> Result<Arc<Secret>, SecretError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let value = match known {
            None if !self.is_given => self.read_variable(name)?,
            known => known,
        };
        let problem = match value {
            Some(value) if !value.expose().is_empty() => return Ok(value),
            Some(_) => "the variable is empty",
            None => "the variable is not set",
        };
        Err(SecretError::new(SecretErrorKind::Missing, name, problem))
    }

    /// Reads a variable of the process for the first time.
    fn read_variable(&self, name: &str) -> Result<Option<Arc<Secret>>, SecretError> {
        let Some(value) = env::var_os(name) else { return Ok(None) };
        match value.into_string() {
            Ok(value) => {
                // Overwritten if another thread was first.
                let secret = Arc::new(Secret::new(value));
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                Ok(Some(Arc::clone(known.entry(name.into()).or_insert(secret))))
            }
            Err(value) => {
                // The bytes are those of the secret, and are overwritten as such.
                drop(zeroize::Zeroizing::new(value.into_encoded_bytes()));
                Err(SecretError::new(SecretErrorKind::Format, name, "the variable is not UTF-8"))
            }
        }
    }
}

impl SecretSource for EnvironmentSecrets {
    fn get(&self, name: &str) -> Eventual<Result<Versioned<Secret>, SecretError>> {
        Eventual::Now(self.read(name).map(|secret| Versioned::new(secret, 1)))
    }
}

impl fmt::Debug for EnvironmentSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvironmentSecrets").finish_non_exhaustive()
    }
}
