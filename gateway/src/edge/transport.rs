//! What a connection runs over: TCP alone, or TLS. Nothing above sees the difference.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What is read of a TLS stream to see whether there is something to read.
const PROBE_BYTES: usize = 4096;

pub(crate) enum Transport {
    Tcp(TcpStream),
    // Boxed: it is large, and most nodes behind a proxy have none.
    Tls(Box<Encrypted>),
}

pub(crate) struct Encrypted {
    stream: TlsStream<TcpStream>,
    /// What a look at the stream found; mostly nothing, and then without memory.
    probed: Bytes,
}

impl Transport {
    pub(crate) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(Encrypted { stream, probed: Bytes::new() }))
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Is there perhaps something to read, be it the end? If not, the task is woken when there is.
    pub(crate) fn poll_readable(&mut self, context: &mut Context<'_>) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.poll_read_ready(context).is_ready(),
            Self::Tls(encrypted) => encrypted.poll_readable(context),
        }
    }

    /// Reads what is there; `WouldBlock` when nothing is. Wakes nobody: see [`Self::poll_readable`].
    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_read(buffer),
            Self::Tls(encrypted) => encrypted.try_read(buffer),
        }
    }
}

impl Encrypted {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> bool {
        if !self.probed.is_empty() {
            return true;
        }
        let mut space = [0; PROBE_BYTES];
        let mut buffer = ReadBuf::new(&mut space);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Pending => false,
            Poll::Ready(_) => {
                // An end or an error is found again by who reads.
                self.probed = Bytes::copy_from_slice(buffer.filled());
                true
            }
        }
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.probed.is_empty() {
            return Ok(self.take_probed(buffer));
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut self.stream).poll_read(&mut context, &mut buffer) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(read) => read.map(|()| buffer.filled().len()),
        }
    }

    fn take_probed(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.probed.len());
        self.probed.copy_to_slice(&mut buffer[..count]);
        count
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Self::Tls(encrypted) if !encrypted.probed.is_empty() => {
                let count = encrypted.take_probed(buffer.initialize_unfilled());
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Self::Tls(encrypted) => Pin::new(&mut encrypted.stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::Tls(encrypted) => Pin::new(&mut encrypted.stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(context, slices),
            Self::Tls(encrypted) => Pin::new(&mut encrypted.stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_write_vectored(),
            Self::Tls(encrypted) => encrypted.stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Tls(encrypted) => Pin::new(&mut encrypted.stream).poll_flush(context),
        }
    }

    /// Over TLS, says so inside as well (`close_notify`), so that nobody takes a cut for the end.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::Tls(encrypted) => Pin::new(&mut encrypted.stream).poll_shutdown(context),
        }
    }
}
