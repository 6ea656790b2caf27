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

    /// The proxy's own core.
    pub(crate) fn proxy(self) -> Option<usize> {
        match self {
            Self::Split { proxy, .. } => Some(proxy),
            Self::Shared => None,
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
