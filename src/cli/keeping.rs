//! Packed weights that are written beside a command, and may take longer than it does.
use super::out;
use crate::checkpoint::{Keeping, Outcome};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The file that is being written: a model has one, and a process has one model.
static HELD: Mutex<Option<Keeping>> = Mutex::new(None);

/// A command's end waits as long without a word.
const SILENT: Duration = Duration::from_millis(500);
/// Then it says how far it is, as often.
const PERIOD: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(20);

/// Takes over what a command's end has to wait for.
pub fn hold(keeping: Option<Keeping>) {
    if keeping.is_some() {
        *HELD.lock().unwrap_or_else(PoisonError::into_inner) = keeping;
    }
}

/// Waits until packed weights are written, saying so: it is once a model, and the next start
/// is as much faster.
pub fn finish() {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(keeping) = held else { return };
    let mut said_at = Instant::now() + SILENT;
    while !keeping.is_finished() {
        if Instant::now() >= said_at {
            let (done, total) = keeping.progress();
            out::note(&format!(
                "writing packed weights for the next start, once a model: {} of {} MB (--keep-packed no leaves it)",
                done / 1_000_000,
                total / 1_000_000
            ));
            said_at = Instant::now() + PERIOD;
        }
        thread::sleep(POLL);
    }
    match keeping.wait() {
        Ok(Outcome::Written) => {}
        Ok(Outcome::Changed) => out::note(
            "packed weights are not kept: the model's files changed meanwhile; the next start packs them again",
        ),
        Ok(Outcome::NoRoom) => out::note(
            "packed weights are not kept: the disk has no room for them; the next start packs them again",
        ),
        Err(error) => out::note(&format!(
            "packed weights are not kept: {error}; --keep-packed no does without them"
        )),
    }
}
