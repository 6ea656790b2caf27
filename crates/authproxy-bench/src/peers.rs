//! The sides of a comparison: a program in one configuration, and how it is started.

pub(crate) mod authproxy;
pub(crate) mod nginx;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{auth::AuthService, cores::Cores, load::Question, process::Process, stopwatch::ask_until};

const PATIENCE: Duration = Duration::from_secs(60);

/// A program in one configuration.
pub(crate) trait Side {
    /// Its name in tables.
    fn name(&self) -> &str;

    /// The program's version, as it says it.
    fn version(&self) -> io::Result<String>;

    /// What is configured, in a few words.
    fn configuration(&self) -> String;

    /// Starts it and brings it to where the load can begin.
    fn start(&self, stage: &Stage<'_>) -> io::Result<Running>;
}

/// What every side finds.
pub(crate) struct Stage<'a> {
    pub(crate) cores: Cores,
    pub(crate) upstream: SocketAddr,
    pub(crate) auth: &'a AuthService,
    /// How many sessions the load's requests belong to.
    pub(crate) sessions: u32,
    /// What sides are run under.
    pub(crate) under: &'a str,
    /// For configurations and logs.
    pub(crate) directory: &'a Path,
}

/// A side that serves, until it is dropped.
pub(crate) struct Running {
    pub(crate) process: Process,
    /// What it needs and what does not count: ends after it.
    #[expect(dead_code, reason = "held for its end")]
    pub(crate) beside: Vec<Process>,
    pub(crate) address: SocketAddr,
    /// What its load asks, in turn.
    pub(crate) questions: Vec<Question>,
}

impl Stage<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Starts a program that will listen on `address`, and waits until it does.
    fn serve(&self, command: &[&str], address: SocketAddr, log: &str) -> io::Result<Process> {
        let command: Vec<&str> = self.under.split_ascii_whitespace().chain(command.iter().copied()).collect();
        self.serve_on(self.cores.proxy(), &command, address, log)
    }

    /// The same for what a side needs: on the core of the load.
    fn serve_beside(&self, command: &[&str], address: SocketAddr, log: &str) -> io::Result<Process> {
        self.serve_on(None, command, address, log)
    }

    fn serve_on(&self, core: Option<usize>, command: &[&str], address: SocketAddr, log: &str) -> io::Result<Process> {
        let log = self.file(log);
        let mut process = Process::start(command, core, &log)?;
        let is_up = ask_until(PATIENCE, || match TcpStream::connect(address) {
            Ok(_) => Some(true),
            Err(_) => process.has_ended().then_some(false),
        });
        match is_up {
            Some(true) => Ok(process),
            _ => Err(io::Error::other(format!("{} does not serve; see {}", command[0], log.display()))),
        }
    }
}

/// A port that is free now.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The first line that a program prints when it is asked for its version.
fn version_of(program: &Path, flag: &str) -> io::Result<String> {
    let output = Command::new(program).arg(flag).stdin(Stdio::null()).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned())
}
