//! What a run ran on, and when.

use std::{fmt, fs, process::Command};

use serde::Serialize;

/// A machine, and how busy others keep it.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    date: String,
    processor: String,
    cores: usize,
    kernel: String,
    /// The 15-minute average of running processes at the end; a run itself makes about two.
    busy: f64,
}

impl Machine {
    pub(super) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let models: Vec<&str> = cpus
            .lines()
            .filter(|line| line.starts_with("model name"))
            .filter_map(|line| line.split_once(": ").map(|(_, name)| name))
            .collect();
        let date = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
        Self {
            date: date.map(|date| String::from_utf8_lossy(&date.stdout).trim().to_owned()).unwrap_or_default(),
            processor: models.first().copied().unwrap_or("unknown").to_owned(),
            cores: cpus.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            busy: read("/proc/loadavg").split(' ').nth(2).and_then(|load| load.parse().ok()).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, processor, cores, kernel, busy } = self;
        write!(f, "{date}; {processor}, {cores} cores, Linux {kernel}, load average {busy} at the end")
    }
}
