use std::{collections::HashMap, sync::Arc};

use super::{Scope, Scopes};
use crate::error::{ConfigError, ConfigErrorKind};

/// The scopes that imply other scopes.
///
/// # Examples
///
/// ```
/// use tower_warden::scope::{Scope, ScopeHierarchy, Scopes};
///
/// let hierarchy = ScopeHierarchy::new([
///     (Scope::from_static("admin"), Scopes::parse("billing:admin")?),
///     (Scope::from_static("billing:admin"), Scopes::parse("billing:read billing:write")?),
/// ])?;
/// let held = Scopes::parse("admin")?;
/// assert!(hierarchy.grants(&held, &Scope::from_static("billing:read")));
/// assert!(!hierarchy.grants(&held, &Scope::from_static("users:read")));
///
/// let cycle = [
///     (Scope::from_static("a"), Scopes::parse("b")?),
///     (Scope::from_static("b"), Scopes::parse("a")?),
/// ];
/// assert!(ScopeHierarchy::new(cycle).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ScopeHierarchy {
    /// All scopes that imply a scope, directly or transitively.
    implied_by: Arc<HashMap<Scope, Scopes>>,
}

impl ScopeHierarchy {
    /// Creates a hierarchy from rules: each scope implies those in its set, and transitively what they imply.
    ///
    /// # Errors
    ///
    /// If a scope implies itself, directly or transitively.
    pub fn new(rules: impl IntoIterator<Item = (Scope, Scopes)>) -> Result<Self, ConfigError> {
        let mut implies: HashMap<Scope, Vec<Scope>> = HashMap::new();
        for (scope, implied) in rules {
            implies.entry(scope).or_default().extend(implied.iter().cloned());
        }
        let mut implied_by: HashMap<Scope, Vec<Scope>> = HashMap::new();
        for scope in implies.keys() {
            for implied in reachable(scope, &implies)? {
                implied_by.entry(implied).or_default().push(scope.clone());
            }
        }
        let implied_by = implied_by.into_iter().map(|(scope, above)| (scope, above.into_iter().collect())).collect();
        Ok(Self { implied_by: Arc::new(implied_by) })
    }

    /// Returns whether `held` contains the scope, or one that implies it.
    #[must_use]
    pub fn grants(&self, held: &Scopes, scope: &Scope) -> bool {
        held.contains(scope) || self.implied_by.get(scope).is_some_and(|above| held.contains_any(above))
    }
}

/// Returns all scopes that `scope` implies.
fn reachable(scope: &Scope, implies: &HashMap<Scope, Vec<Scope>>) -> Result<Vec<Scope>, ConfigError> {
    let mut found = Vec::new();
    let mut open: Vec<&Scope> = implies[scope].iter().collect();
    while let Some(next) = open.pop() {
        if next == scope {
            let message = "a scope does not imply itself, directly or transitively";
            return Err(ConfigError::new(ConfigErrorKind::ScopeCycle, message).value(scope));
        }
        if !found.contains(next) {
            found.push(next.clone());
            open.extend(implies.get(next).into_iter().flatten());
        }
    }
    Ok(found)
}
