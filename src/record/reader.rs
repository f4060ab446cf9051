//! Reads a record back.
use super::{Event, RECORD_VERSION, RecordError, order};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A line of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordLine {
    /// Milliseconds of work since the run began, earlier sittings included.
    pub elapsed_ms: u64,
    #[serde(flatten)]
    pub event: Event,
}

/// Reads every whole line; the second value is how many bytes they take.
///
/// A last line that a killed run left unfinished is passed over: its event did
/// not happen. Errors: unreadable file, a malformed line before the last,
/// another version, no `run_started` first, events in an order that no run has.
pub fn read_record(path: &Path) -> Result<(Vec<RecordLine>, u64), RecordError> {
    let bytes = std::fs::read(path).map_err(|source| RecordError::Io {
        what: "read",
        path: path.to_owned(),
        source,
    })?;
    let mut lines = Vec::new();
    let mut valid_bytes = 0;
    for (index, line) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
        if line.last() != Some(&b'\n') {
            break;
        }
        let line_value = serde_json::from_slice::<RecordLine>(line).map_err(|source| {
            RecordError::Malformed {
                path: path.to_owned(),
                line: index + 1,
                source,
            }
        })?;
        lines.push(line_value);
        valid_bytes += line.len() as u64;
    }
    match lines.first().map(|line| &line.event) {
        Some(Event::RunStarted(start)) if start.record_version == RECORD_VERSION => {}
        Some(Event::RunStarted(start)) => {
            return Err(RecordError::Version {
                path: path.to_owned(),
                found: start.record_version,
            });
        }
        _ => {
            return Err(RecordError::NoStart {
                path: path.to_owned(),
            });
        }
    }
    match order::fault(&lines) {
        None => Ok((lines, valid_bytes)),
        Some((line, what)) => Err(RecordError::Order {
            path: path.to_owned(),
            line,
            what,
        }),
    }
}
