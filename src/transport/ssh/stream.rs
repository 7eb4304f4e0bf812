//! The stream below SSH. While a connection is opened, sshd up to 9.2 waits for the delayed
//! acknowledgement of this side (43 ms); quick acknowledgements (`TCP_QUICKACK`) remove the stall.
//! Linux resets the option, so it is set again after early reads.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::transport::ByteStream;

/// Number of reads that set the option again: enough for the handshake, the login and the first
/// command.
const QUICK_READS: u32 = 40;

/// Underlying stream of bytes.
pub(crate) enum NetworkStream {
    /// TCP, directly to the host.
    Tcp(TcpStream),
    /// A channel of a jump host, or a program.
    Other(Box<dyn ByteStream>),
}

impl NetworkStream {
    fn pinned(&mut self) -> Pin<&mut dyn ByteStream> {
        match self {
            Self::Tcp(stream) => Pin::new(stream),
            Self::Other(stream) => Pin::new(stream),
        }
    }
}

/// A stream with quick acknowledgements, which ends when its token is cancelled.
pub(super) struct QuickStream {
    inner: NetworkStream,
    quick_reads: u32,
    // An abandoned attempt must close its socket, which russh's session task would keep.
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl QuickStream {
    /// Wraps a connected stream, and switches Nagle's algorithm off.
    pub(super) fn new(inner: NetworkStream, token: CancellationToken) -> io::Result<Self> {
        if let NetworkStream::Tcp(stream) = &inner {
            stream.set_nodelay(true)?;
        }
        let stream = Self {
            inner,
            quick_reads: QUICK_READS,
            cancelled: Box::pin(token.cancelled_owned()),
        };
        stream.ask_quick();
        Ok(stream)
    }

    fn ask_quick(&self) {
        #[cfg(target_os = "linux")]
        if let NetworkStream::Tcp(stream) = &self.inner
            && let Err(error) = stream.set_quickack(true)
        {
            tracing::debug!(%error, "no quick acknowledgements");
        }
    }
}

impl AsyncRead for QuickStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cancelled.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the attempt was abandoned",
            )));
        }
        let result = ready!(self.inner.pinned().poll_read(context, buffer));
        if self.quick_reads > 0 {
            self.quick_reads -= 1;
            self.ask_quick();
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for QuickStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner.pinned().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.pinned().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.pinned().poll_shutdown(context)
    }
}
