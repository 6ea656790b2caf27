//! nginx as a plain reverse proxy: no session, one header set, connections to the upstream kept.

use std::{fs, io, net::SocketAddr, path::PathBuf};

use super::{Running, Side, Stage, free_address, version_of};
use crate::{auth::access_token, load::Question, upstream};

/// nginx `proxy_pass`, one worker.
pub(crate) struct Nginx {
    pub(crate) program: PathBuf,
}

impl Side for Nginx {
    fn name(&self) -> &'static str {
        "nginx proxy_pass"
    }

    fn version(&self) -> io::Result<String> {
        version_of(&self.program, "-v")
    }

    fn configuration(&self) -> String {
        "one worker, upstream keep-alive, one Authorization header set, no session, no access log".into()
    }

    fn start(&self, stage: &Stage<'_>) -> io::Result<Running> {
        let address = free_address()?;
        let configuration = stage.file("nginx.conf");
        fs::write(&configuration, text(stage, address))?;
        let (program, configuration) = (self.program.display().to_string(), configuration.display().to_string());
        let prefix = stage.directory.display().to_string();
        let command = [&*program, "-e", "stderr", "-p", &prefix, "-c", &configuration];
        let process = stage.serve(&command, address, "nginx.log")?;
        // As long as a session's cookie, so that both sides read as much.
        let cookie = format!("session_id={}", "x".repeat(43));
        let questions = (0..stage.sessions).map(|user| Question::new(user, &cookie)).collect();
        Ok(Running { process, beside: Vec::new(), address, questions })
    }
}

fn text(stage: &Stage<'_>, address: SocketAddr) -> String {
    let (upstream, token) = (stage.upstream, access_token(upstream::ANYBODY, 1));
    format!(
        r#"daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream api {{
        server {upstream};
        keepalive 128;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address};
        location /api/ {{
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer {token}";
        }}
    }}
}}
"#
    )
}
