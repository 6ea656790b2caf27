//! A small HTTP/1.1 server for what stands behind the proxies: one thread, connections kept alive.
//!
//! It costs little, as it shares its core with the load: one read and one write a request, and no copy where a request
//! arrives whole.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    fd::OwnedFd,
};

use crate::stopwatch::now;

const LISTENER: u64 = 0;
const MOST_FIELDS: usize = 64;
/// How often a server that nobody asks looks whether it shall stop.
const ROUND: Duration = Duration::from_millis(200);

/// A request that has arrived whole.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    fields: &'a [httparse::Header<'a>],
    pub(crate) body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(crate) fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }
}

/// What answers requests.
pub(crate) trait Answering: Send + 'static {
    /// Appends a whole answer, head and body, to `out`; how long it is held back. All that are held back are for as long.
    fn answer(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Duration;
}

/// A server on a loopback port of its own, until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    pub(crate) fn start(name: &str, answering: impl Answering) -> io::Result<Self> {
        Self::start_at(name, |_| answering)
    }

    /// The same for what has to know where it is.
    pub(crate) fn start_at<A: Answering>(name: &str, answering: impl FnOnce(SocketAddr) -> A) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let answering = answering(address);
        let stopping = Arc::new(AtomicBool::new(false));
        let told = stopping.clone();
        let work = move || Loop::new(listener, answering)?.run(&told);
        let thread = std::thread::Builder::new().name(name.into()).spawn(work)?;
        Ok(Self { address, stopping, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Loop<A> {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    accepted: u64,
    /// Answers that are held back, in the order in which they are due.
    held: VecDeque<Held>,
    answering: A,
}

struct Held {
    due: Instant,
    place: usize,
    /// Whose answer it is: the place may have another connection by then.
    number: u64,
    answer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// Counted from the first that was accepted.
    number: u64,
    /// What has arrived of a request that is not whole.
    begun: Vec<u8>,
}

impl<A: Answering> Loop<A> {
    fn new(listener: TcpListener, answering: A) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        Ok(Self { epoll, listener, connections: Vec::new(), accepted: 0, held: VecDeque::new(), answering })
    }

    fn run(mut self, stopping: &AtomicBool) -> io::Result<()> {
        let mut events = Vec::with_capacity(256);
        let mut input = vec![0; 64 * 1024];
        let mut output = Vec::new();
        while !stopping.load(Ordering::Relaxed) {
            let wait = self.held.front().map_or(ROUND, |held| held.due.saturating_duration_since(now()).min(ROUND));
            let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    place => self.serve(usize::try_from(place - 1).expect("we gave it"), &mut input, &mut output),
                }
            }
            self.release();
        }
        Ok(())
    }

    /// Writes the answers that were held back for long enough.
    fn release(&mut self) {
        while let Some(held) = self.held.pop_front_if(|held| held.due <= now()) {
            if let Some(Some(connection)) = self.connections.get_mut(held.place)
                && connection.number == held.number
                && connection.stream.write_all(&held.answer).is_err()
            {
                self.connections[held.place] = None;
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nodelay(true)?;
        let place = self.connections.iter().position(Option::is_none).unwrap_or(self.connections.len());
        epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(place as u64 + 1), epoll::EventFlags::IN)?;
        self.accepted += 1;
        let connection = Some(Connection { stream, number: self.accepted, begun: Vec::new() });
        match self.connections.get_mut(place) {
            Some(free) => *free = connection,
            None => self.connections.push(connection),
        }
        Ok(())
    }

    /// Answers what has arrived; a connection that fails is closed, which its other end counts.
    fn serve(&mut self, place: usize, input: &mut [u8], output: &mut Vec<u8>) {
        let Some(connection) = &mut self.connections[place] else { return };
        match connection.serve(&mut self.answering, input, output) {
            Ok(Duration::ZERO) => {}
            Ok(takes) => {
                let (due, number) = (now() + takes, connection.number);
                self.held.push_back(Held { due, place, number, answer: std::mem::take(output) });
            }
            Err(_) => self.connections[place] = None,
        }
    }
}

impl Connection {
    /// Answers what has arrived, or leaves the answer in `output` when it is to be held back: for how long.
    fn serve(
        &mut self,
        answering: &mut impl Answering,
        input: &mut [u8],
        output: &mut Vec<u8>,
    ) -> io::Result<Duration> {
        let arrived = match self.stream.read(input)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            arrived => &input[..arrived],
        };
        output.clear();
        let takes = if self.begun.is_empty() {
            let (used, takes) = answer_all(arrived, answering, output)?;
            self.begun.extend_from_slice(&arrived[used..]);
            takes
        } else {
            self.begun.extend_from_slice(arrived);
            let (used, takes) = answer_all(&self.begun, answering, output)?;
            self.begun.drain(..used);
            takes
        };
        if takes.is_zero() {
            self.stream.write_all(output)?;
        }
        Ok(takes)
    }
}

/// Answers every whole request at the front of `bytes`; how many bytes they had, and how long the answers are held back.
fn answer_all(bytes: &[u8], answering: &mut impl Answering, output: &mut Vec<u8>) -> io::Result<(usize, Duration)> {
    let mut used = 0;
    let mut takes = Duration::ZERO;
    while used < bytes.len() {
        let rest = &bytes[used..];
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut head = httparse::Request::new(&mut fields);
        let httparse::Status::Complete(begin) = head.parse(rest).map_err(io::Error::other)? else { break };
        let mut request = Request {
            method: head.method.unwrap_or_default(),
            target: head.path.unwrap_or_default(),
            fields: head.headers,
            body: &[],
        };
        let length = content_length(&request)?;
        let Some(body) = rest.get(begin..begin + length) else { break };
        request.body = body;
        takes = takes.max(answering.answer(&request, output));
        used += begin + length;
    }
    Ok((used, takes))
}

fn content_length(request: &Request<'_>) -> io::Result<usize> {
    let Some(value) = request.field("content-length") else {
        return match request.field("transfer-encoding") {
            None => Ok(0),
            Some(_) => Err(io::Error::other("a chunked request, which no load sends")),
        };
    };
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    struct Echo;

    impl Answering for Echo {
        fn answer(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Duration {
            out.extend_from_slice(request.target.as_bytes());
            out.extend_from_slice(request.body);
            Duration::from_millis(request.body.len() as u64)
        }
    }

    #[test]
    fn whole_requests_are_answered_and_a_part_of_one_is_left() {
        let bytes = b"GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyzPOST /c HTTP/1.1\r\n";
        let mut output = Vec::new();
        let (used, takes) = answer_all(bytes, &mut Echo, &mut output).unwrap();
        assert_eq!(takes, Duration::from_millis(3));
        assert_eq!((output.as_slice(), &bytes[used..]), (&b"/a/bxyz"[..], &b"POST /c HTTP/1.1\r\n"[..]));
        let rest = [&bytes[used..], b"content-length: 2\r\n\r\n1"].concat();
        assert_eq!(answer_all(&rest, &mut Echo, &mut output).unwrap(), (0, Duration::ZERO));
    }
}
