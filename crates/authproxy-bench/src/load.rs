//! The load: keep-alive connections in one thread, each with at most one request under way.
//!
//! Closed loop: every connection asks again as soon as it has its answer, which shows what a side can do. Open loop:
//! requests are due at fixed times whatever becomes of the others, and their latency counts from when they were due, so
//! that a side that stands still pays for all who wait meanwhile.

mod connection;
mod outcome;
mod question;

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    fd::OwnedFd,
};

use self::{
    connection::{Connection, Progress},
    outcome::Failure,
};
pub(crate) use self::{
    outcome::Outcome,
    question::{Errand, Question},
};
use crate::stopwatch::now;

/// How long answers are waited for when the measurement is over.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a load may take that is not bounded by time.
const LONGEST: Duration = Duration::from_secs(600);

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Each connection's as soon as it has its answer.
    Closed,
    /// So many a second.
    Open(u32),
}

/// What a side has to bear.
pub(crate) struct Load<'a> {
    pub(crate) address: SocketAddr,
    /// Asked in turn.
    pub(crate) questions: &'a [Question],
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    /// The most requests that are sent.
    pub(crate) requests: usize,
}

/// A fixed number of requests, in a closed loop, however long they take.
pub(crate) fn burst(address: SocketAddr, questions: &[Question], connections: usize, requests: usize) -> Load<'_> {
    let (pace, warm_up, window) = (Pace::Closed, Duration::ZERO, LONGEST);
    Load { address, questions, connections, pace, warm_up, window, requests }
}

impl Load<'_> {
    /// Bears down on the side; `edge` is called at the beginning and the end of what is measured.
    pub(crate) fn run(&self, edge: impl FnMut()) -> io::Result<Outcome> {
        Ok(self.run_and_hold(edge)?.0)
    }

    /// The same, with its connections, which are open until that is dropped.
    pub(crate) fn run_and_hold(&self, edge: impl FnMut()) -> io::Result<(Outcome, Held)> {
        let mut running = Running::new(self)?;
        running.run(edge)?;
        Ok((running.outcome, Held { _connections: running.connections }))
    }
}

/// Connections that nothing is asked on any more.
pub(crate) struct Held {
    _connections: Vec<Connection>,
}

struct Running<'a> {
    load: &'a Load<'a>,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// Connections without a request; the one that has waited longest is used first.
    idle: VecDeque<usize>,
    /// When requests were due for which no connection was free.
    waiting: VecDeque<Instant>,
    asked: usize,
    /// Requests without an answer yet.
    under_way: usize,
    from: Instant,
    until: Instant,
    outcome: Outcome,
}

impl<'a> Running<'a> {
    fn new(load: &'a Load<'a>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let connect = |place| -> io::Result<Connection> {
            let connection = Connection::open(load.address)?;
            watch(&epoll, &connection, place)?;
            Ok(connection)
        };
        let connections = (0..load.connections).map(connect).collect::<io::Result<Vec<_>>>()?;
        let from = now() + load.warm_up;
        let idle = (0..load.connections).collect();
        let (waiting, outcome, until) = (VecDeque::new(), Outcome::default(), from + load.window);
        Ok(Self { load, epoll, connections, idle, waiting, asked: 0, under_way: 0, from, until, outcome })
    }

    fn run(&mut self, mut edge: impl FnMut()) -> io::Result<()> {
        let mut due = now();
        let mut events = Vec::with_capacity(256);
        let mut began = None;
        let mut is_over = false;
        loop {
            let now = now();
            if began.is_none() && now >= self.from {
                edge();
                began = Some(now);
            }
            let is_enough = self.asked >= self.load.requests && self.is_done();
            if let Some(began) = began
                && !is_over
                && (now >= self.until || is_enough)
            {
                edge();
                is_over = true;
                self.outcome.elapsed = now - began;
            }
            if is_over && (self.is_done() || now >= self.until + PATIENCE) {
                self.give_up();
                return Ok(());
            }
            if !is_over {
                due = self.ask(now, due)?;
            }
            self.wait(if is_over { self.until + PATIENCE } else { due.min(self.until) }, &mut events)?;
            for event in events.drain(..) {
                let place = usize::try_from(event.data.u64()).expect("we gave it");
                let flags = event.flags;
                if flags.contains(epoll::EventFlags::OUT) {
                    self.write_on(place)?;
                }
                self.hear(place)?;
            }
        }
    }

