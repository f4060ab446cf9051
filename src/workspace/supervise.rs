//! Runs one command to its end, or to a limit, and leaves nothing running.
use super::limits::{CommandEnd, CommandOutput, Limits, Stopped};
use super::output::HeadTail;
use super::{WorkspaceError, processes};
use crate::base::Deadline;
use std::io::{PipeReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often processes and memory are looked at. A fork bomb makes a few
/// hundred processes meanwhile; a look costs some tens of microseconds a process.
const WATCH_EVERY: Duration = Duration::from_millis(20);

/// How long what was killed may take to be gone.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// Where a command's descendants are found.
pub(super) enum Reach {
    /// In a pid namespace that ends with its first process, the child's child.
    Namespace,
    /// In the child's process group, and by a variable of their environment.
    Group { mark: String },
}

/// How the watching of a command ended.
enum Watched {
    /// With the command, by itself or at a limit.
    Ended(ExitStatus, Option<Stopped>),
    /// The run's time was over first, and the command was killed.
    Deadline,
}

/// Runs `command` with standard output and error in one pipe and no input.
///
/// Errors: `DeadlinePassed` where the deadline came first: a command that had less time
/// than it may take says nothing.
pub(super) fn supervise(
    mut command: Command,
    reach: &Reach,
    limits: &Limits,
    deadline: Deadline,
    dir: &Path,
) -> Result<CommandOutput, WorkspaceError> {
    if deadline.is_over() {
        return Err(WorkspaceError::DeadlinePassed);
    }
    let fail = |source| WorkspaceError::io("run a command in", dir, source);
    let (reader, writer) = std::io::pipe().map_err(fail)?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(fail)?)
        .stderr(writer)
        .process_group(0);
    let started = Instant::now();
    let mut child = command.spawn().map_err(fail)?;
    // It holds the pipe's write end, without which the reader never ends.
    drop(command);
    let output = Arc::new(Mutex::new(HeadTail::new(limits.output_bytes_max)));
    let ended = read_all(reader, Arc::clone(&output));

    let watched = watch(&mut child, reach, limits, deadline, started, &ended).map_err(fail)?;
    if let Reach::Group { mark } = reach {
        kill_group(child.id(), mark);
    }
    let (status, stopped) = match watched {
        Watched::Ended(status, stopped) => (status, stopped),
        Watched::Deadline => return Err(WorkspaceError::DeadlinePassed),
    };
    // What was killed has closed the pipe; what escaped must not hold us up.
    let _ = ended.recv_timeout(Duration::from_secs(1));
    let kept = std::mem::replace(
        &mut *output.lock().expect("the reader does not panic"),
        HeadTail::new(0),
    );
    let mut text = kept.into_text();
    if let Some(stopped @ (Stopped::Processes { .. } | Stopped::Memory { .. })) = stopped {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("[{stopped}]\n"));
    }
    Ok(CommandOutput {
        end: end_of(status, stopped),
        text,
        wall_ms: started.elapsed().as_millis() as u64,
        stopped,
    })
}

fn end_of(status: ExitStatus, stopped: Option<Stopped>) -> CommandEnd {
    const SIGKILL: i32 = 9;
    const SIGNALS_MAX: i32 = 64;
    match (stopped, status.signal(), status.code()) {
        (Some(Stopped::WallTime { .. }), ..) => CommandEnd::TimedOut,
        (Some(_), ..) => CommandEnd::Signalled(SIGKILL),
        (None, Some(signal), _) => CommandEnd::Signalled(signal),
        (None, None, Some(code)) if (129..=128 + SIGNALS_MAX).contains(&code) => {
            CommandEnd::Signalled(code - 128)
        }
        (None, None, code) => CommandEnd::Exited(code.unwrap_or(-1)),
    }
}

/// Reads until every writer is gone, without ever blocking one; the receiver
/// is disconnected then.
fn read_all(mut reader: PipeReader, output: Arc<Mutex<HeadTail>>) -> Receiver<()> {
    let (sender, ended) = channel();
    std::thread::spawn(move || {
        let _sender = sender;
        let mut chunk = vec![0; 64 << 10];
        while let Ok(n @ 1..) = reader.read(&mut chunk) {
            output
                .lock()
                .expect("the watcher does not panic")
                .push(&chunk[..n]);
        }
    });
    ended
}

