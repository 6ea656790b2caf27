//! [`Bounded`]: a socket for which everything together may take so long and no longer.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use authproxy_core::clock::{Clock as _, SystemClock, Timestamp};

/// A connection with a deadline.
pub(super) struct Bounded {
    stream: TcpStream,
    deadline: Deadline,
}

struct Deadline {
    clock: SystemClock,
    at: Timestamp,
}

impl Bounded {
    /// Connects to one of a host's addresses.
    pub(super) fn connect(host: &str, port: u16, within: Duration) -> io::Result<Self> {
        let clock = SystemClock::new();
        let deadline = Deadline { at: clock.now().plus(within), clock };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, deadline.left()?) {
                Ok(stream) => return Ok(Self { stream, deadline }),
                Err(error) => last = timed_out(error),
            }
        }
        Err(last)
    }
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.deadline.left()?))?;
        self.stream.read(buffer).map_err(timed_out)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.deadline.left()?))?;
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Deadline {
    fn left(&self) -> io::Result<Duration> {
        match self.at.since(self.clock.now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }
}

/// A socket's timeout is "would block" on Unix; say what it means.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}
