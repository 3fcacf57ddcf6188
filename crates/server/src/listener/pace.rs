//! Bodies and sockets that wait for the other side, but not for ever.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::crowd::{Member, Told, UnderWay};

/// The longest that a reader of a body waits for its next [`PACE_BYTES`], and a writer for room in the socket.
pub const STALL_MAX: Duration = Duration::from_secs(20);
/// Fewer bytes than these in [`STALL_MAX`] are no progress: a byte now and then would hold a place for ever, and the
/// slowest modem sends more.
const PACE_BYTES: usize = 1_024;

/// How long what still arrives is passed over, once the last answer is sent: a client that first sends all of a body and then
/// reads would otherwise find its connection broken instead of the answer that says why its body was not read.
const LINGER_MAX: Duration = Duration::from_secs(10);
/// Bytes that are passed over at a time.
const LINGER_BYTES: usize = 8 << 10;

/// The other side kept a body waiting too long.
#[derive(Debug, thiserror::Error)]
#[error("fewer than {PACE_BYTES} bytes of the body arrived in {} s", STALL_MAX.as_secs())]
pub struct Stalled;

/// A request's body, of which there must be progress. What the reader does between two frames does not count.
pub struct Paced<B> {
    body: B,
    stall_max: Duration,
    /// Made when the reader first has to wait: most bodies arrive with their headers.
    clock: Option<Pin<Box<Sleep>>>,
    waiting_since: Option<Instant>,
    waited: Duration,
    arrived: usize,
}

impl<B> Paced<B> {
    /// A body that must keep coming.
    pub fn new(body: B) -> Self {
        Self { body, stall_max: STALL_MAX, clock: None, waiting_since: None, waited: Duration::ZERO, arrived: 0 }
    }

    fn arrived(&mut self, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        self.arrived += bytes;
        if self.arrived >= PACE_BYTES {
            (self.arrived, self.waited) = (0, Duration::ZERO);
        }
    }

    fn is_out_of_patience(&mut self, context: &mut Context<'_>) -> bool {
        let left = self.stall_max.saturating_sub(self.waited);
        let clock = self.clock.get_or_insert_with(|| Box::pin(sleep(left)));
        if self.waiting_since.is_none() {
            let now = Instant::now();
            self.waiting_since = Some(now);
            clock.as_mut().reset(now + left);
        }
        clock.as_mut().poll(context).is_ready()
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.arrived(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => Poll::Ready(ended.map(|error| error.map_err(Into::into))),
            Poll::Pending if self.is_out_of_patience(context) => Poll::Ready(Some(Err(Box::new(Stalled)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body; the request is under way until it is sent.
pub struct Answering<B> {
    body: B,
    /// Held for its end.
    _under_way: UnderWay,
}

impl<B> Answering<B> {
    /// A body that answers a request.
    pub fn new(body: B, under_way: UnderWay) -> Self {
        Self { body, _under_way: under_way }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket whose other side must take what is sent to it, and may finish what it sends.
pub struct Patient {
    stream: TcpStream,
    member: Arc<Member>,
    /// Made when the socket is full, and dropped when there is room again.
    clock: Option<Pin<Box<Sleep>>>,
    /// Made when the last answer is sent.
    lingers: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    /// A socket that does not wait for ever, of one who is connected.
    pub fn new(stream: TcpStream, member: Arc<Member>) -> Self {
        Self { stream, member, clock: None, lingers: None }
    }

    /// Passes over what still arrives, until the other side ends too or has had its time. One who was told to go has none.
    fn linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut passed_over = [MaybeUninit::uninit(); LINGER_BYTES];
        while self.member.told() == Told::Nothing {
            let clock = self.lingers.get_or_insert_with(|| Box::pin(sleep(LINGER_MAX)));
            if clock.as_mut().poll(context).is_ready() {
                break;
            }
            let mut into = ReadBuf::uninit(&mut passed_over);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut into)) {
                Ok(()) if !into.filled().is_empty() => {}
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }

    fn paced<T>(&mut self, context: &mut Context<'_>, tried: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if tried.is_ready() {
            self.clock = None;
            return tried;
        }
        let clock = self.clock.get_or_insert_with(|| Box::pin(sleep(STALL_MAX)));
        ready!(clock.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side does not take what is sent to it")))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.paced(context, tried)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.paced(context, tried)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingers.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        }
        self.linger(context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use http_body_util::{BodyExt, StreamBody};

    /// A body of frames of so many bytes, each after a wait.
    fn frames(count: usize, bytes: usize, wait: Duration) -> impl Body<Data = Bytes, Error = io::Error> + Unpin {
        let stream = futures::stream::iter(0..count).then(move |_| async move {
            sleep(wait).await;
            Ok::<_, io::Error>(Frame::data(Bytes::from(vec![0; bytes])))
        });
        StreamBody::new(stream.boxed())
    }

    /// Short, so that the tests are, but longer than a machine that is busy lets a task wait.
    const STALL: Duration = Duration::from_millis(1_500);

    fn paced<B>(body: B) -> Paced<B> {
        Paced { stall_max: STALL, ..Paced::new(body) }
    }

    #[tokio::test]
    async fn a_large_body_may_take_long_as_long_as_bytes_flow() {
        let begun = Instant::now();
        let body = paced(frames(20, PACE_BYTES, STALL / 10));

        let read = body.collect().await.unwrap().to_bytes();

        assert_eq!(read.len(), 20 * PACE_BYTES);
        assert!(begun.elapsed() > STALL, "it took longer than any single wait may");
    }

    #[tokio::test]
    async fn a_byte_now_and_then_is_no_progress() {
        let begun = Instant::now();
        let body = paced(frames(1_000, 1, STALL / 20));

        let error = body.collect().await.unwrap_err();

        assert!(error.is::<Stalled>());
        assert!(begun.elapsed() >= STALL && begun.elapsed() < STALL * 5, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_slow_reader_is_not_held_against_the_sender() {
        let mut body = paced(frames(3, 10, STALL / 20));
        for _ in 0..3 {
            body.frame().await.unwrap().unwrap();
            sleep(STALL).await;
        }
    }
}
