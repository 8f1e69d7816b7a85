//! The member names of an object, none of which may be there twice.

use std::borrow::Cow;

use super::{LINEAR_SEARCH_LIMIT, SERDE_PRIVATE, syntax::StringEnd};

/// The member names of the object that is read, after those of the objects around it. Each is as in the text, with its quotes.
pub(super) struct Names<'a> {
    /// One of the names in the text has escapes.
    have_escapes: bool,
    names: Vec<&'a [u8]>,
}

impl<'a> Names<'a> {
    pub(super) fn new() -> Self {
        Self { have_escapes: false, names: Vec::with_capacity(LINEAR_SEARCH_LIMIT) }
    }

    pub(super) const fn count(&self) -> usize {
        self.names.len()
    }

    /// Adds a name. One that is private to serde_json is refused.
    #[inline(always)]
    pub(super) fn add(&mut self, name: &'a [u8], end: StringEnd) -> Option<()> {
        let is_private = match end {
            StringEnd::Escaped(_) => {
                self.have_escapes = true;
                decoded(name)?.starts_with(SERDE_PRIVATE.as_bytes())
            }
            StringEnd::Plain(_) => name[1..].starts_with(SERDE_PRIVATE.as_bytes()),
        };
        if is_private {
            return None;
        }
        self.names.push(name);
        Some(())
    }

    /// Removes the names of an object, which were added from `first` on. None of them may be there twice.
    #[inline(always)]
    pub(super) fn end_object(&mut self, first: usize) -> Option<()> {
        let are_distinct = match &mut self.names[first..] {
            [] | [_] => true,
            names if self.have_escapes => are_distinct_decoded(names),
            [one, other] => one != other,
            names => are_distinct(names),
        };
        self.names.truncate(first);
        are_distinct.then_some(())
    }
}

/// Compares few names with each other. Many are sorted, which takes less time.
fn are_distinct<T: Ord>(names: &mut [T]) -> bool {
    if names.len() <= LINEAR_SEARCH_LIMIT {
        return names.iter().enumerate().all(|(place, name)| !names[..place].contains(name));
    }
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

#[cold]
fn are_distinct_decoded(names: &[&[u8]]) -> bool {
    let decoded: Option<Vec<_>> = names.iter().map(|name| decoded(name)).collect();
    decoded.is_some_and(|mut names| are_distinct(&mut names))
}

/// The name that stands for a string of the text.
fn decoded(name: &[u8]) -> Option<Cow<'_, [u8]>> {
    if name.contains(&b'\\') {
        return serde_json::from_slice::<String>(name).ok().map(|name| Cow::Owned(name.into_bytes()));
    }
    Some(Cow::Borrowed(&name[1..name.len() - 1]))
}
