//! A port that refuses connections.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A loopback port on which nothing listens. It is held, so that no other test is given it meanwhile.
pub struct ClosedPort {
    address: SocketAddr,
    _held: TcpSocket,
}

impl ClosedPort {
    pub fn free() -> Self {
        Self::at(([127, 0, 0, 1], 0).into())
    }

    /// The port of a service that has just ended.
    pub fn at(address: SocketAddr) -> Self {
        let held = TcpSocket::new_v4().unwrap();
        // Connections of the service that had it may still be closing.
        held.set_reuseaddr(true).unwrap();
        held.bind(address).unwrap();
        Self { address: held.local_addr().unwrap(), _held: held }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
