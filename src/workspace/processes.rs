//! What runs, as `/proc` tells it. Where there is none (macOS), nothing is
//! found and only the limits that the kernel keeps hold.
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a set of processes uses at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Processes that are alive; zombies are not.
    pub n_processes: u64,
    /// Their resident private and shared-anonymous memory; files that are
    /// only mapped do not count.
    pub memory_bytes: u64,
}

/// The load of every process of a pid namespace, given the one in it that
/// this side knows: its view of `/proc` shows them all. Nothing is counted
/// while that view is still the one from outside, in the first milliseconds.
pub(super) fn load_of_namespace(init: u32, enough: u64) -> Load {
    let own = Path::new("/proc").join(init.to_string());
    let proc_dir = own.join("root/proc");
    let is_inside = match (
        fs::read_link(own.join("ns/pid")),
        fs::read_link(proc_dir.join("1/ns/pid")),
    ) {
        (Ok(namespace), Ok(first)) => namespace == first,
        _ => false,
    };
    if !is_inside {
        return Load::default();
    }
    load_of(&pids(&proc_dir), &proc_dir, enough)
}

/// The load of the given processes; counting ends at more than `enough`, so
/// that a fork bomb cannot keep the counter busy.
pub(super) fn load_of(pids: &[u32], proc_dir: &Path, enough: u64) -> Load {
    let mut load = Load::default();
    for pid in pids {
        if load.n_processes > enough {
            break;
        }
        let Ok(status) = fs::read_to_string(proc_dir.join(pid.to_string()).join("status")) else {
            continue; // it ended in the meantime
        };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let is_alive = field("State:")
            .is_some_and(|s| !matches!(s.trim_start().as_bytes(), [b'Z' | b'X', ..]));
        if !is_alive {
            continue;
        }
        load.n_processes += 1;
        for name in ["RssAnon:", "RssShmem:"] {
            let kib =
                field(name).and_then(|v| v.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
            load.memory_bytes += kib.unwrap_or(0) * 1024;
        }
    }
    load
}

/// A child of a process, if it has one.
pub(super) fn child_of(parent: u32) -> Option<u32> {
    let mut pids = pids(Path::new("/proc")).into_iter();
    pids.find(|&pid| relatives(pid).is_some_and(|(ppid, _)| ppid == parent))
}

/// Living members of a process group; no more than `enough` and one are
/// looked for.
pub(super) fn members_of(group: u32, enough: u64) -> Vec<u32> {
    // From the newest: a command's own are among the last to have come.
    let pids = pids(Path::new("/proc")).into_iter().rev();
    pids.filter(|&pid| relatives(pid).is_some_and(|(_, pgrp)| pgrp == group))
        .take(enough.saturating_add(1) as usize)
        .collect()
}

/// False when it has ended, reaped or not.
pub(super) fn is_alive(pid: u32) -> bool {
    relatives(pid).is_some()
}

/// Parent and process group of a living process.
fn relatives(pid: u32) -> Option<(u32, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state ppid pgrp ...`; the name may hold anything, `)` too.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let is_dead = matches!(fields.next()?, "Z" | "X");
    let (ppid, pgrp) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (!is_dead).then_some((ppid, pgrp))
}

/// The processes whose environment holds `mark` (`NAME=value`): a command's
/// descendants, those that left its process group included, unless they
/// cleared their environment.
///
/// Not for use while a fork bomb runs: reading an environment waits for a
/// process that is just forking, and that waits for its turn.
pub(super) fn marked(mark: &str) -> Vec<u32> {
    let proc_dir = Path::new("/proc");
    let mut found = pids(proc_dir);
    found.retain(|pid| {
        fs::read(proc_dir.join(pid.to_string()).join("environ"))
            .is_ok_and(|environ| environ.split(|&b| b == 0).any(|v| v == mark.as_bytes()))
    });
    found
}

/// Kills processes, or process groups given as `-id`. What is gone already is
/// no error.
///
/// The shell does it: the standard library can signal only its own children.
pub(super) fn kill(targets: &[String]) {
    let _ = Command::new("/bin/sh")
        .args(["-c", "kill -s KILL -- \"$@\"", "sh"])
        .args(targets)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

fn pids(proc_dir: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(proc_dir) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}
