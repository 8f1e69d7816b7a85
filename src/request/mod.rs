//! The head of a request, and the address of its client.
//!
//! The address of the client is that of the [`Peer`], or the one that a [trusted proxy](TrustedProxies) forwards.
//!
//! # Examples
//!
//! ```
//! use http::Request;
//! use tower_warden::{Head, request::{Peer, TrustedProxies}};
//!
//! let proxies = TrustedProxies::new(["10.0.0.0/8".parse()?]);
//! let mut request = Request::builder().header("x-forwarded-for", "6.6.6.6, 198.51.100.7").body(())?;
//!
//! request.extensions_mut().insert(Peer::new("10.0.0.2:4711".parse()?));
//! assert_eq!(proxies.client(&Head::from(&request)), Some("198.51.100.7".parse()?));
//!
//! // From any other peer, the field is not trusted.
//! request.extensions_mut().insert(Peer::new("203.0.113.9:4711".parse()?));
//! assert_eq!(proxies.client(&Head::from(&request)), Some("203.0.113.9".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) use self::head::UnknownClient;
#[cfg(feature = "rate-limit")]
pub(crate) use self::proxies::address;
pub use self::{
    client_address::{ClientAddress, ClientAddressLayer, ResolveClientAddress},
    head::Head,
    network::Network,
    peer::{Peer, UnixPeer},
    peer_layer::{InsertPeer, PeerLayer},
    proxies::{AddressField, TrustedProxies},
};

mod client_address;
mod head;
mod network;
pub(crate) mod pairs;
mod peer;
mod peer_layer;
mod proxies;
