use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use zeroize::Zeroizing;

/// A copy of the head of a request.
#[derive(Clone)]
pub(super) struct Head {
    extensions: Extensions,
    fields: Fields,
    method: Method,
    uri: Uri,
    version: Version,
}

/// The fields of a request in one buffer, which is wiped: cloning them would be an allocation for each. A field is its
/// lengths, whether it is sensitive, its name and its value.
#[derive(Clone)]
struct Fields {
    buffer: Zeroizing<Vec<u8>>,
    count: usize,
}

impl Head {
    /// Copies the head of a request.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self {
            extensions: request.extensions().clone(),
            fields: Fields::of(request.headers()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
        }
    }

    /// The request with this head and a body.
    pub(super) fn with<B>(self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.extensions_mut() = self.extensions;
        *request.headers_mut() = self.fields.read();
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        request
    }
}

impl Fields {
    fn of(headers: &HeaderMap) -> Self {
        let lengths = headers.iter().map(|(name, value)| LENGTHS + name.as_str().len() + value.len());
        let mut buffer = Zeroizing::new(Vec::with_capacity(lengths.sum()));
        for (name, value) in headers {
            buffer.extend_from_slice(&name.as_str().len().to_le_bytes());
            buffer.extend_from_slice(&value.len().to_le_bytes());
            buffer.push(u8::from(value.is_sensitive()));
            buffer.extend_from_slice(name.as_str().as_bytes());
            buffer.extend_from_slice(value.as_bytes());
        }
        Self { buffer, count: headers.len() }
    }

    fn read(&self) -> HeaderMap {
        // With room for the token and its proof.
        let mut headers = HeaderMap::with_capacity(self.count + 2);
        let mut rest = &**self.buffer;
        while let Some((name, value)) = read(&mut rest) {
            headers.append(name, value);
        }
        headers
    }
}

/// Reads the next field; `None` at the end.
fn read(rest: &mut &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let name_length = usize::from_le_bytes(*rest.split_off(..SIZE)?.first_chunk()?);
    let value_length = usize::from_le_bytes(*rest.split_off(..SIZE)?.first_chunk()?);
    let is_sensitive = *rest.split_off_first()? == 1;
    let name = HeaderName::from_bytes(rest.split_off(..name_length)?).ok()?;
    let mut value = HeaderValue::from_bytes(rest.split_off(..value_length)?).ok()?;
    value.set_sensitive(is_sensitive);
    Some((name, value))
}

/// The bytes of a length.
const SIZE: usize = size_of::<usize>();

/// The bytes before a name: two lengths, and whether the field is sensitive.
const LENGTHS: usize = 2 * SIZE + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_a_head_is_equal_to_it() {
        let mut request =
            Request::put("https://api.example/a?b=c").version(Version::HTTP_2).body(()).expect("a request");
        let headers = request.headers_mut();
        for (name, value) in [("accept", &b""[..]), ("x-other", b"a\xff\tb"), ("cookie", b"a=b"), ("cookie", b"c=d")] {
            let mut value = HeaderValue::from_bytes(value).expect("a value");
            value.set_sensitive(name == "cookie");
            headers.append(name, value);
        }
        request.extensions_mut().insert(7_u32);
        let copy = Head::of(&request).with(());
        assert_eq!(copy.headers(), request.headers());
        assert!(copy.headers().iter().all(|(name, value)| value.is_sensitive() == (name == "cookie")));
        assert_eq!((copy.method(), copy.uri(), copy.version()), (request.method(), request.uri(), request.version()));
        assert_eq!(copy.extensions().get(), Some(&7_u32));
    }
}
