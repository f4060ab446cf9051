//! HTML, Markdown, JSON and a text tree from a run's record; pages of what was found
//! over many runs.
//!
//! A report is a pure function of the record: [`RunView`] folds the events,
//! the renderers write it down. A record cut anywhere gives a report of what
//! had happened by then.
//!
//! Text enters a page through one door (`html/markup.rs`): only literals of the program and charts,
//! whose text their backend has escaped (`drawing.rs`), go in unescaped, by type. A content
//! security policy forbids any script or request but the page's own.
mod baseline;
mod decoding;
mod drawing;
mod evaluation;
mod figures;
mod gate;
mod html;
mod json;
mod layout;
mod limits;
mod markdown;
mod sentence;
mod settings;
mod spread;
mod text;
mod view;
mod write;

pub use baseline::{Comparison, Cost, comparison};
pub use decoding::decoding;
pub use evaluation::{calibration_html, comparison_html};
pub use figures::{action, duration, thousands};
pub use html::html;
pub use json::{REPORT_VERSION, json};
pub use markdown::markdown;
pub use text::text;
pub use view::{BranchView, RunView, Seam, SuiteView};
pub use write::{Written, write_report};

use crate::record::{RECORD_FILE, RecordError};
use std::path::PathBuf;

/// What can go wrong in a report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(
        "{} holds no {RECORD_FILE}: give a run directory as `egss solve --out` made it, or a record file",
        path.display()
    )]
    NoRecord { path: PathBuf },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("a chart cannot be drawn: {reason}")]
    Chart { reason: String },
    #[error("cannot write {}: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
}
