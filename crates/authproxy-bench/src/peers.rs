//! The sides of a comparison: a program in one configuration, and how it is started.

pub(crate) mod apache;
pub(crate) mod authproxy;
pub(crate) mod fastapi;
pub(crate) mod nginx;
pub(crate) mod plain;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    auth::AuthService,
    cores::{Cores, Width},
    load::{Errand, Question, burst},
    process::{Family, Process},
    stopwatch::{ask_until, now, wait},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Enough to keep a proxy busy with logins.
const LOGIN_CONNECTIONS: usize = 16;
/// Logins that are prepared at a time.
const LOGINS_AT_ONCE: u32 = 50_000;
/// Groups that log in one after the other where logins lie apart.
const LOGIN_GROUPS: u32 = 100;

/// A program in one configuration.
pub(crate) trait Side {
    /// Its name in tables.
    fn name(&self) -> &str;

    /// The program's version, as it says it.
    fn version(&self) -> io::Result<String>;

    /// What is configured, in a few words.
    fn configuration(&self) -> String;

    /// The requests of a measurement, for a side that is too slow for a window of time.
    fn requests(&self) -> Option<usize> {
        None
    }

    /// Starts it and brings it to where the load can begin.
    fn start(&self, stage: &Stage<'_>) -> io::Result<Running>;
}

/// What every side finds.
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) cores: Cores,
    pub(crate) upstream: SocketAddr,
    pub(crate) auth: &'a AuthService,
    /// What sides are run under.
    pub(crate) under: &'a str,
    /// For configurations and logs.
    pub(crate) directory: &'a Path,
    pub(crate) shape: Shape,
}

/// What the load is like, as far as a side has to know of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) errand: Errand,
    pub(crate) connections: usize,
    /// How many sessions the load's requests belong to.
    pub(crate) sessions: u32,
    pub(crate) width: Width,
    /// Whether the proxy speaks TLS, with HTTP/2 for those who want it.
    pub(crate) tls: bool,
}

/// A side that serves, until it is dropped.
pub(crate) struct Running {
    /// Those whose cost counts.
    pub(crate) processes: Vec<Process>,
    /// What it needs and what does not count: ends after it.
    pub(crate) beside: Vec<Process>,
    pub(crate) address: SocketAddr,
    /// What its load asks, in turn.
    pub(crate) questions: Vec<Question>,
}

impl Running {
    /// All its processes whose cost counts, once they exist.
    pub(crate) fn family(&self) -> io::Result<Family> {
        Family::of(&self.processes)
    }
}

impl Stage<'_> {
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Starts a program that will listen on `address`, and waits until it does.
    fn serve(&self, command: &[&str], address: SocketAddr, log: &str) -> io::Result<Process> {
        let command: Vec<&str> = self.under.split_ascii_whitespace().chain(command.iter().copied()).collect();
        self.serve_on(self.cores.proxy(self.shape.width).as_deref(), &command, address, log)
    }

    /// The same for what a side needs: on the core of the load.
    fn serve_beside(&self, command: &[&str], address: SocketAddr, log: &str) -> io::Result<Process> {
        self.serve_on(None, command, address, log)
    }

    fn serve_on(&self, cores: Option<&str>, command: &[&str], address: SocketAddr, log: &str) -> io::Result<Process> {
        let log = self.file(log);
        let mut process = Process::start(command, cores, &log)?;
        let is_up = ask_until(PATIENCE, || match TcpStream::connect(address) {
            Ok(_) => Some(true),
            Err(_) => process.has_ended().then_some(false),
        });
        match is_up {
            Some(true) => Ok(process),
            _ => Err(io::Error::other(format!("{} does not serve; see {}", command[0], log.display()))),
        }
    }

    /// Waits until a side answers rightly: some listen before they have read all of their configuration.
    fn await_answers(&self, side: Running) -> io::Result<Running> {
        let ask = || {
            let outcome = burst(side.address, &side.questions, 1, 1).run(|| ());
            (outcome.is_ok_and(|outcome| outcome.answers() == 1)).then_some(())
        };
        match ask_until(PATIENCE, ask) {
            Some(()) => Ok(side),
            None => Err(io::Error::other(format!("no right answer; see the logs in {}", self.directory.display()))),
        }
    }

    /// The questions of users without sessions; their cookie is as long as a session's, so that all sides read as much.
    fn questions_of_strangers(&self) -> Vec<Question> {
        (0..self.shape.sessions).map(|user| Question::new(self.shape.errand, user, &stranger(user))).collect()
    }
}

/// A cookie as long as a session's, another one for each user.
fn stranger(user: u32) -> String {
    format!("session_id={user:x>43}")
}

/// Logs in users 0, 1, 2, …; the cookie of each, as a request carries it.
pub(crate) fn log_in(address: SocketAddr, users: u32) -> io::Result<Vec<String>> {
    log_in_by(Question::login, address, 0..users)
}

/// The same, not at once but over so much time.
fn log_in_over(time: Duration, address: SocketAddr, users: u32) -> io::Result<Vec<String>> {
    let begun = now();
    let mut cookies = Vec::new();
    for group in 0..LOGIN_GROUPS {
        let of = |group: u32| users * group / LOGIN_GROUPS;
        cookies.extend(log_in_by(Question::login, address, of(group)..of(group + 1))?);
        wait((time * (group + 1) / LOGIN_GROUPS).saturating_sub(now() - begun));
    }
    Ok(cookies)
}

/// The same at once, by such requests.
pub(crate) fn log_in_by(login: fn(u32) -> Question, address: SocketAddr, users: Range<u32>) -> io::Result<Vec<String>> {
    let mut cookies = Vec::new();
    let mut first = users.start;
    while first < users.end {
        let end = users.end.min(first + LOGINS_AT_ONCE);
        let questions: Vec<_> = (first..end).map(login).collect();
        let connections = LOGIN_CONNECTIONS.min(questions.len());
        let mut outcome = burst(address, &questions, connections, questions.len()).run(|| ())?;
        outcome.cookies.sort_unstable();
        cookies.extend(outcome.cookies.drain(..).map(|(_, cookie)| cookie));
        if cookies.len() != (end - users.start) as usize {
            return Err(io::Error::other(format!("not every login was one: {:?}", outcome.failures())));
        }
        first = end;
    }
    Ok(cookies)
}

/// A port that is free now.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The first line that a program prints when it is asked for its version.
fn version_of(program: &Path, arguments: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}; scripts/bench installs the peers", program.display()))
    })?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Ok(version_in(&text).to_owned())
}

/// What follows the last "version:" of the first line that says something, or all of that line.
fn version_in(text: &str) -> &str {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.rsplit(['v', 'V']).find_map(|part| part.strip_prefix("ersion:")).unwrap_or(line).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_print() {
        for (text, version) in [
            ("nginx version: nginx/1.22.1\n", "nginx/1.22.1"),
            ("\n/usr/bin/envoy  version: 9e55/1.40.0\n", "9e55/1.40.0"),
            ("Version:      3.7.15\nCodename: x\n", "3.7.15"),
            ("authproxy 0.1.0\n", "authproxy 0.1.0"),
            ("v2.11.7 h1:x\n", "v2.11.7 h1:x"),
        ] {
            assert_eq!(version_in(text), version);
        }
    }
}
