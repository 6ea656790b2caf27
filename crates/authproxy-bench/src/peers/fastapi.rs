//! The seed's program: FastAPI, httpx, sessions in a dictionary (`peers/fastapi/main.py`).

use std::{io, path::PathBuf, process::Command};

use super::{Running, Side, Stage, free_address, log_in};
use crate::load::{Errand, Question};

/// Enough for a program that answers some tens of requests a second.
pub(crate) const SESSIONS: u32 = 16;

/// One uvicorn worker.
pub(crate) struct FastApi {
    /// The interpreter that has its packages.
    pub(crate) python: PathBuf,
    pub(crate) client: HttpClient,
}

/// How it calls the auth service.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpClient {
    /// As the seed has it: a new client for each request.
    Each,
    /// One for all.
    Shared,
}

impl Side for FastApi {
    fn name(&self) -> &'static str {
        match self.client {
            HttpClient::Each => "FastAPI, as the seed",
            HttpClient::Shared => "FastAPI, shared client",
        }
    }

    fn version(&self) -> io::Result<String> {
        let print = "import sys, fastapi, uvicorn, httpx; print('Python', sys.version.split()[0] + ', fastapi', \
                     fastapi.__version__ + ', uvicorn', uvicorn.__version__ + ', httpx', httpx.__version__)";
        let output = Command::new(&self.python).args(["-c", print]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn configuration(&self) -> String {
        let client = match self.client {
            HttpClient::Each => "a new httpx client for each request",
            HttpClient::Shared => "one httpx client",
        };
        format!("one uvicorn worker, {client}, /protected-auto to the auth service, no access log")
    }

    fn requests(&self) -> Option<usize> {
        Some(match self.client {
            HttpClient::Each => 100,
            HttpClient::Shared => 1000,
        })
    }

    fn start(&self, stage: &Stage<'_>) -> io::Result<Running> {
        let address = free_address()?;
        let auth = format!("AUTH_URL=http://{}", stage.auth.address());
        let client = if self.client == HttpClient::Shared { "HTTP_CLIENT=shared" } else { "HTTP_CLIENT=each" };
        let (python, port) = (self.python.display().to_string(), address.port().to_string());
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/fastapi");
        let uvicorn = ["-m", "uvicorn", "main:app", "--app-dir", folder, "--host", "127.0.0.1", "--port", &port];
        let quietly = ["--workers", "1", "--no-access-log", "--log-level", "warning"];
        let command = [&["env", &auth, client, "PYTHONDONTWRITEBYTECODE=1", &*python][..], &uvicorn, &quietly].concat();
        let process = stage.serve(&command, address, "fastapi.log")?;
        let ask = |(user, cookie): (u32, String)| Question::new(Errand::Protected, user, &cookie);
        let questions = (0..).zip(log_in(address, stage.shape.sessions.min(SESSIONS))?).map(ask).collect();
        Ok(Running { processes: vec![process], beside: Vec::new(), address, questions })
    }
}
