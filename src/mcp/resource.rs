//! The declarations of resources.

use std::{collections::HashMap, fmt, sync::Arc};

use super::{
    template::{Spelling, UriTemplate},
    uri::{canonical, is_ambiguous, without_query},
};
use crate::authorize::Policy;

/// The longest URI that is compared with declarations, in bytes.
const MAX_URI: usize = 8_192;

/// The policies of URIs, and of templates of them.
#[derive(Clone, Default)]
pub(super) struct Resources {
    declared: Vec<Declaration>,
    /// The place of each declaration.
    by_text: HashMap<Box<str>, usize>,
    /// The places of those that are URIs.
    by_canonical_uri: HashMap<Vec<u8>, Vec<usize>>,
}

#[derive(Clone)]
struct Declaration {
    canonical: UriTemplate,
    policies: Vec<Arc<dyn Policy>>,
    template: UriTemplate,
}

impl Resources {
    /// Adds a policy of a URI or template; `None` if it is neither.
    pub(super) fn allow(&mut self, uri_or_template: &str, policy: impl Policy) -> Option<()> {
        let template = UriTemplate::parse(uri_or_template)?;
        let place = *self.by_text.entry(uri_or_template.into()).or_insert(self.declared.len());
        if place == self.declared.len() {
            if !template.has_expressions() {
                self.by_canonical_uri.entry(canonical(uri_or_template)).or_default().push(place);
            }
            let canonical = UriTemplate::parse_canonical(uri_or_template)?;
            self.declared.push(Declaration { canonical, policies: Vec::new(), template });
        }
        self.declared[place].policies.push(Arc::new(policy));
        Some(())
    }

    /// All policies.
    pub(super) fn policies(&self) -> impl Iterator<Item = &Arc<dyn Policy>> {
        self.declared.iter().flat_map(|declaration| &declaration.policies)
    }

    /// The policies of a URI, or of a template as it is declared; `None` if it is not declared.
    ///
    /// They are also those of the same URI without its query, which some servers ignore.
    pub(super) fn find(&self, uri: &str) -> Option<impl Iterator<Item = &Arc<dyn Policy>>> {
        if uri.len() > MAX_URI || is_ambiguous(uri) {
            return None;
        }
        let mut places = self.places(uri);
        if places.is_empty() {
            return None;
        }
        places.extend(self.places_of_canonical(uri));
        let plain = without_query(uri);
        if plain != uri {
            places.extend(self.places(plain));
            places.extend(self.places_of_canonical(plain));
        }
        places.sort_unstable();
        places.dedup();
        Some(places.into_iter().flat_map(|place| &self.declared[place].policies))
    }

    /// The place of the URI's own declaration, or those of all templates that it matches.
    fn places(&self, uri: &str) -> Vec<usize> {
        if let Some(place) = self.by_text.get(uri) {
            return vec![*place];
        }
        self.matching(|declaration| declaration.template.matches(uri.as_bytes(), Spelling::Sent)).collect()
    }

    /// The same of all URIs that are spelled differently and stand for the same resource. A declaration of the URI as it is
    /// spelled takes precedence.
    fn places_of_canonical(&self, uri: &str) -> Vec<usize> {
        if self.by_text.contains_key(uri) {
            return Vec::new();
        }
        let uri = canonical(uri);
        if let Some(places) = self.by_canonical_uri.get(&uri) {
            return places.clone();
        }
        self.matching(|declaration| declaration.canonical.matches(&uri, Spelling::Canonical)).collect()
    }

    fn matching(&self, matches: impl Fn(&Declaration) -> bool) -> impl Iterator<Item = usize> {
        let templates =
            self.declared.iter().enumerate().filter(|(_, declaration)| declaration.template.has_expressions());
        templates.filter(move |(_, declaration)| matches(declaration)).map(|(place, _)| place)
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_text.keys()).finish()
    }
}
