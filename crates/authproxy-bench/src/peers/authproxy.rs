//! authproxy with one route for those with a session.

use std::{fs, io, net::SocketAddr, path::PathBuf, time::Duration};

use super::{Running, Side, Stage, free_address, log_in, log_in_over, version_of};
use crate::{auth::Terms, cores::Width, load::Question, process::Process};

/// What Redis' records are sealed with.
const SECRET: &str = "a secret for measurements, of no use elsewhere";

/// `authproxy serve`, with all sessions logged in.
#[derive(Clone)]
pub(crate) struct Authproxy {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// What the auth service does.
    pub(crate) terms: Terms,
    /// How long the logins take; zero: no longer than they must.
    pub(crate) logins_take: Duration,
    pub(crate) store: Store,
}

/// Where its sessions are.
#[derive(Clone, Copy)]
pub(crate) enum Store {
    Memory,
    /// In a Redis of its own, with `store.near_ttl` of so much.
    Redis(&'static str),
}

impl Authproxy {
    /// In memory, with tokens of this life.
    pub(crate) fn new(name: &str, program: &std::path::Path, life: Duration) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            terms: Terms::of_life(life),
            logins_take: Duration::ZERO,
            store: Store::Memory,
        }
    }

    /// The same, for lives so short that tokens are refreshed while it is measured: users log in over the four fifths of a
    /// life after which authproxy refreshes, so that refreshes lie as far apart.
    pub(crate) fn refreshing(name: &str, program: &std::path::Path, life: Duration) -> Self {
        Self { logins_take: life * 4 / 5, ..Self::new(name, program, life) }
    }

    /// Starts it without anybody logged in: what serves, what it needs, where.
    pub(crate) fn serve(&self, stage: &Stage<'_>) -> io::Result<(Process, Vec<Process>, SocketAddr)> {
        stage.auth.begin(self.terms);
        let address = free_address()?;
        // Several may serve at once.
        let port = address.port();
        let configuration = stage.file(&format!("authproxy-{port}.toml"));
        let (beside, store) = self.store.open(stage)?;
        fs::write(&configuration, text(stage, address, &store))?;
        let (program, configuration) = (self.program.display().to_string(), configuration.display().to_string());
        let command = [&*program, "serve", "--config", &configuration];
        Ok((stage.serve(&command, address, &format!("authproxy-{port}.log"))?, beside, address))
    }
}

impl Side for Authproxy {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> io::Result<String> {
        version_of(&self.program, &["--version"])
    }

    fn configuration(&self) -> String {
        let store = match self.store {
            Store::Memory => "memory store".to_owned(),
            Store::Redis(near_ttl) => format!("sessions in Redis on the load's core, store.near_ttl = {near_ttl}"),
        };
        format!(
            "{store}, one [[route]], access tokens of {} s, timeouts of a minute, log.level = warn",
            self.terms.later_life.as_secs()
        )
    }

    fn start(&self, stage: &Stage<'_>) -> io::Result<Running> {
        let (process, beside, address) = self.serve(stage)?;
        let ask = |(user, cookie): (u32, String)| Question::new(stage.shape.errand, user, &cookie);
        let cookies = match self.logins_take {
            Duration::ZERO => log_in(address, stage.shape.sessions),
            time => log_in_over(time, address, stage.shape.sessions),
        };
        let questions = (0..).zip(cookies?).map(ask).collect();
        Ok(Running { processes: vec![process], beside, address, questions })
    }
}

impl Store {
    /// What has to run beside authproxy, and what its configuration says of it.
    fn open(self, stage: &Stage<'_>) -> io::Result<(Vec<Process>, String)> {
        let Self::Redis(near_ttl) = self else {
            return Ok((Vec::new(), "[store]\ncapacity = 2000000\n".into()));
        };
        let address = free_address()?;
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let command = ["redis-server", "--bind", &host, "--port", &port, "--save", "", "--appendonly", "no"];
        let redis = stage.serve_beside(&command, address, "redis.log")?;
        let store =
            format!("[store]\nurl = \"redis://{address}\"\nsecrets = [\"{SECRET}\"]\nnear_ttl = \"{near_ttl}\"\n");
        Ok((vec![redis], store))
    }
}

fn text(stage: &Stage<'_>, address: SocketAddr, store: &str) -> String {
    let (upstream, auth) = (stage.upstream, stage.auth.address());
    let threads = match stage.shape.width {
        Width::One => "its own core",
        Width::Two => "both cores",
    };
    let tls = if stage.shape.tls {
        let file = |name| stage.file(name).display().to_string();
        format!("[tls]\ncert = \"{}\"\nkey = \"{}\"\n", file("cert.pem"), file("key.pem"))
    } else {
        String::new()
    };
    format!(
        r#"# A worker for each core that it may use: {threads}.
listen = "{address}"
auth_url = "http://{auth}"
trusted_proxies = ["127.0.0.1"]

{store}
{tls}
[tokens]
refresh_ttl = "12h"

# A minute, as nginx has it, for all that may have to wait when thousands ask at once.
[backend]
timeout = "1m"

[limits]
connections = 16000
idle_timeout = "1h"
header_timeout = "1m"
request_timeout = "2m"

[log]
level = "warn"

[[route]]
prefix = "/api"
upstream = "http://{upstream}"
connect_timeout = "1m"
"#
    )
}
