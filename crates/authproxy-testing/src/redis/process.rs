//! A child process that dies with the test.

use std::{
    fs::File,
    io,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

pub(super) struct Process(Child);

impl Process {
    /// Starts a program, its output in a file. It is killed when the thread that calls this ends.
    pub(super) fn start(arguments: &[String], log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("the log can be written");
        let program = &arguments[0];
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .map_or_else(|error| panic!("{program} was not started: {}", missing(program, &error)), Self)
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// SIGKILL, and waits until it is gone.
    pub(super) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// SIGSTOP.
    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
        kill_process(id, signal).expect("the child is not waited for yet");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Says how to install what is missing.
pub(super) fn missing(program: &str, error: &io::Error) -> String {
    format!("{error}. These tests need {program} and setpriv: apt-get install redis-server redis-tools util-linux")
}
