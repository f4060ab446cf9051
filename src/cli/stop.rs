//! Stopping the program by Ctrl-C or a signal: nothing is left lying about.
use super::out;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// Exit status of a program that a signal stopped, as shells count it: 128 and SIGINT's number.
const STOPPED: i32 = 130;

/// Attempts to remove a folder that commands still write to; they end with the program.
const REMOVALS: usize = 3;

struct AtStop {
    folders: Vec<PathBuf>,
    /// One line for the user.
    say: String,
}

static AT_STOP: Mutex<Option<AtStop>> = Mutex::new(None);

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
    let at_stop = AT_STOP
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(AtStop { folders, say }) = at_stop {
        for folder in folders {
            let mut left = REMOVALS;
            while left > 0 && folder.exists() && std::fs::remove_dir_all(&folder).is_err() {
                left -= 1;
            }
        }
        out::note(&say);
    }
    std::process::exit(STOPPED);
}
