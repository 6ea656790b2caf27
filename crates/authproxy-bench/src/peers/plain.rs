//! Plain reverse proxies: no session, one header set, connections to the upstream kept, no access log.

mod caddy;
mod envoy;
mod haproxy;
pub(crate) mod pingora;
mod traefik;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{Running, Side, Stage, free_address, version_of};
use crate::{auth::access_token, upstream};

/// A plain reverse proxy.
pub(crate) struct Plain {
    name: &'static str,
    program: PathBuf,
    /// How it is asked for its version.
    version: &'static [&'static str],
    configuration: &'static str,
    /// Its arguments; `FOLDER` stands for the one with its files, `ADDRESS`, `UPSTREAM`, `TOKEN` for what they say.
    arguments: &'static [&'static str],
    /// The files that it is started with: their names and contents.
    files: fn(&Site) -> Vec<(&'static str, String)>,
}

/// What a configuration has to say.
struct Site {
    address: SocketAddr,
    upstream: SocketAddr,
    token: String,
    /// Where the files are.
    folder: String,
}

impl Site {
    fn write_into(&self, argument: &str) -> String {
        let argument = argument.replace("FOLDER", &self.folder).replace("TOKEN", &self.token);
        argument.replace("ADDRESS", &self.address.to_string()).replace("UPSTREAM", &self.upstream.to_string())
    }
}

/// Those that are measured: `HAProxy` as the system has it, the others from the folder of gateways.
pub(crate) fn all(gateways: &Path) -> Vec<Plain> {
    let mut sides = vec![haproxy::side(), envoy::side(gateways), traefik::side(gateways), caddy::side(gateways)];
    if pingora::is_there() {
        sides.insert(2, pingora::side());
    }
    sides
}

impl Side for Plain {
    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> io::Result<String> {
        version_of(&self.program, self.version)
    }

    fn configuration(&self) -> String {
        self.configuration.into()
    }

    fn start(&self, stage: &Stage<'_>) -> io::Result<Running> {
        let address = free_address()?;
        let folder = stage.file(self.name);
        fs::create_dir_all(&folder)?;
        let token = access_token(upstream::ANYBODY, 1);
        let site = Site { address, upstream: stage.upstream, token, folder: folder.display().to_string() };
        for (name, text) in (self.files)(&site) {
            fs::write(folder.join(name), text)?;
        }
        let program = self.program.display().to_string();
        let arguments = self.arguments.iter().map(|argument| site.write_into(argument));
        let command: Vec<String> = std::iter::once(program).chain(arguments).collect();
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let process = stage.serve(&command, address, &format!("{}.log", self.name))?;
        let questions = stage.questions_of_strangers();
        stage.await_answers(Running { processes: vec![process], beside: Vec::new(), address, questions })
    }
}
