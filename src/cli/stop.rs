//! Stopping the program by Ctrl-C or a signal: nothing is left lying about.
use super::out;
use crate::workspace::remove_workspaces;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Exit status of a program that a signal stopped, as shells count it: 128 and SIGINT's number.
const STOPPED: i32 = 130;

/// Attempts to remove a folder while the program, which goes on till its end, makes it again.
const REMOVALS: usize = 50;
/// A folder that is not made again within this time is gone.
const SETTLED: Duration = Duration::from_millis(20);

struct AtStop {
    folders: Vec<PathBuf>,
    /// One line for the user.
    say: String,
}

static AT_STOP: Mutex<Option<AtStop>> = Mutex::new(None);
static IS_STOPPING: AtomicBool = AtomicBool::new(false);

/// Returns where no signal came. Else the program ends here: work whose folders are gone fails,
/// and that is not its result.
pub fn settle() {
    while IS_STOPPING.load(Ordering::SeqCst) {
        std::thread::sleep(SETTLED);
    }
}

/// The folder that the temporary files of this process are in, as long as this lives.
pub struct Scratch {
    _dir: TempDir,
}

/// From now on temporary files lie in a folder of their own, and a signal removes it together
/// with `work`, says `say`, and ends the program. Called once.
///
/// Error: no folder can be made.
pub fn guard(work: Option<PathBuf>, say: String) -> anyhow::Result<Scratch> {
    let dir = tempfile::Builder::new().prefix("egss-").tempdir()?;
    // A second call keeps the first one's folder.
    let _ = tempfile::env::override_temp_dir(dir.path());
    let folders = work.into_iter().chain([dir.path().to_owned()]);
    let at_stop = AtStop {
        folders: folders.collect(),
        say,
    };
    *AT_STOP.lock().unwrap_or_else(PoisonError::into_inner) = Some(at_stop);
    // Where another handler is set, stopping leaves files, and nothing worse.
    let _ = ctrlc::set_handler(stop);
    Ok(Scratch { _dir: dir })
}

fn stop() {
    IS_STOPPING.store(true, Ordering::SeqCst);
    let at_stop = AT_STOP
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(AtStop { folders, say }) = at_stop {
        for _ in 0..REMOVALS {
            for folder in folders.iter().filter(|folder| folder.exists()) {
                // The next attempt takes what is left.
                let _ = remove_workspaces(folder);
            }
            std::thread::sleep(SETTLED);
            if !folders.iter().any(|folder| folder.exists()) {
                break;
            }
        }
        out::note(&say);
    }
    std::process::exit(STOPPED);
}
