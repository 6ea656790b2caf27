//! Plays on HTTP/1.1 connections.

use std::{io, sync::Arc};

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    EventStream, Shared,
    play::{Framing, Play, Step},
    received::Receiving,
    wire::{Piece, Unread, Wire},
};
use crate::{Answer, RecordedRequest, socket::Stream};

/// What becomes of the connection after a request.
enum Then {
    Keep,
    Close,
    Reset,
}

/// One request and what was done with it so far.
struct Exchange<'a> {
    shared: &'a Shared,
    wire: &'a mut Wire,
    /// Its place among all requests.
    place: usize,
    head: RecordedRequest,
    unread: Option<Unread>,
}

/// Serves one connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, stream: Stream) {
    let connection = shared.connected();
    let mut wire = Wire::new(stream);
    // An error means that the peer has gone, which is its right.
    while let Ok(Some(head)) = wire.head().await {
        match answer(&shared, &mut wire, Receiving::new(head, connection.place)).await {
            Ok(Then::Keep) => {}
            Ok(Then::Reset) => return wire.reset(),
            Ok(Then::Close) | Err(_) => return,
        }
    }
}

async fn answer(shared: &Shared, wire: &mut Wire, receiving: Receiving) -> io::Result<Then> {
    let head = receiving.head().clone();
    let place = shared.arrived(receiving);
    let mut exchange = Exchange { shared, wire, place, unread: Some(Unread::of(&head)), head };
    let play = if let Some(play) = shared.scripted(exchange.head.path()) {
        play
    } else {
        exchange.read_body().await?;
        shared.improvised(place)
    };
    let then = exchange.perform(play).await?;
    if matches!(then, Then::Keep) {
        exchange.read_body().await?;
    }
    Ok(then)
}

impl Exchange<'_> {
    async fn perform(&mut self, play: Play) -> io::Result<Then> {
        for step in play.steps {
            match step {
                Step::ReadBody => self.read_body().await?,
                Step::Answer(answer, framing) => {
                    self.answer(&answer, &framing).await?;
                    if matches!(framing, Framing::UntilClose) {
                        return Ok(Then::Close);
                    }
                }
                Step::Write(bytes) => self.wire.write(&bytes).await?,
                Step::Fill(length) => {
                    let shared = self.shared;
                    self.wire.fill(length, |taken| shared.filled(taken)).await?;
                }
                // Looking for the peer's end would read the body.
                Step::Hold(gate) if self.has_unread_body() => gate.pass().await,
                Step::Hold(gate) => tokio::select! {
                    () = gate.pass() => {}
                    () = self.wire.gone() => return Ok(Then::Close),
                },
                Step::Events(events) => return self.events(&events).await,
                Step::Handshake => self.handshake().await?,
                Step::Echo => {
                    self.wire.echo().await?;
                    return Ok(Then::Close);
                }
                Step::Never => {
                    self.wire.gone().await;
                    return Ok(Then::Close);
                }
                Step::Close => return Ok(Then::Close),
                Step::CloseAtNextByte => {
                    self.wire.more().await?;
                    return Ok(Then::Close);
                }
                Step::Reset => return Ok(Then::Reset),
            }
        }
        Ok(Then::Keep)
    }

    fn has_unread_body(&self) -> bool {
        !matches!(self.unread, None | Some(Unread::Bytes(0)))
    }

    async fn read_body(&mut self) -> io::Result<()> {
        let Some(unread) = self.unread.take() else { return Ok(()) };
        let (shared, place) = (self.shared, self.place);
        let see = |piece: Piece<'_>| {
            shared.receiving(place, |receiving| match piece {
                Piece::Raw(bytes) => receiving.raw(bytes),
                Piece::Data(bytes) => receiving.data(bytes),
            });
        };
        self.wire.body(unread, see).await?;
        shared.receiving(place, Receiving::complete);
        Ok(())
    }

    async fn answer(&mut self, answer: &Answer, framing: &Framing) -> io::Result<()> {
        let mut bytes = match framing {
            Framing::Length => answer.head(Some(answer.body.len())),
            Framing::Chunked(_) => answer.clone().with_header("transfer-encoding", "chunked").head(None),
            Framing::UntilClose => answer.head(None),
        };
        if self.head.method() != "HEAD" {
            match framing {
                Framing::Chunked(trailers) => bytes.extend(chunks(&answer.body, trailers)),
                _ => bytes.extend(&answer.body),
            }
        }
        self.wire.write(&bytes).await
    }

    async fn events(&mut self, events: &EventStream) -> io::Result<Then> {
        let mut listening = events.listen();
        let answer = Answer::new(200, "text/event-stream", "").with_header("transfer-encoding", "chunked");
        self.wire.write(&answer.head(None)).await?;
        loop {
            let event = tokio::select! {
                event = listening.next() => event,
                () = self.wire.gone() => return Ok(Then::Close),
            };
            let Some(event) = event else { break };
            self.wire.write(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
        }
        self.wire.write(b"0\r\n\r\n").await?;
        Ok(Then::Keep)
    }

    async fn handshake(&mut self) -> io::Result<()> {
        let key = self.head.header("sec-websocket-key").unwrap_or_default();
        let salted = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let accept = STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, salted.as_bytes()));
        let answer = Answer { status: 101, headers: Vec::new(), body: Vec::new() }
            .with_header("connection", "Upgrade")
            .with_header("upgrade", "websocket")
            .with_header("sec-websocket-accept", &accept);
        self.wire.write(&answer.head(None)).await
    }
}

/// A body in chunks, two where it is long enough.
fn chunks(body: &[u8], trailers: &[(String, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (first, second) = body.split_at(body.len() / 2);
    for chunk in [first, second].into_iter().filter(|chunk| !chunk.is_empty()) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n");
    for (name, value) in trailers {
        bytes.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    bytes.extend(b"\r\n");
    bytes
}
