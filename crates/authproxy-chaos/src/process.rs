//! A child process: killed when its handle is dropped, and by the kernel when the harness dies.

use std::{fs::File, io, path::Path, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// How long a program that was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running program.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a program with nothing in its environment but `environment`, its output appended to a file.
    ///
    /// The kernel kills it when the thread that calls this ends: call it from a thread that lives as long as the harness.
    pub(crate) fn start(command: &[&str], environment: &[(&str, &str)], log: &Path) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .args(command)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::other(format!("{error}: this needs setpriv: apt-get install util-linux")))?;
        Ok(Self { child })
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end, at most for so long; whether it came.
    pub(crate) async fn ended_within(&mut self, patience: Duration) -> bool {
        timeout(patience, self.child.wait()).await.is_ok()
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        let _ = self.child.start_kill();
        let _ = timeout(PATIENCE, self.child.wait()).await;
    }

    /// What it takes of the memory, in KiB, as the kernel says.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // A child that was waited for has no id any more, so nobody else can be hit.
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            let _ = kill_process(id, signal);
        }
    }
}
