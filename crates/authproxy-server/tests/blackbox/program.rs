//! The program as a child process. Whatever becomes of a test, its child ends with it.

use std::{
    io::Read,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use authproxy_core::clock::{Clock, SystemClock, Timestamp};

/// Only a failing test waits for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The program while it runs.
pub(crate) struct Program {
    _temporary: Temporary,
    child: Child,
    stdout: Output,
    stderr: Output,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// Starts the program with nothing in its environment but `environment` and a folder for temporary files.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let temporary = Temporary::new();
        let mut child = Command::new(env!("CARGO_BIN_EXE_authproxy"))
            .args(arguments)
            .env_clear()
            .env("TMPDIR", &temporary.0)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = Output::collect(child.stdout.take().unwrap());
        let stderr = Output::collect(child.stderr.take().unwrap());
        Self { _temporary: temporary, child, stdout, stderr }
    }

    /// Runs the program to its end.
    pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        Self::start(arguments, environment).ended()
    }

    /// `authproxy dev` on a free port, serving.
    pub(crate) fn dev(arguments: &[&str]) -> (Self, SocketAddr) {
        Self::dev_with(arguments, &[])
    }

    /// [`Self::dev`] with an environment.
    pub(crate) fn dev_with(arguments: &[&str], environment: &[(&str, &str)]) -> (Self, SocketAddr) {
        let all = [&["dev", "--listen", "127.0.0.1:0"], arguments].concat();
        Self::start(&all, environment).serving()
    }

    /// `authproxy serve` on a free port in front of `auth_url`, serving.
    pub(crate) fn serve(auth_url: &str, environment: &[(&str, &str)]) -> (Self, SocketAddr) {
        let all = [&[("AUTH_URL", auth_url)], environment].concat();
        Self::start(&["serve", "--listen", "127.0.0.1:0"], &all).serving()
    }

    /// Waits until the program says where it serves.
    fn serving(self) -> (Self, SocketAddr) {
        let log = self.stderr.wait_for("serving");
        let after = log.split(r#""local":""#).nth(1).or_else(|| log.split("local=").nth(1)).unwrap();
        let address: String = after.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        (self, address.parse().unwrap())
    }

    /// Waits until `text` stands in the program's log.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        self.stderr.wait_for(text)
    }

    /// Waits until `text` stands on the standard output.
    pub(crate) fn wait_for_output(&self, text: &str) -> String {
        self.stdout.wait_for(text)
    }

    /// A size of this child in bytes, by its name in the kernel's list, such as `VmRSS`.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal, such as `TERM`, to this child only.
    pub(crate) fn signal(&self, name: &str) {
        let kill = ["-c", r#"kill -s "$1" "$2""#, "bash", name, &self.child.id().to_string()];
        assert!(Command::new("bash").args(kill).status().unwrap().success());
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> Ended {
        let (stdout, stderr) = (self.stdout.wait_for_end(), self.stderr.wait_for_end());
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout, stderr }
    }

    /// Asks it to stop and waits for the end.
    pub(crate) fn stop(self) -> Ended {
        self.signal("TERM");
        self.ended()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nobody to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A child's temporary files: one that is killed leaves them, and this goes with its test.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("authproxy-blackbox-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a child wrote so far.
#[derive(Clone)]
struct Output(Arc<(Mutex<Written>, Condvar)>);

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    fn collect(mut pipe: impl Read + Send + 'static) -> Self {
        let output = Self(Arc::default());
        let writer = output.clone();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            loop {
                let count = pipe.read(&mut chunk).unwrap_or(0);
                let (written, changed) = &*writer.0;
                let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
                written.bytes.extend_from_slice(&chunk[..count]);
                written.ended = count == 0;
                changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        output
    }

    fn wait_for(&self, text: &str) -> String {
        let written = self.wait_until(|written| written.ended || written.text().contains(text));
        assert!(written.contains(text), "{text:?} did not come; this did: {written}");
        written
    }

    fn wait_for_end(&self) -> String {
        self.wait_until(|written| written.ended)
    }

    /// Waits until `enough`; fails when that takes longer than anybody's patience.
    fn wait_until(&self, enough: impl Fn(&Written) -> bool) -> String {
        let (written, changed) = &*self.0;
        let written = written.lock().unwrap_or_else(PoisonError::into_inner);
        let (written, waited) = changed.wait_timeout_while(written, PATIENCE, |written| !enough(written)).unwrap();
        assert!(!waited.timed_out(), "nothing more came after: {}", written.text());
        written.text()
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Measures how long something takes.
pub(crate) struct Stopwatch {
    clock: SystemClock,
    began: Timestamp,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        let clock = SystemClock::new();
        let began = clock.now();
        Self { clock, began }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.now().since(self.began)
    }
}

/// Asks again and again, with short pauses, until the answer is yes; fails when it never is.
pub(crate) fn poll_until(what: &str, mut yes: impl FnMut() -> bool) {
    let watch = Stopwatch::start();
    while !yes() {
        assert!(watch.elapsed() < PATIENCE, "never: {what}");
        pause();
    }
}

/// Between two questions of a bounded loop.
pub(crate) fn pause() {
    thread::park_timeout(Duration::from_millis(20));
}