    /// Asks all that is due by now; when the next question is.
    fn ask(&mut self, now: Instant, mut due: Instant) -> io::Result<Instant> {
        match self.load.pace {
            Pace::Closed => {
                while self.asked < self.load.requests
                    && let Some(place) = self.idle.pop_front()
                {
                    self.send(place, now)?;
                }
                Ok(self.until)
            }
            Pace::Open(per_second) => {
                let between = Duration::from_secs(1) / per_second.max(1);
                while due <= now && due < self.until {
                    self.waiting.push_back(due);
                    due += between;
                }
                self.send_waiting()?;
                Ok(due)
            }
        }
    }

    fn send_waiting(&mut self) -> io::Result<()> {
        while let (Some(place), Some(due)) = (self.idle.front().copied(), self.waiting.front().copied()) {
            self.idle.pop_front();
            self.waiting.pop_front();
            self.send(place, due)?;
        }
        Ok(())
    }

    fn send(&mut self, place: usize, due: Instant) -> io::Result<()> {
        let question = self.asked % self.load.questions.len();
        self.asked += 1;
        self.under_way += 1;
        match self.connections[place].ask(&self.load.questions[question], question, due) {
            Ok(true) => Ok(()),
            Ok(false) => self.listen(place, epoll::EventFlags::IN | epoll::EventFlags::OUT),
            Err(_) => self.fail(place, Failure::Closed),
        }
    }

    /// Writes on what did not fit into a connection's socket.
    fn write_on(&mut self, place: usize) -> io::Result<()> {
        match self.connections[place].write_on(self.load.questions) {
            Ok(true) => self.listen(place, epoll::EventFlags::IN),
            Ok(false) => Ok(()),
            Err(_) => self.fail(place, Failure::Closed),
        }
    }

    fn listen(&self, place: usize, to: epoll::EventFlags) -> io::Result<()> {
        let data = epoll::EventData::new_u64(place as u64);
        Ok(epoll::modify(&self.epoll, self.connections[place].stream(), data, to)?)
    }

    /// Reads what a connection has to say.
    fn hear(&mut self, place: usize) -> io::Result<()> {
        match self.connections[place].hear(self.load.questions) {
            Ok(Progress::Partial) => Ok(()),
            Ok(Progress::Answered { question, due, cookie }) => {
                let now = now();
                self.under_way -= 1;
                self.outcome.told(question, cookie);
                let counts = match self.load.pace {
                    Pace::Closed => self.from <= now && now < self.until,
                    Pace::Open(_) => self.from <= due,
                };
                if counts {
                    self.outcome.answered(now - due);
                }
                match self.load.pace {
                    Pace::Closed if now < self.until && self.asked < self.load.requests => self.send(place, now),
                    Pace::Closed | Pace::Open(_) => {
                        self.idle.push_back(place);
                        self.send_waiting()
                    }
                }
            }
            Err(failure) => self.fail(place, failure),
        }
    }

    /// Counts a failure, whenever it happens, and puts a new connection in the place of the one that has failed.
    fn fail(&mut self, place: usize, failure: Failure) -> io::Result<()> {
        if self.connections[place].is_asking() {
            self.under_way -= 1;
            self.outcome.failed(failure);
        }
        self.connections[place] = Connection::open(self.load.address)?;
        watch(&self.epoll, &self.connections[place], place)?;
        if !self.idle.contains(&place) {
            self.idle.push_back(place);
        }
        Ok(())
    }

    fn wait(&self, deadline: Instant, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let left = Timespec::try_from(deadline.saturating_duration_since(now())).map_err(io::Error::other)?;
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }

    /// Counts what was never answered.
    fn give_up(&mut self) {
        for _ in 0..self.under_way + self.waiting.len() {
            self.outcome.failed(Failure::NoAnswer);
        }
    }
}

fn watch(epoll: &OwnedFd, connection: &Connection, place: usize) -> io::Result<()> {
    let data = epoll::EventData::new_u64(place as u64);
    Ok(epoll::add(epoll, connection.stream(), data, epoll::EventFlags::IN)?)
}
