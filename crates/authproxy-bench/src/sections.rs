//! What is measured, section by section. Each has a file, says in its text how it measures, and runs by itself.

pub(crate) mod forward;
mod idle;
mod library;
mod logins;
mod program;
mod refresh;
mod sessions;
mod shapes;
mod start;
mod storms;
mod tls;
mod verify;

use std::{io, time::Duration};

use crate::{args::Args, bench::Bench, report::Section};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const NGINX: &str = "nginx proxy_pass";
pub(crate) const AUTHPROXY: &str = "authproxy";

/// A section that can be run.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) run: fn(&Bench<'_>) -> io::Result<Section>,
}

impl Plan {
    /// A section that came to nothing.
    pub(crate) fn broken(&self, error: &io::Error) -> Section {
        let failures = vec![format!("nothing was measured: {error}")];
        Section { name: self.name, title: self.title, failures, ..Section::default() }
    }
}

/// All, in the order of the document.
const PLANS: &[Plan] = &[
    Plan { name: forward::NAME, title: forward::TITLE, run: forward::run },
    Plan { name: shapes::NAME, title: shapes::TITLE, run: shapes::run },
    Plan { name: refresh::NAME, title: refresh::TITLE, run: refresh::run },
    Plan { name: tls::NAME, title: tls::TITLE, run: tls::run },
    Plan { name: sessions::NAME, title: sessions::TITLE, run: sessions::run },
    Plan { name: verify::NAME, title: verify::TITLE, run: verify::run },
    Plan { name: storms::NAME, title: storms::TITLE, run: storms::run },
    Plan { name: logins::NAME, title: logins::TITLE, run: logins::run },
    Plan { name: idle::NAME, title: idle::TITLE, run: idle::run },
    Plan { name: library::NAME, title: library::TITLE, run: library::run },
    Plan { name: start::NAME, title: start::TITLE, run: start::run },
];

/// Those that are asked for.
pub(crate) fn planned(args: &Args) -> io::Result<Vec<&'static Plan>> {
    if let Some(unknown) = args.section.iter().find(|name| PLANS.iter().all(|plan| plan.name != **name)) {
        let names: Vec<_> = PLANS.iter().map(|plan| plan.name).collect();
        let message = format!("there is no section \"{unknown}\"; there are {}", names.join(", "));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(PLANS.iter().filter(|plan| args.wants(plan.name)).collect())
}
