//! One connection of a [`FakeUpstream`](super::FakeUpstream), byte by byte.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{RecordedRequest, http1::position, socket::Stream, tally::Pattern};

const LONGEST_HEAD: usize = 1024 * 1024;
const LONGEST_LINE: usize = 16 * 1024;
/// The most that is read at once.
const READ: usize = 64 * 1024;
/// How long a peer has to take nothing to count as stalled.
const STALL: Duration = Duration::from_millis(300);

pub(super) struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
}

/// What of a request's body is still to be read.
#[derive(Clone, Copy)]
pub(super) enum Unread {
    Bytes(u64),
    Chunks,
}

/// What a piece of a body is.
pub(super) enum Piece<'a> {
    /// As it came.
    Raw(&'a [u8]),
    /// Without chunks.
    Data(&'a [u8]),
}

impl Unread {
    pub(super) fn of(head: &RecordedRequest) -> Self {
        let length = head.header("content-length").and_then(|length| length.parse().ok());
        if head.is_chunked() { Self::Chunks } else { Self::Bytes(length.unwrap_or(0)) }
    }
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The next head; `None` when the peer has closed instead, or sends what is none.
    pub(super) async fn head(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = position(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(self.buffer.drain(..end + 4).collect()));
            }
            if self.buffer.len() > LONGEST_HEAD || !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// Reads a body and shows its pieces; an error when it does not come to its end.
    pub(super) async fn body(&mut self, unread: Unread, mut see: impl FnMut(Piece<'_>)) -> io::Result<()> {
        match unread {
            Unread::Bytes(length) => self.bytes(length, &mut see).await,
            Unread::Chunks => self.chunks(&mut see).await,
        }
    }

    async fn bytes(&mut self, mut left: u64, see: &mut impl FnMut(Piece<'_>)) -> io::Result<()> {
        while left > 0 {
            if self.buffer.is_empty() && !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            see(Piece::Raw(&self.buffer[..length]));
            see(Piece::Data(&self.buffer[..length]));
            self.buffer.drain(..length);
            left -= length as u64;
        }
        Ok(())
    }

    /// RFC 9112, section 7.1.
    async fn chunks(&mut self, see: &mut impl FnMut(Piece<'_>)) -> io::Result<()> {
        loop {
            let line = self.line(see).await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
            if size == 0 {
                while !self.line(see).await?.is_empty() {}
                return Ok(());
            }
            self.bytes(size, see).await?;
            if !self.line(see).await?.is_empty() {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// A line without its end.
    async fn line(&mut self, see: &mut impl FnMut(Piece<'_>)) -> io::Result<String> {
        loop {
            if let Some(end) = position(&self.buffer, b"\r\n") {
                see(Piece::Raw(&self.buffer[..end + 2]));
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.buffer.len() > LONGEST_LINE || !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Waits for more; false when the peer has closed.
    pub(super) async fn more(&mut self) -> io::Result<bool> {
        self.buffer.reserve(READ);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// Waits until the peer has gone. What it still says is dropped.
    pub(super) async fn gone(&mut self) {
        while self.more().await.unwrap_or(false) {
            self.buffer.clear();
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Writes a pattern; `progress` hears of every piece that was taken, and of `None` when none was for a while.
    pub(super) async fn fill(&mut self, length: u64, mut progress: impl FnMut(Option<usize>)) -> io::Result<()> {
        let mut pattern = Pattern::new(length);
        while let Some(mut block) = pattern.next_block() {
            while !block.is_empty() {
                let taken = if let Ok(taken) = timeout(STALL, self.stream.write(block)).await {
                    taken?
                } else {
                    progress(None);
                    self.stream.write(block).await?
                };
                progress(Some(taken));
                block = &block[taken..];
            }
        }
        self.stream.flush().await
    }

    /// Writes back what comes, until the peer has gone.
    pub(super) async fn echo(&mut self) -> io::Result<()> {
        loop {
            let bytes = std::mem::take(&mut self.buffer);
            self.write(&bytes).await?;
            if !self.more().await? {
                return Ok(());
            }
        }
    }

    pub(super) fn reset(self) {
        self.stream.reset();
    }
}
