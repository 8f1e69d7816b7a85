//! Certificates that proxies pass on in header fields.

pub(crate) use self::source::Sender;
pub use self::{proxy::ProxyRule, source::CertificateHeader, xfcc::XfccElement};

mod encoding;
mod proxy;
mod source;
mod xfcc;
