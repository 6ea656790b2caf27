//! The command line: what was asked for, with its configuration, and the commands that need no server.
//!
//! `main` calls [`parse`] with the process's arguments and environment and acts on the [`Command`]; nothing here reads
//! either by itself, binds a port or touches a global.

mod args;
mod check;
mod healthcheck;
mod print_config;

use std::{
    ffi::OsString,
    fmt,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
};

pub use self::{
    args::{Args, CheckArgs, DevArgs, HealthcheckArgs, ServeArgs, Subcommand},
    check::run_check,
    healthcheck::{Healthcheck, healthcheck},
    print_config::print_config,
};
use crate::config::{Inputs, Loaded, Mistakes, Purpose, load, load::read_file};

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: everything went well.
    Success,
    /// 1: something failed at run time.
    Failure,
    /// 2: the command line makes no sense.
    Usage,
    /// 78: the configuration is bad (`EX_CONFIG` of sysexits.h).
    Config,
}

impl Exit {
    /// What the operating system is told.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// What was asked for. Every configuration in it is whole and without mistakes.
#[derive(Debug)]
pub enum Command {
    /// Run the embedded auth service and the proxy in front of it. The service issues tokens that live for
    /// `tokens.access_ttl` and `tokens.refresh_ttl`; `auth_url` is not used.
    Dev(Box<Loaded>),
    /// Run the proxy in front of `auth_url`, which is set.
    Serve(Box<Loaded>),
    /// Say that the configuration is valid: [`run_check`].
    Check(Box<Loaded>),
    /// Print the document that describes the API.
    Openapi,
    /// Show the configuration: [`print_config()`].
    PrintConfig(Box<Loaded>),
    /// Ask a running instance: [`healthcheck()`].
    Healthcheck(Healthcheck),
}

/// There is nothing to run: help was asked for, or something is wrong. `Display` is what to tell the user.
#[derive(Debug)]
pub struct Stop {
    text: String,
    exit: Exit,
}

impl Stop {
    /// How the run ends.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Writes the text: help to `out`, mistakes to `err`. A reader that has gone away changes nothing.
    pub fn report(&self, out: &mut impl Write, err: &mut impl Write) -> Exit {
        let _ = match self.exit {
            Exit::Success => write!(out, "{}", self.text),
            _ => write!(err, "{}", self.text),
        };
        self.exit
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<clap::Error> for Stop {
    fn from(error: clap::Error) -> Self {
        let exit = if error.use_stderr() { Exit::Usage } else { Exit::Success };
        Self { text: error.render().to_string(), exit }
    }
}

impl From<Mistakes> for Stop {
    fn from(mistakes: Mistakes) -> Self {
        Self { text: format!("authproxy: {mistakes}\n"), exit: Exit::Config }
    }
}

/// Reads the command line and, where the command needs one, the configuration.
///
/// `arguments` begin with the program's name; `environment` is the whole environment.
///
/// # Errors
///
/// [`Stop`] for help and the version (exit code 0), bad usage (2) and a bad configuration (78).
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Command, Stop> {
    let args = <Args as clap::Parser>::try_parse_from(arguments)?;
    let environment: Vec<_> = environment.into_iter().collect();
    let load = |purpose, flags: args::Flags| -> Result<Box<Loaded>, Stop> {
        let args::Flags { file, flags } = flags;
        Ok(Box::new(load(&Inputs { purpose, file, environment, flags, read: &read_file })?))
    };
    Ok(match args.command {
        Subcommand::Dev(dev) => Command::Dev(load(Purpose::Dev, dev.flags()?)?),
        Subcommand::Serve(serve) => Command::Serve(load(Purpose::Serve, serve.flags()?)?),
        Subcommand::Check(check) => {
            let purpose = if check.dev { Purpose::Dev } else { Purpose::Serve };
            Command::Check(load(purpose, check.serve.flags()?)?)
        }
        Subcommand::Openapi => Command::Openapi,
        Subcommand::PrintConfig(serve) => Command::PrintConfig(load(Purpose::Inspect, serve.flags()?)?),
        Subcommand::Healthcheck(check) => Command::Healthcheck(match &check.url {
            Some(url) => Healthcheck::of_url(url).map_err(|reason| args::usage("--url", reason))?,
            None => Healthcheck::of_instance(&load(Purpose::Inspect, check.flags()?)?.config)
                .map_err(|reason| args::usage("listen", reason))?,
        }),
    })
}

/// One clear line for a port that cannot be listened on, without a line feed.
pub fn cannot_listen(address: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "address already in use; is another authproxy running? Choose another with --listen".into()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; ports below 1024 need a privilege. Choose another with --listen".into()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address. Choose another with --listen".into(),
        _ => error.to_string(),
    };
    format!("cannot listen on {address}: {why}")
}

#[cfg(test)]
mod tests;
