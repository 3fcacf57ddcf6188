//! gRPC at as little cost as it can have: the frames of a call are made beforehand, but for the number of their stream, and
//! of the answer only their kinds and lengths are looked at (RFC 9113, RFC 7541).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::model;

/// The method that is called.
const METHOD: &str = "/inference.GRPCInferenceService/ModelInfer";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const ACKNOWLEDGED: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// What every peer takes in one frame.
const FRAME_BYTES: usize = 16_384;
/// What we let the server send without asking: more than it will.
const WINDOW: u32 = 1 << 30;

/// `inference.ModelInferRequest`, as far as it is sent.
#[derive(Clone, PartialEq, Message)]
pub struct ModelInferRequest {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(message, repeated, tag = "5")]
    inputs: Vec<Tensor>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    raw_input_contents: Vec<Vec<u8>>,
}

/// A tensor without its elements; inputs and outputs have the same fields.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
}

/// The frames of a call, and where in them the numbers of its stream are.
#[derive(Clone)]
pub struct Call {
    frames: Vec<u8>,
    numbers: Vec<usize>,
    data_bytes: usize,
}

impl Call {
    /// An inference of rows of the bench's model.
    pub fn infer(address: SocketAddr, datatype: &str, rows: usize, tensor: Vec<u8>) -> anyhow::Result<Self> {
        let shape = vec![i64::try_from(rows)?, i64::from(model::COLUMNS)];
        let input = Tensor { name: "input".into(), datatype: datatype.into(), shape };
        let request =
            ModelInferRequest { model_name: "bench".into(), inputs: vec![input], raw_input_contents: vec![tensor] };
        let message = request.encode_to_vec();
        let mut body = vec![0];
        body.extend(u32::try_from(message.len())?.to_be_bytes());
        body.extend(message);

        let mut call = Self { frames: Vec::new(), numbers: Vec::new(), data_bytes: body.len() };
        call.push(HEADERS, END_HEADERS, &head(address)?);
        let parts = body.chunks(FRAME_BYTES).count();
        for (at, part) in body.chunks(FRAME_BYTES).enumerate() {
            call.push(DATA, if at + 1 == parts { END_STREAM } else { 0 }, part);
        }
        Ok(call)
    }

    fn push(&mut self, kind: u8, flags: u8, payload: &[u8]) {
        self.numbers.push(self.frames.len() + 5);
        self.frames.extend(frame(kind, flags, 0, payload));
    }
}

/// The header block, without a table: two entries of the static one, and literals.
fn head(address: SocketAddr) -> anyhow::Result<Vec<u8>> {
    let mut block = vec![0x83, 0x86];
    let mut literal = |name: &[u8], value: &str| -> anyhow::Result<()> {
        block.extend(name);
        block.push(u8::try_from(value.len()).ok().filter(|length| *length < 127).context("a long header")?);
        block.extend(value.as_bytes());
        Ok(())
    };
    literal(&[0x04], METHOD)?;
    literal(&[0x01], &address.to_string())?;
    literal(&[0x0f, 0x10], "application/grpc")?;
    literal(&[0x00, 2, b't', b'e'], "trailers")?;
    Ok(block)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A call that waits for its answer.
struct Asked {
    at: Instant,
    /// Bytes of messages.
    answered: usize,
}

/// A connection.
pub struct Channel {
    next: u32,
    /// What may still be sent before the server says more.
    window: usize,
    buffer: Vec<u8>,
    filled: usize,
}

/// What came of reading a frame.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: usize,
    first: [u8; 8],
}

