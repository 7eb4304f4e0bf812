//! The stream under SSH. While a connection is made, sshd up to 9.2 waits for our delayed acknowledgement (43 ms);
//! asking for quick acknowledgements removes the stall. Linux forgets the wish, so it is made anew after early reads.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::transport::ByteStream;

/// How many reads get the wish: enough for the handshake, the login and the first command.
const QUICK_READS: u32 = 40;

/// What the bytes go through.
pub enum NetworkStream {
    /// TCP, straight to the host.
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

/// A stream without delays that ends when its token is cancelled.
pub struct QuickStream {
    inner: NetworkStream,
    quick_reads: u32,
    // An abandoned attempt must take its socket along: russh's session task would keep it.
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl QuickStream {
    /// Wraps a connected stream; Nagle's algorithm is switched off.
    pub fn new(inner: NetworkStream, token: CancellationToken) -> io::Result<Self> {
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
                "given up",
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
