//! One stream to the Docker Engine of a host, on which requests follow one another.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use crate::transport::{Connection, DockerStream, TransportError};

/// Maximum size of an answer in bytes.
const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// Time limit for the exchange that finds the version, and for opening a stream: an Engine that is
/// starting answers late.
pub(super) const PING_LIMIT: Duration = Duration::from_secs(30);
/// Time for a stream to tell why it ended.
const END_LIMIT: Duration = Duration::from_secs(1);

/// A stream that takes one request at a time.
pub(super) struct RequestSender {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Ends with the stream, and returns the reason that the stream told.
    driver: JoinHandle<Option<TransportError>>,
}

/// An exchange that failed.
pub(super) struct FailedExchange {
    pub error: TransportError,
    /// True if the stream told the error before an Engine got anything.
    pub refused: bool,
    /// True if the Engine cannot have received the request.
    pub unsent: bool,
}

/// Opens a stream to the Engine of a host.
///
/// # Errors
/// [`TransportError`] if the stream cannot be opened.
pub(super) async fn open(connection: &dyn Connection) -> Result<RequestSender, TransportError> {
    let opened = async { RequestSender::start(connection.open_docker().await?).await };
    match tokio::time::timeout(PING_LIMIT, opened).await {
        Ok(result) => result,
        Err(_) => Err(TransportError::Timeout(PING_LIMIT)),
    }
}

impl RequestSender {
    async fn start(stream: DockerStream) -> Result<Self, TransportError> {
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, stream) =
            handshake.map_err(|error| TransportError::Lost(error.to_string()))?;
        let driver = tokio::spawn(async move {
            let ended = stream.await.err()?;
            tracing::debug!(error = %ended, "the stream to the Engine ended");
            told(&ended)
        });
        Ok(Self { sender, driver })
    }

    /// Sends one request, and reads its answer.
    ///
    /// # Errors
    /// [`FailedExchange`]; a stream that found no Engine tells its reason.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, FailedExchange> {
        let mut failure = match send(&mut self.sender, request).await {
            Err(failure) if !failure.refused && !is_limit(&failure.error) => failure,
            other => return other,
        };
        // The stream may have found no Engine before the request was there: only the stream knows.
        if let Ok(Ok(Some(error))) = tokio::time::timeout(END_LIMIT, &mut self.driver).await {
            (failure.error, failure.refused) = (error, true);
        }
        Err(failure)
    }
}

async fn send(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, FailedExchange> {
    sender.ready().await.map_err(|error| FailedExchange {
        unsent: true,
        ..failed(&error)
    })?;
    let answer = sender
        .try_send_request(request)
        .await
        .map_err(|mut error| {
            let unsent = error.take_message().is_some();
            FailedExchange {
                unsent,
                ..failed(error.error())
            }
        })?;
    let (parts, body) = answer.into_parts();
    let collected = Limited::new(body, BODY_LIMIT)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                FailedExchange {
                    error: TransportError::TooMuchOutput(BODY_LIMIT),
                    refused: false,
                    unsent: false,
                }
            } else {
                failed(error.as_ref())
            }
        })?;
    Ok(Response::from_parts(parts, collected.to_bytes()))
}

/// Returns the failure of an exchange whose request may have been received. A stream that found no
/// Engine tells so in the error of a read.
fn failed(error: &(dyn std::error::Error + 'static)) -> FailedExchange {
    if let Some(error) = told(error) {
        return FailedExchange {
            error,
            refused: true,
            unsent: false,
        };
    }
    FailedExchange {
        error: TransportError::Lost(format!("the Docker Engine closed the connection: {error}")),
        refused: false,
        unsent: false,
    }
}

/// Returns the error that the stream itself told, if it is the cause of this one.
fn told(error: &(dyn std::error::Error + 'static)) -> Option<TransportError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let told = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<TransportError>());
        if told.is_some() {
            return told.cloned();
        }
        cause = error.source();
    }
    None
}

pub(super) fn is_limit(error: &TransportError) -> bool {
    matches!(error, TransportError::TooMuchOutput(_))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;

    /// A stream of a host without an Engine.
    struct RefusingStream;

    impl AsyncRead for RefusingStream {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let why = "no Engine".to_owned();
            let error = TransportError::NoDocker {
                installed: false,
                why,
            };
            Poll::Ready(Err(io::Error::other(error)))
        }
    }

    impl AsyncWrite for RefusingStream {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            data: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(data.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn reason_of_a_stream_that_ended_early_reaches_a_late_request() {
        for late in [false, true] {
            let mut sender = RequestSender::start(Box::new(RefusingStream))
                .await
                .unwrap();
            if late {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let request = Request::get("/info").body(Full::default()).unwrap();
            let failure = sender.send(request).await.err().unwrap();
            let is_told = matches!(failure.error, TransportError::NoDocker { .. });
            assert!(
                is_told && failure.refused,
                "late: {late}, {}",
                failure.error
            );
        }
    }
}
