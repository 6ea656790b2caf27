//! The shape of the command line.

#![allow(clippy::doc_markdown)] // clap prints these comments as they are

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, error::ErrorKind};
use zeroize::Zeroizing;

use crate::config::Flag;

/// A session proxy: it keeps OAuth tokens on the server and gives browsers a cookie.
#[derive(Debug, Parser)]
#[command(
    name = "authproxy",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  authproxy dev                                  try it: everything in one process, offline
  AUTH_URL=https://auth.example.com authproxy serve
  authproxy check --config authproxy.toml

Every key of the configuration can be set in a TOML file (--config or AUTHPROXY_CONFIG), by a
variable (tokens.access_ttl is AUTHPROXY_TOKENS__ACCESS_TTL) and by --set; the later ones win.

Exit codes: 0 success, 1 failure at run time, 2 bad usage, 78 bad configuration."
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Subcommand,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Run everything in one process, offline: an auth service and the proxy
    Dev(DevArgs),
    /// Run the proxy in front of an auth service
    Serve(ServeArgs),
    /// Say everything that is wrong with the configuration
    Check(CheckArgs),
    /// Print the OpenAPI document
    #[command(after_help = "Examples:\n  authproxy openapi > openapi.json")]
    Openapi,
    /// Print the configuration in force and where each value comes from; secrets are masked
    #[command(after_help = "\
Examples:
  authproxy print-config
  authproxy print-config --config authproxy.toml --set log.format=json

The output is a configuration file: keep it, or change it and pass it to --config.")]
    PrintConfig(ServeArgs),
    /// Ask a running instance whether it answers; for images without a shell
    Healthcheck(HealthcheckArgs),
}

/// Where the configuration is read from, apart from the environment.
#[derive(clap::Args)]
pub struct ConfigArgs {
    /// The configuration file [default: what AUTHPROXY_CONFIG names, else none]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set any key of the configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where browsers and apps connect [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
}

impl std::fmt::Debug for ConfigArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // `--set` may carry a secret.
        f.debug_struct("ConfigArgs").field("config", &self.config).finish_non_exhaustive()
    }
}

/// `authproxy dev`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  authproxy dev
  authproxy dev --access-ttl 5s --refresh-ttl 1m      watch refreshes happen
  authproxy dev --listen 127.0.0.1:9000")]
pub struct DevArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // described by its type
    pub config: ConfigArgs,
    /// The origin under which browsers reach it [default: http:// and the address of --listen]
    #[arg(long, value_name = "ORIGIN")]
    pub public_url: Option<String>,
    /// How long access tokens live [default: 2m]
    #[arg(long, value_name = "DURATION")]
    pub access_ttl: Option<String>,
    /// How long refresh tokens live [default: 4m]
    #[arg(long, value_name = "DURATION")]
    pub refresh_ttl: Option<String>,
}

/// `authproxy serve`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  authproxy serve --auth-url https://auth.example.com
  authproxy serve --listen 0.0.0.0:8000 --public-url https://app.example.com    with AUTH_URL set
  authproxy serve --config authproxy.toml --set log.format=json")]
pub struct ServeArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // described by its type
    pub config: ConfigArgs,
    /// The auth service's base URL [also: AUTH_URL]
    #[arg(long, value_name = "URL")]
    pub auth_url: Option<String>,
    /// The origin under which browsers reach it [default: http:// and the address of --listen]
    #[arg(long, value_name = "ORIGIN")]
    pub public_url: Option<String>,
}

/// `authproxy check`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  authproxy check --config authproxy.toml             before `authproxy serve` with the same flags
  authproxy check --dev")]
pub struct CheckArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // described by its type
    pub serve: ServeArgs,
    /// Check for `authproxy dev`, which needs no auth service
    #[arg(long)]
    pub dev: bool,
}

/// `authproxy healthcheck`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  authproxy healthcheck                            asks the address that the configuration listens on
  authproxy healthcheck --config authproxy.toml    over TLS with tls.cert, which it does not check
  authproxy healthcheck --url https://app.example.com

Exit code 0: it answers. 1: it does not, and one line says why.")]
pub struct HealthcheckArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // described by its type
    pub config: ConfigArgs,
    /// The instance to ask; an https one by its certificate's name [default: the address of --listen]
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "set", "listen"])]
    pub url: Option<String>,
}

/// What the loader takes of a command line.
pub(super) struct Flags {
    pub(super) file: Option<PathBuf>,
    pub(super) flags: Vec<Flag>,
}

impl DevArgs {
    pub(super) fn flags(self) -> Result<Flags, clap::Error> {
        self.config.flags([
            ("--public-url", "public_url", self.public_url),
            ("--access-ttl", "tokens.access_ttl", self.access_ttl),
            ("--refresh-ttl", "tokens.refresh_ttl", self.refresh_ttl),
        ])
    }
}

impl ServeArgs {
    pub(super) fn flags(self) -> Result<Flags, clap::Error> {
        self.config.flags([("--auth-url", "auth_url", self.auth_url), ("--public-url", "public_url", self.public_url)])
    }
}

impl HealthcheckArgs {
    pub(super) fn flags(self) -> Result<Flags, clap::Error> {
        self.config.flags([])
    }
}

impl ConfigArgs {
    fn flags<const N: usize>(
        self,
        named: [(&'static str, &'static str, Option<String>); N],
    ) -> Result<Flags, clap::Error> {
        let mut flags: Vec<Flag> = std::iter::once(("--listen", "listen", self.listen))
            .chain(named)
            .filter_map(|(name, key, value)| value.map(|value| flag(name, key, value)))
            .collect();
        for pair in self.set {
            // The pair is not repeated: what has no "=" may be a secret.
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| usage("--set", "has no equals sign; write it as KEY=VALUE, such as log.format=json"))?;
            flags.push(flag("--set", key.trim(), value.to_owned()));
        }
        Ok(Flags { file: self.config, flags })
    }
}

fn flag(name: &str, key: &str, value: String) -> Flag {
    Flag { name: name.into(), key: key.into(), value: Zeroizing::new(value) }
}

/// An error of usage in clap's shape.
pub(super) fn usage(what: &str, reason: impl std::fmt::Display) -> clap::Error {
    Args::command().error(ErrorKind::ValueValidation, format!("{what} {reason}"))
}
