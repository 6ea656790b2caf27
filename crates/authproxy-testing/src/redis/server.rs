//! One Redis server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::{
    RedisOptions, ask_until,
    directory::Directory,
    process::{Process, missing},
    tls::RedisTlsFiles,
};
use crate::Port;

/// A `redis-server` child on 127.0.0.1. Killed when it is dropped.
pub struct RedisServer {
    process: Option<Process>,
    port: Port,
    options: RedisOptions,
    tls: Option<RedisTlsFiles>,
    sentinel: Option<PathBuf>,
    directory: Directory,
}

impl RedisServer {
    /// Starts a server on a free port that keeps nothing on disk, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start() -> Self {
        RedisOptions::default().start().await
    }

    /// Another way to start one: `RedisServer::options().password("..").start().await`.
    pub fn options() -> RedisOptions {
        RedisOptions::default()
    }

    pub(super) async fn start_with(options: RedisOptions) -> Self {
        Self::run(options, Directory::new(), None).await
    }

    /// A Sentinel with this configuration file's text, of the options only password and TLS.
    pub(super) async fn start_sentinel(options: RedisOptions, configuration: &str) -> Self {
        let directory = Directory::new();
        let file = directory.write("sentinel.conf", configuration);
        Self::run(options, directory, Some(file)).await
    }

    async fn run(options: RedisOptions, directory: Directory, sentinel: Option<PathBuf>) -> Self {
        let tls = options.tls.then(|| options.shared_tls.clone().unwrap_or_else(|| RedisTlsFiles::issue(&directory)));
        let mut server = Self { process: None, port: Port::reserve(), options, tls, sentinel, directory };
        server.spawn();
        assert!(server.is_up().await, "redis-server did not start: {}", server.log());
        server
    }

    /// What a `RedisStore` is told: `redis://`, `rediss://` or, with a Unix socket, `redis+unix://`. Holds the password.
    pub fn url(&self) -> String {
        let user = self.options.user.as_deref().unwrap_or_default();
        let password = self.options.password.as_deref();
        if self.options.unix {
            let query = password.map(|password| format!("?user={user}&pass={password}")).unwrap_or_default();
            return format!("redis+unix://{}{query}", self.socket().display());
        }
        let scheme = if self.options.tls { "rediss" } else { "redis" };
        let credentials = password.map(|password| format!("{user}:{password}@")).unwrap_or_default();
        format!("{scheme}://{credentials}{}", self.address())
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> String {
        self.port.address().to_string()
    }

    /// The port, the same after [`restart`](Self::restart).
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Where it keeps its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The certificates of a server with TLS.
    ///
    /// # Panics
    ///
    /// When it was started without.
    pub fn tls_files(&self) -> &RedisTlsFiles {
        self.tls.as_ref().expect("started with RedisOptions::tls")
    }

    /// What the server has written to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// SIGKILL. What it had not written to its file is lost.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Whether it was started and not killed since.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts it again on the same port, killed before or not: empty, or with its data where it was started with
    /// [`RedisOptions::appendonly`].
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.kill();
        self.spawn();
        assert!(self.is_up().await, "redis-server did not start again: {}", self.log());
    }

    /// SIGSTOP: its sockets stay open and nothing answers.
    pub fn pause(&self) {
        self.process.as_ref().expect("the server runs").pause();
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.as_ref().expect("the server runs").resume();
    }

    /// Runs one command with `redis-cli`, as the user that the server was started with; what it prints, trimmed.
    ///
    /// # Panics
    ///
    /// When there is no answer within ten seconds.
    pub async fn cli(&self, command: &[&str]) -> String {
        self.try_cli(command).await.unwrap_or_else(|| panic!("no answer from {} to {command:?}", self.address()))
    }

    /// The same; `None` when there is no answer within ten seconds, or no server.
    pub async fn try_cli(&self, command: &[&str]) -> Option<String> {
        let mut cli = Command::new("redis-cli");
        cli.args(["-h", "127.0.0.1", "-p", &self.port().to_string()]);
        self.authenticate(&mut cli);
        cli.args(command);
        cli.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let running = cli.output();
        match timeout(Duration::from_secs(10), running).await {
            Ok(Ok(output)) if output.status.success() => {
                Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            Ok(Ok(_)) | Err(_) => None,
            Ok(Err(error)) => panic!("redis-cli was not started: {}", missing("redis-cli", &error)),
        }
    }

    /// One field of `INFO`: `info("replication", "master_link_status")`.
    pub async fn info(&self, section: &str, field: &str) -> Option<String> {
        let info = self.try_cli(&["INFO", section]).await?;
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        Some(value.trim().to_owned())
    }

    /// How often each command was called since the start or [`reset_calls`](Self::reset_calls), from
    /// `INFO commandstats`: pairs like `("evalsha", 2)`. Commands that scripts call are counted as well; `info` and
    /// `config|resetstat`, which ask for this, are left out.
    pub async fn calls(&self) -> Vec<(String, u64)> {
        let stats = self.cli(&["INFO", "commandstats"]).await;
        let call = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = rest.split(',').next()?.parse().ok()?;
            (!["info", "config|resetstat"].contains(&name)).then(|| (name.to_owned(), calls))
        };
        stats.lines().filter_map(call).collect()
    }

    /// Counts from zero again.
    pub async fn reset_calls(&self) {
        self.cli(&["CONFIG", "RESETSTAT"]).await;
    }

    /// Has `redis-cli` log in, and speak TLS where the server does.
    pub(super) fn authenticate(&self, cli: &mut Command) {
        if let Some(password) = &self.options.password {
            cli.env("REDISCLI_AUTH", password);
        }
        if let Some(user) = &self.options.user {
            cli.args(["--user", user]);
        }
        if let Some(tls) = &self.tls {
            cli.arg("--tls").arg("--cacert").arg(&tls.ca);
            cli.arg("--cert").arg(&tls.client_certificate).arg("--key").arg(&tls.client_key);
        }
    }

    fn spawn(&mut self) {
        let mut arguments = vec!["redis-server".to_owned()];
        if let Some(file) = &self.sentinel {
            arguments.extend([file.display().to_string(), "--sentinel".to_owned()]);
        }
        arguments.extend(self.settings());
        self.process = Some(Process::start(&arguments, &self.log_path()));
    }

    fn settings(&self) -> Vec<String> {
        let options = &self.options;
        let mut settings: Vec<String> = Vec::new();
        let mut set = |name: &str, values: &[&str]| {
            settings.push(format!("--{name}"));
            settings.extend(values.iter().map(|value| (*value).to_owned()));
        };
        let path = |path: &Path| path.display().to_string();
        let port = self.port().to_string();
        set("bind", &["127.0.0.1"]);
        set("dir", &[&path(self.directory.path())]);
        match &self.tls {
            None => set("port", &[&port]),
            Some(tls) => {
                set("port", &["0"]);
                set("tls-port", &[&port]);
                set("tls-ca-cert-file", &[&path(&tls.ca)]);
                set("tls-cert-file", &[&path(&tls.certificate)]);
                set("tls-key-file", &[&path(&tls.key)]);
                set("tls-replication", &["yes"]);
            }
        }
        if self.sentinel.is_some() {
            if let Some(password) = &options.password {
                set("requirepass", &[password]);
            }
            return settings;
        }
        set("save", &[""]);
        set("appendonly", &[if options.appendonly { "yes" } else { "no" }]);
        // Processes are killed here, not machines: what was written is kept, and no test waits for a disk.
        set("appendfsync", &["no"]);
        set("repl-diskless-sync-delay", &["0"]);
        set("enable-debug-command", &["local"]);
        if options.unix {
            set("unixsocket", &[&path(&self.socket())]);
        }
        match (&options.user, &options.password) {
            (Some(user), Some(password)) => {
                set("user", &["default", "off"]);
                set("user", &[user, "on", "~*", "&*", "+@all", &format!(">{password}")]);
            }
            (None, Some(password)) => {
                set("requirepass", &[password]);
                set("masterauth", &[password]);
            }
            _ => {}
        }
        settings.extend(options.settings.iter().cloned());
        settings
    }

    /// Whether it answers, and is ours rather than a stranger on the same port. False when it has ended.
    async fn is_up(&mut self) -> bool {
        ask_until("redis-server to answer", async || {
            let process = self.process.as_mut().expect("spawned before");
            if process.has_ended() {
                return Some(false);
            }
            let id = process.id().to_string();
            let loading = self.info("persistence", "loading").await;
            let answers = self.info("server", "process_id").await? == id && loading.as_deref() != Some("1");
            answers.then_some(true)
        })
        .await
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}
