//! Which core runs what: the proxy has one for itself, all else shares another.

use std::fmt;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Two cores, where this process may use so many.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cores {
    /// The proxy's, and that of the load, the upstream and the auth service.
    Split { proxy: usize, load: usize },
    /// There is only one: figures of throughput and latency mean little.
    Shared,
}

/// How many cores a proxy gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// Its own.
    One,
    /// Its own and the load's, which the load shares with it.
    Two,
}

impl Width {
    /// For configurations that ask how many threads to start.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

impl Cores {
    /// Takes the first core for the load and the last for the proxy, and pins the calling thread, and those that it
    /// starts from now on, to the load's.
    pub(crate) fn split() -> Self {
        let Ok(allowed) = sched_getaffinity(None) else { return Self::Shared };
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let (Some(load), Some(proxy)) = (cores.next(), cores.next_back()) else { return Self::Shared };
        let mut own = CpuSet::new();
        own.set(load);
        match sched_setaffinity(None, &own) {
            Ok(()) => Self::Split { proxy, load },
            Err(_) => Self::Shared,
        }
    }

    /// Both, as `taskset` takes them.
    pub(crate) fn every(self) -> Option<String> {
        self.proxy(Width::Two)
    }

    /// The proxy's, as `taskset` takes them.
    pub(crate) fn proxy(self, width: Width) -> Option<String> {
        match (self, width) {
            (Self::Split { proxy, .. }, Width::One) => Some(proxy.to_string()),
            (Self::Split { proxy, load }, Width::Two) => Some(format!("{load},{proxy}")),
            (Self::Shared, _) => None,
        }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Split { proxy, load } => {
                write!(f, "proxy pinned to core {proxy}; load, upstream and auth service to core {load}")
            }
            Self::Shared => f.write_str("NOT PINNED: fewer than two cores can be used; only CPU time means anything"),
        }
    }
}
