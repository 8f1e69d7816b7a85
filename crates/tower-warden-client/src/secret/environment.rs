use std::{collections::HashMap, env, fmt, sync::Arc};

use tower_warden::Eventual;

use super::{Secret, SecretError, SecretErrorKind, SecretSource, Versioned};

/// Secrets in environment variables.
///
/// They do not change while the process runs, are inherited by its child processes, and can be read from `/proc` by the same
/// user: prefer files, where the platform offers them.
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
    given: Option<Arc<HashMap<Box<str>, Arc<Secret>>>>,
}

impl EnvironmentSecrets {
    /// The variables of this process.
    #[must_use]
    pub const fn new() -> Self {
        Self { given: None }
    }

    /// These variables instead of those of the process, for tests.
    #[must_use]
    pub fn of<N: Into<Box<str>>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), Arc::new(Secret::new(value))));
        Self { given: Some(Arc::new(variables.collect())) }
    }

    fn read(&self, name: &str) -> Result<Arc<Secret>, SecretError> {
        let refused = |kind, problem| Err(SecretError::new(kind, name, problem));
        let value = match &self.given {
            Some(variables) => variables.get(name).cloned(),
            None => match env::var_os(name).map(|value| value.into_string()) {
                Some(Ok(value)) => Some(Arc::new(Secret::new(value))),
                Some(Err(value)) => {
                    // The bytes are those of the secret, and are overwritten as such.
                    drop(zeroize::Zeroizing::new(value.into_encoded_bytes()));
                    return refused(SecretErrorKind::Format, "the variable is not UTF-8");
                }
                None => None,
            },
        };
        match value {
            Some(value) if value.expose().is_empty() => refused(SecretErrorKind::Missing, "the variable is empty"),
            Some(value) => Ok(value),
            None => refused(SecretErrorKind::Missing, "the variable is not set"),
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
