use std::fmt;

use smallvec::SmallVec;

/// The longest path that is recorded, in characters.
const MAX_LENGTH: usize = 2_000;

/// The path of a request.
///
/// It is a copy: a URI may share its memory with the whole head of the request, which would stay in memory while the event is in a
/// queue. Short ones need no allocation.
#[derive(Clone)]
pub(super) struct Path(SmallVec<[u8; 96]>);

impl Path {
    pub(super) fn of(uri: &http::Uri) -> Self {
        let path = uri.path();
        let end = path.char_indices().nth(MAX_LENGTH).map_or(path.len(), |(end, _)| end);
        Self(SmallVec::from_slice(&path.as_bytes()[..end]))
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}
