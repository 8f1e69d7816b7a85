//! What implies what.

use std::{collections::HashMap, sync::Arc};

use super::{Scope, Scopes};
use crate::error::{ConfigError, ConfigErrorKind};

/// Which scopes imply which, declared once.
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
/// let circle = [
///     (Scope::from_static("a"), Scopes::parse("b")?),
///     (Scope::from_static("b"), Scopes::parse("a")?),
/// ];
/// assert!(ScopeHierarchy::new(circle).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ScopeHierarchy {
    /// Of each implied scope, all that imply it, directly or not.
    implied_by: Arc<HashMap<Scope, Scopes>>,
}

impl ScopeHierarchy {
    /// Declares that each scope implies those beside it, and what they imply.
    ///
    /// # Errors
    ///
    /// If a scope implies itself, directly or by others.
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

    /// Whether `held` has the scope, or one that implies it.
    #[must_use]
    pub fn grants(&self, held: &Scopes, scope: &Scope) -> bool {
        held.contains(scope) || self.implied_by.get(scope).is_some_and(|above| held.contains_any(above))
    }
}

/// All that `scope` implies.
fn reachable(scope: &Scope, implies: &HashMap<Scope, Vec<Scope>>) -> Result<Vec<Scope>, ConfigError> {
    let mut found = Vec::new();
    let mut open: Vec<&Scope> = implies[scope].iter().collect();
    while let Some(next) = open.pop() {
        if next == scope {
            return Err(ConfigError::new(ConfigErrorKind::ScopeCycle, "a scope implies itself"));
        }
        if !found.contains(next) {
            found.push(next.clone());
            open.extend(implies.get(next).into_iter().flatten());
        }
    }
    Ok(found)
}
