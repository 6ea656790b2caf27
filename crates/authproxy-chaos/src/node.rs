//! One `authproxy serve` process: its configuration, its life, its death.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use authproxy_testing::Port;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::process::Process;

/// How long a node may take to serve, or to end when it was told to.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a node is told, besides where it listens.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) program: PathBuf,
    /// For configurations and logs.
    pub(crate) directory: PathBuf,
    pub(crate) auth_url: String,
    pub(crate) upstream: SocketAddr,
    /// `backend.rotation`.
    pub(crate) rotation: String,
    pub(crate) backend_timeout: Duration,
    /// The lines of `[store]`.
    pub(crate) store: String,
    pub(crate) log_level: String,
}

/// A node of the fleet.
pub(crate) struct Node {
    name: String,
    program: PathBuf,
    configuration: PathBuf,
    log: PathBuf,
    process: Option<Process>,
    /// Its own, also while it is down: given back after the process has ended.
    port: Port,
}

impl Node {
    /// Writes the configuration down; nothing is started yet.
    pub(crate) fn prepare(name: &str, settings: &Settings) -> io::Result<Self> {
        let port = Port::reserve();
        let configuration = settings.directory.join(format!("{name}.toml"));
        fs::write(&configuration, text(port.address(), settings))?;
        let log = settings.directory.join(format!("{name}.log"));
        let program = settings.program.clone();
        Ok(Self { name: name.to_owned(), program, configuration, log, process: None, port })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Starts the process and waits until it serves.
    pub(crate) async fn start(&mut self) -> io::Result<()> {
        let (program, configuration) = (path(&self.program), path(&self.configuration));
        let mut process = Process::start(&[&program, "serve", "--config", &configuration], &[], &self.log)?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address()).await.is_err() {
            if process.has_ended() || Instant::now() > deadline {
                return Err(self.does_not_serve());
            }
            sleep(Duration::from_millis(2)).await;
        }
        self.process = Some(process);
        Ok(())
    }

    fn does_not_serve(&self) -> io::Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or_default();
        io::Error::other(format!("{} does not serve: {last}; see {}", self.name, self.log.display()))
    }

    /// SIGKILL; everything that it held in memory is gone when this returns.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// What the process takes of the memory, in KiB; 0 while there is none.
    pub(crate) fn memory(&self) -> u64 {
        self.process.as_ref().and_then(Process::memory).unwrap_or_default()
    }

    /// SIGSTOP: its sockets stay open, and it does nothing.
    pub(crate) fn stop(&self) {
        if let Some(process) = &self.process {
            process.stop();
        }
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        if let Some(process) = &self.process {
            process.resume();
        }
    }

    /// SIGTERM, and waits for its end; false when it had to be killed.
    pub(crate) async fn terminate(&mut self) -> bool {
        let Some(mut process) = self.process.take() else { return true };
        process.terminate();
        let ended = process.ended_within(PATIENCE).await;
        if !ended {
            process.kill().await;
        }
        ended
    }
}

fn text(address: SocketAddr, settings: &Settings) -> String {
    let Settings { auth_url, upstream, rotation, store, log_level, .. } = settings;
    let timeout = settings.backend_timeout.as_millis();
    format!(
        r#"listen = "{address}"
auth_url = "{auth_url}"

[backend]
timeout = "{timeout}ms"
connect_timeout = "{timeout}ms"
rotation = "{rotation}"

[store]
{store}

[log]
level = "{log_level}"

[[route]]
prefix = "/api"
upstream = "http://{upstream}"
"#
    )
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
