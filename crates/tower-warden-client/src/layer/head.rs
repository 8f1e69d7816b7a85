use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version,
    uri::{Authority, Parts, PathAndQuery, Scheme},
};
use zeroize::Zeroize;

/// A copy of the head of a request with an absolute URL.
#[derive(Clone)]
pub(super) struct Head {
    extensions: Extensions,
    method: Method,
    scheme: Option<Scheme>,
    texts: Texts,
    version: Version,
}

/// The URL and the fields of a request in one buffer: cloning them would be an allocation for each field. It is a list
/// of pairs: authority and path of the URL, and then name and value of each field. A pair is two lengths, whether the
/// field is sensitive, and the two texts.
#[derive(Clone)]
struct Texts {
    buffer: Vec<u8>,
    /// The number of fields.
    count: usize,
}

impl Head {
    /// Copies the head of a request.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self {
            extensions: request.extensions().clone(),
            method: request.method().clone(),
            scheme: request.uri().scheme().cloned(),
            texts: Texts::of(request.uri(), request.headers()),
            version: request.version(),
        }
    }

    /// The request with this head and a body; `None` if its URL was not absolute.
    pub(super) fn with<B>(self, body: B) -> Option<Request<B>> {
        let (authority, path, headers) = self.texts.read()?;
        let mut parts = Parts::default();
        parts.scheme = self.scheme;
        parts.authority = Some(authority);
        parts.path_and_query = Some(path);
        let mut request = Request::new(body);
        *request.extensions_mut() = self.extensions;
        *request.headers_mut() = headers;
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::from_parts(parts).ok()?;
        *request.version_mut() = self.version;
        Some(request)
    }
}

impl Texts {
    fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let authority = uri.authority().map_or("", Authority::as_str);
        let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
        let fields = headers.iter().map(|(name, value)| PREFIX + name.as_str().len() + value.len());
        let mut buffer = Vec::with_capacity(PREFIX + authority.len() + path.len() + fields.sum::<usize>());
        push(&mut buffer, authority, path.as_bytes(), false);
        for (name, value) in headers {
            push(&mut buffer, name.as_str(), value.as_bytes(), value.is_sensitive());
        }
        Self { buffer, count: headers.len() }
    }

    fn read(&self) -> Option<(Authority, PathAndQuery, HeaderMap)> {
        let mut rest = &*self.buffer;
        let (authority, path, _) = next(&mut rest)?;
        // With room for the token and its proof.
        let mut headers = HeaderMap::with_capacity(self.count + 2);
        while let Some((name, value, is_sensitive)) = next(&mut rest) {
            let mut value = HeaderValue::from_bytes(value).ok()?;
            value.set_sensitive(is_sensitive);
            headers.append(HeaderName::from_bytes(name).ok()?, value);
        }
        Some((authority.try_into().ok()?, path.try_into().ok()?, headers))
    }
}

/// Wipes the buffer as a slice: `Zeroizing<Vec<u8>>` wipes byte by byte, which takes longer than the copy.
impl Drop for Texts {
    fn drop(&mut self) {
        self.buffer.as_mut_slice().zeroize();
    }
}

fn push(buffer: &mut Vec<u8>, first: &str, second: &[u8], is_sensitive: bool) {
    let mut prefix = [0; PREFIX];
    prefix[..SIZE].copy_from_slice(&first.len().to_le_bytes());
    prefix[SIZE..2 * SIZE].copy_from_slice(&second.len().to_le_bytes());
    prefix[2 * SIZE] = u8::from(is_sensitive);
    buffer.extend_from_slice(&prefix);
    buffer.extend_from_slice(first.as_bytes());
    buffer.extend_from_slice(second);
}

/// Reads the next pair; `None` at the end.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8], bool)> {
    let first = usize::from_le_bytes(*rest.split_off(..SIZE)?.first_chunk()?);
    let second = usize::from_le_bytes(*rest.split_off(..SIZE)?.first_chunk()?);
    let is_sensitive = *rest.split_off_first()? == 1;
    Some((rest.split_off(..first)?, rest.split_off(..second)?, is_sensitive))
}

/// The bytes of a length.
const SIZE: usize = size_of::<usize>();

/// The bytes before the texts of a pair.
const PREFIX: usize = 2 * SIZE + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_a_head_is_equal_to_it() {
        for url in
            ["https://api.example/a?b=c", "https://api.example", "https://API.example:443?a", "http://[::1]:80/%7E"]
        {
            let mut request = Request::put(url).version(Version::HTTP_2).body(()).expect("a request");
            let headers = request.headers_mut();
            for (name, value) in
                [("accept", &b""[..]), ("x-other", b"a\xff\tb"), ("cookie", b"a=b"), ("cookie", b"c=d")]
            {
                let mut value = HeaderValue::from_bytes(value).expect("a value");
                value.set_sensitive(name == "cookie");
                headers.append(name, value);
            }
            request.extensions_mut().insert(7_u32);
            let copy = Head::of(&request).with(()).expect("an absolute URL");
            assert_eq!(copy.headers(), request.headers());
            assert!(copy.headers().iter().all(|(name, value)| value.is_sensitive() == (name == "cookie")));
            assert_eq!((copy.method(), copy.version()), (request.method(), request.version()));
            assert_eq!((copy.uri(), copy.uri().to_string()), (request.uri(), request.uri().to_string()));
            assert_eq!(copy.extensions().get(), Some(&7_u32));
        }
    }

    #[test]
    fn a_head_without_a_host_is_not_sent_again() {
        let request = Request::get("/orders").body(()).expect("a request");
        assert!(Head::of(&request).with(()).is_none());
    }
}
