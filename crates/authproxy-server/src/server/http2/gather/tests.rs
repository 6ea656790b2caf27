use std::task::Waker;

use super::*;

/// What each write has brought; takes so many more bytes.
struct Socket {
    writes: Vec<Vec<u8>>,
    room: usize,
    flushes: usize,
    is_closed: bool,
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(self.room);
        if taken == 0 {
            return Poll::Pending;
        }
        self.room -= taken;
        self.writes.push(bytes[..taken].to_vec());
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_closed = true;
        Poll::Ready(Ok(()))
    }
}

/// A connection: in each poll it writes what it has, flushing after each piece, and flushes at the end.
struct Connection {
    io: Gathering<Socket>,
    flushes: Flushes,
}

impl Connection {
    fn new(room: usize) -> Self {
        let flushes = Flushes::default();
        let socket = Socket { writes: Vec::new(), room, flushes: 0, is_closed: false };
        Self { io: Gathering::new(socket, flushes.clone()), flushes }
    }

    fn poll(&mut self, pieces: &[&[u8]]) {
        let mut pieces = pieces.iter();
        let cx = &mut Context::from_waker(Waker::noop());
        let _: Poll<()> = self.flushes.after(|| {
            for piece in pieces.by_ref() {
                if let Poll::Ready(written) = Pin::new(&mut self.io).poll_write(cx, piece) {
                    assert_eq!(written.unwrap(), piece.len());
                }
                ready!(Pin::new(&mut self.io).poll_flush(cx)).unwrap();
            }
            ready!(Pin::new(&mut self.io).poll_flush(cx)).unwrap();
            Poll::Pending
        });
    }

    fn writes(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.io.io.writes)
    }
}

#[test]
fn what_is_flushed_within_a_poll_is_written_at_its_end_and_once() {
    let mut connection = Connection::new(usize::MAX);
    connection.poll(&[b"one ", b"two ", b"three"]);
    assert_eq!(connection.writes(), [b"one two three"]);
    assert_eq!(connection.io.io.flushes, 1);
    connection.poll(&[]);
    assert!(connection.writes().is_empty());
    assert_eq!(connection.io.held.capacity(), 0, "a connection at rest holds no space");
}

#[test]
fn no_more_is_held_than_a_record_takes_and_nothing_overtakes() {
    let (most, half) = (vec![b'm'; MOST], vec![b'h'; MOST / 2]);
    let mut connection = Connection::new(usize::MAX);
    connection.poll(&[&half, &half, b"more"]);
    assert_eq!(connection.writes().iter().map(Vec::len).collect::<Vec<_>>(), [MOST, 4]);
    connection.poll(&[b"head", &most, b"tail"]);
    assert_eq!(connection.writes(), [b"head".to_vec(), most, b"tail".to_vec()]);
}

#[test]
fn what_a_socket_has_no_room_for_goes_out_later() {
    let mut connection = Connection::new(4);
    connection.poll(&[b"one ", b"two "]);
    assert_eq!(connection.writes(), [b"one "]);
    connection.poll(&[]);
    assert!(connection.writes().is_empty());
    connection.io.io.room = usize::MAX;
    connection.poll(&[b"three"]);
    assert_eq!(connection.writes(), [b"two three"]);
}

#[test]
fn a_closing_connection_writes_what_it_holds_first() {
    let mut connection = Connection::new(usize::MAX);
    let cx = &mut Context::from_waker(Waker::noop());
    let closed = connection.flushes.after(|| {
        assert!(Pin::new(&mut connection.io).poll_write(cx, b"goodbye").is_ready());
        assert!(Pin::new(&mut connection.io).poll_flush(cx).is_ready());
        Pin::new(&mut connection.io).poll_shutdown(cx)
    });
    assert!(closed.is_ready() && connection.io.io.is_closed);
    assert_eq!(connection.writes(), [b"goodbye"]);
}

#[test]
fn outside_a_poll_of_the_connection_nothing_is_put_off() {
    let mut connection = Connection::new(usize::MAX);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut connection.io).poll_write(cx, b"now").is_ready());
    assert!(Pin::new(&mut connection.io).poll_flush(cx).is_ready());
    assert_eq!(connection.writes(), [b"now"]);
}
