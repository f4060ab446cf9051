//! Appends events to a record, durably.
use super::{Event, RecordError, RecordLine};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The one writer of a run's record.
pub struct RecordWriter {
    file: File,
    path: PathBuf,
    started: Instant,
    /// Wall time that earlier sittings of a resumed run had spent, ms.
    earlier_ms: u64,
}

impl RecordWriter {
    /// Starts a new record. Fails if one is there already.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        Self::open(path, 0, OpenOptions::new().append(true).create_new(true))
    }

    /// Goes on with a record that a killed run left, from the end of its last
    /// whole line (`valid_bytes`, as [`super::read_record`] found it).
    pub fn resume(path: &Path, valid_bytes: u64, earlier_ms: u64) -> Result<Self, RecordError> {
        let writer = Self::open(path, earlier_ms, OpenOptions::new().append(true))?;
        writer
            .file
            .set_len(valid_bytes)
            .map_err(|source| writer.io("cut", source))?;
        Ok(writer)
    }

    fn open(path: &Path, earlier_ms: u64, options: &mut OpenOptions) -> Result<Self, RecordError> {
        let file = options.open(path).map_err(|source| RecordError::Io {
            what: "open",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            file,
            path: path.to_owned(),
            started: Instant::now(),
            earlier_ms,
        })
    }

    /// Milliseconds of work in this run so far, earlier sittings included.
    pub fn elapsed_ms(&self) -> u64 {
        self.earlier_ms + self.started.elapsed().as_millis() as u64
    }

    /// Writes one event and waits until it is on disk.
    ///
    /// Cost: one `write` and one `fdatasync` (a millisecond or so); an agent
    /// step takes seconds.
    pub fn append(&mut self, event: &Event) -> Result<(), RecordError> {
        let line = RecordLine {
            elapsed_ms: self.elapsed_ms(),
            event: event.clone(),
        };
        let mut text = serde_json::to_string(&line).expect("events serialise to JSON");
        text.push('\n');
        self.file
            .write_all(text.as_bytes())
            .map_err(|source| self.io("write", source))?;
        self.file
            .sync_data()
            .map_err(|source| self.io("sync", source))
    }

    fn io(&self, what: &'static str, source: std::io::Error) -> RecordError {
        RecordError::Io {
            what,
            path: self.path.clone(),
            source,
        }
    }
}
