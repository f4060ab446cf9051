//! The run's append-only record: what has happened, in the order it happened.
//!
//! One JSON object a line. A run is a fold over its events, so a killed run
//! resumes by reading them again, and a report needs nothing else.
mod checkout;
mod event;
mod git_settings;
mod order;
mod pieces;
mod reader;
mod suite;
mod writer;

pub use checkout::{Checkout, LargeData};
pub use event::*;
pub use git_settings::GitSettings;
pub use pieces::token_pieces;
pub use reader::{RecordLine, read_record};
pub use suite::*;
pub use writer::RecordWriter;

use std::path::PathBuf;

/// The record's name within a run's directory.
pub const RECORD_FILE: &str = "record.jsonl";

/// The record format's version: a reader refuses any other.
pub const RECORD_VERSION: u32 = 2;

/// What can go wrong with a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot {what} the record {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}:{line}: not a record line ({source}); the file was edited or is no record", path.display())]
    Malformed {
        path: PathBuf,
        line: usize,
        source: serde_json::Error,
    },
    #[error("{}:{line}: no run has its events in this order ({what}); the file was edited", path.display())]
    Order {
        path: PathBuf,
        line: usize,
        what: String,
    },
    #[error("{} is of record version {found}, this program reads {RECORD_VERSION}", path.display())]
    Version { path: PathBuf, found: u32 },
    #[error("{} does not begin with a run_started event: it is no egss record", path.display())]
    NoStart { path: PathBuf },
}
