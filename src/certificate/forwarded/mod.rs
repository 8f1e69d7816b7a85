//! Client certificates that proxies forward in header fields.

pub(crate) use self::header::Sender;
pub use self::{header::CertificateHeader, proxy::ProxyMatcher, xfcc::XfccElement};

mod encoding;
mod header;
mod proxy;
mod xfcc;
