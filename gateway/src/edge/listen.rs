//! Listening sockets, one for each shard, on the same address.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

const BACKLOG: i32 = 1024;

/// Listening sockets that share one address.
#[derive(Debug)]
pub struct Bound {
    /// The address, with its real port.
    pub address: SocketAddr,
    /// One for each shard, ready for `tokio::net::TcpListener::from_std`.
    pub listeners: Vec<TcpListener>,
}

/// Binds `shards` sockets to `address`; port 0 takes any free port. Fails when another process listens there.
pub fn bind(address: SocketAddr, shards: usize) -> io::Result<Bound> {
    // Alone first: with SO_REUSEPORT a second server of the same user would silently take half of the connections.
    let mut first = listen(address, false)?;
    let address = first.local_addr()?;
    if shards > 1 {
        drop(first);
        first = listen(address, true)?;
    }
    let mut listeners = vec![first];
    for _ in 1..shards {
        listeners.push(listen(address, true)?);
    }
    Ok(Bound { address, listeners })
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_an_address_and_strangers_do_not() {
        let any = "127.0.0.1:0".parse().expect("an address");
        let bound = bind(any, 3).expect("a free port exists");
        assert_eq!(bound.listeners.len(), 3);
        for listener in &bound.listeners {
            assert_eq!(listener.local_addr().expect("it is bound"), bound.address);
        }
        assert_eq!(bind(bound.address, 2).expect_err("somebody listens").kind(), io::ErrorKind::AddrInUse);
    }
}
