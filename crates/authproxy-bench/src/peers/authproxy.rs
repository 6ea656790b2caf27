//! authproxy with one route for those with a session.

mod login;

use std::{fs, io, net::SocketAddr, path::PathBuf, time::Duration};

use super::{Running, Side, Stage, free_address, version_of};
use crate::load::Question;

/// `authproxy serve`, with all sessions logged in.
pub(crate) struct Authproxy {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// How long the auth service says that access tokens live.
    pub(crate) access_life: Duration,
}

impl Side for Authproxy {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> io::Result<String> {
        version_of(&self.program, "--version")
    }

    fn configuration(&self) -> String {
        format!("memory store, one [[route]], access tokens of {} s, log.level = warn", self.access_life.as_secs())
    }

    fn start(&self, stage: &Stage<'_>) -> io::Result<Running> {
        stage.auth.begin(self.access_life);
        let address = free_address()?;
        let configuration = stage.file("authproxy.toml");
        fs::write(&configuration, text(stage, address))?;
        let (program, configuration) = (self.program.display().to_string(), configuration.display().to_string());
        let process = stage.serve(&[&program, "serve", "--config", &configuration], address, "authproxy.log")?;
        let ask = |(user, cookie): (u32, String)| Question::new(user, &cookie);
        let questions = (0..).zip(login::log_in(address, stage.sessions)?).map(ask).collect();
        Ok(Running { process, address, questions })
    }
}

fn text(stage: &Stage<'_>, address: SocketAddr) -> String {
    let (upstream, auth) = (stage.upstream, stage.auth.address());
    format!(
        r#"listen = "{address}"
auth_url = "http://{auth}"

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
