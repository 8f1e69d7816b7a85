use std::fmt;

use smallvec::SmallVec;

/// The longest path that is recorded, in characters.
const MAX_LENGTH: usize = 2_000;

/// The path of a request.
///
/// It is a copy: a URI may share its memory with the whole head of the request, which would stay in memory while the event is in a
/// queue. Short ones need no allocation.
pub(crate) struct Path(SmallVec<[u8; 96]>);

impl Path {
    pub(crate) fn of(uri: &http::Uri) -> Self {
        let path = uri.path();
        let end = match path.len() {
            short @ ..=MAX_LENGTH => short,
            long => path.char_indices().nth(MAX_LENGTH).map_or(long, |(end, _)| end),
        };
        Self(SmallVec::from_slice(&path.as_bytes()[..end]))
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Copies all bytes at once. The derived implementation would add one after the other.
impl Clone for Path {
    fn clone(&self) -> Self {
        Self(SmallVec::from_slice(&self.0))
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}
