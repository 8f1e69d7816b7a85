use bytes::Bytes;
use form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

/// The parameters of a token request, wiped when dropped.
pub(crate) struct Form(Zeroizing<String>);

impl Form {
    pub(crate) fn new() -> Self {
        // With room for usual requests, because a buffer that is left behind by a reallocation is not wiped.
        Self(Zeroizing::new(String::with_capacity(8 * 1024)))
    }

    pub(crate) fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.extend(byte_serialize(name.as_bytes()));
        self.0.push('=');
        self.0.extend(byte_serialize(value.as_bytes()));
    }

    /// The body. Its buffer is wiped when the last reference is dropped.
    pub(super) fn body(self) -> Bytes {
        Bytes::from_owner(Zeroizing::new(self.0.as_bytes().to_vec()))
    }
}

/// Encodes a text as `application/x-www-form-urlencoded`.
pub(super) fn encoded(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
    encoded.extend(byte_serialize(text.as_bytes()));
    encoded
}
