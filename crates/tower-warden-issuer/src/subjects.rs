//! The subjects of other issuers, as this one names them.

use std::{fmt, sync::Arc};

use tower_warden::Identity;

/// Maps the subjects of another issuer to those of this one.
///
/// Two issuers may use one name for two subjects. A subject that has the id of a registered client is refused, whatever the
/// mapping: the token would look like one that the client has for itself
/// ([RFC 9068 §5](https://www.rfc-editor.org/rfc/rfc9068#section-5)).
///
/// # Examples
///
/// ```
/// use tower_warden::{AuthMethod, Identity};
/// use tower_warden_issuer::Subjects;
///
/// let alice = Identity::new("alice", AuthMethod::Jwt);
/// assert_eq!(Subjects::prefixed("corp:").map(&alice).as_deref(), Some("corp:alice"));
///
/// let employees = Subjects::by(|identity| identity.subject.strip_prefix("employee-").map(str::to_owned));
/// assert_eq!(employees.map(&alice), None, "the token is refused");
/// ```
#[derive(Clone)]
pub struct Subjects(Arc<dyn Fn(&Identity) -> Option<String> + Send + Sync>);

impl Subjects {
    /// Subjects by a closure; `None` refuses the token.
    #[must_use]
    pub fn by(map: impl Fn(&Identity) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(map))
    }

    /// The subjects of the other issuer with a prefix. It keeps them apart from those of all others that have another
    /// prefix, and from own subjects that do not begin with it.
    #[must_use]
    pub fn prefixed(prefix: impl Into<Box<str>>) -> Self {
        let prefix = prefix.into();
        Self::by(move |identity| Some(format!("{prefix}{}", identity.subject)))
    }

    /// The same subjects: the other issuer can name every subject of this one that is not a registered client. That
    /// includes the owners of API keys, so it is not for an issuer with [`KeyOwners`](crate::KeyOwners).
    #[must_use]
    pub fn unchanged() -> Self {
        Self::by(|identity| Some((*identity.subject).to_owned()))
    }

    /// Returns the subject that this issuer writes into tokens; `None` if the token is refused.
    #[must_use]
    pub fn map(&self, identity: &Identity) -> Option<String> {
        (self.0)(identity)
    }
}

impl fmt::Debug for Subjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subjects(..)")
    }
}