/// Waits for the child's end, or brings it about at a limit.
fn watch(
    child: &mut Child,
    reach: &Reach,
    limits: &Limits,
    deadline: Deadline,
    started: Instant,
    ended: &Receiver<()>,
) -> std::io::Result<Watched> {
    let mut init = None;
    let mut nap = Duration::from_millis(1);
    let mut is_output_open = true;
    let mut looked = started;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Watched::Ended(status, None));
        }
        if deadline.is_over() {
            stop(child, init, reach)?;
            return Ok(Watched::Deadline);
        }
        let mut stopped = (started.elapsed() >= Duration::from_secs(limits.wall_s_max)).then_some(
            Stopped::WallTime {
                s_max: limits.wall_s_max,
            },
        );
        if stopped.is_none() && looked.elapsed() >= WATCH_EVERY {
            stopped = over_limit(child.id(), &mut init, reach, limits);
            looked = Instant::now();
        }
        if stopped.is_some() {
            return Ok(Watched::Ended(stop(child, init, reach)?, stopped));
        }
        // The end of the output mostly is the end of the command: no nap then.
        if is_output_open {
            if let Err(RecvTimeoutError::Disconnected) = ended.recv_timeout(nap) {
                is_output_open = false;
                nap = Duration::from_micros(200);
            }
        } else {
            sleep(nap);
        }
        nap = (nap * 2).min(WATCH_EVERY);
    }
}

fn over_limit(
    child: u32,
    init: &mut Option<u32>,
    reach: &Reach,
    limits: &Limits,
) -> Option<Stopped> {
    let load = match reach {
        Reach::Namespace => {
            *init = init.or_else(|| processes::child_of(child));
            // One more for the namespace's first process, which is ours.
            let mut load = processes::load_of_namespace((*init)?, limits.processes_max + 1);
            load.n_processes = load.n_processes.saturating_sub(1);
            load
        }
        // The group can be counted, and killed at one stroke, whatever it is
        // doing; what left it is found at the end.
        Reach::Group { .. } => {
            let pids = processes::members_of(child, limits.processes_max);
            let mut load = processes::load_of(&pids, Path::new("/proc"), u64::MAX);
            // Those of a fork bomb live too short to be looked at twice.
            load.n_processes = pids.len() as u64;
            load
        }
    };
    if load.n_processes > limits.processes_max {
        let max = limits.processes_max;
        return Some(Stopped::Processes { max });
    }
    let bytes_max = limits.memory_bytes_max;
    (load.memory_bytes > bytes_max).then_some(Stopped::Memory { bytes_max })
}

/// Kills everything and waits until it is gone.
fn stop(child: &mut Child, init: Option<u32>, reach: &Reach) -> std::io::Result<ExitStatus> {
    let init = match reach {
        Reach::Namespace => init.or_else(|| processes::child_of(child.id())),
        Reach::Group { mark } => {
            kill_group(child.id(), mark);
            None
        }
    };
    // The namespace's first process dies with its parent (bwrap), and takes
    // the others along. Nothing must be started for this: there may be no
    // process to be had.
    child.kill()?;
    let status = child.wait()?;
    // A bwrap that is killed while it starts leaves a child that waits for it
    // for good, as yet in its process group.
    let killed = Instant::now();
    let mut patience = Duration::from_millis(20);
    loop {
        let mut left = processes::members_of(child.id(), u64::MAX);
        left.extend(init.filter(|&init| processes::is_alive(init)));
        if left.is_empty() || killed.elapsed() > KILL_GRACE {
            return Ok(status);
        }
        if killed.elapsed() > patience {
            processes::kill(&left.iter().map(u32::to_string).collect::<Vec<_>>());
            patience *= 2;
        }
        sleep(Duration::from_millis(1));
    }
}

/// Kills a process group and all that carry the mark, again until none is
/// found: one that forks meanwhile leaves another.
fn kill_group(group: u32, mark: &str) {
    processes::kill(&[format!("-{group}")]);
    let started = Instant::now();
    while started.elapsed() < KILL_GRACE {
        let left = processes::marked(mark);
        if left.is_empty() {
            return;
        }
        let targets: Vec<String> = left.iter().map(u32::to_string).collect();
        processes::kill(&targets);
        sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_that_is_stopped_while_it_starts_leaves_nothing() {
        for tenths_ms in 0..100 {
            let mut child = Command::new("bwrap")
                .args([
                    "--unshare-all",
                    "--as-pid-1",
                    "--die-with-parent",
                    "--new-session",
                ])
                .args(["--ro-bind", "/", "/", "sleep", "100"])
                .process_group(0)
                .spawn()
                .expect("run scripts/setup first: bwrap is not installed");
            sleep(Duration::from_micros(100 * tenths_ms));
            let init = processes::child_of(child.id());
            stop(&mut child, init, &Reach::Namespace).unwrap();
            let left = processes::members_of(child.id(), u64::MAX);
            assert_eq!(left, [] as [u32; 0], "after {tenths_ms} tenths of a ms");
            assert!(!init.is_some_and(processes::is_alive));
        }
    }
}
