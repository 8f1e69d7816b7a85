use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    net::TcpStream,
    task::{AbortHandle, JoinError, JoinSet},
};

use crate::{acceptor::TlsAcceptor, stream::TlsStream};

/// The handshakes in progress. A new one always starts: if there are too many, an older one is dropped.
///
/// Connections that wait for their turn would let silent ones, which cost a client nothing, delay all others.
#[derive(Debug)]
pub(crate) struct Handshakes {
    pub(crate) max: NonZeroUsize,
    pub(crate) max_per_peer: NonZeroUsize,
    /// The handshakes, oldest first. Some have ended.
    begun: VecDeque<Handshake>,
    tasks: JoinSet<io::Result<TlsStream<TcpStream>>>,
}

#[derive(Debug)]
struct Handshake {
    has_hello: Arc<AtomicBool>,
    peer: IpAddr,
    task: AbortHandle,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self { max: DEFAULT_MAX, max_per_peer: DEFAULT_MAX_PER_PEER, begun: VecDeque::new(), tasks: JoinSet::new() }
    }
}

impl Handshakes {
    /// Starts a handshake, and drops others if there are too many.
    pub(crate) fn start(&mut self, acceptor: TlsAcceptor, socket: TcpStream, peer_addr: SocketAddr) {
        self.begun.retain(|handshake| !handshake.task.is_finished());
        let peer = peer_of(peer_addr);
        if self.begun.iter().filter(|handshake| handshake.peer == peer).count() >= self.max_per_peer.get() {
            self.drop_oldest(|handshake| handshake.peer == peer);
        }
        if self.begun.len() >= self.max.get() {
            self.drop_of_busiest(peer);
        }
        let has_hello = Arc::new(AtomicBool::new(false));
        let on_hello = {
            let has_hello = Arc::clone(&has_hello);
            move || has_hello.store(true, Ordering::Relaxed)
        };
        let task = self.tasks.spawn(async move { acceptor.accept_reporting(socket, peer_addr, on_hello).await });
        self.begun.push_back(Handshake { has_hello, peer, task });
    }

    /// Waits for a handshake to end; `None` if there is none. It is cancel safe.
    pub(crate) async fn join_next(&mut self) -> Option<Result<io::Result<TlsStream<TcpStream>>, JoinError>> {
        self.tasks.join_next().await
    }

    /// Drops a handshake of the peer that has the most, with the new one: many handshakes of a few peers drop none of others.
    fn drop_of_busiest(&mut self, new: IpAddr) {
        let mut counts = HashMap::from([(new, 1_usize)]);
        for handshake in &self.begun {
            *counts.entry(handshake.peer).or_default() += 1;
        }
        let most = counts.values().copied().max();
        self.drop_oldest(|handshake| counts.get(&handshake.peer).copied() == most);
    }

    /// Drops the oldest of these handshakes whose client has sent nothing, or else the oldest of them.
    fn drop_oldest(&mut self, is_one: impl Fn(&Handshake) -> bool) {
        let is_silent = |handshake: &Handshake| is_one(handshake) && !handshake.has_hello.load(Ordering::Relaxed);
        let oldest = self.begun.iter().position(is_silent).or_else(|| self.begun.iter().position(&is_one));
        if let Some(handshake) = oldest.and_then(|index| self.begun.remove(index)) {
            handshake.task.abort();
        }
    }
}

/// The address by which peers are distinguished: an IPv6 client can choose any address of its /64 (RFC 6177).
fn peer_of(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

const DEFAULT_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("1024 is not zero");
const DEFAULT_MAX_PER_PEER: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");
