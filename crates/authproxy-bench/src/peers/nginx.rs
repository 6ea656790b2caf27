//! nginx: as a plain reverse proxy, and asking somebody for each request whether it may pass.

mod text;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{Running, Side, Stage, authproxy::Authproxy, free_address, stranger, version_of};
use crate::{
    auth::access_token,
    load::{Errand, Question},
    process::Process,
};

/// One nginx, a worker for each core.
pub(crate) struct Nginx {
    name: &'static str,
    program: PathBuf,
    kind: Kind,
}

/// What it does with a request.
enum Kind {
    /// Sets one header and forwards it.
    ProxyPass,
    /// Asks a server of its own, over a socket, which looks the cookie up in a map.
    Map,
    /// Asks authproxy.
    Authproxy(Authproxy),
    /// Answers it: there is no upstream.
    Answer,
}

impl Nginx {
    /// `proxy_pass`.
    pub(crate) fn proxy_pass(program: &Path) -> Self {
        Self { name: "nginx proxy_pass", program: program.into(), kind: Kind::ProxyPass }
    }

    /// `auth_request` to a map of cookies in the same nginx.
    pub(crate) fn auth_request(program: &Path) -> Self {
        Self { name: "nginx auth_request", program: program.into(), kind: Kind::Map }
    }

    /// `auth_request` to authproxy's `/auth/verify`.
    pub(crate) fn verifying(program: &Path, authproxy: Authproxy) -> Self {
        Self { name: "nginx auth_request, authproxy", program: program.into(), kind: Kind::Authproxy(authproxy) }
    }

    /// A 204 at once.
    pub(crate) fn answering(program: &Path) -> Self {
        Self { name: "nginx return 204", program: program.into(), kind: Kind::Answer }
    }
}

impl Side for Nginx {
    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> io::Result<String> {
        version_of(&self.program, &["-v"])
    }

    fn configuration(&self) -> String {
        match self.kind {
            Kind::ProxyPass => {
                "a worker for each core, upstream keep-alive, one Authorization header set, no session, no access log"
            }
            Kind::Map => {
                "as proxy_pass, and auth_request over a kept connection to a second server of the same worker, which looks \
                 the cookie up in a map and answers with the token; both count"
            }
            Kind::Authproxy(_) => {
                "as proxy_pass, and auth_request over a kept connection to authproxy's /auth/verify on the same core; the \
                 CPU of both counts"
            }
            Kind::Answer => "return 204, no upstream, no look-up, no access log",
        }
        .into()
    }

    fn start(&self, stage: &Stage<'_>) -> io::Result<Running> {
        let address = free_address()?;
        match &self.kind {
            Kind::ProxyPass => {
                let process = self.serve(stage, address, &text::proxy_pass(stage))?;
                Ok(running(vec![process], address, stage.questions_of_strangers()))
            }
            Kind::Answer => {
                let process = self.serve(stage, address, &text::answer())?;
                Ok(running(vec![process], address, stage.questions_of_strangers()))
            }
            Kind::Map => {
                let tokens: Vec<_> = (0..stage.shape.sessions)
                    .map(|user| (stranger(user), access_token(&format!("{user:07}"), u64::from(user))))
                    .collect();
                fs::write(stage.file("sessions.map"), text::map(&tokens))?;
                let process = self.serve(stage, address, &text::auth_request(stage, free_address()?))?;
                let ask = |(user, (cookie, _)): (u32, &(String, String))| Question::new(Errand::Page, user, cookie);
                Ok(running(vec![process], address, (0..).zip(&tokens).map(ask).collect()))
            }
            Kind::Authproxy(authproxy) => {
                let behind = authproxy.start(stage)?;
                let process = self.serve(stage, address, &text::verifying(stage, behind.address))?;
                let processes = std::iter::once(process).chain(behind.processes).collect();
                Ok(Running { processes, beside: behind.beside, address, questions: behind.questions })
            }
        }
    }
}

impl Nginx {
    fn serve(&self, stage: &Stage<'_>, address: SocketAddr, text: &text::Text) -> io::Result<Process> {
        let port = address.port();
        let configuration = stage.file(&format!("nginx-{port}.conf"));
        fs::write(&configuration, text::whole(stage, address, text))?;
        let (program, configuration) = (self.program.display().to_string(), configuration.display().to_string());
        let prefix = stage.directory.display().to_string();
        let command = [&*program, "-e", "stderr", "-p", &prefix, "-c", &configuration];
        stage.serve(&command, address, &format!("nginx-{port}.log"))
    }
}

fn running(processes: Vec<Process>, address: SocketAddr, questions: Vec<Question>) -> Running {
    Running { processes, beside: Vec::new(), address, questions }
}