impl Channel {
    pub async fn over(stream: &mut TcpStream) -> anyhow::Result<Self> {
        let window = [&[0, 4][..], &WINDOW.to_be_bytes()].concat();
        let hello = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, &window),
            frame(WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes()),
        ];
        stream.write_all(&hello.concat()).await?;
        let mut channel = Self { next: 1, window: 65_535, buffer: vec![0; 256 * 1024], filled: 0 };
        // the server's settings say how much of a stream it takes
        while channel.frame(stream).await?.kind != SETTINGS {}
        Ok(channel)
    }

    /// Keeps so many calls under way until a time comes, and then waits for those that still are.
    pub async fn drive(
        &mut self,
        stream: &mut TcpStream,
        call: &Call,
        calls: usize,
        until: Instant,
        latency: &mut Histogram<u64>,
    ) -> anyhow::Result<()> {
        let mut under_way: HashMap<u32, Asked> = HashMap::with_capacity(calls);
        let mut frames = Vec::new();
        loop {
            let now = Instant::now();
            let is_over = now >= until;
            frames.clear();
            while !is_over && under_way.len() < calls && self.window >= call.data_bytes {
                under_way.insert(self.begin(call, &mut frames), Asked { at: now, answered: 0 });
            }
            stream.write_all(&frames).await?;
            if is_over && under_way.is_empty() {
                return Ok(());
            }
            self.hear(stream, &mut under_way, latency).await?;
            while self.has_frame() {
                self.hear(stream, &mut under_way, latency).await?;
            }
        }
    }

    /// Appends the frames of a call; the number of its stream.
    fn begin(&mut self, call: &Call, frames: &mut Vec<u8>) -> u32 {
        let number = self.next;
        self.next += 2;
        self.window -= call.data_bytes;
        let first = frames.len();
        frames.extend(&call.frames);
        for at in &call.numbers {
            frames[first + at..first + at + 4].copy_from_slice(&number.to_be_bytes());
        }
        number
    }

    /// Reads a frame of the calls that are under way.
    async fn hear(
        &mut self,
        stream: &mut TcpStream,
        under_way: &mut HashMap<u32, Asked>,
        latency: &mut Histogram<u64>,
    ) -> anyhow::Result<()> {
        let frame = self.frame(stream).await?;
        let Some(asked) = under_way.get_mut(&frame.stream) else { return Ok(()) };
        match frame.kind {
            DATA => asked.answered += frame.payload,
            HEADERS if frame.flags & END_STREAM != 0 => {
                if asked.answered <= 5 {
                    bail!("the call failed: no message came before its end");
                }
                latency.saturating_record(u64::try_from(asked.at.elapsed().as_nanos())?);
                under_way.remove(&frame.stream);
            }
            HEADERS | WINDOW_UPDATE => {}
            kind => bail!("the server ended the call with a frame of kind {kind}"),
        }
        Ok(())
    }

    /// Whether a whole frame has been read already.
    fn has_frame(&self) -> bool {
        let payload = u32::from_be_bytes([0, self.buffer[0], self.buffer[1], self.buffer[2]]) as usize;
        self.filled >= 9 + payload
    }

    /// Reads a frame, and does what it asks of the connection.
    async fn frame(&mut self, stream: &mut TcpStream) -> anyhow::Result<Frame> {
        self.at_least(stream, 9).await?;
        let head = &self.buffer[..9];
        let payload = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let number = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & (u32::MAX >> 1);
        self.at_least(stream, 9 + payload).await?;
        let mut first = [0; 8];
        let shown = payload.min(8);
        first[..shown].copy_from_slice(&self.buffer[9..9 + shown]);
        self.buffer.copy_within(9 + payload..self.filled, 0);
        self.filled -= 9 + payload;
        let read = Frame { kind, flags, stream: number, payload, first };
        match (read.kind, read.flags & ACKNOWLEDGED) {
            (SETTINGS, 0) => stream.write_all(&frame(SETTINGS, ACKNOWLEDGED, 0, &[])).await?,
            (PING, 0) => stream.write_all(&frame(PING, ACKNOWLEDGED, 0, &read.first)).await?,
            (WINDOW_UPDATE, _) if read.stream == 0 => {
                let [a, b, c, d, ..] = read.first;
                self.window += u32::from_be_bytes([a, b, c, d]) as usize;
            }
            _ => {}
        }
        Ok(read)
    }

    async fn at_least(&mut self, stream: &mut TcpStream, bytes: usize) -> anyhow::Result<()> {
        while self.filled < bytes {
            let room = self.buffer.get_mut(self.filled..).filter(|room| !room.is_empty()).context("a long frame")?;
            let read = stream.read(room).await?;
            if read == 0 {
                bail!("the server closed the connection");
            }
            self.filled += read;
        }
        Ok(())
    }
}
