//! The record and the state that it amounts to, always in step.
use super::state::RunState;
use crate::record::{Event, RecordError, RecordWriter, RunStarted, read_record};
use std::path::Path;

/// Writes an event to disk, then takes it into the state.
pub struct Recorder {
    writer: RecordWriter,
    pub state: RunState,
}

impl Recorder {
    /// Starts a new record.
    pub fn create(path: &Path, start: RunStarted) -> Result<Self, RecordError> {
        let mut writer = RecordWriter::create(path)?;
        writer.append(&Event::RunStarted(start.clone()))?;
        Ok(Self {
            writer,
            state: RunState::new(start),
        })
    }

    /// Goes on with the record of a killed run.
    pub fn resume(path: &Path) -> Result<Self, RecordError> {
        let (lines, valid_bytes) = read_record(path)?;
        let earlier_ms = lines.last().map_or(0, |line| line.elapsed_ms);
        let state = RunState::of_record(&lines);
        let writer = RecordWriter::resume(path, valid_bytes, earlier_ms)?;
        Ok(Self { writer, state })
    }

    /// An event is on disk before anything is done because of it.
    pub fn emit(&mut self, event: Event) -> Result<(), RecordError> {
        self.writer.append(&event)?;
        self.state.apply(&event);
        Ok(())
    }

    /// Milliseconds of work so far, earlier sittings included.
    pub fn elapsed_ms(&self) -> u64 {
        self.writer.elapsed_ms()
    }
}
