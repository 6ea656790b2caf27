//! authproxy with one route for those with a session.

mod login;

use std::{fs, io, net::SocketAddr, path::PathBuf, time::Duration};

use super::{Running, Side, Stage, free_address, version_of};
use crate::{load::Question, process::Process};

/// `authproxy serve`, with all sessions logged in.
pub(crate) struct Authproxy {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// How long the auth service says that access tokens live.
    pub(crate) access_life: Duration,
    pub(crate) store: Store,
}

/// Where its sessions are.
#[derive(Clone, Copy)]
pub(crate) enum Store {
    Memory,
    /// In a Redis of its own, with `store.near_ttl` of so much.
    Redis(&'static str),
}

impl Side for Authproxy {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> io::Result<String> {
        version_of(&self.program, "--version")
    }

    fn configuration(&self) -> String {
        let store = match self.store {
            Store::Memory => "memory store".to_owned(),
            Store::Redis(near_ttl) => format!("sessions in Redis on the load's core, store.near_ttl = {near_ttl}"),
        };
        format!("{store}, one [[route]], access tokens of {} s, log.level = warn", self.access_life.as_secs())
    }

    fn start(&self, stage: &Stage<'_>) -> io::Result<Running> {
        stage.auth.begin(self.access_life);
        let address = free_address()?;
        let configuration = stage.file("authproxy.toml");
        let (beside, store) = self.store.open(stage)?;
        fs::write(&configuration, text(stage, address, &store))?;
        let (program, configuration) = (self.program.display().to_string(), configuration.display().to_string());
        let process = stage.serve(&[&program, "serve", "--config", &configuration], address, "authproxy.log")?;
        let ask = |(user, cookie): (u32, String)| Question::new(user, &cookie);
        let questions = (0..).zip(login::log_in(address, stage.sessions)?).map(ask).collect();
        Ok(Running { process, beside, address, questions })
    }
}

impl Store {
    /// What has to run beside authproxy, and what its configuration says of it.
    fn open(self, stage: &Stage<'_>) -> io::Result<(Vec<Process>, String)> {
        let Self::Redis(near_ttl) = self else { return Ok((Vec::new(), String::new())) };
        let address = free_address()?;
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let command = ["redis-server", "--bind", &host, "--port", &port, "--save", "", "--appendonly", "no"];
        let redis = stage.serve_beside(&command, address, "redis.log")?;
        let secret = "a secret for measurements, of no use elsewhere";
        let store =
            format!("[store]\nurl = \"redis://{address}\"\nsecrets = [\"{secret}\"]\nnear_ttl = \"{near_ttl}\"\n");
        Ok((vec![redis], store))
    }
}

fn text(stage: &Stage<'_>, address: SocketAddr, store: &str) -> String {
    let (upstream, auth) = (stage.upstream, stage.auth.address());
    format!(
        r#"listen = "{address}"
auth_url = "http://{auth}"

{store}
[tokens]
refresh_ttl = "12h"

[log]
level = "warn"

[[route]]
prefix = "/api"
upstream = "http://{upstream}"
"#
    )
}
