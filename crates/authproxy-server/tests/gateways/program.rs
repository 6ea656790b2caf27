//! A gateway's program as a child process in a folder of its own. Both end with the test.

use std::{
    env, fs,
    fs::File,
    net::SocketAddr,
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    time::Duration,
};

use authproxy_testing::Port;
use tokio::time::{Instant, sleep};

use crate::gateway::Gateway;

/// Only a failing test waits for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A gateway that runs.
pub(crate) struct Program {
    gateway: Gateway,
    child: Child,
    folder: PathBuf,
    port: Port,
}

impl Program {
    /// Starts a gateway on a free port and waits until authproxy answers through it.
    pub(crate) async fn start(gateway: Gateway, authproxy: SocketAddr, api: SocketAddr) -> Self {
        let mut program = Self::spawn(gateway, Port::reserve(), authproxy, api);
        assert!(program.is_ready().await, "{} does not start", gateway.name());
        program
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    fn spawn(gateway: Gateway, port: Port, authproxy: SocketAddr, api: SocketAddr) -> Self {
        let unique = format!("{}-{}-{}", gateway.name(), process::id(), port.number());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique);
        fs::create_dir_all(&folder).unwrap();
        gateway.write_files(&folder, port.address(), authproxy, api);
        let log = File::create(folder.join("log")).unwrap();
        let child = Command::new(find(gateway.name()))
            .args(gateway.arguments())
            .current_dir(&folder)
            .env_clear()
            .env("HOME", &folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { gateway, child, folder, port }
    }

    /// Asks until authproxy answers; no when the program has ended.
    async fn is_ready(&mut self) -> bool {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let began = Instant::now();
        loop {
            let answer = client.get(format!("http://{}/session", self.address())).timeout(PATIENCE).send().await;
            if let Ok(answer) = answer
                && answer.status() == 401
                && answer.text().await.is_ok_and(|body| body.contains("No session cookie"))
            {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                eprintln!("{} has ended: {}", self.gateway.name(), self.log());
                return false;
            }
            assert!(began.elapsed() < PATIENCE, "{} is not ready: {}", self.gateway.name(), self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}'s log: {}", self.gateway.name(), self.log());
        }
        // It may have ended by itself; then there is nobody to kill, and nothing to say about the folder.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The program: where `scripts/gateways` says, where it puts it by itself, or on the PATH.
fn find(name: &str) -> PathBuf {
    let told = env::var_os("GATEWAYS_BIN").map(PathBuf::from);
    let usual = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../gateways/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = told.into_iter().chain([usual]).chain(env::split_paths(&path)).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed; run: scripts/gateways"))
}
