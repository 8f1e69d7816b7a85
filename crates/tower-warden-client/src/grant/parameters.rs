use std::{fmt, sync::Arc};

use tower_warden::scope::Scopes;

use crate::endpoint::Form;

/// The parameters that a grant is configured with.
#[derive(Clone, Default)]
pub(super) struct Parameters {
    others: Arc<Vec<(Box<str>, Box<str>)>>,
    pub(super) scopes: Scopes,
}

impl Parameters {
    pub(super) fn add(&mut self, name: &str, value: &str) {
        Arc::make_mut(&mut self.others).push((name.into(), value.into()));
    }

    pub(super) fn fill(&self, form: &mut Form) {
        self.others.iter().for_each(|(name, value)| form.add(name, value));
    }

    /// The configured scopes, and those that a request needs in addition.
    pub(super) fn scopes_with(&self, needed: &Scopes) -> Scopes {
        union(&self.scopes, needed)
    }
}

/// Shows the names of parameters, whose values may be secret.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.others.iter().map(|(name, _)| name).collect();
        f.debug_struct("Parameters").field("names", &names).field("scopes", &self.scopes).finish()
    }
}

/// The settings of a grant that has [`Parameters`], in the field `parameters`.
macro_rules! parameter_methods {
    () => {
        /// Adds a parameter of the server's own, or of the grant.
        pub fn parameter(mut self, name: &str, value: &str) -> Self {
            self.parameters.add(name, value);
            self
        }

        /// Requests tokens for this resource, a URL ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)). Of several calls,
        /// all apply.
        pub fn resource(self, url: &str) -> Self {
            self.parameter("resource", url)
        }

        /// Requests these scopes.
        pub fn scopes(mut self, scopes: Scopes) -> Self {
            self.parameters.scopes = scopes;
            self
        }
    };
}

pub(super) use parameter_methods;

/// The scopes of both sets.
pub(crate) fn union(some: &Scopes, others: &Scopes) -> Scopes {
    some.iter().chain(others.iter()).cloned().collect()
}
