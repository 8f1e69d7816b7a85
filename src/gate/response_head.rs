use http::{Extensions, HeaderMap, Response, StatusCode};

/// A response without its body.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponseHead<'a> {
    /// Values that the handler and inner layers have added, such as a [`Rejection`](crate::Rejection).
    pub extensions: &'a Extensions,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The status.
    pub status: StatusCode,
}

impl<'a, B> From<&'a Response<B>> for ResponseHead<'a> {
    fn from(response: &'a Response<B>) -> Self {
        Self { extensions: response.extensions(), headers: response.headers(), status: response.status() }
    }
}
