//! A process of a side: started on its core, measured with all that it has started, stopped by its own id.

use std::{
    fs::{self, File},
    io,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::stopwatch::ask_until;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running program.
pub(crate) struct Process {
    child: Child,
}

/// A program and those that it has started, as long as it starts no others.
pub(crate) struct Family {
    members: Vec<u32>,
}

impl Process {
    /// Starts a program on some cores, as `taskset` takes them, with its output in a file. It ends when this process does, whatever happens.
    pub(crate) fn start(command: &[&str], cores: Option<&str>, log: &Path) -> io::Result<Self> {
        let mut words = vec!["setpriv", "--pdeathsig", "TERM"];
        if let Some(cores) = cores {
            words.extend(["taskset", "-c", cores]);
        }
        words.extend(command);
        // What programs leave behind for themselves goes where their logs go.
        let home = log.parent().unwrap_or(log).to_owned();
        let log = File::create(log)?;
        let child = Command::new(words[0])
            .args(&words[1..])
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child })
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// It and its descendants.
    fn family(&self) -> io::Result<Family> {
        Family::of(std::slice::from_ref(self))
    }

    fn stop(&mut self) {
        let family = self.family().map(|family| family.members).unwrap_or_default();
        let began: Vec<_> = family.iter().map(|id| (*id, stat(*id).and_then(|stat| stat.field(START_TIME)))).collect();
        if !self.has_ended() {
            terminate(self.child.id());
        }
        if ask_until(PATIENCE, || self.has_ended().then_some(())).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        // What it was run under may have ended without it.
        for (id, began) in began.into_iter().skip(1) {
            if began.is_some() && stat(id).and_then(|stat| stat.field(START_TIME)) == began {
                terminate(id);
            }
        }
    }
}

fn terminate(id: u32) {
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process(id, Signal::TERM);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Family {
    /// Some processes and their descendants.
    pub(crate) fn of(processes: &[Process]) -> io::Result<Self> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // It may have ended meanwhile.
            if let Some(parent) = stat(id).and_then(|stat| stat.field(PARENT)) {
                parents.push((id, parent));
            }
        }
        let mut members: Vec<u32> = processes.iter().map(|process| process.child.id()).collect();
        let mut looked_at = 0;
        while let Some(&member) = members.get(looked_at) {
            looked_at += 1;
            members.extend(parents.iter().filter(|(_, parent)| *parent == u64::from(member)).map(|(id, _)| id));
        }
        Ok(Self { members })
    }

    /// User and system time of all threads until now, and of children that were waited for.
    pub(crate) fn cpu_time(&self) -> Duration {
        let times = [USER_TIME, SYSTEM_TIME, CHILDRENS_USER_TIME, CHILDRENS_SYSTEM_TIME];
        let of_one = |stat: Stat| times.iter().filter_map(|time| stat.field(*time)).sum::<u64>();
        let ticks: u64 = self.members.iter().filter_map(|id| stat(*id)).map(of_one).sum();
        Duration::from_micros(ticks * 1_000_000 / rustix::param::clock_ticks_per_second())
    }

    /// Memory in RAM now, in KiB; what members share counts for each.
    pub(crate) fn rss_kib(&self) -> u64 {
        let of_one = |id: &u32| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        self.members.iter().filter_map(of_one).sum()
    }
}

// proc_pid_stat(5), counted from 1.
const PARENT: usize = 4;
const USER_TIME: usize = 14;
const SYSTEM_TIME: usize = 15;
const CHILDRENS_USER_TIME: usize = 16;
const CHILDRENS_SYSTEM_TIME: usize = 17;
const START_TIME: usize = 22;

struct Stat(String);

fn stat(id: u32) -> Option<Stat> {
    fs::read_to_string(format!("/proc/{id}/stat")).ok().map(Stat)
}

impl Stat {
    /// A field from the third on: the second is the program's name, which may hold anything.
    fn field(&self, number: usize) -> Option<u64> {
        let (_, rest) = self.0.rsplit_once(')')?;
        rest.split_ascii_whitespace().nth(number - 3)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_moves_no_field() {
        let stat = Stat("7 (a) b) S 3 7 7 0 -1 0 0 0 0 0 11 12 13 14 20 0".into());
        let fields = [PARENT, USER_TIME, SYSTEM_TIME, CHILDRENS_USER_TIME, CHILDRENS_SYSTEM_TIME];
        assert_eq!(fields.map(|field| stat.field(field)), [3, 11, 12, 13, 14].map(Some));
    }
}
